/** `turn agent wait`: until an agent of this machine holds its turn. Follows the agent's state file; calls nobody. */
import type { CliContext } from '../../../cli/context.ts'
import { sleep, type Clock } from '../../../kernel/clock.ts'
import { formatDuration, parseDuration } from '../../../kernel/duration.ts'
import { SignalboxError } from '../../../kernel/error.ts'
import { lives, readAgent } from '../../agent/state-files.ts'
import type { AgentState } from '../../agent/state.ts'
import { Reporter } from '../reporter.ts'
import { endedError, killedError, selectAgent, type Selected, type WhichFlags } from './select.ts'
import { agedView, isHolding, publicView } from './text.ts'

export interface WaitFlags extends WhichFlags {
  readonly timeout?: string
  readonly json?: true
}

const LOOK_MS = 100

/** @throws SignalboxError `turn_lost`, `wait_timeout`, `not_found`, `invalid_argument` */
export async function waitForAgent(flags: WaitFlags, context: CliContext): Promise<void> {
  const { clock, stdout, stderr } = context
  const timeoutMs = flags.timeout === undefined ? Infinity : parseDuration(flags.timeout, '--timeout')
  const { folder, agent } = selectAgent(flags, context)
  const { queue } = agent
  const json = flags.json === true
  const reporter = new Reporter({ queue, mode: json ? 'json' : 'lines', stderr, clock })
  try {
    const state = await untilHeld({ folder, agent }, { clock, timeoutMs, reporter })
    reporter.close()
    stdout.write(json ? `${JSON.stringify(publicView(state, clock))}\n` : granted(state))
  } finally {
    reporter.close()
  }
}

export interface WaitOptions {
  readonly clock: Clock
  /** `Infinity`: as long as it takes. */
  readonly timeoutMs: number
  readonly reporter: Pick<Reporter, 'progress'>
  /** Ends the waiting; the agent waits on. */
  readonly signal?: AbortSignal
}

/**
 * Waits until the agent holds its turn; prints nothing but the reporter's lines.
 *
 * @returns what it then published
 * @throws SignalboxError `turn_lost`, `wait_timeout`, `unavailable`; the signal's reason
 */
export async function untilHeld({ folder, agent }: Selected, options: WaitOptions): Promise<AgentState> {
  const { clock, timeoutMs, reporter, signal } = options
  const { queue, id } = agent
  const until = clock.monotonic() + timeoutMs
  for (;;) {
    const state = readAgent(folder, id)
    if (state === undefined) {
      throw new SignalboxError('turn_lost', `${queue}: agent ${id} was stopped while it was waited for`)
    }
    if (state.state === 'ended') throw endedError(state)
    if (!lives(state)) throw killedError(state)
    if (isHolding(state, clock)) return state
    if (clock.monotonic() >= until) throw timedOut(queue, timeoutMs)
    tell(reporter, state, clock)
    await sleep(clock, Math.min(LOOK_MS, until - clock.monotonic()), signal)
  }
}

function tell(reporter: WaitOptions['reporter'], state: AgentState, clock: Clock): void {
  const { trouble } = state
  const view = agedView(state, clock)
  if (trouble !== undefined) {
    const error = new SignalboxError('unavailable', trouble.message)
    reporter.progress({ type: 'unreachable', error, forMs: clock.monotonic() - trouble.since })
  } else if (view !== undefined) reporter.progress({ type: 'waiting', view })
}

function granted({ queue, fence, waitedMs }: AgentState): string {
  return `${queue}: your turn (fence ${fence}, waited ${formatDuration(waitedMs ?? 0)})\n`
}

function timedOut(queue: string, ms: number): SignalboxError {
  const what = `${queue}: the turn did not come within ${formatDuration(ms)}; the agent waits on`
  return new SignalboxError('wait_timeout', `${what}: wait longer, or stop it`)
}
