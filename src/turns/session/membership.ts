/**
 * Joining, waiting and leaving of one member; the states and invariants are in `../session.ts`.
 */
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep, type Timer } from '../../kernel/clock.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { isSignalboxError, SignalboxError, toSignalboxError } from '../../kernel/error.ts'
import type { JoinRequest, MemberView } from '../api.ts'
import type { OpenTurnOptions, Turn } from '../session.ts'
import { attempt, isTransient } from '../../kernel/attempt.ts'
import {
  holdTiming,
  isUsable,
  momentOf,
  proofOf,
  type HoldTiming,
  type Moment,
  type Proof,
} from './deadline.ts'
import { Hold } from './hold.ts'
import { tell } from './progress.ts'

const DEFAULT_CONNECT_TIMEOUT_MS = 5_000
/** What a call may take beyond the time it asks the server to wait. */
const ANSWER_MS = 10_000
const LEAVE_MS = 3_000
const LONGEST_WAIT_MS = 120_000
const RETRY_BACKOFF = { baseMs: 100, maxMs: 2_000 }
/** An answer sooner than this that says nothing new is a server that does not wait: ask it less often. */
const PROMPT_MS = 20
const PROMPT_BACKOFF = { baseMs: 20, maxMs: 1_000 }

/** A call's answer with what a deadline needs. */
interface Answered<T> {
  readonly value: T
  readonly sent: Moment
  readonly receivedAt: number
}

/** One call of `openTurn`. */
export class Membership {
  readonly #options: OpenTurnOptions
  #timing: HoldTiming
  readonly #id: string
  readonly #startedAt: number
  /** Aborted to end the joining and waiting. */
  readonly #ending = new AbortController()
  #waitTimer: Timer | undefined
  #joined: 'no' | 'maybe' | 'yes' = 'no'
  #failingSince: number | undefined

  constructor(options: OpenTurnOptions, timing: HoldTiming) {
    this.#options = options
    this.#timing = timing
    this.#id = options.random.id()
    this.#startedAt = options.clock.monotonic()
  }

  async open(): Promise<Turn> {
    const { signal, waitTimeoutMs, connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS } = this.#options
    const onAbort = (): void => this.#ending.abort(cancelled(signal?.reason))
    if (signal?.aborted === true) onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    // The join itself gets time to be answered, however short the wait may be.
    if (waitTimeoutMs !== undefined) this.#endAfter(Math.max(waitTimeoutMs, connectTimeoutMs))
    try {
      this.#ending.signal.throwIfAborted()
      const joined = await this.#join()
      const granted = await this.#wait(joined)
      const proof = await this.#confirm(granted)
      // From here to the return nothing is awaited: a hold exists only in the hands of the caller.
      this.#ending.signal.throwIfAborted()
      return this.#hold(granted.value, proof, joined.value.position)
    } catch (error) {
      await this.#leave()
      throw toSignalboxError(error)
    } finally {
      this.#waitTimer?.cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async #join(): Promise<Answered<MemberView>> {
    const { api, queue, permits, priority, labels } = this.#options
    const request: JoinRequest = {
      id: this.#id,
      ttlMs: this.#timing.ttlMs,
      ...(permits === undefined ? {} : { permits }),
      ...(priority === undefined ? {} : { priority }),
      ...(labels === undefined ? {} : { labels: { ...labels } }),
    }
    const answer = await this.#persist(ANSWER_MS, (signal) => api.join(queue, request, signal))
    this.#joined = 'yes'
    const { ttlMs } = answer.value
    if (ttlMs < this.#timing.ttlMs) this.#timing = holdTiming(ttlMs, this.#timing.stopGraceMs)
    return answer
  }

  /** Until the turn is granted. */
  async #wait(joined: Answered<MemberView>): Promise<Answered<MemberView>> {
    const { api, clock, random, queue, waitTimeoutMs, onProgress } = this.#options
    let answer = joined
    let prompt = 0
    if (waitTimeoutMs !== undefined && answer.value.state === 'waiting') {
      this.#endAfter(waitTimeoutMs - (clock.monotonic() - this.#startedAt))
    }
    while (answer.value.state === 'waiting') {
      const { position, pollMs } = answer.value
      tell(onProgress, { type: 'waiting', view: answer.value })
      this.#ending.signal.throwIfAborted()
      const waitMs = Math.min(LONGEST_WAIT_MS, Math.max(0, Math.floor(pollMs)))
      const request = { waitMs, seenPosition: position }
      answer = await this.#persist(waitMs + ANSWER_MS, (s) => api.wait(queue, this.#id, request, s))
      const news = answer.value.state !== 'waiting' || answer.value.position !== position
      prompt = news || answer.receivedAt - answer.sent.mono >= PROMPT_MS ? 0 : prompt + 1
      if (prompt > 0) await sleep(clock, backoffDelay(PROMPT_BACKOFF, prompt, random), this.#ending.signal)
    }
    return answer
  }

  /** From when the grant counts; a beat confirms one whose proof is too old to work with. */
  async #confirm({ value: view, sent, receivedAt }: Answered<MemberView>): Promise<Proof> {
    const { api, clock, queue } = this.#options
    const { fence } = view
    if (view.state !== 'holding') throw removed(queue, view.state)
    if (fence === undefined) throw new SignalboxError('internal', `${queue}: a grant came without a fence`)
    let proof = proofOf(sent, view.elapsedMs, receivedAt)
    while (!isUsable(proof, this.#timing, clock)) {
      const beat = await this.#persist(this.#timing.beatMs, (s) => api.beat(queue, this.#id, fence, s))
      proof = proofOf(beat.sent, 0, beat.receivedAt)
    }
    return proof
  }

  #hold({ ticket, fence = 0 }: MemberView, proof: Proof, positionAtJoin: number): Turn {
    const { api, clock, random, queue, onProgress } = this.#options
    const id = this.#id
    const hold = new Hold({ api, clock, random, queue, id, fence, timing: this.#timing, proof, onProgress })
    return {
      id,
      queue,
      ticket,
      fence,
      waitedMs: clock.monotonic() - this.#startedAt,
      positionAtJoin,
      deadline: () => hold.limits.at,
      limits: () => hold.limits,
      stopping: hold.stopping,
      lost: hold.lost,
      isHeld: () => hold.isHeld(),
      onDeadline: (listener) => hold.onDeadline(listener),
      release: (options) => hold.release(options?.signal),
      abandon: () => hold.abandon(),
    }
  }

  /** Repeats a call until it is answered or refused. */
  async #persist<T>(boundMs: number, call: (signal: AbortSignal) => Promise<T>): Promise<Answered<T>> {
    const { clock, random } = this.#options
    for (let n = 0; ; n++) {
      const sent = momentOf(clock)
      const before = this.#joined
      if (before === 'no') this.#joined = 'maybe'
      try {
        const value = await attempt({ clock, boundMs, signal: this.#ending.signal }, call)
        this.#succeeded()
        return { value, sent, receivedAt: clock.monotonic() }
      } catch (error) {
        if (error !== this.#ending.signal.reason && wasNotApplied(error)) this.#joined = before
        this.#ending.signal.throwIfAborted()
        if (!isTransient(error)) throw error
        this.#failed(error)
        await sleep(clock, backoffDelay(RETRY_BACKOFF, n, random), this.#ending.signal)
      }
    }
  }

  #succeeded(): void {
    if (this.#failingSince === undefined) return
    this.#failingSince = undefined
    tell(this.#options.onProgress, { type: 'reachable' })
  }

  #failed(error: SignalboxError): void {
    const { clock, connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS, onProgress } = this.#options
    const now = clock.monotonic()
    if (this.#joined === 'no' && error.code === 'unavailable' && now - this.#startedAt >= connectTimeoutMs) {
      throw error
    }
    this.#failingSince ??= now
    tell(onProgress, { type: 'unreachable', error, forMs: now - this.#failingSince })
  }

  #endAfter(ms: number): void {
    const { clock, queue, waitTimeoutMs = ms } = this.#options
    this.#waitTimer?.cancel()
    const end = (): void =>
      this.#ending.abort(
        new SignalboxError(
          'wait_timeout',
          `${queue}: the turn did not come within ${formatDuration(waitTimeoutMs)}; wait longer, or look at who holds it`,
        ),
      )
    if (ms <= 0) end()
    else this.#waitTimer = clock.timer(ms, end)
  }

  /** Best effort, for a few seconds: what cannot be told lapses after the TTL. */
  async #leave(): Promise<void> {
    if (this.#joined === 'no') return
    const { api, clock, random, queue, onProgress } = this.#options
    const until = clock.monotonic() + LEAVE_MS
    for (let n = 0; ; n++) {
      const leftMs = until - clock.monotonic()
      try {
        await attempt({ clock, boundMs: leftMs }, (s) => api.leave(queue, this.#id, undefined, s))
        return
      } catch (error) {
        const delayMs = backoffDelay(RETRY_BACKOFF, n, random)
        if (!isTransient(error) || clock.monotonic() + delayMs >= until) {
          tell(onProgress, { type: 'leave_failed', error: toSignalboxError(error) })
          return
        }
        await sleep(clock, delayMs)
      }
    }
  }
}

/** Is it certain that a join with this outcome left nothing behind? */
function wasNotApplied(error: unknown): boolean {
  return (
    isSignalboxError(error) &&
    error.code !== 'outcome_unknown' &&
    error.code !== 'internal' &&
    error.code !== 'cancelled'
  )
}

function cancelled(reason: unknown): SignalboxError {
  if (isSignalboxError(reason)) return reason
  return new SignalboxError('cancelled', 'given up while waiting for the turn', { cause: reason })
}

function removed(queue: string, state: MemberView['state']): SignalboxError {
  const why = state === 'left' ? 'this member was removed from the queue' : 'this member was evicted'
  return new SignalboxError('turn_lost', `${queue}: ${why} before it could start; join again`)
}
