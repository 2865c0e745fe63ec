/** Between a sidecar and SQS: what messages cost, counted on the way; and what becomes of them when nothing gets through for a while. */
import { status } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startFauxqsEngine } from '../support/engines/fauxqs.ts'
import { counted, type CountedEngine } from '../support/messages/counted.ts'
import { onSqs, type MessagePlaces } from '../support/messages/places.ts'
import { endSidecars, newClient, numbered, send, startSidecar, Stream } from '../support/messages/sidecar.ts'
import { until } from '../support/processes.ts'

let engine: CountedEngine
let places: MessagePlaces
beforeAll(async () => {
  engine = await counted(await startFauxqsEngine())
  places = await onSqs(() => Promise.resolve(engine))
})
afterAll(async () => {
  endSidecars()
  await places.stop()
})

const COUNT = 10_000

it('10,000 messages sent, received and deleted take at most 3,300 requests, and the metrics tell how many', async () => {
  const { port, url } = await startSidecar(await places.place())
  engine.take()
  const clients = Array.from({ length: 10 }, () => newClient(`127.0.0.1:${port}`))
  const share = COUNT / clients.length
  await Promise.all(clients.map((client, i) => send(client, numbered(share, `c${i}-`))))
  // Not meanwhile: this engine ends every waiting poll with each message, also those for which there is none.
  const consumers = clients.slice(0, 3).map((client) => new Stream(client, { credit: 100 }))
  for (const stream of consumers) stream.ackAll()
  const acked = (): number => consumers.reduce((sum, stream) => sum + stream.acked.length, 0)
  await until('all are acked', () => acked() >= COUNT)

  const requests = engine.take()
  expect(consumers.flatMap(({ lost }) => lost)).toEqual([])
  expect(new Set(consumers.flatMap(({ bodies }) => [...bodies])).size).toBe(COUNT)
  const total = Object.values(requests).reduce((sum, n) => sum + n, 0)
  expect(total, JSON.stringify(requests)).toBeLessThanOrEqual(3_300)

  const metrics = await (await fetch(`${url}/metrics`)).text()
  for (const operation of ['SendMessageBatch', 'DeleteMessageBatch']) {
    const line = `signalbox_messages_sqs_requests_total{operation="${operation}"} ${requests[operation]}`
    expect(metrics).toContain(line)
  }
})

it('an outage shorter than the visibility loses nothing and doubles nothing; acks and heartbeats get through after it', async () => {
  const { client } = await startSidecar(await places.place())
  await send(client, numbered(100))
  const stream = new Stream(client, { credit: 50, visibilityMs: 15_000 })
  await until('fifty are delivered', () => stream.messages.length === 50)
  engine.down = true
  stream.say({ ack: stream.messages.slice(0, 25).map(({ id }) => id) })
  // A heartbeat is due after a third of the visibility: here it fails, and again.
  await new Promise((later) => setTimeout(later, 6_000))
  expect(stream.acked).toEqual([])
  engine.down = false
  await until('the acks are carried out', () => stream.acked.length === 25)
  await until('others come in their stead', () => stream.messages.length === 75)
  stream.ackAll()
  await until('all are done', () => stream.acked.length === 100)
  expect(stream.bodies.size).toBe(100)
  expect(stream.lost.filter(({ id }) => stream.acked.every((acked) => acked !== id))).toEqual([])
})

it('a sidecar whose engine cannot be reached starts, says so to its callers, and serves them once it can', async () => {
  const place = await places.place()
  engine.down = true
  const { client } = await startSidecar(place)
  await expect(send(client, ['x'])).rejects.toMatchObject({ code: status.UNAVAILABLE })
  engine.down = false
  expect(await send(client, ['y'])).toHaveLength(1)
  const stream = new Stream(client)
  await until('it comes', () => stream.bodies.has('y'))
})
