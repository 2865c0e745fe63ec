/**
 * The SQS engine against what people run locally: the whole contract on each, but for what each is known to do otherwise
 * than SQS.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { expectMessageSuites, messageConformance } from '../../src/drivers/conformance/message-suite.ts'
import { startElasticmq } from '../support/engines/elasticmq.ts'
import type { MessageQueue } from '../../src/ports/message-queue.ts'
import { MOTO_ACCOUNT, startMoto, type MotoEngine } from '../support/engines/moto.ts'
import {
  createQueue,
  messageTarget,
  namedSqs,
  openMessages,
  sqsClient,
  type SqsEngine,
} from '../support/engines/sqs.ts'

interface Candidate {
  readonly start: () => Promise<SqsEngine>
  /** Tests of the contract that it cannot pass, each with what it does otherwise. */
  readonly differs: Readonly<Record<string, string>>
}

const named = namedSqs()
const engines: Record<string, Candidate> =
  named === undefined
    ? {
        ElasticMQ: {
          start: startElasticmq,
          differs: {
            'returns the longest visible first, where the engine keeps an order':
              'no order among messages of one millisecond',
            'shares a batch with others that wait': 'the messages of a batch become visible one by one',
            'tells the group, the deduplication id and the sequence': 'a send is answered without sequence',
            'wakes a receive that waits at the dead-letter queue': 'a message that is moved wakes nobody',
            'counts visibilities that ended, and takes the message’s place':
              'a message that is moved counts as one that is received',
            'keeps a group locked when the first of several comes back before the others are done':
              'the first that comes back unlocks its group',
          },
        },
        moto: {
          start: startMoto,
          differs: {
            'is woken when the group of a message is free again': 'a delete wakes nobody',
            'keeps the order of a group': 'sequences are random',
            'accepts a deduplication id once, also after its message is gone': 'forgotten with its message',
            'moves a message instead of delivering it once more than allowed': 'its source is not told',
          },
        },
      }
    : { [named.endpoint]: { start: () => Promise.resolve(named), differs: {} } }

describe.each(Object.entries(engines))('on %s', (name, { start, differs }) => {
  let engine: SqsEngine
  const met = new Set<string>()
  beforeAll(async () => {
    engine = await start()
  })
  afterAll(() => engine.stop())

  describe('as the port says', () => {
    beforeEach(({ task, skip }) => {
      const why = differs[task.name]
      if (why === undefined) return
      met.add(task.name)
      skip(why)
    })
    messageConformance(name, () => messageTarget(engine))
  })

  it('differs in nothing else', () => expect([...met].toSorted()).toEqual(Object.keys(differs).toSorted()))
})

/** The policies of deploy/terraform/messages-aws. */
const CONSUMER = [
  'sqs:ReceiveMessage',
  'sqs:DeleteMessage',
  'sqs:ChangeMessageVisibility',
  'sqs:GetQueueAttributes',
  'sqs:GetQueueUrl',
]
const PRODUCER = ['sqs:SendMessage', 'sqs:GetQueueAttributes', 'sqs:GetQueueUrl']

describe('under an IAM policy', () => {
  let moto: MotoEngine
  const opened: MessageQueue[] = []
  /** The engine's messages as a user sees them who may do these actions on the queue. */
  const users = new Map<string, MessageQueue>()
  const allow = async (name: string, actions: readonly string[]): Promise<void> => {
    const credentials = await moto.createUser(actions, `arn:aws:sqs:${moto.region}:${MOTO_ACCOUNT}:orders`)
    const messages = await openMessages({ ...moto, credentials })
    opened.push(messages)
    users.set(name, messages)
  }

  beforeAll(async () => {
    moto = await startMoto()
    const client = sqsClient(moto)
    await createQueue(client, 'orders')
    client.destroy()
    await allow('consumer', CONSUMER)
    await allow('producer', PRODUCER)
    for (const action of CONSUMER) {
      await allow(
        action,
        CONSUMER.filter((other) => other !== action),
      )
    }
    await moto.enforcePolicies()
  })
  afterAll(async () => {
    for (const messages of opened) await messages.close()
    await moto.stop()
  })

  const denied = (action: string): object => ({
    code: 'permission_denied',
    message: expect.stringContaining(`may not perform ${action};`),
  })

  it('sends with the producer’s, and receives, extends and deletes with the consumer’s', async () => {
    const [producer, consumer] = [users.get('producer')!, users.get('consumer')!]
    // As a sidecar does before it uses the queue it is set to.
    for (const user of [producer, consumer]) await user.declareQueue('orders')
    expect(await producer.send('orders', [{ body: 'a' }, { body: 'b' }])).toMatchObject([
      { status: 'sent' },
      { status: 'sent' },
    ])
    const [first] = await consumer.receive('orders', { waitMs: 1_000 })
    const receipt = first?.receipt ?? ''
    const changed = await consumer.changeVisibility('orders', [{ receipt, visibilityMs: 60_000 }])
    expect(changed).toMatchObject([{ status: 'changed' }])
    expect(await consumer.delete('orders', [receipt])).toEqual([{ status: 'deleted' }])
    expect(await consumer.stats('orders')).toMatchObject({ visible: 1 })
    await expect(consumer.send('orders', [{ body: 'c' }])).rejects.toMatchObject(denied('sqs:SendMessage'))
    const received = producer.receive('orders', { visibilityMs: 1_000 })
    await expect(received).rejects.toMatchObject(denied('sqs:ReceiveMessage'))
    await expect(consumer.purge('orders')).rejects.toMatchObject(denied('sqs:PurgeQueue'))
  })

  const calls: Record<string, (messages: MessageQueue) => Promise<unknown>> = {
    'sqs:ReceiveMessage': (messages) => messages.receive('orders', { visibilityMs: 1_000 }),
    'sqs:DeleteMessage': (messages) => messages.delete('orders', ['x']),
    'sqs:ChangeMessageVisibility': (messages) =>
      messages.changeVisibility('orders', [{ receipt: 'x', visibilityMs: 1_000 }]),
    'sqs:GetQueueAttributes': (messages) => messages.receive('orders'),
    'sqs:GetQueueUrl': (messages) => messages.stats('orders'),
  }

  it.each(Object.entries(calls))('says that %s is missing, when it is', async (action, call) => {
    await expect(call(users.get(action)!)).rejects.toMatchObject(denied(action))
  })
})

expectMessageSuites(Object.keys(engines).length)
