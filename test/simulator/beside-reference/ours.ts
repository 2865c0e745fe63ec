/** Processes of ours: each a machine with a turns service beside the reference, and members that take turns through it. */
import type { FaultPlan, MemoryDatabase, MemoryStore } from '../../../src/drivers/memory/index.ts'
import { isSignalboxError, SignalboxError } from '../../../src/kernel/error.ts'
import type { Random } from '../../../src/kernel/id.ts'
import type { Range, Store } from '../../../src/ports/store.ts'
import type { TurnsApi } from '../../../src/turns/api.ts'
import { besideReference } from '../../../src/turns/guard.ts'
import { createTurnsService, type TurnsService } from '../../../src/turns/service.ts'
import { openTurn, type Turn } from '../../../src/turns/session.ts'
import type { ReferenceTable } from '../../support/reference-client.ts'
import { Machine } from '../machine.ts'
import type { Timeline } from '../timeline.ts'
import { QUEUE, type Judge } from './judge.ts'

export interface Surroundings {
  readonly timeline: Timeline
  readonly random: Random
  readonly database: MemoryDatabase
  readonly table: ReferenceTable
  readonly judge: Judge
  readonly trace: (who: string, what: string) => void
}

export interface Character {
  readonly permits: number
  readonly ttlMs: number
  readonly stopGraceMs: number
  readonly workMs: number
}

const MAX_DRIFT = 0.03

export class Process {
  readonly machine: Machine
  readonly store: MemoryStore
  readonly api: TurnsApi
  readonly #service: TurnsService
  /** The engine throttles its writes to the bare partition, and no others. */
  guardThrottled = false

  constructor(world: Surroundings, name: string, faults: FaultPlan) {
    const { timeline, random, database, judge, table } = world
    const wallOffsetMs = (random.next() * 2 - 1) * 600_000
    const rate = 1 + (random.next() * 2 - 1) * MAX_DRIFT
    this.machine = new Machine(name, timeline, random, { rate, wallOffsetMs })
    this.store = database.connect({
      clock: timeline,
      random,
      faults,
      onCommit: (changes) => {
        judge.committed(name, changes)
        table.observe(changes)
      },
    })
    this.store.faults.clockOffsetMs = (random.next() * 2 - 1) * 1_000
    this.store.faults.clockUncertaintyMs = 1_000
    const store = gated(this, (keys) => judge.looked(name, keys))
    const serverless = random.next() < 0.7
    this.#service = createTurnsService({ store, clock: this.machine, random, serverless })
    this.api = besideReference({ turns: this.#service, store, clock: this.machine, random })
  }

  kill(): void {
    this.machine.kill()
    void this.store.close()
  }

  async close(): Promise<void> {
    if (this.machine.state === 'dead') return
    await this.#service.close()
    await this.store.close()
  }
}

export class Member {
  readonly name: string
  readonly process: Process
  readonly #world: Surroundings
  readonly #character: Character
  readonly #giveUp = new AbortController()
  held = false
  lost = false
  over = false

  constructor(world: Surroundings, name: string, process: Process, character: Character) {
    this.name = name
    this.process = process
    this.#world = world
    this.#character = character
  }

  get living(): boolean {
    return this.process.machine.state !== 'dead'
  }

  abort(): void {
    this.process.machine.run(() => this.#giveUp.abort())
  }

  async live(): Promise<void> {
    const { random, trace, judge } = this.#world
    const { permits, ttlMs, stopGraceMs } = this.#character
    try {
      const turn = await openTurn({
        api: this.process.api,
        clock: this.process.machine,
        random,
        queue: QUEUE,
        permits,
        ttlMs,
        stopGraceMs,
        connectTimeoutMs: 3_600_000,
        signal: this.#giveUp.signal,
        onProgress: (progress) => {
          if ('error' in progress) trace(this.name, `${progress.type}: ${progress.error.message}`)
          else if (progress.type === 'waiting')
            trace(this.name, `waits at ${progress.view.position}: ${progress.view.reason ?? ''}`)
        },
      })
      await this.#work(turn)
    } catch (error) {
      const fine = isSignalboxError(error, 'turn_lost') || isSignalboxError(error, 'cancelled')
      if (!fine) judge.violated('nobody is refused', `${this.name}: ${String(error)}`)
      trace(this.name, String(error))
    }
    this.over = true
    trace(this.name, 'is through')
  }

  async #work(turn: Turn): Promise<void> {
    const { judge, trace } = this.#world
    const { machine } = this.process
    let limits = turn.limits()
    let ended = false
    const work = {
      name: this.name,
      atWork: () =>
        !ended &&
        machine.state !== 'suspended' &&
        machine.monotonic() < limits.at &&
        machine.now() < limits.wallAt,
      leftMs: () => (limits.at - machine.monotonic()) / machine.rate,
    }
    this.held = true
    trace(this.name, `works, fence ${turn.fence}`)
    judge.works(work)
    turn.onDeadline((later) => {
      limits = later
      if (!ended) judge.works(work)
    })
    await new Promise<void>((resolve) => {
      const timer = machine.timer(this.#character.workMs, resolve)
      const stop = (): void => {
        timer.cancel()
        resolve()
      }
      if (turn.lost.aborted) stop()
      turn.lost.addEventListener('abort', stop, { once: true })
    })
    ended = true
    judge.stops(work)
    this.lost = turn.lost.aborted
    trace(this.name, this.lost ? `lost: ${String(turn.lost.reason)}` : 'ends its work')
    trace(this.name, `release: ${await turn.release()}`)
  }
}

/** The store as a process sees it: answers reach it through its machine's gate. */
function gated(process: Process, looked: (keys: ReadonlySet<number>) => void): Store {
  const { machine, store } = process
  return {
    limits: store.limits,
    now: () => store.now(),
    get: (key) => machine.admit(store.get(key)),
    list: (range, options) => {
      const page = store.list(range, options)
      if (range.partition === QUEUE) {
        page.then(
          ({ records }) => looked(new Set(records.map(({ key }) => Number(key[1])))),
          () => {},
        )
      }
      return machine.admit(page)
    },
    commit: (changes) => {
      if (process.guardThrottled && changes.some(({ key }) => key[0] === QUEUE))
        return machine.admit(Promise.reject(new SignalboxError('throttled', 'simulated: a hot partition')))
      return machine.admit(store.commit(changes))
    },
    deleteRange: (range, options) => machine.admit(store.deleteRange(range, options)),
    close: () => machine.admit(store.close()),
    watch: (range: Range, signal: AbortSignal): AsyncIterable<void> => ({
      [Symbol.asyncIterator]: () => {
        const hints = store.watch(range, signal)[Symbol.asyncIterator]()
        return {
          next: () => machine.admit(hints.next()),
          return: () => hints.return?.() ?? Promise.resolve({ done: true, value: undefined }),
        }
      },
    }),
  }
}
