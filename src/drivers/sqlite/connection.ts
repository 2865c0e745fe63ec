/**
 * Opening the data file: the lock, the pragmas, whose file it is, and its migrations.
 *
 * Invariants:
 * - a connection that comes out of here holds the exclusive lock until it is closed (`locking_mode=EXCLUSIVE`);
 * - a file that is not ours, or newer than us, is not changed;
 * - nothing else in this process may open the data file, not even to read it: POSIX drops *all* locks of a process on a
 *   file as soon as it closes *any* descriptor of it (https://sqlite.org/howtocorrupt.html, 2.2). Copy it through SQLite.
 */
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite'
import { SignalboxError } from '../../kernel/error.ts'
import { APPLICATION_ID, migrations } from './schema.ts'

/** How long SQLite itself waits on a lock; the caller retries with a longer patience. */
const BUSY_MS = 50
const CACHE_KIB = 64 * 1024
const CHECKPOINT_PAGES = 2_000

/** What is in force on a connection, for `facts()`. */
export interface ConnectionFacts {
  readonly sqliteVersion: string
  readonly journalMode: string
  /** 2 is FULL. */
  readonly synchronous: number
  readonly lockingMode: string
  readonly pageSize: number
  readonly schemaVersion: number
}

/**
 * Makes the directory (0700) and an empty data file (0600) where they are missing.
 * @throws SignalboxError `permission_denied` or `unavailable`
 */
export function prepareFile(file: string): void {
  const directory = dirname(file)
  try {
    const made = mkdirSync(directory, { recursive: true, mode: 0o700 })
    if (made !== undefined) syncDirectory(dirname(made))
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
    // `wx` opens nothing that exists, so it cannot drop a lock (see above).
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && existsSync(file)) {
      restrict(file)
      return
    }
    const denied = code === 'EACCES' || code === 'EPERM'
    throw new SignalboxError(
      denied ? 'permission_denied' : 'unavailable',
      `the data directory ${directory} cannot be used (${(error as Error).message}); make it writable or choose another`,
      { cause: error },
    )
  }
}

/**
 * Opens the file, takes its lock and brings its schema up to date.
 * @throws SQLite's errors (locked, not a database, …), or SignalboxError `store_invalid`, `store_newer`, `unavailable`
 */
export function connect(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: BUSY_MS })
  try {
    db.exec(`
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA synchronous = FULL;
      PRAGMA cache_size = -${CACHE_KIB};
      PRAGMA temp_store = MEMORY;
      PRAGMA trusted_schema = OFF;
      ${process.platform === 'darwin' ? 'PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;' : ''}
      BEGIN IMMEDIATE`)
    migrate(db, file)
    db.exec('COMMIT')
    const mode = scalar(db, 'PRAGMA journal_mode = WAL')
    if (mode !== 'wal') {
      throw new SignalboxError(
        'unavailable',
        `${file}: the file system does not allow WAL (got ${String(mode)})`,
      )
    }
    db.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA journal_size_limit = 67108864`)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

export function connectionFacts(db: DatabaseSync): ConnectionFacts {
  return {
    sqliteVersion: String(scalar(db, 'SELECT sqlite_version()')),
    journalMode: String(scalar(db, 'PRAGMA journal_mode')),
    synchronous: Number(scalar(db, 'PRAGMA synchronous')),
    lockingMode: String(scalar(db, 'PRAGMA locking_mode')),
    pageSize: Number(scalar(db, 'PRAGMA page_size')),
    schemaVersion: Number(scalar(db, 'PRAGMA user_version')),
  }
}

/** The first column of the first row. */
export function scalar(db: DatabaseSync, sql: string): SQLOutputValue | undefined {
  const row = db.prepare(sql).get()
  return row === undefined ? undefined : Object.values(row)[0]
}

/** Checks whose file it is and applies what migrations are missing; inside the caller's transaction. */
function migrate(db: DatabaseSync, file: string): void {
  const id = scalar(db, 'PRAGMA application_id')
  const version = Number(scalar(db, 'PRAGMA user_version'))
  const empty = scalar(db, 'SELECT count(*) FROM sqlite_schema') === 0
  if (id !== APPLICATION_ID && !(id === 0 && version === 0 && empty)) {
    throw new SignalboxError(
      'store_invalid',
      `${file} is a database of another program; choose another data directory`,
    )
  }
  if (version > migrations.length) {
    throw new SignalboxError(
      'store_newer',
      `${file} has schema version ${version}, this program knows ${migrations.length}; run the version that wrote it or a later one`,
      { details: { found: version, known: migrations.length } },
    )
  }
  if (version === migrations.length) return
  for (const sql of migrations.slice(version)) db.exec(sql)
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${migrations.length}`)
}

/** Makes the entry of a new directory durable. */
function syncDirectory(directory: string): void {
  try {
    const descriptor = openSync(directory, 'r')
    fsyncSync(descriptor)
    closeSync(descriptor)
  } catch {
    // Not every system lets a directory be opened; the file's own journal syncs its directory in any case.
  }
}

/** A restored backup may be readable by others. */
function restrict(file: string): void {
  try {
    chmodSync(file, 0o600)
  } catch {
    // Not ours to change; opening it says whether that matters.
  }
}
