/**
 * Carries out what the rules decided of an attempt: in its run's record, where it has one, and then with its message.
 *
 * Invariant: the message goes last. What fails before leaves it to be delivered again.
 */
import type { Clock } from '../../kernel/clock.ts'
import { isTransient } from '../../kernel/attempt.ts'
import { toSignalboxError, type SignalboxError } from '../../kernel/error.ts'
import type { MessageQueue } from '../../ports/message-queue.ts'
import type { Json } from '../../ports/store.ts'
import type { Outcome as RunOutcome } from '../../runs/api.ts'
import type { Outcome, WorkerEvent } from '../api.ts'
import { deadLetter } from '../dead-letter.ts'
import { ID_ATTRIBUTE } from '../envelope.ts'
import { textOf } from '../failures.ts'
import type { Disposal } from '../rules.ts'
import type { Attempt } from './attempt.ts'
import type { End, Item } from './feed.ts'

/** How an attempt ended, and what the rules say. */
export interface Ending {
  readonly outcome: Outcome
  readonly disposal: Disposal
  readonly error?: SignalboxError | undefined
  readonly result?: unknown
}

export interface SettleParts {
  readonly engine: MessageQueue
  readonly clock: Clock
  readonly onEvent: ((event: WorkerEvent) => void) | undefined
  readonly count: (outcome: Outcome, tookMs: number) => void
}

/** Whose message it is, as far as it could be read. */
export interface Subject {
  readonly item: Item
  readonly job: string
  readonly id: string
  readonly attempt: number
  /** Monotonic. */
  readonly startedAt: number
}

/** When what the engine or the store refused is tried again. */
const AGAIN_MS = 5_000

/** Never rejects; resolves when the message is settled. */
export function settle(parts: SettleParts, subject: Subject, ending: Ending): Promise<void> | undefined {
  const { disposal } = ending
  if (disposal.verdict === 'dead_letter') return bury(parts, subject, ending)
  done(parts, subject, ending, disposal)
  return undefined
}

function done(parts: SettleParts, subject: Subject, ending: Ending, end: End): void {
  subject.item.feed.end(subject.item, end)
  tell(parts, subject, ending)
}

async function bury(parts: SettleParts, subject: Subject, ending: Ending): Promise<void> {
  const { item, job, id } = subject
  const { disposal, error } = ending
  const { message, feed } = item
  if (disposal.verdict !== 'dead_letter') return
  // Its body has no id of its own, so its effects are those of its message's id.
  const unnamed = id === message.messageId || message.attributes[ID_ATTRIBUTE] !== undefined
  const letter = {
    message,
    queue: feed.queue,
    reason: disposal.reason,
    job,
    id: unnamed ? id : undefined,
    error,
  }
  try {
    if (!item.gone) await deadLetter(parts.engine, feed.dead, letter)
    done(parts, subject, ending, { verdict: 'ack' })
  } catch (thrown) {
    const trouble = toSignalboxError(thrown)
    const what = `a message could not be moved to ${feed.dead}`
    parts.onEvent?.({ type: 'trouble', queue: feed.queue, what, error: trouble })
    // What will not pass costs receives, so that it does not go round for ever: in the end the engine moves it.
    const verdict = isTransient(trouble) ? 'return' : 'retry'
    const again = { verdict, delayMs: AGAIN_MS } as const
    done(parts, subject, { ...ending, disposal: again }, again)
  }
}

/** The same for an attempt that has a run: the record decides about another attempt, the message is its wake-up. Never rejects. */
export async function settleRun(parts: SettleParts, attempt: Attempt, ending: Ending): Promise<void> {
  const { claim, item } = attempt
  const outcome = runOutcome(ending)
  let end: End = { verdict: 'ack' }
  try {
    if (claim !== undefined && outcome !== undefined) {
      const { accepted, retryAfterMs } = await claim.finish(outcome)
      if (retryAfterMs !== undefined) end = { verdict: 'return', delayMs: retryAfterMs }
      if (!accepted) {
        done(parts, attempt, { ...ending, outcome: 'lost', disposal: { verdict: 'nothing' } }, end)
        return
      }
    }
  } catch (thrown) {
    const trouble = toSignalboxError(thrown)
    parts.onEvent?.({
      type: 'trouble',
      queue: item.feed.queue,
      what: 'the end of a run was not kept',
      error: trouble,
    })
    end = { verdict: 'return', delayMs: AGAIN_MS }
  }
  done(parts, attempt, ending, end)
}

/** Undefined: the record knows already. */
function runOutcome({ outcome, disposal, error, result }: Ending): RunOutcome | undefined {
  const again = disposal.verdict === 'retry' ? { retryDelayMs: disposal.delayMs } : {}
  switch (outcome) {
    case 'succeeded':
      return { kind: 'succeeded', ...(result === undefined ? {} : { result: asJson(result) }) }
    case 'timed_out':
      return { kind: 'timed_out', ...again }
    case 'cancelled':
      return { kind: 'cancelled', ...(error === undefined ? {} : { reason: error.message }) }
    case 'returned':
      return { kind: 'returned' }
    case 'failed':
    case 'poison':
      return { kind: 'failed', error: runError(error), ...again }
    case 'lost':
    case 'stale':
    case 'unknown_job':
      return undefined
  }
}

function runError(error: SignalboxError | undefined): { name?: string; message: string; stack?: string } {
  if (error === undefined) return { message: 'failed' }
  const { cause, message } = error
  // What was thrown, where ours only wraps it (`errorOf`); an error of a job's own says more than its cause.
  const thrown = cause instanceof Error && textOf(cause.message) === message ? cause : error
  return {
    name: textOf(thrown.name),
    message,
    ...(thrown.stack === undefined ? {} : { stack: textOf(thrown.stack) }),
  }
}

/** A result that is not JSON is left out. */
function asJson(result: unknown): Json {
  try {
    return JSON.parse(JSON.stringify(result) ?? 'null') as Json
  } catch {
    return null
  }
}

function tell({ clock, count, onEvent }: SettleParts, subject: Subject, ending: Ending): void {
  const { item, job, id, attempt, startedAt } = subject
  const { outcome, disposal, error } = ending
  const tookMs = clock.monotonic() - startedAt
  count(outcome, tookMs)
  onEvent?.({
    type: 'ended',
    queue: item.feed.queue,
    job,
    id,
    attempt,
    outcome,
    tookMs,
    verdict: disposal.verdict,
    ...('delayMs' in disposal ? { delayMs: disposal.delayMs } : {}),
    ...(error === undefined ? {} : { error }),
  })
}
