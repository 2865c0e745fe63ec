/** Two servers on each engine that jobs run on: all is told, and nothing is left in the store that should not be. */
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import {
  createTable,
  namedEngine,
  openStore,
  type DynamodbEngine,
  type Table,
} from '../../test/support/engines/dynamodb.ts'
import { startDynoxide } from '../../test/support/engines/dynoxide.ts'
import { temporaryFolder } from '../../test/support/processes.ts'
import { openSqliteStore } from '../drivers/sqlite/index.ts'
import { systemClock } from '../kernel/clock.ts'
import { systemRandom } from '../kernel/id.ts'
import type { Store } from '../ports/store.ts'
import type { Event } from './event.ts'
import { inPartitions, outPartition, STREAKS } from './records.ts'
import { createNotificationsService, type NotificationsService } from './service.ts'
import { notice } from './testing/world.ts'

let engine: DynamodbEngine
let table: Table
beforeAll(async () => {
  engine = namedEngine() ?? (await startDynoxide())
  table = await createTable(engine)
}, 120_000)
afterAll(async () => {
  await table.drop()
  await engine.stop()
})

const stores: Readonly<Record<string, () => Promise<Store>>> = {
  async sqlite() {
    const directory = temporaryFolder('notifications')
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
    return openSqliteStore({ directory, clock: systemClock, owner: { command: 'test' } })
  },
  dynamodb: () => openStore(engine, table),
}

const SCHEDULES = ['s1', 's2', 's3']
const SLOW = { timeout: 120_000 }

it.each(Object.entries(stores))('all is told on %s', SLOW, async (_, open) => {
  const store = await open()
  const taken: Event[] = []
  const service = (): NotificationsService =>
    createNotificationsService({
      store,
      clock: systemClock,
      random: systemRandom,
      rules: [{ channels: ['ops'] }],
      channels: [
        {
          name: 'ops',
          type: 'slack',
          target: 'here',
          async send(event) {
            taken.push(event)
            return { ok: true }
          },
        },
      ],
      pollMs: 100,
    })
  const services = [service(), service()]
  const [first, second] = services
  for (const one of services) await one.start()
  onTestFinished(async () => {
    await Promise.all(services.map((one) => one.close()))
    await store.close()
  })
  const tell = async (kind: 'failed' | 'succeeded', schedule: string, by = first): Promise<void> => {
    const one = notice({ kind, schedule, at: systemClock.now() })
    for (;;) {
      const changes = by?.changesFor(one) ?? []
      if ((await store.commit(changes)).ok) return
    }
  }
  const failures = SCHEDULES.flatMap((schedule) =>
    [1, 2, 3, 4].map((n) => tell('failed', schedule, n % 2 ? first : second)),
  )
  await Promise.all(failures)
  const isTaken = async (): Promise<boolean> => {
    const pages = inPartitions.map((partition) => store.list({ partition }, { limit: 100 }))
    const left = (await Promise.all(pages)).flatMap(({ records }) => records)
    return left.every(({ value }) => (value as { kind: string }).kind === 'window_end')
  }
  await expect.poll(isTaken, SLOW).toBe(true)
  await Promise.all(SCHEDULES.map((schedule) => tell('succeeded', schedule, second)))

  const told = (): Event[] => [...new Map(taken.map((event) => [event.id, event])).values()]
  await expect.poll(() => told().filter(({ kind }) => kind === 'recovered').length, SLOW).toBe(3)
  for (const name of SCHEDULES) {
    const own = told().filter(({ schedule }) => schedule === name)
    expect(own.map(({ kind }) => kind)).toEqual(['failed', 'repeated', 'recovered'])
    expect(own[1]?.repeats).toEqual({ failed: 3 })
    expect(own[2]?.count).toBe(4)
  }
  const left = async (partition: string): Promise<number> =>
    (await store.list({ partition }, { limit: 10 })).records.length
  await expect.poll(() => left(outPartition('ops')), SLOW).toBe(0)
  expect(await left(STREAKS)).toBe(0)
})
