/**
 * A runner for one job, as far as an action can tell: github.com/actions/runner, src/Runner.Worker and
 * src/Runner.Sdk/ProcessInvoker.cs. A worker process starts the steps; files carry outputs and state; secrets are masked; post
 * steps run at the end, the last first, their inputs evaluated anew; a cancelled step gets SIGINT, 7.5 s later SIGTERM, 2.5 s
 * later SIGKILL.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, temporaryFolder } from '../support/processes.ts'
import { actionFolder, inputEnvironment, type ActionName } from './action-folder.ts'
import { newFileCommands } from './file-commands.ts'
import type { Order, Report } from './fixtures/worker.ts'

export interface Annotation {
  readonly level: 'error' | 'warning' | 'notice'
  readonly message: string
}

export interface StepResult {
  readonly outcome: 'success' | 'failure' | 'cancelled'
  /** As the page of the job shows it: commands taken out, secrets masked. */
  readonly log: string
  readonly annotations: readonly Annotation[]
  readonly outputs: Readonly<Record<string, string>>
  readonly summary: string
  /** From start to end. */
  readonly tookMs: number
}

export interface Step {
  readonly pid: Promise<number>
  readonly done: Promise<StepResult>
  /** All it has written. */
  readonly raw: () => string
  /** As the runner does it. @returns ms until the step had ended */
  cancel(): Promise<number>
  signal(name: NodeJS.Signals): void
}

export interface UsesOptions {
  /** Default: `turn`. */
  readonly action?: ActionName
  readonly with?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
}

interface Started {
  readonly step: Step
  readonly values: ReturnType<typeof newFileCommands>['values']
}

interface Post extends UsesOptions {
  readonly state: () => Record<string, string>
}

const SIGINT_MS = 7_500
const SIGTERM_MS = 2_500
const jobs = new Set<Job>()

export class Job {
  readonly temp: string
  readonly #folder = temporaryFolder('job')
  readonly #worker: ChildProcess
  readonly #env: Record<string, string>
  readonly #via: readonly string[]
  readonly #posts: Post[] = []
  readonly #secrets = new Set<string>()
  #steps = 0
  #outcome: StepResult['outcome'] = 'success'

  /**
   * @param env the job's `env:`, and what a step before would have set
   * @param offline each step sees no network but a loopback of its own
   */
  constructor(env: Readonly<Record<string, string>> = {}, { offline = false } = {}) {
    this.#via = offline ? ['unshare', '-rn', 'bash', '-c', 'ip link set lo up && exec "$@"', 'offline'] : []
    this.temp = join(this.#folder, '_temp')
    const workspace = join(this.#folder, 'workspace')
    for (const folder of [this.temp, workspace, join(this.#folder, 'home')]) mkdirSync(folder)
    this.#env = {
      PATH: process.env['PATH'] ?? '',
      HOME: join(this.#folder, 'home'),
      CI: 'true',
      GITHUB_ACTIONS: 'true',
      GITHUB_REPOSITORY: 'acme/shop',
      GITHUB_RUN_ID: '4711',
      GITHUB_RUN_NUMBER: '12',
      GITHUB_RUN_ATTEMPT: '1',
      GITHUB_JOB: 'deploy',
      GITHUB_ACTOR: 'ann',
      GITHUB_SERVER_URL: 'https://github.example',
      GITHUB_WORKSPACE: workspace,
      RUNNER_TEMP: this.temp,
      RUNNER_TRACKING_ID: `github_${process.pid}`,
      ...env,
    }
    this.#worker = fork(join(import.meta.dirname, 'fixtures/worker.ts'), { execArgv: [] })
    this.#worker.setMaxListeners(100)
    jobs.add(this)
  }

  get outcome(): StepResult['outcome'] {
    return this.#outcome
  }

  /** A step with `uses: signalbox/actions/…`. */
  uses(options: UsesOptions = {}): Step {
    const { step, values } = this.#startAction('main', options)
    // Registered before the main has run: the post step runs whatever becomes of it.
    this.#posts.push({ ...options, state: () => values('STATE') })
    return step
  }

  /** A step with `run:`. */
  run(script: string, env: Readonly<Record<string, string>> = {}): Step {
    return this.#start(['bash', '-e', '-c', script], env).step
  }

  /** The post steps: the job is over. */
  async end(): Promise<StepResult[]> {
    const results: StepResult[] = []
    for (const post of this.#posts.splice(0).reverse()) {
      const state = Object.entries(post.state()).map(([name, value]) => [`STATE_${name}`, value])
      const env = { ...post.env, ...Object.fromEntries(state) }
      results.push(await this.#startAction('post', { ...post, env }).step.done)
    }
    return results
  }

  /** kill -9 for the worker; its steps and their children go on. */
  async kill(): Promise<void> {
    if (this.#worker.exitCode !== null || this.#worker.signalCode !== null) return
    this.#worker.kill('SIGKILL')
    await once(this.#worker, 'exit')
  }

  /** State files of the job's agents. */
  agents(): {
    readonly id: string
    readonly pid: number
    readonly queue: string
    readonly state: string
    readonly address: string
  }[] {
    try {
      const folder = join(this.temp, 'signalbox-agents')
      const names = readdirSync(folder).filter((name) => name.endsWith('.json'))
      return names.map(
        (name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as ReturnType<Job['agents']>[0],
      )
    } catch {
      return []
    }
  }

  #startAction(stage: 'main' | 'post', options: UsesOptions): Started {
    const action = actionFolder(options.action ?? 'turn')
    const inputs = inputEnvironment(action, options.with ?? {}, { jobStatus: this.#outcome })
    const program = join(action.path, action.file.runs[stage])
    return this.#start([process.execPath, program], { ...inputs, ...options.env })
  }

  #start(command: readonly string[], env: Readonly<Record<string, string>>): Started {
    const step = ++this.#steps
    const files = newFileCommands(this.temp, step)
    let raw = ''
    let cancelled = false
    const pid = Promise.withResolvers<number>()
    const ended = Promise.withResolvers<number | null>()
    this.#worker.on('message', (report: Report) => {
      if (report.step !== step) return
      if (report.type === 'started') pid.resolve(report.pid)
      if (report.type === 'wrote') raw += report.text
      if (report.type === 'ended') ended.resolve(report.code)
    })
    this.#worker.once('exit', () => ended.resolve(null))
    const began = performance.now()
    const cwd = this.#env['GITHUB_WORKSPACE'] ?? '.'
    const environment = { ...this.#env, ...env, ...files.env }
    this.#send({ type: 'start', step, command: [...this.#via, ...command], cwd, env: environment })
    const signal = (name: NodeJS.Signals): void => this.#send({ type: 'signal', step, name })
    const done = ended.promise.then((code): StepResult => {
      const outcome = cancelled ? 'cancelled' : code === 0 ? 'success' : 'failure'
      if (outcome !== 'success' && this.#outcome !== 'cancelled') this.#outcome = outcome
      Object.assign(this.#env, files.values('ENV'))
      const tookMs = performance.now() - began
      return {
        outcome,
        ...this.#read(raw),
        outputs: files.values('OUTPUT'),
        summary: files.summary(),
        tookMs,
      }
    })
    const cancel = async (): Promise<number> => {
      cancelled = true
      const at = performance.now()
      signal('SIGINT')
      const term = setTimeout(() => signal('SIGTERM'), SIGINT_MS)
      const kill = setTimeout(() => signal('SIGKILL'), SIGINT_MS + SIGTERM_MS)
      await done
      clearTimeout(term)
      clearTimeout(kill)
      return performance.now() - at
    }
    return { step: { pid: pid.promise, done, raw: () => raw, cancel, signal }, values: files.values }
  }

  #send(order: Order): void {
    if (this.#worker.connected) this.#worker.send(order)
  }

  /** Takes the commands out, as the runner does. */
  #read(raw: string): Pick<StepResult, 'log' | 'annotations'> {
    const annotations: Annotation[] = []
    const lines = raw.split('\n').flatMap((line) => {
      const [, command = '', text = ''] = /^\s*::([a-z-]+)[^:]*::(.*)$/.exec(line) ?? []
      if (command === 'add-mask') {
        this.#secrets.add(text)
        return []
      }
      if (command === 'error' || command === 'warning' || command === 'notice') {
        annotations.push({ level: command, message: this.#mask(decode(text)) })
      }
      return [line]
    })
    return { log: this.#mask(lines.join('\n')), annotations }
  }

  #mask(text: string): string {
    return [...this.#secrets].reduce((masked, secret) => masked.replaceAll(secret, '***'), text)
  }
}

/** Ends what tests have left running. */
export async function killJobs(): Promise<void> {
  for (const job of jobs) {
    await job.kill()
    for (const { pid } of job.agents()) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  }
  jobs.clear()
}

function decode(text: string): string {
  return text.replaceAll('%0A', '\n').replaceAll('%0D', '\r').replaceAll('%25', '%')
}
