/** The DynamoDB driver: the store port on one table, on nothing but the SDK's client, which loads when a store opens. */
import type * as Sdk from '@aws-sdk/client-dynamodb'
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import type { Store } from '../../ports/store.ts'
import { MAX_CONNECTIONS, TableClient } from './client.ts'
import { DynamodbStore } from './store.ts'
import { checkTableKeys, turnTableKeys, type TableKeys } from './table.ts'

export { turnTableKeys, type TableKeys } from './table.ts'

export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface DynamodbStoreOptions {
  readonly table: string
  /** Default: `turnTableKeys`, whose numeric sort key takes decimal keys only. */
  readonly keys?: TableKeys
  /** Default: what the AWS SDK finds (AWS_REGION, profile). */
  readonly region?: string
  /** URL of an engine that is not in the cloud; default: the region's. */
  readonly endpoint?: string
  readonly clock: Clock
  /** Draws the versions of records, so it must differ between processes. */
  readonly random: Random
  /** Default: what the AWS SDK finds (environment, profile, web identity, instance role). */
  readonly credentials?: AwsCredentials
  /** How long one request may take; default 5,000. */
  readonly requestTimeoutMs?: number
  /** Told of each request as it goes out, by the name of its API operation. */
  readonly onRequest?: (operation: string) => void
  /** In place of HTTP, for tests. */
  readonly requestHandler?: Sdk.DynamoDBClientConfig['requestHandler']
}

const REQUEST_TIMEOUT_MS = 5_000
const CONNECT_TIMEOUT_MS = 3_000
/** Idle connections are given up before the engine closes them, or a write might meet a closed one. */
const IDLE_MS = 15_000

/**
 * Opens a store on a table that exists. Nothing is sent yet: what is wrong with table, region or credentials shows at
 * the first call.
 * @example
 * const store = await openDynamodbStore({ table: 'github-actions-dynamo-q-queue', clock: systemClock, random: systemRandom })
 * @throws SignalboxError `config_invalid`
 */
export async function openDynamodbStore(options: DynamodbStoreOptions): Promise<Store> {
  const { table, keys = turnTableKeys, region, endpoint, credentials, clock, random } = options
  checkTableKeys(keys)
  if (endpoint !== undefined && !URL.canParse(endpoint)) {
    throw new SignalboxError(
      'config_invalid',
      `the DynamoDB endpoint must be a URL such as http://127.0.0.1:8000, got '${endpoint}'`,
    )
  }
  const sdk = await loadSdk()
  const agent = { keepAlive: true, maxSockets: MAX_CONNECTIONS, timeout: IDLE_MS }
  const client = new sdk.DynamoDBClient({
    maxAttempts: 1,
    requestHandler: options.requestHandler ?? {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      httpAgent: agent,
      httpsAgent: agent,
    },
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  })
  const tableClient = new TableClient(sdk, client, {
    table,
    keys,
    endpoint,
    clock,
    random,
    requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    onRequest: options.onRequest ?? (() => {}),
  })
  return new DynamodbStore({ client: tableClient, table, keys, clock, random })
}

/** @param load imports the package; a parameter for tests. */
export async function loadSdk(
  load: () => Promise<typeof Sdk> = () => import('@aws-sdk/client-dynamodb'),
): Promise<typeof Sdk> {
  try {
    return await load()
  } catch (cause) {
    throw new SignalboxError(
      'config_invalid',
      'the DynamoDB store needs a package that is not installed: npm install @aws-sdk/client-dynamodb',
      { cause },
    )
  }
}
