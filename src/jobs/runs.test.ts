import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { SignalboxError } from '../kernel/error.ts'
import type { JobContext } from './api.ts'
import { defineJob, type JobOptions } from './define.ts'
import { engines, world } from './testing/world.ts'

const input = z.object({ n: z.number() })

function recorded(
  run: (n: number, context: JobContext) => unknown,
  options: Partial<JobOptions<typeof input>> = {},
) {
  return defineJob({
    name: 'report',
    input,
    retry: { attempts: 3, minDelay: '10s', maxDelay: '10s' },
    ...options,
    run: ({ n }, context) => run(n, context),
  })
}

const held = (signal: AbortSignal): Promise<void> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))

describe.each(engines)('a job with a run record, on the %s engine', (kind) => {
  it('of a name that no worker knows stays queued, and leaves no letter behind', async () => {
    const w = await world(kind, { keepsRuns: true })
    const other = await w.work([defineJob({ name: 'another', input, run: () => undefined })])
    await recorded(() => undefined).enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(15 * 60_000)
    expect((await w.runs.get('report:a')).state).toBe('queued')
    expect(await w.via.engine.stats('default')).toMatchObject({ visible: 0, inFlight: 0 })
    expect(await w.via.engine.stats('default-dead')).toMatchObject({ visible: 0 })
    await other.close()
    const seen: number[] = []
    await w.work([recorded((n) => seen.push(n))])
    await w.clock.advance(2 * 3_600_000)
    expect(seen).toEqual([1])
  })

  it('runs once an id, and its record tells all', async () => {
    const w = await world(kind, { keepsRuns: true })
    const seen: unknown[] = []
    const job = recorded((n, { id, runId, attempt, log, progress }) => {
      seen.push([n, id, runId, attempt])
      log.info('working')
      progress({ done: 1, total: 2 })
      return { doubled: 2 * n }
    })
    await w.work([job])
    expect(await job.enqueue({ n: 4 }, { via: w.via, id: 'a' })).toMatchObject({
      id: 'a',
      runId: 'report:a',
      duplicate: false,
    })
    await w.clock.advance(1_000)
    expect(await job.enqueue({ n: 5 }, { via: w.via, id: 'a' })).toMatchObject({ duplicate: true })
    const [first, second] = await job.enqueueMany([{ input: { n: 6 }, id: 'a' }, { input: { n: 7 } }], {
      via: w.via,
    })
    expect(first).toMatchObject({ status: 'enqueued', duplicate: true, runId: 'report:a' })
    expect(second).toMatchObject({
      status: 'enqueued',
      duplicate: false,
      messageId: expect.any(String) as string,
    })
    await w.clock.advance(5_000)
    expect(seen.map((each) => (each as number[])[0])).toEqual([4, 7])
    expect(seen[0]).toEqual([4, 'a', 'report:a', 1])
    expect(await w.runs.get('report:a')).toMatchObject({
      state: 'succeeded',
      result: { doubled: 8 },
      input: { n: 4 },
      progress: { done: 1, total: 2 },
    })
    expect((await w.runs.readLog('report:a')).lines).toMatchObject([{ level: 'info', text: 'working' }])
    expect(await w.engine.stats('default')).toMatchObject({ visible: 0, inFlight: 0, delayed: 0 })
  })

  it('is tried again by its record, and ends as failed without a dead letter', async () => {
    const w = await world(kind, { keepsRuns: true })
    const attempts: number[] = []
    const job = recorded((_, { attempt }) => {
      attempts.push(attempt)
      throw new Error(`no ${attempt}`)
    })
    await w.work([job])
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(1_000)
    expect(await w.runs.get('report:a')).toMatchObject({ state: 'queued', attempt: 1 })
    await w.clock.advance(60_000)
    expect(attempts).toEqual([1, 2, 3])
    const run = await w.runs.get('report:a')
    expect(run).toMatchObject({ state: 'failed', error: { name: 'Error', message: 'no 3' } })
    expect(run.error?.stack).toContain('runs.test')
    expect(await w.take('default-dead')).toEqual([])
    expect(await w.engine.stats('default')).toMatchObject({ visible: 0, inFlight: 0, delayed: 0 })
  })

  it('hears of a cancel', async () => {
    const w = await world(kind, { keepsRuns: true })
    const reasons: unknown[] = []
    const job = recorded(
      async (_, { signal }) => {
        try {
          await held(signal)
        } finally {
          reasons.push((signal.reason as SignalboxError).details['reason'])
        }
      },
      { timeout: '1h' },
    )
    await w.work([job])
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(2_000)
    await w.runs.cancel('report:a', { by: 'ada', reason: 'not needed' })
    await w.clock.advance(5_000)
    expect(reasons).toEqual(['cancelled'])
    expect(await w.runs.get('report:a')).toMatchObject({ state: 'cancelled' })
    await w.clock.advance(60_000)
    expect(reasons).toHaveLength(1)
  })

  it('is kept by beats as long as its worker lives', async () => {
    const w = await world(kind, { keepsRuns: true })
    let runs = 0
    const job = recorded(
      async (_, { signal }) => {
        runs += 1
        await held(signal)
      },
      { timeout: '1h' },
    )
    await w.work([job], { visibility: '6s' })
    await w.work([job], { visibility: '6s' })
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(60_000)
    expect(runs).toBe(1)
    expect(await w.runs.get('report:a')).toMatchObject({ state: 'running', attempt: 1 })
  })

  it('goes back uncounted when its worker is drained', async () => {
    const w = await world(kind, { keepsRuns: true })
    const attempts: number[] = []
    const job = recorded(
      async (_, { signal, attempt }) => {
        attempts.push(attempt)
        if (attempts.length === 1) await held(signal)
      },
      { timeout: '1h' },
    )
    const first = await w.work([job])
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(2_000)
    const closed = first.close()
    await w.clock.advance(2_000)
    await closed
    await w.work([job])
    await w.clock.advance(10_000)
    expect(attempts).toEqual([1, 1])
    expect(await w.runs.get('report:a')).toMatchObject({ state: 'succeeded', attempt: 1 })
  })

  it('loses its claim when its beats go unanswered, and stops', async () => {
    const w = await world(kind, { keepsRuns: true })
    const reasons: unknown[] = []
    const job = recorded(
      async (_, { signal, attempt }) => {
        if (attempt > 1) return
        try {
          await held(signal)
        } finally {
          reasons.push((signal.reason as SignalboxError).details['reason'])
        }
      },
      { timeout: '1h' },
    )
    let deaf = false
    const runs = new Proxy(w.runs, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown
        if (name === 'watchCancel') return undefined
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (deaf && (name === 'beat' || name === 'finish')) throw new SignalboxError('unavailable', 'no')
          return (value as (...args: unknown[]) => unknown).apply(target, args)
        }
      },
    })
    await w.work([job], { visibility: '6s', via: { ...w.via, runs } })
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(2_000)
    deaf = true
    await w.clock.advance(8_000)
    expect(reasons).toEqual(['lost'])
    deaf = false
    await w.clock.advance(60_000)
    expect(await w.runs.get('report:a')).toMatchObject({ state: 'succeeded', attempt: 2 })
  })

  it('acknowledges a wake-up that is stale', async () => {
    const w = await world(kind, { keepsRuns: true })
    let runs = 0
    const job = recorded(() => (runs += 1))
    await w.work([job])
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(1_000)
    for (const run of ['report:a', 'report:never']) {
      await w.engine.send('default', [{ body: JSON.stringify({ v: 1, job: 'report', run }) }])
    }
    await w.clock.advance(5_000)
    expect(runs).toBe(1)
    expect(w.outcomes()).toEqual(['succeeded', 'stale', 'stale'])
    expect(await w.engine.stats('default')).toMatchObject({ visible: 0, inFlight: 0, delayed: 0 })
  })

  it('waits any delay, where every run is kept', async () => {
    const w = await world(kind, { keepsRuns: true })
    const at: number[] = []
    const job = recorded(() => at.push(w.clock.monotonic()), { keepRuns: { for: '1d' } })
    await w.work([job])
    const { runId = '' } = await job.enqueue({ n: 1 }, { via: w.via, delay: '20m' })
    await w.clock.advance(20 * 60_000 - 1_000)
    expect(at).toEqual([])
    await w.clock.advance(60_000)
    expect(at).toHaveLength(1)
    expect(await w.runs.get(runId)).toMatchObject({ state: 'succeeded' })
  })

  it('tells of its jobs', async () => {
    const w = await world(kind, { keepsRuns: true })
    await w.work([recorded(() => undefined, { description: 'Makes reports', secrets: ['n'] })])
    await w.clock.advance(1_000)
    expect(await w.runs.getJob('report')).toMatchObject({
      name: 'report',
      description: 'Makes reports',
      queue: 'default',
      secrets: ['n'],
      attempts: 3,
      input: { type: 'object', properties: { n: { type: 'number' } } },
    })
  })

  it('works in batches too, each run by itself', async () => {
    const w = await world(kind, { keepsRuns: true })
    const job = defineJob({
      name: 'report',
      input,
      retry: { attempts: 1 },
      batch: { max: 10, within: '20ms' },
      runBatch: (items) => items.map(({ input: { n } }) => (n === 2 ? new Error('two') : undefined)),
    })
    await w.work([job])
    await job.enqueueMany(
      [1, 2, 3].map((n) => ({ input: { n }, id: `${n}` })),
      { via: w.via },
    )
    await w.clock.advance(5_000)
    const states = await Promise.all([1, 2, 3].map(async (n) => (await w.runs.get(`report:${n}`)).state))
    expect(states).toEqual(['succeeded', 'failed', 'succeeded'])
  })
})

describe('a job with a run record, on a FIFO queue', () => {
  it('keeps its group waiting while it is tried again', async () => {
    const w = await world('embedded', { keepsRuns: true })
    const order: string[] = []
    const job = recorded(
      (n, { group, attempt }) => {
        order.push(`${group}${n}`)
        if (n === 1 && group === 'a' && attempt === 1) throw new Error('once')
      },
      { queue: 'steps.fifo', keepRuns: true },
    )
    await w.work([job])
    for (const group of ['a', 'b']) {
      for (const n of [1, 2]) await job.enqueue({ n }, { via: w.via, group })
    }
    await w.clock.advance(5_000)
    expect(order.toSorted()).toEqual(['a1', 'b1', 'b2'])
    await w.clock.advance(60_000)
    expect(order.slice(3)).toEqual(['a1', 'a2'])
    expect(await w.engine.stats('steps.fifo')).toMatchObject({ visible: 0, inFlight: 0, delayed: 0 })
  })
})
