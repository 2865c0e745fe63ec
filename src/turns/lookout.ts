/**
 * Tells when to look at a queue again: after a time, or at once when the store pushes. One target at a time.
 *
 * Invariant: while a target is set, `onHint` is called at the latest `everyMs` (Infinity: never) after the last `looked`,
 * whatever becomes of the push.
 */
import { sleep, type Clock, type Timer } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import { decimalKey, type Key, type Store } from '../ports/store.ts'

export interface Target {
  /** The record whose change matters. */
  readonly key: Key
  /** @param pushed the store pushes changes of that record now */
  readonly everyMs: (pushed: boolean) => number
}

const REWATCH_MS = 1_000
/** Looks of many waiters are spread by this part of their interval. */
const SPREAD = 0.15

/** Somewhat earlier, so that those who came together do not ask together for ever. */
export function spread(ms: number, random: Random): number {
  return ms * (1 - SPREAD * random.next())
}

export class Lookout {
  readonly #store: Store
  readonly #clock: Clock
  readonly #random: Random
  readonly #onHint: () => void
  #target: Target | undefined
  #timer: Timer | undefined
  #watching: AbortController | undefined
  #pushed = false
  #resting = false
  /** A hint came while resting. */
  #missed = false
  #lookedAt: number

  constructor(options: { store: Store; clock: Clock; random: Random; onHint: () => void }) {
    this.#store = options.store
    this.#clock = options.clock
    this.#random = options.random
    this.#onHint = options.onHint
    this.#lookedAt = options.clock.monotonic()
  }

  /** The store pushes changes of the target now. */
  get pushed(): boolean {
    return this.#pushed
  }

  /** The queue has just been read. */
  looked(): void {
    this.#lookedAt = this.#clock.monotonic()
    this.#arm()
  }

  /** Sets what to look out for. */
  aim(target: Target): void {
    const same = target.key[0] === this.#target?.key[0] && target.key[1] === this.#target.key[1]
    this.#target = target
    this.#resting = false
    if (!same) this.#rewatch()
    this.#arm()
    if (same && this.#missed) this.#hint()
  }

  /** Nobody wants to hear anything for now; the push goes on, so that the next `aim` need not begin anew. */
  rest(): void {
    this.#resting = true
    this.#timer?.cancel()
  }

  close(): void {
    this.#target = undefined
    this.#rewatch()
    this.#arm()
  }

  #hint(): void {
    this.#missed = this.#resting
    if (!this.#resting) this.#onHint()
  }

  #arm(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#target === undefined || this.#resting) return
    const everyMs = spread(this.#target.everyMs(this.#pushed), this.#random)
    if (everyMs === Infinity) return
    const dueIn = Math.max(0, this.#lookedAt + everyMs - this.#clock.monotonic())
    this.#timer = this.#clock.timer(
      dueIn,
      () => {
        this.looked()
        this.#onHint()
      },
      { unref: true },
    )
  }

  #rewatch(): void {
    this.#watching?.abort()
    this.#pushed = false
    this.#missed = false
    this.#watching = undefined
    if (this.#target === undefined || this.#store.watch === undefined) return
    this.#watching = new AbortController()
    void this.#watch(this.#target.key, this.#watching.signal)
  }

  async #watch([partition, from]: Key, signal: AbortSignal): Promise<void> {
    const range = { partition, from, to: decimalKey(Number(from) + 1) }
    while (!signal.aborted) {
      try {
        for await (const _ of this.#store.watch?.(range, signal) ?? []) {
          this.#pushed = true
          this.#hint()
        }
      } catch {
        // What is not pushed is looked for.
      }
      if (signal.aborted) return
      this.#pushed = false
      this.#arm()
      await sleep(this.#clock, REWATCH_MS, signal).catch(() => {})
    }
  }
}
