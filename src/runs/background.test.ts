/** The outbox, retention, and what happens in the background. */
import { describe, expect, it } from 'vitest'
import type { Key, Store } from '../ports/store.ts'
import { outPartition, partsPartition, SHARDS, type Stored } from './records.ts'
import { trimJob } from './sweeper.ts'
import { aRun, world } from './testing/world.ts'

async function left(store: Store): Promise<number> {
  let count = 0
  for (let shard = 0; shard < SHARDS; shard++) {
    count += (await store.list({ partition: outPartition(shard) }, { limit: 1_000 })).records.length
  }
  return count
}

describe('a wake-up', () => {
  it('that the queue did not take is sent later, less and less often, until it is', async () => {
    const { runs, clock, sent, broken, events, store } = world()
    await runs.start()
    broken.add('default')
    await runs.createMany([aRun(), aRun(), aRun({ queue: 'other' })])
    await clock.advance(1_000)
    expect(sent.map(({ queue }) => queue)).toEqual(['other'])
    await clock.advance(120_000)
    const tries = events.filter(({ kind }) => kind === 'not_sent').length
    expect(tries).toBeGreaterThan(3)
    expect(tries).toBeLessThan(20)
    broken.clear()
    await clock.advance(80_000)
    expect(sent).toHaveLength(3)
    expect(await left(store)).toBe(0)
    await runs.close()
  })

  it('that its process did not live to send is sent by another, once', async () => {
    const w = world()
    const dead = w.service({ seed: 7, send: () => new Promise(() => undefined) })
    await dead.runs.create(aRun())
    const others = [3, 4, 5].map((seed) => w.service({ seed }).runs)
    for (const other of others) await other.start()
    await w.clock.advance(20_000)
    expect(w.sent).toHaveLength(1)
    expect(await left(w.store)).toBe(0)
    for (const other of others) await other.close()
  })

  it('of a service without queues is left to one that has them', async () => {
    const w = world({ send: undefined as never })
    await w.runs.create(aRun())
    const { runs } = w.service({ seed: 3 })
    await runs.start()
    await w.clock.advance(10_000)
    expect(w.sent).toHaveLength(1)
    await runs.close()
  })

  it('that is due beyond what engines delay, or on a FIFO queue, waits here', async () => {
    const { runs, clock, sent } = world()
    await runs.start()
    await runs.create(aRun({ delayMs: 3_600_000 }))
    await runs.create(aRun({ delayMs: 30_000, queue: 'a.fifo', group: 'g' }))
    await runs.create(aRun({ delayMs: 30_000 }))
    await clock.advance(29_000)
    expect(sent.map(({ queue, delayMs }) => [queue, delayMs])).toEqual([['default', 30_000]])
    await clock.advance(4_000)
    expect(sent.at(-1)).toMatchObject({ queue: 'a.fifo', groupId: 'g' })
    expect(sent).toHaveLength(2)
    await clock.advance(3_570_000)
    expect(sent).toHaveLength(3)
    await runs.close()
  })

  it('that a purge took is sent again after an hour', async () => {
    const { runs, clock, sent } = world()
    await runs.start()
    await runs.create(aRun())
    await clock.advance(3_590_000)
    expect(sent).toHaveLength(1)
    await clock.advance(120_000)
    expect(sent).toHaveLength(2)
    await runs.close()
  })
})

describe('retention', () => {
  const DAY = 86_400_000

  it('deletes a run, its log, its large parts and its index records after its time', async () => {
    const { runs, clock, store } = world({ sweepMs: 60_000 })
    await runs.start()
    const large = 'x'.repeat(5_000)
    const { run } = await runs.create(aRun({ input: large, retentionMs: DAY }))
    const { run: kept } = await runs.create(aRun())
    for (const { id } of [run, kept]) {
      await runs.claim(id, { worker: 'w', leaseMs: 30_000 })
      await runs.log(id, 1, [{ at: 0, level: 'info', text: 'hello' }])
      await runs.finish(id, 1, { kind: 'succeeded', result: large })
    }
    const record = await store.get([`signalbox:run:${run.id}`, '0'.padStart(15, '0')])
    const stored = record?.value as unknown as Stored
    const parts = partsPartition({ id: run.id, born: stored.born })
    await clock.advance(DAY - 60_000)
    expect(await runs.get(run.id)).toMatchObject({ input: large, result: large })
    expect((await store.list({ partition: parts }, { limit: 10 })).records).toHaveLength(3)
    await clock.advance(200_000)
    await expect(runs.get(run.id)).rejects.toMatchObject({ code: 'not_found' })
    expect((await store.list({ partition: parts }, { limit: 10 })).records).toEqual([])
    expect((await runs.list()).runs.map(({ id }) => id)).toEqual([kept.id])
    await runs.close()
  })

  it('keeps so many ended runs of a job, the newest, and all that have not ended', async () => {
    const { runs, clock } = world({ retention: { perJob: 5 } })
    await runs.start()
    const manifest = { name: 'mail', queue: 'default', attempts: 1, onLost: 'fail' } as const
    await runs.registerJobs([manifest], 'w')
    const waiting = await runs.create(aRun({ delayMs: 3_600_000 }))
    const ids: string[] = []
    for (let n = 0; n < 12; n++) {
      const { run } = await runs.create(aRun({ attempts: 1 }))
      ids.unshift(run.id)
      await runs.claim(run.id, { worker: 'w', leaseMs: 30_000 })
      const failed = { kind: 'failed', error: { message: 'no' } } as const
      await runs.finish(run.id, 1, n % 2 === 0 ? failed : { kind: 'succeeded' })
      await clock.advance(10)
    }
    await clock.advance(700_000)
    expect((await runs.list()).runs.map(({ id }) => id)).toEqual([...ids.slice(0, 5), waiting.run.id])
    await runs.close()
  })

  it('spares a run that was made anew under an id that another server forgot meanwhile', async () => {
    const { runs, clock, store } = world()
    const run = aRun({ id: 'mail:once' })
    await runs.create(run)
    await runs.claim('mail:once', { worker: 'w', leaseMs: 30_000 })
    await runs.finish('mail:once', 1, { kind: 'succeeded' })
    const overtaken: Store = new Proxy<Store>(store, {
      get: (target, name) => {
        const own = target[name as keyof Store] as unknown
        if (name !== 'get') return typeof own === 'function' ? (own.bind(target) as unknown) : own
        return async (key: Key) => {
          await trimJob({ store, clock, mailboxes: undefined as never }, 'mail', 0)
          await runs.create(run)
          return store.get(key)
        }
      },
    })
    await trimJob({ store: overtaken, clock, mailboxes: undefined as never }, 'mail', 0)
    expect(await runs.get('mail:once')).toMatchObject({ state: 'queued', input: { to: 'a@example.org' } })
  })

  it('over, a run of the same id on a FIFO queue has a wake-up of its own', async () => {
    const { runs, clock, sent } = world()
    await runs.start()
    const run = aRun({ id: 'mail:once', queue: 'mail.fifo', retentionMs: 1_000 })
    for (let n = 0; n < 2; n++) {
      expect(await runs.create(run)).toMatchObject({ created: true })
      await runs.claim('mail:once', { worker: 'w', leaseMs: 30_000 })
      await runs.finish('mail:once', 1, { kind: 'succeeded' })
      await clock.advance(5_000)
    }
    expect(new Set(sent.map(({ deduplicationId }) => deduplicationId)).size).toBe(2)
    await runs.close()
  })
})

describe('jobs', () => {
  it('are known by their workers, with the runs they have', async () => {
    const { runs, clock } = world()
    const manifest = { name: 'mail', queue: 'default', attempts: 1, onLost: 'fail' } as const
    const registered = Promise.all(['w1', 'w2', 'w3'].map((worker) => runs.registerJobs([manifest], worker)))
    await clock.advance(2_000)
    await registered
    await runs.createMany(Array.from({ length: 105 }, () => aRun()))
    const [job] = await runs.listJobs()
    expect(job).toMatchObject({ name: 'mail', workers: 3, runs: { queued: { count: 100, more: true } } })
    expect((await runs.getJob('mail')).runs).toEqual({ queued: { count: 105, more: false } })
    await clock.advance(200_000)
    expect(await runs.getJob('mail')).toMatchObject({
      workers: 0,
      seenAt: expect.stringMatching(/^2026-01-01T00:00:0/) as string,
    })
    await expect(runs.getJob('nothing')).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('a store that is away', () => {
  it('for longer than a lease costs nobody a claim, not even through a server that heard no beat', async () => {
    const w = world()
    const idle = w.service({ seed: 9 })
    await idle.runs.start()
    const { run } = await w.runs.create(aRun({ onLost: 'fail' }))
    await w.runs.claim(run.id, { worker: 'w', leaseMs: 30_000 })
    await w.clock.advance(5_000)
    idle.store.faults.cut({ failAfterMs: 100, code: 'unavailable' })
    await w.clock.advance(60_000)
    idle.store.faults.heal()
    await w.clock.advance(20_000)
    expect(await w.runs.beat(run.id, 1, { leaseMs: 30_000 })).toEqual({ held: true })
    await w.clock.advance(60_000)
    expect((await w.runs.get(run.id)).state).toBe('lost')
    await idle.runs.close()
  })
})

describe('the clock of the server', () => {
  it('set ahead, lets no claim expire at once', async () => {
    const { runs, clock } = world()
    await runs.start()
    const { run } = await runs.create(aRun({ onLost: 'fail' }))
    await runs.claim(run.id, { worker: 'w', leaseMs: 30_000 })
    await clock.advance(3_000)
    clock.jump(3_600_000)
    await clock.advance(20_000)
    expect(await runs.beat(run.id, 1, { leaseMs: 30_000 })).toEqual({ held: true })
    await runs.close()
  })

  it('set back, still finds the dead', async () => {
    const { runs, clock } = world()
    await runs.start()
    const { run } = await runs.create(aRun({ onLost: 'fail' }))
    await runs.claim(run.id, { worker: 'w', leaseMs: 30_000 })
    await clock.advance(5_000)
    clock.jump(-3_600_000)
    await clock.advance(45_000)
    expect((await runs.get(run.id)).state).toBe('lost')
    await runs.close()
  })
})
