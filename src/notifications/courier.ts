/**
 * Delivers the messages of one channel, the oldest first. A try leases its message (its record in `out` moves a minute on), so that
 * of several servers one makes it; what fails comes again later and later, until it is given up.
 *
 * Invariants: a message is deleted only after its receiver took it, so it is delivered at least once, always under the same id;
 * a message waits for the one before it in its lane; when a receiver fails it gets one try at a time, with pauses that
 * grow, and no other channel waits for it.
 */
import { attempt } from '../kernel/attempt.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { isSignalboxError, toSignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { decimalKey, type Change, type Store, type StoredRecord } from '../ports/store.ts'
import { giveUpChanges, moved } from './messages.ts'
import { keyAt, messageKey, outPartition, type Keys, type Message, type Out } from './records.ts'
import type { Sender, Sent } from './sending.ts'

export interface CourierContext {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly keys: Keys
  readonly giveUpAfterMs: number
  readonly onEvent: (event: CourierEvent) => void
}

/** After it is durable. */
export type CourierEvent =
  | {
      readonly kind: 'sent'
      readonly channel: string
      readonly message: Message
      readonly ageMs: number
      readonly warning?: string
    }
  | { readonly kind: 'not_sent'; readonly channel: string; readonly message: Message; readonly error: string }
  | { readonly kind: 'given_up'; readonly channel: string; readonly message: Message; readonly error: string }
  | { readonly kind: 'round_failed'; readonly error: unknown }

export interface Failing {
  /** By the store's clock. */
  readonly since: number
  readonly error: string
  readonly failures: number
  /** No try before then, by the monotonic clock. */
  readonly pausedUntil: number
}

const LEASE_MS = 60_000
const TRY_MS = 10_000
const AT_ONCE = 4
const PAGE = 50
const SETTLE_CHANCES = 4
const SETTLE_PAUSE_MS = 200
const SOON = { baseMs: 5_000, maxMs: 600_000 }
const LATER = { baseMs: 60_000, maxMs: 3_600_000 }
/** What a stop leaves to those who are being told. */
const STOP_MS = 3_000

type Done = 'sent' | 'failed' | 'passed'

export class Courier {
  readonly channel: string
  readonly #context: CourierContext
  readonly #send: Sender | undefined
  readonly #tryMs: number
  readonly #stopping = new AbortController()
  #failing: Failing | undefined
  #pass: Promise<void> | undefined
  #again = false
  #closing = false

  /** @param send undefined: the channel is not configured here; what waits for it is only given up in the end */
  constructor(context: CourierContext, channel: string, send?: Sender, tryMs = TRY_MS) {
    this.#context = context
    this.channel = channel
    this.#send = send
    this.#tryMs = tryMs
  }

  get failing(): Failing | undefined {
    return this.#failing
  }

  /** Something may be due. */
  look(): void {
    this.#again = true
    if (this.#pass !== undefined || this.#closing) return
    this.#pass = this.#run().finally(() => (this.#pass = undefined))
  }

  /** Somebody says that the receiver works again. */
  hope(): void {
    if (this.#failing !== undefined)
      this.#failing = { ...this.#failing, pausedUntil: Number.NEGATIVE_INFINITY }
    this.look()
  }

  /** What is on its way may arrive for a moment; then it is hung up, and tried again by whoever comes next. */
  async close(): Promise<void> {
    this.#closing = true
    const hangUp = (): void => this.#stopping.abort(new Error('the server is stopping'))
    const timer = this.#context.clock.timer(STOP_MS, hangUp)
    await this.#pass
    timer.cancel()
    hangUp()
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#closing) {
      this.#again = false
      try {
        // What one message waits for may be gone after a pass.
        while ((await this.#deliverDue()) && !this.#closing);
      } catch (error) {
        this.#context.onEvent({ kind: 'round_failed', error })
      }
    }
  }

  /** @returns was anything sent? */
  async #deliverDue(): Promise<boolean> {
    const { store } = this.#context
    let sent = false
    let after: string | undefined
    const to = decimalKey(keyAt(this.#now() + 1))
    do {
      if (this.#isPaused()) return false
      const page = await store.list(
        { partition: outPartition(this.channel), to },
        { limit: PAGE, ...(after === undefined ? {} : { after }) },
      )
      const due = [...page.records]
      while (due.length > 0 && !this.#isPaused() && !this.#closing) {
        const width = this.#failing === undefined ? AT_ONCE : 1
        const done = await Promise.all(due.splice(0, width).map((record) => this.#deliverOrLeave(record)))
        sent ||= done.includes('sent')
      }
      after = page.next
    } while (after !== undefined && !this.#closing)
    return sent
  }

  /** A failure of the store leaves it where it is. */
  async #deliverOrLeave(record: StoredRecord): Promise<Done> {
    try {
      return await this.#deliver(record)
    } catch (error) {
      this.#context.onEvent({ kind: 'round_failed', error })
      return 'passed'
    }
  }

  async #deliver(record: StoredRecord): Promise<Done> {
    const { store } = this.#context
    const { id } = record.value as unknown as Out
    const found = await store.get(messageKey(id))
    const message = found?.value as unknown as Message | undefined
    if (found === undefined || message === undefined || decimalKey(message.due ?? 0) !== record.key[1]) {
      // It was delivered, moved or discarded while this was read.
      await store.commit([{ op: 'delete', key: record.key, expect: { version: record.version } }])
      return 'passed'
    }
    if (await this.#waits(message)) return 'passed'
    const hopeless = this.#send === undefined ? 'its channel is not configured' : this.#failing?.error
    if (hopeless !== undefined && this.#isTooOld(message))
      return this.#giveUp(message, found.version, hopeless)
    if (this.#send === undefined) return 'passed'
    const leased = await this.#lease(message, found.version)
    if (leased === undefined) return 'passed'
    const sent = await this.#try(this.#send, leased.message)
    if (!sent.ok) return this.#failed(leased.message, leased.version, sent)
    this.#failing = undefined
    await this.#taken(leased.message, leased.version, sent.warning)
    return 'sent'
  }

  async #waits({ behind }: Message): Promise<boolean> {
    if (behind === undefined) return false
    const first = (await this.#context.store.get(messageKey(behind)))?.value as unknown as Message | undefined
    return first?.due !== undefined
  }

  /** Moves it on, so that nobody else tries it. @returns undefined: somebody else has it */
  async #lease(
    message: Message,
    version: string,
  ): Promise<{ readonly message: Message; readonly version: string } | undefined> {
    const { store, keys } = this.#context
    const leased = { ...message, due: keys.at(this.#now() + LEASE_MS), tries: message.tries + 1 }
    try {
      const result = await store.commit(moved(message, leased, version))
      const [written] = result.ok ? result.versions : []
      return written === undefined ? undefined : { message: leased, version: written }
    } catch (error) {
      // If it was applied, it is due again in a minute.
      if (isSignalboxError(error, 'outcome_unknown')) return undefined
      throw error
    }
  }

  async #try(send: Sender, message: Message): Promise<Sent> {
    const { clock } = this.#context
    const { signal } = this.#stopping
    try {
      return await attempt({ clock, boundMs: this.#tryMs, signal }, (hangUp) =>
        send(message.event, this.#now(), hangUp),
      )
    } catch (error) {
      const { message: text } = toSignalboxError(error)
      return { ok: false, error: text, fault: 'channel' }
    }
  }

  async #taken(message: Message, version: string, warning: string | undefined): Promise<void> {
    const ageMs = Math.max(0, this.#now() - message.createdAt)
    const more = warning === undefined ? {} : { warning }
    this.#context.onEvent({ kind: 'sent', channel: this.channel, message, ageMs, ...more })
    await this.#settle(moved(message, undefined, version))
  }

  async #failed(message: Message, version: string, sent: Sent & { readonly ok: false }): Promise<Done> {
    const { onEvent, keys } = this.#context
    const { error } = sent
    if (this.#stopping.signal.aborted) return 'failed' // hung up by us: its lease ends by itself
    const pauseMs = this.#pauseAfter(message, sent)
    const now = this.#now()
    if (sent.fault === 'channel') {
      const { since = now, failures = 0 } = this.#failing ?? {}
      const pausedUntil = this.#context.clock.monotonic() + pauseMs
      this.#failing = { since, failures: failures + 1, error, pausedUntil }
    }
    onEvent({ kind: 'not_sent', channel: this.channel, message, error })
    if (this.#isTooOld(message)) return this.#giveUp(message, version, error)
    const later: Message = { ...message, due: keys.at(now + pauseMs), lastError: error }
    await this.#settle(moved(message, later, version))
    return 'failed'
  }

  /** Half of it for sure, the rest by chance. */
  #pauseAfter({ tries }: Message, { fault, slow, retryAfterMs = 0 }: Sent & { readonly ok: false }): number {
    const { baseMs, maxMs } = slow === true ? LATER : SOON
    const before = fault === 'channel' ? (this.#failing?.failures ?? 0) : tries - 1
    const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(before, 20))
    const pause = ceiling / 2 + (this.#context.random.next() * ceiling) / 2
    return Math.ceil(Math.max(pause, Math.min(retryAfterMs, LATER.maxMs)))
  }

  async #giveUp(message: Message, version: string, error: string): Promise<Done> {
    const { keys, onEvent } = this.#context
    const changes = giveUpChanges(message, { version, error, key: keys.next(this.#now()) })
    if (await this.#settle(changes)) onEvent({ kind: 'given_up', channel: this.channel, message, error })
    return 'failed'
  }

  #isTooOld({ since }: Message): boolean {
    return this.#now() - since >= this.#context.giveUpAfterMs
  }

  /** @returns false: somebody changed the message meanwhile, or the store does not answer; then its lease ends by itself */
  async #settle(changes: readonly Change[]): Promise<boolean> {
    const { store, clock } = this.#context
    for (let chance = 0; chance < SETTLE_CHANCES; chance++) {
      if (chance > 0) await sleep(clock, SETTLE_PAUSE_MS * chance)
      try {
        const { ok } = await store.commit(changes)
        if (ok) return true
        if (await this.#isChanged(changes)) return false
      } catch (error) {
        if (!isSignalboxError(error) || !error.facts.retryable) throw error
      }
    }
    return false
  }

  /** Does the message differ from what the changes expect? If not, it was a conflict of nothing, or of keys. */
  async #isChanged([first]: readonly Change[]): Promise<boolean> {
    if (first === undefined || typeof first.expect !== 'object') return true
    return (await this.#context.store.get(first.key))?.version !== first.expect.version
  }

  #isPaused(): boolean {
    return this.#failing !== undefined && this.#context.clock.monotonic() < this.#failing.pausedUntil
  }

  #now(): number {
    return Math.floor(this.#context.store.now().ms)
  }
}
