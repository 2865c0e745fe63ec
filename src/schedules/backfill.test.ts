import { describe, expect, it } from 'vitest'
import { isTransient } from '../kernel/attempt.ts'
import { readAudit } from '../server/auth/audit-log.ts'
import { oneServer, runsOf } from './testing/one-server.ts'

const BY = { by: 'ann' }
const MINUTE = 60_000
const morning = { from: '2026-03-01T09:00:00Z', to: '2026-03-01T10:00:00Z' }

describe('a backfill', () => {
  it('makes a run for each time of the range, one after the other', async () => {
    const server = await oneServer()
    await server.put({ expression: 'cron(0/20 * * * ? *)' })
    const view = await server.schedules.backfill('s', morning, BY)
    expect(view.times).toEqual(['09:00', '09:20', '09:40'].map((time) => `2026-03-01T${time}:00.000Z`))
    expect(view.runs.map(({ run, created }) => [run.id, run.source, created])).toEqual(
      ['09:00', '09:20', '09:40'].map((time) => [`report:s@2026-03-01T${time}:00Z`, 'backfill', true]),
    )
    expect(await runsOf(server.runs)).toEqual(['09:00 queued', '09:20 queued held', '09:40 queued held'])
    expect((await server.schedules.get('s')).nextAt).toBe('2026-03-01T12:20:00.000Z')
  })

  it('changes nothing when it is repeated', async () => {
    const server = await oneServer()
    await server.put({ expression: 'cron(0/20 * * * ? *)' })
    await server.schedules.backfill('s', morning, BY)
    const again = await server.schedules.backfill('s', morning, BY)
    expect(again.runs.map(({ created }) => created)).toEqual([false, false, false])
    expect(await runsOf(server.runs)).toHaveLength(3)
  })

  it('leaves one audit entry when it makes runs, also when the first of them are there already', async () => {
    const server = await oneServer()
    await server.put({ expression: 'cron(0/20 * * * ? *)' })
    const entries = async (): Promise<number> =>
      (await readAudit(server.store)).entries.filter(({ action }) => action === 'schedules.backfill').length
    const early = { from: '2026-03-01T00:00:00Z', to: '2026-03-01T04:00:00Z' }
    await server.schedules.backfill('s', early, BY)
    expect(await entries()).toBe(1)
    await server.schedules.backfill('s', { ...early, to: '2026-03-01T10:00:00Z' }, BY)
    expect(await entries()).toBe(2)
  })

  it('only tells with dryRun', async () => {
    const server = await oneServer()
    await server.put({ expression: 'cron(0/20 * * * ? *)' })
    const view = await server.schedules.backfill('s', { ...morning, dryRun: true }, BY)
    expect(view.times).toHaveLength(3)
    expect(view.runs).toEqual([])
    expect(await runsOf(server.runs)).toEqual([])
  })

  it('runs what was skipped, once, and not what ran', async () => {
    const server = await oneServer()
    await server.schedules.start()
    await server.put({})
    await server.clock.advance(2 * MINUTE)
    expect(await runsOf(server.runs)).toEqual(['12:01 queued', '12:02 skipped'])
    const range = { from: '2026-03-01T12:01:00Z', to: '2026-03-01T12:02:01Z', overlap: 'allow' } as const
    await server.schedules.pause('s', BY)
    await server.clock.advance(MINUTE)
    const { runs } = await server.schedules.backfill('s', range, BY)
    expect(runs.map(({ run, created }) => [run.id, created])).toEqual([
      ['report:s@2026-03-01T12:01:00Z', false],
      ['report:s@2026-03-01T12:02:00Z:backfill', true],
    ])
    const again = await server.schedules.backfill('s', range, BY)
    expect(again.runs.map(({ created }) => created)).toEqual([false, false])
    await server.schedules.close()
  })

  it('takes as many commits as it needs, each with all or nothing, whatever fails', async () => {
    const server = await oneServer()
    await server.put({ overlap: 'allow' })
    const faults = { conflict: 0.3, lostAfter: 0.02, lostBefore: 0.02, throttled: 0.1 }
    const other = server.another({ faults })
    const done = (async () => {
      for (;;) {
        try {
          return await other.schedules.backfill('s', morning, BY)
        } catch (error) {
          if (!isTransient(error)) throw error
        }
      }
    })()
    for (let n = 0; n < 200; n++) await server.clock.advance(100)
    expect((await done).runs).toHaveLength(60)
    expect(await runsOf(server.runs)).toHaveLength(60)
    expect((await runsOf(server.runs)).filter((run) => run.endsWith('queued'))).toEqual(['09:00 queued'])
  })

  it('and the schedule’s own fire make one run of a time', async () => {
    const server = await oneServer()
    await server.put({ overlap: 'allow' })
    await server.clock.advance(MINUTE + 5_000)
    await server.schedules.backfill('s', { from: '2026-03-01T12:01:00Z', to: '2026-03-01T12:01:01Z' }, BY)
    await server.schedules.start()
    await server.clock.advance(MINUTE)
    expect(await runsOf(server.runs)).toEqual(['12:01 queued', '12:02 queued'])
    expect((await server.runs.get('report:s@2026-03-01T12:01:00Z')).source).toBe('backfill')
    await server.schedules.close()
  })

  it.each([
    [{ from: '2026-03-01T10:00:00Z', to: '2026-03-01T10:00:00Z' }, /later than from/],
    [{ from: '2026-03-01T10:00:00Z', to: '2026-03-01T13:00:00Z' }, /future/],
    [{ ...morning, limit: 59 }, /more than 59/],
  ])('refuses %j', async (range, message) => {
    const server = await oneServer()
    await server.put({})
    const refused = server.schedules.backfill('s', range, BY)
    await expect(refused).rejects.toMatchObject({ code: 'invalid_argument' })
    await expect(refused).rejects.toThrow(message)
  })

  it('refuses more than may wait', async () => {
    const server = await oneServer()
    await server.put({})
    const day = { from: '2026-02-28T00:00:00Z', to: '2026-02-28T16:00:00Z' }
    expect((await server.schedules.backfill('s', day, BY)).runs).toHaveLength(960)
    await expect(server.schedules.backfill('s', morning, BY)).rejects.toMatchObject({ code: 'conflict' })
  })
})
