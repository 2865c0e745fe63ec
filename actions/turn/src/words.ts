/** Messages of the shared code in the words of the action's inputs: `--max-hold` there is `max-hold` here. */
import { SignalboxError, toSignalboxError } from '../../../src/kernel/error.ts'
import type { StepWords } from '../../shared/step.ts'

/** Flags whose input has another name. */
const RENAMED: Readonly<Record<string, string>> = {
  label: 'labels',
  'data-dir': 'SIGNALBOX_DATA_DIR',
  'firestore-database': 'gcp-database',
}

/** One line: what is wrong, which input, what to do. */
export function inputWords(thrown: unknown): string {
  const error = toSignalboxError(thrown)
  const text = error.message
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/^queue: /, 'queue-name: ')
    .replace(/^server URL /, 'url: server URL ')
    .replaceAll(/--([a-z][a-z-]*[a-z])/g, (_, flag: string) => RENAMED[flag] ?? flag)
  return error.code === 'internal' ? `internal error: ${text}; this is a defect, please report it` : text
}

export const stepWords: StepWords = {
  words: inputWords,
  leftBehind: 'the leaving is not confirmed yet; the agent goes on with it as long as this job lasts',
}

/** A failure of the action's own. */
export function refusal(message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message)
}
