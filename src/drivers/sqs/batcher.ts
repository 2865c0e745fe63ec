/**
 * Group commit for a service that charges by the request: what several callers want done at about the same time goes
 * out in one batch.
 *
 * Invariants:
 * - a batch goes out when it is full, or when its oldest entry has lingered long enough; none is longer than the limits.
 * - entries of one key are never in two batches at once and go out in the order they came, through retries too.
 * - each entry has a verdict of its own. One that may be tried again is, alone or among others that wait, after a
 *   back-off, a few times; nobody else waits for it but its own key.
 */
import { backoffDelay } from '../../kernel/backoff.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import { toSignalboxError, type SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'

/** What became of one entry. */
export type Verdict<R> =
  | { readonly kind: 'done'; readonly result: R }
  | { readonly kind: 'failed'; readonly error: SignalboxError }
  /** Not applied, or harmless to repeat; `alone`: in a batch of its own, since somebody spoilt this one. */
  | { readonly kind: 'again'; readonly error: SignalboxError; readonly alone?: boolean }

export interface BatcherOptions<E, R> {
  readonly clock: Clock
  readonly random: Random
  readonly maxEntries: number
  readonly maxBytes: number
  /** How long an entry waits for others. */
  readonly lingerMs: number
  /** An entry that finds nothing under way waits for nobody but those of the same moment. Default false. */
  readonly eager?: boolean
  readonly bytes?: (item: E) => number
  readonly key?: (item: E) => string | undefined
  /** A batch holds one entry of each key. Default: it may hold several, in order. */
  readonly oneOfKey?: boolean
  /** Sends a batch. @returns a verdict an entry */
  readonly fly: (items: readonly E[]) => Promise<readonly Verdict<R>[]>
}

interface Entry<E, R> {
  readonly item: E
  readonly bytes: number
  readonly key: string | undefined
  readonly resolve: (result: R) => void
  readonly reject: (error: SignalboxError) => void
  dueAt: number
  attempts: number
  alone: boolean
}

/** Batches at once; what comes meanwhile fills the next ones. */
const MAX_FLIGHTS = 16
const ATTEMPTS = 6
const BACKOFF = { baseMs: 100, maxMs: 5_000 }

export class Batcher<E, R> {
  readonly #options: BatcherOptions<E, R>
  #pending: Entry<E, R>[] = []
  #pendingBytes = 0
  #flights = 0
  readonly #busy = new Set<string>()
  #timer: { readonly at: number; readonly timer: Timer } | undefined

  constructor(options: BatcherOptions<E, R>) {
    this.#options = options
  }

  /** @throws SignalboxError the entry's failure */
  add(item: E): Promise<R> {
    const { clock, lingerMs, eager = false, bytes, key } = this.#options
    return new Promise((resolve, reject) => {
      const idle = eager && this.#flights === 0 && this.#pending.length === 0
      const entry: Entry<E, R> = {
        item,
        bytes: bytes?.(item) ?? 0,
        key: key?.(item),
        resolve,
        reject,
        dueAt: clock.monotonic() + (idle ? 0 : lingerMs),
        attempts: 0,
        alone: false,
      }
      this.#pending.push(entry)
      this.#pendingBytes += entry.bytes
      if (this.#mayBeFull()) this.#pump()
      else this.#wakeAt(entry.dueAt)
    })
  }

  #mayBeFull(): boolean {
    const { maxEntries, maxBytes } = this.#options
    return this.#pending.length >= maxEntries || this.#pendingBytes >= maxBytes
  }

  /** Sends what is full or due. */
  #pump(): void {
    while (this.#flights < MAX_FLIGHTS) {
      const batch = this.#next()
      if (batch === undefined) break
      void this.#launch(batch)
    }
    if (this.#flights === MAX_FLIGHTS) return
    const due = this.#pending.filter(({ key }) => key === undefined || !this.#busy.has(key))
    if (due.length > 0) this.#wakeAt(due.reduce((at, entry) => Math.min(at, entry.dueAt), Infinity))
  }

  /** The first batch of the line that is full or due. */
  #next(): Entry<E, R>[] | undefined {
    const { clock, maxEntries, maxBytes, oneOfKey = false } = this.#options
    const now = clock.monotonic()
    const batch: Entry<E, R>[] = []
    const keys = new Set<string>()
    let bytes = 0
    let ready = false
    for (const entry of this.#pending) {
      const { key } = entry
      if (key !== undefined && (this.#busy.has(key) || (oneOfKey && keys.has(key)))) continue
      const full = batch.length === maxEntries || bytes + entry.bytes > maxBytes
      if (batch.length > 0 && (full || entry.alone)) {
        ready = true
        break
      }
      batch.push(entry)
      bytes += entry.bytes
      if (key !== undefined) keys.add(key)
      ready ||= entry.dueAt <= now || batch.length === maxEntries || entry.alone
      if (entry.alone) break
    }
    return ready ? batch : undefined
  }

  async #launch(batch: readonly Entry<E, R>[]): Promise<void> {
    const leaving = new Set(batch)
    this.#pending = this.#pending.filter((entry) => !leaving.has(entry))
    for (const { bytes, key } of batch) {
      this.#pendingBytes -= bytes
      if (key !== undefined) this.#busy.add(key)
    }
    this.#flights += 1
    const verdicts = await this.#verdicts(batch)
    this.#flights -= 1
    const again = this.#settle(batch, verdicts)
    for (const { key } of batch) {
      if (key !== undefined && !again.some((entry) => entry.key === key)) this.#busy.delete(key)
    }
    if (again.length > 0) this.#comeAgain(again)
    this.#pump()
  }

  async #verdicts(batch: readonly Entry<E, R>[]): Promise<readonly Verdict<R>[]> {
    try {
      return await this.#options.fly(batch.map(({ item }) => item))
    } catch (error) {
      return batch.map(() => ({ kind: 'failed', error: toSignalboxError(error) }))
    }
  }

  /** @returns what is to be tried again, in order */
  #settle(batch: readonly Entry<E, R>[], verdicts: readonly Verdict<R>[]): Entry<E, R>[] {
    const again: Entry<E, R>[] = []
    const passed = new Set<string>()
    for (const [i, entry] of [...batch.entries()].reverse()) {
      const verdict = verdicts[i] as Verdict<R>
      if (verdict.kind === 'done') {
        entry.resolve(verdict.result)
        if (entry.key !== undefined) passed.add(entry.key)
        continue
      }
      entry.attempts += 1
      // Trying again would put it behind a later one of its key.
      const overtaken = entry.key !== undefined && passed.has(entry.key)
      if (verdict.kind === 'failed' || entry.attempts === ATTEMPTS || overtaken) {
        entry.reject(verdict.error)
        continue
      }
      entry.alone = verdict.alone ?? false
      again.unshift(entry)
    }
    return again
  }

  #comeAgain(entries: readonly Entry<E, R>[]): void {
    const { clock, random } = this.#options
    const attempt = Math.max(...entries.map(({ attempts }) => attempts)) - 1
    clock.timer(backoffDelay(BACKOFF, attempt, random), () => {
      for (const entry of entries) {
        entry.dueAt = clock.monotonic()
        this.#pendingBytes += entry.bytes
        if (entry.key !== undefined) this.#busy.delete(entry.key)
      }
      this.#pending = [...entries, ...this.#pending]
      this.#pump()
    })
  }

  #wakeAt(at: number): void {
    if (this.#timer !== undefined && this.#timer.at <= at) return
    this.#timer?.timer.cancel()
    const { clock } = this.#options
    const timer = clock.timer(at - clock.monotonic(), () => {
      this.#timer = undefined
      this.#pump()
    })
    this.#timer = { at, timer }
  }
}
