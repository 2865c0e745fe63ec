/**
 * The store of a server, by `store.engine`: one line here for each driver, whose module (and SDK) loads only when it is chosen.
 *
 * The embedded store belongs to one process, which listens on a socket beside the data; a cloud store is shared by any number of
 * servers (and by members without one), so nobody is its owner and there is no socket.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Registry } from 'prom-client'
import type { SqliteEngine } from '../drivers/sqlite/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { MessageQueue } from '../ports/message-queue.ts'
import { decimalKey, type Key, type Store } from '../ports/store.ts'
import type { Config } from './config/schema.ts'
import type { Logger } from './logger.ts'
import { withoutRefusals } from './refused-store.ts'
import { storeMetrics, storeRequests } from './store-metrics.ts'

export interface OpenedStore {
  readonly store: Store
  /** What this process owns, if the store is its own: the data directory, with its message queues. */
  readonly owned?: OwnedDirectory
  /** Other servers may work on it too. */
  readonly shared: boolean
  /** Where it is, for the log. */
  readonly facts: Readonly<Record<string, string>>
  close(): Promise<void>
}

/** The embedded engine of a data directory, and the ports that its owner uses and lends to others. */
export interface OwnedDirectory {
  readonly engine: SqliteEngine
  readonly store: Store
  readonly messages: MessageQueue
}

interface StoreContext {
  readonly clock: Clock
  readonly random: Random
  readonly registry: Registry
  readonly logger: Logger
}

type StoreKeys = Pick<Config, 'dataDir' | 'store'>
type CloudStore = Pick<OpenedStore, 'store' | 'facts'>

/** What others are told owns the data directory. */
const OWNER = 'signalbox serve'

/** Read to see whether a store works; nothing is written there. */
export const PROBE: Key = ['readyz', decimalKey(0)]

/** The data directory of the embedded store; undefined for a store without one. */
export function dataDirOf({ dataDir, store }: StoreKeys): string | undefined {
  return store.engine === 'sqlite' ? resolve(dataDir) : undefined
}

/** Would opening the store make its data directory? */
export function isNewDirectory(config: StoreKeys): boolean {
  const dataDir = dataDirOf(config)
  return dataDir !== undefined && !existsSync(dataDir)
}

/**
 * @throws SignalboxError `store_owned`, `store_newer`, `store_invalid` of the embedded store; `config_invalid` (no SDK, region or
 *   project), `not_found` (no such table or database), `unauthenticated`, `permission_denied`, `unavailable` of a cloud store
 */
export async function openStore(config: StoreKeys, context: StoreContext): Promise<OpenedStore> {
  const { engine } = config.store
  if (engine === 'sqlite') return openEmbedded(config, context)
  const { store, facts } = await (engine === 'dynamodb' ? openDynamodb : openFirestore)(config.store, context)
  try {
    // What is wrong with it shows here, and its clock is known before anybody asks for the time.
    await store.get(PROBE)
    const cautious = withoutRefusals(store, context.logger)
    return { store: cautious, shared: true, facts, close: () => cautious.close() }
  } catch (error) {
    await store.close()
    throw error
  }
}

async function openEmbedded(config: StoreKeys, { clock, registry }: StoreContext): Promise<OpenedStore> {
  const { openSqlite, sqliteMessageQueue, sqliteStore } = await import('../drivers/sqlite/index.ts')
  const { groupCommit } = config.store
  const directory = resolve(config.dataDir)
  const engine = await openSqlite({ directory, clock, groupCommit, owner: { command: OWNER } }).catch(
    tellOrder,
  )
  storeMetrics(registry, () => engine.facts())
  const store = sqliteStore(engine)
  const messages = sqliteMessageQueue(engine)
  return {
    store,
    owned: { engine, store, messages },
    shared: false,
    facts: { dataDir: directory },
    async close() {
      await messages.close()
      await store.close()
      await engine.close()
    },
  }
}

/** Others attach to a server, not the other way round. @throws what it was given, with what to do about a sidecar */
function tellOrder(error: unknown): never {
  const { pid, command, directory } = isSignalboxError(error, 'store_owned') ? error.details : {}
  if (pid === undefined || command === undefined || command === OWNER) throw error
  throw new SignalboxError(
    'store_owned',
    `${directory} is owned by process ${pid} (${command}); stop it, and start it again after the server: it attaches to the server then`,
    { cause: error, details: (error as SignalboxError).details },
  )
}

async function openDynamodb(
  { dynamodb }: Config['store'],
  { clock, random, registry }: StoreContext,
): Promise<CloudStore> {
  const { openDynamodbStore } = await import('../drivers/dynamodb/index.ts')
  const { table, region, endpoint } = dynamodb
  const place = {
    table,
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
  }
  const store = await openDynamodbStore({ ...place, clock, random, onRequest: storeRequests(registry) })
  return { store, facts: place }
}

async function openFirestore(
  { firestore }: Config['store'],
  { clock, random, registry }: StoreContext,
): Promise<CloudStore> {
  const { openFirestoreStore } = await import('../drivers/firestore/index.ts')
  const { project, database, collection, emulatorHost } = firestore
  const place = {
    database,
    collection,
    ...(project === undefined ? {} : { project }),
    ...(emulatorHost === undefined ? {} : { emulatorHost }),
  }
  const store = await openFirestoreStore({ ...place, clock, random, onRequest: storeRequests(registry) })
  return { store, facts: place }
}
