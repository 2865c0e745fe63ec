/**
 * The library call: run a function while holding a turn.
 *
 * Invariants: the function starts only while the turn is held; the turn is released when it has settled, also when it threw;
 * the promise settles after both, so nothing of it runs on unseen; if the turn was lost on the way, the result does not
 * count and the promise rejects, whatever the function returned.
 */
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import { openTurn, type OpenTurnOptions, type Turn } from './session.ts'
import { tell } from './session/progress.ts'

/** What the function gets. */
export interface TurnContext {
  readonly queue: string
  readonly ticket: number
  /** Hand it to the resource that the turn protects, so that it can refuse an older one. */
  readonly fence: number
  /** Aborts when the turn is about to be lost (reason: `turn_lost`) or the caller's own signal does. Stop then. */
  readonly signal: AbortSignal
}

/**
 * Joins `options.queue`, waits for the turn, runs `work`, releases.
 *
 * @throws what `openTurn` throws; what `work` throws; `turn_lost` if the turn was lost before `work` settled (its own
 *   error, if any, is the cause)
 * @example
 * await runTurn({ api, clock, random, queue: 'deploy' }, async ({ fence, signal }) => {
 *   await deploy({ fence, signal })
 * })
 */
export async function runTurn<T>(
  options: OpenTurnOptions,
  work: (context: TurnContext) => Promise<T> | T,
): Promise<T> {
  const turn = await openTurn(options)
  const { queue, ticket, fence } = turn
  const signals = options.signal === undefined ? [turn.stopping] : [turn.stopping, options.signal]
  try {
    const result = await work({ queue, ticket, fence, signal: AbortSignal.any(signals) })
    if (!turn.isHeld()) throw lostWith(turn)
    return result
  } catch (error) {
    throw turn.isHeld() ? error : lostWith(turn, error)
  } finally {
    await release(turn, options)
  }
}

function lostWith(turn: Turn, cause?: unknown): SignalboxError {
  const reason: unknown = turn.lost.reason
  if (cause === undefined || cause === reason || isSignalboxError(cause, 'turn_lost'))
    return reason as SignalboxError
  const { message, details } = reason as SignalboxError
  return new SignalboxError('turn_lost', message, { cause, details })
}

/** The work is done: that its release could not be told is reported, not thrown; the hold lapses by itself. */
async function release(turn: Turn, { onProgress }: OpenTurnOptions): Promise<void> {
  try {
    await turn.release()
  } catch (error) {
    if (isSignalboxError(error)) tell(onProgress, { type: 'leave_failed', error })
  }
}
