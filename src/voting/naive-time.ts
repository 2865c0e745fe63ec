/**
 * Times as the reference writes them: naive UTC with six digits, `2021-12-28T00:48:55.871230`. As text they sort as they follow
 * each other.
 */
import type { Clock } from '../kernel/clock.ts'

/** @param microseconds since the epoch */
export function naiveTime(microseconds: number): string {
  const milliseconds = Math.floor(microseconds / 1_000)
  const rest = String(microseconds - milliseconds * 1_000).padStart(3, '0')
  return new Date(milliseconds).toISOString().replace('Z', rest)
}

/** @returns microseconds since the epoch; NaN of what is no such time */
export function parseNaiveTime(text: string): number {
  const [, seconds = '', digits = ''] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?$/.exec(text) ?? []
  return Date.parse(`${seconds}Z`) * 1_000 + Number(digits.padEnd(6, '0'))
}

/** Times of one process, each later than the one before, also within a millisecond and when the clock steps back. */
export class Stamps {
  readonly #clock: Clock
  #last = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @param after in microseconds; the time is later than this one too */
  next(after = 0): string {
    this.#last = Math.max(Math.floor(this.#clock.now() * 1_000), this.#last + 1, after + 1)
    return naiveTime(this.#last)
  }
}
