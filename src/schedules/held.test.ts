import { describe, expect, it } from 'vitest'
import { oneServer, runsOf, type OneServer } from './testing/one-server.ts'

const BY = { by: 'ann' }
const MINUTE = 60_000

/** Ends the run that is queued or running. */
async function work({ runs }: OneServer, schedule = 's'): Promise<void> {
  const { runs: rows } = await runs.list({ schedule, states: ['queued'], limit: 100 })
  for (const { id, held } of rows) {
    if (held !== undefined) continue
    const claim = await runs.claim(id, { worker: 'w', leaseMs: 30_000 })
    if (claim.claimed) await runs.finish(id, claim.epoch, { kind: 'succeeded' })
  }
}

describe('a queue of runs', () => {
  it('goes on when the one before has ended', async () => {
    const server = await oneServer()
    await server.schedules.start()
    await server.put({ overlap: 'queue' })
    await server.clock.advance(3 * MINUTE)
    expect(await runsOf(server.runs)).toEqual(['12:01 queued', '12:02 queued held', '12:03 queued held'])
    expect((await server.schedules.get('s')).held).toBe(2)
    await work(server)
    await server.clock.advance(2_000)
    expect(await runsOf(server.runs)).toEqual(['12:01 succeeded', '12:02 queued', '12:03 queued held'])
    await work(server)
    await server.clock.advance(2_000)
    await work(server)
    await server.clock.advance(2_000)
    expect(await runsOf(server.runs)).toEqual(['12:01 succeeded', '12:02 succeeded', '12:03 succeeded'])
    const { records } = await server.store.list({ partition: 'signalbox:sch:held:0' }, { limit: 10 })
    expect(records).toEqual([])
    await server.schedules.close()
  })

  it('lets go one at a time although servers look at once, and one dies between naming and letting go', async () => {
    const server = await oneServer()
    const { clock, runs } = server
    await server.schedules.start()
    await server.put({ overlap: 'queue' })
    await clock.advance(4 * MINUTE)
    await server.schedules.pause('s', BY)
    await server.schedules.close()
    await work(server)
    const dying = server.another({
      seed: 21,
      runs: {
        plan: (run) => runs.plan(run),
        liveOf: (name, limit) => runs.liveOf(name, limit),
        cancel: (id, cancel) => runs.cancel(id, cancel),
        release: () => Promise.reject(new Error('killed')),
      },
    })
    await dying.schedules.start()
    await clock.advance(2_000)
    await dying.schedules.close()
    expect((await runsOf(runs)).filter((run) => run.endsWith('queued'))).toEqual([])
    const others = [server.another({ seed: 22 }), server.another({ seed: 23 }), server.another({ seed: 24 })]
    for (const { schedules } of others) await schedules.start()
    for (const left of [3, 2, 1]) {
      await clock.advance(3_000)
      const all = await runsOf(runs)
      expect(all.filter((run) => run.endsWith('queued'))).toHaveLength(1)
      expect(all.filter((run) => run.endsWith('held'))).toHaveLength(left - 1)
      await work(server)
    }
    for (const { schedules } of others) await schedules.close()
  })

  it('lets go no second one, older ones that join meanwhile neither, while a server is about to let one go', async () => {
    const server = await oneServer()
    const { clock, runs } = server
    await server.schedules.start()
    await server.put({ overlap: 'queue' })
    await clock.advance(3 * MINUTE)
    await server.schedules.pause('s', BY)
    await server.schedules.close()
    await work(server)
    let go: () => void = () => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    const slow = server.another({
      seed: 41,
      runs: {
        plan: (run) => runs.plan(run),
        liveOf: (name, limit) => runs.liveOf(name, limit),
        cancel: (id, cancel) => runs.cancel(id, cancel),
        release: (id) => gate.then(() => runs.release(id)),
      },
    })
    await slow.schedules.start()
    await clock.advance(2_000)
    const other = server.another({ seed: 42 })
    const range = { from: '2026-03-01T11:59:30Z', to: '2026-03-01T12:00:30Z' }
    await other.schedules.backfill('s', range, BY)
    await other.schedules.start()
    await clock.advance(2_000)
    go()
    await clock.advance(2_000)
    expect((await runsOf(runs)).filter((run) => run.endsWith('queued'))).toEqual(['12:02 queued'])
    await Promise.all([slow.schedules.close(), other.schedules.close()])
  })

  it('is cancelled with its schedule, by another server if need be, and a new schedule of the name starts afresh', async () => {
    const server = await oneServer()
    const { clock, runs, store } = server
    await server.schedules.start()
    await server.put({ overlap: 'queue' })
    await clock.advance(3 * MINUTE)
    await server.schedules.close()
    // A server that stops right after the commit.
    const dying = server.another()
    await dying.schedules.close()
    await dying.schedules.delete('s', BY)
    await server.put({ overlap: 'queue' })
    const other = server.another({ seed: 31 })
    await other.schedules.start()
    await clock.advance(1_000)
    expect(await runsOf(runs)).toEqual(['12:01 queued', '12:02 cancelled', '12:03 cancelled'])
    await clock.advance(2 * MINUTE)
    expect((await runsOf(runs)).slice(3)).toEqual(['12:04 queued held', '12:05 queued held'])
    await work(server)
    await clock.advance(2_000)
    expect((await runsOf(runs)).slice(3)).toEqual(['12:04 queued', '12:05 queued held'])
    expect((await store.list({ partition: 'signalbox:sch:held:0' }, { limit: 10 })).records).toHaveLength(1)
    await other.schedules.close()
  })
  it('of a new schedule is not taken for one of the deleted schedule by a server that is slow', async () => {
    const server = await oneServer()
    const { clock, runs } = server
    await server.schedules.start()
    await server.put({ overlap: 'queue' })
    await clock.advance(2 * MINUTE)
    await server.schedules.close()
    const gate = Promise.withResolvers<void>()
    const slow = server.another({
      seed: 51,
      runs: {
        plan: (run) => runs.plan(run),
        liveOf: (name, limit) => gate.promise.then(() => runs.liveOf(name, limit)),
        cancel: (id, cancel) => runs.cancel(id, cancel),
        release: (id) => runs.release(id),
      },
      trigger: 'off',
    })
    const dying = server.another({ seed: 52 })
    await dying.schedules.close()
    await dying.schedules.delete('s', BY)
    await slow.schedules.start()
    await clock.advance(100)
    const other = server.another({ seed: 53 })
    await other.schedules.start()
    await clock.advance(2_000)
    await server.put({ overlap: 'queue' })
    await clock.advance(MINUTE)
    gate.resolve()
    await clock.advance(2_000)
    expect(await runsOf(runs)).toEqual(['12:01 queued', '12:02 cancelled', '12:03 queued held'])
    await Promise.all([slow.schedules.close(), other.schedules.close()])
  })

  it('of a backfill does not wait for runs that may run beside each other', async () => {
    const server = await oneServer()
    const { clock, runs } = server
    await server.schedules.start()
    await server.put({ overlap: 'allow' })
    await clock.advance(2 * MINUTE)
    const range = { from: '2026-03-01T11:00:00Z', to: '2026-03-01T11:02:00Z' }
    await server.schedules.backfill('s', range, BY)
    await clock.advance(2_000)
    const all = ['11:00 queued', '11:01 queued held', '12:01 queued', '12:02 queued']
    expect(await runsOf(runs)).toEqual(all)
    await clock.advance(5_000)
    expect(await runsOf(runs)).toEqual(all)
    await server.schedules.close()
  })

  it('is not forgotten behind more live runs than are read, neither before its schedule is deleted nor after', async () => {
    const server = await oneServer()
    const { clock, runs, store } = server
    await server.schedules.start()
    await server.put({ overlap: 'queue' })
    await clock.advance(3 * MINUTE)
    await server.schedules.pause('s', BY)
    await server.schedules.close()
    const crowded = (seed: number): ReturnType<typeof server.another> =>
      server.another({
        seed,
        runs: {
          plan: (run) => runs.plan(run),
          liveOf: async (_, limit) =>
            Array.from({ length: limit }, (_one, n) => ({
              id: `report:${n}`,
              state: 'queued' as const,
              held: false,
              source: 'run_now' as const,
            })),
          cancel: (id, cancel) => runs.cancel(id, cancel),
          release: (id) => runs.release(id),
        },
      })
    const records = async (): Promise<number> =>
      (await store.list({ partition: 'signalbox:sch:held:0' }, { limit: 10 })).records.length
    const look = async (one: ReturnType<typeof server.another>): Promise<void> => {
      await one.schedules.start()
      await clock.advance(3_000)
      await one.schedules.close()
    }
    await look(crowded(41))
    expect(await records()).toBe(1)
    await server.schedules.delete('s', BY)
    await look(crowded(42))
    expect(await records()).toBe(1)
    await look(server.another({ seed: 43 }))
    expect(await records()).toBe(0)
    expect(await runsOf(runs)).toEqual(['12:01 queued', '12:02 cancelled', '12:03 cancelled'])
  })
})
