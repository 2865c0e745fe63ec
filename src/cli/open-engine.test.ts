import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { memoryDatabase, type MemoryDatabase, type MemoryStore } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import type { Connection } from './context.ts'
import { chooseEngine, type CloudChoice } from './engine.ts'
import { openEngine } from './open-engine.ts'

let clock: ManualClock
let database: MemoryDatabase
let connections: Connection[]
let seed: number

beforeEach(() => {
  clock = new ManualClock()
  database = memoryDatabase({ limits: { keys: 'decimal' } })
  connections = []
  seed = 1
})
afterEach(async () => {
  for (const connection of connections) await connection.close()
})

/** One process on the shared table. */
async function open(guard: 'on' | 'off'): Promise<Connection & { readonly store: MemoryStore }> {
  const choice = chooseEngine({ backend: 'aws', guard }, {}) as CloudChoice
  const store = database.connect({ clock })
  const facts = { clock, random: seededRandom(seed++) }
  const connection = await openEngine(choice, facts, async () => ({
    store,
    describe: 'a table',
    settings: [],
  }))
  connections.push(connection)
  return { ...connection, store }
}

/** What it comes to, with the time that it takes. */
async function played<T>(promise: Promise<T>): Promise<T> {
  await clock.advance(15_000)
  return promise
}

describe('an engine without a server', () => {
  test('is where two processes take turns in the order of their joins', async () => {
    const [one, two] = [await open('off'), await open('off')]
    const first = await played(one.turns.join('deploy', { id: 'first-0001', ttlMs: 45_000 }))
    const second = await played(two.turns.join('deploy', { id: 'second-001', ttlMs: 45_000 }))
    expect([first, second]).toMatchObject([{ state: 'holding', fence: 1 }, { state: 'waiting' }])
    const next = two.turns.wait('deploy', 'second-001', { waitMs: 20_000 })
    await played(one.turns.leave('deploy', 'first-0001', 1))
    expect(await played(next)).toMatchObject({ state: 'holding', fence: 2 })
    expect((await one.turns.list()).queues).toMatchObject([{ queue: 'deploy', holding: 1 }])
  })

  test('with the guard grants only once jobs of the dynamo-q tool are held back', async () => {
    const { turns, store } = await open('on')
    const joined = turns.join('deploy', { id: 'first-0001', ttlMs: 45_000, waitMs: 0 })
    await clock.settle()
    expect(await joined).toMatchObject({ state: 'waiting' })
    const granted = turns.wait('deploy', 'first-0001', { waitMs: 20_000 })
    await clock.advance(20_000)
    expect(await granted).toMatchObject({ state: 'holding' })
    expect((await store.list({ partition: 'deploy' }, { limit: 1 })).records).toHaveLength(1)
  })

  test('says what operators did in the name of who did it', async () => {
    const { turns } = await open('off')
    await turns.join('deploy', { id: 'first-0001', ttlMs: 45_000 })
    await turns.setState('deploy', 'paused', { reason: 'freeze', by: 'ann' })
    expect((await turns.show('deploy')).note).toMatchObject({ by: 'ann', reason: 'freeze' })
  })

  test('closes the store with it, and leaves no timer', async () => {
    const connection = await open('off')
    await connection.turns.join('deploy', { id: 'first-0001', ttlMs: 45_000 })
    await connection.close()
    await expect(connection.turns.list()).rejects.toMatchObject({ code: 'unavailable' })
    expect(clock.pendingTimers).toBe(0)
  })
})
