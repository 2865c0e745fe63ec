/**
 * Asking, waiting and withdrawing of one request; the states and invariants are in `../session.ts`.
 */
import { attempt, isTransient } from '../../kernel/attempt.ts'
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep, type Timer } from '../../kernel/clock.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { isSignalboxError, SignalboxError, toSignalboxError } from '../../kernel/error.ts'
import { providerLabel, type LeaseAnswer, type Refusal } from '../api.ts'
import type { Lease, OpenedLease, OpenLeaseOptions } from '../session.ts'
import { isUsable, momentOf, shortened, type LeaseTiming, type Moment } from './deadline.ts'
import { isForeign404, isStrangeSuccess } from './foreign.ts'
import { Hold } from './hold.ts'
import { tell } from './progress.ts'

/** What servers get that do not say when they want to be asked again. */
const DEFAULT_POLL_MS = 5_000
/** Asked sooner, a server gains nothing; asked later, it may forget the request. */
const POLL_LIMITS = { leastMs: 500, mostMs: 30_000 }
/** So that the groups of one queue do not ask all at once. */
const JITTER = 0.1
const ANSWER_MS = 15_000
const FIRST_ANSWER_MS = 5_000
const WITHDRAW_MS = 3_000
const RETRY_BACKOFF = { baseMs: 500, maxMs: 5_000 }
const WITHDRAW_BACKOFF = { baseMs: 100, maxMs: 1_000 }

interface Answered {
  readonly answer: LeaseAnswer | Refusal
  readonly sent: Moment
}

/** One call of `openLease`. */
export class Request {
  readonly #options: OpenLeaseOptions
  #timing: LeaseTiming | undefined
  readonly #startedAt: number
  /** Aborted to end the waiting. */
  readonly #ending = new AbortController()
  #waitTimer: Timer | undefined
  /** Does the server know this request? */
  #known: 'no' | 'maybe' | 'yes' = 'no'
  #reached = false
  #failing: { readonly since: number; readonly error: SignalboxError } | undefined

  constructor(options: OpenLeaseOptions, timing: LeaseTiming | undefined) {
    this.#options = options
    this.#timing = timing
    this.#startedAt = options.clock.monotonic()
  }

  async open(): Promise<OpenedLease> {
    const { signal, waitTimeoutMs, onProgress } = this.#options
    const onAbort = (): void => this.#ending.abort(this.#cancelled(signal?.reason))
    if (signal?.aborted === true) onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    // The first call gets time to be answered, however short the wait may be.
    if (waitTimeoutMs !== undefined) this.#endAfter(Math.max(waitTimeoutMs, FIRST_ANSWER_MS))
    try {
      this.#ending.signal.throwIfAborted()
      const { answer, sent } = await this.#wait()
      if (answer.status === 'completed') {
        tell(onProgress, { type: 'completed' })
        return { status: 'completed', answer }
      }
      // From here to the return nothing is awaited: a lease exists only in the hands of the caller.
      this.#ending.signal.throwIfAborted()
      tell(onProgress, { type: 'acquired', fence: answer.fence, stacked: answer.stacked ?? [] })
      return { status: 'acquired', lease: this.#hold(answer, sent), answer }
    } catch (error) {
      await this.#withdraw()
      throw toSignalboxError(error)
    } finally {
      this.#waitTimer?.cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Until the answer is `acquired`, recently enough to work with, or `completed`. */
  async #wait(): Promise<{ readonly answer: LeaseAnswer; readonly sent: Moment }> {
    const { clock, waitTimeoutMs, onProgress } = this.#options
    for (let first = true; ; first = false) {
      const { answer, sent } = await this.#ask()
      if (answer.kind === 'lease' && answer.status === 'completed') return { answer, sent }
      if (answer.kind === 'lease' && answer.status === 'acquired') {
        this.#adopt(answer)
        if (this.#timing === undefined || isUsable(sent, this.#timing, clock)) return { answer, sent }
        continue // The repeat renews it.
      }
      if (first && waitTimeoutMs !== undefined) {
        this.#endAfter(waitTimeoutMs - (clock.monotonic() - this.#startedAt))
      }
      const nextMs = this.#pause(answer.retryAfterMs)
      const admitted = answer.kind === 'lease'
      tell(onProgress, { type: 'waiting', admitted, reason: answer.reason, nextMs })
      await sleep(clock, nextMs, this.#ending.signal)
    }
  }

  /** A server that says nothing of an expiry knows no renewal, and would refuse it; one may also grant less. */
  #adopt({ expiresAt, leaseMs }: LeaseAnswer): void {
    if (this.#timing === undefined) return
    if (expiresAt === undefined) this.#timing = undefined
    else if (leaseMs !== undefined) this.#timing = shortened(this.#timing, leaseMs)
  }

  #pause(retryAfterMs = DEFAULT_POLL_MS): number {
    const { leastMs, mostMs } = POLL_LIMITS
    const wanted = Math.min(mostMs, Math.max(leastMs, retryAfterMs))
    return Math.round(wanted * (1 + JITTER * this.#options.random.next()))
  }

  /** Repeats the call until it is answered or refused for good. */
  async #ask(): Promise<Answered> {
    const { api, clock, random, provider, request } = this.#options
    const { signal } = this.#ending
    for (let n = 0; ; n++) {
      const sent = momentOf(clock)
      const before = this.#known
      if (before === 'no') this.#known = 'maybe'
      try {
        const answer = await attempt({ clock, boundMs: ANSWER_MS, signal }, (s) =>
          api.acquire(provider, request, s),
        )
        this.#known = answer.kind === 'refused' || answer.status === 'completed' ? 'no' : 'yes'
        this.#succeeded()
        return { answer, sent }
      } catch (error) {
        if (error !== signal.reason && wasNotApplied(error)) this.#known = before
        signal.throwIfAborted()
        if (!this.#mayPass(error)) throw error
        this.#failed(error)
        const asked = Math.min(POLL_LIMITS.mostMs, Number(error.details['retryAfterMs'] ?? 0))
        await sleep(clock, Math.max(asked, backoffDelay(RETRY_BACKOFF, n, random)), signal)
      }
    }
  }

  #mayPass(error: unknown): error is SignalboxError {
    return isTransient(error) || (isForeign404(error) && this.#reached)
  }

  #succeeded(): void {
    this.#reached = true
    if (this.#failing === undefined) return
    this.#failing = undefined
    tell(this.#options.onProgress, { type: 'reachable' })
  }

  #failed(error: SignalboxError): void {
    const now = this.#options.clock.monotonic()
    const since = this.#failing?.since ?? now
    this.#failing = { since, error }
    tell(this.#options.onProgress, { type: 'unreachable', error, forMs: now - since })
  }

  #hold(answer: LeaseAnswer, sent: Moment): Lease {
    const { api, clock, random, provider, request, onProgress } = this.#options
    const { fence, stacked = [], expiresAt } = answer
    const timing = this.#timing
    const hold = new Hold({ api, clock, random, provider, request, fence, sent, timing, onProgress })
    return {
      provider,
      sha: request.sha,
      fence,
      stacked,
      expiresAt,
      waitedMs: clock.monotonic() - this.#startedAt,
      limits: () => hold.limits,
      stopping: hold.stopping,
      lost: hold.lost,
      isHeld: () => hold.isHeld(),
      onDeadline: (listener) => hold.onDeadline(listener),
      release: (outcome, options) => hold.release(outcome, options?.signal),
      abandon: () => hold.abandon(),
    }
  }

  #endAfter(ms: number): void {
    this.#waitTimer?.cancel()
    if (ms <= 0) this.#ending.abort(this.#timedOut())
    else this.#waitTimer = this.#options.clock.timer(ms, () => this.#ending.abort(this.#timedOut()))
  }

  #timedOut(): SignalboxError {
    const { provider, waitTimeoutMs = 0 } = this.#options
    const what = `${providerLabel(provider)}: the lease did not come within ${formatDuration(waitTimeoutMs)}`
    const error = this.#failing?.error
    const why = error === undefined ? 'wait longer, or look at who holds it' : `last: ${error.message}`
    return new SignalboxError('wait_timeout', `${what}; ${why}`, { cause: error })
  }

  /** Best effort, for a few seconds: a request that cannot be withdrawn is forgotten after the server's ttl. */
  async #withdraw(): Promise<void> {
    if (this.#known === 'no') return
    const { api, clock, random, provider, request, onProgress } = this.#options
    const { sha, ref, priority } = request
    const until = clock.monotonic() + WITHDRAW_MS
    for (let n = 0; ; n++) {
      const boundMs = until - clock.monotonic()
      try {
        await attempt({ clock, boundMs }, (s) =>
          api.release(provider, { sha, ref, priority, success: false }, s),
        )
        return
      } catch (error) {
        const delayMs = backoffDelay(WITHDRAW_BACKOFF, n, random)
        if (!isTransient(error) || clock.monotonic() + delayMs >= until) {
          tell(onProgress, { type: 'withdraw_failed', error: toSignalboxError(error) })
          return
        }
        await sleep(clock, delayMs)
      }
    }
  }

  #cancelled(reason: unknown): SignalboxError {
    if (isSignalboxError(reason)) return reason
    const what = `${providerLabel(this.#options.provider)}: given up while waiting for the lease`
    return new SignalboxError('cancelled', what, { cause: reason })
  }
}

/** Is it certain that a request with this outcome left nothing behind? */
function wasNotApplied(error: unknown): boolean {
  return (
    isSignalboxError(error) &&
    !isStrangeSuccess(error) &&
    error.code !== 'outcome_unknown' &&
    error.code !== 'internal' &&
    error.code !== 'cancelled'
  )
}
