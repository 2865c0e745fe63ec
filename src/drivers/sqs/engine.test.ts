/** What goes over the wire beside batches and polls: how queues are found, what is known of them, and refusals in our words. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../kernel/clock.ts'
import { systemRandom } from '../../kernel/id.ts'
import type { MessageQueue } from '../../ports/message-queue.ts'
import { loadSdk, openSqsMessages, type SqsOptions } from './index.ts'
import { brings, fails, fakeEngine, ok, QUEUE_URL, type Reaction } from './testing/fake-engine.ts'

const credentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'test' }

describe('a queue', () => {
  it('is looked up once, whoever asks', async () => {
    const engine = await fakeEngine({}, false)
    const { messages, clock } = engine
    const sends = ['a', 'b'].map((body) => messages.send('orders', [{ body }]))
    await clock.advance(20)
    await Promise.all(sends)
    await messages.stats('orders')
    expect(engine.operations()).toEqual(['GetQueueUrl', 'SendMessageBatch', 'GetQueueAttributes'])
    expect(await messages.listQueues()).toEqual(['orders'])
  })

  it('that is missing is looked for again, and not listed', async () => {
    const engine = await fakeEngine({}, false)
    engine.answer('GetQueueUrl', fails('QueueDoesNotExist'), ok({ QueueUrl: QUEUE_URL }))
    const message = expect.stringMatching(/no queue 'orders'; create it in eu-west-1, or correct/)
    await expect(engine.messages.stats('orders')).rejects.toMatchObject({ code: 'not_found', message })
    expect(await engine.messages.listQueues()).toEqual([])
    expect(await engine.messages.stats('orders')).toMatchObject({ visible: 0 })
  })

  it.each([
    ['orders', { QueueName: 'orders' }],
    ['123456789012/orders', { QueueName: 'orders', QueueOwnerAWSAccountId: '123456789012' }],
    [
      'arn:aws:sqs:eu-west-1:123456789012:orders',
      { QueueName: 'orders', QueueOwnerAWSAccountId: '123456789012' },
    ],
  ])('may be called %s', async (name, input) => {
    const engine = await fakeEngine({}, false)
    await engine.messages.stats(name)
    expect(engine.requests[0]?.body).toEqual(input)
    expect((await engine.messages.describeQueue(name)).name).toBe(name)
  })

  it('may be called by its URL, which is not looked up and to which nothing is sent', async () => {
    const engine = await fakeEngine({}, false)
    const url = 'https://evil.example/123456789012/orders.fifo'
    await engine.messages.stats(url)
    const [request, ...others] = engine.requests
    expect(others).toEqual([])
    expect(request).toMatchObject({ operation: 'GetQueueAttributes', body: { QueueUrl: url } })
    expect(request?.host).toBe('sqs.eu-west-1.amazonaws.com')
    const [entry] = await engine.messages.send(url, [{ body: 'x', delayMs: 1_000 }])
    expect(entry).toMatchObject({ status: 'failed', error: { code: 'invalid_argument' } })
  })

  it.each([
    'https://sqs.us-east-1.amazonaws.com/123456789012/orders',
    'arn:aws:sqs:us-east-1:123456789012:o',
  ])('of another region is refused: %s', async (name) => {
    const { messages, requests } = await fakeEngine({}, false)
    const message = expect.stringContaining('set the region to us-east-1')
    await expect(messages.stats(name)).rejects.toMatchObject({ code: 'config_invalid', message })
    expect(requests).toEqual([])
  })

  it.each([
    '',
    'a b',
    'x'.repeat(81),
    'https://sqs.eu-west-1.amazonaws.com/orders',
    'arn:aws:sns:e:1:orders',
  ])('cannot be called %j', async (name) => {
    const { messages, requests } = await fakeEngine({}, false)
    await expect(messages.stats(name)).rejects.toMatchObject({ code: 'invalid_argument' })
    expect(requests).toEqual([])
  })

  it('has its own visibility, asked for once in a quarter of an hour and said in each receive', async () => {
    const engine = await fakeEngine()
    const visibility = (): unknown => engine.requests.at(-1)?.body['VisibilityTimeout']
    await engine.messages.receive('orders')
    expect(visibility()).toBe(30)
    engine.answer('GetQueueAttributes', ok({ Attributes: { VisibilityTimeout: '7' } }))
    await engine.clock.advance(14 * 60_000)
    await engine.messages.receive('orders')
    expect(visibility()).toBe(30)
    await engine.clock.advance(60_000)
    await engine.messages.receive('orders')
    expect(visibility()).toBe(7)
    expect(engine.operations().filter((name) => name === 'GetQueueAttributes')).toHaveLength(1)
  })

  it('tells its options and its counts', async () => {
    const engine = await fakeEngine()
    const RedrivePolicy = JSON.stringify({
      deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:123456789012:dead',
      maxReceiveCount: '5',
    })
    const options = { VisibilityTimeout: '60', DelaySeconds: '3', MessageRetentionPeriod: '600' }
    engine.answer('GetQueueAttributes', ok({ Attributes: { ...options, RedrivePolicy } }))
    expect(await engine.messages.describeQueue('orders')).toEqual({
      name: 'orders',
      fifo: false,
      contentDeduplication: false,
      visibilityMs: 60_000,
      delayMs: 3_000,
      retentionMs: 600_000,
      deadLetter: { queue: 'dead', maxReceives: 5 },
    })
    const counts = {
      ApproximateNumberOfMessages: '1',
      ApproximateNumberOfMessagesNotVisible: '2',
      ApproximateNumberOfMessagesDelayed: '3',
    }
    engine.answer('GetQueueAttributes', ok({ Attributes: counts }))
    expect(await engine.messages.stats('orders')).toEqual({ visible: 1, inFlight: 2, delayed: 3 })
  })
})

describe('a message', () => {
  it('goes out in whole seconds and the names of SQS', async () => {
    const engine = await fakeEngine()
    const attributes = {
      text: { type: 'String', value: 'v' },
      bytes: { type: 'Binary.gzip', value: new Uint8Array([1, 2]) },
    }
    const sent = engine.messages.send('orders', [
      { body: 'a', attributes, delayMs: 1_001, groupId: 'g', traceHeader: 'Root=1' },
    ])
    await engine.clock.advance(0)
    await sent
    expect(engine.requests[0]?.entries).toEqual([
      {
        Id: '0',
        MessageBody: 'a',
        DelaySeconds: 2,
        MessageGroupId: 'g',
        MessageAttributes: {
          text: { DataType: 'String', StringValue: 'v' },
          bytes: { DataType: 'Binary.gzip', BinaryValue: 'AQI=' },
        },
        MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'Root=1' } },
      },
    ])
  })

  it('comes with everything that SQS tells of it', async () => {
    const engine = await fakeEngine()
    const [plain] = JSON.parse(((await brings('a')({} as never)) as { body: string }).body)
      .Messages as object[]
    const Attributes = {
      SentTimestamp: '1000',
      ApproximateReceiveCount: '3',
      ApproximateFirstReceiveTimestamp: '2000',
      MessageGroupId: 'g',
      MessageDeduplicationId: 'd',
      SequenceNumber: '18849496460467696128',
      AWSTraceHeader: 'Root=1',
      DeadLetterQueueSourceArn: 'arn:aws:sqs:eu-west-1:123456789012:source',
    }
    const MessageAttributes = { bytes: { DataType: 'Binary', BinaryValue: 'AQI=' } }
    engine.answer('ReceiveMessage', ok({ Messages: [{ ...plain, Attributes, MessageAttributes }] }))
    expect(await engine.messages.receive('orders')).toEqual([
      {
        messageId: 'id of a',
        receipt: 'receipt of a',
        body: 'a',
        attributes: { bytes: { type: 'Binary', value: new Uint8Array([1, 2]) } },
        sentAt: 1_000,
        receiveCount: 3,
        firstReceivedAt: 2_000,
        groupId: 'g',
        deduplicationId: 'd',
        sequence: '18849496460467696128',
        traceHeader: 'Root=1',
        deadLetterSource: 'source',
        deadline: engine.clock.now() + 30_000,
      },
    ])
  })
})

const DENIED = 'User: x is not authorized to perform: sqs:receivemessage on resource: y'
const REFUSALS: readonly (readonly [string, Reaction, code: string, words: RegExp])[] = [
  [
    'an action',
    fails('AccessDeniedException', 'no'),
    'permission_denied',
    /may not perform sqs:SendMessage;/,
  ],
  ['a named action', fails('AccessDenied', DENIED), 'permission_denied', /perform sqs:receivemessage; allow/],
  ['its key', fails('KmsAccessDenied', 'kms:Decrypt'), 'permission_denied', /perform kms:Decrypt; allow it/],
  ['its disabled key', fails('KmsDisabled', 'off'), 'config_invalid', /encryption key cannot be used/],
  ['old credentials', fails('ExpiredTokenException', 'old'), 'unauthenticated', /renew them/],
  ['unknown credentials', fails('UnrecognizedClientException'), 'unauthenticated', /renew them/],
  [
    'the old name of a missing queue',
    fails('AWS.SimpleQueueService.NonExistentQueue'),
    'not_found',
    /no queue 'orders'/,
  ],
  ['a page of some proxy', () => ({ status: 403, body: '<html>' }), 'config_invalid', /is not SQS/],
]

describe('a refusal', () => {
  it.each(REFUSALS)('for %s says what and what to do, on one line', async (_, reaction, code, words) => {
    const engine = await fakeEngine()
    engine.answer('SendMessageBatch', reaction)
    const failed = engine.messages.send('orders', [{ body: 'a' }]).catch((error: unknown) => error)
    await engine.clock.advance(10_000)
    const error = (await failed) as Error
    expect(error).toMatchObject({ code, message: expect.stringMatching(words) })
    expect(error.message).not.toContain('\n')
    expect(engine.requests).toHaveLength(1)
  })

  it('of a second purge within the minute is throttled, at once', async () => {
    const engine = await fakeEngine()
    engine.answer('PurgeQueue', fails('PurgeQueueInProgress'))
    await expect(engine.messages.purge('orders')).rejects.toMatchObject({ code: 'throttled' })
    expect(engine.requests).toHaveLength(1)
  })
})

const AWS_NAMES = [
  'REGION',
  'DEFAULT_REGION',
  'PROFILE',
  'ACCESS_KEY_ID',
  'SECRET_ACCESS_KEY',
  'SESSION_TOKEN',
  'CONTAINER_CREDENTIALS_RELATIVE_URI',
  'CONTAINER_CREDENTIALS_FULL_URI',
  'WEB_IDENTITY_TOKEN_FILE',
  'ENDPOINT_URL',
  'ENDPOINT_URL_SQS',
]

describe('opening', () => {
  const opened: MessageQueue[] = []
  beforeEach(() => {
    // Nothing of this machine's own AWS settings.
    for (const name of AWS_NAMES) vi.stubEnv(`AWS_${name}`, undefined)
    vi.stubEnv('AWS_CONFIG_FILE', '/nowhere/config')
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere/credentials')
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
  })
  afterEach(async () => {
    vi.unstubAllEnvs()
    for (const messages of opened.splice(0)) await messages.close()
  })
  const open = async (options: Partial<SqsOptions> = {}): Promise<MessageQueue> => {
    const messages = await openSqsMessages({ clock: systemClock, random: systemRandom, ...options })
    opened.push(messages)
    return messages
  }

  it('says which package to install when it is not there', async () => {
    const missing = loadSdk(() => Promise.reject(new Error('ERR_MODULE_NOT_FOUND')))
    const message = expect.stringContaining('npm install @aws-sdk/client-sqs')
    await expect(missing).rejects.toMatchObject({ code: 'config_invalid', message })
  })

  it('refuses an endpoint that is no URL', async () => {
    await expect(open({ endpoint: 'localhost 9324' })).rejects.toMatchObject({ code: 'config_invalid' })
  })

  it('without a region shows at the first call', async () => {
    const messages = await open({ credentials })
    const message = expect.stringContaining("queue 'orders'; set AWS_REGION")
    await expect(messages.send('orders', [{ body: 'a' }])).rejects.toMatchObject({
      code: 'config_invalid',
      message,
    })
  })

  it('without credentials shows at the first call', async () => {
    const messages = await open({ region: 'eu-west-1' })
    const message = expect.stringMatching(/no AWS credentials for SQS queue 'orders' in eu-west-1/)
    await expect(messages.receive('orders')).rejects.toMatchObject({ code: 'unauthenticated', message })
  })

  it('where nobody listens shows at the first call', async () => {
    // A port that systems give to nobody.
    const messages = await open({ region: 'eu-west-1', credentials, endpoint: 'http://127.0.0.1:1' })
    const message = expect.stringMatching(/cannot reach .* \(connect ECONNREFUSED/)
    await expect(messages.stats('orders')).rejects.toMatchObject({ code: 'unavailable', message })
  })
})
