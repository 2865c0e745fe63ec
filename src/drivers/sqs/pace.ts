/**
 * How fast requests go out: as fast as they come, until SQS throttles. Then at half of the rate there was, rising evenly
 * again (additive increase, multiplicative decrease: Chiu and Jain, 1989), until the rate does not matter any more.
 *
 * Invariant: one burst that was throttled halves the rate once, however many of its requests were refused.
 */
import { sleep, type Clock } from '../../kernel/clock.ts'

const SLOWEST_PER_S = 1
/** Every second the limit rises by this share of the rate that was throttled, */
const INCREASE = 0.05
/** and goes when it is this many times that rate. */
const FREE_AT = 2
const SECOND_MS = 1_000

interface Limit {
  /** Requests per second. */
  readonly rate: number
  readonly setAt: number
  /** The rate that was throttled. */
  readonly throttled: number
}

export class Pace {
  readonly #clock: Clock
  #limit: Limit | undefined
  #nextAt = 0
  /** Requests of this second and of the one before. */
  #second = { startedAt: -Infinity, count: 0, before: 0 }

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Requests per second at present; undefined when not limited. */
  get rate(): number | undefined {
    const limit = this.#limit
    if (limit === undefined) return undefined
    const risen = ((this.#clock.monotonic() - limit.setAt) / SECOND_MS) * limit.throttled * INCREASE
    const rate = limit.rate + risen
    if (rate < limit.throttled * FREE_AT) return rate
    this.#limit = undefined
    return undefined
  }

  /** Waits for this request's moment. @returns that moment, for `throttled` */
  async enter(): Promise<number> {
    const { rate } = this
    const now = this.#clock.monotonic()
    if (rate === undefined) {
      this.#count(now)
      return now
    }
    const at = Math.max(now, this.#nextAt)
    this.#nextAt = at + SECOND_MS / rate
    if (at > now) await sleep(this.#clock, at - now)
    this.#count(at)
    return at
  }

  /** A request that went out at this moment was throttled. */
  throttled(sentAt: number): void {
    const now = this.#clock.monotonic()
    if (this.#limit !== undefined && sentAt < this.#limit.setAt) return
    const throttled = this.rate ?? this.#measured(now)
    this.#limit = { rate: Math.max(SLOWEST_PER_S, throttled / 2), setAt: now, throttled }
    this.#nextAt = now + SECOND_MS / this.#limit.rate
  }

  #count(now: number): void {
    this.#turn(now)
    this.#second.count += 1
  }

  #measured(now: number): number {
    this.#turn(now)
    return Math.max(this.#second.count, this.#second.before, SLOWEST_PER_S)
  }

  #turn(now: number): void {
    const { startedAt, count } = this.#second
    if (now - startedAt < SECOND_MS) return
    this.#second = { startedAt: now, count: 0, before: now - startedAt < 2 * SECOND_MS ? count : 0 }
  }
}
