import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { JobContext } from './api.ts'
import { defineJob, type JobOptions } from './define.ts'
import { startWorker } from './worker.ts'

const input = z.object({ topic: z.string(), count: z.number().default(1) })
const run = (): void => undefined

/** Never called: the compiler reads it (`npm run types`). */
export async function compiles(): Promise<void> {
  const vote = defineJob({
    name: 'vote',
    input,
    run: ({ topic, count }) => `${topic.length + count}`,
  })
  await vote.enqueue({ topic: 'a' })
  await vote.enqueue({ topic: 'a', count: 2 }, { id: 'x', delay: '5m', group: 'g' })
  await vote.enqueueMany([{ input: { topic: 'a' }, id: 'x' }])
  // @ts-expect-error a wrong payload
  await vote.enqueue({ topic: 1 })
  // @ts-expect-error a missing field
  await vote.enqueue({ count: 1 })
  // @ts-expect-error a field that is not there
  await vote.enqueue({ topic: 'a', other: 1 })
  // @ts-expect-error an unknown option
  await vote.enqueue({ topic: 'a' }, { prio: 1 })
  // @ts-expect-error not a duration
  await vote.enqueue({ topic: 'a' }, { delay: 'soon' })
  // @ts-expect-error a wrong payload among many
  await vote.enqueueMany([{ input: { topic: 'a' } }, { input: {} }])
  // @ts-expect-error neither run nor runBatch
  defineJob({ name: 'vote', input })
  // @ts-expect-error an unknown option
  defineJob({ name: 'vote', input, run, retries: 3 })
  // @ts-expect-error an unknown option within one
  defineJob({ name: 'vote', input, run, retry: { times: 3 } })
  // @ts-expect-error what run takes does not fit the input
  defineJob({ name: 'vote', input, run: (wrong: { topic: number }) => wrong })
  // @ts-expect-error a batch without its code
  defineJob({ name: 'vote', input, batch: { max: 10 } })
  // @ts-expect-error the results of a batch are errors or nothing
  defineJob({ name: 'vote', input, batch: { max: 10 }, runBatch: () => ['done'] })
  defineJob({ name: 'vote', input, batch: { max: 10 }, runBatch: (items) => items.map(() => undefined) })

  const wanting = defineJob({
    name: 'wanting',
    input,
    run: ({ topic }, { deps }: JobContext<{ readonly log: (text: string) => void }>) => deps.log(topic),
  })
  await startWorker([vote], { concurrency: 2 })
  await startWorker([vote, wanting], { deps: { log: () => undefined } })
  // @ts-expect-error it wants deps
  await startWorker([vote, wanting])
  // @ts-expect-error other deps
  await startWorker([vote, wanting], { deps: { log: 1 } })
  // @ts-expect-error an unknown option
  await startWorker([vote], { threads: 2 })
}

describe('defineJob', () => {
  const wrong = (options: Partial<Record<keyof JobOptions<typeof input>, unknown>>): unknown => {
    try {
      defineJob({ name: 'vote', input, run, ...options } as never)
    } catch (error) {
      return error
    }
    return undefined
  }

  it('fills in its defaults', () => {
    expect(defineJob({ name: 'vote', input, run }).definition).toMatchObject({
      queue: 'default',
      retry: { attempts: 20, minDelayMs: 1_000, maxDelayMs: 900_000 },
      timeoutMs: 30_000,
      unique: true,
      keepRuns: undefined,
      onLost: undefined,
    })
  })

  it.each([
    { name: 'no spaces' },
    { name: '' },
    { queue: 'a/b' },
    { queue: 'q'.repeat(78) }, // no room for -dead
    { input: 1 },
    { retry: { attempts: 0 } },
    { retry: { attempts: 1.5 } },
    { retry: { minDelay: 'soon' } },
    { retry: { maxDelay: '13h' } },
    { timeout: '0s' },
    { run: undefined },
    { batch: { max: 3 } },
    { rateLimit: { limit: 0, per: '1s' } },
    { keepRuns: { for: '10ms' } },
    { description: 'x'.repeat(2_001) },
    { secrets: Array(51).fill('topic') },
    { secrets: ['topics'] },
    { unknown: 1 } as never,
  ])('refuses %j, with the name of the job', (options) => {
    expect(wrong(options)).toMatchObject({ code: 'invalid_argument' })
  })
})
