/** Why a job's signal aborted, for code that does something else when a person cancels it than when its worker stops. */
import type { StopReason } from './api.ts'

const REASONS: readonly StopReason[] = ['timed_out', 'cancelled', 'lost', 'shutdown']

/**
 * Also of a signal that was derived from the job's.
 * @returns undefined while it has not aborted, and when something else aborted it
 * @example
 * if (stopReason(signal) === 'cancelled') await undo() // after 'shutdown' it runs again
 */
export function stopReason({ aborted, reason }: AbortSignal): StopReason | undefined {
  if (!aborted) return undefined
  // By its shape: the job's project may have a second copy of the package.
  const { details } = (reason ?? {}) as { readonly details?: { readonly reason?: unknown } }
  return REASONS.find((each) => each === details?.reason)
}
