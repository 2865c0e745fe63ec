/** Messages of the shared code in the words of the action's inputs. */
import { SignalboxError, toSignalboxError } from '../../../src/kernel/error.ts'
import type { StepWords } from '../../shared/step.ts'

/** One line: what is wrong, which input, what to do. */
export function inputWords(thrown: unknown): string {
  const error = toSignalboxError(thrown)
  const text = error.message
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/^authorization: .*/, 'auth: is empty or has a character that no header has; write Bearer …')
    .replace(/^server URL /, 'endpoint: server URL ')
  return error.code === 'internal' ? `internal error: ${text}; this is a defect, please report it` : text
}

export const stepWords: StepWords = {
  words: inputWords,
  leftBehind: 'the server has not confirmed it; a request that only waits is forgotten after its ttl',
}

/** A failure of the action's own. */
export function refusal(message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message)
}
