/** The service and its gRPC calls on the real engines: each call once, with what it answers when it is used wrongly. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentials, status, type ServiceError } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startFauxqsEngine } from '../../../test/support/engines/fauxqs.ts'
import { createQueue, openMessages, sqsClient, type SqsEngine } from '../../../test/support/engines/sqs.ts'
import { openSqlite, sqliteMessageQueue } from '../../drivers/sqlite/index.ts'
import { sleep, systemClock } from '../../kernel/clock.ts'
import { seededRandom } from '../../kernel/id.ts'
import type { MessageQueue, QueueOptions } from '../../ports/message-queue.ts'
import { Desk } from '../desk.ts'
import { MessagesService } from '../service.ts'
import {
  MessagesServiceClient,
  type ChangeVisibilityBatchResponse,
  type ConsumeRequest,
  type ConsumeRequest_Open,
  type ConsumeResponse,
  type ReceiveResponse,
  type RedriveResponse,
  type SendBatchResponse,
} from './generated/signalbox/messages/v1/messages.ts'
import { MessagesServer } from './server.ts'
import { allIsRead } from './unary.ts'

type Done<A> = (error: ServiceError | null, answer: A) => void

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

let sqs: SqsEngine
beforeAll(async () => {
  sqs = await startFauxqsEngine()
})
afterAll(() => sqs.stop())

let made = 0
const engines = {
  'the embedded engine': async (): Promise<MessageQueue> => {
    const directory = mkdtempSync(join(tmpdir(), 'signalbox-engines-'))
    const owner = await openSqlite({ directory, clock: systemClock })
    const engine = sqliteMessageQueue(owner)
    closing.push(async () => {
      await engine.close()
      await owner.close()
      rmSync(directory, { recursive: true })
    })
    return engine
  },
  SQS: async (queues: Record<string, QueueOptions>): Promise<MessageQueue> => {
    const client = sqsClient(sqs)
    for (const [queue, options] of Object.entries(queues)) {
      await createQueue(client, queue, { ...options, fifo: queue.endsWith('.fifo') })
    }
    client.destroy()
    const engine = await openMessages(sqs)
    closing.push(() => engine.close())
    return engine
  },
}

type EngineName = keyof typeof engines
const names: readonly EngineName[] = ['the embedded engine', 'SQS']

async function world(name: EngineName) {
  const n = ++made
  const [dead, orders, fifo] = [`dead-${n}`, `orders-${n}`, `ordered-${n}.fifo`]
  const queues = { [dead]: {}, [orders]: { deadLetter: { queue: dead, maxReceives: 2 } }, [fifo]: {} }
  const engine = await engines[name](queues)
  const service = new MessagesService({
    engine,
    clock: systemClock,
    random: seededRandom(1),
    queues,
    defaultQueue: orders,
  })
  await service.declareAll()
  const desk = new Desk(service, systemClock, allIsRead)
  const server = new MessagesServer({ desk, clock: systemClock, waitMs: 0 })
  const port = await server.listen({ address: '127.0.0.1:0' })
  const client = new MessagesServiceClient(`127.0.0.1:${port}`, credentials.createInsecure())
  closing.push(async () => {
    client.close()
    await server.stop(0)
  })
  return { client, server, dead, orders, fifo }
}

function ask<A>(call: (done: Done<A>) => unknown): Promise<A> {
  return new Promise((answered, failed) => {
    call((error, answer) => (error === null ? answered(answer) : failed(error)))
  })
}

type Client = MessagesServiceClient
const send = (client: Client, bodies: readonly string[], queue = '', more: object = {}) =>
  ask<SendBatchResponse>((done) =>
    client.sendBatch({ queue, messages: bodies.map((body) => ({ body, attributes: {}, ...more })) }, done),
  )
const receive = async (client: Client, queue = '', visibilityMs = 30_000, max = 10) =>
  (
    await ask<ReceiveResponse>((done) =>
      client.receive({ queue, max, waitMs: 5_000, visibilityMs, attributeNames: [] }, done),
    )
  ).messages
const stats = (client: Client, queue = '') =>
  ask<{ visible: number; inFlight: number }>((done) => client.stats({ queue }, done))
const change = (client: Client, receipt: string, visibilityMs: number, nack = false) =>
  ask<{ lost: boolean }>((done) =>
    client.changeVisibility({ queue: '', change: { receipt, visibilityMs, nack } }, done),
  )

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries++) {
    if (tries > 2_000) throw new Error(`gave up waiting until ${what}`)
    await sleep(systemClock, 10)
  }
}

describe.each(names)('gRPC on %s', (name) => {
  const exact = name !== 'SQS'

  it('sends with attributes, receives, extends, gives back, deletes', async () => {
    const { client } = await world(name)
    const attributes = {
      text: { type: 'String', text: 'x', binary: Buffer.alloc(0) },
      bytes: { type: 'Binary.jpeg', text: '', binary: Buffer.from([0, 255]) },
    }
    await ask((done) => client.send({ queue: '', message: { body: 'hello', attributes } }, done))
    const [first] = await receive(client)
    expect(first).toMatchObject({ body: 'hello', receiveCount: 1 })
    expect(first?.attributes['text']).toMatchObject({ type: 'String', text: 'x' })
    expect(first?.attributes['bytes']).toMatchObject({ type: 'Binary.jpeg', binary: Buffer.from([0, 255]) })
    const receipt = first?.receipt ?? ''
    expect(await change(client, receipt, 60_000)).toMatchObject({ lost: false })
    expect(await change(client, receipt, 0, true)).toMatchObject({ lost: false })
    expect(await change(client, receipt, 60_000)).toMatchObject({ lost: true })
    const [again] = await receive(client)
    expect(again).toMatchObject({ body: 'hello', receiveCount: 2 })
    const deleted = await ask<{ lost: boolean }>((done) =>
      client.delete({ queue: '', receipt: again?.receipt ?? '' }, done),
    )
    expect(deleted.lost).toBe(false)
    expect(await stats(client)).toMatchObject({ visible: 0, inFlight: 0 })
  })

  it('of a batch, each entry has a result of its own', async () => {
    const { client } = await world(name)
    const { results } = await send(client, ['a', '', 'b'])
    expect(results.map(({ failure }) => failure?.code)).toEqual([undefined, 'invalid_argument', undefined])
    const receipts: string[] = []
    while (receipts.length < 2) receipts.push(...(await receive(client)).map(({ receipt }) => receipt))
    const [a = '', b = ''] = receipts
    const changes = [
      { receipt: a, visibilityMs: 60_000, nack: false },
      { receipt: b, visibilityMs: -1, nack: false },
    ]
    const changed = await ask<ChangeVisibilityBatchResponse>((done) =>
      client.changeVisibilityBatch({ queue: '', changes }, done),
    )
    expect(changed.results.map(({ failure }) => failure?.code)).toEqual([undefined, 'invalid_argument'])
    const deleted = await ask<{ results: { lost: boolean }[] }>((done) =>
      client.deleteBatch({ queue: '', receipts: [a, b] }, done),
    )
    expect(deleted.results.map(({ lost }) => lost)).toEqual([false, false])
  })

  it('keeps the order of a group, and sends an id once', async () => {
    const { client, fifo } = await world(name)
    const groups = { groupId: 'g' }
    for (const body of ['a', 'b', 'a']) {
      const { results } = await send(client, [body], fifo, { ...groups, deduplicationId: body })
      expect(results[0]?.failure).toBe(undefined)
    }
    const got: string[] = []
    while (got.length < 2) {
      for (const { body, receipt } of await receive(client, fifo)) {
        got.push(body)
        await ask((done) => client.delete({ queue: fifo, receipt }, done))
      }
    }
    expect(got).toEqual(['a', 'b'])
    expect(await stats(client, fifo)).toMatchObject({ visible: 0 })
    const { results } = await send(client, ['c'], fifo)
    expect(results[0]?.failure?.code).toBe('invalid_argument')
  })

  it('moves what fails too often to the dead-letter queue, and from there back', async () => {
    const { client, dead } = await world(name)
    await send(client, ['a', 'b', 'c'])
    for (let left = 6; left > 0;) {
      const messages = await receive(client)
      left -= messages.length
      for (const { receipt } of messages) await change(client, receipt, 0, true)
    }
    const none = await ask<{ messages: object[] }>((done) =>
      client.receive({ queue: '', max: 10, waitMs: 0, attributeNames: [] }, done),
    )
    expect(none.messages).toEqual([])
    expect(await stats(client, dead)).toMatchObject({ visible: 3 })
    const redrive = (more: object) =>
      ask<RedriveResponse>((done) =>
        client.redrive({ queue: dead, rate: 0, limit: 0, dryRun: false, ...more }, done),
      )
    expect(await redrive({ dryRun: true })).toMatchObject({ moved: 3, skipped: 0 })
    expect(await stats(client, dead)).toMatchObject({ visible: 3 })
    expect(await redrive({ limit: 2 })).toMatchObject({ moved: 2 })
    expect(await redrive({ rate: 100 })).toMatchObject({ moved: 1 })
    expect(await stats(client, dead)).toMatchObject({ visible: 0, inFlight: 0 })
    const bodies: string[] = []
    while (bodies.length < 3) bodies.push(...(await receive(client)).map(({ body }) => body))
    expect(bodies.toSorted()).toEqual(['a', 'b', 'c'])
  })

  it('purges, and lists its queues', async () => {
    const { client, dead, orders, fifo } = await world(name)
    await send(client, ['a', 'b'])
    await receive(client, '', 30_000, 1)
    await ask((done) => client.purge({ queue: '' }, done))
    expect(await stats(client)).toMatchObject({ visible: 0, inFlight: 0 })
    const { queues } = await ask<{ queues: string[] }>((done) => client.listQueues({}, done))
    expect(queues).toEqual([dead, orders, fifo].toSorted())
  })

  it('answers what is wrong with the status that clients expect', async () => {
    const { client, orders } = await world(name)
    const code = (call: Promise<unknown>): Promise<number> =>
      call.then(
        () => status.OK,
        (error: ServiceError) => error.code,
      )
    expect(await code(stats(client, 'nowhere'))).toBe(status.NOT_FOUND)
    expect(await code(receive(client, 'nowhere'))).toBe(status.NOT_FOUND)
    expect(await code(stats(client, 'a b'))).toBe(status.INVALID_ARGUMENT)
    expect(await code(send(client, []))).toBe(status.INVALID_ARGUMENT)
    expect(await code(receive(client, orders, -1))).toBe(status.INVALID_ARGUMENT)
    expect(await code(receive(client, orders, 13 * 3_600_000))).toBe(status.INVALID_ARGUMENT)
    expect(await code(receive(client, orders, 1_000, 1_000))).toBe(status.INVALID_ARGUMENT)
    expect(await code(ask((done) => client.send({ queue: '', message: undefined }, done)))).toBe(
      status.INVALID_ARGUMENT,
    )
    const peek = ask((done) => client.peek({ queue: '', limit: 0 }, done))
    expect(await code(peek)).toBe(exact ? status.OK : status.UNIMPLEMENTED)
  })

  it('consumes: delivers, settles, extends, and returns the rest', async () => {
    const { client } = await world(name)
    await send(client, ['a', 'b', 'c', 'd', 'e'])
    const stream = client.consume()
    const heard: ConsumeResponse[] = []
    stream.on('data', (frame: ConsumeResponse) => heard.push(frame))
    stream.on('error', () => undefined)
    const say = (request: Partial<ConsumeRequest>): void => {
      stream.write({ ack: [], nack: [], extend: [], addCredit: 0, ...request })
    }
    const open: ConsumeRequest_Open = { queue: '', credit: 10, visibilityMs: 30_000, attributeNames: [] }
    say({ open })
    const messages = () => heard.flatMap((frame) => frame.messages)
    await until('all are there', () => messages().length === 5)
    const [a = 0, b = 0, c = 0, d = 0] = messages().map(({ deliveryId }) => deliveryId)
    say({
      ack: [a, b],
      nack: [{ deliveryId: c, delayMs: 600_000 }],
      extend: [{ deliveryId: d, visibilityMs: 60_000 }],
    })
    await until('they are settled', () => {
      const counts = heard.map(
        ({ acked, nacked, extended }) => acked.length + nacked.length + extended.length,
      )
      return counts.reduce((sum, count) => sum + count, 0) === 4
    })
    stream.cancel()
    await until('two are visible', async () => (await stats(client)).visible === 2)
  })

  it('a receive that is cancelled while it waits takes nothing along', async () => {
    const { client } = await world(name)
    const calls = Array.from({ length: 20 }, () =>
      client.receive({ queue: '', max: 1, waitMs: 20_000, attributeNames: [] }, () => undefined),
    )
    await stats(client) // so they have come in
    for (const call of calls) call.cancel()
    await stats(client)
    await send(client, ['a', 'b', 'c'])
    await until('all are visible', async () => {
      const { visible, inFlight } = await stats(client)
      return visible === 3 && inFlight === 0
    })
  })
})
