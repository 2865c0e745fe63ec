/** How a command's end becomes an exit code, as a shell would have it. */
import { constants } from 'node:os'
import { SignalboxError } from '../kernel/error.ts'
import type { Outcome } from './supervise.ts'

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'not found; check its name and PATH, and the program that its first line (#!) names',
  EACCES: 'not executable; check its permissions (chmod +x)',
  E2BIG: 'cannot be started; its arguments and environment are too long together',
}

/** 127 for a command that is not there, 126 for one that cannot be executed. */
export function startFailure(
  command: string,
  errno: string,
): { readonly error: SignalboxError; readonly exitCode: 126 | 127 } {
  const why = REASONS[errno] ?? `cannot be started (${errno})`
  return {
    error: new SignalboxError('command_failed', `command '${command}': ${why}`, { details: { errno } }),
    exitCode: errno === 'ENOENT' ? 127 : 126,
  }
}

/** @throws SignalboxError `internal` when it is not known how the command ended */
export function exitCodeOfCommand(outcome: Outcome & { type: 'ended' }, command: string): number {
  if (outcome.code !== null) return outcome.code
  if (outcome.signal !== null) return 128 + constants.signals[outcome.signal]
  throw new SignalboxError(
    'internal',
    `command '${command}': its supervisor was killed, so the command was stopped; how it ended is not known`,
  )
}
