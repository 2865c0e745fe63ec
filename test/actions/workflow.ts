/** Plays the steps of a workflow file on a runner, in order. */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { Job, type StepResult } from './runner.ts'

interface StepText {
  readonly name: string
  readonly id?: string
  readonly uses?: string
  readonly run?: string
  readonly if?: string
  readonly with?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
}

interface WorkflowFile {
  readonly jobs: Readonly<Record<string, { readonly steps: readonly StepText[] }>>
}

const OURS = /^signalbox\/signalbox\/actions\/(turn|lease)@/

export interface Played {
  readonly job: Job
  /** By the step's name; a step that was skipped is not there. */
  readonly steps: ReadonlyMap<string, StepResult>
  readonly posts: readonly StepResult[]
}

export interface PlayOptions {
  readonly env: Readonly<Record<string, string>>
  /** What other actions would have set in the environment, by the action's name without its version. */
  readonly standIns: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** In place of texts of the file, `with:` and `run:` included: addresses, commands. */
  readonly replace?: Readonly<Record<string, string>>
  readonly secrets?: Readonly<Record<string, string>>
  /** Called when a step has ended. */
  readonly after?: (step: string) => Promise<void> | void
}

export async function play(path: string, options: PlayOptions): Promise<Played> {
  const { jobs } = parse(replaced(readFileSync(path, 'utf8'), options.replace ?? {})) as WorkflowFile
  const [steps = []] = Object.values(jobs).map((job) => job.steps)
  const results = new Map<string, StepResult>()
  const outputs: Record<string, StepResult['outputs']> = {}
  let env = options.env
  let job: Job | undefined
  for (const step of steps) {
    const { name, uses } = step
    const [, action] = OURS.exec(uses ?? '') ?? []
    if (uses !== undefined && action === undefined) {
      const set = options.standIns[uses.replace(/@.*$/, '')]
      if (set === undefined || job !== undefined) throw new Error(`nothing stands in for ${uses} here`)
      env = { ...env, ...set }
      continue
    }
    const here = (job ??= new Job(env))
    const contexts = { jobStatus: here.outcome, outputs, secrets: options.secrets ?? {} }
    if (!runs(step.if ?? 'success()', contexts)) continue
    const evaluated = (values: StepText['with'] = {}): Record<string, string> =>
      Object.fromEntries(Object.entries(values).map(([key, value]) => [key, filledIn(value, contexts)]))
    const running =
      action === undefined
        ? here.run(step.run ?? '', evaluated(step.env))
        : here.uses({
            action: action === 'lease' ? 'lease' : 'turn',
            with: evaluated(step.with),
            env: evaluated(step.env),
          })
    const result = await running.done
    results.set(name, result)
    if (step.id !== undefined) outputs[step.id] = result.outputs
    await options.after?.(name)
  }
  if (job === undefined) throw new Error('the workflow has no steps to play')
  return { job, steps: results, posts: await job.end() }
}

interface Contexts {
  readonly jobStatus: string
  readonly outputs: Readonly<Record<string, StepResult['outputs']>>
  readonly secrets: Readonly<Record<string, string>>
}

/** A condition without a status function of its own is `success() && …`. */
function runs(condition: string, contexts: Contexts): boolean {
  const text = condition.replace(/^\$\{\{ (.*) \}\}$/, '$1')
  if (text === 'always()') return true
  if (contexts.jobStatus !== 'success') return false
  if (text === 'success()') return true
  const [, left, right] = /^(\S+) == '([^']*)'$/.exec(text) ?? []
  if (left === undefined) throw new Error(`if: ${condition} is not known here`)
  return valueOf(left, contexts) === right
}

function filledIn(text: string, contexts: Contexts): string {
  return text.replaceAll(/\$\{\{ (.*?) \}\}/g, (_, expression: string) => valueOf(expression, contexts))
}

function valueOf(expression: string, contexts: Contexts): string {
  const [, list, key, separator] = /^join\(fromJSON\((\S+)\)\.\*\.(\w+), '([^']*)'\)$/.exec(expression) ?? []
  if (list !== undefined && key !== undefined && separator !== undefined) {
    const entries = JSON.parse(valueOf(list, contexts)) as readonly Record<string, unknown>[]
    return entries.map((entry) => String(entry[key])).join(separator)
  }
  if (expression === 'job.status') return contexts.jobStatus
  const [root, id = '', , output = ''] = expression.split('.')
  if (root === 'steps') return contexts.outputs[id]?.[output] ?? ''
  if (root === 'secrets') return contexts.secrets[id] ?? ''
  throw new Error(`\${{ ${expression} }} is not known here`)
}

function replaced(text: string, by: Readonly<Record<string, string>>): string {
  return Object.entries(by).reduce((whole, [from, to]) => whole.replaceAll(from, to), text)
}
