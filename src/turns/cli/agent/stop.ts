/**
 * `turn agent stop`: makes an agent leave.
 *
 * Invariant: it succeeds only when the server has acknowledged that the place is gone and the agent's process has ended. The
 * agent says so by leaving no state file behind.
 */
import type { CliContext } from '../../../cli/context.ts'
import { sleep, type Clock } from '../../../kernel/clock.ts'
import { SignalboxError } from '../../../kernel/error.ts'
import { lives, readAgent, clean } from '../../agent/state-files.ts'
import type { AgentState } from '../../agent/state.ts'
import { consume, killedError, selectAgent, type Selected, type WhichFlags } from './select.ts'

export interface StopFlags extends WhichFlags {
  readonly json?: true
}

const LOOK_MS = 25
/** What an agent may need beyond the hold TTL, in which the server is told again and again. */
const END_MS = 20_000

/** @throws SignalboxError `turn_lost`, `unavailable`, `not_found`, `invalid_argument` */
export async function stopAgent(flags: StopFlags, context: CliContext): Promise<void> {
  const { clock, stdout } = context
  const selected = selectAgent(flags, context)
  await endAgent(selected, clock)
  const { queue, id, fence } = selected.agent
  const text = fence === undefined ? 'left the queue' : `the turn was given back (fence ${fence})`
  const facts = { id, queue, state: 'stopped', ...(fence === undefined ? {} : { fence }) }
  stdout.write(flags.json === true ? `${JSON.stringify(facts)}\n` : `${queue}: ${text}\n`)
}

/**
 * Makes an agent leave; prints nothing.
 *
 * @throws SignalboxError `turn_lost` when it had lost its place before, `unavailable`, `permission_denied`
 */
export async function endAgent({ folder, agent }: Selected, clock: Clock): Promise<void> {
  if (agent.state !== 'ended') terminate(agent)
  await untilEnded(agent, clock)
  const left = readAgent(folder, agent.id)
  if (left?.state === 'ended' && left.pid === agent.pid) throw consume({ folder, agent: left })
  if (left?.pid === agent.pid) {
    clean(folder, clock.now())
    throw killedError(agent)
  }
}

function terminate({ pid, queue }: AgentState): void {
  try {
    process.kill(pid, 'SIGTERM')
    // A stopped process acts on SIGTERM only once it is continued.
    if (process.platform !== 'win32') process.kill(pid, 'SIGCONT')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ESRCH') return
    const what = `${queue}: process ${pid} may not be signalled; run as the user who started it`
    throw new SignalboxError('permission_denied', what, { cause })
  }
}

async function untilEnded(agent: AgentState, clock: Clock): Promise<void> {
  const { queue, pid, ttlMs } = agent
  const until = clock.monotonic() + ttlMs + END_MS
  while (lives(agent)) {
    if (clock.monotonic() >= until) {
      const what = `${queue}: process ${pid} does not end; is it stopped? Kill it, then its place lapses`
      throw new SignalboxError('unavailable', what)
    }
    await sleep(clock, LOOK_MS)
  }
}
