import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  createTable,
  namedEngine,
  openStore,
  type DynamodbEngine,
  type Table,
} from '../../test/support/engines/dynamodb.ts'
import { startDynoxide } from '../../test/support/engines/dynoxide.ts'
import { temporaryFolder } from '../../test/support/processes.ts'
import { memoryStore } from '../drivers/memory/index.ts'
import { openSqliteStore } from '../drivers/sqlite/index.ts'
import { systemClock } from '../kernel/clock.ts'
import { systemRandom } from '../kernel/id.ts'
import type { Store } from '../ports/store.ts'
import { runKey } from './records.ts'
import { createRunsService, type RunsService } from './service.ts'
import { inconsistencies, Judge } from './testing/judge.ts'
import { aRun } from './testing/world.ts'
import { hasEnded } from './state.ts'

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
  memory: async () => memoryStore({ clock: systemClock, limits: { keys: 'decimal' } }),
  async sqlite() {
    const directory = temporaryFolder('runs')
    onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
    return openSqliteStore({ directory, clock: systemClock, owner: { command: 'test' } })
  },
  dynamodb: () => openStore(engine, table),
}

/** Two services on one store, and what is written seen by the judge. */
async function opened(open: () => Promise<Store>) {
  const store = await open()
  const judge = new Judge()
  const judged: Store = {
    limits: store.limits,
    get: (key) => store.get(key),
    list: (range, options) => store.list(range, options),
    deleteRange: (range) => store.deleteRange(range),
    now: () => store.now(),
    close: () => store.close(),
    ...(store.watch === undefined ? {} : { watch: store.watch.bind(store) }),
    async commit(changes) {
      const result = await store.commit(changes)
      if (result.ok) judge.saw(changes)
      return result
    },
  }
  const sent: string[] = []
  const service = (): RunsService =>
    createRunsService({
      store: judged,
      clock: systemClock,
      random: systemRandom,
      send: async (_queue, messages) => messages.map(({ body }) => sent.push(body) > 0),
    })
  const [a, b] = [service(), service()]
  onTestFinished(async () => {
    await a.close()
    await b.close()
    await store.close()
  })
  return { store, judge, a, b, sent }
}

describe.each(Object.keys(stores))('runs on %s', (name) => {
  const open = stores[name] as () => Promise<Store>

  it('plays many lives through two services, and all records agree', { timeout: 120_000 }, async () => {
    const { store, judge, a, b, sent } = await opened(open)
    const made = await a.createMany(
      Array.from({ length: 40 }, (_, n) => aRun({ job: `job${n % 3}`, input: { n } })),
    )
    const ids = made.map(({ run }) => run.id)
    await Promise.all(
      ids.map(async (id, n) => {
        const claims = await Promise.all(
          [a, b].map((api, w) => api.claim(id, { worker: `w${w}`, leaseMs: 30_000 })),
        )
        const won = claims.filter(({ claimed }) => claimed)
        expect(won).toHaveLength(1)
        const [claim] = won
        if (claim?.claimed !== true) return
        await b.log(id, claim.epoch, [{ at: 0, level: 'warn', text: 'half way' }])
        await a.beat(id, claim.epoch, { leaseMs: 30_000, progress: { done: n } })
        if (n % 4 === 0) return
        const result = n % 5 === 0 ? 'r'.repeat(5_000) : n
        const done = await Promise.all(
          [a, b].map((api) => api.finish(id, claim.epoch, { kind: 'succeeded', result })),
        )
        expect(done.map(({ accepted }) => accepted)).toEqual([true, true])
      }),
    )
    expect((await a.list({ states: ['running'] })).runs).toHaveLength(10)
    expect((await b.list({ job: 'job1', states: ['succeeded'], limit: 5 })).runs).toHaveLength(5)
    expect((await b.get(ids[5] as string)).result).toBe('r'.repeat(5_000))
    for (const id of ids.filter((_, n) => n % 4 === 0)) await b.cancel(id, { by: 'ann' })
    for (const id of ids.filter((_, n) => n % 4 === 0)) await a.finish(id, 1, { kind: 'cancelled' })
    const again = await b.restart(ids[0] as string, { by: 'ann' })
    expect(again).toMatchObject({ state: 'queued', restartOf: ids[0], input: { n: 0 } })
    await a.close()
    await b.close()
    expect(sent).toHaveLength(41)
    expect(judge.problems).toEqual([])
    expect([...judge.latest.values()].filter(({ run }) => !hasEnded(run.state))).toHaveLength(1)
    expect(await inconsistencies(store, judge.latest)).toEqual([])
  })

  it('makes one run of an id that many create at once', { timeout: 120_000 }, async () => {
    const { a, b } = await opened(open)
    const id = `mail:once-${systemRandom.id()}`
    const made = await Promise.all(
      Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? a : b).create(aRun({ id }))),
    )
    expect(made.filter(({ created }) => created)).toHaveLength(1)
  })

  it(
    'makes one run of a time that two plan at once, held until it is let go',
    { timeout: 120_000 },
    async () => {
      const { store, judge, a, b, sent } = await opened(open)
      const schedule = `s-${systemRandom.id()}`
      const times = Array.from({ length: 10 }, (_, n) => `2026-11-21T21:00:${10 + n}Z`)
      await Promise.all(
        times.map(async (time, n) => {
          const id = `mail:${schedule}@${time}`
          const run = aRun({ id, schedule, source: 'schedule' })
          const won = await Promise.all(
            [a, b].map(async (api) => {
              // Of two commits that meet, an engine may refuse both.
              for (let chance = 0; chance < 50; chance++) {
                const planned = api.plan(n === 0 ? run : { ...run, hold: 'waits' })
                const result = await store.commit(planned.changes)
                if (result.ok) {
                  judge.saw(planned.changes)
                  planned.committed(result.versions[0])
                  return true
                }
                if ((await store.get(runKey(id))) !== undefined) return false
              }
              throw new Error('never committed')
            }),
          )
          expect(won.filter((yes) => yes)).toHaveLength(1)
        }),
      )
      const live = await a.liveOf(schedule, 100)
      expect(live.map(({ held }) => held).filter((held) => held)).toHaveLength(9)
      const held = live.filter((run) => run.held).map(({ id }) => id)
      const released = await Promise.all(held.flatMap((id) => [a.release(id), b.release(id)]))
      expect(released.filter((yes) => yes)).toHaveLength(9)
      expect((await b.liveOf(schedule, 100)).map((run) => run.held)).toEqual(times.map(() => false))
      expect((await b.list({ schedule })).runs.filter((run) => run.held !== undefined)).toEqual([])
      await a.close()
      await b.close()
      expect(sent).toHaveLength(10)
      expect(judge.problems).toEqual([])
    },
  )

  it('tells a worker within seconds whom to stop', async () => {
    const { a, b } = await opened(open)
    const { run } = await a.create(aRun())
    const worker = `w-${systemRandom.id()}`
    const claim = await a.claim(run.id, { worker, leaseMs: 30_000 })
    expect(claim.claimed).toBe(true)
    const watching = new AbortController()
    const heard = (async () => {
      for await (const order of b.watchCancel(worker, watching.signal)) return order
      return undefined
    })()
    await a.cancel(run.id, { by: 'ann', reason: 'enough' })
    expect(await heard).toEqual({ id: run.id, epoch: 1, reason: 'enough' })
    watching.abort()
  })
})
