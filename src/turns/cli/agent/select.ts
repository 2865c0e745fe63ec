/** Which agent of this machine a command means. */
import type { CliContext } from '../../../cli/context.ts'
import { formatDuration } from '../../../kernel/duration.ts'
import { SignalboxError } from '../../../kernel/error.ts'
import type { AgentState } from '../../agent/state.ts'
import { agentsFolder, clean, forget, readAgents } from '../../agent/state-files.ts'
import { queueArgument } from '../run-request.ts'
import { idArgument } from './request.ts'

/** As commander gives them. */
export interface WhichFlags {
  readonly queue?: string
  readonly id?: string
}

export interface Selected {
  readonly folder: string
  readonly agent: AgentState
}

/**
 * The one agent that fits; of those that have ended, only where none lives.
 *
 * @throws SignalboxError `invalid_argument` when several fit, which it names; `not_found`; `turn_lost` when its process was killed
 */
export function selectAgent(flags: WhichFlags, { env, clock }: CliContext): Selected {
  const queue = flags.queue === undefined ? undefined : queueArgument(flags.queue)
  const id = flags.id === undefined ? undefined : idArgument(flags.id, '--id')
  const fits = (agent: AgentState): boolean =>
    (queue === undefined || agent.queue === queue) && (id === undefined || agent.id === id)
  const folder = agentsFolder(env)
  const killed = clean(folder, clock.now()).filter(fits)
  const agents = readAgents(folder)
  const living = agents.filter((agent) => agent.state !== 'ended')
  const fitting = living.filter(fits)
  const candidates = fitting.length > 0 ? fitting : [...killed, ...agents.filter(fits)]
  const [agent] = candidates
  if (agent === undefined) throw nobody(queue ?? id, living)
  if (candidates.length > 1) throw several(candidates)
  if (killed.includes(agent)) throw killedError(agent)
  return { folder, agent }
}

/** Its process ended without a word. */
export function killedError({ queue, pid, id, ttlMs }: AgentState): SignalboxError {
  const lapse = `its place lapses within ${formatDuration(ttlMs)}`
  return new SignalboxError('turn_lost', `${queue}: agent ${id} (process ${pid}) was killed; ${lapse}`)
}

/** What an agent that ended by itself, or could not leave, is reported as. */
export function endedError({ queue, id, end, log }: AgentState): SignalboxError {
  const message = `${end?.message ?? `${queue}: agent ${id} has ended`}; see ${log}`
  const code = end?.place === 'unconfirmed' && end.why !== 'lost' ? 'unavailable' : 'turn_lost'
  return new SignalboxError(code, message, { details: { queue, agent: id, why: end?.why ?? 'failed' } })
}

/** Reports the end of an agent once and for all. */
export function consume({ folder, agent }: Selected): SignalboxError {
  forget(folder, agent.id, { log: false })
  return endedError(agent)
}

function nobody(which: string | undefined, living: readonly AgentState[]): SignalboxError {
  const others = living.length === 0 ? '' : `; there is one for ${living.map(named).join(', ')}`
  const what = which === undefined ? 'no agent runs here' : `${which}: no such agent runs here`
  return new SignalboxError(
    'not_found',
    `${what}${others}; start one with 'signalbox turn agent start <queue>'`,
  )
}

function several(agents: readonly AgentState[]): SignalboxError {
  const sameQueue = agents.every(({ queue }) => queue === agents[0]?.queue)
  const flag = sameQueue ? '--id' : '--queue or --id'
  const all = agents.map(named).join(', ')
  return new SignalboxError(
    'invalid_argument',
    `${agents.length} agents fit: ${all}; say which one with ${flag}`,
    {
      details: { field: flag },
    },
  )
}

function named({ queue, id }: AgentState): string {
  return `${queue} (id ${id})`
}
