import { describe, expect, it } from 'vitest'
import type { RunsService } from './service.ts'
import { aRun, world } from './testing/world.ts'

const LEASE = 30_000

async function claimed(runs: RunsService, id: string, worker = 'w1'): Promise<number> {
  const claim = await runs.claim(id, { worker, leaseMs: LEASE })
  if (!claim.claimed) throw new Error(`not claimed: ${claim.why}`)
  return claim.epoch
}

describe('the runs service', () => {
  it('records a run and wakes a worker, in that order', async () => {
    const { runs, sent, clock, store } = world()
    const { run, created } = await runs.create(aRun())
    expect(created).toBe(true)
    expect(run).toMatchObject({ job: 'mail', state: 'queued', attempt: 0, attempts: 3 })
    await clock.settle()
    expect(sent).toEqual([{ queue: 'default', body: JSON.stringify({ v: 1, job: 'mail', run: run.id }) }])
    await clock.advance(100)
    const out = await Promise.all(
      Array.from({ length: 16 }, (_, n) =>
        store.list({ partition: `signalbox:runs:out:${n}` }, { limit: 10 }),
      ),
    )
    expect(out.flatMap(({ records }) => records)).toEqual([])
  })

  it('plays a whole life', async () => {
    const { runs } = world()
    const { run } = await runs.create(aRun())
    const epoch = await claimed(runs, run.id)
    expect(await runs.beat(run.id, epoch, { leaseMs: LEASE, progress: { done: 1, total: 2 } })).toEqual({
      held: true,
    })
    expect((await runs.get(run.id)).progress).toEqual({ done: 1, total: 2 })
    await runs.log(run.id, epoch, [{ at: 1, level: 'info', text: 'hello', fields: { a: 1 } }])
    expect(await runs.finish(run.id, epoch, { kind: 'succeeded', result: { ok: 1 } })).toMatchObject({
      accepted: true,
      run: { state: 'succeeded' },
    })
    const view = await runs.get(run.id)
    expect(view).toMatchObject({ state: 'succeeded', result: { ok: 1 }, logLines: 1, attempt: 1 })
    expect(view.timeline.map(({ state }) => state)).toEqual(['queued', 'running', 'succeeded'])
    expect((await runs.readLog(run.id)).lines).toEqual([
      { n: 1, attempt: 1, at: 1, level: 'info', text: 'hello', fields: { a: 1 } },
    ])
    expect((await runs.list()).runs.map(({ state }) => state)).toEqual(['succeeded'])
  })

  it('retries after the delay, with a new wake-up', async () => {
    const { runs, sent, clock } = world()
    const { run } = await runs.create(aRun())
    const epoch = await claimed(runs, run.id)
    const failed = { kind: 'failed', error: { message: 'no' }, retryDelayMs: 5_000 } as const
    expect(await runs.finish(run.id, epoch, failed)).toMatchObject({
      accepted: true,
      run: { state: 'queued' },
    })
    await clock.settle()
    expect(sent.at(-1)).toMatchObject({ delayMs: 5_000 })
    expect(await runs.claim(run.id, { worker: 'w', leaseMs: LEASE })).toEqual({
      claimed: false,
      why: 'not_before',
      retryAfterMs: 5_000,
    })
    await clock.advance(5_000)
    expect(await claimed(runs, run.id)).toBe(2)
  })

  it('ends the attempts when there are no more', async () => {
    const { runs } = world()
    const { run } = await runs.create(aRun({ attempts: 1 }))
    const epoch = await claimed(runs, run.id)
    const failed = { kind: 'failed', error: { message: 'no', stack: 'at x' }, retryDelayMs: 5_000 } as const
    expect(await runs.finish(run.id, epoch, failed)).toMatchObject({
      accepted: true,
      run: { state: 'failed', error: 'no' },
    })
    expect((await runs.get(run.id)).error).toEqual({ message: 'no', stack: 'at x' })
  })

  it('finds the run that is there instead of a second with its id', async () => {
    const { runs, sent, clock } = world()
    const id = 'mail:order-7'
    const [first, second] = await runs.createMany([aRun({ id }), aRun({ id, input: 'other' })])
    expect([first?.created, second?.created]).toEqual([true, false])
    expect((await runs.create(aRun({ id }))).created).toBe(false)
    await clock.settle()
    expect(sent).toHaveLength(1)
    expect((await runs.get(id)).input).toEqual({ to: 'a@example.org' })
  })

  it('gives a dead worker’s run to another, and refuses the dead one', async () => {
    const { runs, clock, sent } = world()
    await runs.start()
    const { run } = await runs.create(aRun())
    const epoch = await claimed(runs, run.id)
    await clock.advance(LEASE + 5_000)
    expect((await runs.get(run.id)).state).toBe('queued')
    expect(sent).toHaveLength(2)
    const next = await claimed(runs, run.id, 'w2')
    expect(next).toBe(epoch + 1)
    expect(await runs.finish(run.id, epoch, { kind: 'succeeded' })).toMatchObject({ accepted: false })
    expect(await runs.beat(run.id, epoch, { leaseMs: LEASE })).toEqual({ held: false })
    expect(await runs.finish(run.id, next, { kind: 'succeeded' })).toMatchObject({ accepted: true })
    await runs.close()
  })

  it('ends it as lost where the job wants that', async () => {
    const { runs, clock } = world()
    await runs.start()
    const { run } = await runs.create(aRun({ onLost: 'fail' }))
    const epoch = await claimed(runs, run.id)
    await clock.advance(LEASE + 5_000)
    expect(await runs.get(run.id)).toMatchObject({ state: 'lost' })
    expect(await runs.finish(run.id, epoch, { kind: 'succeeded' })).toMatchObject({ accepted: false })
    await runs.close()
  })

  it('keeps a run whose worker beats, for hours', async () => {
    const { runs, clock } = world()
    await runs.start()
    const { run } = await runs.create(aRun())
    const epoch = await claimed(runs, run.id)
    for (let i = 0; i < 200; i++) {
      await clock.advance(20_000)
      expect(await runs.beat(run.id, epoch, { leaseMs: LEASE })).toEqual({ held: true })
    }
    await runs.close()
  })

  it('reads nothing for create, claim and finish on one server', async () => {
    const { runs, store } = world()
    const { run } = await runs.create(aRun())
    const epoch = await claimed(runs, run.id)
    await runs.finish(run.id, epoch, { kind: 'succeeded' })
    expect(store.operations).toMatchObject({ get: 0, list: 0, commit: 3, recordsWritten: 4 + 6 + 6 })
  })

  it('refuses what would not fit, and says why', async () => {
    const { runs } = world()
    for (const [run, code, says] of [
      [aRun({ input: 'x'.repeat(300_000) }), 'payload_too_large', 'input'],
      [aRun({ id: 'other:1' }), 'invalid_argument', "must begin with its job, 'mail:'"],
      [aRun({ id: 'mail:a b' }), 'invalid_argument', 'id: must be <job>:<id>'],
      [aRun({ job: 'a/b' }), 'invalid_argument', 'job: must be'],
      [aRun({ attempts: 0 }), 'invalid_argument', 'attempts'],
      [aRun({ queue: 'a b' }), 'invalid_argument', 'queue has'],
      [aRun({ group: 'Größe' }), 'invalid_argument', 'group: has'],
      [aRun({ scheduledAt: 1e300 }), 'invalid_argument', 'scheduledAt'],
    ] as const) {
      await expect(runs.create(run)).rejects.toMatchObject({
        code,
        message: expect.stringContaining(says) as string,
      })
    }
    await expect(runs.claim('mail:1', { worker: 'a b', leaseMs: LEASE })).rejects.toMatchObject({
      code: 'invalid_argument',
    })
    expect(await runs.claim('mail:1', { worker: 'w', leaseMs: LEASE })).toEqual({
      claimed: false,
      why: 'not_found',
    })
  })

  it('cuts what is too long, and leaves out a result that is too large', async () => {
    const { runs } = world()
    const { run } = await runs.create(aRun())
    const epoch = await claimed(runs, run.id)
    await runs.beat(run.id, epoch, { leaseMs: LEASE, progress: { text: 'x'.repeat(1_000) } })
    const huge = {
      at: Number.NaN,
      level: 'info',
      text: 'x'.repeat(10_000),
      fields: { a: 'x'.repeat(10_000) },
    } as const
    await runs.log(run.id, epoch, [huge])
    await runs.finish(run.id, epoch, { kind: 'succeeded', result: 'x'.repeat(100_000) })
    const view = await runs.get(run.id)
    expect(view.progress?.text).toHaveLength(500)
    expect(view.result).toEqual({ tooLarge: true, bytes: 100_002 })
    const { lines } = await runs.readLog(run.id)
    expect(lines[0]).toMatchObject({ n: 1, at: 0, fields: { truncated: true } })
    expect(lines[0]?.text).toHaveLength(8_001)
  })

  it('masks secrets in every view, and hands them to the claim alone', async () => {
    const { runs, store } = world()
    const secrets = ['key', 'db.password', 'users.token']
    const input = {
      key: 's3cret',
      db: { password: 's3cret', host: 'h' },
      users: [{ token: 's3cret', name: 'ann' }],
    }
    const { run } = await runs.create(aRun({ input, secrets }))
    const view = await runs.get(run.id)
    expect(view.input).toEqual({
      key: '********',
      db: { password: '********', host: 'h' },
      users: [{ token: '********', name: 'ann' }],
    })
    expect(JSON.stringify([view, await runs.list()])).not.toContain('s3cret')
    expect(await runs.claim(run.id, { worker: 'w', leaseMs: LEASE })).toMatchObject({ claimed: true, input })
    const { records } = await store.list({ partition: 'signalbox:runs:s:running' }, { limit: 10 })
    expect(JSON.stringify(records)).not.toContain('s3cret')
  })

  it('applies many commands on one run in few commits', async () => {
    const { runs, store } = world()
    const { run } = await runs.create(aRun())
    const epoch = await claimed(runs, run.id)
    const before = store.operations.commit
    await Promise.all(
      Array.from({ length: 200 }, (_, n) =>
        runs.log(run.id, epoch, [{ at: n, level: 'info', text: String(n) }]),
      ),
    )
    expect(store.operations.commit - before).toBeLessThanOrEqual(8)
    expect((await runs.readLog(run.id)).lines.map(({ text }) => text)).toEqual(
      Array.from({ length: 200 }, (_, n) => String(n)),
    )
    expect((await runs.readLog(run.id, { after: 90, limit: 20 })).lines.map(({ n }) => n)).toEqual(
      Array.from({ length: 20 }, (_, n) => 91 + n),
    )
  })

  it('creates a thousand runs with as few commits as fit', async () => {
    const { runs, store } = world()
    await runs.createMany(Array.from({ length: 1_000 }, () => aRun()))
    expect(store.operations).toMatchObject({ commit: 40, get: 0 })
    const large = Array.from({ length: 30 }, () => aRun({ input: 'x'.repeat(150_000) }))
    expect((await runs.createMany(large)).every(({ created }) => created)).toBe(true)
  })

  it('restarts an ended run as a new one, linked both ways', async () => {
    const { runs } = world()
    const { run } = await runs.create(aRun({ id: 'mail:o-1', attempts: 1, input: 'x'.repeat(5_000) }))
    await expect(runs.restart(run.id, { by: 'ann' })).rejects.toMatchObject({ code: 'conflict' })
    await runs.cancel(run.id, { by: 'ann', reason: 'wrong day' })
    const again = await runs.restart(run.id, { by: 'ann' })
    expect(again).toMatchObject({
      state: 'queued',
      restartOf: 'mail:o-1',
      source: 'restart',
      input: 'x'.repeat(5_000),
    })
    expect(await runs.get(run.id)).toMatchObject({
      state: 'cancelled',
      reason: 'wrong day',
      restartedAs: again.id,
    })
    await expect(runs.cancel('mail:nothing', { by: 'ann' })).rejects.toMatchObject({ code: 'not_found' })
  })
})
