import { describe, expect, it } from 'vitest'
import type { Store } from '../ports/store.ts'
import { dueKey, dueKeyAt, duePartition } from './records.ts'
import { oneServer, report, runsOf } from './testing/one-server.ts'

const BY = { by: 'ann' }
const MINUTE = 60_000

async function dueRecords(store: Store): Promise<string[]> {
  const names: string[] = []
  for (let shard = 0; shard < 16; shard++) {
    const { records } = await store.list({ partition: duePartition(shard) }, { limit: 1_000 })
    names.push(...records.map(({ value }) => (value as { name: string }).name))
  }
  return names.sort()
}

describe('a schedule that is due', () => {
  it('fires at the second, with what the schedule and the job say', async () => {
    const server = await oneServer()
    const { schedules, runs, clock, told, sent } = server
    await schedules.start()
    await server.put({ parameters: { to: 'a', password: 'x' }, timeoutMs: 5_000, onLost: 'retry' })
    await clock.advance(MINUTE - 1)
    expect(await runsOf(runs)).toEqual([])
    await clock.advance(1)
    const run = await runs.get('report:s@2026-03-01T12:01:00Z')
    expect(run).toMatchObject({
      state: 'queued',
      source: 'schedule',
      schedule: 's',
      scheduledAt: '2026-03-01T12:01:00.000Z',
      queue: 'default',
      attempts: 2,
      timeoutMs: 5_000,
      onLost: 'retry',
      input: { to: 'a', password: '********' },
    })
    expect(sent).toHaveLength(1)
    expect(told).toMatchObject([{ kind: 'fired', run: run.id, lateMs: 0, missed: false, held: false }])
    expect(await schedules.get('s')).toMatchObject({
      nextAt: '2026-03-01T12:02:00.000Z',
      last: { id: run.id, state: 'queued' },
    })
    await schedules.close()
  })

  it('lets a run end as lost unless schedule or job say otherwise', async () => {
    const server = await oneServer()
    await server.runs.registerJobs([{ ...report, name: 'again', onLost: 'retry' }], 'w1')
    await server.schedules.start()
    await server.put({ name: 'a' })
    await server.put({ name: 'b', job: 'again' })
    await server.clock.advance(MINUTE)
    expect(await server.runs.get('report:a@2026-03-01T12:01:00Z')).toMatchObject({ onLost: 'fail' })
    expect(await server.runs.get('again:b@2026-03-01T12:01:00Z')).toMatchObject({ onLost: 'retry' })
    await server.schedules.close()
  })

  it('fires `at` once and is done', async () => {
    const server = await oneServer()
    await server.schedules.start()
    await server.put({ expression: 'at(2026-03-01T12:00:07)' })
    await server.clock.advance(7_000)
    expect(await runsOf(server.runs)).toEqual(['12:00 queued'])
    expect((await server.schedules.get('s')).nextAt).toBeUndefined()
    expect(await dueRecords(server.store)).toEqual([])
    await server.schedules.close()
  })

  it('starts a while later with jitter, the same time always by the same while', async () => {
    const server = await oneServer()
    const { schedules, runs, clock } = server
    await schedules.start()
    await server.put({ jitterMs: 30_000, overlap: 'allow' })
    await clock.advance(3 * MINUTE)
    const { runs: rows } = await runs.list({ schedule: 's' })
    const delays = rows.map(
      ({ notBefore = '', scheduledAt = '' }) => Date.parse(notBefore) - Date.parse(scheduledAt),
    )
    expect(new Set(delays).size).toBe(3)
    for (const delay of delays) expect(delay).toBeLessThanOrEqual(30_000)
    await schedules.close()
  })

  it('keeps to startAt and endAt', async () => {
    const server = await oneServer()
    await server.schedules.start()
    await server.put({ overlap: 'allow', startAt: '2026-03-01T12:03:00Z', endAt: '2026-03-01T12:05:00Z' })
    await server.clock.advance(10 * MINUTE)
    expect(await runsOf(server.runs)).toEqual(['12:03 queued', '12:04 queued'])
    await server.schedules.close()
  })

  it('records why when its job is unknown or the parameters do not fit any more', async () => {
    const notices: unknown[] = []
    const server = await oneServer({
      beside: (notice) => {
        notices.push(notice)
        return []
      },
    })
    await server.schedules.start()
    await server.put({ parameters: { to: 'a' } })
    const needsFrom = { type: 'object', properties: { from: { type: 'string' } }, required: ['from'] }
    await server.runs.registerJobs([{ ...report, input: needsFrom }], 'w1')
    await server.clock.advance(MINUTE)
    await server.store.deleteRange({ partition: 'signalbox:jobs' })
    await server.clock.advance(MINUTE)
    expect(await runsOf(server.runs)).toEqual(['12:01 skipped', '12:02 skipped'])
    expect(notices).toMatchObject([
      {
        kind: 'missed',
        scheduledAt: Date.parse('2026-03-01T12:01:00Z'),
        reason: expect.stringMatching(/from/) as string,
      },
      { kind: 'missed', reason: expect.stringMatching(/unknown/) as string },
    ])
    await server.schedules.close()
  })

  it('records a run that cannot be made as skipped', async () => {
    const server = await oneServer()
    await server.runs.registerJobs([{ ...report, queue: 'no such queue!' }], 'w1')
    await server.schedules.start()
    await server.put({})
    await server.clock.advance(MINUTE)
    expect(await runsOf(server.runs)).toEqual(['12:01 skipped'])
    await server.schedules.close()
  })

  it('is not fired by a server with trigger off', async () => {
    const server = await oneServer({ trigger: 'off' })
    await server.schedules.start()
    await server.put({})
    await server.clock.advance(5 * MINUTE)
    expect(await runsOf(server.runs)).toEqual([])
    expect((await server.schedules.get('s')).trigger).toMatchObject({ kind: 'off', state: 'refused' })
    await server.schedules.close()
  })

  it('fires what was due before its times are changed or it is paused', async () => {
    const server = await oneServer()
    await server.put({ overlap: 'allow' })
    await server.clock.advance(MINUTE + 2_000)
    await server.schedules.update('s', { expression: 'cron(0 0 * * ? *)' }, BY)
    expect(await runsOf(server.runs)).toEqual(['12:01 queued'])
    await server.schedules.update('s', { expression: 'cron(* * * * ? *)' }, BY)
    await server.clock.advance(MINUTE)
    await server.schedules.pause('s', BY)
    expect(await runsOf(server.runs)).toEqual(['12:01 queued', '12:02 queued'])
    expect(await dueRecords(server.store)).toEqual([])
  })

  it('is fired by whoever lives: another server needs no word of it', async () => {
    const server = await oneServer()
    const other = server.another()
    await other.schedules.start()
    await server.put({ expression: 'at(2026-03-01T12:00:03)' })
    await server.clock.advance(9_000)
    expect(await runsOf(server.runs)).toEqual(['12:00 queued'])
    await other.schedules.close()
  })
})

describe('a clock that was set back', () => {
  it('lets no time be decided about again, whatever is saved meanwhile', async () => {
    const server = await oneServer()
    const { schedules, clock, runs } = server
    await schedules.start()
    await server.put({ overlap: 'allow' })
    await clock.advance(5 * MINUTE)
    clock.jump(-3 * MINUTE)
    await schedules.update('s', { expression: 'cron(0/1 * * * ? *)' }, BY)
    await schedules.pause('s', BY)
    await schedules.resume('s', BY)
    expect((await schedules.get('s')).nextAt).toBe('2026-03-01T12:06:00.000Z')
    await clock.advance(4 * MINUTE)
    expect(await runsOf(runs)).toHaveLength(6)
    await schedules.close()
  })

  it('after it was hours ahead, lets saving get the schedule going again', async () => {
    const server = await oneServer()
    const { schedules, clock, runs } = server
    await schedules.start()
    await server.put({ overlap: 'allow', missed: 'skip' })
    clock.jump(600 * MINUTE)
    await clock.advance(2_000)
    clock.jump(-600 * MINUTE)
    await clock.advance(2 * MINUTE)
    expect((await schedules.get('s')).nextAt).toBe('2026-03-01T22:01:00.000Z')
    await schedules.update('s', { expression: 'cron(0/1 * * * ? *)' }, BY)
    await clock.advance(MINUTE)
    expect(await runsOf(runs)).toContain('12:03 queued')
    await schedules.close()
  })
})

describe('a commit that fails', () => {
  it.each(['conflict', 'lostAfter', 'lostBefore', 'throttled', 'unavailable'] as const)(
    '%s: the time has one run all the same',
    async (fault) => {
      const server = await oneServer()
      const { schedules, runs, store, clock } = server
      await schedules.start()
      await server.put({ overlap: 'allow' })
      await clock.advance(MINUTE - 1)
      store.faults.next('commit', fault)
      await clock.advance(20_000)
      expect(await runsOf(runs)).toEqual(['12:01 queued'])
      await clock.advance(MINUTE)
      expect(await runsOf(runs)).toEqual(['12:01 queued', '12:02 queued'])
      await schedules.close()
    },
  )

  it('leaves the other schedules alone, and is told', async () => {
    const server = await oneServer()
    const { runs, clock, told } = server
    const broken = server.another({
      runs: {
        plan: (run) => {
          if (run.schedule === 'bad') throw new Error('a defect')
          return runs.plan(run)
        },
        release: (id) => runs.release(id),
        liveOf: (name, limit) => runs.liveOf(name, limit),
        cancel: (id, cancel) => runs.cancel(id, cancel),
      },
    })
    await broken.schedules.start()
    await server.put({ name: 'bad' })
    await server.put({ name: 'good', overlap: 'allow' })
    await clock.advance(3 * MINUTE)
    expect(await runsOf(runs, 'good')).toHaveLength(3)
    const failures = told.filter(({ kind }) => kind === 'failed')
    expect(failures.length).toBeGreaterThan(2)
    // Later each time, so that it is no storm.
    expect(failures.length).toBeLessThan(30)
    await broken.schedules.close()
    await server.schedules.start()
    await clock.advance(1_000)
    expect((await runsOf(runs, 'bad')).filter((run) => run.endsWith('queued'))).toHaveLength(1)
    await server.schedules.close()
  })

  it('makes one run when two servers meet at each step of it', async () => {
    const server = await oneServer()
    const other = server.another()
    await server.put({ overlap: 'allow' })
    const here = server.store.faults.hold('commit', 'before')
    await server.schedules.start()
    const advancing = server.clock.advance(MINUTE)
    await here.reached
    await other.schedules.start()
    await advancing
    await server.clock.advance(2_000)
    here.release()
    await server.clock.advance(5_000)
    expect(await runsOf(server.runs)).toEqual(['12:01 queued'])
    expect(server.told.filter(({ kind }) => kind === 'fired')).toHaveLength(1)
    await Promise.all([server.schedules.close(), other.schedules.close()])
  })

  it('finds the run that is there already, and goes on', async () => {
    const server = await oneServer()
    const id = 'report:s@2026-03-01T12:01:00Z'
    await server.runs.create({
      id,
      job: 'report',
      queue: 'default',
      input: {},
      attempts: 1,
      onLost: 'fail',
      source: 'enqueue',
    })
    await server.schedules.start()
    await server.put({ overlap: 'allow' })
    await server.clock.advance(2 * MINUTE)
    expect((await server.runs.get(id)).source).toBe('enqueue')
    expect(await runsOf(server.runs)).toEqual(['12:02 queued'])
    await server.schedules.close()
  })
})

describe('a look that fails in part', () => {
  it('sees to what it could read, and to the rest soon after', async () => {
    const server = await oneServer()
    const { schedules, runs, store, clock } = server
    const names = Array.from({ length: 20 }, (_, n) => `s${n}`)
    await schedules.start()
    for (const name of names) await server.put({ name, expression: 'at(2026-03-01T12:00:30)' })
    await clock.advance(29_999)
    store.faults.next('list', 'unavailable', 'none', 'throttled')
    await clock.advance(1)
    const fired = async (): Promise<number> => {
      const all = await Promise.all(names.map((name) => runsOf(runs, name)))
      return all.flat().length
    }
    const atOnce = await fired()
    expect(atOnce).toBeGreaterThan(0)
    expect(atOnce).toBeLessThan(20)
    await clock.advance(500)
    expect(await fired()).toBe(20)
    await schedules.close()
  })
})

describe('many times at once', () => {
  it('take several commits, and a server that dies between them loses none', async () => {
    const server = await oneServer()
    const { clock, store, runs } = server
    await server.put({ missed: 'all', missedLimit: 200, overlap: 'queue' })
    await clock.advance(150 * MINUTE + 90_000)
    store.faults.next('commit', 'none', 'none', 'unavailable')
    await server.schedules.start()
    await clock.settle()
    await server.schedules.close()
    const other = server.another()
    await other.schedules.start()
    await clock.advance(10_000)
    const all = await runsOf(runs)
    expect(all).toHaveLength(151)
    expect(all.filter((run) => run.endsWith('queued'))).toEqual(['12:01 queued'])
    await other.schedules.close()
  })

  it('are in line with one that came due meanwhile', async () => {
    const server = await oneServer()
    const { clock, runs } = server
    await server.put({ missed: 'all', overlap: 'skip' })
    await clock.advance(30 * MINUTE)
    await server.schedules.start()
    await clock.advance(1_000)
    const all = await runsOf(runs)
    expect(all).toHaveLength(30)
    expect(all.filter((run) => run.endsWith('held'))).toHaveLength(29)
    await server.schedules.close()
  })
})

describe('a record in due that nothing stands behind', () => {
  it('goes, and keeps nobody busy', async () => {
    const server = await oneServer()
    const { clock, store } = server
    await server.put({ overlap: 'allow' })
    for (const [name, n] of [
      ['s', 7],
      ['nobody', 8],
    ] as const) {
      const key = dueKey(name, dueKeyAt(clock.now(), 0) + n)
      await store.commit([{ op: 'put', key, expect: 'absent', value: { name } }])
    }
    await server.schedules.start()
    await clock.advance(2 * MINUTE)
    expect(await dueRecords(store)).toEqual(['s'])
    await server.schedules.close()
  })
})
