/**
 * Schedules under weather: five servers on one faulty store, their clocks seconds apart and now and then set anew, killed at random in
 * the midst of what they do and replaced a while later, now and then all at once; people who edit, pause and resume; workers that run what
 * is sent. Everything follows from the seed.
 */
import type { FaultPlan } from '../../drivers/memory/faults.ts'
import { seededRandom } from '../../kernel/id.ts'
import type { Store } from '../../ports/store.ts'
import { inconsistencies, Judge } from '../../runs/testing/judge.ts'
import { hasEnded } from '../../runs/state.ts'
import { overlapPolicies, type OverlapPolicy } from '../vocabulary.ts'
import { ScheduleJudge } from './judge.ts'
import { Dice, People } from './people.ts'
import { scheduleWorld, type Replica, type World } from './world.ts'

const REPLICAS = 5
const MINUTE_MS = 60_000
/** After the storm everything must be made up for within this time. */
const CALM_MS = 2 * MINUTE_MS
/** What runs when nothing fires any more must have ended within this time. */
const END_MS = 30 * MINUTE_MS
/** An event that has not come by then is taken for lost; some time to make up for it. */
const LOST_EVENT_MS = 18 * MINUTE_MS

export interface SimulationOptions {
  readonly seed: number
  /** Every-minute schedules whose times must all be there. Default 200. */
  readonly schedules?: number
  /** Beside them, those that people edit and pause all the time. Default a tenth. */
  readonly edited?: number
  /** Default 10. */
  readonly minutes?: number
  /** Clocks of servers are off by up to so much. Default 5 s. */
  readonly skewMs?: number
  /** How many servers die in a minute, about; 1 at least. Default 3. */
  readonly deaths?: number
  /**
   * Fired from elsewhere, by events that come late, twice or never; each is sent until it is answered. Default: by the servers.
   */
  readonly external?: boolean
  /** Breaks the code for a test of the judge. */
  readonly sabotage?: (store: Store) => Store
}

export interface Report {
  readonly problems: readonly string[]
  /** Times that fired and had to. */
  readonly fired: number
  readonly wanted: number
  /** Of these, later than half a minute by true time. */
  readonly late: number
  /** Runs that waited for others, and times that were skipped for them. */
  readonly held: number
  readonly skipped: number
  readonly deaths: number
  /** Kinds of faults, and how often they were injected. */
  readonly faults: Readonly<Record<string, number>>
  /** Of all that was written, in order: the same history has the same. */
  readonly history: number
}

const STORM: FaultPlan = {
  conflict: 0.02,
  lostAfter: 0.02,
  lostBefore: 0.02,
  throttled: 0.02,
  unavailable: 0.02,
  delayBeforeMs: [0, 20],
  delayAfterMs: [0, 20],
}

export function simulate(options: SimulationOptions): Promise<Report> {
  return new Simulation(options).play()
}

class Simulation {
  readonly #options: Required<Omit<SimulationOptions, 'sabotage'>> & Pick<SimulationOptions, 'sabotage'>
  readonly #dice: Dice
  readonly #people: People
  readonly #world: World = scheduleWorld()
  readonly #judge: ScheduleJudge
  readonly #runs = new Judge()
  readonly #faults: Record<string, number> = {}
  #storm = false
  #deaths = 0
  #seeds = 0
  #history = 0

  constructor(options: SimulationOptions) {
    const schedules = options.schedules ?? 200
    this.#options = {
      schedules,
      edited: Math.ceil(schedules / 10),
      minutes: 10,
      skewMs: 5_000,
      deaths: 3,
      external: false,
      ...options,
    }
    this.#judge = new ScheduleJudge({
      now: () => this.#world.clock.now(),
      skewMs: this.#options.skewMs,
      external: this.#options.external,
    })
    this.#dice = new Dice(this.#world.clock, seededRandom(options.seed))
    this.#people = new People({
      world: this.#world,
      dice: this.#dice,
      storms: () => this.#storm,
      objects: (problem) => this.#judge.problems.push(problem),
    })
  }

  async play(): Promise<Report> {
    const { clock } = this.#world
    const { minutes, external } = this.#options
    for (let i = 0; i < REPLICAS; i++) await this.#start()
    await this.#world.driven(this.#makeSchedules())
    this.#storm = true
    for (const replica of this.#world.replicas) this.#unsettle(replica)
    const from = clock.now()
    const people = Promise.all([
      this.#killer(),
      this.#clocks(),
      this.#people.edit(this.#names('edited')),
      ...(external ? [this.#people.sendEvents(this.#names('steady'))] : []),
    ])
    const workers = this.#people.work()
    await clock.advance(minutes * MINUTE_MS)
    this.#calm()
    while (this.#world.replicas.length < REPLICAS) await this.#world.driven(this.#start())
    const to = clock.now()
    await clock.advance(external ? LOST_EVENT_MS : CALM_MS)
    await this.#world.driven(people)
    await clock.advance((1.5 * MINUTE_MS - (clock.now() % MINUTE_MS)) % MINUTE_MS) // no time is near
    const lost = [
      ...this.#names('steady').flatMap((name) => this.#judge.missing(name, from, to)),
      ...(await this.#judge.misplaced(this.#world.store)),
    ]
    await this.#stopFiring()
    for (const spare of this.#world.replicas.slice(1)) await this.#world.kill(spare)
    for (let waited = 0; waited < END_MS && !this.#allEnded(); waited += 5_000) await clock.advance(5_000)
    this.#people.goHome()
    await this.#world.driven(workers)
    return this.#report(from, to, lost)
  }

  async #report(from: number, to: number, lost: readonly string[]): Promise<Report> {
    const wanted = this.#names('steady')
    const mustRun = new Set(wanted.filter((_, n) => overlapOf(n) !== 'skip'))
    const problems = [
      ...this.#judge.problems,
      ...this.#runs.problems,
      ...lost,
      ...[...this.#judge.fired.values()]
        .filter(({ schedule, skipped }) => skipped && mustRun.has(schedule))
        .map(({ id }) => `${id}: skipped`),
      ...[...this.#runs.latest.values()]
        .filter(({ run }) => !hasEnded(run.state))
        .map(({ run }) => `${run.id}: stuck, ${run.state}`),
      ...(await this.#judge.misplaced(this.#world.store)),
      ...(await this.#judge.leftHeld(this.#world.store)),
      ...(await inconsistencies(this.#world.store, this.#runs.latest)),
    ]
    for (const replica of this.#world.replicas) this.#count(replica)
    await this.#world.close()
    const due = [...this.#judge.fired.values()].filter(
      ({ schedule, scheduledAt }) => schedule.startsWith('steady') && scheduledAt >= from && scheduledAt < to,
    )
    return {
      problems,
      fired: due.length,
      wanted: wanted.length * (Math.ceil(to / MINUTE_MS) - Math.ceil(from / MINUTE_MS)),
      late: due.filter(({ at, scheduledAt }) => at - scheduledAt > 30_000).length,
      held: this.#judge.held.size,
      skipped: due.filter(({ skipped }) => skipped).length,
      deaths: this.#deaths,
      faults: this.#faults,
      history: this.#history,
    }
  }

  #names(kind: 'steady' | 'edited'): string[] {
    const count = kind === 'steady' ? this.#options.schedules : this.#options.edited
    return Array.from({ length: count }, (_, n) => `${kind}-${n}`)
  }

  async #makeSchedules(): Promise<void> {
    for (const [n, name] of this.#names('steady').entries()) {
      const overlap = overlapOf(n)
      await this.#world.put({
        name,
        overlap,
        missed: 'all',
        missedLimit: 1_000,
        ...(n % 5 === 0 ? { jitterMs: 5_000 } : {}),
      })
    }
    for (const name of this.#names('edited')) await this.#world.put({ name, overlap: 'allow' })
  }

  async #start(): Promise<Replica> {
    const { seed, external, sabotage } = this.#options
    const replica = await this.#world.start({
      seed: seed * 1_000 + ++this.#seeds,
      onCommit: (changes) => {
        for (const { key } of changes) this.#history = mixed(this.#history, `${key[0]} ${key[1]}`)
        this.#runs.saw(changes)
        this.#judge.saw(changes)
      },
      ...(sabotage === undefined ? {} : { sabotage }),
      offsetMs: this.#offset(),
      pollMs: 5_000,
      trigger: external ? 'eventbridge' : 'embedded',
      ...(this.#storm ? { faults: STORM } : {}),
    })
    return replica
  }

  #unsettle({ store }: Replica): void {
    store.faults.plan = STORM
  }

  #calm(): void {
    this.#storm = false
    for (const { store } of this.#world.replicas) {
      store.faults.plan = {}
      if (store.faults.isCut) store.faults.heal()
    }
  }

  #offset(): number {
    const { skewMs } = this.#options
    return this.#dice.below(2 * skewMs) - skewMs
  }

  /** Servers die, one and sometimes all, and others come some time later. */
  async #killer(): Promise<void> {
    const { deaths } = this.#options
    while (this.#storm) {
      await this.#dice.pause((2 * MINUTE_MS) / deaths)
      if (!this.#storm) return
      const { replicas } = this.#world
      const dying = this.#dice.chance(0.05) ? [...replicas] : [this.#dice.any(replicas)]
      for (const replica of dying) {
        if (replica === undefined) continue
        this.#deaths++
        this.#count(replica)
        void replica.kill()
        void this.#replaced()
      }
    }
  }

  async #replaced(): Promise<void> {
    await this.#dice.pause(20_000)
    if (this.#storm) await this.#start()
  }

  /** Clocks are set anew; now and then a server is cut off for a while. */
  async #clocks(): Promise<void> {
    while (this.#storm) {
      await this.#dice.pause(20_000)
      if (!this.#storm) return
      const replica = this.#dice.any(this.#world.replicas)
      if (replica === undefined) continue
      const offset = this.#offset()
      replica.machine.offsetMs = offset
      replica.store.faults.clockOffsetMs = offset
      if (!this.#dice.chance(0.2)) continue
      replica.store.faults.cut({ failAfterMs: 1_000 })
      await this.#dice.pause(10_000)
      if (this.#world.replicas.includes(replica)) replica.store.faults.heal()
    }
  }

  /** No more times, so that what was fired can end. */
  async #stopFiring(): Promise<void> {
    const [replica] = this.#world.replicas
    if (replica === undefined) throw new Error('no server lives')
    for (const name of [...this.#names('steady'), ...this.#names('edited')]) {
      await this.#world
        .driven(replica.schedules.pause(name, { by: 'ann' }))
        .catch((error: unknown) => this.#judge.problems.push(`${name} cannot be paused: ${String(error)}`))
    }
  }

  #allEnded(): boolean {
    const ended = [...this.#runs.latest.values()].every(({ run }) => hasEnded(run.state))
    return ended && this.#people.idle
  }

  #count({ store }: Replica): void {
    for (const [kind, count] of Object.entries(store.faults.injected)) {
      this.#faults[kind] = (this.#faults[kind] ?? 0) + count
    }
  }
}

function overlapOf(n: number): OverlapPolicy {
  return overlapPolicies[n % overlapPolicies.length] as OverlapPolicy
}

function mixed(hash: number, text: string): number {
  let mixed = hash
  for (let i = 0; i < text.length; i++) mixed = (Math.imul(mixed, 31) + text.charCodeAt(i)) | 0
  return mixed
}
