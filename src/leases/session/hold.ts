/**
 * A held lease: renews it from the grant on if it is to be renewed, knows until when it may be relied on, and releases it.
 *
 * Invariants:
 * - the deadline only moves forward, and only by a call answered `acquired` under the same fence, counted from its sending;
 * - `stopping` aborts at the latest one stop grace before the deadline, `lost` at it, at once when the server says so
 *   or when the machine turns out to have been suspended; both stay aborted, whatever is answered later;
 * - renewals overlap rather than queue: one that hangs delays no other;
 * - no renewal is sent once `release` or `abandon` was called, and none counts.
 */
import { attempt } from '../../kernel/attempt.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import type { Deadline } from '../../kernel/deadline.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import { providerLabel, type LeaseAnswer, type LeasesApi, type ProviderName, type Refusal } from '../api.ts'
import type { LeaseOutcome, WantedLease } from '../session.ts'
import { deadlineOf, momentOf, suspendedMs, type LeaseTiming, type Moment } from './deadline.ts'
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

export class Hold {
  readonly #options: HoldOptions
  readonly #stopping = new AbortController()
  readonly #lost = new AbortController()
  /** Aborted when the hold is over: ends the renewals under way. */
  readonly #over = new AbortController()
  readonly #listeners = new Set<(deadline: Deadline) => void>()
  #sent: Moment
  #nextRenewalAt: number
  #failing = false
  #timer: Timer | undefined
  #released: Promise<LeaseAnswer | Refusal> | undefined

  constructor(options: HoldOptions) {
    this.#options = options
    this.#sent = options.sent
    this.#nextRenewalAt = options.sent.mono + (options.timing?.renewMs ?? Infinity)
    this.#tick()
  }

  get limits(): Deadline | undefined {
    const { timing } = this.#options
    return timing === undefined ? undefined : deadlineOf(this.#sent, timing)
  }

  get stopping(): AbortSignal {
    return this.#stopping.signal
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  isHeld(): boolean {
    this.#check()
    return !this.#over.signal.aborted && !this.#lost.signal.aborted
  }

  onDeadline(listener: (deadline: Deadline) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** See `Lease.release`. */
  release(outcome: LeaseOutcome, signal?: AbortSignal): Promise<LeaseAnswer | Refusal> {
    this.#end()
    this.#released ??= release({ ...this.#options, outcome, signal })
    return this.#released
  }

  /** See `Lease.abandon`. */
  abandon(): void {
    this.#end()
  }

  #tick(): void {
    this.#check()
    const { clock, timing } = this.#options
    if (this.#over.signal.aborted || timing === undefined) return
    const now = clock.monotonic()
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
    const { clock, timing } = this.#options
    if (this.#over.signal.aborted || timing === undefined) return
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
    attempt({ clock, boundMs, signal: this.#over.signal }, (s) => api.acquire(provider, body, s)).then(
      (answer) => this.#answered(answer, sent, timing),
      (error: unknown) => this.#failed(error as SignalboxError, timing),
    )
  }

  #answered(answer: LeaseAnswer | Refusal, sent: Moment, timing: LeaseTiming): void {
    // First what has passed already: a supervisor has acted on the old deadline.
    this.#check()
    if (this.#over.signal.aborted) return
    const why = this.#whyLost(answer)
    if (why !== undefined) {
      this.#lose(this.#lostError(why))
      return
    }
    if (sent.mono <= this.#sent.mono) return
    this.#sent = sent
    this.#nextRenewalAt = sent.mono + timing.renewMs
    if (this.#failing) {
      this.#failing = false
      tell(this.#options.onProgress, { type: 'renewed' })
    }
    this.#tick()
    if (!this.#over.signal.aborted) this.#tellDeadline(deadlineOf(sent, timing))
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

  #failed(error: SignalboxError, { leaseMs, marginMs }: LeaseTiming): void {
    if (this.#over.signal.aborted) return
    const { clock, onProgress } = this.#options
    this.#failing = true
    const leftMs = this.#sent.mono + leaseMs - marginMs - clock.monotonic()
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
    this.#stopping.abort(error)
    this.#lost.abort(error)
  }

  #end(): void {
    this.#timer?.cancel()
    this.#over.abort(new SignalboxError('cancelled', 'the hold is over'))
    this.#listeners.clear()
  }

  #lostError(why: string): SignalboxError {
    const { provider, request } = this.#options
    const name = providerLabel(provider)
    return new SignalboxError('lease_lost', `${name}: the lease was lost: ${why}`, {
      details: { provider: name, sha: request.sha },
    })
  }
}
