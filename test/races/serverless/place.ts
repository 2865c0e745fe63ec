/**
 * Where a race takes place: a fresh table of an engine, and how members reach it, directly or through a proxy. A `Place` is
 * plain data, so that a test can hand it to a process.
 */
import { randomUUID } from 'node:crypto'
import { ScanCommand } from '@aws-sdk/client-dynamodb'
import { openDynamodbStore, turnTableKeys } from '../../../src/drivers/dynamodb/index.ts'
import { openFirestoreStore } from '../../../src/drivers/firestore/index.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { systemRandom } from '../../../src/kernel/id.ts'
import type { Store } from '../../../src/ports/store.ts'
import {
  createTable,
  localCredentials,
  sdkClient,
  type DynamodbEngine,
} from '../../support/engines/dynamodb.ts'
import { startDynoxide } from '../../support/engines/dynoxide.ts'
import {
  referenceIndex,
  startFirestoreFake,
  type FirestoreFake,
} from '../../support/engines/firestore-fake/index.ts'
import { bareClient, type Message } from '../../support/engines/firestore-fake/protocol.ts'

export interface Place {
  readonly backend: 'aws' | 'gcp'
  /** `host:port` of the engine, or of a proxy before it. */
  readonly host: string
  readonly table: string
}

export interface Arena {
  readonly place: Place
  /** Of DynamoDB alone. */
  readonly engine?: DynamodbEngine
  /** Of Firestore alone. */
  readonly fake?: FirestoreFake
  /** Everything in the table, whoever wrote it, expired or not. */
  readonly items: () => Promise<Item[]>
  close(): Promise<void>
}

export interface Item {
  readonly partition: string
  readonly key: number
  /** Undefined: not ours. */
  readonly value: Readonly<Record<string, unknown>> | undefined
}

export type EngineName = 'DynamoDB' | 'Firestore'
export const ENGINES: readonly EngineName[] = ['DynamoDB', 'Firestore']

const REGION = 'eu-west-1'
export const PROJECT = 'demo-signalbox'
export const DATABASE = 'github-dynamoq'

export async function openArena(name: EngineName): Promise<Arena> {
  return name === 'DynamoDB' ? dynamodbArena() : firestoreArena()
}

async function dynamodbArena(): Promise<Arena> {
  const engine = await startDynoxide()
  const table = await createTable(engine)
  const client = sdkClient(engine)
  const items = async (): Promise<Item[]> => {
    const found: Item[] = []
    for (let ExclusiveStartKey: Record<string, never> | undefined; ;) {
      const page = await client.send(
        new ScanCommand({ TableName: table.name, ConsistentRead: true, ExclusiveStartKey }),
      )
      for (const { queueName, entryTimestamp, sbValue } of page.Items ?? []) {
        found.push(itemOf(queueName?.S, entryTimestamp?.N, sbValue?.S))
      }
      ExclusiveStartKey = page.LastEvaluatedKey as typeof ExclusiveStartKey
      if (ExclusiveStartKey === undefined) return found
    }
  }
  return {
    place: { backend: 'aws', host: new URL(engine.endpoint).host, table: table.name },
    engine,
    items,
    async close() {
      client.destroy()
      await engine.stop()
    },
  }
}

async function firestoreArena(): Promise<Arena> {
  const table = `queues-${randomUUID()}`
  const fake = await startFirestoreFake({ indexes: [referenceIndex(table)], databases: [DATABASE] })
  const client = bareClient(fake.host)
  const parent = `projects/${PROJECT}/databases/${DATABASE}/documents`
  const items = async (): Promise<Item[]> => {
    const answers = await client.runQuery({ parent, structuredQuery: { from: [{ collectionId: table }] } })
    return answers
      .flatMap(({ document }: Message) => (document ? [document.fields] : []))
      .map(({ queueName, entryTimestamp, value, nonce }: Message) =>
        itemOf(queueName?.stringValue, numberOf(entryTimestamp), nonce ? value?.stringValue : undefined),
      )
  }
  return {
    place: { backend: 'gcp', host: fake.host, table },
    fake,
    items,
    async close() {
      client.close()
      await fake.close()
    },
  }
}

function numberOf(value: Message): string | undefined {
  return value?.integerValue ?? value?.doubleValue
}

function itemOf(partition = '', key: string | undefined, json: string | undefined): Item {
  const value = json === undefined ? undefined : (JSON.parse(json) as Item['value'])
  return { partition, key: Number(key), value }
}

export function openStoreAt({ backend, host, table }: Place): Promise<Store> {
  const facts = { clock: systemClock, random: systemRandom }
  if (backend === 'gcp') {
    const where = { project: PROJECT, database: DATABASE, collection: table, emulatorHost: host }
    return openFirestoreStore({ ...where, ...facts })
  }
  const where = {
    table,
    keys: turnTableKeys,
    region: REGION,
    endpoint: `http://${host}`,
    credentials: localCredentials,
  }
  return openDynamodbStore({ ...where, ...facts })
}

/** What points the CLI at this place. */
export function environment({ backend, host }: Place): Record<string, string> {
  if (backend === 'gcp') {
    return { FIRESTORE_EMULATOR_HOST: host, GCP_PROJECT: PROJECT, SIGNALBOX_GCP_DATABASE: DATABASE }
  }
  return {
    DYNAMODB_ENDPOINT_URL: `http://${host}`,
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: localCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: localCredentials.secretAccessKey,
  }
}
