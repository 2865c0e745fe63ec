import { describe, expect, it } from 'vitest'
import { isTransient } from '../kernel/attempt.ts'
import { oneServer, runsOf, type OneServer } from './testing/one-server.ts'

const BY = { by: 'ann' }
const MINUTE = 60_000
const at = (time: string): number => Date.parse(`2026-03-01T${time}Z`)
const event = (time: string, schedule = 's', id = 'e1') => ({ schedule, time: at(time), id })

async function external(): Promise<OneServer> {
  const server = await oneServer({ trigger: 'eventbridge', pollMs: 30_000 })
  await server.schedules.start()
  return server
}

describe('an event of an external trigger', () => {
  it('makes the run of its time', async () => {
    const server = await external()
    await server.put({ overlap: 'allow' })
    await server.clock.advance(MINUTE + 800)
    expect(await server.schedules.fire(event('12:01:00'))).toMatchObject({
      created: true,
      run: {
        id: 'report:s@2026-03-01T12:01:00Z',
        source: 'schedule',
        scheduledAt: '2026-03-01T12:01:00.000Z',
      },
    })
    expect((await server.schedules.get('s')).nextAt).toBe('2026-03-01T12:02:00.000Z')
    expect(server.told).toMatchObject([{ kind: 'fired', lateMs: 800 }])
    await server.schedules.close()
  })

  it('makes one run when it comes 185 times at once, on three servers, over a store that fails', async () => {
    const server = await external()
    await server.put({})
    const faults = { conflict: 0.1, lostAfter: 0.1, lostBefore: 0.1, throttled: 0.1 }
    const servers = [1, 2, 3].map((seed) => server.another({ seed, faults }).schedules)
    await server.clock.advance(MINUTE)
    const answers = Promise.all(
      Array.from({ length: 185 }, async (_, n) => {
        // AWS sends it again when there was no answer.
        for (;;) {
          try {
            return await servers[n % 3]?.fire(event('12:01:00', 's', n % 2 === 0 ? 'e1' : `e${n}`))
          } catch (error) {
            if (!isTransient(error)) throw error
          }
        }
      }),
    )
    for (let n = 0; n < 400; n++) await server.clock.advance(50)
    const given = await answers
    expect(given).toHaveLength(185)
    expect(new Set(given.map((answer) => answer?.run?.id))).toEqual(
      new Set(['report:s@2026-03-01T12:01:00Z']),
    )
    expect(given.filter((answer) => answer?.created).length).toBeLessThanOrEqual(1)
    expect(await runsOf(server.runs)).toEqual(['12:01 queued'])
    await server.schedules.close()
  })

  it('of a time far ahead is to be sent again, and leaves nothing', async () => {
    const server = await external()
    await server.put({ overlap: 'allow' })
    await server.clock.advance(MINUTE)
    await expect(server.schedules.fire(event('12:30:00'))).rejects.toMatchObject({ code: 'unavailable' })
    expect(await runsOf(server.runs)).toEqual([])
    await server.schedules.close()
  })

  it('is the same when it comes again hours later, and the run is there or gone', async () => {
    const server = await external()
    await server.put({ expression: 'cron(1 12 * * ? *)', retentionMs: 60_000 })
    await server.clock.advance(MINUTE)
    const { run } = await server.schedules.fire(event('12:01:00'))
    const claim = await server.runs.claim(run?.id ?? '', { worker: 'w', leaseMs: 1_000 })
    if (claim.claimed) await server.runs.finish(run?.id ?? '', claim.epoch, { kind: 'succeeded' })
    expect(await server.schedules.fire(event('12:01:00'))).toMatchObject({
      created: false,
      run: { state: 'succeeded' },
    })
    await server.clock.advance(20 * 60 * MINUTE)
    const again = await server.schedules.fire(event('12:01:00'))
    expect(again).toMatchObject({ created: false })
    expect(again.run).toBeUndefined()
    await server.schedules.close()
  })

  it('stands for the schedule’s time it comes shortly after', async () => {
    const server = await external()
    await server.put({ expression: 'cron(0/10 * * * ? *)' })
    await server.clock.advance(10 * MINUTE + 45_000)
    expect(await server.schedules.fire(event('12:10:45'))).toMatchObject({
      run: { scheduledAt: '2026-03-01T12:10:00.000Z' },
    })
    expect(await server.schedules.fire(event('12:10:00'))).toMatchObject({ created: false })
    await server.schedules.close()
  })

  it('may come before our clock says so', async () => {
    const server = await external()
    await server.put({})
    await server.clock.advance(57_000)
    expect(await server.schedules.fire(event('12:01:00'))).toMatchObject({ created: true })
    await server.schedules.close()
  })

  it('does nothing for a schedule that is paused, not begun or ended, and says so', async () => {
    const server = await external()
    await server.put({ name: 'paused' })
    await server.schedules.pause('paused', BY)
    await server.put({ name: 'later', startAt: '2026-03-02T00:00:00Z' })
    await server.put({ name: 'over', endAt: '2026-03-01T12:02:00Z' })
    await server.clock.advance(3 * MINUTE)
    for (const [name, why] of [
      ['paused', /paused/],
      ['later', /begins later/],
      ['over', /ended/],
    ] as const) {
      const answer = await server.schedules.fire(event('12:03:00', name))
      expect(answer).toMatchObject({ created: false, why: expect.stringMatching(why) as string })
      expect(await runsOf(server.runs, name)).toEqual([])
    }
    await server.schedules.close()
  })

  it('of an unknown schedule is refused', async () => {
    const server = await external()
    await expect(server.schedules.fire(event('12:03:00'))).rejects.toMatchObject({ code: 'not_found' })
    await expect(server.schedules.fire({ ...event('12:03:00'), time: Number.NaN })).rejects.toMatchObject({
      code: 'invalid_argument',
    })
    await server.schedules.close()
  })

  it('follows the overlap policy', async () => {
    const server = await external()
    await server.put({ overlap: 'queue' })
    await server.clock.advance(2 * MINUTE)
    await server.schedules.fire(event('12:01:00'))
    expect(await server.schedules.fire(event('12:02:00'))).toMatchObject({ created: true })
    expect(await runsOf(server.runs)).toEqual(['12:01 queued', '12:02 queued held'])
    await server.schedules.close()
  })

  it('finds a run that was made by hand for its time', async () => {
    const server = await external()
    await server.put({})
    await server.clock.advance(2 * MINUTE)
    await server.schedules.backfill('s', { from: '2026-03-01T12:01:00Z', to: '2026-03-01T12:02:00Z' }, BY)
    expect(await server.schedules.fire(event('12:01:00'))).toMatchObject({
      created: false,
      run: { source: 'backfill' },
    })
    expect((await server.schedules.get('s')).nextAt).toBe('2026-03-01T12:02:00.000Z')
    await server.schedules.close()
  })
})

describe('an event that never comes', () => {
  it('is taken for missed a while later; one that comes later still changes nothing', async () => {
    const server = await external()
    await server.put({ expression: 'cron(0/5 * * * ? *)', overlap: 'allow', missed: 'all' })
    await server.clock.advance(15 * MINUTE)
    await server.schedules.fire(event('12:15:00'))
    await server.schedules.fire(event('12:10:00'))
    expect(await runsOf(server.runs)).toEqual(['12:10 queued', '12:15 queued'])
    await server.clock.advance(10 * MINUTE)
    expect(await runsOf(server.runs)).toEqual(['12:05 queued', '12:10 queued', '12:15 queued'])
    expect(await server.schedules.fire(event('12:05:00'))).toMatchObject({ created: false })
    expect(await runsOf(server.runs)).toHaveLength(3)
    await server.schedules.close()
  })

  it('is recorded where missed times are not made up for, and stays so', async () => {
    const server = await external()
    await server.put({ expression: 'cron(0/5 * * * ? *)', overlap: 'allow', missed: 'skip' })
    await server.clock.advance(22 * MINUTE)
    expect(await runsOf(server.runs)).toEqual(['12:05 skipped'])
    expect(await server.schedules.fire(event('12:05:00'))).toMatchObject({
      created: false,
      run: { state: 'skipped' },
    })
    await server.schedules.close()
  })

  it('is decided about before a very late one is answered', async () => {
    const server = await oneServer({ trigger: 'eventbridge' })
    await server.put({ expression: 'cron(0/5 * * * ? *)', overlap: 'allow', missed: 'skip' })
    await server.clock.advance(180 * MINUTE)
    expect(await server.schedules.fire(event('12:05:00'))).toMatchObject({ created: false })
    expect(await server.schedules.fire(event('12:10:00'))).toMatchObject({ created: false })
    expect(await runsOf(server.runs)).toEqual(['14:45 skipped'])
  })

  it('of a rate is not known here', async () => {
    const server = await external()
    await server.put({ expression: 'rate(5 minutes)' })
    await server.clock.advance(60 * MINUTE)
    expect(await runsOf(server.runs)).toEqual([])
    expect((await server.schedules.get('s')).nextAt).toBe('2026-03-01T13:05:00.000Z')
    await server.schedules.close()
  })
})

describe('an event of a rate', () => {
  it('has a time of its own; those much closer than the interval are the same', async () => {
    const server = await external()
    await server.put({ expression: 'rate(1 minute)', overlap: 'allow' })
    await server.clock.advance(3 * MINUTE)
    expect(await server.schedules.fire(event('12:01:00'))).toMatchObject({ created: true })
    expect(await server.schedules.fire(event('12:01:02'))).toMatchObject({
      created: false,
      run: { id: 'report:s@2026-03-01T12:01:00Z' },
    })
    expect(await server.schedules.fire(event('12:01:59'))).toMatchObject({ created: true })
    expect(await runsOf(server.runs)).toHaveLength(2)
    await server.schedules.close()
  })
})

describe('a rate that others fire', () => {
  it('can be paused, changed and resumed at any time', async () => {
    const server = await external()
    const { schedules, clock } = server
    await server.put({ expression: 'rate(1 minute)' })
    await clock.advance(3 * MINUTE)
    expect(await schedules.pause('s', BY)).toMatchObject({ enabled: false })
    expect(await schedules.resume('s', BY)).toMatchObject({ enabled: true })
    await clock.advance(20 * MINUTE)
    expect(await schedules.update('s', { expression: 'cron(0 * * * ? *)' }, BY)).toMatchObject({ rev: 4 })
    expect(await runsOf(server.runs)).toEqual([])
    await schedules.close()
  })
})

describe('another trigger than before', () => {
  it('takes over what was due with the one before', async () => {
    const server = await oneServer()
    await server.put({ name: 'c', overlap: 'allow' })
    await server.put({ name: 'r', expression: 'rate(1 minute)', overlap: 'allow' })
    const bridge = server.another({ trigger: 'eventbridge' })
    await bridge.schedules.start()
    await server.clock.advance(2 * MINUTE)
    expect([...(await runsOf(server.runs, 'c')), ...(await runsOf(server.runs, 'r'))]).toEqual([])
    await bridge.schedules.fire(event('12:01:00', 'c'))
    await bridge.schedules.fire(event('12:02:00', 'c'))
    await bridge.schedules.close()
    await server.schedules.start()
    await server.clock.advance(20 * MINUTE)
    expect(await runsOf(server.runs, 'c')).toContain('12:22 queued')
    expect(await runsOf(server.runs, 'r')).toContain('12:22 queued')
    await server.schedules.close()
  })
})
