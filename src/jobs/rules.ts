/**
 * What becomes of a message after an attempt. Pure.
 *
 *   outcome of the attempt        message
 *   succeeded, stale              ack
 *   failed, timed out             retry after its back-off; dead-letter when it was the last attempt, or may not be repeated
 *   poison (unreadable, schema)   dead-letter at once
 *   unknown job                   retry until `unknownJobGrace` has passed since it was sent, then dead-letter
 *   returned (drained, limited)   given back, not counted
 *   lost                          nothing: somebody else has it
 */
import type { Random } from '../kernel/id.ts'
import { backoffDelay } from '../kernel/backoff.ts'
import type { JobDefinition } from './define.ts'

/** Why a message is in a dead-letter queue: its attribute `signalbox.reason`. */
export type DeadReason = 'unreadable' | 'invalid_input' | 'unknown_job' | 'attempts_exhausted' | 'rejected'

export type Disposal =
  | { readonly verdict: 'ack' }
  | { readonly verdict: 'retry'; readonly delayMs: number }
  | { readonly verdict: 'dead_letter'; readonly reason: DeadReason }
  /** Visible again after so long; this receive was no attempt. */
  | { readonly verdict: 'return'; readonly delayMs: number }
  | { readonly verdict: 'nothing' }

export interface Failure {
  /** It makes no sense to repeat it. */
  readonly permanent: boolean
  /** The job says when to try again. */
  readonly retryDelayMs?: number | undefined
}

/** What a run's record can wait for. */
const MAX_RETRY_MS = 366 * 86_400_000

/** What an error thrown by a job says of its repetition: `retry: false`, `retryDelayMs`, on itself or in its `details`. */
export function failureOf(error: unknown): Failure {
  const facts = factsOf(error)
  const details = factsOf(facts['details'])
  const retry = facts['retry'] ?? details['retry']
  const delay = facts['retryDelayMs'] ?? details['retryDelayMs']
  return {
    permanent: retry === false,
    retryDelayMs: typeof delay === 'number' && delay >= 0 ? Math.min(delay, MAX_RETRY_MS) : undefined,
  }
}

function factsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/**
 * Full jitter above a floor: evenly from [min, min(max, min·2^attempt)], so that what failed together comes back spread.
 * @param attempt the one that failed; 1 at first
 */
export function retryDelay(
  { minDelayMs, maxDelayMs }: JobDefinition['retry'],
  attempt: number,
  random: Random,
): number {
  const ceiling = Math.min(maxDelayMs, minDelayMs * 2 ** Math.min(attempt, 40))
  return Math.round(minDelayMs + random.next() * Math.max(0, ceiling - minDelayMs))
}

/** After a failure or a time-out. @param attempt 1 at first */
export function afterFailure(
  retry: JobDefinition['retry'],
  attempt: number,
  failure: Failure,
  random: Random,
): Disposal {
  if (failure.permanent) return { verdict: 'dead_letter', reason: 'rejected' }
  if (attempt >= retry.attempts) return { verdict: 'dead_letter', reason: 'attempts_exhausted' }
  return { verdict: 'retry', delayMs: failure.retryDelayMs ?? retryDelay(retry, attempt, random) }
}

const UNKNOWN = { baseMs: 5_000, maxMs: 300_000 }

/** A job that this worker does not know: maybe another one does, or this one's next version. */
export function afterUnknown(
  message: { readonly sentAt: number; readonly receiveCount: number },
  now: number,
  graceMs: number,
  random: Random,
): Disposal {
  const left = message.sentAt + graceMs - now
  if (left <= 0) return { verdict: 'dead_letter', reason: 'unknown_job' }
  // Not less than half of the ceiling, so that it is received ten times at most (`SPARE_RECEIVES`).
  const ceiling = Math.min(UNKNOWN.maxMs, UNKNOWN.baseMs * 2 ** Math.min(message.receiveCount - 1, 10))
  const delayMs = ceiling / 2 + backoffDelay({ baseMs: ceiling / 2, maxMs: ceiling / 2 }, 0, random)
  return { verdict: 'return', delayMs: Math.ceil(Math.min(delayMs, left)) }
}
