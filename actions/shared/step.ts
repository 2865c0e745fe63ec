/**
 * How a step of an action begins and ends: signals in, one clear line out.
 *
 * Invariants:
 * - a failure is one annotation and exit code 1, never a stack trace;
 * - a cancelled step ends by itself before the runner kills it: 7.5 s after SIGINT comes SIGTERM, 2.5 s later SIGKILL
 *   (docs.github.com, workflow cancellation reference).
 */
import { setFailed, warning } from '@actions/core'
import { systemClock } from '../../src/kernel/clock.ts'
import { SignalboxError } from '../../src/kernel/error.ts'
import { processSignals } from '../../src/supervisor/signals.ts'
import { say } from './log.ts'

export interface StepWords {
  /** An error as one line in the words of the action's inputs. */
  readonly words: (error: unknown) => string
  /** What becomes of what a cancelled step could not wait for. */
  readonly leftBehind: string
}

const PATIENCE_MS = 6_000
const CANCELLED = 130

/** Runs a step to its end. The signal aborts when the step is cancelled. */
export async function runStep(
  { words, leftBehind }: StepWords,
  body: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  process.on('uncaughtException', (error) => {
    setFailed(words(error))
    process.exit(1)
  })
  const cancelled = new AbortController()
  processSignals(() => {
    if (cancelled.signal.aborted) process.exit(CANCELLED)
    cancelled.abort(new SignalboxError('cancelled', 'the step was cancelled'))
    const leaveIt = (): void => {
      warning(leftBehind)
      process.exit(CANCELLED)
    }
    systemClock.timer(PATIENCE_MS, leaveIt, { unref: true })
  })
  try {
    await body(cancelled.signal)
  } catch (error) {
    if (!cancelled.signal.aborted) setFailed(words(error))
    else say(error === cancelled.signal.reason ? 'cancelled' : `cancelled: ${words(error)}`)
  }
  if (cancelled.signal.aborted) process.exitCode = CANCELLED
}
