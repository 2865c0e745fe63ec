/**
 * How far a server's wall clock is from ours, at most, as its answers tell: one that says t came later than its request was
 * sent, so the server's clock is ahead of ours by no more than t minus that.
 *
 * Invariants: the tightest bound counts, loosened by what clocks may drift since; an answer that contradicts it (a clock
 * was set) replaces it; a time of the server's becomes one of ours that is not too late.
 */
import type { Clock } from '../kernel/clock.ts'

/** How far two clocks may drift apart, per millisecond; generous. */
const DRIFT = 1e-4

interface Bound {
  /** The server's clock minus ours, at most. */
  readonly aheadMs: number
  /** Monotonic time at which it was so. */
  readonly at: number
}

export class ServerTime {
  readonly #clock: Clock
  #bound: Bound | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Learns from an answer that has just come.
   * @param sentAt monotonic time of its request. @param now the server's clock, if the answer tells it
   */
  learn(sentAt: number, now: number | undefined): void {
    if (now === undefined) return
    const at = this.#clock.monotonic()
    const most = now - (this.#clock.now() - (at - sentAt))
    const least = now - this.#clock.now()
    const known = this.#ahead(at)
    if (known === undefined || most < known || least > known) this.#bound = { aheadMs: most, at }
  }

  /** A time of the server's clock by ours, on the early side. */
  ours(ms: number): number {
    return Math.floor(ms - (this.#ahead(this.#clock.monotonic()) ?? 0))
  }

  #ahead(at: number): number | undefined {
    return this.#bound && this.#bound.aheadMs + DRIFT * (at - this.#bound.at)
  }
}
