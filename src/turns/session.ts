/**
 * The life of one member: join, wait, hold, release. It needs a `TurnsApi`, a clock and randomness only, so it is
 * the same over HTTP and next to a store.
 *
 * ```
 * joining ──▶ waiting ──▶ holding ──▶ released
 *    └──────────┴── error, time-out, signal ──▶ left      holding ──▶ lost (see session/hold.ts)
 * ```
 *
 * Invariants:
 * - the member id is random per call of `openTurn`, so that every call may be repeated after a lost answer;
 * - what ends before the turn is held leaves the queue first, also when it is not known whether the join arrived
 *   (leaving leaves a mark that refuses a join still on its way);
 * - a grant counts from the sending of the call that shows it; one that is too old to work with is confirmed by a beat first;
 * - a waiter that cannot reach the server keeps trying: its place is kept there for a day.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Deadline } from '../kernel/deadline.ts'
import type { Random } from '../kernel/id.ts'
import { DEFAULT_STOP_GRACE_MS, DEFAULT_TTL_MS, type LeaveView, type TurnsApi } from './api.ts'
import { holdTiming } from './session/deadline.ts'
import { Membership } from './session/membership.ts'
import type { ProgressListener } from './session/progress.ts'

export type { Deadline } from '../kernel/deadline.ts'
export type { TurnProgress } from './session/progress.ts'

export interface OpenTurnOptions {
  readonly api: TurnsApi
  readonly clock: Clock
  readonly random: Random
  readonly queue: string
  readonly permits?: number | undefined
  readonly priority?: number | undefined
  /** Hold TTL; default 45 s. */
  readonly ttlMs?: number | undefined
  /** How long before the deadline `stopping` aborts; default 5 s. */
  readonly stopGraceMs?: number | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  /** Gives up with `wait_timeout` after this long; 0 takes the turn only if it is free. Default: never. */
  readonly waitTimeoutMs?: number | undefined
  /** Gives up when the server was plainly unreachable for this long from the start; default 5 s. */
  readonly connectTimeoutMs?: number | undefined
  /** Ends the waiting; a held turn is ended by `release` alone. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ProgressListener | undefined
}

/** A turn that is held. */
export interface Turn {
  readonly id: string
  readonly queue: string
  readonly ticket: number
  /** Greater than every fence granted before on this queue. */
  readonly fence: number
  readonly waitedMs: number
  readonly positionAtJoin: number
  /** Monotonic ms at which the work must be over. */
  deadline(): number
  /** The same on both clocks, as a supervisor in another process needs it. */
  limits(): Deadline
  /** Aborts when it is time to stop: one stop grace before the deadline, its reason a `turn_lost`. */
  readonly stopping: AbortSignal
  /** Aborts with a `turn_lost` when the work must be over. */
  readonly lost: AbortSignal
  /** Looks at the clocks now; timers may be late. */
  isHeld(): boolean
  /** Called at each extension. @returns a function that removes the listener */
  onDeadline(listener: (deadline: Deadline) => void): () => void
  /**
   * Stops beating, then ends the hold; repeats until the server answers or the hold TTL has passed (then it is `gone`).
   * Idempotent. @throws the signal's reason; a refusal of the server, such as `unauthenticated`
   */
  release(options?: { readonly signal?: AbortSignal }): Promise<LeaveView['outcome']>
  /** Stops beating and tells nobody: the hold lapses after its TTL. For work that cannot be proven to have ended. */
  abandon(): void
}

/**
 * Joins the queue and waits for the turn.
 *
 * @throws SignalboxError `invalid_argument` (nothing was sent), `conflict`, `queue_paused`, `unavailable` (could not
 *   connect), `wait_timeout`, `cancelled` (the signal), `turn_lost` (evicted or removed), and what else the server refuses with
 */
export async function openTurn(options: OpenTurnOptions): Promise<Turn> {
  const { ttlMs = DEFAULT_TTL_MS, stopGraceMs = DEFAULT_STOP_GRACE_MS } = options
  return new Membership(options, holdTiming(ttlMs, stopGraceMs)).open()
}
