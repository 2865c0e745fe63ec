/** The sample job of examples/jobs, with its database and with one that fails. */
import { mkdtempSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openOrders, updateOrders, type Orders } from '../../examples/jobs/update-orders.ts'
import { world, type World } from '../../src/jobs/testing/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'signalbox-orders-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let files = 0

interface Here extends World {
  readonly orders: Orders
  /** The values of the column, each once. */
  column(): number[]
}

/** A server's world with a worker that runs the job. @param change of what the job is given */
async function here(change: (orders: Orders) => Partial<Orders> = () => ({})): Promise<Here> {
  const file = join(folder, `${(files += 1)}.db`)
  const orders = openOrders(file)
  const w = await world('embedded', { keepsRuns: true })
  await w.work([updateOrders], { deps: { orders: { ...orders, ...change(orders) } } })
  await w.clock.advance(1_000)
  const column = (): number[] => {
    const database = new DatabaseSync(file, { readOnly: true })
    const rows = database.prepare('select distinct some_column as v from orders order by 1').all()
    database.close()
    return rows.map(({ v }) => Number(v))
  }
  return { ...w, orders, column }
}

describe('examples/jobs/update-orders.ts', () => {
  it('adds to the column of every order, and says how many there were', async () => {
    const w = await here()
    await w.runs.runNow('update-orders', { input: { increment: 5 }, id: 'a' }, 'ada')
    await w.runs.runNow('update-orders', { input: { increment: -2 }, id: 'b' }, 'ada')
    await w.until(() => w.outcomes().length === 2)
    expect(w.column()).toEqual([3])
    expect(await w.runs.get('update-orders:a')).toMatchObject({
      state: 'succeeded',
      result: { orders: 1_000 },
      progress: { done: 1_000, total: 1_000 },
    })
  })

  it('tells what it takes', async () => {
    const w = await here()
    expect(await w.runs.getJob('update-orders')).toMatchObject({
      description: 'Adds to the column of every order',
      input: {
        required: ['increment'],
        properties: {
          increment: { type: 'integer', description: 'How much the column of each order grows' },
        },
      },
    })
  })

  it.each([{}, { increment: 'many' }, { increment: 1.5 }, { increment: 1_001 }])(
    'refuses %j, before a run is made and again when one starts',
    async (input) => {
      const w = await here()
      const refused = { code: 'invalid_argument', message: expect.stringContaining('increment') as string }
      await expect(w.runs.runNow('update-orders', { input }, 'ada')).rejects.toMatchObject(refused)
      const how = { queue: 'default', attempts: 3, onLost: 'fail', source: 'schedule' } as const
      const { run } = await w.runs.create({ job: 'update-orders', input, ...how })
      await w.until(() => w.outcomes().length === 1)
      expect(await w.runs.get(run.id)).toMatchObject({ state: 'failed', attempt: 1 })
      expect(w.column()).toEqual([0])
    },
  )

  it('changes no order twice when an attempt dies on the way', async () => {
    let calls = 0
    const w = await here((orders) => ({
      addToPage: (...args) => {
        const updated = orders.addToPage(...args)
        if ((calls += 1) === 4) throw new Error('cut')
        return updated
      },
    }))
    await w.runs.runNow('update-orders', { input: { increment: 5 }, id: 'a' }, 'ada')
    await w.until(() => w.outcomes().length === 1)
    expect(w.column()).toEqual([0, 5])
    await w.clock.advance(60_000)
    await w.until(() => w.outcomes().length === 2)
    expect(w.outcomes()).toEqual(['failed', 'succeeded'])
    expect(w.column()).toEqual([5])
  })

  it('stops between two pages when it is cancelled', async () => {
    const paused = Promise.withResolvers<void>()
    const w: Here = await here((orders) => ({
      addToPage: (increment, page, key) => {
        if (page === 2) {
          void w.runs.cancel('update-orders:a', { by: 'ada' }).then(() => paused.resolve())
          return 100 // the page that is at work while somebody cancels
        }
        return page < 2 ? orders.addToPage(increment, page, key) : 100
      },
    }))
    await w.runs.runNow('update-orders', { input: { increment: 5 }, id: 'a' }, 'ada')
    await paused.promise
    await w.clock.advance(10_000)
    await w.until(() => w.outcomes().length === 1)
    expect(await w.runs.get('update-orders:a')).toMatchObject({
      state: 'cancelled',
      reason: 'cancelled by ada',
    })
    expect(w.column()).toEqual([0, 5])
  })
})
