import { describe, expect, it } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { createTurnsService, type TurnsService } from './service.ts'

const clock = new ManualClock()
const database = memoryDatabase()
const store = database.connect({ clock })
const service = (shared: boolean, on = store): TurnsService =>
  createTurnsService({ store: on, clock, random: seededRandom(1), shared })
const other = service(true, database.connect({ clock }))

/** Moves time past a look. */
const look = async (): Promise<void> => {
  await clock.advance(2_100)
  await clock.settle()
}

describe('who looks on at one server', () => {
  it('is told of what another one changed on the shared store, once', async () => {
    const turns = service(true)
    const told: string[] = []
    const stop = turns.onChange((queue) => told.push(queue))
    await other.join('deploy', { id: 'member-0001' })
    await look()
    expect(told).toEqual(['deploy'])
    await look()
    expect(told).toEqual(['deploy'])
    await other.leave('deploy', 'member-0001', 1)
    await look()
    expect(told).toEqual(['deploy', 'deploy'])
    stop()
    await turns.close()
  })

  it('costs nothing when nobody does, and goes on after a look that failed', async () => {
    const failing = database.connect({ clock })
    const turns = service(true, failing)
    await look()
    expect(failing.operations).toMatchObject({ get: 0, list: 0 })
    const told: string[] = []
    const stop = turns.onChange((queue) => told.push(queue))
    failing.faults.cut()
    await look()
    failing.faults.heal()
    await look()
    expect(told).toEqual(['deploy'])
    stop()
    const { list } = failing.operations
    await look()
    expect(failing.operations.list).toBe(list)
    await turns.close()
  })

  it('is told by a store of its own alone what happens here', async () => {
    const own = database.connect({ clock })
    const turns = service(false, own)
    const stop = turns.onChange(() => {})
    await look()
    expect(own.operations.list).toBe(0)
    stop()
    await turns.close()
  })
})
