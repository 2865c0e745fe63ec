/**
 * The outbox of wake-ups. A run that becomes queued has a record in `out` committed with it; whoever committed it sends at once and
 * then deletes the record. What is left (a crash, a queue that did not take it, a time that has not come) a sweeper of
 * any server sends: it first moves the record to a later time in one commit, so that of several only one sends.
 *
 * Invariants: a wake-up is sent at least once; twice is harmless, for a claim is refused then. No record is deleted before
 * its message was taken. Of what fails, each next try comes later (up to a minute).
 */
import type { Clock } from '../kernel/clock.ts'
import { isSignalboxError } from '../kernel/error.ts'
import { decimalKey, type Change, type Key, type Store } from '../ports/store.ts'
import { KEY_SPREAD_MS, KEYS_PER_MS, type TimedKeys } from './keys.ts'
import { asJson, outPartition, shardOf, SHARDS, type Out } from './records.ts'
import { isFifo, wakeUpOf, type SendWakeUps } from './wake-up.ts'

export interface DispatcherContext {
  readonly store: Store
  readonly clock: Clock
  readonly timed: TimedKeys
  readonly send: SendWakeUps
  /** For logs: wake-ups that their queue did not take. */
  readonly failed: (queue: string, wakeUps: number, error: unknown) => void
}

interface Entry {
  readonly key: number
  readonly out: Out
}

/** A record this old is left over: its sender is dead, or failed. */
const LEFT_MS = 5_000
/** Later ones are not handed to the engine but kept until they are due. */
const MAX_ENGINE_DELAY_MS = 900_000
const BATCH = 100
const BATCHES_AT_ONCE = 4
const BACKOFF = { baseMs: 2_000, maxMs: 60_000 }
const TIDY_MS = 20

export class Dispatcher {
  readonly #context: DispatcherContext
  readonly #ready = new Map<string, Entry[]>()
  readonly #sent: Entry[] = []
  #scheduled = false
  /** The queues of the batches that are being sent. */
  readonly #sending: string[] = []
  #tidying: Promise<void> | undefined
  #closed = false

  constructor(context: DispatcherContext) {
    this.#context = context
  }

  /** Committed just now by this process. */
  take(entry: Entry): void {
    if (this.#closed || isHeld(entry.out, this.#now())) return
    const ready = this.#ready.get(entry.out.queue)
    if (ready === undefined) this.#ready.set(entry.out.queue, [entry])
    else ready.push(entry)
    this.#pump()
  }

  /** Sends what is left over. @throws what the store throws */
  async sweep(): Promise<void> {
    const now = this.#now()
    await Promise.all(Array.from({ length: SHARDS }, (_, shard) => this.#sweepShard(shard, now)))
  }

  /** Waits for what is being sent. */
  async close(): Promise<void> {
    this.#closed = true
    while (this.#sending.length > 0 || this.#tidying !== undefined) {
      await (this.#tidying ?? new Promise<void>((resolve) => this.#context.clock.timer(5, resolve)))
    }
  }

  #now(): number {
    return Math.floor(this.#context.store.now().ms)
  }

  /** What becomes ready in one turn of the event loop goes in as few calls as possible. */
  #pump(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    void Promise.resolve().then(() => {
      this.#scheduled = false
      for (const [queue, ready] of this.#ready) {
        while (ready.length > 0 && this.#maySend(queue)) void this.#sendBatch(queue, ready)
        if (ready.length === 0) this.#ready.delete(queue)
      }
    })
  }

  /** A FIFO queue gets one batch after the other, to keep their order. */
  #maySend(queue: string): boolean {
    return this.#sending.length < BATCHES_AT_ONCE && !(isFifo(queue) && this.#sending.includes(queue))
  }

  async #sendBatch(queue: string, ready: Entry[]): Promise<void> {
    const entries = ready.splice(0, BATCH)
    this.#sending.push(queue)
    this.#sent.push(...(await this.#send(queue, entries)))
    this.#sending.splice(this.#sending.indexOf(queue), 1)
    this.#tidy()
    if (ready.length > 0 || this.#ready.size > 0) this.#pump()
  }

  /** @returns those that were taken */
  async #send(queue: string, entries: readonly Entry[]): Promise<Entry[]> {
    const now = this.#now()
    const { send, failed } = this.#context
    try {
      const taken = await send(
        queue,
        entries.map(({ out }) => wakeUpOf(out, Math.max(0, out.dueAt - now))),
      )
      const sent = entries.filter((_, index) => taken[index] === true)
      if (sent.length < entries.length) failed(queue, entries.length - sent.length, undefined)
      return sent
    } catch (error) {
      failed(queue, entries.length, error)
      return []
    }
  }

  /** Deletes the records of what was sent, many with one commit. A failure leaves them to a sweeper. */
  #tidy(): void {
    if (this.#sent.length === 0 || this.#tidying !== undefined) return
    const { clock } = this.#context
    this.#tidying = new Promise<void>((resolve) => clock.timer(TIDY_MS, resolve))
      .then(() => this.#deleteSent())
      .catch(() => undefined)
      .finally(() => {
        this.#tidying = undefined
        this.#tidy()
      })
  }

  async #deleteSent(): Promise<void> {
    const { store } = this.#context
    const size = Math.min(BATCH, store.limits.changes)
    const batches: Entry[][] = []
    while (this.#sent.length > 0) batches.push(this.#sent.splice(0, size))
    await Promise.all(batches.map((batch) => this.#delete(batch)))
  }

  async #delete(entries: readonly Entry[]): Promise<void> {
    const { store } = this.#context
    const { ok } = await store.commit(entries.map((entry) => removal(entry)))
    if (ok || entries.length === 1) return
    // A sweeper has moved one of them, and will delete it.
    await Promise.all(entries.map((entry) => store.commit([removal(entry)])))
  }

  async #sweepShard(shard: number, now: number): Promise<void> {
    const { store } = this.#context
    const to = decimalKey((now - LEFT_MS) * KEYS_PER_MS)
    let after: string | undefined
    do {
      const page = await store.list(
        { partition: outPartition(shard), to },
        { limit: BATCH, ...(after === undefined ? {} : { after }) },
      )
      const mine: Entry[] = []
      await Promise.all(
        page.records.map(async ({ key, version, value }) => {
          const entry = await this.#claim(key, version, value as unknown as Out, now)
          if (entry !== undefined) mine.push(entry)
        }),
      )
      for (const [queue, entries] of byQueue(mine)) {
        this.#sent.push(...(await this.#send(queue, entries)))
      }
      this.#tidy()
      after = page.next
    } while (after !== undefined && !this.#closed)
  }

  /** Moves a record to when it is to be tried next. @returns undefined when it is not to be sent now, or not by us */
  async #claim(key: Key, version: string, out: Out, now: number): Promise<Entry | undefined> {
    if (isHeld(out, now)) return undefined
    const { store, timed } = this.#context
    const next = now + Math.min(BACKOFF.maxMs, BACKOFF.baseMs * 2 ** Math.min(out.tries, 10))
    const moved: Out = { ...out, tries: out.tries + 1 }
    const entry = { key: timed.next(next), out: moved }
    try {
      const { ok } = await store.commit([
        { op: 'delete', key, expect: { version } },
        { op: 'put', key: keyOf(entry), expect: 'absent', value: asJson(moved) },
      ])
      return ok ? entry : undefined
    } catch (error) {
      // It may have been moved; then it is there at its later time.
      if (isSignalboxError(error, 'outcome_unknown')) return undefined
      throw error
    }
  }
}

/** Not to be sent yet: the engine keeps no such delay. */
function isHeld({ dueAt, queue }: Out, now: number): boolean {
  return dueAt > now + (isFifo(queue) ? 0 : MAX_ENGINE_DELAY_MS)
}

/**
 * When the record of a wake-up is found by sweepers: when it is due, if it has to wait here for that; else when it was to be
 * sent already.
 */
export function sweptAt(out: Out, now: number): number {
  return isHeld(out, now) ? out.dueAt - LEFT_MS - KEY_SPREAD_MS : now
}

function keyOf({ key, out }: Entry): Key {
  return [outPartition(shardOf(out.id)), decimalKey(key)]
}

function removal(entry: Entry): Change {
  return { op: 'delete', key: keyOf(entry), expect: 'present' }
}

function byQueue(entries: readonly Entry[]): Map<string, Entry[]> {
  const queues = new Map<string, Entry[]>()
  for (const entry of entries) {
    const { queue } = entry.out
    queues.set(queue, [...(queues.get(queue) ?? []), entry])
  }
  return queues
}
