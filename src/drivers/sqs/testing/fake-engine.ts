/**
 * A stand-in for the network and SQS behind it: each request gets the answer of the first reaction of its operation's
 * script. For what no engine does on demand: partial failures, lost answers, throttling, polls that take their time.
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { seededRandom } from '../../../kernel/id.ts'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import type { MessageQueue } from '../../../ports/message-queue.ts'
import { openSqsMessages, type RequestFacts, type SqsOptions } from '../index.ts'

export interface FakeRequest {
  readonly operation: string
  readonly host: string
  readonly body: Readonly<Record<string, unknown>>
  readonly entries: readonly FakeEntry[]
  readonly signal: AbortSignal
}

interface HttpRequest {
  readonly hostname: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export interface FakeEntry {
  readonly Id: string
  readonly MessageBody?: string
  readonly MessageGroupId?: string
  readonly ReceiptHandle?: string
  readonly VisibilityTimeout?: number
  readonly DelaySeconds?: number
}

export interface FakeAnswer {
  readonly status: number
  readonly body: string
  /** Default: the engine's clock, which goes with the driver's. */
  readonly date?: string
}

/** Gives an answer, throws what the network would, or never settles. */
export type Reaction = (request: FakeRequest) => FakeAnswer | Promise<FakeAnswer>

/** What the engine's clock says at first; the driver's own says something else. */
export const ENGINE_START = Date.UTC(2026, 5, 1)
export const QUEUE_URL = 'https://sqs.eu-west-1.amazonaws.com/123456789012/orders'

export function ok(body: unknown = {}): Reaction {
  return () => ({ status: 200, body: JSON.stringify(body) })
}

/** Takes every entry but those named, which fail with this code. */
export function takes(failing: Readonly<Record<string, string>> = {}, senderFault = false): Reaction {
  return (request) => {
    const key = ({ MessageBody, ReceiptHandle }: FakeEntry): string => MessageBody ?? ReceiptHandle ?? ''
    const failed = request.entries.filter((entry) => key(entry) in failing)
    const taken = request.entries.filter((entry) => !(key(entry) in failing))
    return ok({
      Successful: taken.map((entry) => ({
        Id: entry.Id,
        MessageId: `id of ${key(entry)}`,
        MD5OfMessageBody: md5(entry.MessageBody ?? ''),
      })),
      Failed: failed.map((entry) => ({
        Id: entry.Id,
        SenderFault: senderFault,
        Code: failing[key(entry)],
        Message: 'said the engine',
      })),
    })(request)
  }
}

/** A receive that brings these messages. */
export function brings(...bodies: readonly string[]): Reaction {
  const Messages = bodies.map((body) => ({
    MessageId: `id of ${body}`,
    ReceiptHandle: `receipt of ${body}`,
    Body: body,
    MD5OfBody: md5(body),
    Attributes: { SentTimestamp: '1', ApproximateReceiveCount: '1' },
  }))
  return ok(bodies.length === 0 ? {} : { Messages })
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}

/** An error as SQS words it. */
export function fails(name: string, message = '', status = 400): Reaction {
  const body = { __type: `com.amazonaws.sqs#${name}`, message }
  return () => ({ status, body: JSON.stringify(body) })
}

/** An error of the network. */
export function breaks(code: string): Reaction {
  return () => Promise.reject(Object.assign(new Error(`network: ${code}`), { code }))
}

export const hangs: Reaction = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))

export interface FakeEngine {
  readonly messages: MessageQueue
  readonly clock: ManualClock
  /** What came in, in order. */
  readonly requests: FakeRequest[]
  /** What the driver said it sent. */
  readonly told: RequestFacts[]
  /** Answers the next requests of this operation so; the last of them for ever. */
  readonly answer: (operation: string, ...reactions: Reaction[]) => void
  /** Requests so far, by operation; forgets them. */
  readonly operations: () => string[]
  /** After so much time. */
  readonly later: (ms: number, reaction: Reaction) => Reaction
}

/** @param warm whether the queue is looked up already, so that the next request is the one under test; default true */
export async function fakeEngine(options: Partial<SqsOptions> = {}, warm = true): Promise<FakeEngine> {
  const clock = new ManualClock()
  const requests: FakeRequest[] = []
  const told: RequestFacts[] = []
  const scripts = new Map<string, readonly Reaction[]>([
    ['GetQueueUrl', [ok({ QueueUrl: QUEUE_URL })]],
    ['GetQueueAttributes', [ok({ Attributes: { VisibilityTimeout: '30' } })]],
    ['ReceiveMessage', [brings()]],
    ...['SendMessageBatch', 'DeleteMessageBatch', 'ChangeMessageVisibilityBatch'].map(
      (operation) => [operation, [takes()]] as const,
    ),
  ])
  const handle = async (
    request: HttpRequest,
    { abortSignal }: { readonly abortSignal: AbortSignal },
  ): Promise<unknown> => {
    const operation = request.headers['x-amz-target']?.split('.')[1] ?? ''
    const body = JSON.parse(new TextDecoder().decode(request.body)) as FakeRequest['body']
    const entries = (body['Entries'] ?? []) as readonly FakeEntry[]
    const received = { operation, host: request.hostname, body, entries, signal: abortSignal }
    requests.push(received)
    const [reaction = ok(), ...rest] = scripts.get(operation) ?? []
    if (rest.length > 0) scripts.set(operation, rest)
    const answer = await reaction(received)
    return {
      response: {
        statusCode: answer.status,
        headers: { date: answer.date ?? new Date(ENGINE_START + clock.monotonic()).toUTCString() },
        body: Readable.from([Buffer.from(answer.body)]),
      },
    }
  }
  const messages = await openSqsMessages({
    region: 'eu-west-1',
    credentials: { accessKeyId: 'AKIATEST', secretAccessKey: 'test' },
    clock,
    random: seededRandom(1),
    onRequest: (request) => told.push(request),
    ...options,
    requestHandler: { handle } as object,
  })
  if (warm) await messages.describeQueue('orders')
  requests.splice(0)
  told.splice(0)
  return {
    messages,
    clock,
    requests,
    told,
    answer: (operation, ...reactions) => void scripts.set(operation, reactions),
    operations: () => requests.splice(0).map(({ operation }) => operation),
    later: (ms, reaction) => async (request) => {
      await new Promise<void>((resolve) => void clock.timer(ms, resolve))
      return reaction(request)
    },
  }
}
