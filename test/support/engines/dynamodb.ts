/**
 * DynamoDB as tests use it: an engine that runs somewhere, fresh tables on it, and stores on these.
 *
 * SIGNALBOX_TEST_DYNAMODB_ENDPOINT makes every suite use that engine instead of one that it starts, for example
 * https://dynamodb.eu-west-1.amazonaws.com with the AWS SDK's usual variables. Its tables are created, and deleted
 * afterwards.
 */
import { randomUUID } from 'node:crypto'
import {
  CreateTableCommand,
  DeleteTableCommand,
  DynamoDBClient,
  UpdateTimeToLiveCommand,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb'
import type { ConformanceTarget } from '../../../src/drivers/conformance/context.ts'
import {
  openDynamodbStore,
  turnTableKeys,
  type AwsCredentials,
  type DynamodbStoreOptions,
  type TableKeys,
} from '../../../src/drivers/dynamodb/index.ts'
import type { TableTarget } from '../../../src/drivers/dynamodb/testing/table-suite.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { systemRandom } from '../../../src/kernel/id.ts'
import type { Store } from '../../../src/ports/store.ts'

export interface DynamodbEngine {
  readonly endpoint: string
  readonly region: string
  /** Undefined: what the AWS SDK finds. */
  readonly credentials: AwsCredentials | undefined
  stop(): Promise<void>
}

/** A table of string keys, for the suites that need any. */
export const stringKeys: TableKeys = { partition: 'pk', sort: 'sk', sortType: 'string', ttl: 'ttl' }

export const localCredentials: AwsCredentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'test' }

/** The engine that the environment names, if it does. */
export function namedEngine(): DynamodbEngine | undefined {
  const endpoint = process.env['SIGNALBOX_TEST_DYNAMODB_ENDPOINT']
  if (endpoint === undefined || endpoint === '') return undefined
  const region = process.env['AWS_REGION'] ?? 'us-east-1'
  const inCloud = /\.amazonaws\.com(\.cn)?$/.test(new URL(endpoint).hostname)
  return { endpoint, region, credentials: inCloud ? undefined : localCredentials, stop: async () => {} }
}

export function sdkClient({ endpoint, region, credentials }: DynamodbEngine): DynamoDBClient {
  return new DynamoDBClient({ endpoint, region, ...(credentials === undefined ? {} : { credentials }) })
}

export interface Table {
  readonly name: string
  readonly keys: TableKeys
  drop(): Promise<void>
}

/** A fresh table; with the default keys, as the reference's Terraform makes it. */
export async function createTable(engine: DynamodbEngine, keys: TableKeys = turnTableKeys): Promise<Table> {
  const client = sdkClient(engine)
  const TableName = `signalbox-test-${randomUUID()}`
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [
        { AttributeName: keys.partition, KeyType: 'HASH' },
        { AttributeName: keys.sort, KeyType: 'RANGE' },
      ],
      AttributeDefinitions: [
        { AttributeName: keys.partition, AttributeType: 'S' },
        { AttributeName: keys.sort, AttributeType: keys.sortType === 'number' ? 'N' : 'S' },
      ],
    }),
  )
  await waitUntilTableExists({ client, maxWaitTime: 120, minDelay: 1 }, { TableName })
  const TimeToLiveSpecification = { AttributeName: keys.ttl, Enabled: true }
  await client.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification }))
  return {
    name: TableName,
    keys,
    drop: async () => {
      await client.send(new DeleteTableCommand({ TableName }))
      client.destroy()
    },
  }
}

export function openStore(
  engine: DynamodbEngine,
  table: Pick<Table, 'name' | 'keys'>,
  options: Partial<DynamodbStoreOptions> = {},
): Promise<Store> {
  return openDynamodbStore({
    table: table.name,
    keys: table.keys,
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

/** For the conformance suite: stores on one table, which every one of them opens anew. */
export async function conformanceTarget(engine: DynamodbEngine, table: Table): Promise<ConformanceTarget> {
  const opened = [await openStore(engine, table)]
  return {
    store: opened[0]!,
    reopen: async () => {
      await opened.at(-1)?.close()
      opened.push(await openStore(engine, table))
      return opened.at(-1)!
    },
    close: async () => {
      for (const store of opened) await store.close()
    },
  }
}

/** For the driver's own suite: a store that counts its requests, and the SDK's client beside it. */
export async function tableTarget(engine: DynamodbEngine, table: Table): Promise<TableTarget> {
  const seen: string[] = []
  const store = await openStore(engine, table, { onRequest: (operation) => seen.push(operation) })
  return { store, client: sdkClient(engine), table: table.name, operations: () => seen.splice(0) }
}
