/**
 * Until when a lease that is renewed may be relied on: the arithmetic, pure.
 *
 * The server expires a lease `leaseMs` after it decided on a grant or renewal. Its holder counts from the *sending* of the call
 * that was answered so, which is earlier, and stops a margin (a fifth) before that. So its end lies before the next grant as
 * long as the two clocks' rates differ by less than the margin; their readings are never compared.
 *
 * The monotonic clock stops while a machine is suspended. So each deadline is stated on the wall clock as well, later by half
 * the margin, which small steps of the wall clock do not reach; it has passed when either clock says so.
 */
import type { Clock } from '../../kernel/clock.ts'
import type { Deadline } from '../../kernel/deadline.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'

/** When a call was sent, on both clocks. */
export interface Moment {
  readonly mono: number
  readonly wall: number
}

export interface LeaseTiming {
  readonly leaseMs: number
  readonly marginMs: number
  readonly stopGraceMs: number
  readonly renewMs: number
  /** A renewal without an answer is sent again after this long; the first goes on waiting meanwhile. */
  readonly retryMs: number
}

/** @throws SignalboxError `invalid_argument` when the lease leaves no room for two renewals, the margin and the stop grace */
export function leaseTiming(leaseMs: number, stopGraceMs: number): LeaseTiming {
  const minimumMs = minimumLease(stopGraceMs)
  if (leaseMs < minimumMs) {
    throw new SignalboxError(
      'invalid_argument',
      `lease: ${exact(leaseMs)} is too short with a stop grace of ${exact(stopGraceMs)}; use at least ${exact(minimumMs)}`,
      { details: { field: 'leaseMs', minimumMs } },
    )
  }
  return timingOf(leaseMs, stopGraceMs)
}

/** A server may grant less than was asked for; then the stop grace gives way. */
export function shortened({ stopGraceMs, leaseMs }: LeaseTiming, grantedMs: number): LeaseTiming {
  const shorter = Math.min(leaseMs, grantedMs)
  return timingOf(shorter, Math.min(stopGraceMs, 0.3 * shorter))
}

export function momentOf(clock: Clock): Moment {
  return { mono: clock.monotonic(), wall: clock.now() }
}

export function deadlineOf(sent: Moment, { leaseMs, marginMs }: LeaseTiming): Deadline {
  const at = sent.mono + leaseMs - marginMs
  return { at, wallAt: sent.wall + leaseMs - marginMs / 2 }
}

/** Did the machine sleep since the call was sent? By how long, if by more than clocks are stepped. */
export function suspendedMs(sent: Moment, { marginMs }: LeaseTiming, clock: Clock): number | undefined {
  const ahead = clock.now() - clock.monotonic() - (sent.wall - sent.mono)
  return ahead > marginMs / 2 ? ahead : undefined
}

/** Is there time left to work in, before it would already be time to stop? */
export function isUsable(sent: Moment, timing: LeaseTiming, clock: Clock): boolean {
  const stopAt = deadlineOf(sent, timing).at - timing.stopGraceMs
  return clock.monotonic() < stopAt && suspendedMs(sent, timing, clock) === undefined
}

function timingOf(leaseMs: number, stopGraceMs: number): LeaseTiming {
  const renewMs = Math.floor(leaseMs / 3)
  return {
    leaseMs,
    stopGraceMs,
    renewMs,
    marginMs: Math.ceil(leaseMs / 5),
    retryMs: Math.min(1_000, Math.ceil(renewMs / 3)),
  }
}

/** Half a renewal's interval is left between the first that is missed and the stop: 0.8·lease − lease/3 − lease/6 ≥ grace. */
function minimumLease(stopGraceMs: number): number {
  return Math.max(1_000, Math.ceil(stopGraceMs / 0.3 / 1_000) * 1_000)
}

/** Unrounded, unlike `formatDuration`. */
function exact(ms: number): string {
  return ms % 1_000 === 0 ? formatDuration(ms) : `${ms / 1_000}s`
}
