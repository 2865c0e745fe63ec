/**
 * The attached driver: a store whose engine is in another process, the owner of the data directory.
 *
 * Invariants:
 * - it connects when there is something to ask or to watch, again after every break, and never touches the data file;
 * - `outcome_unknown` only where the request may have reached the owner and the answer did not come back (`calls.ts`);
 * - a watch outlives connections: after each new one the owner hints at once, so nothing is missed.
 */
import { backoffDelay, type Backoff } from '../../kernel/backoff.ts'
import { sleep, type Clock } from '../../kernel/clock.ts'
import { SignalboxError, toSignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import { checkCommit, checkKey, checkListOptions, checkRange } from '../../ports/store-checks.ts'
import {
  portableLimits,
  type Change,
  type CommitResult,
  type Key,
  type ListOptions,
  type Page,
  type Range,
  type Store,
  type StoredRecord,
  type StoreLimits,
} from '../../ports/store.ts'
import { Subscription } from '../shared/watch-hub.ts'
import { Calls } from './calls.ts'
import { EngineTime } from '../shared/engine-time.ts'
import { dial, type Link } from './link.ts'
import type { Answer, Hint, Method, Request } from './protocol.ts'

export interface AttachedOptions {
  /** The owner's socket, `<data>/owner.sock`. */
  readonly socketPath: string
  readonly clock: Clock
  /** Jitter of the pauses between attempts to connect. */
  readonly random: Random
  /** How long a call, and opening, may take to reach the owner; default 10,000. */
  readonly deadlineMs?: number
}

const DEADLINE_MS = 10_000
/** How long one attempt to connect may take. */
const DIAL_MS = 5_000
const BACKOFF: Backoff = { baseMs: 20, maxMs: 1_000 }
/** Pause before a watch that the owner ended is asked for again. */
const RESUBSCRIBE_MS = 250
/** How old the last knowledge of engine time may be before `now()` asks anew, in the background. */
const TIME_AGE_MS = 5_000

/**
 * Attaches to the owner of a store. Resolves once the owner has answered.
 * @example
 * const store = await openAttachedStore({ socketPath: 'data/owner.sock', clock: systemClock, random: systemRandom })
 * @throws SignalboxError `unavailable` when nobody answers within the deadline
 */
export async function openAttachedStore(options: AttachedOptions): Promise<Store> {
  const store = new AttachedStore(options)
  await store.open()
  return store
}

class AttachedStore implements Store {
  readonly #options: AttachedOptions
  readonly #clock: Clock
  readonly #deadlineMs: number
  readonly #calls: Calls
  readonly #time = new EngineTime()
  readonly #watches = new Map<number, Subscription>()
  readonly #ending = new AbortController()
  #link: Link | undefined
  /** The owner is going: it answers what it has, and takes nothing more on this connection. */
  #draining = false
  #connecting = false
  /** Attempts to connect since the owner last answered. */
  #attempt = 0
  #lastId = 0
  #askingTime = false
  #closed: Promise<void> | undefined
  limits: StoreLimits = portableLimits
  declare watch?: (range: Range, signal: AbortSignal) => AsyncIterable<void>

  constructor(options: AttachedOptions) {
    this.#options = options
    this.#clock = options.clock
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS
    this.#calls = new Calls(options.clock, this.#deadlineMs, options.socketPath)
  }

  async open(): Promise<void> {
    try {
      await this.#call('now', [])
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async get(key: Key): Promise<StoredRecord | undefined> {
    this.#assertOpen()
    checkKey(key, this.limits.keys)
    return (await this.#call('get', [key])) as StoredRecord | undefined
  }

  async list(range: Range, options: ListOptions): Promise<Page> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    checkListOptions(options, this.limits.keys)
    return (await this.#call('list', [range, options])) as Page
  }

  async commit(changes: readonly Change[]): Promise<CommitResult> {
    this.#assertOpen()
    checkCommit(changes, this.limits)
    const result = (await this.#call('commit', [changes])) as CommitResult
    // JSON has no undefined: absent versions come as null.
    return result.ok ? { ok: true, versions: result.versions.map((version) => version ?? undefined) } : result
  }

  async deleteRange(range: Range, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    const { signal } = options
    signal?.throwIfAborted()
    const id = this.#lastId + 1
    const onAbort = (): void => {
      this.#send({ i: id, m: 'stop', a: [] })
      this.#calls.abandon(id, signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await this.#call('deleteRange', [range])
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  now(): { readonly ms: number; readonly uncertaintyMs: number } {
    this.#assertOpen()
    const monotonic = this.#clock.monotonic()
    if (this.#time.age(monotonic) > TIME_AGE_MS) this.#askTime()
    const time = this.#time.at(monotonic)
    if (time === undefined) throw new SignalboxError('unavailable', 'the owner has not told its time')
    return time
  }

  close(): Promise<void> {
    this.#closed ??= this.#release()
    return this.#closed
  }

  async #release(): Promise<void> {
    for (const subscription of this.#watches.values()) subscription.end()
    if (this.#link === undefined) this.#calls.giveUp()
    await this.#calls.idle()
    this.#ending.abort()
    this.#link?.close()
  }

  #watch(range: Range, signal: AbortSignal): AsyncIterable<void> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    return {
      [Symbol.asyncIterator]: () => {
        const id = ++this.#lastId
        const subscription = new Subscription(range, signal, () => {
          if (this.#watches.delete(id)) this.#send({ i: id, m: 'stop', a: [] })
        })
        if (signal.aborted || this.#closed !== undefined) {
          subscription.end()
        } else {
          this.#watches.set(id, subscription)
          this.#subscribe(id)
          this.#pump()
        }
        return subscription
      },
    }
  }

  #call(method: Method, args: readonly unknown[]): Promise<unknown> {
    const answered = this.#calls.add(++this.#lastId, method, args)
    this.#pump()
    return answered
  }

  /** Moves on whatever waits: over the connection, or towards one. */
  #pump(): void {
    const link = this.#link
    if (link === undefined) void this.#connect()
    else if (!this.#draining) this.#calls.sendTo(link)
  }

  #send(request: Request): void {
    this.#link?.send(JSON.stringify(request))
  }

  #subscribe(id: number): void {
    const subscription = this.#watches.get(id)
    if (subscription !== undefined && !this.#draining)
      this.#send({ i: id, m: 'watch', a: [subscription.range] })
  }

  /** Dials until there is a connection, or nobody wants one any more; never throws. */
  async #connect(): Promise<void> {
    if (this.#connecting) return
    this.#connecting = true
    const { signal } = this.#ending
    while (
      this.#link === undefined &&
      this.#closed === undefined &&
      this.#calls.size + this.#watches.size > 0
    ) {
      try {
        if (this.#attempt > 0) await sleep(this.#clock, this.#pause(), signal)
        this.#attempt += 1
        await this.#dial(signal)
      } catch (error) {
        this.#calls.reason = toSignalboxError(error).message
      }
    }
    this.#connecting = false
  }

  async #dial(signal: AbortSignal): Promise<void> {
    const sentAt = this.#clock.monotonic()
    // Set once the connection ended, which may be before we get to see it.
    const state: { link?: Link; ended: boolean } = { ended: false }
    const timeoutMs = Math.min(DIAL_MS, this.#deadlineMs)
    const link = await dial(
      { socketPath: this.#options.socketPath, clock: this.#clock, timeoutMs, signal },
      {
        onFrame: (frame) => this.#receive(frame),
        onBye: () => {
          this.#draining = true
        },
        onDrain: () => this.#pump(),
        onEnd: () => {
          state.ended = true
          if (this.#link !== undefined && this.#link === state.link) this.#disconnected()
        },
      },
    )
    state.link = link
    if (state.ended) throw new SignalboxError('unavailable', 'it hung up')
    if (this.#closed !== undefined) {
      link.close()
      return
    }
    const { hello, t, u } = link.hello
    this.#link = link
    this.limits = hello.limits
    if (hello.watch) this.watch ??= (range, stop) => this.#watch(range, stop)
    this.#learn(sentAt, t, u)
    for (const id of this.#watches.keys()) this.#subscribe(id)
    this.#pump()
  }

  #receive(frame: Answer | Hint): void {
    this.#attempt = 0
    if ('h' in frame) {
      this.#watches.get(frame.i)?.hint()
      return
    }
    if (this.#watches.has(frame.i)) {
      // The owner ended the watch, which is ours to end: ask again, unless the connection ends first.
      this.#clock.timer(RESUBSCRIBE_MS, () => this.#subscribe(frame.i), { unref: true })
      return
    }
    if (frame.again === 1) this.#draining = true
    const sentAt = this.#calls.answer(frame)
    if (sentAt !== undefined) this.#learn(sentAt, frame.t, frame.u)
    this.#pump()
  }

  #disconnected(): void {
    this.#link = undefined
    this.#draining = false
    this.#calls.reason = 'the connection broke'
    this.#calls.disconnected()
    if (this.#closed === undefined) void this.#connect()
    else this.#calls.giveUp()
  }

  #pause(): number {
    return backoffDelay(BACKOFF, this.#attempt, this.#options.random)
  }

  #learn(sentAt: number, ms: unknown, uncertaintyMs: unknown): void {
    if (typeof ms !== 'number' || typeof uncertaintyMs !== 'number') return
    this.#time.learn(sentAt, this.#clock.monotonic(), ms, uncertaintyMs)
  }

  #askTime(): void {
    if (this.#askingTime) return
    this.#askingTime = true
    const done = (): void => {
      this.#askingTime = false
    }
    this.#call('now', []).then(done, done)
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new SignalboxError('unavailable', 'the store is closed')
  }
}
