/** Requests past the SDK's middleware: they are what the SDK would have sent, and whatever is not plain stays the SDK's. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import type { MessageQueue } from '../../ports/message-queue.ts'
import { openSqsMessages, type SqsOptions } from './index.ts'
import { Signatures } from './signature.ts'

interface Sent {
  readonly protocol: string
  readonly hostname: string
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}
interface Answer {
  readonly status?: number
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

const URL_OF_QUEUE = 'https://sqs.eu-west-1.amazonaws.com/123456789012/orders'
const credentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'secret', sessionToken: 'token' }
const NONE: Answer = { body: '{}' }

/** An engine whose requests get these answers, one after the other, the last for ever. */
async function opened(
  answers: Answer[],
  options: Partial<SqsOptions> = {},
): Promise<{ messages: MessageQueue; sent: Sent[]; clock: ManualClock }> {
  const sent: Sent[] = []
  const clock = new ManualClock()
  const handle = async (request: Sent): Promise<unknown> => {
    sent.push({ ...request, headers: { ...request.headers } })
    const { status = 200, body, headers = {} } = (answers.length > 1 ? answers.shift() : answers[0]) ?? NONE
    const response = { statusCode: status, headers, body: Readable.from([Buffer.from(body)]) }
    return { response }
  }
  const messages = await openSqsMessages({
    region: 'eu-west-1',
    credentials,
    clock,
    random: seededRandom(1),
    ...options,
    requestHandler: { handle } as object,
  })
  return { messages, sent, clock }
}

/** The SDK gives each of its requests an id. */
function isTheSdks({ headers }: Sent): boolean {
  return 'amz-sdk-invocation-id' in headers
}

function message(body: string, more: object = {}): object {
  const MD5OfBody = createHash('md5').update(body).digest('hex')
  return { MessageId: 'm', ReceiptHandle: 'r', Body: body, MD5OfBody, ...more }
}

/** What is signed by this request's own word, signed once more. */
function signedAgain({ method, path, headers }: Sent): string {
  const signed = (/SignedHeaders=([^,]+),/.exec(headers['authorization'] ?? '')?.[1] ?? '').split(';')
  const bodyHash = headers['x-amz-content-sha256'] ?? ''
  const signatures = new Signatures({ region: 'eu-west-1', service: 'sqs' })
  const date = headers['x-amz-date'] ?? ''
  return signatures.sign({ method, path, headers, signed, bodyHash }, credentials, date)
}

describe('a request past the SDK', () => {
  it('follows one of the SDK, says the same and is signed as that one is', async () => {
    const { messages, sent } = await opened([NONE])
    for (let i = 0; i < 2; i++) await messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
    const [first, second] = sent as [Sent, Sent]
    expect(sent.map(isTheSdks)).toEqual([true, false])
    for (const key of ['protocol', 'hostname', 'method', 'path'] as const)
      expect(second[key]).toBe(first[key])
    expect(JSON.parse(Buffer.from(second.body).toString())).toEqual(
      JSON.parse(new TextDecoder().decode(first.body)),
    )
    const own = /^(amz-sdk|authorization$|x-amz-date$|x-amz-content-sha256$|content-length$)/
    const shared = Object.entries(first.headers).filter(([name]) => !own.test(name))
    expect(second.headers).toMatchObject(Object.fromEntries(shared))
    expect(second.headers['content-length']).toBe(String(second.body.length))
    expect(second.headers['x-amz-content-sha256']).toBe(
      createHash('sha256').update(second.body).digest('hex'),
    )
    // The SDK's signature is the vector for ours.
    expect(signedAgain(first)).toBe(first.headers['authorization'])
    expect(signedAgain(second)).toBe(second.headers['authorization'])
  })

  it('is signed with the key of its day', async () => {
    const { messages, sent, clock } = await opened([NONE])
    await messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
    for (let day = 0; day < 2; day++) {
      await messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
      await clock.advance(24 * 3_600_000)
    }
    const [, today, tomorrow] = sent as [Sent, Sent, Sent]
    expect(signedAgain(tomorrow)).toBe(tomorrow.headers['authorization'])
    expect(today.headers['x-amz-date']?.slice(0, 8)).not.toBe(tomorrow.headers['x-amz-date']?.slice(0, 8))
  })

  it('brings messages with their attributes', async () => {
    const attributes = {
      MessageAttributes: {
        text: { DataType: 'String', StringValue: 'é' },
        bytes: { DataType: 'Binary', BinaryValue: 'AQI=' },
      },
    }
    const { messages } = await opened([
      NONE,
      { body: JSON.stringify({ Messages: [message('hé', attributes)] }) },
    ])
    await messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
    const [got] = await messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
    expect(got).toMatchObject({
      body: 'hé',
      attributes: {
        text: { type: 'String', value: 'é' },
        bytes: { type: 'Binary', value: new Uint8Array([1, 2]) },
      },
    })
  })

  it('is none when a message has bytes, which JSON does not carry as they are', async () => {
    const { messages, sent, clock } = await opened([NONE])
    await messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
    for (const value of ['text', new Uint8Array([1])]) {
      const type = typeof value === 'string' ? 'String' : 'Binary'
      const sending = messages.send(URL_OF_QUEUE, [{ body: 'x', attributes: { a: { type, value } } }])
      sending.catch(() => undefined)
      await clock.advance(20)
      await sending.catch(() => undefined)
    }
    expect(sent.map(isTheSdks)).toEqual([true, false, true])
  })

  it('is none where the SDK sends what is not known here', async () => {
    const endpoint = 'http://127.0.0.1:9324/a%20b/'
    const { messages, sent } = await opened([NONE], { endpoint })
    for (let i = 0; i < 2; i++) await messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
    expect(sent.map(isTheSdks)).toEqual([true, true])
  })

  it('that is refused for its clock goes out again with the right one', async () => {
    const refused = { __type: 'com.amazonaws.sqs#RequestExpired', message: 'too old' }
    const late = new Date(Date.now() + 3_600_000).toUTCString()
    const { messages, sent } = await opened([
      NONE,
      { status: 403, body: JSON.stringify(refused), headers: { date: late } },
      { body: JSON.stringify({ Messages: [message('x')] }) },
    ])
    await messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
    expect(await messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })).toHaveLength(1)
    expect(sent.map(isTheSdks)).toEqual([true, false, false])
    const [before = 0, after = 0] = sent.slice(1).map(({ headers }) => momentOf(headers['x-amz-date'] ?? ''))
    expect(after - before).toBeGreaterThan(3_500_000)
  })

  it('that is refused tells what the SDK would have told, and is sent once', async () => {
    const refused = { __type: 'com.amazonaws.sqs#AccessDenied', message: 'not allowed' }
    const { messages, sent } = await opened([NONE, { status: 403, body: JSON.stringify(refused) }])
    await messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
    const receiving = messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
    await expect(receiving).rejects.toMatchObject({ code: 'permission_denied' })
    expect(sent.map(isTheSdks)).toEqual([true, false])
  })

  it.each([
    ['is no JSON', '<html>hello</html>'],
    [
      'has a body that is not the one that was sent',
      JSON.stringify({ Messages: [{ ...message('x'), Body: 'y' }] }),
    ],
  ])('whose answer %s goes out again', async (_, body) => {
    const { messages, sent, clock } = await opened([
      NONE,
      { body },
      { body: JSON.stringify({ Messages: [message('z')] }) },
    ])
    await messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
    const receiving = messages.receive(URL_OF_QUEUE, { visibilityMs: 30_000 })
    await clock.advance(10_000)
    expect(await receiving).toMatchObject([{ body: 'z' }])
    expect(sent).toHaveLength(3)
  })
})

function momentOf(amzDate: string): number {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(amzDate) ?? []
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
}
