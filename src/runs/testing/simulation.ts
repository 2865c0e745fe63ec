/**
 * Runs under weather: several services on one faulty store, workers that crash, hang and come back from the dead, operators who
 * cancel and restart, queues that deliver twice. Everything follows from the seed.
 */
import type { FaultPlan } from '../../drivers/memory/faults.ts'
import { memoryDatabase, type MemoryStore } from '../../drivers/memory/index.ts'
import { isTransient } from '../../kernel/attempt.ts'
import { sleep } from '../../kernel/clock.ts'
import { isSignalboxError } from '../../kernel/error.ts'
import { seededRandom, type Random } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import type { NewRun, Outcome } from '../api.ts'
import { createRunsService, type RunsService } from '../service.ts'
import { hasEnded } from '../state.ts'
import { inconsistencies, Judge } from './judge.ts'

const LEASE_MS = 10_000
const VISIBILITY_MS = 20_000
const STORM_MS = 180_000
const CALM_MS = 900_000

interface Message {
  readonly queue: string
  readonly run: string
  visibleAt: number
  done: boolean
}

interface Server {
  runs: RunsService
  store: MemoryStore
}

export interface SimulationOptions {
  readonly seed: number
  readonly runs?: number
  /** Clocks of servers differ by up to so much. */
  readonly skewMs?: number
  /** Breaks the code for a test of the judge: wraps each service. */
  readonly sabotage?: (runs: RunsService) => RunsService
}

export interface Report {
  readonly problems: readonly string[]
  readonly states: Readonly<Record<string, number>>
  readonly faults: number
}

const STORM: FaultPlan = {
  conflict: 0.04,
  lostAfter: 0.04,
  lostBefore: 0.03,
  throttled: 0.03,
  unavailable: 0.02,
  delayBeforeMs: [0, 30],
  delayAfterMs: [0, 30],
}

export async function simulate(options: SimulationOptions): Promise<Report> {
  return new Simulation(options).play()
}

class Simulation {
  readonly #options: SimulationOptions
  readonly #clock = new ManualClock()
  readonly #random: Random
  readonly #database = memoryDatabase({ limits: { keys: 'decimal' } })
  readonly #judge = new Judge()
  readonly #servers: Server[] = []
  readonly #messages: Message[] = []
  readonly #handles: MemoryStore[] = []
  #storm = true
  #over = false
  #seeds = 0

  constructor(options: SimulationOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed)
  }

  async play(): Promise<Report> {
    for (let i = 0; i < 3; i++) this.#servers.push(await this.#newServer())
    const people = [
      this.#enqueuer(),
      this.#operator(),
      this.#killer(),
      ...Array.from({ length: 5 }, (_, n) => this.#worker(`w${n}`)),
    ]
    const settled = Promise.all(people)
    await this.#clock.advance(STORM_MS)
    this.#storm = false
    for (const { store } of this.#servers) {
      store.faults.plan = {}
      store.faults.clockOffsetMs = 0
    }
    const held = [...this.#judge.latest].filter(([, { run }]) => run.hold !== undefined)
    await Promise.all([...held.map(([id]) => this.#letGo(id)), this.#clock.advance(1_000)])
    for (let waited = 0; waited < CALM_MS && !this.#allEnded(); waited += 5_000)
      await this.#clock.advance(5_000)
    await this.#clock.advance(60_000)
    this.#over = true
    await this.#clock.advance(60_000)
    await settled
    for (const { runs } of this.#servers) await this.#closed(runs)
    const store = this.#database.connect({ clock: this.#clock })
    const states: Record<string, number> = {}
    for (const [id, { run }] of this.#judge.latest) {
      states[run.state] = (states[run.state] ?? 0) + 1
      if (!hasEnded(run.state)) this.#judge.problems.push(`${id}: stuck, ${run.state}`)
    }
    const faults = this.#handles
      .flatMap((handle) => Object.values(handle.faults.injected))
      .reduce((a, b) => a + b, 0)
    const problems = [...this.#judge.problems, ...(await inconsistencies(store, this.#judge.latest))]
    return { problems, states, faults }
  }

  async #newServer(): Promise<Server> {
    const { seed, skewMs = 2_000, sabotage = (runs) => runs } = this.#options
    const random = seededRandom(seed * 1_000 + ++this.#seeds)
    const store = this.#database.connect({
      clock: this.#clock,
      random,
      faults: this.#storm ? STORM : {},
      onCommit: this.#judge.saw,
    })
    this.#handles.push(store)
    if (this.#storm) {
      store.faults.clockOffsetMs = (random.next() * 2 - 1) * skewMs
      store.faults.clockUncertaintyMs = skewMs
    }
    const runs = createRunsService({
      store,
      clock: this.#clock,
      random,
      send: async (queue, messages) =>
        messages.map(({ body, delayMs = 0 }) => this.#send(queue, body, delayMs)),
    })
    await runs.start()
    return { runs: sabotage(runs), store }
  }

  /** The queue takes most messages, and some twice. */
  #send(queue: string, body: string, delayMs: number): boolean {
    if (this.#storm && this.#chance(0.1)) return false
    const { run } = JSON.parse(body) as { run: string }
    const copies = this.#storm && this.#chance(0.1) ? 2 : 1
    for (let i = 0; i < copies; i++) {
      this.#messages.push({ queue, run, visibleAt: this.#clock.now() + delayMs, done: false })
    }
    return !(this.#storm && this.#chance(0.05)) // taken, and said not to be
  }

  #chance(p: number): boolean {
    return this.#random.next() < p
  }

  #any<T>(all: readonly T[]): T {
    return all[Math.floor(this.#random.next() * all.length)] as T
  }

  #allEnded(): boolean {
    return [...this.#judge.latest.values()].every(({ run }) => hasEnded(run.state))
  }

  async #pause(maxMs: number): Promise<void> {
    await sleep(this.#clock, this.#random.next() * maxMs)
  }

  async #enqueuer(): Promise<void> {
    const { runs = 60 } = this.#options
    for (let i = 0; i < runs && this.#storm; i++) {
      const one = (id?: string): NewRun => ({
        ...(id === undefined ? {} : { id: `job${i % 3}:${id}` }),
        job: `job${i % 3}`,
        queue: i % 5 === 0 ? 'ordered.fifo' : 'default',
        input: this.#chance(0.1) ? 'x'.repeat(3_000) : { i },
        attempts: 1 + Math.floor(this.#random.next() * 4),
        onLost: this.#chance(0.6) ? 'retry' : 'fail',
        source: 'enqueue',
        ...(this.#chance(0.3) ? { delayMs: this.#random.next() * 20_000 } : {}),
        ...(this.#chance(0.3) ? { timeoutMs: 15_000 } : {}),
        ...(this.#chance(0.2) ? { schedule: 'nightly' } : {}),
        ...this.#any([{}, {}, {}, {}, {}, {}, { skipped: 'overlaps' }, { hold: 'waits' }, { hold: 'waits' }]),
      })
      const some = this.#chance(0.3) ? [one('same'), one(), one(`n${i % 7}`)] : [one()]
      await this.#tried((api) => api.createMany(some))
      await this.#pause(4_000)
    }
  }

  async #operator(): Promise<void> {
    while (this.#storm) {
      await this.#pause(8_000)
      const ids = [...this.#judge.latest.keys()]
      if (ids.length === 0) continue
      const id = this.#any(ids)
      await this.#letGo(id)
      if (this.#chance(0.5)) await this.#tried((api) => api.cancel(id, { by: 'ann' }))
      else await this.#tried((api) => api.restart(id, { by: 'ann' }))
    }
  }

  /** Two servers at once, as replicas do. */
  async #letGo(id: string): Promise<void> {
    const released = await Promise.all([1, 2].map(() => this.#tried((api) => api.release(id))))
    if (released.every((yes) => yes === true)) this.#judge.problems.push(`${id}: released twice`)
  }

  /** Servers die and come back. */
  async #killer(): Promise<void> {
    while (this.#storm) {
      await this.#pause(40_000)
      const index = Math.floor(this.#random.next() * this.#servers.length)
      const old = this.#servers[index] as Server
      old.store.faults.cut({ failAfterMs: 50 })
      void this.#closed(old.runs)
      this.#servers[index] = await this.#newServer()
    }
  }

  async #closed(runs: RunsService): Promise<void> {
    await runs.close().catch(() => undefined)
  }

  async #worker(name: string): Promise<void> {
    while (!this.#over) {
      await this.#pause(500)
      const now = this.#clock.now()
      const message = this.#messages.find(({ visibleAt, done }) => !done && visibleAt <= now)
      if (message === undefined) continue
      message.visibleAt = now + VISIBILITY_MS
      await this.#work(name, message)
    }
  }

  async #work(name: string, message: Message): Promise<void> {
    const id = message.run
    const nonce = this.#random.id()
    const claim = await this.#tried((api) => api.claim(id, { worker: name, leaseMs: LEASE_MS, nonce }))
    if (claim === undefined) return
    if (!claim.claimed) {
      if (claim.retryAfterMs === undefined) message.done = true
      else message.visibleAt = this.#clock.now() + claim.retryAfterMs
      return
    }
    const { epoch } = claim
    this.#judge.claimed(id, epoch, nonce)
    if (this.#storm && this.#chance(0.1)) return // crashed
    let logged = 0
    let cancelled = false
    for (let beats = Math.floor(this.#random.next() * 5); beats > 0 && !cancelled; beats--) {
      await this.#pause(4_000)
      if (this.#chance(0.6)) {
        const from = logged
        const lines = Array.from({ length: 1 + Math.floor(this.#random.next() * 3) }, () => ({
          at: this.#clock.now(),
          level: 'info' as const,
          text: `${epoch}/${logged++}`,
        }))
        await this.#tried((api) => api.log(id, epoch, lines, from), true)
      }
      const beat = await this.#tried((api) =>
        api.beat(id, epoch, { leaseMs: LEASE_MS, progress: { done: beats } }),
      )
      if (beat?.held === false) {
        if (this.#chance(0.5)) return // it gives up; else it is a zombie that ends anyway
      } else if (beat?.cancel !== undefined) cancelled = true
    }
    if (this.#storm && this.#chance(0.1)) await sleep(this.#clock, 30_000) // suspended
    const outcome = cancelled ? ({ kind: 'cancelled' } as const) : this.#outcome()
    const finished = await this.#tried((api) => api.finish(id, epoch, outcome))
    if (finished === undefined) return // its wake-up comes back
    if (finished.accepted) this.#judge.accepted(id, epoch, outcome.kind)
    if (finished.retryAfterMs === undefined) message.done = true
    else message.visibleAt = this.#clock.now() + finished.retryAfterMs
  }

  #outcome(): Outcome {
    const retry = this.#chance(0.7) ? { retryDelayMs: this.#random.next() * 15_000 } : {}
    return this.#any<Outcome>([
      { kind: 'succeeded', result: this.#chance(0.2) ? 'r'.repeat(3_000) : { ok: true } },
      { kind: 'succeeded' },
      { kind: 'failed', error: { message: 'no' }, ...retry },
      { kind: 'timed_out', ...retry },
      { kind: 'returned' },
    ])
  }

  /** On any server; again on another while the answer is a failure that passes. */
  async #tried<T>(call: (api: RunsService) => Promise<T>, untilKnown = false): Promise<T | undefined> {
    for (let chance = 0; chance < (untilKnown ? 200 : 6); chance++) {
      try {
        return await call(this.#any(this.#servers).runs)
      } catch (error) {
        if (isSignalboxError(error, 'conflict') || isSignalboxError(error, 'not_found')) return undefined
        if (!isTransient(error)) {
          this.#judge.problems.push(`a call failed: ${String(error)}`)
          return undefined
        }
        await this.#pause(500)
      }
    }
    return undefined
  }
}
