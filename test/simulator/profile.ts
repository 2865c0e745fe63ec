/** What a seed makes of a history: how many members, how long, how bad. Half the histories specialise in one trouble. */
import type { FaultPlan } from '../../src/drivers/memory/index.ts'
import { seededRandom } from '../../src/kernel/id.ts'
import type { Weather } from './world.ts'

export type Size = 'small' | 'large' | 'huge'

export interface Profile {
  readonly size: Size
  readonly permits: number
  readonly ttlMs: number
  readonly stopGraceMs: number
  /** 0: each member has a service of its own, and the store is where they meet. */
  readonly servers: number
  readonly members: number
  /** How many join within the first second. */
  readonly rush: number
  /** How many join when faults have long stopped. */
  readonly late: number
  /** Most of those who wait are killed at one moment, near the end: a row of dead waiters. */
  readonly massacre: boolean
  /** True milliseconds until faults and deaths stop. */
  readonly chaosMs: number
  /** Mean true milliseconds between two actions of chaos. */
  readonly paceMs: number
  readonly workMs: readonly [number, number]
  readonly priorities: readonly number[]
  readonly weather: Weather
  readonly storeFaults: FaultPlan
}

/** @param seed every 400th is huge, every 40th large */
export function profileOf(seed: number, serverless = false): Profile {
  const random = seededRandom(Math.imul(seed, 0x9e3779b1))
  const between = (min: number, max: number): number => min + random.next() * (max - min)
  const whole = (min: number, max: number): number => Math.floor(between(min, max + 1))
  const size: Size = seed % 400 === 0 ? 'huge' : seed % 40 === 0 ? 'large' : 'small'
  const ttlMs = 1_000 * whole(6, 24)
  const bad = size === 'small' ? between(0, 1) ** 2 : 0.15
  const massacre = size !== 'small' && random.next() < 0.6
  const members = { small: whole(3, 12), large: whole(30, 60), huge: whole(200, 300) }[size]
  return {
    size,
    permits: massacre || (size === 'small' && random.next() < 0.5) ? 1 : whole(1, 5),
    ttlMs,
    // The most that this TTL leaves room for: 0.3 · TTL.
    stopGraceMs: Math.floor(ttlMs * between(0.05, 0.29)),
    servers: serverless ? 0 : whole(1, 3),
    members,
    late: random.next() < 0.3 ? whole(2, 5) : 0,
    massacre,
    rush: size === 'small' ? whole(1, members) : Math.floor(members * 0.9),
    chaosMs: ttlMs * between(3, 7),
    paceMs: size === 'small' ? ttlMs / between(2, 10) : ttlMs / between(1, 4),
    workMs: size === 'small' ? [50, ttlMs * between(0.05, 1.2)] : [20, size === 'huge' ? 200 : 1_500],
    priorities: random.next() < 0.5 ? [50] : [50, 50, 50, 10, 60, 90],
    weather: {
      lostRequest: bad * 0.15,
      slow: bad * 0.2,
      veryLate: bad * 0.06,
      duplicate: bad * 0.1,
      lostAnswer: bad * 0.15,
      hangUpUnnoticed: 0.4,
    },
    storeFaults: {
      conflict: bad * 0.05,
      lostAfter: bad * 0.08,
      lostBefore: bad * 0.05,
      throttled: bad * 0.04,
      unavailable: bad * 0.04,
      full: bad * 0.02,
      delayBeforeMs: [0, random.next() < 0.5 ? 5 : 300],
      delayAfterMs: [0, random.next() < 0.5 ? 5 : 300],
      hintDelayed: bad * 0.3,
      hintDelayMs: [10, 2_000],
    },
  }
}
