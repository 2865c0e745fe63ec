import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { MessageQueue } from '../ports/message-queue.ts'
import { decimalKey } from '../ports/store.ts'
import { SignalboxError } from '../kernel/error.ts'
import { redrive } from '../messages/redrive.ts'
import type { FakeQueue } from '../messages/testing/fake-queue.ts'
import type { JobContext } from './api.ts'
import { defineJob, type JobOptions } from './define.ts'
import { engines, world, type World } from './testing/world.ts'

const input = z.object({ n: z.number() })
type Options = Partial<JobOptions<typeof input>>

/** A job whose runs end when the test says so. */
function heldJob(options: Options = {}) {
  const runs: { n: number; context: JobContext; end: (error?: Error) => void }[] = []
  const job = defineJob({
    name: 'held',
    input,
    unique: false,
    ...options,
    run: ({ n }, context) =>
      new Promise<void>((resolve, reject) => {
        runs.push({ n, context, end: (error) => (error === undefined ? resolve() : reject(error)) })
      }),
  })
  return { job, runs, ns: () => runs.map(({ n }) => n) }
}

/** One that ends at once, as its function says. */
function quickJob(run: (n: number, context: JobContext) => unknown, options: Options = {}) {
  return defineJob({
    name: 'quick',
    input,
    unique: false,
    ...options,
    run: ({ n }, context) => run(n, context),
  })
}

const empty = { visible: 0, inFlight: 0, delayed: 0 }
const reasonOf = (signal: AbortSignal): unknown => (signal.reason as SignalboxError).details['reason']

async function sendRaw({ engine }: World, queue: string, body: string): Promise<void> {
  await engine.send(queue, [{ body }])
}

describe.each(engines)('a worker on the %s engine', (kind) => {
  it('runs what is enqueued, once, and tells', async () => {
    const w = await world(kind)
    const seen: unknown[] = []
    const job = quickJob((n, { id, attempt, queue, deps }) => seen.push([n, id, attempt, queue, deps]))
    const enqueued = await job.enqueue({ n: 1 }, { via: w.via, id: 'a' })
    expect(enqueued).toMatchObject({ id: 'a', queue: 'default', duplicate: false })
    const worker = await w.work([job], { deps: 'deps' })
    await job.enqueueMany(
      [
        { input: { n: 2 }, id: 'b' },
        { input: { n: 3 }, id: 'c' },
      ],
      { via: w.via },
    )
    await w.until(() => w.outcomes().length === 3)
    expect(seen).toEqual([
      [1, 'a', 1, 'default', 'deps'],
      [2, 'b', 1, 'default', 'deps'],
      [3, 'c', 1, 'default', 'deps'],
    ])
    await w.clock.advance(60_000)
    expect(await w.engine.stats('default')).toMatchObject(empty)
    expect(worker.stats).toMatchObject({ running: 0, buffered: 0, counts: { succeeded: 3, failed: 0 } })
    expect(w.events.map(({ type }) => type).toSorted()).toEqual([
      'ended',
      'ended',
      'ended',
      'started',
      'started',
      'started',
    ])
  })

  it('checks inputs before anything is sent, and after it was received', async () => {
    const w = await world(kind)
    const job = quickJob((n) => n)
    await expect(job.enqueue({ n: 'x' } as never, { via: w.via })).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('job quick: input: n: ') as string,
    })
    const many = [{ input: { n: 1 } }, { input: {} as never }]
    await expect(job.enqueueMany(many, { via: w.via })).rejects.toMatchObject({ code: 'invalid_argument' })
    await expect(job.enqueue({ n: 1 }, { via: w.via, what: 1 } as never)).rejects.toMatchObject({
      message: expect.stringContaining("'what'") as string,
    })
    await expect(job.enqueue({ n: 1 }, { via: w.via, id: 'no spaces' })).rejects.toThrow('an id has')
    await w.work([job])
    expect(await w.engine.stats('default')).toMatchObject(empty)
  })

  it('dead-letters what it cannot read, or what is no input, at the first attempt with its reason', async () => {
    const w = await world(kind)
    await w.work([quickJob((n) => n)])
    await sendRaw(w, 'default', '{bad')
    await sendRaw(w, 'default', '{"v":1,"job":"quick","id":"x","input":{"n":"no"}}')
    await w.until(() => w.outcomes().length === 2)
    await w.clock.advance(60_000)
    const dead = await w.take('default-dead')
    const told = dead.map(({ body, attributes, deadLetterSource }) => [
      body.slice(0, 5),
      attributes['signalbox.reason']?.value,
      attributes['signalbox.job']?.value,
      deadLetterSource,
    ])
    expect(told).toEqual([
      ['{bad', 'unreadable', undefined, 'default'],
      ['{"v":', 'invalid_input', 'quick', 'default'],
    ])
    expect(dead[1]?.attributes['signalbox.error']?.value).toContain('n: ')
    expect(await w.engine.stats('default')).toMatchObject(empty)
    expect(w.outcomes()).toEqual(['poison', 'poison'])
  })

  it('keeps an unknown job for its grace, so that a newer worker may take it, then dead-letters it', async () => {
    const w = await world(kind)
    const older = await w.work([quickJob((n) => n)])
    await sendRaw(w, 'default', '{"v":1,"job":"newer","id":"a","input":{"n":1}}')
    await w.clock.advance(5 * 60_000)
    expect(w.outcomes().length).toBeGreaterThan(2)
    expect(await w.take('default-dead')).toEqual([])
    const attempts: number[] = []
    const newer = defineJob({ name: 'newer', input, run: (_, { attempt }) => void attempts.push(attempt) })
    const closed = older.close()
    await w.clock.advance(10_000)
    await closed
    await w.work([newer])
    await w.clock.advance(5 * 60_000)
    expect(attempts).toEqual([1]) // waiting was no attempt
    await sendRaw(w, 'default', '{"v":1,"job":"nobody","id":"b","input":{}}')
    await w.clock.advance(11 * 60_000)
    const [dead, ...others] = await w.take('default-dead')
    expect(others).toEqual([])
    expect(dead?.attributes).toMatchObject({
      'signalbox.reason': { value: 'unknown_job' },
      'signalbox.job': { value: 'nobody' },
    })
  })

  it('counts once after a redrive', async () => {
    const w = await world(kind)
    const effects: string[] = []
    const job = quickJob(async (n, { effect }) => {
      const change = { key: ['count', decimalKey(0)], expect: 'absent', op: 'put', value: n } as const
      effects.push((await effect.once(w.store, [change])).status)
      throw Object.assign(new Error('after its effect'), { retry: false })
    })
    await w.work([job])
    // Once with an id in its body, once without one.
    await job.enqueue({ n: 1 }, { via: w.via })
    await w.until(() => w.outcomes().length === 1)
    await w.clock.advance(1_000)
    expect(await redriven(w, 'default-dead')).toBe(1)
    await w.until(() => w.outcomes().length === 2)
    expect(effects).toEqual(['done', 'already_done'])
    await w.clock.advance(1_000)
    await redriven(w, 'default-dead')
    await w.until(() => w.outcomes().length === 3)
    expect(effects).toEqual(['done', 'already_done', 'already_done'])
  })

  it('counts once after a redrive when the body has no id', async () => {
    const w = await world(kind)
    const keys: string[] = []
    const job = quickJob((_, { effect }) => {
      keys.push(effect.key)
      throw Object.assign(new Error('no'), { retry: false })
    })
    await w.work([job])
    await sendRaw(w, 'default', '{"job":"quick","input":{"n":1}}')
    await w.until(() => w.outcomes().length === 1)
    for (const times of [2, 3]) {
      await w.clock.advance(1_000)
      await redriven(w, 'default-dead')
      await w.until(() => w.outcomes().length === times)
    }
    expect(new Set(keys).size).toBe(1)
  })

  it('tries a failed job again with ever longer delays, and dead-letters it after the last attempt', async () => {
    const w = await world(kind)
    const at: number[] = []
    const job = quickJob(
      (_, { attempt }) => {
        at.push(w.clock.monotonic())
        throw new Error(`no ${attempt}`)
      },
      { retry: { attempts: 4, minDelay: '10s', maxDelay: '30s' } },
    )
    await w.work([job])
    await job.enqueue({ n: 1 }, { via: w.via })
    await w.clock.advance(5 * 60_000)
    const delays = at.slice(1).map((ms, i) => ms - (at[i] ?? 0))
    expect(delays).toHaveLength(3)
    for (const delay of delays) {
      expect(delay).toBeGreaterThanOrEqual(10_000)
      expect(delay).toBeLessThanOrEqual(30_100)
    }
    const [dead] = await w.take('default-dead')
    expect(dead?.attributes).toMatchObject({
      'signalbox.reason': { value: 'attempts_exhausted' },
      'signalbox.error': { value: 'no 4' },
    })
  })

  it('does not let a job that takes long be delivered again while it works on it', async () => {
    const w = await world(kind)
    const { job, runs, ns } = heldJob({ timeout: '1h' })
    await w.work([job], { visibility: '6s' })
    await w.work([job], { visibility: '6s' })
    await job.enqueue({ n: 1 }, { via: w.via })
    await w.clock.advance(10 * 60_000)
    expect(ns()).toEqual([1])
    runs[0]?.end()
    await w.clock.advance(60_000)
    expect(ns()).toEqual([1])
    expect(await w.engine.stats('default')).toMatchObject(empty)
  })

  it('runs at most so many at a time, and slow jobs hold back fast ones no further', async () => {
    const w = await world(kind)
    const { job: slow, runs } = heldJob({ timeout: '1h' })
    const done: number[] = []
    const fast = defineJob({ name: 'fast', input, run: ({ n }) => void done.push(n) })
    // A worker that has had short jobs receives ahead.
    await w.work([slow, fast], { concurrency: 4, visibility: '6s' })
    await fast.enqueueMany(
      Array.from({ length: 100 }, (_, n) => ({ input: { n } })),
      { via: w.via },
    )
    await w.until(() => done.length === 100)
    await slow.enqueueMany(
      Array.from({ length: 100 }, (_, n) => ({ input: { n } })),
      { via: w.via },
    )
    await w.until(() => runs.length === 4)
    await fast.enqueueMany(
      Array.from({ length: 50 }, (_, n) => ({ input: { n } })),
      { via: w.via },
    )
    await w.clock.advance(5_000)
    expect([runs.length, done.length]).toEqual([4, 100])
    // Another one takes what the first has no place for: slow ones up to its places, and no more than those are in the way.
    await w.work([slow, fast], { concurrency: 100, visibility: '6s' })
    await w.clock.advance(2_000)
    expect([runs.length, done.length]).toEqual([100, 150])
    for (const { end } of runs) end()
    await w.clock.advance(10_000)
    expect(await w.engine.stats('default')).toMatchObject(empty)
  })

  it('returns soon what it received and has no place for', async () => {
    const w = await world(kind)
    const { job, runs, ns } = heldJob({ timeout: '1h' })
    await w.work([job], { concurrency: 1, queues: { default: 1, other: 1 } })
    await job.enqueue({ n: 1 }, { via: w.via })
    await job.enqueue({ n: 2 }, { via: w.via, queue: 'other' })
    await w.clock.advance(1_000)
    expect(ns()).toHaveLength(1)
    const [{ body, receiveCount } = { body: '', receiveCount: 0 }] = await w.take(
      ns()[0] === 1 ? 'other' : 'default',
    )
    expect(body).toContain('"n"')
    expect(receiveCount).toBe(1) // what the worker did was not counted
    runs[0]?.end()
  })

  it('aborts a job whose time is over and tries it again', async () => {
    const w = await world(kind)
    const { job, runs } = heldJob({ timeout: '10s', retry: { minDelay: '1s', maxDelay: '1s' } })
    await w.work([job])
    await job.enqueue({ n: 1 }, { via: w.via })
    await w.until(() => runs.length === 1)
    await w.clock.advance(9_900)
    expect(runs[0]?.context.signal.aborted).toBe(false)
    await w.clock.advance(200)
    expect(reasonOf(runs[0]!.context.signal)).toBe('timed_out')
    runs[0]!.end(runs[0]!.context.signal.reason)
    await w.clock.advance(1_100)
    expect(w.outcomes()).toEqual(['timed_out'])
    expect(runs[1]?.context.attempt).toBe(2)
    // One that does not listen is not waited for.
    await w.clock.advance(16_500)
    expect(w.outcomes()).toEqual(['timed_out', 'timed_out'])
    expect(runs).toHaveLength(3)
    runs[2]?.end()
  })

  it('returns what it has not done when it is drained, and that is no attempt', async () => {
    const w = await world(kind)
    const { job, runs, ns } = heldJob({ timeout: '1m' })
    const worker = await w.work([job], { concurrency: 2, grace: '10s' })
    await job.enqueueMany(
      [1, 2, 3].map((n) => ({ input: { n } })),
      { via: w.via },
    )
    await w.until(() => runs.length === 2)
    const drained = worker.drain()
    await w.clock.advance(5_000)
    runs[0]?.end() // in time
    await w.clock.advance(5_100)
    expect(runs[0]?.context.signal.aborted).toBe(false)
    expect(reasonOf(runs[1]!.context.signal)).toBe('shutdown')
    runs[1]?.end(new Error('stopped'))
    await w.clock.advance(1_000)
    await drained
    await worker.done
    expect(worker.stats.counts).toMatchObject({ succeeded: 1, returned: 1 })
    expect(ns()).toEqual([1, 2])
    const left = await w.take('default')
    expect(left.map(({ receiveCount }) => receiveCount)).toEqual([1, 1])
    expect(left.map(({ body }) => body.slice(-9)).toSorted()).toEqual(
      ['"n":2}}', '"n":3}}'].map((b) => expect.stringContaining(b) as string),
    )
  })

  it('tells a job that may take long at once when it is drained, and waits for it to stop', async () => {
    const w = await world(kind)
    const { job, runs } = heldJob({ timeout: '61s' })
    const worker = await w.work([job], { grace: '10s' })
    await job.enqueueMany([{ input: { n: 1 } }, { input: { n: 2 } }], { via: w.via })
    await w.until(() => runs.length === 2)
    const drained = worker.drain()
    await w.clock.advance(0)
    expect(runs.map(({ context }) => reasonOf(context.signal))).toEqual(['shutdown', 'shutdown'])
    await w.clock.advance(9_000)
    runs[0]?.end() // it finished all the same
    runs[1]?.end(new Error('stopped'))
    await w.clock.advance(1_000)
    await drained
    expect(worker.stats.counts).toMatchObject({ succeeded: 1, returned: 1 })
    expect(await w.take('default')).toMatchObject([{ receiveCount: 1 }])
  })

  it('does not wait for ever for a job that does not listen', async () => {
    const w = await world(kind)
    const { job, runs } = heldJob({ timeout: '1h' })
    const worker = await w.work([job])
    await job.enqueue({ n: 1 }, { via: w.via })
    await w.until(() => runs.length === 1)
    const closed = worker.close()
    await w.clock.advance(3_000)
    await closed
    expect(await w.take('default')).toMatchObject([{ receiveCount: 1 }])
  })

  it('chooses among queues by their weights', async () => {
    const w = await world(kind)
    const order: string[] = []
    const job = defineJob({ name: 'quick', input, run: (_, { queue }) => void order.push(queue) })
    const items = Array.from({ length: 40 }, (_, n) => ({ input: { n } }))
    for (const queue of ['mail', 'votes']) await job.enqueueMany(items, { via: w.via, queue })
    await w.work([job], { concurrency: 1, queues: { votes: 3, mail: 1 } })
    for (let ms = 0; ms < 2_000 && order.length < 80; ms++) await w.clock.advance(1)
    expect(order).toHaveLength(80)
    const first = order.slice(4, 24).filter((queue) => queue === 'votes').length
    expect(first).toBeGreaterThanOrEqual(13)
    expect(first).toBeLessThanOrEqual(17)
  })

  it('does batches: each item ends by itself, and a throw fails all', async () => {
    const w = await world(kind)
    const batches: number[][] = []
    const job = defineJob({
      name: 'many',
      input,
      retry: { attempts: 3, minDelay: '1s', maxDelay: '1s' },
      batch: { max: 3, within: '50ms' },
      runBatch: (items) => {
        batches.push(items.map((item) => item.input.n))
        if (batches.length === 1) throw new Error('all of them')
        return items.map(({ input: { n } }) => (n === 2 ? new Error('this one') : undefined))
      },
    })
    await w.work([job])
    await job.enqueueMany(
      [1, 2, 3, 4].map((n) => ({ input: { n } })),
      { via: w.via },
    )
    await w.until(() => batches.length === 1)
    expect(batches).toEqual([[1, 2, 3]])
    await w.clock.advance(49)
    expect(batches).toHaveLength(1)
    await w.clock.advance(1)
    expect(batches[1]).toEqual([4])
    await w.clock.advance(1_100)
    expect(batches.slice(2)).toEqual([[1, 2, 3]])
    await w.clock.advance(10_000)
    expect(batches.slice(3)).toEqual([[2]])
    expect(w.outcomes().filter((o) => o === 'succeeded')).toHaveLength(3)
    expect(await w.take('default-dead')).toMatchObject([
      { attributes: { 'signalbox.error': { value: 'this one' } } },
    ])
  })

  it('takes a wrong number of results for a failure of the batch', async () => {
    const w = await world(kind)
    const job = defineJob({
      name: 'many',
      input,
      retry: { attempts: 1 },
      batch: { max: 2, within: '0ms' },
      runBatch: () => [undefined],
    })
    await w.work([job])
    await job.enqueueMany(
      [1, 2].map((n) => ({ input: { n } })),
      { via: w.via },
    )
    await w.clock.advance(100)
    expect(w.outcomes()).toEqual(['failed', 'failed'])
  })

  it('keeps to a rate limit without counting attempts', async () => {
    const w = await world(kind)
    const at: number[] = []
    const attempts = new Set<number>()
    const job = quickJob(
      (_, { attempt }) => {
        attempts.add(attempt)
        at.push(w.clock.monotonic())
      },
      { rateLimit: { limit: 10, per: '1s' } },
    )
    const start = w.clock.monotonic()
    await w.work([job])
    await w.work([job])
    await job.enqueueMany(
      Array.from({ length: 60 }, (_, n) => ({ input: { n } })),
      { via: w.via },
    )
    await w.clock.advance(20_000)
    expect(at).toHaveLength(60)
    for (let i = 10; i < at.length; i++) expect(at[i]! - at[i - 10]!).toBeGreaterThanOrEqual(999)
    expect(at.at(-1)! - start).toBeLessThan(12_000)
    expect([...attempts]).toEqual([1])
  })

  it('is not disturbed by a listener that throws, or by a schema that does', async () => {
    const w = await world(kind)
    const done: number[] = []
    const throwing = z.object({ n: z.number() }).refine(({ n }) => {
      if (n === 2) throw new Error('bad schema')
      return true
    })
    const job = defineJob({ name: 'quick', input: throwing, run: ({ n }) => void done.push(n) })
    const worker = await w.work([job], {
      onEvent: () => {
        throw new Error('bad listener')
      },
    })
    await sendRaw(w, 'default', '{"v":1,"job":"quick","id":"x","input":{"n":2}}')
    await job.enqueue({ n: 1 }, { via: w.via })
    await w.clock.advance(1_000)
    expect(done).toEqual([1])
    expect(worker.stats).toMatchObject({ running: 0, counts: { succeeded: 1, poison: 1 } })
    expect((await w.take('default-dead'))[0]?.attributes['signalbox.error']?.value).toContain('bad schema')
  })

  it('runs middleware around jobs, outermost first', async () => {
    const w = await world(kind)
    const trace: string[] = []
    const job = quickJob((n) => trace.push(`run ${n}`))
    const layer = (name: string) => async (context: JobContext, next: () => Promise<unknown>) => {
      trace.push(`${name} in ${context.job}`)
      const result = await next()
      trace.push(`${name} out`)
      return result
    }
    await w.work([job], { middleware: [layer('a'), layer('b')] })
    await job.enqueue({ n: 1 }, { via: w.via })
    await w.until(() => w.outcomes().length === 1)
    expect(trace).toEqual(['a in quick', 'b in quick', 'run 1', 'b out', 'a out'])
  })
})

describe('a worker on an engine that counts every receive', () => {
  it('costs no job an attempt by its returns', async () => {
    const w = await world('counting')
    const { job, runs } = heldJob({ timeout: '1h', retry: { attempts: 2, minDelay: '1s', maxDelay: '1s' } })
    await job.enqueue({ n: 1 }, { via: w.via })
    for (let drains = 1; drains <= 3; drains++) {
      const worker = await w.work([job])
      await w.until(() => runs.length === drains)
      const closed = worker.close()
      await w.clock.advance(5_000)
      await closed
    }
    await w.work([job])
    await w.until(() => runs.length === 4)
    expect(runs.map(({ context }) => context.attempt)).toEqual([1, 1, 1, 1])
    runs[3]?.end(new Error('no'))
    await w.clock.advance(2_000)
    expect(runs[4]?.context.attempt).toBe(2)
    runs[4]?.end()
    await w.clock.advance(1_000)
    expect(await w.engine.stats('default')).toMatchObject(empty)
  })
})

describe('a worker whose engine fails', () => {
  /** Lets every third call of this kind take effect and loses its answer, or refuses it. */
  const faulty = (engine: MessageQueue, lost: boolean): void => {
    let calls = 0
    const fake = engine as FakeQueue
    for (const call of ['send', 'receive', 'delete', 'changeVisibility'] as const) {
      const real = fake[call].bind(fake) as (...args: unknown[]) => Promise<unknown>
      ;(fake as unknown as Record<string, unknown>)[call] = async (...args: unknown[]) => {
        const fails = (calls += 1) % 3 === 0
        if (fails && !lost) throw new SignalboxError('unavailable', 'no')
        const answer = await real(...args)
        if (fails && call !== 'receive') throw new SignalboxError('outcome_unknown', 'lost')
        return answer
      }
    }
  }

  it.each([{ lost: true }, { lost: false }])(
    'loses nothing and has each effect once ($lost)',
    async ({ lost }) => {
      const w = await world('fake')
      const job = quickJob(async (n, { effect }) => {
        const key = ['count', decimalKey(n)] as const
        const before = ((await w.store.get(key))?.value ?? 0) as number
        await effect.once(w.store, [
          { key, expect: before === 0 ? 'absent' : 'present', op: 'put', value: before + 1 },
        ])
      })
      faulty(w.engine, lost)
      await w.work([job], { visibility: '6s' })
      for (let n = 0; n < 50; n++) {
        const enqueue = (): Promise<unknown> =>
          job.enqueue({ n }, { via: w.via, id: `job-${n}` }).catch(() => enqueue())
        await enqueue()
      }
      await w.clock.advance(120_000)
      const counts = await Promise.all(
        [...Array(50).keys()].map((n) => w.store.get(['count', decimalKey(n)])),
      )
      expect(counts.map((record) => record?.value)).toEqual(Array(50).fill(1))
      expect(await w.engine.stats('default').catch(() => w.engine.stats('default'))).toMatchObject(empty)
    },
  )

  it('stops a job whose message it could not keep, and leaves it to others', async () => {
    const w = await world('fake')
    const { job, runs } = heldJob({ timeout: '1h' })
    await w.work([job], { visibility: '6s' })
    await job.enqueue({ n: 1 }, { via: w.via })
    await w.until(() => runs.length === 1)
    ;(w.engine as FakeQueue).before = async (call) => {
      if (call !== 'receive') throw new SignalboxError('unavailable', 'no')
    }
    await w.clock.advance(5_900)
    expect(runs[0]?.context.signal.aborted).toBe(false)
    await w.clock.advance(200)
    expect(reasonOf(runs[0]!.context.signal)).toBe('lost')
    runs[0]?.end(new Error('stopped'))
    await w.until(() => runs.length === 2 && w.outcomes().length === 1)
    expect(w.outcomes()).toEqual(['lost'])
    expect(runs[1]?.context.attempt).toBe(2)
  })

  it('ends when its queue is gone', async () => {
    const w = await world('fake')
    const worker = await w.work([quickJob((n) => n)])
    await w.until(() => w.outcomes().length === 0)
    ;(w.engine as FakeQueue).before = async () => {
      throw new SignalboxError('not_found', 'there is no queue')
    }
    const done = expect(worker.done).rejects.toMatchObject({ code: 'not_found' })
    await w.clock.advance(60_000)
    await done
  })
})

describe('startWorker', () => {
  it.each([
    [{ concurrency: 0 }, 'concurrency'],
    [{ visibility: '0s' }, 'visibility'],
    [{ queues: { 'a b': 1 } }, 'queue'],
    [{ queues: { a: 0 } }, 'weight'],
    [{ queues: {} }, 'jobs, or queues'],
    [{ threads: 1 }, "'threads'"],
    [{ name: 'a b' }, 'name has 1 to 100'],
  ])('refuses %j', async (options, why) => {
    const w = await world('fake')
    await expect(w.work([quickJob(() => 1)], options as never)).rejects.toThrow(why)
  })

  it('refuses two jobs of one name', async () => {
    const w = await world('fake')
    await expect(w.work([quickJob(() => 1), quickJob(() => 2)])).rejects.toThrow('two jobs quick')
  })
})

async function redriven({ engine, clock }: World, queue: string): Promise<number> {
  return (await redrive({ engine, clock }, queue, { limit: 1 })).moved
}
