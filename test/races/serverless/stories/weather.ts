/**
 * Forty seconds in which three of ten requests fail, half of them after they took effect: a holder keeps its turn, joins
 * that come meanwhile are not lost, and then all have their turns in order.
 */
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Random } from '../../../../src/kernel/id.ts'
import { brewWeather } from '../../../support/proxy/firestore-weather.ts'
import { startWeather } from '../../../support/proxy/weather.ts'
import { temporaryFolder, until, type Running } from '../../../support/processes.ts'
import { chance, pause } from '../chance.ts'
import { openArena, type Arena, type EngineName, type Place } from '../place.ts'
import { holdsOf, judgeHolds, leftovers } from '../records.ts'
import { isWaiting, reports, turnRun } from '../turn-run.ts'
import { judgeWork, steps, work } from '../work.ts'

const TTL_MS = 12_000
const HOLD_S = 40
const JOINERS = 8
const QUEUE = 'weather'
const SHARE = 0.3

export async function badWeather(engine: EngineName): Promise<void> {
  const random = chance(`${engine}: weather`)
  const arena = await openArena(engine)
  const weather = await begin(arena, random)
  const log = join(temporaryFolder('weather'), 'work')
  const start = (name: string, seconds: number): Running =>
    turnRun(weather.place, { name, queue: QUEUE, ttlMs: TTL_MS, script: work(log, name, seconds) })

  const holder = start('holder', HOLD_S)
  await until('the holder works', () => steps(log).length > 0 || hasEnded(holder))
  const joiners: Running[] = []
  for (let i = 0; i < JOINERS; i++) {
    joiners.push(start(`joiner-${i}`, 0.1))
    await pause(500)
  }
  await until('all wait', () => joiners.every((running) => isWaiting(running) || hasEnded(running)))
  const all = [holder, ...joiners]
  await until('all are done', () => all.every(hasEnded), 130_000).catch(async (error: unknown) => {
    await weather.end()
    console.log(`${engine}: ${await evidence(arena, all)}`)
    throw error
  })
  const codes = await Promise.all(all.map(({ exited }) => exited))
  const told = all.flatMap((running, i) => (codes[i] === 0 ? [] : [running.err()]))
  console.log(`${engine}: ${JSON.stringify(Object.fromEntries(weather.failures))}`)
  // The judge looks at the table itself, without bad weather.
  await weather.end()
  expect(told).toEqual([])
  expect(reports(holder).some(({ event }) => event === 'stopping')).toBe(false)
  expect(judgeWork(steps(log))).toEqual([])
  const holds = await holdsOf(arena, QUEUE)
  expect(holds.map(({ as }) => as)).toEqual(all.map(() => 'released'))
  expect(judgeHolds(holds)).toEqual([])
  expect(await leftovers(arena)).toEqual([])
  await arena.close()
}

interface Weather {
  readonly place: Place
  readonly failures: ReadonlyMap<string, number>
  end(): Promise<void>
}

async function begin({ place, fake }: Arena, random: Random): Promise<Weather> {
  if (fake !== undefined) {
    const { failures, clear } = brewWeather(fake, { random, share: SHARE })
    return { place, failures, end: async () => clear() }
  }
  const { host, failures, close } = await startWeather({ target: place.host, random, share: SHARE })
  return { place: { ...place, host }, failures, end: close }
}

/** Who has not ended, what it said last, and what the queue looks like. */
async function evidence({ items }: Arena, all: readonly Running[]): Promise<string> {
  const stuck = all.filter((running) => !hasEnded(running)).map((running) => running.err().slice(-600))
  const queue = (await items()).filter(({ partition }) => /^signalbox:[qwi]:/.test(partition))
  return [...stuck, ...queue.map((item) => JSON.stringify(item))].join('\n')
}

function hasEnded({ child }: Running): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
