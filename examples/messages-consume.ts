/**
 * A worker on `Consume`: the sidecar polls, keeps the messages hidden while they are worked on, and takes them back if this
 * process dies. Twenty at a time, each for itself: a slow one holds up no other.
 *
 *   npx signalbox sidecar --queue orders &
 *   node examples/messages-consume.ts
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { credentials, loadPackageDefinition, type Client, type ClientDuplexStream } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

interface Delivery {
  readonly delivery_id: number
  readonly message: { readonly message_id: string; readonly body: string }
}
interface Frame {
  readonly messages: readonly Delivery[]
  readonly lost: readonly number[]
  readonly draining: boolean
}
type Messages = Client & { Consume(): ClientDuplexStream<object, Frame> }

const root = join(import.meta.dirname, '../proto')
const definition = loadSync('signalbox/messages/v1/messages.proto', {
  includeDirs: [root],
  keepCase: true,
  longs: Number,
  defaults: true,
})
const { signalbox } = loadPackageDefinition(definition) as unknown as {
  signalbox: { messages: { v1: { MessagesService: new (address: string, options: object) => Messages } } }
}
const address = `127.0.0.1:${process.env['APP_PORT'] ?? 50_051}`
const client = new signalbox.messages.v1.MessagesService(address, credentials.createInsecure())

/** Your work. Whoever loses a message should stop working on it. */
async function work({ message }: Delivery, lost: AbortSignal): Promise<void> {
  await sleep(100, undefined, { signal: lost })
  console.log(`done: ${message.message_id}`)
}

const atWork = new Map<number, AbortController>()
const stream = client.Consume()
stream.write({ open: { credit: 20, visibility_ms: 30_000 } })
stream.on('data', ({ messages, lost, draining }: Frame) => {
  for (const id of lost) atWork.get(id)?.abort()
  for (const delivery of messages) void handle(delivery)
  if (draining) console.log('the sidecar is stopping; what is at work may be finished')
})
stream.on('error', (error) => {
  console.error(error.message)
  process.exitCode = 1
})
stream.on('end', () => client.close())

async function handle(delivery: Delivery): Promise<void> {
  const id = delivery.delivery_id
  const lost = new AbortController()
  atWork.set(id, lost)
  try {
    await work(delivery, lost.signal)
    stream.write({ ack: [id] })
  } catch {
    if (!lost.signal.aborted) stream.write({ nack: [{ delivery_id: id, delay_ms: 5_000 }] })
  } finally {
    atWork.delete(id)
  }
}

// What is unfinished goes back to the queue at once.
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stream.end())
