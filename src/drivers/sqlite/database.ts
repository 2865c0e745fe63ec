/**
 * One connection to the data file, kept usable: cached statements, transactions, the sequence, and recovery from
 * failures of the disk.
 *
 * Invariants:
 * - every writing transaction ends with a new value of the sequence, so that after a `COMMIT` that failed half-way the
 *   file itself tells whether the transaction happened; numbers of the sequence are never given out twice;
 * - after a failure that leaves SQLite's own state in doubt, the connection is replaced before its next use; until that
 *   succeeds every use throws `unavailable`;
 * - everything is synchronous, so no reader ever runs inside an open transaction of somebody else.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { sleep, type Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { connect, connectionFacts, prepareFile, scalar, type ConnectionFacts } from './connection.ts'
import { isBusy, isFull, isStatementFault, sqliteCode, translate } from './errors.ts'
import type { Transactor } from './group-commit.ts'

/** Pause between attempts to replace a failed connection. */
const RECONNECT_MS = 250
const LOCK_RETRY_MS = 50
/** Writes the log back into the file and empties it; answers 0 first when it could. */
const CHECKPOINT = 'PRAGMA wal_checkpoint(TRUNCATE)'

export class Database implements Transactor {
  readonly file: string
  readonly #clock: Clock
  readonly #statements = new Map<string, StatementSync>()
  #db: DatabaseSync | undefined
  #facts: ConnectionFacts
  #sequence: number
  #changesBefore = 0
  #inDoubt: SignalboxError | undefined
  #reconnectAt = 0
  #closed = false
  readonly #onReconnect = new Set<() => void>()

  /** Use `openDatabase`. */
  constructor(file: string, clock: Clock, db: DatabaseSync) {
    this.file = file
    this.#clock = clock
    this.#db = db
    this.#facts = connectionFacts(db)
    this.#sequence = readSequence(db)
  }

  get facts(): ConnectionFacts {
    return this.#facts
  }

  /** Runs `listener` after each replacement of a failed connection: its users may have missed something. */
  onReconnect(listener: () => void): void {
    this.#onReconnect.add(listener)
  }

  /** A statement of the present connection, compiled once; its rows come as arrays. */
  prepare(sql: string): StatementSync {
    const db = this.#usable()
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = db.prepare(sql)
      statement.setReturnArrays(true)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  /** Runs a read outside any transaction. Its failure says nothing about the connection. @throws SignalboxError */
  read<T>(run: () => T): T {
    try {
      return run()
    } catch (error) {
      throw translate(error, this.file)
    }
  }

  /** The next number of the sequence; it becomes durable with the open transaction. */
  nextSequence(): number {
    return ++this.#sequence
  }

  begin(): void {
    try {
      this.#usable().exec('BEGIN IMMEDIATE')
      this.#changesBefore = this.#totalChanges()
    } catch (error) {
      this.rollback()
      throw this.#failed(error)
    }
  }

  /** False also when the connection is in doubt: nothing more may run on it. */
  get inTransaction(): boolean {
    return this.#db?.isTransaction === true && this.#inDoubt === undefined
  }

  isolated<T>(run: (db: this) => T): T {
    try {
      this.prepare('SAVEPOINT one').run()
      const result = run(this)
      this.prepare('RELEASE one').run()
      return result
    } catch (error) {
      if (!isStatementFault(error) || !this.#undoOne()) this.rollback()
      // What a closure throws by itself is its answer, as it is.
      throw sqliteCode(error) === undefined ? error : this.#failed(error)
    }
  }

  commit(): void {
    const marker = this.nextSequence()
    let wrote = true
    try {
      wrote = this.#totalChanges() !== this.#changesBefore
      if (wrote) this.prepare('UPDATE sequence SET value = ?').run(marker)
      this.#usable().exec('COMMIT')
    } catch (error) {
      const failure = this.#failed(error)
      this.rollback()
      if (isFull(error) || !wrote) throw failure
      this.#settle(marker, failure)
    }
  }

  rollback(): void {
    try {
      if (this.#db?.isTransaction === true) this.#db.exec('ROLLBACK')
    } catch (error) {
      this.#inDoubt ??= translate(error, this.file)
    }
  }

  /** Writes the log back into the file and lets the lock go. Idempotent. */
  close(): void {
    this.#closed = true
    const db = this.#db
    this.#db = undefined
    this.#statements.clear()
    if (db?.isOpen !== true) return
    try {
      db.exec(CHECKPOINT)
    } catch {
      // What is committed is durable in the log; the next owner reads it from there.
    }
    db.close()
  }

  /**
   * `COMMIT` failed in a way that may have left its frames in the log. A new connection reads the log as one would after
   * a crash, and makes what it finds final.
   * @returns when the transaction is applied and durable. @throws `unavailable` when it is not, `outcome_unknown`
   */
  #settle(marker: number, failure: SignalboxError): void {
    let found: number
    try {
      found = readSequence(this.#reconnect())
    } catch {
      throw unknown(failure)
    }
    if (found < marker) throw failure
    // Somebody else had the file in between: too late to tell.
    if (found > marker) throw unknown(failure)
  }

  /** Undoes what one closure wrote. @returns false when that failed and the whole transaction must go. */
  #undoOne(): boolean {
    try {
      if (!this.inTransaction) return false
      this.prepare('ROLLBACK TO one').run()
      this.prepare('RELEASE one').run()
      return true
    } catch {
      return false
    }
  }

  /** The error in our words, remembered when the connection must not be used any more. */
  #failed(error: unknown): SignalboxError {
    const failure = translate(error, this.file)
    if (!isStatementFault(error) && !isFull(error)) this.#inDoubt ??= failure
    return failure
  }

  #usable(): DatabaseSync {
    if (this.#db !== undefined && this.#inDoubt === undefined) return this.#db
    if (this.#closed) throw new SignalboxError('unavailable', 'the store is closed')
    if (this.#clock.monotonic() < this.#reconnectAt) throw this.#inDoubt ?? unusable(this.file)
    return this.#reconnect()
  }

  #reconnect(): DatabaseSync {
    const old = this.#db
    this.#db = undefined
    this.#statements.clear()
    try {
      old?.close()
    } catch {
      // It was broken; the new one decides.
    }
    try {
      this.#db = connect(this.file)
      // What was read back from the log may not have reached the disk yet; nobody sees it before it has.
      if (scalar(this.#db, CHECKPOINT) !== 0) throw unusable(this.file)
      this.#sequence = Math.max(this.#sequence, readSequence(this.#db))
      this.#facts = connectionFacts(this.#db)
    } catch (error) {
      this.#reconnectAt = this.#clock.monotonic() + RECONNECT_MS
      this.#inDoubt = translate(error, this.file)
      throw this.#inDoubt
    }
    this.#inDoubt = undefined
    for (const listener of this.#onReconnect) listener()
    return this.#db
  }

  #totalChanges(): number {
    const [total] = this.prepare('SELECT total_changes()').get() as unknown as [number]
    return total
  }
}

/**
 * Opens a data file, making it if needed.
 * @param lockWaitMs how long to wait for a lock: a killed predecessor may just be going.
 * @returns undefined when the lock is still held by then
 * @throws SignalboxError `store_invalid`, `store_newer`, `permission_denied`, `unavailable`
 */
export async function openDatabase(
  file: string,
  clock: Clock,
  lockWaitMs: number,
): Promise<Database | undefined> {
  prepareFile(file)
  const deadline = clock.monotonic() + lockWaitMs
  // Two processes in step would keep meeting; their ids set them apart.
  const pause = LOCK_RETRY_MS + (process.pid % 31)
  for (;;) {
    let db: DatabaseSync | undefined
    try {
      db = connect(file)
      return new Database(file, clock, db)
    } catch (error) {
      if (db?.isOpen === true) db.close()
      if (!isBusy(error)) throw translate(error, file)
      if (clock.monotonic() >= deadline) return undefined
    }
    await sleep(clock, pause)
  }
}

function unusable(file: string): SignalboxError {
  return new SignalboxError('unavailable', `${file} cannot be used at present`)
}

function unknown(failure: SignalboxError): SignalboxError {
  return new SignalboxError('outcome_unknown', `a commit failed half-way: ${failure.message}`, {
    cause: failure,
  })
}

function readSequence(db: DatabaseSync): number {
  return Number(scalar(db, 'SELECT value FROM sequence'))
}
