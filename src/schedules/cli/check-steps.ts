/** What the server would refuse of a file, before the first write: unknown jobs, parameters that do not fit, masks with nothing behind. */
import type { SchedulesConnection } from '../../cli/schedules-context.ts'
import { isSignalboxError, SignalboxError } from '../../kernel/error.ts'
import type { JobView } from '../../runs/api.ts'
import { checkInput } from '../../runs/check-input.ts'
import { MASK } from '../../runs/masking.ts'
import type { ApplyOptions, Step } from './apply.ts'
import { same, type Wanted } from './file.ts'
import { nextTimes } from './next.ts'
import { unknownParameters } from './unknown-parameters.ts'

/** @throws SignalboxError `invalid_argument` with all problems, one line each */
export async function checkSteps(
  runs: SchedulesConnection['runs'],
  steps: readonly Step[],
  { unknownJob, warn, now }: Pick<ApplyOptions, 'unknownJob' | 'warn' | 'now'>,
): Promise<void> {
  const jobs = new Map<string, JobView | undefined>()
  for (const { wanted } of steps) {
    if (!jobs.has(wanted.job)) jobs.set(wanted.job, await orNothing(runs.getJob(wanted.job)))
  }
  const problems: string[] = []
  for (const step of steps) {
    const { name, job, parameters } = step.wanted
    const known = jobs.get(job)
    const jobProblem = known === undefined ? unknownProblem(job, unknownJob) : problemOf(step, known)
    const problem = jobProblem ?? timeProblem(step, now)
    if (problem !== undefined) problems.push(`'${name}': ${problem}`)
    const warning = known === undefined ? undefined : unknownParameters(known, parameters)
    if (warning !== undefined) warn(`'${name}': ${warning}`)
  }
  if (problems.length > 0) throw new SignalboxError('invalid_argument', problems.join('\n'))
}

function unknownProblem(job: string, unknownJob: boolean): string | undefined {
  if (unknownJob) return undefined
  return `there is no job '${job}'; start a worker that runs it, or add --unknown-job`
}

function problemOf({ change, wanted: { parameters } }: Step, known: JobView): string | undefined {
  const isMasked = (known.secrets ?? []).length > 0 && JSON.stringify(parameters).includes(`"${MASK}"`)
  if (isMasked) {
    // What is behind the mask of a schedule that is there, the server knows.
    return change === 'created' ? `a secret is masked (${MASK}); give its value` : undefined
  }
  try {
    checkInput(known, parameters)
    return undefined
  } catch (error) {
    if (isSignalboxError(error, 'invalid_argument')) return error.message
    throw error
  }
}

/** One that has fired for the last time may stay; it is not saved anew. */
function timeProblem(step: Step, now: number): string | undefined {
  const { expression, timeZone, startAt, endAt } = step.wanted
  if (step.change === 'updated' && same(pick(step.wanted), pick(step.view))) return undefined
  const { next } = nextTimes({
    expression,
    timeZone,
    count: 1,
    after: now,
    ...(startAt === undefined ? {} : { startAt }),
    ...(endAt === undefined ? {} : { endAt }),
  })
  return next.length === 0 ? `${expression} does not fire any more` : undefined
}

function pick({ expression, timeZone, startAt, endAt }: Wanted): object {
  return { expression, timeZone, startAt, endAt }
}

/** Undefined where there is none. */
export async function orNothing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (isSignalboxError(error, 'not_found')) return undefined
    throw error
  }
}
