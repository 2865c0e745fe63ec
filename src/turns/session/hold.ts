/**
 * A held turn: beats from the grant on, knows until when it may be relied on, and says so.
 *
 * Invariants:
 * - the deadline only moves forward, and only by an acknowledged call, counted from its sending (`deadline.ts`);
 * - `stopping` aborts at the latest one stop grace before the deadline, `lost` at it, at once when the server says so
 *   or when the machine turns out to have been suspended; both stay aborted, whatever is acknowledged later;
 * - beats overlap rather than queue: one that hangs delays no other;
 * - no beat is sent once `release` or `abandon` was called, and none counts.
 */
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep, type Clock, type Timer } from '../../kernel/clock.ts'
import type { Deadline } from '../../kernel/deadline.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { isSignalboxError, SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import type { LeaveView, TurnsApi } from '../api.ts'
import { attempt, isTransient } from '../../kernel/attempt.ts'
import {
  deadlineOf,
  momentOf,
  proofOf,
  suspendedMs,
  type HoldTiming,
  type Moment,
  type Proof,
} from './deadline.ts'
import { tell, type ProgressListener } from './progress.ts'

export interface HoldOptions {
  readonly api: TurnsApi
  readonly clock: Clock
  readonly random: Random
  readonly queue: string
  readonly id: string
  readonly fence: number
  readonly timing: HoldTiming
  readonly proof: Proof
  readonly onProgress?: ProgressListener | undefined
}

const MAX_TICK_MS = 1_000
const LEAVE_ATTEMPT_MS = 5_000
const LEAVE_BACKOFF = { baseMs: 100, maxMs: 1_000 }

export class Hold {
  readonly #options: HoldOptions
  readonly #stopping = new AbortController()
  readonly #lost = new AbortController()
  /** Aborted when the hold is over: ends the beats under way. */
  readonly #over = new AbortController()
  readonly #listeners = new Set<(deadline: Deadline) => void>()
  #proof: Proof
  #nextBeatAt: number
  #failing = false
  #timer: Timer | undefined
  #released: Promise<LeaveView['outcome']> | undefined

  constructor(options: HoldOptions) {
    this.#options = options
    this.#proof = options.proof
    this.#nextBeatAt = options.proof.base + options.timing.beatMs
    this.#tick()
  }

  /** Until when the turn may be relied on, on both clocks. */
  get limits(): Deadline {
    return deadlineOf(this.#proof, this.#options.timing)
  }

  get stopping(): AbortSignal {
    return this.#stopping.signal
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Looks at the clocks now, for callers whose event loop may have been blocked. False once released. */
  isHeld(): boolean {
    this.#check()
    return !this.#over.signal.aborted && !this.#lost.signal.aborted
  }

  /** @returns a function that removes the listener */
  onDeadline(listener: (deadline: Deadline) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** See `Turn.release`. */
  release(signal?: AbortSignal): Promise<LeaveView['outcome']> {
    this.#released ??= this.#leave(signal)
    return this.#released
  }

  /** See `Turn.abandon`. */
  abandon(): void {
    this.#end()
  }

  async #leave(signal: AbortSignal | undefined): Promise<LeaveView['outcome']> {
    this.#end()
    const { api, clock, random, queue, id, fence, timing } = this.#options
    const goneAt = this.#proof.base + timing.ttlMs
    const bounds = { clock, boundMs: LEAVE_ATTEMPT_MS, ...(signal === undefined ? {} : { signal }) }
    for (let n = 0; ; n++) {
      try {
        return (await attempt(bounds, (s) => api.leave(queue, id, fence, s))).outcome
      } catch (error) {
        if (isSignalboxError(error, 'turn_lost') || isSignalboxError(error, 'not_found')) return 'gone'
        if (!isTransient(error)) throw error
        if (clock.monotonic() >= goneAt) return 'gone'
        tell(this.#options.onProgress, { type: 'leave_failed', error })
        await sleep(clock, backoffDelay(LEAVE_BACKOFF, n, random), signal)
      }
    }
  }

  #tick(): void {
    this.#check()
    if (this.#over.signal.aborted) return
    const now = this.#options.clock.monotonic()
    if (now >= this.#nextBeatAt) this.#beat()
    this.#arm(now)
  }

  #arm(now: number): void {
    const { clock, timing } = this.#options
    const { at } = this.limits
    const stopAt = this.#stopping.signal.aborted ? at : at - timing.stopGraceMs
    const next = Math.min(now + MAX_TICK_MS, this.#nextBeatAt, stopAt, at)
    this.#timer?.cancel()
    this.#timer = clock.timer(Math.max(0, next - now), () => this.#tick())
  }

  /** Draws the consequences of what the clocks say. */
  #check(): void {
    if (this.#over.signal.aborted) return
    const { clock, timing } = this.#options
    const { at } = this.limits
    const now = clock.monotonic()
    const slept = suspendedMs(this.#proof, timing, clock)
    if (slept !== undefined) {
      this.#lose(
        this.#lostError(`the machine was suspended, or its clock set forward, for ${formatDuration(slept)}`),
      )
    } else if (now >= at) {
      this.#lose(this.#lostError(`no beat was acknowledged for ${formatDuration(now - this.#proof.base)}`))
    } else if (now >= at - timing.stopGraceMs) {
      this.#stopping.abort(
        this.#lostError(`no beat was acknowledged for ${formatDuration(now - this.#proof.base)}`),
      )
    }
  }

  #beat(): void {
    const { api, clock, queue, id, fence, timing } = this.#options
    const sent = momentOf(clock)
    this.#nextBeatAt = sent.mono + timing.retryMs
    const bounds = { clock, boundMs: timing.beatMs, signal: this.#over.signal }
    attempt(bounds, (s) => api.beat(queue, id, fence, s)).then(
      () => this.#acknowledged(sent),
      (error: unknown) => this.#refused(error as SignalboxError),
    )
  }

  #acknowledged(sent: Moment): void {
    // First what has passed already: a supervisor has acted on the old deadline.
    this.#check()
    if (this.#over.signal.aborted || sent.mono <= this.#proof.base) return
    const { clock, timing, onProgress } = this.#options
    this.#proof = proofOf(sent, 0, clock.monotonic())
    this.#nextBeatAt = sent.mono + timing.beatMs
    if (this.#failing) {
      this.#failing = false
      tell(onProgress, { type: 'beat_restored' })
    }
    this.#tick()
    if (this.#over.signal.aborted) return
    for (const listener of this.#listeners) {
      try {
        listener(this.limits)
      } catch {
        // Reporting must not decide whether a turn is kept.
      }
    }
  }

  #refused(error: SignalboxError): void {
    if (this.#over.signal.aborted) return
    if (error.code === 'turn_lost' || error.code === 'not_found') {
      this.#lose(this.#lostError(error.message, error))
      return
    }
    const { clock, onProgress } = this.#options
    this.#failing = true
    tell(onProgress, { type: 'beat_failed', error, leftMs: this.limits.at - clock.monotonic() })
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

  #lostError(why: string, cause?: unknown): SignalboxError {
    const { queue, fence } = this.#options
    return new SignalboxError('turn_lost', `${queue}: the turn was lost: ${why}`, {
      cause,
      details: { queue, fence },
    })
  }
}
