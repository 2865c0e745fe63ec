/** EventBridge's client: the SDK, loaded when a driver opens, behind `Calls`. */
import type * as Sdk from '@aws-sdk/client-eventbridge'
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import { Calls, type CallFacts } from './calls.ts'

export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** How AWS is reached; the same for EventBridge and its Scheduler. */
export interface AwsOptions {
  /** Default: what the AWS SDK finds (AWS_REGION, profile). */
  readonly region?: string | undefined
  /** URL of an engine that is not in the cloud; default: the region's. */
  readonly endpoint?: string | undefined
  /** Default: what the AWS SDK finds (environment, profile, web identity, pod identity, instance role). */
  readonly credentials?: AwsCredentials
  readonly clock: Clock
  /** Spreads repetitions. */
  readonly random: Random
  /** How long one request may take; default 10,000. */
  readonly requestTimeoutMs?: number
  /** Told of each request as it goes out, by the name of its operation: `PutRule`. */
  readonly onRequest?: (operation: string) => void
  /** In place of HTTP, for tests. */
  readonly requestHandler?: Sdk.EventBridgeClientConfig['requestHandler']
}

type Command<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes> = InstanceType<
  typeof Sdk.$Command<
    I,
    O,
    Sdk.EventBridgeClientResolvedConfig,
    Sdk.ServiceInputTypes,
    Sdk.ServiceOutputTypes
  >
>

const REQUEST_TIMEOUT_MS = 10_000
const CONNECT_TIMEOUT_MS = 3_000

export class EventBridge {
  readonly sdk: typeof Sdk
  readonly #client: Sdk.EventBridgeClient
  readonly calls: Calls

  constructor(sdk: typeof Sdk, client: Sdk.EventBridgeClient, calls: Calls) {
    this.sdk = sdk
    this.#client = client
    this.calls = calls
  }

  /** What the SDK found, or undefined when it finds none. */
  region(): Promise<string | undefined> {
    return this.#client.config.region().catch(() => undefined)
  }

  /** @throws SignalboxError `not_found`, `conflict`, `permission_denied`, `throttled`, `unavailable`, … */
  call<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes>(
    facts: CallFacts,
    make: () => Command<I, O>,
  ): Promise<O> {
    return this.calls.call(facts, ({ abortSignal, goesOut }) => {
      const command = make()
      command.middlewareStack.add(
        (next) => (args) => {
          goesOut()
          return next(args)
        },
        // The innermost place: the request is signed, the answer not yet read.
        { step: 'deserialize', priority: 'low', name: 'signalboxExchange' },
      )
      return this.#client.send(command, { abortSignal })
    })
  }

  close(): void {
    this.#client.destroy()
  }
}

/** Nothing is sent yet. @throws SignalboxError `config_invalid` */
export async function openEventBridgeClient(options: AwsOptions): Promise<EventBridge> {
  const sdk = await loadSdk()
  const client = new sdk.EventBridgeClient(clientConfig(options))
  return new EventBridge(
    sdk,
    client,
    openCalls('events', options, () => client.config.region()),
  )
}

/** @param prefix of the service in IAM */
export function openCalls(prefix: string, options: AwsOptions, region: () => Promise<string>): Calls {
  const { endpoint, clock, random, requestTimeoutMs = REQUEST_TIMEOUT_MS, onRequest = () => {} } = options
  return new Calls({ prefix, endpoint, region, clock, random, requestTimeoutMs, onRequest })
}

/** What both SDKs' clients take. @throws SignalboxError `config_invalid` */
export function clientConfig({ region, endpoint, credentials, requestHandler }: AwsOptions) {
  if (endpoint !== undefined && !URL.canParse(endpoint)) {
    throw new SignalboxError(
      'config_invalid',
      `the EventBridge endpoint must be a URL such as http://127.0.0.1:4566, got '${endpoint}'`,
    )
  }
  return {
    maxAttempts: 1,
    requestHandler: requestHandler ?? { connectionTimeout: CONNECT_TIMEOUT_MS },
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  }
}

/** @param load imports the package; a parameter for tests. */
export async function loadSdk(
  load: () => Promise<typeof Sdk> = () => import('@aws-sdk/client-eventbridge'),
): Promise<typeof Sdk> {
  try {
    return await load()
  } catch (cause) {
    throw new SignalboxError(
      'config_invalid',
      'schedules on EventBridge need a package that is not installed: npm install @aws-sdk/client-eventbridge',
      { cause },
    )
  }
}
