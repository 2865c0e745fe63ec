/** Asking for the lease and waiting until it is granted, or needed no more. */
import { systemClock } from '../../../src/kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../../../src/kernel/error.ts'
import { systemRandom } from '../../../src/kernel/id.ts'
import { providerLabel } from '../../../src/leases/api.ts'
import { openLease } from '../../../src/leases/session.ts'
import { progressFold, say } from '../../shared/log.ts'
import { priorityInput, serverInput, waitTimeoutInput } from './inputs.ts'
import { mergeGroup, type MergeGroup } from './merge-group.ts'
import { commitsAhead, fixedPriority, type Priority } from './priority.ts'
import { following, leaseServer, type Leases } from './server.ts'
import { announce, type Ended } from './report.ts'
import type { StepContext } from './step-context.ts'
import { noteEnd, noteRequest } from './taken.ts'
import { Waiting } from './waiting.ts'

/** GitHub is waited for this long before the first question. */
const PRIORITY_PATIENCE_MS = 120_000

/** @param end who gives the lease back: this step's post step, or a step after it */
export async function acquire(end: 'post' | 'step', { env, signal }: StepContext): Promise<void> {
  const url = serverInput(env)
  const group = mergeGroup(env)
  const asked = priorityInput()
  const waitTimeoutMs = waitTimeoutInput()
  const server = leaseServer(url, env)
  try {
    const priority =
      asked === undefined
        ? await commitsAhead({ env, group, patienceMs: PRIORITY_PATIENCE_MS, signal })
        : fixedPriority(asked)
    const name = providerLabel(group.provider)
    say(`${name}: asking for the lease for commit ${group.sha} with priority ${priority.current}`)
    if (end === 'post') noteRequest({ url, group, priority: priority.current })
    const waiting = await wait(server.leases, { group, priority, waitTimeoutMs, signal }, end)
    await announce(waiting, { group, priority })
  } finally {
    await server.close()
  }
}

async function wait(
  leases: Leases,
  options: {
    readonly group: MergeGroup
    readonly priority: Priority
    readonly waitTimeoutMs: number | undefined
    readonly signal: AbortSignal
  },
  end: 'post' | 'step',
): Promise<Ended> {
  const { group, priority, waitTimeoutMs, signal } = options
  const { provider, sha, ref } = group
  const fold = progressFold(`Waiting for the lease on ${providerLabel(provider)}`)
  const waiting = new Waiting(fold.output, priority)
  try {
    const opened = await openLease({
      api: following(leases, priority),
      clock: systemClock,
      random: systemRandom,
      provider,
      request: { sha, ref, priority: priority.current },
      waitTimeoutMs,
      signal,
      onProgress: waiting.progress,
    })
    if (end === 'post') noteEnd(opened.status)
    return { opened, waitedMs: waiting.elapsedMs, reason: waiting.reason }
  } catch (error) {
    if (end === 'post' && !waiting.leftBehind) noteEnd('withdrawn')
    throw isSignalboxError(error, 'wait_timeout') ? named(error) : error
  } finally {
    fold.close()
  }
}

function named(error: SignalboxError): SignalboxError {
  return new SignalboxError(error.code, `${error.message} (wait_timeout)`, { cause: error })
}
