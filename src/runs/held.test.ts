/** Runs that are held, that come with somebody else's commit, and what is committed beside changes of their state. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { decimalKey, type Change, type Json, type Key, type Store } from '../ports/store.ts'
import { runKey } from './records.ts'
import type { RunsService } from './service.ts'
import type { Run } from './state.ts'
import { aRun, world } from './testing/world.ts'
import type { NewRun } from './vocabulary.ts'

const LEASE = 30_000
const claim = (runs: RunsService, id: string) => runs.claim(id, { worker: 'w1', leaseMs: LEASE })
const nightly = (more: Partial<NewRun> = {}): NewRun =>
  aRun({ source: 'schedule', schedule: 'nightly', ...more })

describe('a held run', () => {
  it('is queued, wakes nobody, and no claim gets it until it is released', async () => {
    const { runs, sent, clock } = world()
    const { run } = await runs.create(nightly({ hold: 'mail:1 has not ended' }))
    expect(run).toMatchObject({ state: 'queued', held: 'mail:1 has not ended' })
    await clock.advance(10_000)
    expect(sent).toEqual([])
    expect(await claim(runs, run.id)).toEqual({ claimed: false, why: 'not_before', retryAfterMs: 60_000 })
    expect((await runs.list({ schedule: 'nightly' })).runs[0]?.held).toBe('mail:1 has not ended')

    expect(await runs.release(run.id)).toBe(true)
    await clock.settle()
    expect(sent).toHaveLength(1)
    expect((await runs.list()).runs.map(({ held }) => held)).toEqual([undefined])
    const view = await runs.get(run.id)
    expect(view.held).toBeUndefined()
    expect(view.timeline.map(({ note }) => note)).toEqual(['mail:1 has not ended', 'released'])
    expect(await claim(runs, run.id)).toMatchObject({ claimed: true, epoch: 1, attempt: 1 })
  })

  it('is released once, whoever asks, and what was never held or ended is left as it is', async () => {
    const w = world()
    const other = w.service({ seed: 9 })
    const { run } = await w.runs.create(nightly({ hold: 'waits' }))
    const answers = await Promise.all(
      [w.runs, other.runs, w.runs, other.runs].map((runs) => runs.release(run.id)),
    )
    expect(answers.filter((released) => released)).toHaveLength(1)
    await w.clock.advance(100)
    expect(w.sent).toHaveLength(1)
    const { run: free } = await w.runs.create(nightly())
    expect(await w.runs.release(free.id)).toBe(false)
    expect(await w.runs.release('mail:nothing')).toBe(false)
    const { run: ended } = await w.runs.create(nightly({ hold: 'waits' }))
    await w.runs.cancel(ended.id, { by: 'ann' })
    expect(await w.runs.release(ended.id)).toBe(false)
    expect(await w.runs.get(ended.id)).toMatchObject({ state: 'cancelled' })
    expect((await w.runs.get(ended.id)).held).toBeUndefined()
  })

  it('that has a delay, too, waits for both', async () => {
    const { runs, clock, sent } = world()
    const { run } = await runs.create(nightly({ hold: 'waits', delayMs: 60_000 }))
    await clock.advance(20_000)
    await runs.release(run.id)
    await clock.settle()
    expect(sent[0]?.delayMs).toBe(40_000)
    expect(await claim(runs, run.id)).toMatchObject({ claimed: false, retryAfterMs: 40_000 })
    const { run: late } = await runs.create(nightly({ hold: 'waits', delayMs: 1_000 }))
    await clock.advance(50_000)
    await runs.release(late.id)
    await clock.settle()
    expect(sent[1]?.delayMs).toBeUndefined()
    expect((await claim(runs, late.id)).claimed).toBe(true)
  })

  it('is not taken for one whose wake-up got lost', async () => {
    const { runs, clock, sent } = world()
    await runs.start()
    onTestFinished(() => runs.close())
    const { run } = await runs.create(nightly({ hold: 'waits' }))
    await clock.advance(2 * 3_600_000)
    expect(sent).toEqual([])
    await runs.release(run.id)
    await clock.advance(3_590_000)
    expect(sent).toHaveLength(1)
    await clock.advance(120_000)
    expect(sent).toHaveLength(2)
  })

  it('is restarted as one that is not held, with its schedule', async () => {
    const { runs } = world()
    const { run } = await runs.create(nightly({ hold: 'waits', scheduledAt: 1_000 }))
    await runs.cancel(run.id, { by: 'ann' })
    const again = await runs.restart(run.id, { by: 'ann' })
    expect(again).toMatchObject({ source: 'restart', schedule: 'nightly', scheduledAt: run.scheduledAt })
    expect((await claim(runs, again.id)).claimed).toBe(true)
  })

  it('cannot be a skipped one', async () => {
    const { runs } = world()
    await expect(runs.create(nightly({ hold: 'waits', skipped: 'late' }))).rejects.toMatchObject({
      code: 'invalid_argument',
    })
  })
})

describe('runs of a schedule that have not ended', () => {
  it('are told the oldest first, with what is held', async () => {
    const { runs, clock } = world()
    const made: string[] = []
    for (const more of [{}, { hold: 'waits' }, { source: 'backfill' }, {}, {}] as const) {
      made.push((await runs.create(nightly({ scheduledAt: clock.now(), ...more }))).run.id)
      await clock.advance(10)
    }
    await runs.create(aRun({ schedule: 'hourly' }))
    const [first, held, backfill, running, ended] = made as [string, string, string, string, string]
    await claim(runs, running)
    await claim(runs, ended)
    await runs.finish(ended, 1, { kind: 'succeeded' })
    expect(await runs.liveOf('nightly', 10)).toMatchObject([
      { id: first, state: 'queued', held: false, source: 'schedule' },
      { id: held, state: 'queued', held: true },
      { id: backfill, state: 'queued', source: 'backfill' },
      { id: running, state: 'running', held: false },
    ])
    expect((await runs.liveOf('nightly', 2)).map(({ id }) => id)).toEqual([first, held])
    expect(await runs.liveOf('weekly', 2)).toEqual([])
  })

  it('are seen though they are claimed, or go back, while they are looked for', async () => {
    const w = world()
    const made = await Promise.all([1, 2].map(() => w.runs.create(nightly())))
    const [a, b] = made.map(({ run }) => run.id) as [string, string]
    await claim(w.runs, b)
    const watched = w.service({ seed: 5 })
    const list = watched.store.list.bind(watched.store)
    let reads = 0
    watched.store.list = async (range, options) => {
      const page = await list(range, options)
      if (++reads === 1) {
        await claim(w.runs, a)
        await w.runs.finish(b, 1, { kind: 'returned' })
      }
      return page
    }
    expect((await watched.runs.liveOf('nightly', 10)).map(({ id }) => id).sort()).toEqual([a, b].sort())
  })
})

describe('a planned run', () => {
  const at: Key = ['elsewhere', decimalKey(7)]
  const mine = (value: Json, expect: Change['expect'] = 'absent'): Change => ({
    op: 'put',
    key: at,
    expect,
    value,
  })
  const id = 'mail:nightly@2026-11-21T21:00:00Z'

  it('is there exactly if the commit is that it came with, and wakes a worker then', async () => {
    const { runs, store, sent, clock, events } = world()
    await store.commit([mine('before')])
    const vain = runs.plan(nightly({ id }))
    expect((await store.commit([mine('mine'), ...vain.changes])).ok).toBe(false)
    await expect(runs.get(id)).rejects.toMatchObject({ code: 'not_found' })

    const planned = runs.plan(nightly({ id, scheduledAt: 5_000 }))
    expect(planned).toMatchObject({ id, run: { id, state: 'queued', schedule: 'nightly' } })
    const result = await store.commit([...planned.changes, mine('mine', 'present')])
    if (!result.ok) throw new Error('not committed')
    planned.committed(result.versions[0])
    await clock.settle()
    expect(sent).toHaveLength(1)
    expect(events).toMatchObject([{ kind: 'state', id, schedule: 'nightly', to: 'queued' }])
    expect((await runs.get(id)).scheduledAt).toBe(new Date(5_000).toISOString())
    const before = store.operations['get'] ?? 0
    expect((await claim(runs, id)).claimed).toBe(true)
    expect(store.operations['get']).toBe(before)
  })

  it('is told by its key when it is there already', async () => {
    const { runs, store } = world()
    await runs.create(nightly({ id }))
    const result = await store.commit([mine('mine'), ...runs.plan(nightly({ id })).changes])
    expect(result.ok).toBe(false)
    if (!result.ok) expect(result.failed).toContainEqual(runKey(id))
  })

  it('whose committer died before it said so is woken by a sweeper', async () => {
    const { runs, store, sent, clock } = world()
    await runs.start()
    onTestFinished(() => runs.close())
    await store.commit(runs.plan(nightly({ id })).changes)
    await clock.advance(20_000)
    expect(sent).toHaveLength(1)
  })

  it('may be held or skipped, and is checked as any other', async () => {
    const { runs, store, sent, clock } = world()
    const some = [runs.plan(nightly({ hold: 'waits' })), runs.plan(nightly({ skipped: 'too late' }))]
    expect((await store.commit(some.flatMap(({ changes }) => changes))).ok).toBe(true)
    for (const one of some) one.committed()
    await clock.advance(10_000)
    expect(sent).toEqual([])
    expect(some.map(({ run }) => [run.state, run.held, run.reason])).toEqual([
      ['queued', 'waits', undefined],
      ['skipped', undefined, 'too late'],
    ])
    expect(() => runs.plan(nightly({ id: 'post:1' }))).toThrow(/must begin with its job/)
    expect(() => runs.plan(nightly({ input: 'x'.repeat(300_000) }))).toThrow(/bytes as JSON/)
  })
})

describe('what is committed beside changes of state', () => {
  const noted = async (store: Store): Promise<Json[]> =>
    (await store.list({ partition: 'noted' }, { limit: 100 })).records.map(({ value }) => value)

  /** Notes each change under a key of its own, so that the same attempt twice is seen. */
  function noting() {
    let n = 0
    const calls: [Run['state'] | undefined, Run['state']][] = []
    const beside = (before: Run | undefined, after: Run): readonly Change[] => {
      calls.push([before?.state, after.state])
      n += 1
      const value = `${before?.state ?? 'none'} → ${after.state}`
      return [{ op: 'put', key: ['noted', decimalKey(n)], expect: 'absent', value }]
    }
    return { beside, calls }
  }

  it('comes with each of them, on every path', async () => {
    const { beside } = noting()
    const { runs, store, clock } = world({ beside })
    await runs.start()
    onTestFinished(() => runs.close())
    const { run: done } = await runs.create(aRun())
    await claim(runs, done.id)
    await runs.beat(done.id, 1, { leaseMs: LEASE, progress: { done: 1 } })
    await runs.log(done.id, 1, [{ at: 0, level: 'info', text: 'hello' }])
    await runs.finish(done.id, 1, { kind: 'succeeded' })
    expect(await noted(store)).toEqual(['none → queued', 'queued → running', 'running → succeeded'])

    const { run: dead } = await runs.create(aRun({ onLost: 'fail' }))
    await claim(runs, dead.id)
    await clock.advance(2 * LEASE)
    expect((await noted(store)).slice(3)).toEqual(['none → queued', 'queued → running', 'running → lost'])

    const planned = runs.plan(aRun({ hold: 'waits' }))
    await store.commit(planned.changes)
    planned.committed()
    await runs.release(planned.id)
    await runs.cancel(planned.id, { by: 'ann' })
    await runs.restart(planned.id, { by: 'ann' })
    await runs.registerJobs([{ name: 'mail', queue: 'default', attempts: 1 }], 'w')
    await runs.runNow('mail', {}, 'ann')
    await runs.create(aRun({ skipped: 'late' }))
    await clock.advance(1_000)
    expect((await noted(store)).slice(6)).toEqual([
      'none → queued',
      'queued → cancelled',
      'none → queued',
      'none → queued',
      'none → skipped',
    ])
  })

  it('is made anew for each attempt, and written once', async () => {
    const { beside, calls } = noting()
    const w = world({ beside })
    const { run } = await w.runs.create(aRun())
    await claim(w.service({ seed: 4 }).runs, run.id)
    w.store.faults.next('commit', 'conflict', 'lostBefore', 'conflict')
    const finished = w.runs.finish(run.id, 1, { kind: 'succeeded' })
    await w.clock.advance(60_000)
    expect(await finished).toMatchObject({ accepted: true })
    expect(calls.length).toBeGreaterThan(2)
    expect(await noted(w.store)).toEqual(['none → queued', 'running → succeeded'])
  })

  it('fits with a thousand runs into commits that the store takes', async () => {
    const { beside, calls } = noting()
    const { runs, store } = world({ beside })
    await runs.createMany(Array.from({ length: 1_000 }, () => aRun()))
    expect(calls).toHaveLength(1_000)
    expect((await store.list({ partition: 'noted' }, { limit: 1_000 })).records).toHaveLength(1_000)
  })
})

describe('a run of a schedule’s time', () => {
  const ids = [
    'mail:nightly@2026-11-21T21:00:00Z',
    `${'j'.repeat(64)}:${'S'.repeat(64)}@2026-11-21T21:00:00Z:backfill`,
    'mail:a_b.c-d@2026-11-21T21:00:05Z',
  ]
  it.each(ids)('may be called %s', async (id) => {
    const { runs, clock, sent } = world()
    const job = id.slice(0, id.indexOf(':'))
    const made = nightly({ id, job, queue: 'ordered.fifo' })
    expect((await runs.create(made)).created).toBe(true)
    expect((await runs.create(made)).created).toBe(false)
    await clock.settle()
    expect(sent).toHaveLength(1)
    expect(sent[0]?.deduplicationId).toMatch(/^[\x21-\x7e]{1,128}$/)
    expect(sent[0]?.groupId).toMatch(/^[\x21-\x7e]{1,128}$/)
    expect((await claim(runs, id)).claimed).toBe(true)
  })
})
