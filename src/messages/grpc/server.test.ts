import { connect, constants } from 'node:http2'
import { join } from 'node:path'
import {
  type Client,
  credentials,
  loadPackageDefinition,
  makeClientConstructor,
  status,
  type ClientDuplexStream,
  type ServiceError,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { service as healthService } from 'grpc-health-check'
import { afterEach, describe, expect, it } from 'vitest'
import { sleep, systemClock } from '../../kernel/clock.ts'
import { seededRandom } from '../../kernel/id.ts'
import { Desk } from '../desk.ts'
import { MessagesService } from '../service.ts'
import { FakeQueue } from '../testing/fake-queue.ts'
import {
  MessagesServiceService,
  type ConsumeRequest,
  type ConsumeResponse,
} from './generated/signalbox/messages/v1/messages.ts'
import { behindBytes } from './consume.ts'
import { MessagesServer } from './server.ts'
import { allIsRead } from './unary.ts'

type Call = (
  request: object,
  done?: (error: ServiceError | null, answer: never) => void,
) => { cancel(): void }
type Calls = Client & Record<string, Call>

const opened: { readonly server: MessagesServer; readonly clients: Client[] }[] = []
afterEach(async () => {
  for (const { server, clients } of opened.splice(0)) {
    for (const client of clients) client.close()
    await server.stop(0)
  }
})

async function world() {
  const engine = new FakeQueue({ clock: systemClock })
  const service = new MessagesService({
    engine,
    clock: systemClock,
    random: seededRandom(1),
    queues: { other: {} },
    defaultQueue: 'orders',
  })
  await service.declareAll()
  const desk = new Desk(service, systemClock, allIsRead)
  const lines: string[] = []
  const server = new MessagesServer({
    desk,
    clock: systemClock,
    waitMs: 0,
    log: (call, text) => lines.push(`${call} ${text()}`),
  })
  const port = await server.listen({ address: '127.0.0.1:0' })
  const clients: Client[] = []
  const address = `127.0.0.1:${port}`
  opened.push({ server, clients })
  const known = (made: Client): Calls => {
    clients.push(made)
    return made as Calls
  }
  const definition = loadSync(join(import.meta.dirname, 'fixtures/reference.proto'), {
    keepCase: true,
    longs: Number,
  })
  const { sqs } = loadPackageDefinition(definition) as never as { sqs: Record<string, typeof Client> }
  const Reference = sqs['SQSService']
  if (Reference === undefined) throw new Error('no service')
  const of = (definitions: never): Calls =>
    known(new (makeClientConstructor(definitions, ''))(address, credentials.createInsecure()))
  return {
    engine,
    service,
    server,
    desk,
    lines,
    address,
    reference: known(new Reference(address, credentials.createInsecure())),
    ours: of(MessagesServiceService as never),
    health: of(healthService as never),
  }
}

function ask(client: Calls, method: string, request: object): Promise<Record<string, never>> {
  return new Promise((done, failed) => {
    client[method]?.call(client, request, (error, answer) => (error === null ? done(answer) : failed(error)))
  })
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await holds()); tries++) {
    if (tries > 1_000) throw new Error('gave up waiting')
    await sleep(systemClock, 10)
  }
}

const bodies = (n: number): { body: string }[] => Array.from({ length: n }, (_, i) => ({ body: `b${i}` }))

describe('the reference’s service', () => {
  it('serves a client generated from the reference’s proto alone', async () => {
    const { engine, reference, lines } = await world()
    await engine.send('orders', [{ body: 'hello', attributes: { a: { type: 'String', value: 'x' } } }])
    const request = { visibility_timeout: 5, wait_time: 5, maximum_number_of_messages: 5 }
    const { messages } = await ask(reference, 'ReceiveMessage', request)
    expect(messages).toEqual([{ messageID: expect.any(String) as string, messageBody: 'hello' }])
    const [{ messageID }] = messages as unknown as [{ messageID: string }]
    expect(await ask(reference, 'DeleteMessage', { messageID })).toEqual({})
    expect(await engine.stats('orders')).toMatchObject({ visible: 0, inFlight: 0 })
    expect(lines).toContain(
      'ReceiveMessage Received input: visibility_timeout:5  wait_time:5  maximum_number_of_messages:5',
    )
    expect(lines.join()).not.toContain('hello')
    expect(lines.join()).not.toContain(messageID)
  })

  it('takes 0 as 10 messages, and refuses what is outside 0 to 10', async () => {
    const { engine, reference } = await world()
    await engine.send('orders', bodies(10))
    await engine.send('orders', bodies(2))
    const { messages } = await ask(reference, 'ReceiveMessage', {})
    expect(messages).toHaveLength(10)
    for (const wrong of [-1, 11]) {
      await expect(
        ask(reference, 'ReceiveMessage', { maximum_number_of_messages: wrong }),
      ).rejects.toMatchObject({ code: status.INVALID_ARGUMENT })
    }
  })

  it('returns the messages of cancelled receives at once', async () => {
    const { engine, reference } = await world()
    const cancelled = Array.from({ length: 100 }, async (_, i) => {
      const call = reference['ReceiveMessage']?.({ wait_time: 20, visibility_timeout: 600 }, () => undefined)
      await sleep(systemClock, 50 + (i % 20))
      call?.cancel()
    })
    await sleep(systemClock, 55)
    for (let i = 0; i < 10; i++) {
      await engine.send('orders', bodies(10))
      await sleep(systemClock, 1)
    }
    await Promise.all(cancelled)
    await until(async () => (await engine.stats('orders')).visible === 100)
  })

  it('returns them also when the answer was written and stuck on its way', async () => {
    const { engine, address } = await world()
    // More than a stream takes without being read; and this client does not read.
    await engine.send('orders', [{ body: 'x'.repeat(900_000) }])
    const session = connect(`http://${address}`)
    const call = session.request({
      ':method': 'POST',
      ':path': '/sqs.SQSService/ReceiveMessage',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    call.on('error', () => undefined)
    const answered = new Promise((done) => call.once('response', done))
    call.end(Buffer.alloc(5)) // an empty request
    await answered
    expect(await engine.stats('orders')).toMatchObject({ visible: 0, inFlight: 1 })
    call.close(constants.NGHTTP2_CANCEL)
    await until(async () => (await engine.stats('orders')).visible === 1)
    session.destroy()
  })
})

describe('statuses', () => {
  it('are those that gRPC clients expect', async () => {
    const { engine, ours } = await world()
    const code = (method: string, request: object): Promise<number> =>
      ask(ours, method, request).then(
        () => status.OK,
        (error: ServiceError) => error.code,
      )
    expect(await code('stats', { queue: 'nowhere' })).toBe(status.NOT_FOUND)
    expect(await code('send', { queue: 'orders', message: { body: '', attributes: {} } })).toBe(
      status.INVALID_ARGUMENT,
    )
    expect(await code('peek', { queue: 'orders', limit: 0 })).toBe(status.UNIMPLEMENTED)
    expect(await code('sendBatch', { messages: [{ body: 'x'.repeat(5_000_000), attributes: {} }] })).toBe(
      status.RESOURCE_EXHAUSTED,
    )
    const { SignalboxError } = await import('../../kernel/error.ts')
    for (const [thrown, expected] of [
      ['throttled', status.RESOURCE_EXHAUSTED],
      ['unavailable', status.UNAVAILABLE],
    ] as const) {
      engine.before = async () => {
        throw new SignalboxError(thrown, 'no')
      }
      expect(await code('stats', { queue: 'orders' })).toBe(expected)
    }
  })

  it('a deadline ends a receive, and nothing is lost by it', async () => {
    const { engine, ours } = await world()
    const receive = ours['receive'] as unknown as (...args: unknown[]) => void
    const error = await new Promise<ServiceError>((done) => {
      const request = { queue: '', max: 1, waitMs: 20_000, attributeNames: [] }
      receive.call(ours, request, { deadline: Date.now() + 50 }, (thrown: ServiceError) => done(thrown))
    })
    expect(error.code).toBe(status.DEADLINE_EXCEEDED)
    await sleep(systemClock, 100) // the server hears of it
    await engine.send('orders', bodies(1))
    expect(await engine.stats('orders')).toMatchObject({ visible: 1, inFlight: 0 })
  })
})

function consume(client: Calls, open: object = {}) {
  const stream = (
    client['consume'] as unknown as () => ClientDuplexStream<ConsumeRequest, ConsumeResponse>
  ).call(client)
  const heard: ConsumeResponse[] = []
  const ended = Promise.withResolvers<number>()
  stream.on('data', (response: ConsumeResponse) => heard.push(response))
  stream.on('error', (error: ServiceError) => ended.resolve(error.code))
  stream.on('end', () => ended.resolve(status.OK))
  const say = (request: object): void => {
    stream.write({ ack: [], nack: [], extend: [], addCredit: 0, ...request })
  }
  say({ open: { queue: '', credit: 10, attributeNames: [], ...open } })
  return {
    stream,
    say,
    heard,
    ended: ended.promise,
    messages: () => heard.flatMap(({ messages }) => messages),
    acked: () => heard.flatMap(({ acked }) => acked),
    lost: () => heard.flatMap(({ lost }) => lost),
  }
}

describe('consume', () => {
  it('delivers within the credit, confirms acks, and returns the rest when the client ends', async () => {
    const { engine, ours } = await world()
    await engine.send('orders', bodies(10))
    await engine.send('orders', bodies(5))
    const client = consume(ours)
    await until(() => client.messages().length === 10)
    expect(client.heard[0]?.opened).toEqual({ queue: 'orders', credit: 10, visibilityMs: 30_000 })
    client.say({ ack: [1, 2, 3, 99] })
    await until(() => client.acked().length === 3 && client.messages().length === 13)
    expect(client.lost()).toEqual([99])
    client.say({ ack: [4] })
    client.stream.end()
    expect(await client.ended).toBe(status.OK)
    expect(client.acked()).toEqual([1, 2, 3, 4])
    expect(await engine.stats('orders')).toMatchObject({ visible: 11, inFlight: 0 })
  })

  it('returns everything when the client vanishes', async () => {
    const { engine, ours } = await world()
    await engine.send('orders', bodies(10))
    const client = consume(ours)
    await until(() => client.messages().length === 10)
    client.stream.cancel()
    await until(async () => (await engine.stats('orders')).visible === 10)
  })

  it('ends with the status of what is wrong', async () => {
    const { ours } = await world()
    expect(await consume(ours, { queue: 'nowhere' }).ended).toBe(status.NOT_FOUND)
    expect(await consume(ours, { credit: 5_000 }).ended).toBe(status.INVALID_ARGUMENT)
    expect(await consume(ours, { visibilityMs: 10 }).ended).toBe(status.INVALID_ARGUMENT)
    const twice = consume(ours)
    twice.say({ open: { queue: '', credit: 1, attributeNames: [] } })
    expect(await twice.ended).toBe(status.INVALID_ARGUMENT)
  })

  it('lets many streams be less far behind each than few, and goes on when they read', async () => {
    expect([1, 64, 128, 1_000].map(behindBytes)).toEqual([2 ** 20, 2 ** 20, 2 ** 19, 2 ** 26 / 1_000])
    expect(behindBytes(2_000)).toBe(2 ** 16)
    const { engine, ours } = await world()
    for (let i = 0; i < 30; i++) {
      await engine.send(
        'orders',
        bodies(10).map(({ body }) => ({ body: body.padEnd(20_000) })),
      )
    }
    const clients = Array.from({ length: 3 }, () => consume(ours, { credit: 1_000 }))
    for (const { stream } of clients) stream.pause()
    await sleep(systemClock, 100)
    for (const { stream } of clients) stream.resume()
    await until(() => clients.reduce((sum, { messages }) => sum + messages().length, 0) === 300)
  })

  it('serves others beside a client that floods credit, never acks and does not read', async () => {
    const { engine, ours } = await world()
    for (let i = 0; i < 50; i++) await engine.send('orders', [{ body: 'x'.repeat(200_000) }])
    const hostile = consume(ours)
    hostile.stream.pause()
    for (let i = 0; i < 2_000; i++) hostile.say({ addCredit: 1_000_000, ack: [i + 500] })
    await engine.send('other', bodies(10))
    const polite = consume(ours, { queue: 'other' })
    await until(() => polite.messages().length === 10)
    polite.say({ ack: polite.messages().map(({ deliveryId }) => deliveryId) })
    await until(() => polite.acked().length === 10)
    // It got what the connection and the buffer hold, not all ten megabytes.
    expect((await engine.stats('orders')).visible).toBeGreaterThan(10)
    hostile.stream.cancel()
    await until(async () => (await engine.stats('orders')).visible === 50)
  })
})

describe('stopping', () => {
  it('says NOT_SERVING, hands out nothing more, takes acks until all are settled', async () => {
    const { engine, ours, reference, health, server } = await world()
    for (let i = 0; i < 10; i++) await engine.send('orders', bodies(10))
    const client = consume(ours, { credit: 50 })
    await until(() => client.messages().length === 50)
    const { messages } = await ask(reference, 'ReceiveMessage', {})
    const waiting = ask(ours, 'receive', { queue: 'other', max: 1, waitMs: 20_000, attributeNames: [] })
    await ask(health, 'check', { service: '' }).then(({ status: now }) => expect(now).toBe('SERVING'))

    const stopped = server.stop(20_000)
    expect((await ask(health, 'check', { service: '' }))['status']).toBe('NOT_SERVING')
    expect((await waiting)['messages']).toEqual([])
    await expect(ask(reference, 'ReceiveMessage', {})).rejects.toMatchObject({ code: status.UNAVAILABLE })
    await until(() => client.heard.some(({ draining }) => draining))
    client.say({ ack: client.messages().map(({ deliveryId }) => deliveryId) })
    for (const { messageID } of messages as unknown as { messageID: string }[])
      await ask(reference, 'DeleteMessage', { messageID })
    await stopped
    expect(client.acked()).toHaveLength(50)
    expect(await engine.stats('orders')).toMatchObject({ visible: 40, inFlight: 0 })
  })

  it('returns what streams hold when the grace is over', async () => {
    const { engine, ours, server } = await world()
    for (let i = 0; i < 20; i++) await engine.send('orders', bodies(10))
    const client = consume(ours, { credit: 200 })
    await until(() => client.messages().length === 200)
    await server.stop(100)
    expect(await engine.stats('orders')).toMatchObject({ visible: 200, inFlight: 0 })
  })
})

it('reflection lists the services', async () => {
  const { address } = await world()
  const proto = join(
    import.meta.dirname,
    '../../../node_modules/@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto',
  )
  const { grpc } = loadPackageDefinition(loadSync(proto)) as never as {
    grpc: { reflection: { v1: { ServerReflection: typeof Client } } }
  }
  const client = new grpc.reflection.v1.ServerReflection(address, credentials.createInsecure())
  const stream = (
    (client as Calls)['ServerReflectionInfo'] as unknown as () => ClientDuplexStream<object, object>
  ).call(client)
  const answers: object[] = []
  const errors = Promise.withResolvers<void>()
  stream.on('data', (answer: object) => {
    answers.push(answer)
    if (answers.length === 2) errors.resolve()
  })
  stream.on('error', (error) => errors.reject(error))
  stream.write({ listServices: '' })
  stream.write({ fileContainingSymbol: 'signalbox.messages.v1.MessagesService' })
  await errors.promise
  client.close()
  expect(JSON.stringify(answers[0])).toContain('sqs.SQSService')
  expect(JSON.stringify(answers[0])).toContain('signalbox.messages.v1.MessagesService')
  expect(answers[1]).toHaveProperty('fileDescriptorResponse')
})
