/**
 * Runs a command under the supervisor (`main.ts`) and keeps watch over both from here.
 *
 * Invariants:
 * - `done` never rejects, and settles only when the command's group is dead or cannot be proven dead (`groupDead`);
 * - the deadline is enforced twice: by the supervisor and, should it be frozen or dead, from here;
 * - if the supervisor dies, the group is ended from here, with the grace if the deadline leaves it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { getCompileCacheDir } from 'node:module'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { sleep, type Clock, type Timer } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Deadline } from '../kernel/deadline.ts'
import { endGroup, groupsMarked, signalGroup, type ProcessGroup } from './process-group.ts'
import { decoder, encode, type Order, type Report } from './protocol.ts'
import { timeLeft } from './time-left.ts'

export interface SuperviseOptions {
  readonly command: string
  readonly args: readonly string[]
  /** The command's whole environment. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** An entry of `env` that no other process has, `NAME=value`: finds the command should nothing else tell. */
  readonly marker: string
  /** Between SIGTERM and SIGKILL. */
  readonly stopGraceMs: number
  /** When the group must be dead; none: the command may run until it ends or this process does. */
  readonly deadline?: Deadline | undefined
  readonly clock: Clock
}

export type Outcome =
  /** Neither `code` nor `signal` is known when the supervisor died first. */
  | {
      readonly type: 'ended'
      readonly code: number | null
      readonly signal: NodeJS.Signals | null
      /** No process of the group is left. If false, it must be assumed to be still at work. */
      readonly groupDead: boolean
      /** It was stopped because the deadline came. */
      readonly overdue: boolean
    }
  /** Nothing was started; `errno` as of spawn: ENOENT, EACCES, … */
  | { readonly type: 'failed'; readonly errno: string }

/** A command under way. All orders may come at any time and do nothing after the end. */
export interface Supervised {
  readonly done: Promise<Outcome>
  /** The deadline has moved. */
  extend(deadline: Deadline): void
  /** SIGTERM now, SIGKILL after the grace. */
  stop(): void
  /** SIGKILL now. */
  kill(): void
  /** Passes a signal on to the whole group. */
  signal(name: NodeJS.Signals): void
}

/** @throws SignalboxError `invalid_argument` where a command cannot be supervised */
export function checkPlatform(platform: string = process.platform): void {
  if (platform !== 'win32') return
  throw new SignalboxError(
    'invalid_argument',
    `this platform (${platform}) has no process groups, so a command cannot be stopped for certain; run it in WSL or a container`,
  )
}

/** How long the supervisor may take to report what is plainly over before it counts as frozen. */
const REPORT_MS = 1_000
const START_MS = 50
const TICK_MS = 1_000
/** All that a bare Node needs to start; the command's own environment goes through the pipe. */
const SUPERVISOR_ENV = ['PATH', 'HOME', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH']

/**
 * Starts the command with this process's standard input and outputs, in a process group and session of its own. So it has
 * no controlling terminal: it can read and write the terminal it inherits, but not open /dev/tty.
 *
 * @throws SignalboxError `invalid_argument` on Windows, which has neither process groups nor these signals
 */
export function supervise(options: SuperviseOptions): Supervised {
  checkPlatform()
  const watch = new Watch(options)
  return {
    done: watch.done,
    extend: (deadline) => watch.extend(deadline),
    stop: () => watch.order({ type: 'stop' }),
    kill: () => watch.kill(),
    signal: (name) => watch.order({ type: 'signal', name }),
  }
}

class Watch {
  readonly #options: SuperviseOptions
  readonly #settled = Promise.withResolvers<Outcome>()
  readonly #child: ChildProcess
  readonly #pipe: Duplex
  #deadline: Deadline | undefined
  #group: ProcessGroup | undefined
  #over = false
  #enforcing = false
  #takingOver = false
  #timer: Timer | undefined

  constructor(options: SuperviseOptions) {
    this.#options = options
    this.#deadline = options.deadline
    const { command, args, env, stopGraceMs, deadline } = options
    this.#child = startSupervisor(env)
    this.#pipe = this.#child.stdio[3] as Duplex
    this.#child.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#child.pid === undefined) this.#settle({ type: 'failed', errno: error.code ?? error.message })
    })
    // 'close' comes once everything that it wrote has been read.
    this.#child.on('close', () => void this.#takeOver())
    this.#child.on('exit', () => this.#awaitReport())
    this.#pipe.on('error', () => undefined)
    this.#pipe.setEncoding('utf8')
    this.#pipe.on(
      'data',
      decoder((report) => this.#hear(report as Report)),
    )
    this.order({
      type: 'run',
      command,
      args,
      env: Object.fromEntries(Object.entries(env).filter((entry) => entry[1] !== undefined)) as Record<
        string,
        string
      >,
      stopGraceMs,
      ...(deadline === undefined ? {} : { deadline }),
    })
    this.#tick()
  }

  get done(): Promise<Outcome> {
    return this.#settled.promise
  }

  order(order: Order): void {
    if (!this.#over && this.#pipe.writable) this.#pipe.write(encode(order))
  }

  extend(deadline: Deadline): void {
    this.#deadline = deadline
    this.order({ type: 'deadline', deadline })
  }

  kill(): void {
    this.order({ type: 'kill' })
    this.#enforce()
  }

  #hear(report: Report): void {
    if (report.type === 'started') this.#group = report.group
    else if (!this.#takingOver) this.#settle(report)
  }

  /** Sees to the deadline should the supervisor not. */
  #tick(): void {
    const left = timeLeft(this.#deadline, this.#options.clock)
    if (left <= 0) this.#enforce()
    else this.#timer = this.#options.clock.timer(Math.min(left, TICK_MS), () => this.#tick())
  }

  #enforce(): void {
    if (this.#over || this.#enforcing) return
    this.#enforcing = true
    if (this.#group !== undefined) signalGroup(this.#group, 'SIGKILL')
    this.#awaitReport()
  }

  #awaitReport(): void {
    if (this.#over) return
    this.#timer?.cancel()
    this.#timer = this.#options.clock.timer(REPORT_MS, () => void this.#takeOver())
  }

  /** The supervisor is dead or does not answer: ends the group from here. */
  async #takeOver(): Promise<void> {
    if (this.#over || this.#takingOver) return
    this.#takingOver = true
    this.#timer?.cancel()
    this.#child.kill('SIGKILL')
    const { clock, stopGraceMs, marker } = this.#options
    const killAt = clock.monotonic() + stopGraceMs
    const killIn = (): number =>
      this.#enforcing ? 0 : Math.min(killAt - clock.monotonic(), timeLeft(this.#deadline, clock))
    // A command that was being started this moment gets the time to show its mark.
    if (this.#group === undefined) await sleep(clock, START_MS)
    const groups = this.#group === undefined ? groupsMarked(marker) : [this.#group]
    const ends = (groups ?? []).map((group) => endGroup(group, { clock, killIn }).catch(() => false))
    const groupDead = groups !== undefined && (await Promise.all(ends)).every(Boolean)
    const overdue = timeLeft(this.#deadline, clock) <= 0
    this.#settle({ type: 'ended', code: null, signal: null, groupDead, overdue })
  }

  #settle(outcome: Outcome): void {
    if (this.#over) return
    this.#over = true
    this.#timer?.cancel()
    this.#settled.resolve(outcome)
  }
}

function startSupervisor(env: SuperviseOptions['env']): ChildProcess {
  const self = import.meta.url
  const main = fileURLToPath(new URL(self.endsWith('.ts') ? './main.ts' : './main.js', self))
  const cache = getCompileCacheDir()
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main], {
    detached: true,
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: {
      ...Object.fromEntries(SUPERVISOR_ENV.map((name) => [name, env[name]])),
      ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }),
    },
  })
}
