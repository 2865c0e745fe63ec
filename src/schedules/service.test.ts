import { describe, expect, it } from 'vitest'
import { auditPartition } from '../ports/audit.ts'
import { oneServer, report } from './testing/one-server.ts'

const BY = { by: 'ann' }
const base = { name: 's', job: 'report', expression: 'cron(0 13 * * ? *)' }

describe('saving a schedule', () => {
  it('makes it, with its defaults, and tells when it fires', async () => {
    const { schedules } = await oneServer()
    const { schedule, created } = await schedules.put(base, BY)
    expect(created).toBe(true)
    expect(schedule).toMatchObject({
      rev: 1,
      enabled: true,
      missed: 'once',
      overlap: 'skip',
      says: 'at 13:00, every day',
      updatedBy: 'ann',
      nextAt: '2026-03-01T13:00:00.000Z',
      trigger: { kind: 'embedded', state: 'in_sync' },
      held: 0,
    })
    expect(schedule.next).toHaveLength(5)
    expect(schedule.next[4]).toBe('2026-03-05T13:00:00.000Z')
    expect(schedule.problem).toBeUndefined()
  })

  it('writes nothing when it says the same', async () => {
    const { schedules, store } = await oneServer()
    await schedules.put({ ...base, parameters: { to: 'a', password: 'x' } }, BY)
    const before = await store.get(['signalbox:sch:s', '000000000000000'])
    const again = await schedules.put({ parameters: { password: 'x', to: 'a' }, ...base }, { by: 'ben' })
    expect(again).toMatchObject({ created: false, schedule: { rev: 1, updatedBy: 'ann' } })
    expect(await store.get(['signalbox:sch:s', '000000000000000'])).toEqual(before)
  })

  it('can expect what is there', async () => {
    const { schedules } = await oneServer()
    await schedules.put(base, { ...BY, expect: 'absent' })
    await expect(schedules.put(base, { ...BY, expect: 'absent' })).rejects.toMatchObject({ code: 'conflict' })
    const more = { ...base, description: 'x' }
    expect((await schedules.put(more, { ...BY, expect: 1 })).schedule.rev).toBe(2)
    await expect(schedules.put(base, { ...BY, expect: 1 })).rejects.toMatchObject({ code: 'conflict' })
    await expect(schedules.update('s', { missed: 'all' }, { ...BY, expect: 1 })).rejects.toMatchObject({
      code: 'conflict',
    })
    await expect(schedules.put({ ...base, name: 'none' }, { ...BY, expect: 1 })).rejects.toMatchObject({
      code: 'conflict',
    })
  })

  it.each([
    [{ expression: 'cron(0 9 * * ? 2020)' }, /never fires again/],
    [{ expression: 'at(2026-03-01T11:59:59)' }, /in the past/],
    [
      { expression: 'at(2026-03-29T02:30:00)', timeZone: 'Europe/Berlin' },
      /does not exist in Europe\/Berlin/,
    ],
    [{ expression: 'cron(0 9 ? * MON-FRI)' }, /cron/],
    [{ timeZone: 'Mars/Base' }, /IANA/],
    [{ startAt: '2027-01-01T00:00:00Z', endAt: '2026-12-01T00:00:00Z' }, /endAt/],
    [{ startAt: '2026-03-02T14:00:00Z', endAt: '2026-03-03T12:00:00Z' }, /between startAt and endAt/],
    [{ parameters: { to: 1 } }, /to/],
    [{ name: 'no such name!' }, /name/],
  ])('refuses %j', async (more, message) => {
    const { schedules } = await oneServer()
    const refused = schedules.put({ ...base, ...more }, BY)
    await expect(refused).rejects.toMatchObject({ code: 'invalid_argument' })
    await expect(refused).rejects.toThrow(message)
    expect((await schedules.list()).total).toBe(0)
  })

  it('refuses parameters that are too large', async () => {
    const { schedules } = await oneServer()
    const parameters = { to: 'x'.repeat(101 * 1024) }
    await expect(schedules.put({ ...base, parameters }, BY)).rejects.toMatchObject({
      code: 'payload_too_large',
    })
  })

  it('refuses a job that nobody runs, unless it is to be taken all the same', async () => {
    const { schedules } = await oneServer()
    const unknown = { ...base, job: 'later' }
    await expect(schedules.put(unknown, BY)).rejects.toMatchObject({ code: 'not_found' })
    const { schedule } = await schedules.put(unknown, { ...BY, unknownJob: true })
    expect(schedule.problem).toMatch(/unknown/)
    expect((await schedules.update('s', { description: 'still' }, BY)).description).toBe('still')
  })

  it('refuses a channel that is not configured; one that was, and is not any more, keeps nothing from being changed', async () => {
    const server = await oneServer({ channels: ['ops', 'chat'] })
    const { schedules } = server
    const notify = (...channels: string[]) => ({ ...base, notify: { channels } })
    await expect(schedules.put(notify('ops', 'opps'), BY)).rejects.toThrow(
      "notify: there is no channel 'opps'; there are ops, chat (notifications.channels)",
    )
    expect((await schedules.list()).total).toBe(0)
    await schedules.put(notify('chat'), BY)
    await expect(schedules.update('s', { notify: { channels: ['opps'] } }, BY)).rejects.toThrow(/'opps'/)
    const { schedules: later } = server.another({ channels: [] })
    expect(await later.update('s', { description: 'still' }, BY)).toMatchObject({
      description: 'still',
      rev: 2,
    })
    expect((await later.pause('s', BY)).enabled).toBe(false)
    await expect(later.put(notify('ops'), BY)).rejects.toThrow(/'ops'; none is configured/)
    expect((await later.update('s', { notify: { channels: [] } }, BY)).notify).toEqual({ channels: [] })
  })

  it('asks the external trigger', async () => {
    const { schedules } = await oneServer({
      trigger: 'eventbridge',
      objection: ({ timeZone }) => (timeZone === 'UTC' ? undefined : 'rules are in UTC; use another trigger'),
    })
    expect((await schedules.put(base, BY)).schedule.trigger).toEqual({
      kind: 'eventbridge',
      state: 'pending',
    })
    await expect(schedules.put({ ...base, timeZone: 'Europe/Berlin' }, BY)).rejects.toThrow(
      /rules are in UTC/,
    )
  })

  it('is one commit with its audit entry', async () => {
    const { schedules, store, clock } = await oneServer()
    await schedules.put(base, BY)
    await schedules.pause('s', { by: 'ben', reason: 'holiday' })
    await schedules.resume('s', BY)
    await schedules.run('s', {}, BY)
    await schedules.backfill('s', { from: '2026-02-28T00:00:00Z', to: '2026-03-01T00:00:00Z' }, BY)
    await schedules.delete('s', BY)
    const { records } = await store.list({ partition: auditPartition(clock.now()) }, { limit: 100 })
    const entries = records.map(({ value }) => value as { action: string; actor: string; reason?: string })
    expect(entries.map(({ action }) => action).sort()).toEqual(
      ['backfill', 'create', 'delete', 'pause', 'resume', 'run'].map((verb) => `schedules.${verb}`),
    )
    expect(entries.find(({ action }) => action === 'schedules.pause')).toMatchObject({
      actor: 'ben',
      reason: 'holiday',
    })
  })

  it.each(['lostAfter', 'lostBefore', 'throttled', 'conflict'] as const)(
    'survives %s, and happens once',
    async (fault) => {
      const { schedules, store, clock } = await oneServer()
      const settled = async <T>(promise: Promise<T>): Promise<T> => {
        for (let n = 0; n < 20; n++) await clock.advance(100)
        return promise
      }
      store.faults.next('commit', fault)
      expect(await settled(schedules.put(base, { ...BY, expect: 'absent' }))).toMatchObject({ created: true })
      store.faults.next('commit', fault)
      expect(await settled(schedules.update('s', { missed: 'all' }, { ...BY, expect: 1 }))).toMatchObject({
        rev: 2,
      })
      store.faults.next('commit', fault)
      expect(await settled(schedules.run('s', {}, BY))).toMatchObject({ created: true })
      store.faults.next('commit', fault)
      await settled(schedules.delete('s', BY))
      await expect(schedules.get('s')).rejects.toMatchObject({ code: 'not_found' })
    },
  )
})

describe('changing a schedule', () => {
  it('is done although its answer was lost and the schedule was used since', async () => {
    const server = await oneServer()
    const { schedules, store } = server
    await schedules.put(base, BY)
    store.faults.next('commit', 'lostAfter')
    const stopped = store.faults.hold('commit', 'after')
    const updating = schedules.update('s', { description: 'x' }, { ...BY, expect: 1 })
    await stopped.reached
    await server.another().schedules.run('s', {}, BY)
    stopped.release()
    expect(await updating).toMatchObject({ rev: 2, description: 'x' })
  })

  it('changes what the patch names, and null takes away', async () => {
    const { schedules } = await oneServer()
    await schedules.put({ ...base, description: 'x', timeoutMs: 5_000 }, BY)
    const view = await schedules.update('s', { description: null, timeZone: 'Europe/Berlin' }, BY)
    expect(view).toMatchObject({ rev: 2, timeoutMs: 5_000, nextAt: '2026-03-02T12:00:00.000Z' })
    expect(view.description).toBeUndefined()
  })

  it('leaves the next time alone when the times stay', async () => {
    const { schedules, clock } = await oneServer()
    await schedules.put({ ...base, expression: 'rate(10 minutes)' }, BY)
    await clock.advance(7 * 60_000)
    const { nextAt } = await schedules.update('s', { description: 'x' }, BY)
    expect(nextAt).toBe('2026-03-01T12:10:00.000Z')
  })

  it('goes on from now after a pause, a rate from where it began', async () => {
    const { schedules, clock } = await oneServer()
    await schedules.put({ ...base, expression: 'rate(10 minutes)' }, BY)
    const paused = await schedules.pause('s', { ...BY, reason: 'holiday' })
    expect(paused).toMatchObject({ enabled: false, next: [], paused: { by: 'ann', reason: 'holiday' } })
    expect(paused.nextAt).toBeUndefined()
    await clock.advance(35 * 60_000)
    expect(await schedules.resume('s', BY)).toMatchObject({
      enabled: true,
      nextAt: '2026-03-01T12:40:00.000Z',
    })
    expect((await schedules.get('s')).paused).toBeUndefined()
  })

  it('knows nothing of a schedule that is not there', async () => {
    const { schedules } = await oneServer()
    const calls = [
      schedules.get('x'),
      schedules.update('x', {}, BY),
      schedules.delete('x', BY),
      schedules.pause('x', BY),
      schedules.resume('x', BY),
      schedules.run('x', {}, BY),
      schedules.backfill('x', { from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z' }, BY),
    ]
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('secrets of a schedule', () => {
  const secret = { ...base, parameters: { to: 'a', password: 'hunter2' } }

  it('are masked in views, kept where the mask comes back, and given to runs', async () => {
    const { schedules, runs } = await oneServer()
    const { schedule } = await schedules.put(secret, BY)
    expect(schedule.parameters).toEqual({ to: 'a', password: '********' })
    await schedules.put({ ...base, parameters: { to: 'b', password: '********' } }, BY)
    const { run } = await schedules.run('s', { parameters: { to: 'c' } }, BY)
    expect((await runs.get(run.id)).input).toEqual({ to: 'c', password: '********' })
    const claim = await runs.claim(run.id, { worker: 'w', leaseMs: 1_000 })
    expect(claim).toMatchObject({ input: { to: 'c', password: 'hunter2' } })
  })

  it('do not come into another job by their mask', async () => {
    const { schedules, runs } = await oneServer()
    await runs.registerJobs([{ ...report, name: 'other' }], 'w1')
    await schedules.put(secret, BY)
    await expect(schedules.update('s', { job: 'other' }, BY)).rejects.toThrow(/mask/)
    const masked = { ...secret, job: 'other', parameters: { password: '********' } }
    await expect(schedules.put(masked, BY)).rejects.toThrow(/mask/)
    await expect(schedules.put({ ...masked, name: 'new' }, BY)).rejects.toThrow(/mask/)
  })

  it('stay masked when the job is not known any more', async () => {
    const { schedules, store } = await oneServer()
    await schedules.put(secret, BY)
    await store.deleteRange({ partition: 'signalbox:jobs' })
    expect((await schedules.get('s')).parameters).toEqual({ to: 'a', password: '********' })
  })
})

describe('a list of schedules', () => {
  it('has them by name, page by page, and filters', async () => {
    const { schedules, clock } = await oneServer()
    for (const name of ['b', 'a', 'C', 'd']) {
      await schedules.put({ ...base, name, description: `about ${name}` }, BY)
    }
    await schedules.pause('d', BY)
    await clock.settle()
    const first = await schedules.list({ limit: 2 })
    expect(first).toMatchObject({ total: 4, next: 'a' })
    const rest = await schedules.list({ limit: 2, after: 'a' })
    expect([...first.schedules, ...rest.schedules].map(({ name }) => name)).toEqual(['C', 'a', 'b', 'd'])
    expect(rest.next).toBeUndefined()
    expect((await schedules.list({ text: 'ABOUT C' })).schedules.map(({ name }) => name)).toEqual(['C'])
    expect((await schedules.list({ enabled: false })).schedules).toMatchObject([
      { name: 'd', paused: { by: 'ann' } },
    ])
    expect((await schedules.list({ job: 'other' })).total).toBe(0)
    expect((await schedules.list({ visible: (name) => name === 'a' })).total).toBe(1)
    await expect(schedules.list({ limit: 0 })).rejects.toMatchObject({ code: 'invalid_argument' })
  })

  it('tells the newest run of each', async () => {
    const { schedules } = await oneServer()
    await schedules.put(base, BY)
    const { run } = await schedules.run('s', { id: 'x' }, BY)
    expect((await schedules.list()).schedules[0]?.last).toEqual({ id: run.id, state: 'queued' })
  })

  it('is followed by hints', async () => {
    const { schedules } = await oneServer()
    const stop = new AbortController()
    const hints = schedules.follow(stop.signal)[Symbol.asyncIterator]()
    expect((await hints.next()).done).toBe(false)
    const hint = hints.next()
    await schedules.put(base, BY)
    expect((await hint).done).toBe(false)
    stop.abort()
    for (let n = 0; n < 5; n++) if ((await hints.next()).done === true) return
    throw new Error('it did not end')
  })
})

describe('a run now', () => {
  it('is beside the times, and happens once with an id', async () => {
    const { schedules } = await oneServer()
    await schedules.put(base, BY)
    const first = await schedules.run('s', { id: 'x', parameters: { to: 'b' } }, BY)
    expect(first).toMatchObject({ created: true, run: { id: 'report:x', source: 'run_now', schedule: 's' } })
    expect(await schedules.run('s', { id: 'x' }, BY)).toMatchObject({
      created: false,
      run: { id: 'report:x' },
    })
    expect((await schedules.get('s')).nextAt).toBe('2026-03-01T13:00:00.000Z')
    await expect(schedules.run('s', { parameters: { to: 1 } }, BY)).rejects.toMatchObject({
      code: 'invalid_argument',
    })
  })

  it('works while the schedule is paused', async () => {
    const { schedules } = await oneServer()
    await schedules.put({ ...base, enabled: false }, BY)
    expect(await schedules.run('s', {}, BY)).toMatchObject({ created: true })
  })
})

describe('a preview', () => {
  it('says it in words and shows the next times', async () => {
    const { schedules } = await oneServer()
    expect(await schedules.preview({ expression: 'rate(5 minutes)', count: 2 })).toEqual({
      says: 'every 5 minutes',
      next: ['2026-03-01T12:05:00.000Z', '2026-03-01T12:10:00.000Z'],
    })
    expect(
      await schedules.preview({
        expression: 'rate(1 hour)',
        startAt: '2026-03-01T20:00:00Z',
        endAt: '2026-03-01T22:00:00Z',
      }),
    ).toMatchObject({ next: ['2026-03-01T20:00:00.000Z', '2026-03-01T21:00:00.000Z'] })
    await expect(schedules.preview({ expression: 'rate(5 minute)' })).rejects.toThrow(/minutes/)
  })

  it('is what a schedule does that is made now', async () => {
    const { schedules } = await oneServer()
    for (const expression of ['rate(7 minutes)', 'cron(0/13 * * * ? *)', 'at(2026-06-01T09:00:00)']) {
      const { schedule } = await schedules.put({ ...base, expression }, BY)
      expect(schedule.next).toEqual((await schedules.preview({ expression })).next)
    }
  })
})
