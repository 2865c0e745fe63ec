/**
 * Worker processes and who watches them: starts as many as are wanted, starts each again that ends by itself (after a back-off, so
 * that a crash loop costs little), passes a stop on, and gathers their metrics.
 *
 * Invariants: a process that could not start at all (its first words were an error of the command line or of its modules) ends all of
 * them with its exit code, since the next one would fail alike; after `stop` none is started, and what hangs is killed; a child whose
 * parent is gone (a broken channel) drains and ends.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { backoffDelay } from '../../kernel/backoff.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import type { Random } from '../../kernel/id.ts'

/** What a child tells its parent. */
export type FromChild =
  | { readonly type: 'ready' }
  | { readonly type: 'metrics'; readonly id: number; readonly metrics: object }

/** What a child is asked. */
export type ToChild = { readonly type: 'stop' } | { readonly type: 'metrics'; readonly id: number }

export interface WorkerProcessesOptions {
  /** Arguments of the command line, from `worker` on. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly count: number
  /** How long their jobs may take once they are to stop. */
  readonly graceMs: number
  readonly clock: Clock
  readonly random: Random
  /** Told when a process ended by itself and is started again. */
  readonly onRestart: (facts: {
    pid: number | undefined
    code: number | null
    signal: string | null
    delayMs: number
  }) => void
}

/** Set for a child: it is one of several, whose parent serves the metrics. */
export const CHILD = 'SIGNALBOX_WORKER_CHILD'

const BACKOFF = { baseMs: 500, maxMs: 30_000 }
/** A process that lived so long starts its back-off anew. */
const STEADY_MS = 60_000
/** How long a child may take, beyond the grace of its jobs, before it counts as hanging. */
const HANGING_MS = 15_000
/** How long a child may take to answer with its metrics. */
const METRICS_MS = 2_000

interface Slot {
  child: ChildProcess | undefined
  ready: boolean
  startedAt: number
  failures: number
  retry: Timer | undefined
}

export class WorkerProcesses {
  readonly #options: WorkerProcessesOptions
  readonly #slots: Slot[]
  readonly #waiting = new Map<number, (metrics: object) => void>()
  readonly #ended = Promise.withResolvers<number>()
  #ids = 0
  #stopping = false
  #everReady = false

  constructor(options: WorkerProcessesOptions) {
    this.#options = options
    this.#slots = Array.from({ length: options.count }, () => ({
      child: undefined,
      ready: false,
      startedAt: 0,
      failures: 0,
      retry: undefined,
    }))
  }

  /** Resolves with an exit code: 0 after `stop`, a child's when none could start. */
  get ended(): Promise<number> {
    return this.#ended.promise
  }

  /** Are all of them at work? */
  get ready(): boolean {
    return this.#slots.every(({ ready }) => ready)
  }

  /** The first alone, the others once it is at work, so that what is wrong with the jobs is said once. */
  start(): void {
    // Whoever is told to stop a second time ends at once, and they with it.
    process.once('exit', () => this.#stopping && this.#kill())
    const [first] = this.#slots
    if (first !== undefined) this.#start(first)
  }

  /** Asks them to drain; resolves when all have ended. What hangs (a job that never yields cannot be asked) is killed. */
  async stop(): Promise<void> {
    const { clock, graceMs } = this.#options
    this.#stopping = true
    for (const slot of this.#slots) {
      slot.retry?.cancel()
      this.#tell(slot, { type: 'stop' })
    }
    this.#look()
    const late = clock.timer(graceMs + HANGING_MS, () => this.#kill())
    await this.#ended.promise
    late.cancel()
  }

  /** The metrics of those that answer, as prom-client's `getMetricsAsJSON` gives them. */
  async metrics(): Promise<object[]> {
    const answers = this.#slots.map(
      (slot) =>
        new Promise<object | undefined>((done) => {
          if (!slot.ready) return done(undefined)
          const id = ++this.#ids
          const late = this.#options.clock.timer(METRICS_MS, () => settle(undefined))
          const settle = (metrics: object | undefined): void => {
            late.cancel()
            this.#waiting.delete(id)
            done(metrics)
          }
          this.#waiting.set(id, settle)
          this.#tell(slot, { type: 'metrics', id })
        }),
    )
    return (await Promise.all(answers)).filter((one) => one !== undefined)
  }

  #start(slot: Slot): void {
    const { argv, env, cwd, clock } = this.#options
    const main = fileURLToPath(new URL('../main' + extension(), import.meta.url))
    slot.startedAt = clock.monotonic()
    slot.child = fork(main, argv, {
      cwd,
      env: { ...env, [CHILD]: '1' },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    slot.child.on('message', (message: FromChild) => {
      if (message.type === 'metrics') this.#waiting.get(message.id)?.(message.metrics)
      else this.#ready(slot)
    })
    const { child } = slot
    child.on('error', () => {
      // One that could not even be made has no `exit`. Other errors are of its channel, which that closes.
      if (child.pid === undefined) this.#exited(slot, null, null)
    })
    slot.child.on('exit', (code, signal) => this.#exited(slot, code, signal))
  }

  #ready(slot: Slot): void {
    slot.ready = true
    if (this.#everReady) return
    this.#everReady = true
    if (this.#stopping) return
    for (const other of this.#slots) if (other !== slot) this.#start(other)
  }

  #exited(slot: Slot, code: number | null, signal: NodeJS.Signals | null): void {
    const { clock, random, onRestart } = this.#options
    const pid = slot.child?.pid
    slot.child = undefined
    slot.ready = false
    if (this.#stopping) return this.#look()
    if (!this.#everReady && code !== null && code !== 0) {
      this.#stopping = true
      this.#fail(code)
      return
    }
    slot.failures = clock.monotonic() - slot.startedAt >= STEADY_MS ? 1 : slot.failures + 1
    const delayMs = backoffDelay(BACKOFF, slot.failures, random)
    onRestart({ pid, code, signal, delayMs })
    slot.retry = clock.timer(delayMs, () => this.#start(slot))
  }

  #fail(code: number): void {
    for (const slot of this.#slots) this.#tell(slot, { type: 'stop' })
    this.#ended.resolve(code)
  }

  #kill(): void {
    for (const { child } of this.#slots) child?.kill('SIGKILL')
  }

  #look(): void {
    if (this.#slots.every(({ child }) => child === undefined)) this.#ended.resolve(0)
  }

  #tell({ child }: Slot, message: ToChild): void {
    if (child?.connected === true) child.send(message, () => undefined) // a child that has gone says so by `exit`
  }
}

/** `.ts` from the sources, `.js` from the package. */
function extension(): string {
  return import.meta.url.endsWith('.ts') ? '.ts' : '.js'
}
