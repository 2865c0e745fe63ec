/**
 * A held lease: renews it from the grant on if it is to be renewed, knows until when it may be relied on, and releases it.
 *
 * Invariants:
 * - the deadline moves only by a call answered `acquired` under the same fence, counted from its sending; backwards only when
 *   the server grants less than before, which is kept to from then on;
 * - `stopping` aborts at the latest one stop grace before the deadline, `lost` at it, at once when the server says so
 *   or when the machine turns out to have been suspended; both stay aborted, whatever is answered later;
 * - renewals overlap rather than queue: one that hangs delays no other;
 * - no renewal is sent once `release` or `abandon` was called, and none counts;
 * - the release is sent when no renewal is under way: one that is decided after it would let the request in anew.
 */
import { attempt } from '../../kernel/attempt.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import type { Deadline } from '../../kernel/deadline.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import { providerLabel, type LeaseAnswer, type LeasesApi, type ProviderName, type Refusal } from '../api.ts'
import type { LeaseOutcome, WantedLease } from '../session.ts'
import { deadlineOf, momentOf, shortened, suspendedMs, type LeaseTiming, type Moment } from './deadline.ts'
import { tell, type LeaseProgressListener } from './progress.ts'
import { release } from './release.ts'

export interface HoldOptions {
  readonly api: Pick<LeasesApi, 'acquire' | 'release'>
  readonly clock: Clock
  readonly random: Random
  readonly provider: ProviderName
  readonly request: WantedLease
  readonly fence: number | undefined
  /** When the call was sent whose answer is the grant. */
  readonly sent: Moment
  /** Undefined: the lease is not renewed, and has no deadline here. */
  readonly timing: LeaseTiming | undefined
  readonly onProgress?: LeaseProgressListener | undefined
}

const MAX_TICK_MS = 1_000
const RENEW_ATTEMPT_MS = 10_000
/** What renewals under way get to be answered before a release. */
const LAST_ANSWERS_MS = 1_000

export class Hold {
  readonly #options: HoldOptions
  readonly #stopping = new AbortController()
  readonly #lost = new AbortController()
  /** Aborted to end the renewals under way. */
  readonly #hangUp = new AbortController()
  readonly #renewals = new Set<Promise<unknown>>()
  readonly #listeners = new Set<(deadline: Deadline) => void>()
  #over = false
  #timing: LeaseTiming | undefined
  #sent: Moment
  #nextRenewalAt: number
  #failing = false
  #timer: Timer | undefined
  #released: Promise<LeaseAnswer | Refusal> | undefined

  constructor(options: HoldOptions) {
    this.#options = options
    this.#timing = options.timing
    this.#sent = options.sent
    this.#nextRenewalAt = options.sent.mono + (options.timing?.renewMs ?? Infinity)
    this.#tick()
  }

  get limits(): Deadline | undefined {
    return this.#timing === undefined ? undefined : deadlineOf(this.#sent, this.#timing)
  }

  get stopping(): AbortSignal {
    return this.#stopping.signal
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  isHeld(): boolean {
    this.#check()
    return !this.#over && !this.#lost.signal.aborted
  }

  onDeadline(listener: (deadline: Deadline) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** See `Lease.release`. */
  release(outcome: LeaseOutcome, signal?: AbortSignal): Promise<LeaseAnswer | Refusal> {
    this.#end()
    this.#released ??= this.#release(outcome, signal)
    return this.#released
  }

  /** See `Lease.abandon`. */
  abandon(): void {
    this.#end()
    this.#endRenewals()
  }

  async #release(outcome: LeaseOutcome, signal?: AbortSignal): Promise<LeaseAnswer | Refusal> {
    if (this.#renewals.size > 0) await this.#lastAnswers(signal)
    return release({ ...this.#options, outcome, signal })
  }

  /** Hanging up is the second choice: the server may decide all the same, later. */
  async #lastAnswers(signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#options
    const bounds = { clock, boundMs: LAST_ANSWERS_MS, ...(signal === undefined ? {} : { signal }) }
    try {
      await attempt(bounds, () => Promise.allSettled(this.#renewals))
    } catch {
      this.#endRenewals()
      await Promise.allSettled(this.#renewals)
    }
  }

  #tick(): void {
    this.#check()
    const timing = this.#timing
    if (this.#over || timing === undefined) return
    const now = this.#options.clock.monotonic()
    if (now >= this.#nextRenewalAt) this.#renew(timing)
    this.#arm(now, timing)
  }

  #arm(now: number, timing: LeaseTiming): void {
    const { at } = deadlineOf(this.#sent, timing)
    const stopAt = this.#stopping.signal.aborted ? at : at - timing.stopGraceMs
    const next = Math.min(now + MAX_TICK_MS, this.#nextRenewalAt, stopAt, at)
    this.#timer?.cancel()
    this.#timer = this.#options.clock.timer(Math.max(0, next - now), () => this.#tick())
  }

  /** Draws the consequences of what the clocks say. */
  #check(): void {
    const { clock } = this.#options
    const timing = this.#timing
    if (this.#over || timing === undefined) return
    const { at } = deadlineOf(this.#sent, timing)
    const now = clock.monotonic()
    const slept = suspendedMs(this.#sent, timing, clock)
    const silence = `no renewal was acknowledged for ${formatDuration(now - this.#sent.mono)}`
    if (slept !== undefined) {
      this.#lose(
        this.#lostError(`the machine was suspended, or its clock set forward, for ${formatDuration(slept)}`),
      )
    } else if (now >= at) this.#lose(this.#lostError(silence))
    else if (now >= at - timing.stopGraceMs) this.#stopping.abort(this.#lostError(silence))
  }

  #renew(timing: LeaseTiming): void {
    const { api, clock, provider, request } = this.#options
    const { sha, ref, priority } = request
    const sent = momentOf(clock)
    this.#nextRenewalAt = sent.mono + timing.retryMs
    const boundMs = Math.min(RENEW_ATTEMPT_MS, timing.renewMs)
    const body = { sha, ref, priority, leaseMs: timing.leaseMs }
    const renewal = attempt({ clock, boundMs, signal: this.#hangUp.signal }, (s) =>
      api.acquire(provider, body, s),
    )
      .then(
        (answer) => this.#answered(answer, sent),
        (error: unknown) => this.#failed(error as SignalboxError),
      )
      .finally(() => this.#renewals.delete(renewal))
    this.#renewals.add(renewal)
  }

  #answered(answer: LeaseAnswer | Refusal, sent: Moment): void {
    // First what has passed already: a supervisor has acted on the old deadline.
    this.#check()
    const before = this.#timing
    if (this.#over || before === undefined) return
    const why = this.#whyLost(answer)
    if (why !== undefined) {
      this.#lose(this.#lostError(why))
      return
    }
    const timing = believed(answer, before)
    if (sent.mono <= this.#sent.mono && timing === before) return
    this.#timing = timing
    if (sent.mono > this.#sent.mono) this.#sent = sent
    this.#nextRenewalAt = this.#sent.mono + timing.renewMs
    if (this.#failing) {
      this.#failing = false
      tell(this.#options.onProgress, { type: 'renewed' })
    }
    this.#tick()
    if (!this.#over) this.#tellDeadline(deadlineOf(this.#sent, timing))
  }

  /** Undefined: it is still ours. */
  #whyLost(answer: LeaseAnswer | Refusal): string | undefined {
    const { fence } = this.#options
    if (answer.kind === 'refused') return `the server says: ${answer.reason}`
    if (answer.status !== 'acquired')
      return `the server took the holder for dead, or was cleared; it is ${answer.status} now`
    if (answer.fence === fence) return undefined
    return `the server granted it anew (fence ${answer.fence}, was ${fence}): somebody else may have held it meanwhile`
  }

  #failed(error: SignalboxError): void {
    const { limits } = this
    if (this.#over || limits === undefined) return
    const { clock, onProgress } = this.#options
    this.#failing = true
    const leftMs = limits.at - clock.monotonic()
    tell(onProgress, { type: 'renew_failed', error, leftMs })
  }

  #tellDeadline(deadline: Deadline): void {
    for (const listener of this.#listeners) {
      try {
        listener(deadline)
      } catch {
        // Reporting must not decide whether a lease is kept.
      }
    }
  }

  #lose(error: SignalboxError): void {
    this.#end()
    this.#endRenewals()
    this.#stopping.abort(error)
    this.#lost.abort(error)
  }

  #end(): void {
    this.#timer?.cancel()
    this.#over = true
    this.#listeners.clear()
  }

  #endRenewals(): void {
    this.#hangUp.abort(new SignalboxError('cancelled', 'the hold is over'))
  }

  #lostError(why: string): SignalboxError {
    const { provider, request } = this.#options
    const name = providerLabel(provider)
    return new SignalboxError('lease_lost', `${name}: the lease was lost: ${why}`, {
      details: { provider: name, sha: request.sha },
    })
  }
}

/** A server that was given a shorter longest lease meanwhile takes the holder for dead after that. */
function believed(answer: LeaseAnswer | Refusal, timing: LeaseTiming): LeaseTiming {
  const grantedMs = answer.kind === 'lease' ? answer.leaseMs : undefined
  return grantedMs !== undefined && grantedMs < timing.leaseMs ? shortened(timing, grantedMs) : timing
}
