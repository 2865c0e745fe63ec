/** What must not cost a run or a message its end: jobs that say too much, or odd things; batches that wait long; letters that fit nowhere. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { SignalboxError } from '../kernel/error.ts'
import type { MessageQueue } from '../ports/message-queue.ts'
import { beatBody, finishBody, logBody, MAX_LOG_LINES, runView, type RunsApi } from '../runs/api.ts'
import type { BatchContext, BatchItem, JobContext, JobsConnection } from './api.ts'
import { defineJob, type Job, type JobOptions } from './define.ts'
import { permanent } from './failures.ts'
import { world, type World } from './testing/world.ts'

const input = z.object({ n: z.number(`a number, ${'whatever else it may be '.repeat(20)}`) })
const MIB = 1024 * 1024

function report(
  run: (n: number, context: JobContext) => unknown,
  options: Partial<JobOptions<typeof input>> = {},
): Job<{ n: number }, unknown> {
  const retry = { attempts: 2, minDelay: '1s', maxDelay: '1s' } as const
  return defineJob({ name: 'report', input, retry, ...options, run: ({ n }, context) => run(n, context) })
}

function batched(
  within: '1h' | '20s',
  runBatch: (items: readonly BatchItem<{ n: number }>[], context: BatchContext) => void,
): Job<{ n: number }, unknown> {
  return defineJob({ name: 'report', input, timeout: '1h', batch: { max: 10, within }, runBatch })
}

/** Refuses what a server would refuse of a worker at a distance. */
function strict(runs: RunsApi): { readonly runs: RunsApi; lines: number } {
  const sent = (body: object, schema: z.ZodType): void => {
    const text = JSON.stringify(body)
    if (text.length > MIB) throw new SignalboxError('payload_too_large', 'body: too large')
    const { error } = schema.safeParse(JSON.parse(text))
    if (error !== undefined) throw new SignalboxError('invalid_argument', error.message)
  }
  const counted = { lines: 0 }
  const checked: Partial<RunsApi> = {
    async beat(id, epoch, beat) {
      sent({ epoch, ...beat }, beatBody)
      return runs.beat(id, epoch, beat)
    },
    async finish(id, epoch, outcome) {
      sent({ epoch, outcome }, finishBody)
      return runs.finish(id, epoch, outcome)
    },
    async log(id, epoch, lines, from) {
      sent({ epoch, lines: [], from }, logBody)
      for (const line of lines) sent({ epoch, lines: [line] }, logBody)
      counted.lines += lines.length
      return runs.log(id, epoch, lines, from)
    },
  }
  const api = new Proxy(runs, {
    get: (target, name) => {
      const own = checked[name as keyof RunsApi] ?? target[name as keyof RunsApi]
      return typeof own === 'function' ? own.bind(target) : own
    },
  })
  return Object.assign(counted, { runs: api })
}

async function strictWorld(): Promise<
  World & { readonly said: { lines: number }; readonly via: JobsConnection }
> {
  const w = await world('fake', { keepsRuns: true })
  const said = strict(w.runs)
  const via = { ...w.via, runs: said.runs }
  return { ...w, via, said, work: (jobs, options) => w.work(jobs, { via, ...options }) }
}

describe('a job that says odd things', () => {
  it('keeps its claim and its end, and its run can be shown', async () => {
    const w = await strictWorld()
    const job = report(
      async (_, { progress, log, signal }) => {
        progress({ done: Number.NaN, total: 1, text: 'x'.repeat(3_000) })
        log.info('x'.repeat(3 * MIB))
        for (const odd of [undefined, 7, new Error('odd'), Object.create(null)]) log.info(odd as never)
        await new Promise((done, over) => {
          w.clock.timer(60_000, () => done(0))
          signal.addEventListener('abort', over)
        })
        return 'x'.repeat(2 * MIB)
      },
      { timeout: '1h' },
    )
    await w.work([job], { visibility: '6s' })
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(20_000)
    expect(runView.parse(await w.runs.get('report:a'))).toMatchObject({
      state: 'running',
      progress: { total: 1, text: expect.stringMatching(/^x{499}…$/) as string },
    })
    await w.clock.advance(60_000)
    expect(runView.parse(await w.runs.get('report:a'))).toMatchObject({
      state: 'succeeded',
      attempt: 1,
      result: { tooLarge: true },
      logLines: 5,
    })
    expect(w.events.filter(({ type }) => type === 'trouble')).toEqual([])
  })

  it('hands over no more lines than a run keeps', async () => {
    const w = await strictWorld()
    const job = report((_, { log }) => {
      for (let i = 0; i < 3 * MAX_LOG_LINES; i++) log.info('again')
    })
    await w.work([job])
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(20_000)
    expect(await w.runs.get('report:a')).toMatchObject({ state: 'succeeded', logLines: MAX_LOG_LINES })
    expect(w.said.lines).toBe(MAX_LOG_LINES)
  })

  it.each([
    ['nothing at all', Object.create(null), '[object Object]'],
    [
      'an error with a message that is none',
      Object.assign(new Error('a'), { message: { a: 1 }, name: 5 }),
      '[object Object]',
    ],
    ['a wait without an end', Object.assign(new Error('later'), { retryDelayMs: Infinity }), 'later'],
    ['more than its cause', permanent('no account', new Error('no row')), 'no account'],
  ])('fails by it when it throws %s', async (_, thrown: unknown, message) => {
    const w = await strictWorld()
    const job = report(() => {
      throw thrown
    })
    await w.work([job])
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(20_000)
    const { error, state } = runView.parse(await w.runs.get('report:a'))
    expect(error?.message).toBe(message)
    expect(state).toBe(message === 'later' ? 'queued' : 'failed')
    expect(w.events.filter(({ type }) => type === 'trouble')).toEqual([])
  })
})

describe('a claim', () => {
  it('is lost when its lease is over, though a beat never comes back', async () => {
    const w = await world('fake', { keepsRuns: true })
    const runs: RunsApi = new Proxy<RunsApi>(w.runs, {
      get: (target, name) => {
        if (name === 'beat') return () => new Promise(() => undefined)
        const own = target[name as keyof RunsApi]
        return typeof own === 'function' ? own.bind(target) : own
      },
    })
    const reasons: unknown[] = []
    const job = report(
      (_, { signal }) =>
        new Promise((__, reject) =>
          signal.addEventListener('abort', () => {
            reasons.push((signal.reason as SignalboxError).details['reason'])
            reject(signal.reason as Error)
          }),
        ),
      { timeout: '1h', onLost: 'fail' },
    )
    await w.work([job], { visibility: '6s', via: { ...w.via, runs } })
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(7_000)
    expect(reasons).toEqual(['lost'])
  })
})

describe('a run in a batch that waits', () => {
  it('longer than a lease is nobody else’s meanwhile', async () => {
    const w = await world('fake', { keepsRuns: true })
    const seen: number[] = []
    const job = batched('20s', (items) => void seen.push(...items.map(({ attempt }) => attempt)))
    await w.work([job], { visibility: '6s' })
    await w.work([job], { visibility: '6s' })
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(60_000)
    expect(seen).toEqual([1])
    expect(await w.runs.get('report:a')).toMatchObject({ state: 'succeeded', attempt: 1 })
  })

  it('is not begun once it was cancelled', async () => {
    const w = await world('fake', { keepsRuns: true })
    const seen: string[] = []
    const job = batched('20s', (items) => void seen.push(...items.map(({ id }) => id)))
    await w.work([job])
    await job.enqueueMany(
      [
        { input: { n: 1 }, id: 'a' },
        { input: { n: 2 }, id: 'b' },
      ],
      { via: w.via },
    )
    await w.clock.advance(5_000)
    await w.runs.cancel('report:a', { by: 'ada' })
    await w.clock.advance(30_000)
    expect(seen).toEqual(['b'])
    expect(await w.runs.get('report:a')).toMatchObject({ state: 'cancelled' })
  })

  it('holds up no drain', async () => {
    const w = await world('fake', { keepsRuns: true })
    const job = batched('1h', () => undefined)
    const worker = await w.work([job])
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(1_000)
    expect(await w.runs.get('report:a')).toMatchObject({ state: 'running' })
    let ended = false
    void worker.drain({ grace: '10m' }).then(() => (ended = true))
    await w.clock.advance(1_000)
    expect(ended).toBe(true)
    expect(await w.runs.get('report:a')).toMatchObject({ state: 'queued', attempt: 0 })
  })

  it('is given back when it was admitted as the drain began', async () => {
    const w = await world('fake', { keepsRuns: true })
    const admitted = Promise.withResolvers<void>()
    const claims = Promise.withResolvers<void>()
    const runs: RunsApi = new Proxy<RunsApi>(w.runs, {
      get: (target, name) => {
        const own = target[name as keyof RunsApi] as unknown
        if (name !== 'claim') return typeof own === 'function' ? (own.bind(target) as unknown) : own
        return async (...args: Parameters<RunsApi['claim']>) => {
          claims.resolve()
          await admitted.promise
          return w.runs.claim(...args)
        }
      },
    })
    const job = batched('1h', () => undefined)
    const worker = await w.work([job], { via: { ...w.via, runs } })
    await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    await claims.promise
    let ended = false
    void worker.drain({ grace: '10m' }).then(() => (ended = true))
    admitted.resolve()
    await w.clock.advance(5_000)
    expect(ended).toBe(true)
    expect(await w.runs.get('report:a')).toMatchObject({ state: 'queued', attempt: 0 })
  })
})

describe('a worker that died', () => {
  it('costs its jobs one visibility, with a run record a look of the sweeper more', async () => {
    const w = await world('embedded', { keepsRuns: true })
    const at = new Map<number, number>()
    const job = report((n) => at.set(n, w.clock.monotonic()), { unique: true })
    await job.enqueueMany([{ input: { n: 1 } }, { input: { n: 2 }, id: 'b' }], { via: w.via })
    await w.clock.advance(100)
    const died = w.clock.monotonic()
    expect(await w.engine.receive('default', { max: 10, visibilityMs: 6_000 })).toHaveLength(2)
    expect(await w.runs.claim('report:b', { worker: 'dead', leaseMs: 6_000 })).toMatchObject({
      claimed: true,
    })
    await w.work([job])
    await w.clock.advance(5_900)
    expect(at.size).toBe(0)
    await w.clock.advance(6_000)
    expect((at.get(1) ?? Infinity) - died).toBeLessThanOrEqual(6_500)
    expect((at.get(2) ?? Infinity) - died).toBeLessThanOrEqual(9_500)
  })
})

describe('a message that is poison', () => {
  it('because its run is another job’s, is dead-lettered, and that run is untouched', async () => {
    const w = await world('fake', { keepsRuns: true })
    const seen: number[] = []
    const job = report((n) => seen.push(n))
    const other = defineJob({ name: 'pay', queue: 'elsewhere', input, run: () => 'paid' })
    await w.work([job])
    await other.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    for (const run of ['pay:a', 'report:', 'report:ü', '']) {
      await w.engine.send('default', [{ body: JSON.stringify({ job: 'report', run }) }])
    }
    await w.clock.advance(5_000)
    const dead = await w.take('default-dead')
    expect(dead.map(({ attributes }) => attributes['signalbox.reason']?.value)).toEqual(
      Array(4).fill('unreadable'),
    )
    expect(seen).toEqual([])
    expect(await w.runs.get('pay:a')).toMatchObject({ state: 'queued' })
  })

  it('and as large as a message may be, finds its way out with what fits', async () => {
    const w = await world('fake')
    await w.work([report(() => 1, { unique: false })])
    const { messageBytes } = w.engine.limits
    const wrong = JSON.stringify({ job: 'report', input: { ['n'.repeat(300)]: 1 } })
    for (const room of [10, 170]) {
      await w.engine.send('default', [{ body: wrong.padEnd(messageBytes - room) }])
    }
    await w.clock.advance(600_000)
    const dead = await w.take('default-dead')
    const reasons = dead.map(({ attributes }) => attributes['signalbox.reason']?.value)
    // The worker's own letter, and the engine's when there was room for nothing.
    expect(new Set(reasons)).toEqual(new Set(['invalid_input', undefined]))
  })

  it('is moved by the engine in the end when the worker’s letter is refused for good', async () => {
    const w = await world('fake')
    await w.work([report(() => 1, { unique: false })])
    const send = w.engine.send.bind(w.engine)
    const refusing: MessageQueue['send'] = async (queue, messages) =>
      queue === 'default-dead'
        ? [{ status: 'failed', error: new SignalboxError('invalid_argument', 'no') }]
        : send(queue, messages)
    Object.assign(w.engine, { send: refusing })
    await send('default', [{ body: 'bad' }])
    await w.clock.advance(600_000)
    expect(await w.engine.stats('default')).toMatchObject({ visible: 0, inFlight: 0, delayed: 0 })
    expect(await w.take('default-dead')).toHaveLength(1)
  })
})
