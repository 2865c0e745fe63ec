/**
 * The requests that a busy queue repeats without end, past the SDK's middleware, which costs several times what they cost.
 *
 * Invariants:
 * - nothing is decided here that the SDK decides: where requests go, for which region and service they are signed and how they
 *   introduce themselves is copied from one that it sent; credentials and the offset of the engine's clock are asked
 *   of it for each request; its HTTP handler carries them. If what it sent has an unknown form, all requests stay its own;
 * - an answer is read here only if it is a plain success; any other is for the SDK to read, as if it had come to it;
 * - bodies are checked against the MD5 that came with them, as the SDK does.
 */
import { hash } from 'node:crypto'
import { Readable } from 'node:stream'
import type * as Sdk from '@aws-sdk/client-sqs'
import type { Clock } from '../../kernel/clock.ts'
import { amzDate, Signatures } from './signature.ts'

/** What the SDK's HTTP handlers answer. */
export interface HttpAnswer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: AsyncIterable<Uint8Array>
}

interface HttpRequest {
  readonly method: string
  readonly protocol: string
  readonly hostname: string
  readonly port?: number | undefined
  readonly path: string
  readonly query?: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
}

type HttpHandler = (
  request: HttpRequest,
  options: { readonly abortSignal: AbortSignal },
) => Promise<{ readonly response: HttpAnswer }>

/** A request that is ready to go. */
export interface DirectRequest {
  send(signal: AbortSignal): Promise<{ readonly response: HttpAnswer }>
  /** @throws what reading the body throws; Error when a body is not the one that was sent */
  read(answer: HttpAnswer): Promise<DirectAnswer>
}

export type DirectAnswer =
  | { readonly output: unknown }
  /** For the SDK: the same answer, to be read once more. */
  | { readonly unread: HttpAnswer }

/** How all requests look, copied from one. */
interface Route {
  readonly base: Omit<HttpRequest, 'headers' | 'body'>
  /** The same in every request. */
  readonly headers: Readonly<Record<string, string>>
  readonly signatures: Signatures
}

const OPERATIONS = new Set([
  'ReceiveMessage',
  'SendMessageBatch',
  'DeleteMessageBatch',
  'ChangeMessageVisibilityBatch',
])
const FIXED = new Set(['content-type', 'host', 'user-agent', 'x-amz-user-agent', 'x-amzn-query-mode'])
/** Others that a request may have: made anew for each, or not needed. */
const KNOWN = new Set([
  'amz-sdk-invocation-id',
  'amz-sdk-request',
  'authorization',
  'content-length',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-target',
])
const CREDENTIAL = /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/([^/]+)\/([^/]+)\/aws4_request,/
const PLAIN_PATH = /^(?:\/[A-Za-z0-9_~-]*)+$/

export class Direct {
  readonly #client: Sdk.SQSClient
  readonly #clock: Clock
  /** False: what the SDK sends is not known here. */
  #route: Route | false | undefined

  constructor(client: Sdk.SQSClient, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /** @param request as the SDK is about to send it, signed */
  learn(request: unknown): void {
    this.#route ??= routeOf(request as HttpRequest)
  }

  /**
   * @returns undefined: it is the SDK's
   * @throws the SDK's error when it finds no credentials
   */
  async prepare(operation: string, given: object): Promise<DirectRequest | undefined> {
    const route = this.#route
    const input: Input = given
    if (route === undefined || route === false || !OPERATIONS.has(operation) || hasBytes(input)) return
    const { config } = this.#client
    const credentials = await config.credentials()
    const date = amzDate(this.#clock.now() + config.systemClockOffset)
    const text = JSON.stringify(input)
    const body = Buffer.from(text)
    const bodyHash = hash('sha256', text)
    const { sessionToken } = credentials
    const headers: Record<string, string> = {
      ...route.headers,
      'content-length': String(body.length),
      'x-amz-content-sha256': bodyHash,
      'x-amz-date': date,
      'x-amz-target': `AmazonSQS.${operation}`,
      ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
    }
    const signed = Object.keys(headers)
      .filter((name) => name !== 'user-agent')
      .toSorted()
    headers['authorization'] = route.signatures.sign(
      { method: route.base.method, path: route.base.path, headers, signed, bodyHash },
      credentials,
      date,
    )
    const handler = config.requestHandler as unknown as { readonly handle: HttpHandler }
    return {
      send: (abortSignal) => handler.handle({ ...route.base, headers, body }, { abortSignal }),
      read: (answer) => read(answer, input),
    }
  }
}

function routeOf({
  method,
  protocol,
  hostname,
  port,
  path,
  query = {},
  headers,
}: HttpRequest): Route | false {
  const names = Object.keys(headers)
  const [, region, service] = CREDENTIAL.exec(headers['authorization'] ?? '') ?? []
  const known =
    names.every((name) => FIXED.has(name) || KNOWN.has(name)) &&
    headers['content-type'] === 'application/x-amz-json-1.0' &&
    PLAIN_PATH.test(path) &&
    Object.keys(query).length === 0
  if (!known || region === undefined || service === undefined) return false
  return {
    base: { method, protocol, hostname, port, path, query },
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => FIXED.has(name))),
    signatures: new Signatures({ region, service }),
  }
}

type Attributes = Record<string, { readonly BinaryValue?: unknown }>

interface Input {
  readonly Entries?: readonly {
    readonly Id?: string
    readonly MessageBody?: string
    readonly MessageAttributes?: Attributes
  }[]
}

/** Does a batch have attributes that JSON cannot say as they are? */
function hasBytes({ Entries = [] }: Input): boolean {
  return Entries.some(
    ({ MessageAttributes }) =>
      MessageAttributes !== undefined &&
      Object.values(MessageAttributes).some(({ BinaryValue }) => BinaryValue !== undefined),
  )
}

interface Output {
  readonly Messages?: {
    readonly MessageId?: string
    readonly Body?: string
    readonly MD5OfBody?: string
    readonly MessageAttributes?: Record<string, { BinaryValue?: string | Uint8Array }>
  }[]
  readonly Successful?: readonly { readonly Id?: string; readonly MD5OfMessageBody?: string }[]
}

async function read(answer: HttpAnswer, input: Input): Promise<DirectAnswer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of answer.body) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  const output = answer.statusCode === 200 ? parsed(bytes) : undefined
  if (output === undefined) return { unread: { ...answer, body: Readable.from([bytes]) } }
  checkBodies(output, input)
  for (const { MessageAttributes } of output.Messages ?? []) {
    for (const attribute of Object.values(MessageAttributes ?? {})) {
      if (typeof attribute.BinaryValue !== 'string') continue
      attribute.BinaryValue = new Uint8Array(Buffer.from(attribute.BinaryValue, 'base64'))
    }
  }
  return { output }
}

/** Undefined when it is no JSON object. */
function parsed(bytes: Buffer): Output | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString())
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

function checkBodies({ Messages, Successful }: Output, { Entries }: Input): void {
  for (const { MessageId, Body = '', MD5OfBody } of Messages ?? []) {
    if (hash('md5', Body) !== MD5OfBody) throw new Error(`the body of message ${MessageId} arrived altered`)
  }
  if (Successful === undefined || Entries?.[0]?.MessageBody === undefined) return
  const sums = new Map(Successful.map(({ Id, MD5OfMessageBody }) => [Id, MD5OfMessageBody]))
  for (const { Id, MessageBody = '' } of Entries) {
    if (sums.has(Id) && sums.get(Id) !== hash('md5', MessageBody)) {
      throw new Error(`the engine took another body than was sent (entry ${Id})`)
    }
  }
}
