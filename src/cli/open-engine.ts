/**
 * Opens a cloud engine: the store of the chosen driver, the turns service on it, the guard beside the dynamo-q tool. It is
 * imported when one was chosen, and imports the driver, with its SDK, of that one alone.
 */
import type * as Sdk from '@aws-sdk/client-dynamodb'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { Store } from '../ports/store.ts'
import { besideReference } from '../turns/guard.ts'
import { createTurnsService } from '../turns/service.ts'
import type { Connection, Setting } from './context.ts'
import { describeEngine, type AwsChoice, type CloudChoice, type GcpChoice } from './engine.ts'

export interface EngineFacts {
  readonly clock: Clock
  readonly random: Random
}

export interface OpenedStore {
  readonly store: Store
  readonly describe: string
  readonly settings: readonly Setting[]
}

/**
 * Connects to the engine as one of the processes that meet there.
 *
 * @param open opens the store; a parameter for tests
 * @throws SignalboxError `config_invalid` (no region, no SDK), and with Firestore, which is asked here already, what it
 *   refuses with; DynamoDB speaks at the first call
 */
export async function openEngine(
  choice: CloudChoice,
  facts: EngineFacts,
  open: (choice: CloudChoice, facts: EngineFacts) => Promise<OpenedStore> = openStore,
): Promise<Connection> {
  const { store, describe, settings } = await open(choice, facts)
  const service = createTurnsService({ store, ...facts, serverless: true })
  const turns = choice.guard ? besideReference({ turns: service, store, ...facts }) : service
  return {
    turns,
    store,
    describe,
    settings,
    async close() {
      try {
        await service.close()
      } finally {
        await store.close()
      }
    },
  }
}

function openStore(choice: CloudChoice, facts: EngineFacts): Promise<OpenedStore> {
  return choice.backend === 'aws' ? openAws(choice, facts) : openGcp(choice, facts)
}

async function openAws(choice: AwsChoice, { clock, random }: EngineFacts): Promise<OpenedStore> {
  const { loadSdk, openDynamodbStore } = await import('../drivers/dynamodb/index.ts')
  const { table, endpoint, settings } = choice
  const region = choice.region ?? (await profileRegion(await loadSdk(), table))
  const store = await openDynamodbStore({
    table,
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    clock,
    random,
  })
  return {
    store,
    describe: describeEngine({ ...choice, region }),
    settings:
      choice.region === undefined
        ? [...settings, { name: 'region', value: region, from: 'AWS profile' }]
        : settings,
  }
}

/** From the profile's files; the network is not asked. */
async function profileRegion({ DynamoDBClient }: typeof Sdk, table: string): Promise<string> {
  const client = new DynamoDBClient({})
  try {
    return await client.config.region()
  } catch (cause) {
    const what = `AWS_REGION: missing; name the region of the DynamoDB table ${table} there, or in the AWS profile`
    throw new SignalboxError('config_invalid', what, { cause, details: { field: 'AWS_REGION' } })
  } finally {
    client.destroy()
  }
}

async function openGcp(choice: GcpChoice, { clock, random }: EngineFacts): Promise<OpenedStore> {
  const { openFirestoreStore } = await import('../drivers/firestore/index.ts')
  const { collection, database, project, emulatorHost, settings } = choice
  const store = await openFirestoreStore({
    collection,
    database,
    ...(project === undefined ? {} : { project }),
    ...(emulatorHost === undefined ? {} : { emulatorHost }),
    clock,
    random,
  })
  return { store, describe: describeEngine(choice), settings }
}
