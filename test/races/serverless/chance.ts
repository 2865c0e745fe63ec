/** Chance in races: seeded, and the seed told, so that a failure can be tried again with SIGNALBOX_TEST_SEED. */
import { seededRandom, type Random } from '../../../src/kernel/id.ts'

export function chance(race: string): Random {
  const given = process.env['SIGNALBOX_TEST_SEED']
  const seed = given === undefined ? Math.floor(Math.random() * 1_000_000) : Number(given)
  console.log(`${race}: SIGNALBOX_TEST_SEED=${seed}`)
  return seededRandom(seed)
}

export function shuffled<T>(all: readonly T[], random: Random): T[] {
  const keyed = all.map((value) => ({ value, at: random.next() }))
  return keyed.sort((a, b) => a.at - b.at).map(({ value }) => value)
}

export function pause(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms))
}
