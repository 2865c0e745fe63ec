/** What `turn agent start` was asked for, checked before any process is started. */
import { wholeNumber } from '../../../cli/inputs.ts'
import type { ConnectOptions } from '../../../cli/context.ts'
import { parseDuration } from '../../../kernel/duration.ts'
import { SignalboxError } from '../../../kernel/error.ts'
import { githubWorkerAbove, markOf, type ProcessMark } from '../../agent/processes.ts'
import { agentId } from '../../agent/state.ts'
import { memberRequest, type MemberFlags, type MemberRequest } from '../run-request.ts'

type Env = Readonly<Record<string, string | undefined>>

/** As commander gives them. */
export interface StartFlags extends MemberFlags, ConnectOptions {
  readonly port?: string
  readonly maxHold?: string
  readonly onLost?: string
  readonly name?: string
  readonly watchPid?: string
  readonly json?: true
}

export type OnLost = 'cancel-run' | 'warn'

export interface AgentRequest extends MemberRequest {
  readonly port: number | undefined
  readonly maxHoldMs: number
  readonly onLost: OnLost
  readonly name: string | undefined
}

const DEFAULT_MAX_HOLD = '6h'
const LONGEST_HOLD_MS = 7 * 86_400_000

/** @throws SignalboxError `invalid_argument` that names the input and what to write */
export function agentRequest(
  queue: string,
  flags: StartFlags,
  defaults: Readonly<Record<string, string>>,
): AgentRequest {
  return {
    ...memberRequest(queue, flags, defaults),
    port:
      flags.port === undefined ? undefined : wholeNumber(flags.port, { flag: '--port', min: 1, max: 65_535 }),
    maxHoldMs: maxHold(flags.maxHold ?? DEFAULT_MAX_HOLD),
    onLost: onLost(flags.onLost ?? 'warn'),
    name: flags.name === undefined ? undefined : idArgument(flags.name, '--name'),
  }
}

/**
 * The process with whose end the agent ends: the one named, or on GitHub Actions the runner's worker.
 * @throws SignalboxError `invalid_argument`
 */
export function watchedProcess({ watchPid }: StartFlags, env: Env): ProcessMark | undefined {
  if (watchPid === undefined) {
    return env['GITHUB_ACTIONS'] === 'true' ? githubWorkerAbove(process.ppid) : undefined
  }
  const pid = wholeNumber(watchPid, { flag: '--watch-pid', min: 1, max: 999_999_999 })
  const mark = markOf(pid)
  if (mark === undefined) {
    throw invalid('--watch-pid', `--watch-pid: there is no process ${pid}; give one that runs`)
  }
  return mark
}

/** @throws SignalboxError `invalid_argument` */
export function idArgument(text: string, flag: string): string {
  const parsed = agentId.safeParse(text)
  if (parsed.success) return parsed.data
  throw invalid(flag, `${flag}: '${text.slice(0, 40)}' ${parsed.error.issues[0]?.message ?? 'is not a name'}`)
}

function maxHold(text: string): number {
  const ms = parseDuration(text, '--max-hold')
  if (ms >= 1_000 && ms <= LONGEST_HOLD_MS) return ms
  throw invalid('--max-hold', `--max-hold: '${text}' must be from 1s to 7d`)
}

function onLost(text: string): OnLost {
  if (text === 'cancel-run' || text === 'warn') return text
  throw invalid('--on-lost', `--on-lost: '${text.slice(0, 40)}' must be cancel-run or warn`)
}

function invalid(field: string, message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message, { details: { field } })
}
