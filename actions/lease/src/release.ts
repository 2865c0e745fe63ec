/**
 * Giving the lease back, from another process than the one that acquired it.
 *
 * Invariants:
 * - a success that the server does not take fails the step: the guarded work was not protected to its end, and nobody else
 *   was told of a success;
 * - a job that has not succeeded is red already: what goes wrong here is a warning.
 */
import { warning } from '@actions/core'
import { systemClock } from '../../../src/kernel/clock.ts'
import { SignalboxError } from '../../../src/kernel/error.ts'
import { systemRandom } from '../../../src/kernel/id.ts'
import { providerLabel, type LeaseAnswer, type ProviderName } from '../../../src/leases/api.ts'
import { momentOf } from '../../../src/leases/session/deadline.ts'
import { Hold } from '../../../src/leases/session/hold.ts'
import type { LeaseOutcome } from '../../../src/leases/session.ts'
import { progressFold, say } from '../../shared/log.ts'
import { jobOutcome, outcomeInput, priorityInput, serverInput } from './inputs.ts'
import { mergeGroup, type MergeGroup } from './merge-group.ts'
import { commitsAhead, fixedPriority } from './priority.ts'
import { outputs } from './report.ts'
import { leaseServer } from './server.ts'
import type { StepContext } from './step-context.ts'
import { notedRequest, type Taken } from './taken.ts'
import { Waiting } from './waiting.ts'
import { inputWords } from './words.ts'

/** The priority decides nothing any more; it is only shown. */
const PRIORITY_PATIENCE_MS = 10_000

/** The step with `release_with_status`. */
export async function release(context: StepContext): Promise<void> {
  const { env, signal } = context
  const url = serverInput(env)
  const group = mergeGroup(env)
  const outcome = outcomeInput()
  const priority = priorityInput() ?? (await priorityNow({ env, group, signal }))
  const answer = await giveBack({ url, group, priority }, outcome, context)
  if (answer !== undefined) outputs(answer.status, [])
}

/** The post step of the one-step form. */
export async function releaseTaken(context: StepContext): Promise<void> {
  const taken = notedRequest()
  // What ended by itself has nothing to give back.
  if (taken === undefined || taken.end === 'completed' || taken.end === 'withdrawn') return
  await giveBack(taken, taken.end === 'acquired' ? jobOutcome() : 'failure', context)
}

/** @returns undefined when it failed, which is no reason to fail the step */
async function giveBack(
  taken: Taken,
  outcome: LeaseOutcome,
  context: StepContext,
): Promise<LeaseAnswer | undefined> {
  const { provider } = taken.group
  const name = providerLabel(provider)
  try {
    const answer = await tell(taken, outcome, context)
    say(`${name}: ${ENDS[answer.status] ?? answer.status} (${outcome})`)
    return answer
  } catch (error) {
    if (outcome === 'success' || context.signal.aborted) throw error
    warning(`${inputWords(error)}; a lease that is held ends by itself, at its max_lease_seconds`)
    return undefined
  }
}

const ENDS: Partial<Record<LeaseAnswer['status'], string>> = {
  completed: 'the lease was given back',
  failure: 'the lease was given back, and the next group may try',
}

/** @throws SignalboxError `lease_lost` when it was not this commit's; what keeps the server from being told */
async function tell(
  { url, group, priority }: Taken,
  outcome: LeaseOutcome,
  { env, signal }: StepContext,
): Promise<LeaseAnswer> {
  const { provider, sha, ref } = group
  const server = leaseServer(url, env)
  const fold = progressFold(`Giving back the lease on ${providerLabel(provider)}`)
  const { progress: onProgress } = new Waiting(fold.output, fixedPriority(priority))
  try {
    const hold = new Hold({
      api: server.leases,
      clock: systemClock,
      random: systemRandom,
      provider,
      request: { sha, ref, priority },
      fence: undefined,
      sent: momentOf(systemClock),
      timing: undefined,
      onProgress,
    })
    const answer = await hold.release(outcome, signal)
    if (answer.kind === 'refused') throw notHeld(provider, sha, answer.reason)
    if (outcome === 'success' && answer.status !== 'completed') {
      throw notHeld(provider, sha, 'the server has it down as failed or given up')
    }
    return answer
  } finally {
    fold.close()
    await server.close()
  }
}

function notHeld(provider: ProviderName, sha: string, why: string): SignalboxError {
  const what = `${providerLabel(provider)}: the lease is not held by commit ${sha}: ${why}`
  return new SignalboxError(
    'lease_lost',
    `${what}; it was lost (max_lease_seconds, or cleared by an operator) or never acquired, so nothing protected this job's work`,
  )
}

async function priorityNow(about: {
  readonly env: StepContext['env']
  readonly group: MergeGroup
  readonly signal: AbortSignal
}): Promise<number> {
  try {
    return (await commitsAhead({ ...about, patienceMs: PRIORITY_PATIENCE_MS })).current
  } catch (error) {
    about.signal.throwIfAborted()
    say(inputWords(error))
    return 1
  }
}
