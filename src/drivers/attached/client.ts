/**
 * The attached driver: a store whose engine is in another process, the owner of the data directory.
 *
 * Invariants: those of `attachment.ts`; it never touches the data file; a watch outlives connections: after each new one
 * the owner hints at once, so nothing is missed.
 */
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
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
import { EngineTime } from '../shared/engine-time.ts'
import { Subscription } from '../shared/watch-hub.ts'
import { Attachment, type AttachedOptions } from './attachment.ts'
import { storeProtocol, type Method, type StoreHello } from './protocol.ts'
import type { Answer, Hello, Hint } from './wire.ts'

/** A deletion of many records takes its time at the owner. */
const DELETION_MS = 600_000
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
  readonly #clock: Clock
  readonly #attachment: Attachment<StoreHello>
  readonly #time = new EngineTime()
  readonly #watches = new Map<number, Subscription>()
  #askingTime = false
  limits: StoreLimits = portableLimits
  declare watch?: (range: Range, signal: AbortSignal) => AsyncIterable<void>

  constructor(options: AttachedOptions) {
    this.#clock = options.clock
    this.#attachment = new Attachment(options, storeProtocol, {
      onHello: (hello, sentAt) => this.#greeted(hello, sentAt),
      onAnswer: ({ t, u }, sentAt) => this.#learn(sentAt, t, u),
      onOther: (frame) => this.#hinted(frame),
      wanted: () => this.#watches.size > 0,
    })
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
    const id = this.#attachment.nextId()
    const onAbort = (): void => {
      this.#attachment.tell({ i: id, m: 'stop', a: [] })
      this.#attachment.abandon(id, signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await this.#call('deleteRange', [range], id)
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
    for (const subscription of this.#watches.values()) subscription.end()
    return this.#attachment.close()
  }

  #watch(range: Range, signal: AbortSignal): AsyncIterable<void> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    return {
      [Symbol.asyncIterator]: () => {
        const id = this.#attachment.nextId()
        const subscription = new Subscription(range, signal, () => {
          if (this.#watches.delete(id)) this.#attachment.tell({ i: id, m: 'stop', a: [] })
        })
        if (signal.aborted || this.#attachment.closed) {
          subscription.end()
        } else {
          this.#watches.set(id, subscription)
          this.#subscribe(id)
          this.#attachment.pump()
        }
        return subscription
      },
    }
  }

  #call(method: Method, args: readonly unknown[], id?: number): Promise<unknown> {
    const extra = method === 'deleteRange' ? { extraMs: () => DELETION_MS } : {}
    // JSON text now: later changes to the arguments do not count.
    const call = { method, args: JSON.stringify(args), once: method === 'commit', lane: 0, ...extra } as const
    return this.#attachment.call(call, id)
  }

  #subscribe(id: number): void {
    const subscription = this.#watches.get(id)
    if (subscription !== undefined) this.#attachment.begin({ i: id, m: 'watch', a: [subscription.range] })
  }

  #greeted({ hello, t, u }: Hello<StoreHello>, sentAt: number): void {
    this.limits = hello.limits
    if (hello.watch) this.watch ??= (range, stop) => this.#watch(range, stop)
    this.#learn(sentAt, t, u)
    for (const id of this.#watches.keys()) this.#subscribe(id)
  }

  #hinted(frame: Answer | Hint): void {
    const subscription = this.#watches.get(frame.i)
    if (subscription === undefined) return
    if ('h' in frame) subscription.hint()
    // The owner ended the watch, which is ours to end: ask again, unless the connection ends first.
    else this.#clock.timer(RESUBSCRIBE_MS, () => this.#subscribe(frame.i), { unref: true })
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
    if (this.#attachment.closed) throw new SignalboxError('unavailable', 'the store is closed')
  }
}
