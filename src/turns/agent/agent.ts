/**
 * One agent: it joins a queue at once, waits, holds the turn, and leaves when it is asked to, when the longest hold has
 * passed, when the process it works for has ended, or because the turn is lost.
 *
 * Invariants:
 * - `ended` settles once, and only when the place is gone: acknowledged by the server, or lapsed after the hold TTL without
 *   a word from it (`unconfirmed`);
 * - `isFront` is true only while the turn is held by its own deadline; who follows it hears `false` before the place is given up;
 * - the agent ends with the turn: it never joins a second time, for the work that the turn protected cannot be stopped from here.
 */
import type { Clock } from '../../kernel/clock.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { toSignalboxError, SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import type { TurnsApi } from '../api.ts'
import { openTurn, type OpenTurnOptions, type Turn, type TurnProgress } from '../session.ts'
import { tell, type ProgressListener } from '../session/progress.ts'
import { insistOnLeaving, watchPlace, type Place } from './place.ts'
import type { AgentEnd, AgentProgress } from './state.ts'

export interface AgentOptions extends Pick<OpenTurnOptions, 'permits' | 'priority' | 'labels'> {
  readonly api: TurnsApi
  readonly clock: Clock
  readonly random: Random
  readonly queue: string
  readonly ttlMs: number
  readonly stopGraceMs: number
  /** From the grant on. */
  readonly maxHoldMs: number
  /** Asked once a second: is the process that the turn is held for still there? */
  readonly isWanted?: (() => boolean) | undefined
  /** Each change of what others may see. */
  readonly onChange: (progress: AgentProgress) => void
  readonly onProgress?: ProgressListener | undefined
}

type Wish = Exclude<AgentEnd['why'], 'lost' | 'failed'>

const LOOK_MS = 1_000

export class Agent {
  readonly #options: AgentOptions
  readonly #place: Place
  readonly #asked = new AbortController()
  readonly #joined = Promise.withResolvers<void>()
  readonly #listeners = new Set<(isFront: boolean) => void>()
  readonly ended: Promise<AgentEnd>
  #wish: Wish | undefined
  #turn: Turn | undefined
  #front = false
  /** The session could not tell the server that it leaves. */
  #leaveFailed = false
  #progress: AgentProgress = { state: 'joining' }

  constructor(options: AgentOptions) {
    this.#options = options
    this.#place = watchPlace(options.api)
    this.#joined.promise.catch(() => undefined)
    this.#look()
    this.ended = this.#live()
  }

  /** Settles when the server has given it a place. @throws what kept it from joining */
  get joined(): Promise<void> {
    return this.#joined.promise
  }

  /** Is the turn held now, by its own deadline? */
  isFront(): boolean {
    return this.#front && this.#turn?.isHeld() === true
  }

  /** Calls `listener` at each change of `isFront`. @returns a function that removes it */
  onFront(listener: (isFront: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Leaves the queue; may be called again. @returns when the place is gone */
  stop(): Promise<AgentEnd> {
    this.#end('asked')
    return this.ended
  }

  #end(wish: Wish): void {
    this.#wish ??= wish
    this.#asked.abort(new SignalboxError('cancelled', 'the agent was told to stop'))
  }

  async #live(): Promise<AgentEnd> {
    const { queue, clock, random, ttlMs } = this.#options
    let turn: Turn
    try {
      turn = await openTurn({
        ...this.#options,
        api: this.#place.api,
        signal: this.#asked.signal,
        onProgress: (event) => this.#hear(event),
      })
    } catch (error) {
      this.#joined.reject(error)
      this.#change({ state: 'stopping' })
      if (this.#leaveFailed) await insistOnLeaving(this.#place, { queue, clock, random, forMs: ttlMs })
      const failure = toSignalboxError(error)
      const why = this.#wish ?? (failure.code === 'turn_lost' ? 'lost' : 'failed')
      return this.#ending(why, failure)
    }
    this.#turn = turn
    this.#granted(turn)
    const limit = clock.timer(this.#options.maxHoldMs, () => this.#end('max_hold'))
    await aborted(AbortSignal.any([this.#asked.signal, turn.lost]))
    limit.cancel()
    this.#setFront(false)
    if (turn.lost.aborted) return this.#ending('lost', toSignalboxError(turn.lost.reason))
    this.#change({ state: 'stopping', heldUntil: undefined })
    try {
      await turn.release()
    } catch (error) {
      this.#leaveFailed = true
      tell(this.#options.onProgress, { type: 'leave_failed', error: toSignalboxError(error) })
    }
    return this.#ending(this.#wish ?? 'asked')
  }

  #hear(event: TurnProgress): void {
    const { clock, onProgress } = this.#options
    tell(onProgress, event)
    if (event.type === 'leave_failed') this.#leaveFailed = true
    if (event.type === 'waiting') {
      const { view } = event
      const { id, ticket } = view
      const viewAt = clock.monotonic()
      if (this.#wish === undefined) this.#change({ state: 'waiting', member: id, ticket, view, viewAt })
      this.#joined.resolve()
    } else if (event.type === 'unreachable' || event.type === 'beat_failed') {
      const since = this.#progress.trouble?.since ?? clock.monotonic()
      this.#change({ trouble: { message: event.error.message, since } })
    } else if (this.#progress.trouble !== undefined && event.type !== 'leave_failed') {
      this.#change({ trouble: undefined })
    }
  }

  #granted(turn: Turn): void {
    const { id: member, ticket, fence, waitedMs, positionAtJoin } = turn
    const heldUntil = turn.limits()
    this.#change({
      state: 'holding',
      member,
      ticket,
      fence,
      waitedMs,
      positionAtJoin,
      heldUntil,
      view: undefined,
      viewAt: undefined,
      trouble: undefined,
    })
    this.#setFront(true)
    this.#joined.resolve()
    turn.onDeadline((heldUntil) => this.#change({ heldUntil }))
  }

  #ending(why: AgentEnd['why'], error?: SignalboxError): AgentEnd {
    const { queue, ttlMs, maxHoldMs } = this.#options
    const left = this.#place.left() ?? (this.#leaveFailed ? 'unconfirmed' : 'gone')
    const messages = {
      asked: `${queue}: left the queue`,
      max_hold: `${queue}: the turn was given back: it was held for ${formatDuration(maxHoldMs)} (--max-hold)`,
      process_gone: `${queue}: left the queue: the process it was held for has ended`,
      lost: error?.message ?? `${queue}: the turn was lost`,
      failed: error?.message ?? `${queue}: the agent failed`,
    }
    const lapse = `; the server could not be told, the place lapses within ${formatDuration(ttlMs)}`
    return { why, place: left, message: messages[why] + (left === 'unconfirmed' ? lapse : '') }
  }

  #change(change: Partial<AgentProgress>): void {
    this.#progress = { ...this.#progress, ...change }
    this.#options.onChange(this.#progress)
  }

  #setFront(isFront: boolean): void {
    this.#front = isFront
    for (const listener of this.#listeners) listener(isFront)
  }

  /** Goes on until somebody wishes the end. */
  #look(): void {
    const { isWanted, clock } = this.#options
    if (isWanted === undefined || this.#asked.signal.aborted) return
    if (isWanted()) clock.timer(LOOK_MS, () => this.#look(), { unref: true })
    else this.#end('process_gone')
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done()
    else signal.addEventListener('abort', () => done(), { once: true })
  })
}
