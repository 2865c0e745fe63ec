import { describe, expect, it } from 'vitest'
import { rmSync } from 'node:fs'
import { temporaryFolder } from '../../test/support/processes.ts'
import { openSqliteStore } from '../drivers/sqlite/index.ts'
import { systemClock } from '../kernel/clock.ts'
import { decimalKey, type Change, type Json, type Store } from '../ports/store.ts'
import { listRuns } from './lists.ts'
import { indexPartition, type Row } from './records.ts'
import { runStates, type RunState } from './vocabulary.ts'
import { aRun, world } from './testing/world.ts'

describe('a list of runs', () => {
  it('is newest first, whatever the states, page by page', async () => {
    const { runs, clock } = world()
    const ids: string[] = []
    for (let n = 0; n < 30; n++) {
      const { run } = await runs.create(aRun({ job: `job${n % 2}`, attempts: 1 }))
      ids.unshift(run.id)
      await clock.advance(10)
      if (n % 3 === 0) continue
      const claim = await runs.claim(run.id, { worker: 'w', leaseMs: 30_000 })
      if (n % 3 === 1 || !claim.claimed) continue
      await runs.finish(run.id, claim.epoch, { kind: 'failed', error: { message: `Order ${n} is GONE` } })
    }
    const pages = async (filter: Parameters<typeof runs.list>[0]): Promise<string[]> => {
      const found: string[] = []
      for (let after: string | undefined; ;) {
        const page = await runs.list({ ...filter, limit: 4, ...(after === undefined ? {} : { after }) })
        expect(page.runs.length).toBeLessThanOrEqual(4)
        found.push(...page.runs.map(({ id }) => id))
        after = page.next
        if (after === undefined) return found
      }
    }
    expect(await pages({})).toEqual(ids)
    expect(await pages({ job: 'job1' })).toEqual(ids.filter((id) => id.startsWith('job1:')))
    expect((await runs.list({ states: ['failed'] })).runs).toHaveLength(10)
    expect(await pages({ text: 'gone' })).toHaveLength(10)
    expect(await runs.list({ text: 'order 17 is' })).toMatchObject({
      runs: [{ error: 'Order 17 is GONE' }],
      scanned: 30,
    })
    expect(await pages({ visible: (job) => job === 'job0' })).toEqual(
      ids.filter((id) => id.startsWith('job0:')),
    )
    const from = Date.parse('2026-01-01T00:00:00.100Z')
    expect(await pages({ from, to: from + 50 })).toEqual(ids.slice(15, 20))
  })

  it('of one schedule', async () => {
    const { runs } = world()
    await runs.create(aRun())
    const { run } = await runs.create(aRun({ schedule: 'nightly', scheduledAt: 5, source: 'schedule' }))
    await runs.create(aRun({ schedule: 'nightly', scheduledAt: 6, source: 'schedule', skipped: 'overlaps' }))
    expect((await runs.list({ schedule: 'nightly' })).runs.map(({ state }) => state)).toEqual([
      'skipped',
      'queued',
    ])
    expect((await runs.list({ schedule: 'nightly', states: ['queued'] })).runs.map(({ id }) => id)).toEqual([
      run.id,
    ])
  })
})

/** Index records as runs leave them, without the runs. */
async function filled(store: Store, count: number): Promise<void> {
  const changes: Change[] = []
  for (let n = 0; n < count; n++) {
    const state: RunState = n % 100 === 0 ? 'failed' : n % 1_000 === 1 ? 'running' : 'succeeded'
    const job = `job${n % 10}`
    const row: Row = {
      id: `${job}:${n}`,
      queue: 'default',
      source: 'enqueue',
      attempt: 1,
      attempts: 3,
      createdAt: n,
      ...(state === 'failed' ? { error: 'no such order' } : {}),
    }
    for (const name of [{}, { job }]) {
      const key = [indexPartition(name, state), decimalKey(n)] as const
      changes.push({ op: 'put', key, expect: 'absent', value: row as unknown as Json })
    }
  }
  const commits: Promise<unknown>[] = []
  for (let first = 0; first < changes.length; first += 100)
    commits.push(store.commit(changes.slice(first, first + 100)))
  await Promise.all(commits)
}

describe('a list of 100,000 runs on SQLite', () => {
  it('reads no more than it shows, for each state asked for', { timeout: 120_000 }, async () => {
    const directory = temporaryFolder('lists')
    const store = await openSqliteStore({ directory, clock: systemClock, owner: { command: 'test' } })
    try {
      await filled(store, 100_000)
      let read = 0
      const counting = {
        async list(...args: Parameters<Store['list']>) {
          const page = await store.list(...args)
          read += page.records.length
          return page
        },
      } as Store
      const cost = async (filter: Parameters<typeof listRuns>[1]): Promise<[found: number, read: number]> => {
        read = 0
        const { runs } = await listRuns(counting, filter)
        return [runs.length, read]
      }
      expect(await cost({ limit: 50 })).toEqual([50, 51 * 3])
      expect(await cost({ limit: 50, states: ['failed'] })).toEqual([50, 51])
      expect(await cost({ limit: 50, job: 'job0', states: ['failed'] })).toEqual([50, 51])
      expect(await cost({ limit: 50, states: ['lost'] })).toEqual([0, 0])
      const [found, most] = await cost({ limit: 50, text: 'not there at all' })
      expect(found).toBe(0)
      expect(most).toBeLessThanOrEqual(10_000 + runStates.length * 500)
      expect((await cost({ limit: 50, text: 'no such order' }))[0]).toBe(50)
    } finally {
      await store.close()
      rmSync(directory, { recursive: true, force: true })
    }
  })
})

it('ids of a job sort by time', async () => {
  const { runs, clock } = world()
  const ids: string[] = []
  for (let n = 0; n < 20; n++) {
    ids.push((await runs.create(aRun())).run.id)
    await clock.advance(1 + n * 1_000)
  }
  expect(ids.toSorted()).toEqual(ids)
})
