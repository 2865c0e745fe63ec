/**
 * A real sidecar, bad clients in plenty, and a good one beside them. Nothing crashes; the good client is served all the while;
 * memory stays below a bound; and what the bad ones took comes back when they go.
 */
import { request } from 'node:http'
import { status, type ServiceError } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { MessagePlaces } from './places.ts'
import { memoryOf, politeClient, type Polite } from './polite.ts'
import { framed, garbage, rawCall, rawSession, rawSocket } from './raw.ts'
import {
  ask,
  endSidecars,
  newClient,
  numbered,
  send,
  startSidecar,
  stats,
  Stream,
  type Sidecar,
} from './sidecar.ts'
import { until } from '../processes.ts'

/** Each attack is worth several times this if it is not held off. */
const MEMORY_MIB = 1_000
/** The good client, in the worst moment of a busy machine. Usually it takes some 20 ms. */
const PATIENCE_MS = 15_000
const CONSUME = '/signalbox.messages.v1.MessagesService/Consume'
const SEND = '/signalbox.messages.v1.MessagesService/Send'

/** The status of a request that announces so large a body, before any of it: the answer need not wait for it. */
function announced(url: string, bytes: number): Promise<number> {
  const headers = { 'content-type': 'application/json', 'content-length': bytes }
  return new Promise((done, failed) => {
    const call = request(url, { method: 'POST', headers }, (answer) => {
      done(answer.statusCode ?? 0)
      call.destroy()
    })
    call.on('error', failed)
    call.flushHeaders()
  })
}

/** @param unknownNames a multiple of 100: engines elsewhere are asked for each */
export function hostileStories(open: () => Promise<MessagePlaces>, unknownNames = 10_000): void {
  let sidecar: Sidecar
  let polite: Polite
  let places: MessagePlaces
  beforeAll(async () => {
    places = await open()
    const place = await places.place({ deadLetter: { queue: 'polite', maxReceives: 1_000 } })
    sidecar = await startSidecar(place)
    await stats(sidecar.client)
    polite = politeClient(sidecar, 'polite')
  })
  afterAll(async () => {
    endSidecars()
    await places.stop()
  })

  const codeOf = (call: Promise<unknown>): Promise<number> =>
    call.then(
      () => status.OK,
      (error: ServiceError) => error.code,
    )
  const visible = async (): Promise<number> => (await stats(sidecar.client)).visible
  const inFlight = async (): Promise<number> => (await stats(sidecar.client)).inFlight

  /** After each attack. */
  async function allIsWell(): Promise<void> {
    const before = polite.rounds
    await until('the good client is served', () => polite.rounds >= before + 3, PATIENCE_MS)
    expect(polite.slowestMs).toBeLessThan(PATIENCE_MS)
    expect(sidecar.running.child.exitCode).toBe(null)
    expect(memoryOf(sidecar.running.pid).peak).toBeLessThan(MEMORY_MIB)
  }

  it('hundreds of streams that never ack, flood credit, and settle what is not theirs', async () => {
    await send(
      sidecar.client,
      numbered(2_000).map((body) => body.padEnd(1_000)),
    )
    const clients = Array.from({ length: 5 }, () => newClient(`127.0.0.1:${sidecar.port}`))
    const of = (i: number) => clients[i % clients.length] ?? sidecar.client
    const streams = Array.from({ length: 300 }, (_, i) => new Stream(of(i), { credit: 1_000 }))
    const taken = (): number => streams.reduce((sum, { messages }) => sum + messages.length, 0)
    await until('they have it all', () => taken() === 2_000)
    for (const stream of streams) {
      for (let i = 0; i < 20; i++) {
        stream.say({
          addCredit: i % 2 === 0 ? 2_147_483_647 : -2_147_483_648,
          ack: [1e9, 0],
          nack: [{ deliveryId: 77_777, delayMs: 0 }],
          extend: [{ deliveryId: 99_999, visibilityMs: 5_000 }],
        })
      }
    }
    await until('each is told that it has none of these', () =>
      streams.every(({ lost }) => lost.length === 20 * 4),
    )
    const refused: number[] = []
    const more = Array.from({ length: 900 }, (_, i) => new Stream(of(i), { credit: 1 }))
    for (const { raw } of more) raw.on('error', ({ code }: ServiceError) => refused.push(code))
    await until('those beyond a thousand are refused', () => refused.length >= 200)
    expect(new Set(refused)).toEqual(new Set([status.RESOURCE_EXHAUSTED]))
    await allIsWell()
    for (const { raw } of [...streams, ...more]) raw.cancel()
    await until('all is back', async () => (await visible()) === 2_000)
    await ask((done) => sidecar.client.purge({ queue: '' }, done))
  })

  it('acks and handles: twice, of others, made up', async () => {
    await send(sidecar.client, numbered(4))
    const stream = new Stream(sidecar.client, { credit: 4 })
    await until('it has them', () => stream.messages.length === 4)
    const [first = 0] = stream.messages.map(({ id }) => id)
    stream.say({ ack: [first, first] })
    await until('the first is acked once', () => stream.acked.length === 1 && stream.lost.length === 1)
    const other = new Stream(newClient(`127.0.0.1:${sidecar.port}`), { credit: 1 })
    other.say({ ack: [2, 3, 4] })
    await until('they are not its own', () => other.lost.length === 3)
    stream.raw.cancel()
    await until('three are left', async () => (await visible()) + (await inFlight()) === 3)
    other.raw.cancel()
    await until('they are back', async () => (await visible()) === 3)
    for (const receipt of ['', 'x', 'x'.repeat(100_000), '\u0000', '1:1']) {
      const code = await codeOf(ask((done) => sidecar.client.delete({ queue: '', receipt }, done)))
      expect([status.OK, status.INVALID_ARGUMENT]).toContain(code)
    }
    expect(await visible()).toBe(3)
    await ask((done) => sidecar.client.purge({ queue: '' }, done))
  })

  it('fifty that do not read their stream, and two hundred receives whose answers nobody takes', async () => {
    for (let i = 0; i < 100; i++) await send(sidecar.client, ['y'.repeat(900_000)])
    const sessions = Array.from({ length: 50 }, () => rawSession(sidecar.port, 1024 * 1024))
    // Opens with a credit of 1,000.
    const open = framed(Buffer.from([0x0a, 0x03, 0x10, 0xe8, 0x07]))
    for (const session of sessions) rawCall(session, CONSUME).write(open)
    await until('they have most of it', async () => (await inFlight()) >= 90)
    await allIsWell()
    for (const session of sessions) session.destroy()
    await until('all is back', async () => (await visible()) === 100)

    const receivers = Array.from({ length: 20 }, () => rawSession(sidecar.port, 0))
    for (const session of receivers) {
      for (let i = 0; i < 10; i++)
        rawCall(session, '/sqs.SQSService/ReceiveMessage').end(framed(Buffer.alloc(0)))
    }
    await until('they have most of it', async () => (await inFlight()) >= 90)
    await allIsWell()
    for (const session of receivers) session.destroy()
    await until('all is back', async () => (await visible()) === 100)
    await ask((done) => sidecar.client.purge({ queue: '' }, done))
  })

  it('garbage, half frames and half messages, on hundreds of connections that stay open or break off', async () => {
    const sockets = Array.from({ length: 300 }, (_, i) =>
      rawSocket(sidecar.port, garbage[i % garbage.length] ?? Buffer.alloc(1)),
    )
    const session = rawSession(sidecar.port)
    // 30 MiB of messages that never become whole.
    for (let i = 0; i < 30; i++) rawCall(session, SEND).write(framed(Buffer.alloc(1024 * 1024), 4_000_000))
    // Ids beyond all numbers, an unfinished field, no protobuf at all.
    const broken = [
      Buffer.from('12ffffffffffffffffff01', 'hex').fill(0x12, 0, 1),
      Buffer.from([0x0a, 0x7f]),
      Buffer.alloc(100, 0xff),
    ]
    for (const bytes of broken) {
      rawCall(session, CONSUME).write(framed(bytes))
      rawCall(session, SEND).end(framed(bytes))
    }
    await allIsWell()
    session.destroy()
    for (const socket of sockets) socket.destroy()
    await allIsWell()
  })

  it('messages that are too large', async () => {
    const sending = (bytes: number): Promise<number> => {
      const message = { body: 'z'.repeat(bytes), attributes: {} }
      return codeOf(ask((done) => sidecar.client.send({ queue: '', message }, done)))
    }
    expect(await sending(1024 * 1024)).toBe(status.OK)
    expect(await sending(1024 * 1024 + 1)).toBe(status.INVALID_ARGUMENT)
    expect(await sending(4_000_000)).toBe(status.INVALID_ARGUMENT)
    expect(await sending(4_300_000)).toBe(status.RESOURCE_EXHAUSTED)
    await Promise.all(Array.from({ length: 40 }, (_, i) => sending(i % 2 === 0 ? 4_000_000 : 4_300_000)))
    await allIsWell()
    await ask((done) => sidecar.client.purge({ queue: '' }, done))
  })

  it(`${unknownNames} names of queues that are not there`, async () => {
    for (let i = 0; i < unknownNames / 100; i++) {
      const codes = await Promise.all(
        numbered(100, `unknown-${i}-`).map((name) => codeOf(stats(sidecar.client, name))),
      )
      expect(new Set(codes)).toEqual(new Set([status.NOT_FOUND]))
    }
    const odd = ['..', 'a b', 'x'.repeat(200), '\u0000', 'ü', 'unknown.fifo']
    const codes = await Promise.all(odd.map((name) => codeOf(stats(sidecar.client, name))))
    for (const code of codes) expect([status.NOT_FOUND, status.INVALID_ARGUMENT]).toContain(code)
    await allIsWell()
  })

  it('the same over HTTP: bodies that are too large, malformed, or never end', async () => {
    const at = `${sidecar.url}/api/v1/messages/${sidecar.place.queue}`
    const post = async (path: string, body: string, type = 'application/json'): Promise<number> => {
      const answer = await fetch(`${at}${path}`, { method: 'POST', body, headers: { 'content-type': type } })
      await answer.arrayBuffer()
      return answer.status
    }
    const sized = (bytes: number): string => JSON.stringify({ messages: [{ body: 'z'.repeat(bytes) }] })
    expect(await post('/send', sized(10))).toBe(200)
    expect(await announced(`${at}/send`, 7_000_000)).toBe(413)
    for (const body of [
      '',
      '{',
      '[]',
      '{"messages":{}}',
      '{"messages":[{"body":5}]}',
      '{"messages":[]}',
      'null',
    ]) {
      expect(await post('/send', body)).toBe(400)
    }
    expect(await post('/send', 'messages=1', 'application/x-www-form-urlencoded')).toBe(415)
    expect(await post('/receive', '{"max":-1}')).toBe(400)
    expect(await post('/receive', '{"waitMs":1e300}')).toBe(400)
    expect(await post('/delete', '{"receipts":["x"]}')).toBe(200)
    expect((await fetch(`${sidecar.url}/api/v1/messages/a%2Fb`)).status).toBe(400)
    expect((await fetch(`${sidecar.url}/api/v1/messages/nowhere`)).status).toBe(404)

    const head = `POST /api/v1/messages/${sidecar.place.queue}/send HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n`
    const port = Number(new URL(sidecar.url).port)
    const half = Array.from({ length: 200 }, (_, i) =>
      rawSocket(
        port,
        Buffer.from(i % 2 === 0 ? head : `${head}content-length: 3000000\r\n\r\n{"messages":[`),
      ),
    )
    await allIsWell()
    for (const socket of half) socket.destroy()
    await ask((done) => sidecar.client.purge({ queue: '' }, done))
  })

  it('receives over HTTP that are given up while they wait take nothing along', async () => {
    const at = `${sidecar.url}/api/v1/messages/${sidecar.place.queue}/receive`
    const given = new AbortController()
    const body = JSON.stringify({ waitMs: 20_000, visibilityMs: 600_000 })
    const calls = Array.from({ length: 50 }, () =>
      fetch(at, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
        signal: given.signal,
      }).then(
        (answer) => answer.text(),
        () => '',
      ),
    )
    await new Promise((waiting) => setTimeout(waiting, 300))
    given.abort()
    await Promise.all(calls)
    await send(sidecar.client, numbered(50))
    await until('all are visible', async () => (await visible()) === 50)
  })

  it('after all this, what it stops with is clean', async () => {
    await polite.stop()
    expect(polite.slowestMs).toBeLessThan(PATIENCE_MS)
    sidecar.running.kill('SIGTERM')
    expect(await sidecar.running.exited).toBe(0)
    expect(sidecar.running.err()).toBe('')
  })
}
