/**
 * Engines that speak SQS, and queues in them. `SIGNALBOX_TEST_SQS_ENDPOINT` names one that runs already, also the real
 * one: https://sqs.REGION.amazonaws.com, with the region and credentials that the AWS SDK finds.
 */
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import type { MessageTarget } from '../../../src/drivers/conformance/message-suite.ts'
import { openSqsMessages, type AwsCredentials, type SqsOptions } from '../../../src/drivers/sqs/index.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { systemRandom } from '../../../src/kernel/id.ts'
import type { MessageQueue, QueueOptions } from '../../../src/ports/message-queue.ts'

export interface SqsEngine {
  readonly endpoint: string
  readonly region: string
  /** Undefined: what the AWS SDK finds. */
  readonly credentials: AwsCredentials | undefined
  stop(): Promise<void>
}

const localCredentials: AwsCredentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'test' }

/** An engine on this machine. */
export function localEngine(endpoint: string, stop: () => Promise<void>): SqsEngine {
  return { endpoint, region: 'eu-west-1', credentials: localCredentials, stop }
}

/** The engine that the environment names, if it does. */
export function namedSqs(): SqsEngine | undefined {
  const endpoint = process.env['SIGNALBOX_TEST_SQS_ENDPOINT']
  if (endpoint === undefined || endpoint === '') return undefined
  const region = process.env['AWS_REGION'] ?? 'us-east-1'
  const inCloud = /\.amazonaws\.com(\.cn)?$/.test(new URL(endpoint).hostname)
  return { endpoint, region, credentials: inCloud ? undefined : localCredentials, stop: async () => {} }
}

export function sqsClient({ endpoint, region, credentials }: SqsEngine): SQSClient {
  return new SQSClient({ endpoint, region, ...(credentials === undefined ? {} : { credentials }) })
}

export function openMessages(engine: SqsEngine, options: Partial<SqsOptions> = {}): Promise<MessageQueue> {
  return openSqsMessages({
    region: engine.region,
    endpoint: engine.endpoint,
    ...(engine.credentials === undefined ? {} : { credentials: engine.credentials }),
    clock: systemClock,
    random: systemRandom,
    // Emulators share two cores with the tests.
    requestTimeoutMs: 30_000,
    ...options,
  })
}

/** Makes a queue as Terraform would. */
export async function createQueue(
  client: SQSClient,
  QueueName: string,
  options: QueueOptions = {},
): Promise<void> {
  const { fifo, contentDeduplication, visibilityMs, delayMs, retentionMs, deadLetter } = options
  const seconds = (ms: number): string => String(Math.ceil(ms / 1_000))
  const Attributes: Record<string, string> = {
    MaximumMessageSize: String(1024 * 1024),
    ...(fifo === true ? { FifoQueue: 'true' } : {}),
    ...(contentDeduplication === true ? { ContentBasedDeduplication: 'true' } : {}),
    ...(visibilityMs === undefined ? {} : { VisibilityTimeout: seconds(visibilityMs) }),
    ...(delayMs === undefined ? {} : { DelaySeconds: seconds(delayMs) }),
    ...(retentionMs === undefined ? {} : { MessageRetentionPeriod: seconds(retentionMs) }),
  }
  if (deadLetter !== undefined) {
    const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName: deadLetter.queue }))
    const { Attributes: dead } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }),
    )
    const policy = { deadLetterTargetArn: dead?.QueueArn, maxReceiveCount: deadLetter.maxReceives }
    Attributes['RedrivePolicy'] = JSON.stringify(policy)
  }
  await client.send(new CreateQueueCommand({ QueueName, Attributes }))
}

/**
 * For the conformance suite. An emulator is one process, which keeps an order and forgets nothing: so it is held to more
 * than SQS, whose receives ask a sample of its machines.
 */
export async function messageTarget(engine: SqsEngine): Promise<MessageTarget> {
  const client = sqsClient(engine)
  const messages = await openMessages(engine)
  return {
    messages: engine.credentials === undefined ? messages : exact(messages),
    create: (queue, options) => createQueue(client, queue, options),
    close: async () => {
      await messages.close()
      client.destroy()
    },
  }
}

function exact(messages: MessageQueue): MessageQueue {
  const abandoned = new Set<string>()
  const receive: MessageQueue['receive'] = async (queue, options = {}) => {
    options.signal?.addEventListener('abort', () => abandoned.add(queue))
    const found = await messages.receive(queue, options)
    // A poll that was given up may still take a message; that comes back at once, but not in no time.
    const patient = found.length === 0 && abandoned.has(queue) && options.visibilityMs !== 0
    return patient
      ? messages.receive(queue, { ...options, waitMs: Math.max(options.waitMs ?? 0, 5_000) })
      : found
  }
  return new Proxy(messages, {
    get: (target, key) => {
      if (key === 'receive') return receive
      if (key === 'capabilities') return { ...target.capabilities, delivery: 'exact' }
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
