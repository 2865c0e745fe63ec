/** Plays the steps of a workflow file on a runner, in order. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { Job, type StepResult } from './runner.ts'

interface StepText {
  readonly name: string
  readonly uses?: string
  readonly run?: string
  readonly if?: string
  readonly with?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
}

interface WorkflowFile {
  readonly jobs: Readonly<Record<string, { readonly steps: readonly StepText[] }>>
}

const OURS = 'signalbox/signalbox/actions/turn@'

export interface Played {
  readonly job: Job
  /** By the step's name; a step that was skipped is not there. */
  readonly steps: ReadonlyMap<string, StepResult>
  readonly posts: readonly StepResult[]
}

/**
 * @param standIns what other actions would have set in the environment, by the action's name without its version
 * @param after called when a step has ended
 */
export async function play(
  path: string,
  options: {
    readonly env: Readonly<Record<string, string>>
    readonly standIns: Readonly<Record<string, Readonly<Record<string, string>>>>
    readonly after?: (step: string) => Promise<void> | void
  },
): Promise<Played> {
  const { jobs } = parse(readFileSync(path, 'utf8')) as WorkflowFile
  const [steps = []] = Object.values(jobs).map((job) => job.steps)
  const results = new Map<string, StepResult>()
  let env = options.env
  let job: Job | undefined
  for (const step of steps) {
    const { name, uses } = step
    if (uses !== undefined && !uses.startsWith(OURS)) {
      const set = options.standIns[uses.replace(/@.*$/, '')]
      if (set === undefined || job !== undefined) throw new Error(`nothing stands in for ${uses} here`)
      env = { ...env, ...set }
      continue
    }
    job ??= new Job(env)
    if (step.if !== undefined && step.if !== 'always()') throw new Error(`if: ${step.if} is not known here`)
    if (job.outcome !== 'success' && step.if === undefined) continue
    const running =
      uses === undefined
        ? job.run(step.run ?? '', step.env ?? {})
        : job.uses({ with: step.with ?? {}, env: step.env ?? {} })
    results.set(name, await running.done)
    await options.after?.(name)
  }
  if (job === undefined) throw new Error('the workflow has no steps to play')
  return { job, steps: results, posts: await job.end() }
}
