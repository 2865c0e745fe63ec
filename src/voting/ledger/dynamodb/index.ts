/** Opens the ledger on the reference's DynamoDB tables; the SDK loads when it opens. */
import type * as Sdk from '@aws-sdk/client-dynamodb'
import type { Clock } from '../../../kernel/clock.ts'
import { SignalboxError } from '../../../kernel/error.ts'
import type { Random } from '../../../kernel/id.ts'
import type { VoteLedger } from '../../ledger.ts'
import { LedgerClient, MAX_CONNECTIONS } from './client.ts'
import { DynamodbLedger } from './ledger.ts'
import type { TableNames } from './tables.ts'

export interface DynamodbLedgerOptions {
  readonly clock: Clock
  readonly random: Random
  /** Default: what the AWS SDK finds (AWS_REGION, profile). */
  readonly region?: string
  /** URL of an engine that is not in the cloud; default: the region's. */
  readonly endpoint?: string
  /** Default: what the AWS SDK finds (environment, profile, web identity, instance role). */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Default: `topics` and `votes`. */
  readonly tables?: TableNames
  /** How long one request may take; default 5,000. */
  readonly requestTimeoutMs?: number
  /** In place of HTTP, for tests. */
  readonly requestHandler?: Sdk.DynamoDBClientConfig['requestHandler']
}

const REQUEST_TIMEOUT_MS = 5_000
const CONNECT_TIMEOUT_MS = 3_000
/** Idle connections are given up before the engine closes them, or a write might meet a closed one. */
const IDLE_MS = 15_000

/**
 * Nothing is sent yet: what is wrong with tables, region or credentials shows at the first call.
 * @example
 * const ledger = await openDynamodbLedger({ region: 'us-east-1', clock: systemClock, random: systemRandom })
 * @throws SignalboxError `config_invalid`
 */
export async function openDynamodbLedger(options: DynamodbLedgerOptions): Promise<VoteLedger> {
  const {
    clock,
    random,
    region,
    endpoint,
    credentials,
    tables = { topics: 'topics', votes: 'votes' },
  } = options
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
  const requests = new LedgerClient(client, {
    clock,
    random,
    endpoint,
    tables: `'${tables.topics}' and '${tables.votes}'`,
    requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
  })
  return new DynamodbLedger({ sdk, client: requests, tables, random })
}

async function loadSdk(): Promise<typeof Sdk> {
  try {
    return await import('@aws-sdk/client-dynamodb')
  } catch (cause) {
    throw new SignalboxError(
      'config_invalid',
      'voting on DynamoDB needs packages that are not installed: npm install @aws-sdk/client-dynamodb @aws-sdk/client-sqs',
      { cause },
    )
  }
}
