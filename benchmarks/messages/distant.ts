/**
 * SQS at a distance, as a process of its own: answers every request after `LATENCY_MS`, each receive with as many messages as it
 * asks for, without end. It keeps nothing, so it is not the limit: how many requests a client has under way is.
 */
import { hash } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { LATENCY_MS } from './emulators.ts'

interface Input {
  readonly MaxNumberOfMessages?: number
  readonly Entries?: readonly { readonly Id: string }[]
}

let body = ''
let md5 = ''
let received = 0
const Attributes = { SentTimestamp: '1', ApproximateReceiveCount: '1' }

const operations: Readonly<Record<string, (input: Input) => object>> = {
  GetQueueUrl: () => ({ QueueUrl: 'http://127.0.0.1/000000000000/bench' }),
  GetQueueAttributes: () => ({ Attributes: { VisibilityTimeout: '30' } }),
  ReceiveMessage: ({ MaxNumberOfMessages = 1 }) => ({
    Messages: Array.from({ length: MaxNumberOfMessages }, () => {
      const id = String((received += 1))
      return { MessageId: id, ReceiptHandle: `receipt-${id}`, Body: body, MD5OfBody: md5, Attributes }
    }),
  }),
  DeleteMessage: () => ({}),
  DeleteMessageBatch: ({ Entries = [] }) => ({ Successful: Entries.map(({ Id }) => ({ Id })), Failed: [] }),
}

async function answer(request: IncomingMessage): Promise<string> {
  const operation = String(request.headers['x-amz-target']).split('.')[1] ?? ''
  const input = JSON.parse(await text(request)) as Input
  await new Promise((arrived) => setTimeout(arrived, LATENCY_MS))
  return JSON.stringify(operations[operation]?.(input) ?? {})
}

const server = createServer((request, response) => {
  void answer(request).then((json) => {
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end(json)
  })
})
server.listen(0, '127.0.0.1', () => process.send?.('ready'))
process.on('message', ({ bytes }: { readonly bytes: number }) => {
  body = 'x'.repeat(bytes)
  md5 = hash('md5', body)
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
process.on('disconnect', () => process.exit())
