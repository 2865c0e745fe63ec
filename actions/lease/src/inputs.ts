/**
 * The inputs of the action, checked before anything is asked. `action.yml` is their description.
 *
 * Invariant: every refusal names the input.
 */
import { parseDuration } from '../../../src/kernel/duration.ts'
import type { LeaseOutcome } from '../../../src/leases/session.ts'
import { input, invalid, shown, type Env } from '../../shared/inputs.ts'

/** What this step is asked to do; `take` is the one-step form, which gives back in its post step. */
export type Form = 'take' | 'acquire' | 'release'

const OUTCOMES = ['success', 'failure', 'cancelled', 'timed_out', 'skipped'] as const

/** @throws SignalboxError `invalid_argument` */
export function formInput(): Form {
  const when = input('release') ?? 'step'
  if (when !== 'step' && when !== 'post') throw invalid('release', `'${shown(when)}' must be step or post`)
  if (input('release_with_status') === undefined) return when === 'post' ? 'take' : 'acquire'
  if (when === 'step') return 'release'
  throw invalid('release', 'post and release_with_status contradict each other; give one of them')
}

/** @throws SignalboxError `invalid_argument` */
export function outcomeInput(): LeaseOutcome {
  const text = input('release_with_status') ?? ''
  const outcome = OUTCOMES.find((name) => name === text.toLowerCase())
  if (outcome !== undefined) return outcome
  throw invalid(
    'release_with_status',
    `'${shown(text)}' must be one of ${OUTCOMES.join(', ')}; write for example \${{ job.status }}`,
  )
}

/**
 * How the job stood when this step began. The runner evaluates the default of an input anew for the post step
 * (github.com/actions/runner, src/Runner.Worker/ActionRunner.cs, RunAsync), so there it is how the job ended.
 *
 * Invariant: what is not plainly a success is none, for others would be told that they need no tests.
 */
export function jobOutcome(): LeaseOutcome {
  const text = input('job_status')
  return text === 'success' || text === 'cancelled' ? text : 'failure'
}

/** Address of the server. @throws SignalboxError `invalid_argument` */
export function serverInput(env: Env): string {
  const [endpoint, later] = [input('endpoint'), input('lease_service_url')]
  if (endpoint !== undefined && later !== undefined && endpoint !== later) {
    throw invalid('endpoint', 'is another address than lease_service_url; give one of them')
  }
  const url = endpoint ?? later ?? (env['SIGNALBOX_URL'] || undefined)
  if (url !== undefined) return url
  throw invalid('endpoint', 'is missing; give the address of the lease server')
}

/** Undefined: the commits ahead of the base count. @throws SignalboxError `invalid_argument` */
export function priorityInput(): number | undefined {
  const text = input('priority')
  if (text === undefined) return undefined
  const number = /^\d{1,15}$/.test(text) ? Number(text) : 0
  if (number >= 1) return number
  throw invalid('priority', `'${shown(text)}' must be a whole number from 1`)
}

/** In ms; undefined: as long as the job may. @throws SignalboxError `invalid_argument` */
export function waitTimeoutInput(): number | undefined {
  const text = input('wait_timeout')
  return text === undefined ? undefined : parseDuration(text, 'wait_timeout')
}
