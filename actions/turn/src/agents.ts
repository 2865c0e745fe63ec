/**
 * The agents of this job: background processes that hold its places (docs/turns-agent.md). Their state files lie under
 * RUNNER_TEMP, which each runner has for itself and empties for each job, so jobs beside each other never meet.
 *
 * Invariants:
 * - a step of the three-step form sees the agents of `server-start` alone, and never guesses between two;
 * - the end of an agent that nobody asked for is reported by exactly one step, as a failure.
 */
import { existsSync } from 'node:fs'
import type { ProcessMark } from '../../../src/turns/agent/processes.ts'
import type { AgentState } from '../../../src/turns/agent/state.ts'
import {
  agentsFolder,
  forget,
  lives,
  logPath,
  readAgent,
  readAgents,
} from '../../../src/turns/agent/state-files.ts'
import { killedError, type Selected } from '../../../src/turns/cli/agent/select.ts'
import { launchAgent } from '../../../src/turns/cli/agent/start.ts'
import { endAgent } from '../../../src/turns/cli/agent/stop.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { SignalboxError } from '../../../src/kernel/error.ts'
import { systemRandom } from '../../../src/kernel/id.ts'
import type { JoinInputs } from './inputs.ts'
import { sayLogOf } from './log.ts'

type Env = Readonly<Record<string, string | undefined>>

/** Begins the ids of the agents that `server-start` leaves to later steps. */
const SHARED = 'job-'

/** Ids are made before the agent is, so that the post step finds what a crashed main left. */
export function newAgentId(form: 'take' | 'server-start'): string {
  return `${form === 'take' ? 'step-' : SHARED}${systemRandom.id().slice(0, 8)}`
}

/** Joins the queue. @throws SignalboxError what kept it from joining; the signal aborted: `cancelled` */
export async function join(
  id: string,
  { queue, flags, secrets }: JoinInputs,
  options: { readonly env: Env; readonly agentProgram: string; readonly signal: AbortSignal },
): Promise<{ readonly agent: AgentState; readonly watched: ProcessMark | undefined }> {
  const { env, agentProgram, signal } = options
  const context = { env: { ...withoutInputs(env), ...secrets }, clock: systemClock, random: systemRandom }
  try {
    const { state, watched } = await launchAgent(queue, { ...flags, name: id }, context, {
      program: [agentProgram],
      signal,
    })
    return { agent: state, watched }
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  }
}

/** The agents that `server-start` left, living or not, in the order of their starts. */
export function sharedAgents(env: Env): AgentState[] {
  return readAgents(agentsFolder(env)).filter(({ id }) => id.startsWith(SHARED))
}

/**
 * The one agent of `server-start` that a later step means; of those that have ended, only where none lives.
 *
 * @returns undefined when there is none
 * @throws SignalboxError `invalid_argument` that names the queues
 */
export function sharedAgent(queue: string | undefined, env: Env): Selected | undefined {
  const all = sharedAgents(env).filter((agent) => queue === undefined || agent.queue === queue)
  const living = all.filter((agent) => agent.state !== 'ended')
  const [agent, ...others] = living.length > 0 ? living : all
  if (agent === undefined) return undefined
  if (others.length === 0) return { folder: agentsFolder(env), agent }
  const names = [agent, ...others].map((one) => one.queue).join(', ')
  throw new SignalboxError(
    'invalid_argument',
    `queue-name: is missing; this job is in several queues: ${names}`,
  )
}

/** @returns undefined when it has ended as planned, or never was */
export function agentById(id: string, env: Env): Selected | undefined {
  const folder = agentsFolder(env)
  const agent = readAgent(folder, id)
  return agent === undefined ? undefined : { folder, agent }
}

/** Was this agent killed, and its state file cleared away since? Its log is then left. */
export function vanished(id: string, env: Env): boolean {
  return existsSync(logPath(agentsFolder(env), id))
}

/** Leaves the queue; returns when the place is gone. @throws SignalboxError `turn_lost`, `unavailable` */
export async function leave({ folder, agent }: Selected): Promise<void> {
  try {
    if (agent.state !== 'ended' && !lives(agent)) {
      forget(folder, agent.id, { log: false })
      throw killedError(agent)
    }
    await endAgent({ folder, agent }, systemClock)
  } catch (error) {
    sayLogOf(agent)
    forget(folder, agent.id, { log: true })
    throw error
  }
}

/** Inputs are the step's own; what the agent needs of them it is told. */
function withoutInputs(env: Env): Env {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(INPUT|STATE)_/.test(name)))
}
