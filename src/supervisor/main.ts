/**
 * The supervisor: a small process between `turn run` (or `lease run`) and its command, so that the command ends with the turn even
 * when `turn run` itself is killed or frozen.
 *
 * Invariants:
 * - the command runs in a process group of its own; the supervisor in another session, out of reach of the terminal
 *   and of signals to the parent's group;
 * - the group is told to stop (SIGTERM) one grace before the deadline, and killed (SIGKILL) at it, on either clock;
 * - the same when the parent dies (end of stream), at once, and never later than the deadline;
 * - `ended` is reported when the whole group is dead: members that outlive the command are stopped first.
 *
 * Only what kills or freezes parent *and* supervisor at once leaves a command alone.
 *
 * It starts each time a turn or lease comes: it imports built-ins of Node and files that import nothing else.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'
import { systemClock, type Clock, type Timer } from '../kernel/clock.ts'
import type { Deadline } from '../kernel/deadline.ts'
import { endGroup, groupOf, signalGroup, type ProcessGroup } from './process-group.ts'
import { decoder, encode, type Order, type Report } from './protocol.ts'
import { timeLeft } from './time-left.ts'

/** How often the wall clock is looked at: the delay after the machine wakes. */
const TICK_MS = 250

interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

class Supervisor {
  readonly #clock: Clock
  readonly #parent: Socket
  readonly #exited = Promise.withResolvers<Exit>()
  #group: ProcessGroup | undefined
  #deadline: Deadline | undefined
  #graceMs = 0
  /** Monotonic ms; set when the end has begun. */
  #killAt: number | undefined
  #overdue = false
  #timer: Timer | undefined

  constructor(clock: Clock, parent: Socket) {
    this.#clock = clock
    this.#parent = parent
  }

  obey(order: Order): void {
    switch (order.type) {
      case 'run':
        this.#run(order)
        break
      case 'deadline':
        this.#deadline = order.deadline
        this.#watch()
        break
      case 'stop':
        this.stop()
        break
      case 'kill':
        this.#end(0)
        break
      case 'signal':
        if (this.#group !== undefined) signalGroup(this.#group, order.name)
        break
    }
  }

  /** The orderly end: SIGTERM, SIGKILL after the grace. */
  stop(): void {
    if (this.#group === undefined) process.exit(0)
    this.#end(this.#graceMs)
  }

  /** The end when something is wrong here. */
  abandon(): never {
    if (this.#group !== undefined) signalGroup(this.#group, 'SIGKILL')
    process.exit(70)
  }

  #run(order: Order & { type: 'run' }): void {
    this.#deadline = order.deadline
    this.#graceMs = order.stopGraceMs
    if (timeLeft(this.#deadline, this.#clock) <= this.#graceMs) {
      this.#report({ type: 'ended', code: null, signal: 'SIGTERM', groupDead: true, overdue: true })
      return
    }
    let child: ChildProcess
    try {
      child = spawn(order.command, [...order.args], { detached: true, stdio: 'inherit', env: order.env })
    } catch (error) {
      this.#report({ type: 'failed', errno: errnoOf(error) })
      return
    }
    if (child.pid === undefined) {
      child.on('error', (error) => this.#report({ type: 'failed', errno: errnoOf(error) }))
      return
    }
    this.#group = groupOf(child.pid)
    this.#parent.write(encode({ type: 'started', group: this.#group }))
    child.on('exit', (code, signal) => {
      this.#exited.resolve({ code, signal })
      this.#end(this.#graceMs)
    })
    this.#watch()
  }

  #watch(): void {
    this.#timer?.cancel()
    if (this.#group === undefined || this.#deadline === undefined || this.#killAt !== undefined) return
    const left = timeLeft(this.#deadline, this.#clock) - this.#graceMs
    if (left <= 0) {
      this.#overdue = true
      this.#end(this.#graceMs)
    } else this.#timer = this.#clock.timer(Math.min(left, TICK_MS), () => this.#watch())
  }

  #end(graceMs: number): void {
    const group = this.#group
    if (group === undefined) return
    const begun = this.#killAt !== undefined
    this.#killAt = Math.min(this.#killAt ?? Infinity, this.#clock.monotonic() + graceMs)
    this.#timer?.cancel()
    if (begun) return
    const killIn = (): number =>
      Math.min((this.#killAt ?? 0) - this.#clock.monotonic(), timeLeft(this.#deadline, this.#clock))
    endGroup(group, { clock: this.#clock, killIn }).then(
      (groupDead) => this.#ended(groupDead),
      () => this.abandon(),
    )
  }

  async #ended(groupDead: boolean): Promise<void> {
    // A dead group's leader is reaped at once; one that cannot be killed is not waited for.
    const unknown: Exit = { code: null, signal: 'SIGKILL' }
    const exit = groupDead ? await this.#exited.promise : unknown
    this.#report({ type: 'ended', ...exit, groupDead, overdue: this.#overdue })
  }

  /** The last word. */
  #report(report: Report): void {
    if (this.#parent.destroyed) process.exit(0)
    this.#parent.on('error', () => process.exit(0))
    this.#parent.end(encode(report), () => process.exit(0))
  }
}

function errnoOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error)
}

process.title = 'signalbox: supervisor'
const parent = new Socket({ fd: 3, readable: true, writable: true })
const supervisor = new Supervisor(systemClock, parent)
process.on('uncaughtException', () => supervisor.abandon())
for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => supervisor.stop())
parent.setEncoding('utf8')
parent.on(
  'data',
  decoder((order) => supervisor.obey(order as Order)),
)
parent.on('error', () => undefined)
parent.on('close', () => supervisor.stop())
parent.on('end', () => supervisor.stop())
