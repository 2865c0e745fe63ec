/** Jobs on SQS: what a worker does on the embedded engine it does there, with queues that were made elsewhere. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { memoryDatabase } from '../../src/drivers/memory/index.ts'
import type { JobContext, JobsConnection, WorkerEvent } from '../../src/jobs/api.ts'
import { defineJob, type JobOptions } from '../../src/jobs/define.ts'
import { dramatiq } from '../../src/jobs/dramatiq.ts'
import { permanent } from '../../src/jobs/failures.ts'
import { startWorker } from '../../src/jobs/worker.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { redrive } from '../../src/messages/redrive.ts'
import type { MessageQueue, ReceivedMessage } from '../../src/ports/message-queue.ts'
import { startFauxqsEngine } from '../support/engines/fauxqs.ts'
import { createQueue, openMessages, sqsClient, type SqsEngine } from '../support/engines/sqs.ts'
import { until } from '../support/processes.ts'

const input = z.object({ n: z.number() })
const clock = systemClock

let sqs: SqsEngine
let engine: MessageQueue
let via: JobsConnection
const closing: (() => Promise<void>)[] = []
beforeAll(async () => {
  sqs = await startFauxqsEngine()
  engine = await openMessages(sqs)
  via = { engine, store: memoryDatabase().connect({ clock }), clock, random: systemRandom }
})
afterAll(async () => {
  await Promise.all(closing.map((close) => close()))
  await engine.close()
  await sqs.stop()
})

/** A queue with its dead-letter queue, as Terraform would make them. */
async function queues(name: string, fifo = false): Promise<string> {
  const end = fifo ? '.fifo' : ''
  const client = sqsClient(sqs)
  await createQueue(client, `${name}-dead${end}`, { fifo })
  await createQueue(client, `${name}${end}`, {
    fifo,
    deadLetter: { queue: `${name}-dead${end}`, maxReceives: 30 },
  })
  client.destroy()
  return `${name}${end}`
}

async function working(
  queue: string,
  run: (n: number, context: JobContext) => unknown,
  options: Partial<JobOptions<typeof input>> = {},
) {
  const events: WorkerEvent[] = []
  const job = defineJob({
    name: 'quick',
    queue,
    input,
    unique: false,
    ...options,
    run: ({ n }, context) => run(n, context),
  })
  const how = {
    via,
    visibility: '5s',
    onEvent: (event: WorkerEvent) => events.push(event),
    envelopes: [dramatiq({ actors: { record: job } })],
  } as const
  const worker = await startWorker([job], how)
  closing.push(() => worker.close())
  return { job, worker, events }
}

async function one(queue: string): Promise<ReceivedMessage> {
  let found: readonly ReceivedMessage[] = []
  await until(`something is in ${queue}`, async () => {
    found = await engine.receive(queue, { waitMs: 1_000, visibilityMs: 0 })
    return found.length > 0
  })
  return found[0] as ReceivedMessage
}

const drained = async (queue: string): Promise<boolean> => {
  const { visible, inFlight, delayed } = await engine.stats(queue)
  return visible + inFlight + delayed === 0
}

describe('jobs on SQS', () => {
  it('refuse a queue without a dead-letter queue, and one that is not there', async () => {
    const client = sqsClient(sqs)
    await createQueue(client, 'alone')
    client.destroy()
    await expect(working('alone', () => undefined)).rejects.toMatchObject({ code: 'config_invalid' })
    await expect(working('nowhere', () => undefined)).rejects.toMatchObject({ code: 'not_found' })
  })

  it('run, enqueued one by one and many at once, and are tried again', async () => {
    const queue = await queues('votes')
    const done = new Map<number, number>()
    const { job } = await working(
      queue,
      (n, { attempt }) => {
        if (n === 7 && attempt === 1) throw new Error('once')
        done.set(n, (done.get(n) ?? 0) + 1)
      },
      { retry: { attempts: 5, minDelay: '1s', maxDelay: '1s' } },
    )
    await Promise.all(Array.from({ length: 50 }, (_, n) => job.enqueue({ n }, { via })))
    await job.enqueueMany(
      Array.from({ length: 50 }, (_, n) => ({ input: { n: 50 + n } })),
      { via },
    )
    await until('all are done', () => done.size === 100)
    await until('the queue is empty', () => drained(queue))
    expect([...done.values()].every((count) => count === 1)).toBe(true)
  })

  it('dead-letter poison with its reason, and find the way back', async () => {
    const queue = await queues('poison')
    const tries: number[] = []
    const effects: string[] = []
    const { job } = await working(queue, async (n, { effect, attempt }) => {
      tries.push(attempt)
      if (via.store === undefined) return
      const change = { key: ['count', 'poison'], expect: 'absent', op: 'put', value: n } as const
      effects.push((await effect.once(via.store, [change])).status)
      if (tries.length === 1) throw permanent('not now')
    })
    await engine.send(queue, [{ body: '{bad' }])
    const dead = await one('poison-dead')
    expect(dead).toMatchObject({ body: '{bad', deadLetterSource: queue })
    expect(Object.keys(dead.attributes).toSorted()).toEqual([
      'signalbox.error',
      'signalbox.id',
      'signalbox.reason',
    ])
    await engine.purge('poison-dead')
    await job.enqueue({ n: 1 }, { via })
    const rejected = await one('poison-dead')
    expect(rejected.attributes['signalbox.reason']?.value).toBe('rejected')
    await until(
      'it is back',
      async () => (await redrive({ engine, clock }, 'poison-dead', { limit: 1 })).moved === 1,
    )
    await until('it is done', () => effects.length === 2)
    expect(effects).toEqual(['done', 'already_done'])
    expect(tries).toEqual([1, 1])
  })

  it("take dramatiq's messages", async () => {
    const queue = await queues('actors')
    const done: unknown[] = []
    await working(queue, (n, { id }) => done.push([n, id]))
    const message = {
      queue_name: queue,
      actor_name: 'record',
      args: [],
      kwargs: { n: 5 },
      options: {},
      message_id: 'b3c0a5e2-0000-4000-8000-000000000001',
      message_timestamp: 1_640_650_135_000,
    }
    await engine.send(queue, [{ body: Buffer.from(JSON.stringify(message)).toString('base64') }])
    await until('it is done', () => done.length === 1)
    expect(done).toEqual([[5, message.message_id]])
  })

  it('keep the order of a group', async () => {
    const queue = await queues('steps', true)
    const order: string[] = []
    const { job } = await working(queue, (n, { group }) => void order.push(`${group}${n}`))
    const items = ['a', 'b'].flatMap((group) => [1, 2, 3, 4, 5].map((n) => ({ input: { n }, group })))
    await job.enqueueMany(items, { via })
    await until('all are done', () => order.length === 10)
    for (const group of ['a', 'b']) {
      expect(order.filter((name) => name.startsWith(group))).toEqual(
        [1, 2, 3, 4, 5].map((n) => `${group}${n}`),
      )
    }
  })

  it('go back at once when their worker is drained', async () => {
    const queue = await queues('held')
    const { job, worker, events } = await working(
      queue,
      (_, { signal }) =>
        new Promise((__, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    )
    await job.enqueueMany(
      [1, 2, 3].map((n) => ({ input: { n } })),
      { via },
    )
    await until('they run', () => worker.stats.running === 3)
    await worker.close()
    expect(events.filter((event) => event.type === 'ended').map(({ outcome }) => outcome)).toEqual([
      'returned',
      'returned',
      'returned',
    ])
    const back = await engine.receive(queue, { max: 10, waitMs: 2_000 })
    expect(back.length).toBeGreaterThan(0)
  })
})
