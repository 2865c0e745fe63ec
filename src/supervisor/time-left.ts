/** Loaded by the supervisor: imports nothing. */
import type { Clock } from '../kernel/clock.ts'
import type { Deadline } from '../kernel/deadline.ts'

/** Milliseconds until the first of the two clocks reaches the deadline; without one, for ever. */
export function timeLeft(deadline: Deadline | undefined, clock: Clock): number {
  if (deadline === undefined) return Infinity
  return Math.min(deadline.at - clock.monotonic(), deadline.wallAt - clock.now())
}
