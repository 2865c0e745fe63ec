/** Without a sidecar, the SDK in the client's own process: by hand, through sqs-consumer, through our SQS engine as a library. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SQSClient,
  type Message,
  type SQSClientConfig,
} from '@aws-sdk/client-sqs'
import { Consumer, type ConsumerOptions } from 'sqs-consumer'
import { openSqsMessages } from '../../src/drivers/sqs/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import type { Task, Way } from './client.ts'

/** Emulators take any. */
export const access = {
  region: 'us-east-1',
  credentials: { accessKeyId: 'AKIATEST', secretAccessKey: 'test' },
}

function queueUrl({ address, queue }: Task): string {
  return `${address}/000000000000/${queue}`
}

interface Configuration {
  readonly consumers: number
  readonly handler: 'message' | 'batch'
  readonly client: SQSClientConfig
  readonly options: Partial<ConsumerOptions>
}

function sqsConsumer(file: string): Way {
  return async (task, meter) => {
    const text = readFileSync(join(import.meta.dirname, 'sqs-consumer', file), 'utf8')
    const { consumers, handler, client, options } = JSON.parse(text) as Configuration
    const sqs = new SQSClient({ ...access, endpoint: task.address, ...client })
    const handle = {
      message: {
        handleMessage: async (message: Message) => message,
      },
      batch: {
        handleMessageBatch: async (messages: Message[]) => messages,
      },
    }[handler]
    for (let i = 0; i < consumers; i++) {
      const consumer = Consumer.create({ queueUrl: queueUrl(task), sqs, ...options, ...handle })
      consumer.on('message_processed', () => meter.handled(1))
      consumer.on('error', (error) => {
        throw error
      })
      consumer.start()
    }
  }
}

export const aloneWays: Readonly<Record<string, Way>> = {
  async 'AWS SDK'(task, meter) {
    const client = new SQSClient({ ...access, endpoint: task.address })
    const QueueUrl = queueUrl(task)
    const caller = async (): Promise<void> => {
      while (meter.left > 0) {
        const input = { QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }
        const { Messages = [] } = await client.send(new ReceiveMessageCommand(input))
        if (Messages.length === 0) continue
        const Entries = Messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle }))
        await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }))
        meter.handled(Messages.length)
      }
    }
    await Promise.all(Array.from({ length: task.callers }, caller))
  },
  'sqs-consumer, default': sqsConsumer('default.json'),
  'sqs-consumer, tuned': sqsConsumer('tuned.json'),
  'sqs-consumer, tuned for distance': sqsConsumer('tuned-for-distance.json'),
  async 'our engine as a library'({ address, queue, callers }, meter) {
    const parts = { clock: systemClock, random: systemRandom }
    const messages = await openSqsMessages({ ...access, ...parts, endpoint: address })
    const caller = async (): Promise<void> => {
      while (meter.left > 0) {
        const some = await messages.receive(queue, { max: 10, waitMs: 1_000 })
        if (some.length === 0) continue
        await messages.delete(
          queue,
          some.map(({ receipt }) => receipt),
        )
        meter.handled(some.length)
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
  },
}
