/**
 * Exponential back-off with full jitter: the delay is drawn evenly from [0, min(max, base·2^attempt)], which spreads
 * contenders better than a fixed or equal-jitter delay (Brooker, "Exponential Backoff And Jitter", AWS, 2015).
 */
import type { Random } from './id.ts'

export interface Backoff {
  readonly baseMs: number
  readonly maxMs: number
}

/** @param attempt 0 for the first retry. @returns milliseconds to wait. */
export function backoffDelay(backoff: Backoff, attempt: number, random: Random): number {
  const ceiling = Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(attempt, 30))
  return random.next() * ceiling
}
