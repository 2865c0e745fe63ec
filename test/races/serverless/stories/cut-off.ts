/**
 * Two members whose network is cut for two hold TTLs: the one that holds, and the next in line. The holder's command is dead
 * before its successor's starts, and the waiter has its old place when the network is back.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { startCable } from '../../../support/proxy/cable.ts'
import { temporaryFolder, until, type Running } from '../../../support/processes.ts'
import { pause } from '../chance.ts'
import { openArena, type EngineName, type Place } from '../place.ts'
import { holdsOf, judgeHolds, leftovers } from '../records.ts'
import { isWaiting, reports, turnRun } from '../turn-run.ts'
import { judgeWork, order, steps, stubbornWork, work, workUntil } from '../work.ts'

const TTL_MS = 8_000
const QUEUE = 'cut'

export async function cutOff(engine: EngineName): Promise<void> {
  const arena = await openArena(engine)
  const cable = await startCable(arena.place.host)
  const away: Place = { ...arena.place, host: cable.host }
  const folder = temporaryFolder('cut')
  const [log, enough] = [join(folder, 'work'), join(folder, 'enough')]
  const start = (place: Place, name: string, script: string): Running =>
    turnRun(place, { name, queue: QUEUE, ttlMs: TTL_MS, script })
  const waits = (running: Running): Promise<void> => until('it waits', () => isWaiting(running))

  const holder = start(away, 'holder', stubbornWork(log, 'holder'))
  await until('the holder works', () => steps(log).length > 2)
  const waiter = start(away, 'waiter', work(log, 'waiter', 0))
  await waits(waiter)
  const successor = start(arena.place, 'successor', workUntil(enough, log, 'successor'))
  await waits(successor)
  const last = start(arena.place, 'last', work(log, 'last', 0))
  await waits(last)

  cable.cut()
  const cutAt = performance.now()
  await until('the successor works', () => order(log).includes('successor'))
  console.log(`${engine}: the successor began ${Math.round(performance.now() - cutAt)} ms after the cut`)
  await pause(cutAt + 2 * TTL_MS - performance.now())
  expect(judgeWork(steps(log))).toEqual([])
  cable.mend()
  const inLine = async (): Promise<boolean> =>
    (await arena.items()).some(
      ({ partition, value }) => partition === `signalbox:w:${QUEUE}` && value?.['ticket'] === 2,
    )
  await until('the waiter is back in line', inLine)
  writeFileSync(enough, '')

  const ends = await Promise.all([holder, waiter, successor, last].map(({ exited }) => exited))
  expect(ends, reports(holder).at(-1)?.message).toEqual([75, 0, 0, 0])
  expect(judgeWork(steps(log))).toEqual([])
  const holds = await holdsOf(arena, QUEUE)
  expect(holds.map(({ name, ticket, as }) => [name, ticket, as])).toEqual([
    ['holder', 1, 'lost'],
    ['successor', 3, 'released'],
    ['waiter', 2, 'released'],
    ['last', 4, 'released'],
  ])
  expect(judgeHolds(holds, ['waiter'])).toEqual([])
  expect(await leftovers(arena)).toEqual([])
  await cable.close()
  await arena.close()
}
