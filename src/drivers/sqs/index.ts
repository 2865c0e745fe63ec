/** The SQS driver: the message-queue port on Amazon SQS, with the SDK's client, which loads when an engine opens. */
import type * as Sdk from '@aws-sdk/client-sqs'
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import type { MessageQueue } from '../../ports/message-queue.ts'
import { MAX_CONNECTIONS, SqsClient, type RequestFacts } from './client.ts'
import { SqsMessageQueue } from './engine.ts'

export type { RequestFacts } from './client.ts'

export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface SqsOptions {
  /** Default: what the AWS SDK finds (AWS_REGION, profile). */
  readonly region?: string
  /** URL of an engine that is not in the cloud; default: the region's. */
  readonly endpoint?: string
  readonly clock: Clock
  /** Spreads retries. */
  readonly random: Random
  /** Default: what the AWS SDK finds (environment, `profile`, web identity, pod identity, instance role). */
  readonly credentials?: AwsCredentials
  /** A profile of the shared AWS configuration files. */
  readonly profile?: string
  /** How long one request may take, beyond the wait of a long poll; default 5,000. */
  readonly requestTimeoutMs?: number
  /** How long `close` waits for long polls under way, so that no message is taken for nobody; default 1,000. */
  readonly drainMs?: number
  /** Told of each request as it goes out. */
  readonly onRequest?: (request: RequestFacts) => void
  /** In place of HTTP, for tests. */
  readonly requestHandler?: Sdk.SQSClientConfig['requestHandler']
}

const REQUEST_TIMEOUT_MS = 5_000
const DRAIN_MS = 1_000
const CONNECT_TIMEOUT_MS = 3_000
/** Idle connections are given up before the engine closes them, or a send might meet a closed one. */
const IDLE_MS = 15_000

/**
 * Opens the engine. Nothing is sent yet: what is wrong with region or credentials shows at the first call. A queue is
 * named by its name, `ACCOUNT/NAME`, its ARN or its URL.
 * @example
 * const messages = await openSqsMessages({ region: 'eu-west-1', clock: systemClock, random: systemRandom })
 * await messages.send('orders', [{ body: 'one' }])
 * @throws SignalboxError `config_invalid`
 */
export async function openSqsMessages(options: SqsOptions): Promise<MessageQueue> {
  const { region, endpoint, credentials, profile, clock, random } = options
  if (endpoint !== undefined && !URL.canParse(endpoint)) {
    throw new SignalboxError(
      'config_invalid',
      `the SQS endpoint must be a URL such as http://127.0.0.1:9324, got '${endpoint}'`,
    )
  }
  const sdk = await loadSdk()
  const agent = { keepAlive: true, maxSockets: MAX_CONNECTIONS, timeout: IDLE_MS }
  const client = new sdk.SQSClient({
    maxAttempts: 1,
    // Requests go to the region's endpoint (or the one above), never to where a caller's URL points.
    useQueueUrlAsEndpoint: false,
    requestHandler: options.requestHandler ?? {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      httpAgent: agent,
      httpsAgent: agent,
    },
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(profile === undefined ? {} : { profile }),
  })
  const sqs = new SqsClient(sdk, client, {
    endpoint,
    clock,
    random,
    requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    onRequest: options.onRequest ?? (() => {}),
  })
  return new SqsMessageQueue(sqs, options.drainMs ?? DRAIN_MS)
}

/** @param load imports the package; a parameter for tests. */
export async function loadSdk(
  load: () => Promise<typeof Sdk> = () => import('@aws-sdk/client-sqs'),
): Promise<typeof Sdk> {
  try {
    return await load()
  } catch (cause) {
    throw new SignalboxError(
      'config_invalid',
      'the SQS engine needs a package that is not installed: npm install @aws-sdk/client-sqs',
      { cause },
    )
  }
}
