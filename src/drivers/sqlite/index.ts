/** The SQLite driver: the embedded store, owned by one process. */
import type { MessageQueue } from '../../ports/message-queue.ts'
import type { Store } from '../../ports/store.ts'
import {
  openSqlite,
  type OwnerFacts,
  type SqliteEngine,
  type SqliteFacts,
  type SqliteOptions,
} from './engine.ts'
import { SqliteMessageQueue } from './messages/queue.ts'
import { RecordStore } from './store.ts'

export { openSqlite, DATA_FILE } from './engine.ts'
export type { OwnerFacts, SqliteEngine, SqliteFacts, SqliteOptions } from './engine.ts'
export { readOwner, type Owner } from './owner.ts'

/** A store that owns its data file. */
export interface SqliteStore extends Store {
  /** Tells others more about the owner, once its addresses are known. */
  announce(facts: OwnerFacts): void
  facts(): SqliteFacts
}

/**
 * The store port on an engine that others share. Closing it leaves the engine open.
 * @example
 * const engine = await openSqlite({ directory, clock })
 * const store = sqliteStore(engine)
 */
export function sqliteStore(engine: SqliteEngine): Store {
  return new RecordStore(engine.database, engine.group, engine.clock)
}

/**
 * The message-queue port on an engine that others share. Closing it leaves the engine open.
 * @example
 * const engine = await openSqlite({ directory, clock })
 * const messages = sqliteMessageQueue(engine)
 */
export function sqliteMessageQueue(engine: SqliteEngine): MessageQueue {
  return new SqliteMessageQueue(engine.database, engine.group, engine.clock)
}

/**
 * Opens a data directory as its owner.
 * @example
 * const store = await openSqliteStore({ directory: 'data', clock: systemClock })
 * @throws SignalboxError `store_owned`, `store_newer`, `store_invalid`, `permission_denied`, `unavailable`
 */
export async function openSqliteStore(options: SqliteOptions): Promise<SqliteStore> {
  const engine = await openSqlite(options)
  return new OwningStore(engine)
}

class OwningStore extends RecordStore implements SqliteStore {
  readonly #engine: SqliteEngine

  constructor(engine: SqliteEngine) {
    super(engine.database, engine.group, engine.clock)
    this.#engine = engine
  }

  announce(facts: OwnerFacts): void {
    this.#engine.announce(facts)
  }

  facts(): SqliteFacts {
    return this.#engine.facts()
  }

  override async close(): Promise<void> {
    await super.close()
    await this.#engine.close()
  }
}
