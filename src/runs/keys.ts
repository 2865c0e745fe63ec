/**
 * Keys that are made of a time: 15 digits, milliseconds · 100 and a number that keeps those of one instant apart. What is
 * handed out here is never handed out twice by one process soon; two processes may meet, and then one of two commits is
 * refused and made anew with another key.
 */
import type { Random } from '../kernel/id.ts'

export const KEYS_PER_MS = 100
/** A key's time may be this much later than what was asked for. */
export const KEY_SPREAD_MS = 200

/** Grows with each call, so that what was made later stands later. */
export class GrowingKeys {
  readonly #random: Random
  #last = 0

  constructor(random: Random) {
    this.#random = random
  }

  next(ms: number): number {
    const own = Math.floor(ms) * KEYS_PER_MS + Math.floor(this.#random.next() * KEYS_PER_MS)
    this.#last = Math.max(own, this.#last + 1)
    return this.#last
  }
}

/** At the time that is asked for, or within `KEY_SPREAD_MS` after it. */
export class TimedKeys {
  #count: number

  constructor(random: Random) {
    this.#count = Math.floor(random.next() * KEY_SPREAD_MS * KEYS_PER_MS)
  }

  next(ms: number): number {
    this.#count = (this.#count + 1) % (KEY_SPREAD_MS * KEYS_PER_MS)
    return Math.floor(ms) * KEYS_PER_MS + this.#count
  }
}

export function timeOf(key: number): number {
  return Math.floor(key / KEYS_PER_MS)
}
