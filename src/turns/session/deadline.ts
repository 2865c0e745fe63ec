/**
 * Until when a hold may be relied on: the arithmetic, pure.
 *
 * A hold is proven by a call whose answer says so. Its time counts from a moment that is never later than the server's
 * decision: the *sending* of that call, plus the time the server says it had had the request when it decided. From there
 * it lasts the hold TTL minus a margin (a fifth), so it ends before an observer that saw the same decision can evict.
 *
 * The monotonic clock stops while a machine is suspended. So each deadline is stated on the wall clock as well, later by half
 * the margin, which small steps of the wall clock do not reach; it has passed when either clock says so.
 */
import type { Clock } from '../../kernel/clock.ts'
import type { Deadline } from '../../kernel/deadline.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { beatInterval, minimumTtl, safetyMargin, ttlIsWorkable } from '../timing.ts'

/** The time of sending, on both clocks. */
export interface Moment {
  readonly mono: number
  readonly wall: number
}

/** From when a hold counts (monotonic), and how far the wall clock was ahead of the monotonic one when that was asked. */
export interface Proof {
  readonly base: number
  readonly skew: number
}

export interface HoldTiming {
  readonly ttlMs: number
  readonly marginMs: number
  readonly stopGraceMs: number
  readonly beatMs: number
  /** A beat without an answer is sent again after this long; the first goes on waiting meanwhile. */
  readonly retryMs: number
}

/** @throws SignalboxError `invalid_argument` when the TTL leaves no room for three beats, the margin and the stop grace */
export function holdTiming(ttlMs: number, stopGraceMs: number): HoldTiming {
  if (!ttlIsWorkable(ttlMs, stopGraceMs)) {
    const minimumMs = minimumFrom(ttlMs, stopGraceMs)
    throw new SignalboxError(
      'invalid_argument',
      `ttl: ${exact(ttlMs)} is too short with a stop grace of ${exact(stopGraceMs)}; use at least ${exact(roundedUp(minimumMs))}`,
      { details: { field: 'ttlMs', minimumMs } },
    )
  }
  const beatMs = beatInterval(ttlMs)
  return {
    ttlMs,
    stopGraceMs,
    beatMs,
    marginMs: safetyMargin(ttlMs),
    retryMs: Math.min(1_000, Math.ceil(beatMs / 3)),
  }
}

export function momentOf(clock: Clock): Moment {
  return { mono: clock.monotonic(), wall: clock.now() }
}

/**
 * @param elapsedMs as the answer states it; 0 for a beat. Cut to the time that really passed, should the answer be wrong.
 */
export function proofOf(sent: Moment, elapsedMs: number, receivedAt: number): Proof {
  const elapsed = Math.min(Math.max(0, elapsedMs), receivedAt - sent.mono)
  return { base: sent.mono + elapsed, skew: sent.wall - sent.mono }
}

export function deadlineOf(proof: Proof, { ttlMs, marginMs }: HoldTiming): Deadline {
  const at = proof.base + ttlMs - marginMs
  return { at, wallAt: at + proof.skew + marginMs / 2 }
}

/** Did the machine sleep since the proof was asked for? By how long, if by more than clocks are stepped. */
export function suspendedMs(proof: Proof, { marginMs }: HoldTiming, clock: Clock): number | undefined {
  const ahead = clock.now() - clock.monotonic() - proof.skew
  return ahead > marginMs / 2 ? ahead : undefined
}

/** Is there time left to work in, before it would already be time to stop? */
export function isUsable(proof: Proof, timing: HoldTiming, clock: Clock): boolean {
  const stopAt = deadlineOf(proof, timing).at - timing.stopGraceMs
  return clock.monotonic() < stopAt && suspendedMs(proof, timing, clock) === undefined
}

/** The next workable TTL from `ttlMs` up; from 45 s on beats are rarer, so some below would work and some above not. */
function minimumFrom(ttlMs: number, stopGraceMs: number): number {
  let minimumMs = minimumTtl(stopGraceMs)
  if (ttlMs > minimumMs) minimumMs = Math.ceil((30_000 + stopGraceMs) / 0.8)
  while (!ttlIsWorkable(minimumMs, stopGraceMs)) minimumMs++
  return minimumMs
}

function roundedUp(ms: number): number {
  const step = ms > 10_000 ? 1_000 : 100
  return Math.ceil(ms / step) * step
}

/** Unrounded, unlike `formatDuration`, which would call 16.6 s too short for 17 s. */
function exact(ms: number): string {
  return ms % 1_000 === 0 ? formatDuration(ms) : `${ms / 1_000}s`
}
