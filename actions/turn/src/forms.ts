/** What each form of the step does: the one-step form, and the three steps of `server-start`, `client-wait`, `server-stop`. */
import { notice, saveState, setOutput } from '@actions/core'
import { systemClock } from '../../../src/kernel/clock.ts'
import { formatDuration } from '../../../src/kernel/duration.ts'
import { isSignalboxError, SignalboxError } from '../../../src/kernel/error.ts'
import type { AgentState } from '../../../src/turns/agent/state.ts'
import type { Selected } from '../../../src/turns/cli/agent/select.ts'
import { describeAgent } from '../../../src/turns/cli/agent/text.ts'
import { untilHeld } from '../../../src/turns/cli/agent/wait.ts'
import { Reporter } from '../../../src/turns/cli/reporter.ts'
import { progressFold, say } from '../../shared/log.ts'
import { agentById, join, leave, newAgentId, sharedAgent, sharedAgents } from './agents.ts'
import { joinInputs, queueInput, waitTimeoutInput, type JoinInputs, type LogLevel } from './inputs.ts'
import { announce } from './log.ts'
import { inputWords, refusal } from './words.ts'

export interface StepContext {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly level: LogLevel
  /** The file that Node runs as the agent. */
  readonly agentProgram: string
  /** Aborts when the step is cancelled. */
  readonly signal: AbortSignal
}

/** One step: joins and waits here; the turn is held in the background until the post step. */
export async function take(context: StepContext): Promise<void> {
  const inputs = joinInputs(context.env)
  const timeoutMs = waitTimeoutInput()
  const id = newAgentId('take')
  try {
    await begin(id, inputs, context)
    const selected = agentById(id, context.env)
    if (selected === undefined) throw new SignalboxError('turn_lost', `${inputs.queue}: the agent has gone`)
    await hold(await wait(selected, timeoutMs, context))
  } catch (error) {
    await giveUp(id, context.env)
    throw error
  }
}

/** Joins, and goes on waiting in the background. */
export async function serverStart(context: StepContext): Promise<void> {
  const inputs = joinInputs(context.env)
  const twin = sharedAgents(context.env).find(
    ({ queue, state }) => queue === inputs.queue && state !== 'ended',
  )
  if (twin !== undefined) {
    throw refusal(
      `queue-name: this job is in '${inputs.queue}' already; run action: server-stop before joining it again`,
    )
  }
  say(describeAgent(await begin(newAgentId('server-start'), inputs, context), systemClock).trimEnd())
}

/** Waits until the job holds its turn. Cancelled or timed out it leaves the place as it is: server-stop gives it up. */
export async function clientWait(context: StepContext): Promise<void> {
  const queue = queueInput()
  const timeoutMs = waitTimeoutInput()
  const selected = sharedAgent(queue, context.env)
  if (selected === undefined) {
    const where = queue === undefined ? 'no queue' : `no queue '${queue}'`
    throw new SignalboxError(
      'not_found',
      `this job is in ${where}; join it by a step with action: server-start before`,
    )
  }
  await hold(await wait(selected, timeoutMs, context))
}

/** Leaves. Nothing to leave is no failure: the step runs under `if: always()`. */
export async function serverStop({ env }: StepContext): Promise<void> {
  const queue = queueInput()
  const selected = sharedAgent(queue, env)
  if (selected === undefined) {
    notice(`nothing to stop: this job is in no queue${queue === undefined ? '' : ` '${queue}'`}`)
    return
  }
  await leave(selected)
  const { fence, queue: left } = selected.agent
  say(fence === undefined ? `${left}: left the queue` : `${left}: the turn was given back (fence ${fence})`)
}

async function begin(id: string, inputs: JoinInputs, context: StepContext): Promise<AgentState> {
  saveState('agent', id)
  saveState('queue', inputs.queue)
  const { agent, watched } = await join(id, inputs, context)
  if (watched === undefined) {
    const limit = inputs.flags.maxHold ?? '6h'
    say(
      `the runner's worker process cannot be seen from here, so a job that is killed may keep its turn for ${limit} (max-hold)`,
    )
  }
  return agent
}

/** After a failure of the main step, which is what is reported. */
async function giveUp(id: string, env: StepContext['env']): Promise<void> {
  const selected = agentById(id, env)
  if (selected === undefined) return
  try {
    await leave(selected)
    say(`${selected.agent.queue}: left the queue`)
  } catch (error) {
    say(inputWords(error))
  }
}

async function wait(
  selected: Selected,
  timeoutMs: number,
  { level, signal }: StepContext,
): Promise<AgentState> {
  const { queue } = selected.agent
  const fold = progressFold(`Waiting for the turn in ${queue}`, {
    quiet: level === 'warn' || level === 'error',
  })
  const reporter = new Reporter({ queue, mode: 'lines', stderr: fold.output, clock: systemClock })
  try {
    return await untilHeld(selected, { clock: systemClock, timeoutMs, reporter, signal })
  } catch (error) {
    if (!isSignalboxError(error, 'wait_timeout')) throw error
    const what = `${queue}: the turn did not come within ${formatDuration(timeoutMs)} (wait-timeout)`
    throw new SignalboxError('wait_timeout', what, { cause: error })
  } finally {
    reporter.close()
    fold.close()
  }
}

async function hold(state: AgentState): Promise<void> {
  const { queue, fence, waitedMs = 0, positionAtJoin } = state
  setOutput('queue', queue)
  setOutput('fence', fence)
  setOutput('position-at-join', positionAtJoin)
  setOutput('waited-seconds', Math.round(waitedMs / 1_000))
  await announce(state)
}
