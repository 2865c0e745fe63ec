/** What clients of a sidecar may rely on while it runs, on whatever engine: each test has a process and a queue of its own. */
import { join } from 'node:path'
import { credentials, loadPackageDefinition, type Client } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { root, until } from '../processes.ts'
import type { MessagePlaces } from './places.ts'
import { ask, numbered, send, startSidecar, stats, Stream, type Done, type Sidecar } from './sidecar.ts'

interface ReferenceClient extends Client {
  ReceiveMessage(
    request: object,
    done: Done<{ messages: { messageID: string; messageBody: string }[] }>,
  ): void
  DeleteMessage(request: object, done: Done<object>): void
}

/** Generated from what a client of the reference has, and from nothing of ours. */
function referenceClient(port: number): ReferenceClient {
  const proto = join(root, 'src/messages/grpc/fixtures/reference.proto')
  const definition = loadSync(proto, { keepCase: true, longs: Number, arrays: true })
  const { sqs } = loadPackageDefinition(definition) as unknown as {
    sqs: { SQSService: new (address: string, how: object) => ReferenceClient }
  }
  return new sqs.SQSService(`127.0.0.1:${port}`, credentials.createInsecure())
}

/** For timers of a process on a busy machine; on time it takes a few milliseconds. */
const PROMPT_MS = 1_000

/** They mostly wait, so they may run at the same time. An engine whose requests slow down as its queue grows gets less in it. */
export function deliveryStories(open: () => Promise<MessagePlaces>, fast = 1_000): void {
  let places: MessagePlaces
  const own: Sidecar[] = []
  const start = async (): Promise<Sidecar> => {
    const sidecar = await startSidecar(await places.place())
    own.push(sidecar)
    return sidecar
  }
  beforeAll(async () => {
    places = await open()
  })
  afterAll(async () => {
    for (const { client, running } of own) {
      client.close()
      running.kill('SIGKILL')
      await running.exited
    }
    await places.stop()
  })

  it('a client generated from the reference’s proto alone receives and deletes unchanged', async () => {
    const { client, port } = await start()
    await send(client, ['hello', 'you'])
    const reference = referenceClient(port)
    const request = { visibility_timeout: 5, wait_time: 5, maximum_number_of_messages: 5 }
    const got: string[] = []
    while (got.length < 2) {
      const { messages } = await ask<{ messages: { messageID: string; messageBody: string }[] }>((done) =>
        reference.ReceiveMessage(request, done),
      )
      for (const message of messages) {
        expect(Object.keys(message).toSorted()).toEqual(['messageBody', 'messageID'])
        got.push(message.messageBody)
        expect(await ask((done) => reference.DeleteMessage({ messageID: message.messageID }, done))).toEqual(
          {},
        )
      }
    }
    expect(got.toSorted()).toEqual(['hello', 'you'])
    const soon = { ...request, wait_time: 0 }
    const { messages } = await ask<{ messages: object[] }>((done) => reference.ReceiveMessage(soon, done))
    expect(messages).toEqual([])
    expect(await stats(client)).toMatchObject({ visible: 0, inFlight: 0 })
    reference.close()
  })

  it('work longer than the visibility: a hundred at once, none twice', async () => {
    const { client } = await start()
    await send(client, numbered(100))
    const worker = new Stream(client, { credit: 100, visibilityMs: 2_000 })
    const other = new Stream(client, { credit: 100, visibilityMs: 2_000 })
    const all = (): number => worker.messages.length + other.messages.length
    await until('all are delivered', () => all() === 100)
    await new Promise((worked) => setTimeout(worked, 5_000))
    for (const stream of [worker, other]) stream.say({ ack: stream.messages.map(({ id }) => id) })
    await until('all are acked', () => worker.acked.length + other.acked.length === 100)
    expect([...worker.lost, ...other.lost]).toEqual([])
    expect(new Set([...worker.bodies, ...other.bodies]).size).toBe(100)
    expect(all()).toBe(100)
  })

  it('a lost lease is told at once, and a late ack is answered as lost', async () => {
    const { client } = await start()
    await send(client, numbered(10))
    // No heartbeats: as it is when the engine cannot be reached.
    const stream = new Stream(client, { credit: 10, visibilityMs: 2_000, maxHoldMs: 0 })
    await until('all are delivered', () => stream.messages.length >= 10)
    const held = stream.messages.slice(0, 10)
    await until('all are lost', () => held.every(({ id }) => stream.lost.some((lost) => lost.id === id)))
    for (const { id, deadline } of held) {
      const { at = 0 } = stream.lost.find((lost) => lost.id === id) ?? {}
      expect(at - deadline).toBeLessThan(PROMPT_MS)
    }
    const before = stream.lost.length
    stream.say({ ack: held.map(({ id }) => id) })
    await until('the acks are answered', () => stream.lost.length >= before + 10)
    expect(stream.acked).toEqual([])
    await until('they come again', () => stream.messages.length >= 20)
  })

  it('a nack with delay comes again after that delay, whatever the heartbeats do', async () => {
    const { client } = await start()
    await send(client, numbered(30))
    const stream = new Stream(client, { credit: 30, visibilityMs: 2_000 })
    await until('all are delivered', () => stream.messages.length === 30)
    const first = [...stream.messages]
    const nackedAt = new Map<string, number>()
    // Spread over two visibilities: some meet a heartbeat under way.
    for (const { id, body } of first.slice(0, 20)) {
      nackedAt.set(body, Date.now())
      stream.say({ nack: [{ deliveryId: id, delayMs: 4_000 }] })
      await new Promise((later) => setTimeout(later, 137))
    }
    await until('all of them came again', () => stream.messages.length === 50)
    for (const { body, at } of stream.messages.slice(30)) {
      const after = at - (nackedAt.get(body) ?? 0)
      expect(after).toBeGreaterThan(3_900)
      expect(after).toBeLessThan(8_000)
    }
    expect(stream.nacked).toHaveLength(20)
    expect(stream.lost).toEqual([])
  })

  it(`one slow message and ${fast} fast ones: the fast ones do not wait`, async () => {
    const { client } = await start()
    await send(client, numbered(fast + 1))
    const stream = new Stream(client, { credit: 50, visibilityMs: 5_000 })
    let slow: number | undefined
    let most = 0
    stream.onFrame = ({ messages }) => {
      slow ??= messages[0]?.deliveryId
      most = Math.max(most, stream.messages.length - stream.acked.length)
      const done = messages.flatMap(({ deliveryId }) => (deliveryId === slow ? [] : [deliveryId]))
      if (done.length > 0) stream.say({ ack: done })
    }
    await until('the fast ones are done', () => stream.acked.length === fast, 150_000)
    expect(stream.lost).toEqual([])
    expect(stream.bodies.size).toBe(fast + 1)
    stream.say({ ack: [slow ?? 0] })
    await until('so is the slow one', () => stream.acked.length === fast + 1)
    // Those whose ack is confirmed a moment later count as well.
    expect(most).toBeLessThanOrEqual(100 + 2 * 50)
  })
}
