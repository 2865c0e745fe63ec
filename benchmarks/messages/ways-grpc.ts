/** Through the sidecar over gRPC: the stream, unary calls, and sends. Each caller has a connection of its own. */
import { credentials, type ServiceError } from '@grpc/grpc-js'
import {
  MessagesServiceClient,
  type ConsumeResponse,
  type DeleteBatchResponse,
  type DeleteResponse,
  type ReceiveResponse,
  type SendBatchResponse,
} from '../../src/messages/grpc/generated/signalbox/messages/v1/messages.ts'
import type { Task, Way } from './client.ts'
import type { Meter } from './meter.ts'

const BATCH = 10
/** Messages with one `Consume` stream at a time. */
const CREDIT = 200
const EMPTY = { ack: [], nack: [], extend: [], addCredit: 0 }

type Done<A> = (error: ServiceError | null, answer: A) => void

function call<A>(start: (done: Done<A>) => unknown): Promise<A> {
  return new Promise((done, failed) => {
    start((error, answer) => {
      if (error === null) done(answer)
      else failed(error)
    })
  })
}

function each(way: (client: MessagesServiceClient, task: Task, meter: Meter) => Promise<unknown>): Way {
  return async (task, meter) => {
    const clients = Array.from({ length: task.callers }, () => {
      const own = { 'grpc.use_local_subchannel_pool': 1 }
      return new MessagesServiceClient(task.address, credentials.createInsecure(), own)
    })
    await Promise.all(clients.map((client) => way(client, task, meter)))
  }
}

/** Every message is acknowledged as it comes; it counts when it is durably deleted. */
function consume(client: MessagesServiceClient, { queue, callers }: Task, meter: Meter): Promise<void> {
  const stream = client.consume()
  return new Promise((done, failed) => {
    stream.on('error', failed)
    stream.on('end', done)
    stream.on('data', ({ messages, acked, lost }: ConsumeResponse) => {
      if (lost.length > 0) failed(new Error(`${lost.length} messages were lost`))
      if (messages.length > 0) stream.write({ ...EMPTY, ack: messages.map(({ deliveryId }) => deliveryId) })
      if (acked.length > 0) meter.handled(acked.length)
    })
    const credit = callers === 1 ? CREDIT : CREDIT / 2
    stream.write({ ...EMPTY, open: { queue, credit, visibilityMs: 60_000, attributeNames: [] } })
  })
}

function unary(deletesAtOnce: boolean) {
  return async (client: MessagesServiceClient, { queue }: Task, meter: Meter): Promise<void> => {
    const request = { queue, max: BATCH, waitMs: 1_000, attributeNames: [] }
    while (meter.left > 0) {
      const { messages } = await call<ReceiveResponse>((done) => client.receive(request, done))
      const receipts = messages.map(({ receipt }) => receipt)
      if (receipts.length === 0) continue
      if (deletesAtOnce)
        await call<DeleteBatchResponse>((done) => client.deleteBatch({ queue, receipts }, done))
      else {
        const one = (receipt: string) =>
          call<DeleteResponse>((done) => client.delete({ queue, receipt }, done))
        await Promise.all(receipts.map(one))
      }
      meter.handled(receipts.length)
    }
  }
}

async function send(client: MessagesServiceClient, { queue, bytes }: Task, meter: Meter): Promise<void> {
  const messages = Array.from({ length: BATCH }, () => ({ body: 'x'.repeat(bytes), attributes: {} }))
  while (meter.left > 0) {
    const { results } = await call<SendBatchResponse>((done) => client.sendBatch({ queue, messages }, done))
    const sent = results.filter(({ failure }) => failure === undefined).length
    if (sent < results.length) throw new Error(results.find(({ failure }) => failure)?.failure?.message)
    meter.handled(sent)
  }
}

export const grpcWays: Readonly<Record<string, Way>> = {
  Consume: each(consume),
  'Receive + Delete': each(unary(false)),
  'Receive + DeleteBatch': each(unary(true)),
  SendBatch: each(send),
}
