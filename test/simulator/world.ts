/** What all parts of one history share. */
import {
  memoryDatabase,
  type FaultPlan,
  type MemoryDatabase,
  type MemoryStore,
} from '../../src/drivers/memory/index.ts'
import { seededRandom, type Random } from '../../src/kernel/id.ts'
import { Judge } from './judge.ts'
import type { Profile } from './profile.ts'
import { emptyTally, type FaultKind, type Tally } from './tally.ts'
import { Timeline } from './timeline.ts'
import { Trace } from './trace.ts'

export const QUEUE = 'deploy'

/** How bad the network between members and servers is: probabilities, and how long things take. */
export interface Weather {
  readonly lostRequest: number
  readonly slow: number
  /** Arrives when its sender may long have given up, or lost its turn. */
  readonly veryLate: number
  readonly duplicate: number
  readonly lostAnswer: number
  readonly hangUpUnnoticed: number
}

export const calmWeather: Weather = {
  lostRequest: 0,
  slow: 0,
  veryLate: 0,
  duplicate: 0,
  lostAnswer: 0,
  hangUpUnnoticed: 0,
}

export interface PlayOptions {
  /** Takes the trace, line by line. */
  readonly print?: ((line: string) => void) | undefined
  /** No servers: each member has a service of its own. */
  readonly serverless?: boolean | undefined
}

export class World {
  readonly profile: Profile
  readonly random: Random
  readonly timeline = new Timeline()
  readonly database: MemoryDatabase = memoryDatabase()
  readonly tally: Tally = emptyTally()
  readonly trace: Trace
  readonly judge: Judge
  weather: Weather
  storeFaults: FaultPlan
  /** True time at which faults stopped. */
  calmSince: number | undefined

  constructor(seed: number, profile: Profile, { print }: PlayOptions) {
    this.profile = profile
    this.random = seededRandom(seed ^ 0x5bd1e995)
    this.trace = new Trace(() => this.timeline.monotonic(), print)
    this.judge = new Judge(QUEUE, profile.permits, this.timeline, this.trace)
    this.weather = profile.weather
    this.storeFaults = profile.storeFaults
  }

  /** Faults stopped so long ago that their consequences are over. */
  get settled(): boolean {
    return this.calmSince !== undefined && this.timeline.monotonic() > this.calmSince + 3 * this.profile.ttlMs
  }

  count(kind: FaultKind, who?: string): void {
    this.tally[kind]++
    if (who !== undefined) this.trace.note(who, `fault: ${kind}`)
  }

  chance(probability: number): boolean {
    return probability > 0 && this.random.next() < probability
  }

  between(min: number, max: number): number {
    return min + this.random.next() * (max - min)
  }

  /** An index below `count`. */
  below(count: number): number {
    return Math.floor(this.random.next() * count)
  }

  /** Runs `act` after `ms` of true time. */
  later(ms: number, act: () => void): void {
    this.timeline.timer(ms, act)
  }
}

/** Counts what a connection to the store has injected. */
export function addFaults({ tally }: World, { faults }: MemoryStore): void {
  for (const [kind, n] of Object.entries(faults.injected)) {
    const name = `store ${kind}`
    if (name in tally) tally[name as FaultKind] += n
  }
}
