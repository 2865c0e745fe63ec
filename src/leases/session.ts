/**
 * The life of one request for a lease: ask, wait, hold, release. It needs a `LeasesApi`, a clock and randomness only, so it
 * is the same over HTTP and next to a store.
 *
 * ```
 * asking ──▶ waiting ──▶ acquired ──▶ released
 *   │           │  └───▶ completed: a higher group, which contains this one, has succeeded
 *   └───────────┴── error, time-out, signal ──▶ withdrawn       acquired ──▶ lost (see session/hold.ts)
 * ```
 *
 * Invariants:
 * - only an answer `acquired` is a grant; whatever is unclear is asked again, for every call may be repeated per SHA;
 * - a server that is away, or answers as no Signalbox does, is waited for, for ever unless there is a time limit; a refusal
 *   (credential, unknown provider, malformed request) ends the session at once;
 * - what ends before the lease is held is withdrawn first, also when it is not known whether a request arrived;
 * - with `leaseMs` the lease counts from the sending of the last call that was answered `acquired`, never from an answer.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Deadline } from '../kernel/deadline.ts'
import type { Random } from '../kernel/id.ts'
import type { LeaseAnswer, LeasesApi, ProviderName, Refusal } from './api.ts'
import { leaseTiming } from './session/deadline.ts'
import type { LeaseProgressListener } from './session/progress.ts'
import { release } from './session/release.ts'
import { Request } from './session/request.ts'

/** Time between the sign to stop and the end. */
export const DEFAULT_STOP_GRACE_MS = 5_000

export type { Deadline } from '../kernel/deadline.ts'
export type { LeaseProgress } from './session/progress.ts'

export interface OpenLeaseOptions {
  readonly api: Pick<LeasesApi, 'acquire' | 'release'>
  readonly clock: Clock
  readonly random: Random
  readonly provider: ProviderName
  readonly request: WantedLease
  /** How long before the deadline `stopping` aborts; default 5 s. Only with `leaseMs`. */
  readonly stopGraceMs?: number | undefined
  /** Gives up with `wait_timeout` after this long; 0 takes the lease only if it is granted at once. Default: never. */
  readonly waitTimeoutMs?: number | undefined
  /** Ends the waiting; a held lease is ended by `release` alone. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: LeaseProgressListener | undefined
}

export interface WantedLease {
  readonly sha: string
  /** `gh-readonly-queue/<base>/pr-<number>-<hex>`; the original service demands it. */
  readonly ref?: string | undefined
  /** 1 or more: how many commits the group is ahead of the base. */
  readonly priority: number
  /** Renew every third of this, and count the lease as lost without. Default: it lasts as long as the server lets it. */
  readonly leaseMs?: number | undefined
}

/** The end of the waiting: what is to be done now. */
export type OpenedLease =
  | { readonly status: 'acquired'; readonly lease: Lease; readonly answer: LeaseAnswer }
  /** Nothing is to be done: these commits were in a group that succeeded. */
  | { readonly status: 'completed'; readonly answer: LeaseAnswer }

/** What became of the work. Everything but `success` counts as failure: the next group tries. */
export type LeaseOutcome = 'success' | 'failure' | 'cancelled' | 'timed_out' | 'skipped'

/** A lease that is held. */
export interface Lease {
  readonly provider: ProviderName
  readonly sha: string
  /** Greater than every fence granted before by this provider. The original service has none. */
  readonly fence?: number | undefined
  /** Pull requests that this group contains, as far as they are known, ascending by priority. */
  readonly stacked: readonly number[]
  /** When the server takes the holder for dead unless it renews, by the server's clock; ms since the epoch. */
  readonly expiresAt: number | undefined
  readonly waitedMs: number
  /** When the work must be over, on both clocks; undefined when the lease is not renewed. It moves. */
  limits(): Deadline | undefined
  /** Aborts when it is time to stop: one stop grace before the deadline, its reason a `lease_lost`. */
  readonly stopping: AbortSignal
  /** Aborts with a `lease_lost` when the work must be over. */
  readonly lost: AbortSignal
  /** Looks at the clocks now; timers may be late. */
  isHeld(): boolean
  /** Called at each extension. @returns a function that removes the listener */
  onDeadline(listener: (deadline: Deadline) => void): () => void
  /**
   * Stops renewing, then tells the server how the work ended; repeats for some minutes until the server answers.
   * Idempotent: the first outcome counts. A `Refusal` says that the lease was not ours any more.
   * @throws the signal's reason; a refusal of the server, such as `unauthenticated`; the last failure when time is up
   */
  release(outcome: LeaseOutcome, options?: { readonly signal?: AbortSignal }): Promise<LeaseAnswer | Refusal>
  /** Stops renewing and tells nobody: the lease expires. For work that cannot be proven to have ended. */
  abandon(): void
}

/**
 * Asks for the lease and waits until it is granted, or needed no more.
 *
 * @throws SignalboxError `invalid_argument`, `not_found`, `unauthenticated`, `permission_denied` (at once), `wait_timeout`,
 *   `cancelled` (the signal), and what else the server refuses with
 */
export async function openLease(options: OpenLeaseOptions): Promise<OpenedLease> {
  const { request, stopGraceMs = DEFAULT_STOP_GRACE_MS } = options
  const timing = request.leaseMs === undefined ? undefined : leaseTiming(request.leaseMs, stopGraceMs)
  return new Request(options, timing).open()
}

export interface ReleaseOptions extends Pick<
  OpenLeaseOptions,
  'clock' | 'random' | 'provider' | 'signal' | 'onProgress'
> {
  readonly api: Pick<LeasesApi, 'release'>
  readonly request: Pick<WantedLease, 'sha' | 'ref' | 'priority'>
  readonly outcome: LeaseOutcome
}

/**
 * Ends a lease that another process took (the step before), or withdraws its request, which everything but `success` does;
 * repeats for some minutes until the server answers. May be repeated. A `Refusal` says that the lease is not this commit's.
 *
 * @throws the signal's reason; a refusal of the server, such as `unauthenticated`; the last failure when time is up
 */
export function releaseLease(options: ReleaseOptions): Promise<LeaseAnswer | Refusal> {
  return release(options)
}
