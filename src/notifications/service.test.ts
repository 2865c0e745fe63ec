import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { SignalboxError } from '../kernel/error.ts'
import type { Event } from './event.ts'
import { notice, ofJob, world, type World, type WorldOptions } from './testing/world.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

async function started(options: WorldOptions = {}): Promise<World> {
  const made = world(options)
  await made.notes.start()
  onTestFinished(async () => {
    const closed = made.notes.close()
    await made.clock.advance(5 * SECOND)
    await closed
  })
  await made.clock.advance(1)
  return made
}

const kinds = (events: readonly Event[] = []): string[] => events.map(({ kind }) => kind)
const DOWN = { error: 'answered 503' }

describe('who is told', () => {
  it('is nobody without a channel, and nothing is written', async () => {
    const { notes, tell, store } = await started({ channels: [] })
    await tell(notice())
    expect(notes.changesFor(notice())).toEqual([])
    expect((await store.list({ partition: 'signalbox:note:in:0' }, { limit: 1 })).records).toEqual([])
  })

  it('follows the rules: kinds, schedules, jobs, patterns; each channel once', async () => {
    const { tell, taken, clock } = await started({
      channels: ['a', 'b', 'c'],
      rules: [
        { events: ['failed'], schedules: ['night*'], channels: ['a', 'b'] },
        { jobs: ['report', 'mail'], events: ['failed', 'lost'], channels: ['b'] },
        { schedules: ['*'], events: ['missed'], channels: ['c'] },
      ],
    })
    await tell(notice())
    await tell(notice({ kind: 'lost', schedule: 'daily' }))
    await tell(notice({ kind: 'missed', job: 'other', count: 3 }))
    await tell(notice({ kind: 'cancelled' }))
    await tell(ofJob({ kind: 'missed' }))
    await clock.advance(5 * SECOND)
    expect(kinds(taken['a'])).toEqual(['failed'])
    expect(kinds(taken['b']).sort()).toEqual(['failed', 'lost'])
    expect(kinds(taken['c'])).toEqual(['missed'])
  })

  it('is what the schedule says itself, instead of the rules', async () => {
    const { tell, taken, clock, events } = await started({
      channels: ['a', 'b'],
      rules: [{ channels: ['a'] }],
      scheduleNotify: async (schedule) =>
        schedule === 'quiet'
          ? { channels: [] }
          : schedule === 'own'
            ? { events: ['failed'], channels: ['b', 'gone'] }
            : undefined,
    })
    for (const schedule of ['quiet', 'own', 'other']) {
      await tell(notice({ schedule }))
      await tell(notice({ schedule, kind: 'lost' }))
    }
    await clock.advance(5 * SECOND)
    expect(taken['a']?.map(({ schedule }) => schedule)).toEqual(['other', 'other'])
    expect(taken['b']?.map(({ schedule, kind }) => `${schedule} ${kind}`)).toEqual(['own failed'])
    expect(events).toContainEqual({ kind: 'unknown_channel', channel: 'gone', about: 'schedule own' })
  })

  it('writes nothing for a job that no rule names, nor for a success nobody waits for', async () => {
    const { notes } = await started({ rules: [{ jobs: ['mail'], channels: ['ops'] }] })
    expect(notes.changesFor(ofJob())).toEqual([])
    expect(notes.changesFor(ofJob({ kind: 'succeeded', job: 'mail' }))).toEqual([])
    expect(notes.changesFor(ofJob({ job: 'mail' }))).toHaveLength(1)
  })
})

describe('recovered', () => {
  it('is the first success after ends that were none, with how many and since when', async () => {
    const { tell, taken, clock } = await started()
    const since = clock.now()
    await tell(notice({ kind: 'succeeded' }))
    await tell(notice({ at: since }))
    await tell(notice({ kind: 'timed_out', at: since + 1 }))
    await tell(notice({ kind: 'cancelled' }))
    await tell(notice({ kind: 'succeeded', run: 'report:good' }))
    await tell(notice({ kind: 'succeeded' }))
    await clock.advance(5 * SECOND)
    expect(kinds(taken['ops'])).toEqual(['failed', 'timed_out', 'cancelled', 'recovered'])
    expect(taken['ops']?.at(-1)).toMatchObject({ count: 2, since, run: 'report:good' })
  })

  it('comes although the failure could not be taken at first, and much has happened since', async () => {
    let refusals = 1
    const { tell, taken, clock } = await started({
      rules: [{ events: ['failed', 'recovered'], channels: ['ops'] }],
      async scheduleNotify() {
        if (refusals-- > 0) throw new SignalboxError('unavailable', 'not now')
        return undefined
      },
    })
    await tell(notice())
    for (let i = 0; i < 110; i++) await tell(notice({ kind: 'cancelled' }))
    await tell(notice({ kind: 'succeeded' }))
    await clock.advance(5 * SECOND)
    expect(kinds(taken['ops'])).toEqual(['failed', 'recovered'])
  })

  it('does not come of a cancellation', async () => {
    const { tell, taken, clock } = await started()
    await tell(notice({ kind: 'cancelled' }))
    await tell(notice({ kind: 'succeeded' }))
    await clock.advance(5 * SECOND)
    expect(kinds(taken['ops'])).toEqual(['cancelled'])
  })

  it('is told of jobs without a schedule too, also by a server that did not see the failure', async () => {
    const { tell, taken, clock, service, notes } = await started()
    const { notes: other } = service({ seed: 5 })
    await other.start()
    await clock.advance(3 * SECOND)
    await tell(ofJob())
    await clock.advance(3 * SECOND)
    await notes.close()
    await clock.advance(61 * SECOND)
    await tell(ofJob({ kind: 'succeeded' }), other)
    await clock.advance(5 * SECOND)
    expect(kinds(taken['ops'])).toEqual(['failed', 'recovered'])
    const closed = other.close()
    await clock.advance(5 * SECOND)
    await closed
  })
})

describe('repeats', () => {
  it('are counted for an hour and told as one; then for the next hour', async () => {
    const { tell, taken, clock, events } = await started()
    for (let i = 0; i < 14; i++) {
      await tell(notice({ run: `report:r${i}`, at: clock.now() }))
      await clock.advance(5 * MINUTE)
    }
    expect(kinds(taken['ops'])).toEqual(['failed', 'repeated'])
    expect(taken['ops']?.[1]).toMatchObject({ repeats: { failed: 12 }, run: 'report:r12' })
    await clock.advance(HOUR)
    expect(taken['ops']?.[2]).toMatchObject({ kind: 'repeated', repeats: { failed: 1 } })
    await clock.advance(3 * HOUR)
    expect(taken['ops']).toHaveLength(3)
    expect(events.filter(({ kind }) => kind === 'counted')).toHaveLength(13)
    await tell(notice())
    await clock.advance(5 * SECOND)
    expect(kinds(taken['ops']).at(-1)).toBe('failed')
  })

  it('are not swallowed by a window of a clock that was a year ahead', async () => {
    const { tell, taken, clock, store } = await started()
    const ahead = (by: number): number => (store.faults.clockOffsetMs = by)
    const again = async (): Promise<void> => {
      await tell(notice({ at: clock.now() }))
      await clock.advance(5 * SECOND)
    }
    ahead(365 * 24 * HOUR)
    await again()
    ahead(0)
    await again()
    await again()
    expect(kinds(taken['ops'])).toEqual(['failed', 'failed'])
    await clock.advance(HOUR)
    expect(kinds(taken['ops'])).toEqual(['failed', 'failed', 'repeated'])
    // Also where something was counted already.
    ahead(365 * 24 * HOUR)
    await again()
    await again()
    ahead(0)
    await again()
    await clock.advance(HOUR + MINUTE)
    expect(taken['ops']?.at(-1)).toMatchObject({ kind: 'repeated', repeats: { failed: 2 } })
  })

  it('of another kind, schedule or channel are not held back', async () => {
    const { tell, taken, clock } = await started()
    for (const kind of ['failed', 'lost', 'failed', 'lost'] as const) await tell(notice({ kind }))
    await tell(notice({ schedule: 'other' }))
    await clock.advance(5 * SECOND)
    expect(kinds(taken['ops']).sort()).toEqual(['failed', 'failed', 'lost'])
    await clock.advance(HOUR)
    expect(taken['ops']?.find(({ kind }) => kind === 'repeated')).toMatchObject({
      repeats: { failed: 1, lost: 1 },
    })
  })

  it('are told at once by a recovery, before it', async () => {
    const { tell, taken, clock } = await started()
    for (let i = 0; i < 4; i++) await tell(notice())
    await tell(notice({ kind: 'succeeded' }))
    await tell(notice())
    await clock.advance(10 * SECOND)
    expect(kinds(taken['ops'])).toEqual(['failed', 'repeated', 'recovered', 'failed'])
    expect(taken['ops']?.[1]?.repeats).toEqual({ failed: 3 })
    await clock.advance(2 * HOUR)
    expect(taken['ops']).toHaveLength(4)
  })

  it('are all told with foldFor 0', async () => {
    const { tell, taken, clock } = await started({ foldForMs: 0 })
    for (let i = 0; i < 5; i++) await tell(notice())
    await clock.advance(5 * SECOND)
    expect(taken['ops']).toHaveLength(5)
  })
})

describe('a receiver that fails', () => {
  it('is told once it is back, an hour later: everything, in order, each under one id', async () => {
    const { tell, taken, tried, refusing, clock } = await started({ foldForMs: 0 })
    refusing.set('ops', DOWN)
    for (let i = 0; i < 20; i++) {
      await tell(notice({ run: `report:h${i}` }))
      await clock.advance(3 * MINUTE)
    }
    expect(taken['ops']).toBeUndefined()
    expect(tried.length).toBeLessThan(40)
    refusing.clear()
    await clock.advance(11 * MINUTE)
    expect(taken['ops']?.map(({ run }) => run)).toEqual(Array.from({ length: 20 }, (_, i) => `report:h${i}`))
    expect(new Set(tried.map(({ id }) => id)).size).toBe(20)
  })

  it('gets one try at a time, later and later, ten minutes apart at most', async () => {
    const { tell, tried, refusing, clock } = await started({ foldForMs: 0 })
    refusing.set('ops', DOWN)
    for (let i = 0; i < 30; i++) await tell(notice({ schedule: `s${i}` }))
    await clock.advance(4 * HOUR)
    const gaps = tried.slice(4).map(({ at }, i) => at - (tried[i + 3]?.at ?? 0))
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(2.5 * SECOND)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(10 * MINUTE + 3 * SECOND)
    expect(Math.min(...gaps.slice(-5))).toBeGreaterThanOrEqual(5 * MINUTE)
  })

  it('holds up nobody else, also when it never answers', async () => {
    const { tell, taken, refusing, clock } = await started({ channels: ['dead', 'live'], foldForMs: 0 })
    refusing.set('dead', 'silent')
    for (let i = 0; i < 30; i++) await tell(notice({ schedule: `s${i}` }))
    await clock.advance(5 * SECOND)
    expect(taken['live']).toHaveLength(30)
  })

  it('is given as long as its channel says, so that a slow one is not told again and again', async () => {
    const { tell, tried, refusing, clock, events } = await started({ tryMs: 40 * SECOND })
    refusing.set('ops', 'silent')
    await tell(notice())
    await clock.advance(38 * SECOND)
    expect([tried.length, events.map(({ kind }) => kind)]).toEqual([1, []])
    await clock.advance(10 * SECOND)
    expect(events.map(({ kind }) => kind)).toContain('not_sent')
  })

  it('is left alone for as long as it asks', async () => {
    const { tell, tried, refusing, clock } = await started()
    refusing.set('ops', { ...DOWN, retryAfterMs: 30 * MINUTE })
    await tell(notice())
    await clock.advance(29 * MINUTE)
    expect(tried).toHaveLength(1)
    await clock.advance(2 * MINUTE)
    expect(tried).toHaveLength(2)
  })

  it('that refuses one message takes the others', async () => {
    const { tell, taken, clock, refusing } = await started()
    refusing.set('ops', { error: 'answered 413', fault: 'message', slow: true })
    await tell(notice({ schedule: 'large' }))
    await clock.advance(3 * SECOND)
    refusing.clear()
    await tell(notice({ schedule: 'small' }))
    await clock.advance(3 * SECOND)
    expect(taken['ops']?.map(({ schedule }) => schedule)).toEqual(['small'])
    await clock.advance(2 * MINUTE)
    expect(taken['ops']?.map(({ schedule }) => schedule)).toEqual(['small', 'large'])
  })

  it('is given up after three days, told so, and kept for a retry', async () => {
    const { tell, taken, notes, refusing, clock, events } = await started({ pollMs: MINUTE })
    refusing.set('ops', { ...DOWN, slow: true })
    await tell(notice())
    await tell(notice({ schedule: 'second' }))
    await clock.advance(80 * HOUR)
    expect(events.filter(({ kind }) => kind === 'given_up')).toHaveLength(2)
    expect((await notes.list()).deliveries).toEqual([])
    const { deliveries } = await notes.list({ state: 'given_up' })
    expect(deliveries).toHaveLength(2)
    refusing.clear()
    const [first] = deliveries
    expect(first).toMatchObject({ state: 'given_up', error: 'answered 503', channel: 'ops' })
    expect(await notes.retry(first?.id ?? '', { by: 'ann' })).toMatchObject({ state: 'pending', tries: 0 })
    await clock.advance(SECOND)
    expect(taken['ops']).toHaveLength(1)
    expect((await notes.list({ state: 'given_up' })).deliveries).toHaveLength(1)
  })
})

describe('people', () => {
  it('see what waits and why, try it at once, or discard it', async () => {
    const { tell, notes, taken, refusing, clock, store } = await started()
    refusing.set('ops', DOWN)
    await tell(notice({ error: 'disk full' }))
    await tell(notice({ schedule: 'other' }))
    await clock.advance(10 * MINUTE)
    const { deliveries } = await notes.list()
    expect(deliveries).toHaveLength(2)
    expect(deliveries[0]).toMatchObject({ channel: 'ops', type: 'run.failed', error: 'answered 503' })
    expect(await notes.channels()).toMatchObject([
      { name: 'ops', waiting: 2, target: 'https://ops.example.org/…', failing: { error: 'answered 503' } },
    ])
    const nightly = deliveries.find(({ text }) => text.includes('nightly'))?.id ?? ''
    expect(await notes.get(nightly)).toMatchObject({
      body: {
        type: 'run.failed',
        data: { error: 'disk full', schedule: 'nightly', text: 'Schedule nightly failed' },
      },
    })
    await notes.discard(deliveries.find(({ id }) => id !== nightly)?.id ?? '', { by: 'ann' })
    refusing.clear()
    await notes.retry(nightly, { by: 'ann' })
    await clock.advance(SECOND)
    expect(taken['ops']?.map(({ schedule }) => schedule)).toEqual(['nightly'])
    await expect(notes.get(nightly)).rejects.toThrow(`no message '${nightly}' waits`)
    const day = new Date(clock.now()).toISOString().slice(0, 10)
    const audit = await store.list({ partition: `signalbox:audit:${day}` }, { limit: 10 })
    expect(audit.records.map(({ value }) => (value as { action: string }).action).sort()).toEqual([
      'notifications.discard',
      'notifications.retry',
    ])
  })

  it('discard what was given up although an answer was lost', async () => {
    const { tell, notes, refusing, clock, store } = await started({ giveUpAfterMs: MINUTE })
    refusing.set('ops', DOWN)
    await tell(notice())
    await clock.advance(30 * MINUTE)
    const [dead] = (await notes.list({ state: 'given_up' })).deliveries
    const id = dead?.id ?? ''
    vi.spyOn(store, 'commit').mockRejectedValueOnce(new SignalboxError('outcome_unknown', 'lost'))
    await notes.discard(id, { by: 'ann' })
    await expect(notes.get(id)).rejects.toThrow(`no message '${id}'`)
  })

  it('try a channel past the outbox', async () => {
    const { notes, taken, refusing } = await started()
    expect(await notes.test('ops', { by: 'ann' })).toMatchObject({ delivered: true })
    expect(taken['ops']).toMatchObject([{ kind: 'test', by: 'ann' }])
    refusing.set('ops', DOWN)
    expect(await notes.test('ops', { by: 'ann' })).toMatchObject({ delivered: false, error: 'answered 503' })
    await expect(notes.test('nope', { by: 'ann' })).rejects.toThrow("no channel 'nope'")
  })

  it('see what waits for a channel that is gone, until it is back or given up', async () => {
    const { tell, notes, refusing, clock, service, taken, tried } = await started({
      channels: ['ops', 'old'],
    })
    refusing.set('old', DOWN)
    await tell(notice())
    await clock.advance(5 * SECOND)
    await notes.close()
    const { notes: without } = service({
      seed: 7,
      channels: [{ name: 'ops', type: 'slack', target: 'x', send: async () => ({ ok: true }) }],
    })
    await without.start()
    await clock.advance(5 * MINUTE)
    expect(await without.channels()).toMatchObject([
      { name: 'old', waiting: 1 },
      { name: 'ops', waiting: 0 },
    ])
    await without.close()
    expect(tried.filter(({ channel }) => channel === 'old')).toHaveLength(1)
    refusing.clear()
    const { notes: again } = service({ seed: 8 })
    await again.start()
    await clock.advance(HOUR)
    expect(taken['old']).toHaveLength(1)
    await again.close()
  })

  it('are told what was given up because its channel is gone', async () => {
    const { tell, notes, refusing, clock, service, events } = await started({ channels: ['old'] })
    refusing.set('old', DOWN)
    await tell(notice())
    await clock.advance(5 * SECOND)
    await notes.close()
    const ops = {
      name: 'ops',
      type: 'slack',
      target: 'x',
      send: async () => ({ ok: true as const }),
    } as const
    const { notes: without } = service({ seed: 7, channels: [ops], pollMs: MINUTE })
    await without.start()
    await clock.advance(73 * HOUR)
    expect(events.filter(({ kind }) => kind === 'given_up')).toMatchObject([
      { channel: 'old', error: 'its channel is not configured' },
    ])
    expect(await without.channels()).toMatchObject([{ name: 'ops' }])
    await without.close()
  })
})

describe('a service that is closed', () => {
  it('lets what is on its way arrive for a moment, and another delivers the rest', async () => {
    const { tell, notes, refusing, clock, service, taken } = world()
    await notes.start()
    refusing.set('ops', 'silent')
    await tell(notice())
    await clock.advance(3 * SECOND)
    let closed = false
    void notes.close().then(() => (closed = true))
    await clock.advance(2 * SECOND)
    expect(closed).toBe(false)
    await clock.advance(2 * SECOND)
    expect(closed).toBe(true)
    refusing.clear()
    const { notes: next } = service({ seed: 9 })
    await next.start()
    await clock.advance(70 * SECOND)
    expect(taken['ops']).toHaveLength(1)
    await next.close()
    expect(clock.pendingTimers).toBe(0)
  })
})
