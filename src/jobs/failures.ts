/** Errors by which a job says more than that it failed. Any error with `retry: false` or `retryDelayMs`, on itself or in `details`, says the same. */
import { parseDuration } from '../kernel/duration.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Duration } from './api.ts'

/** Anything as text, whatever a job logs or throws. */
export function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}

/**
 * To throw when no repetition will help: the job is dead-lettered at once.
 * @example
 * if (account === undefined) throw permanent(`there is no account ${id}`)
 */
export function permanent(message: string, cause?: unknown): SignalboxError {
  return new SignalboxError('conflict', message, { cause, details: { retry: false } })
}

/**
 * To throw when it is known how long to wait; the attempt counts.
 * @example
 * if (response.status === 429) throw retryIn('1m', 'the provider is busy')
 */
export function retryIn(delay: Duration, message: string, cause?: unknown): SignalboxError {
  const retryDelayMs = parseDuration(delay, 'retryIn')
  return new SignalboxError('unavailable', message, { cause, details: { retryDelayMs } })
}
