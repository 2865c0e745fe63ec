/**
 * The voting service's DynamoDB as tests use it: dynoxide, with the tables of deploy/voting in it. DYNAMODB_ENDPOINT_URL_TESTS
 * names an engine that runs already; its tables get names of their own and are dropped afterwards.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  CreateTableCommand,
  DeleteTableCommand,
  waitUntilTableExists,
  type CreateTableCommandInput,
} from '@aws-sdk/client-dynamodb'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { openDynamodbLedger, type DynamodbLedgerOptions } from '../../src/voting/ledger/dynamodb/index.ts'
import type { VoteLedger } from '../../src/voting/ledger.ts'
import { localCredentials, sdkClient, type DynamodbEngine } from './engines/dynamodb.ts'
import { startDynoxide } from './engines/dynoxide.ts'
import { root } from './processes.ts'

export interface VotingTables {
  readonly engine: DynamodbEngine
  readonly names: { readonly topics: string; readonly votes: string }
  open(options?: Partial<DynamodbLedgerOptions>): Promise<VoteLedger>
  stop(): Promise<void>
}

/** The committed definition of a table. */
export function tableDefinition(table: 'topics' | 'votes'): CreateTableCommandInput {
  return JSON.parse(
    readFileSync(join(root, `deploy/voting/${table}.json`), 'utf8'),
  ) as CreateTableCommandInput
}

export async function startVotingTables(): Promise<VotingTables> {
  const endpoint = process.env['DYNAMODB_ENDPOINT_URL_TESTS'] ?? ''
  const shared = endpoint !== ''
  const engine: DynamodbEngine = shared
    ? {
        endpoint,
        region: process.env['AWS_REGION'] ?? 'us-east-1',
        credentials: localCredentials,
        stop: async () => {},
      }
    : await startDynoxide()
  const suffix = shared ? `-${randomUUID()}` : ''
  const names = { topics: `topics${suffix}`, votes: `votes${suffix}` }
  const client = sdkClient(engine)
  for (const table of ['topics', 'votes'] as const) {
    const TableName = names[table]
    await client.send(new CreateTableCommand({ ...tableDefinition(table), TableName }))
    await waitUntilTableExists({ client, maxWaitTime: 120, minDelay: 1 }, { TableName })
  }
  return {
    engine,
    names,
    open: (options) =>
      openDynamodbLedger({
        clock: systemClock,
        random: systemRandom,
        region: engine.region,
        endpoint: engine.endpoint,
        ...(engine.credentials === undefined ? {} : { credentials: engine.credentials }),
        tables: names,
        requestTimeoutMs: 30_000,
        ...options,
      }),
    async stop() {
      if (shared)
        for (const TableName of Object.values(names)) await client.send(new DeleteTableCommand({ TableName }))
      client.destroy()
      await engine.stop()
    },
  }
}
