/**
 * The store port on SQLite: reads are prepared statements, commits go through the group commit.
 *
 * Invariants: all expectations of a commit are checked before its first write, within the transaction; a version is a
 * number of the database's sequence; watchers are hinted after a commit is durable, and also when its outcome is unknown.
 */
import type { Clock } from '../../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../../kernel/error.ts'
import { checkCommit, checkKey, checkListOptions, checkRange } from '../../ports/store-checks.ts'
import {
  PAGE_BYTES,
  portableLimits,
  type Change,
  type CommitResult,
  type Json,
  type Key,
  type ListOptions,
  type Page,
  type Range,
  type Store,
  type StoredRecord,
  type Version,
} from '../../ports/store.ts'
import { holds } from '../shared/expect.ts'
import { WatchHub } from '../shared/watch-hub.ts'
import type { Database } from './database.ts'
import type { GroupCommit } from './group-commit.ts'
import { startSweeper } from './sweep.ts'

const LIVE = '(expires_at IS NULL OR expires_at > ?)'
const GET = `SELECT version, value FROM records WHERE partition = ? AND key = ? AND ${LIVE}`
const VERSION = `SELECT version FROM records WHERE partition = ? AND key = ? AND ${LIVE}`
const PUT = `INSERT INTO records (partition, key, version, value, expires_at) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET version = excluded.version, value = excluded.value, expires_at = excluded.expires_at`
const DELETE = 'DELETE FROM records WHERE partition = ? AND key = ?'

const listSql = (from: '>=' | '>', direction: 'ASC' | 'DESC'): string =>
  `SELECT key, version, value FROM records
   WHERE partition = ? AND key ${from} ? AND key < ? AND ${LIVE} ORDER BY key ${direction} LIMIT ?`
const LIST_FROM = listSql('>=', 'ASC')
const LIST_AFTER = listSql('>', 'ASC')
const LIST_REVERSE = listSql('>=', 'DESC')

const DELETE_BATCH = 500
const DELETE_RANGE = `DELETE FROM records WHERE partition = ?1 AND key IN (
  SELECT key FROM records WHERE partition = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ${DELETE_BATCH})`

/** Below and above every key. */
const LOWEST = ''
const HIGHEST = '\x7f'

export class RecordStore implements Store {
  readonly limits = portableLimits
  readonly #database: Database
  readonly #group: GroupCommit<Database>
  readonly #clock: Clock
  readonly #hub = new WatchHub()
  readonly #stopSweeping: () => void
  #closed: Promise<void> | undefined

  constructor(database: Database, group: GroupCommit<Database>, clock: Clock) {
    this.#database = database
    this.#group = group
    this.#clock = clock
    this.#stopSweeping = startSweeper(clock, group)
    database.onReconnect(() => this.#hub.allChanged())
  }

  async get(key: Key): Promise<StoredRecord | undefined> {
    this.#assertOpen()
    checkKey(key, this.limits.keys)
    return this.#database.read(() => {
      const row = this.#database.prepare(GET).get(key[0], key[1], this.#clock.now()) as
        | [version: number, value: string]
        | undefined
      return row && { key: [key[0], key[1]], version: String(row[0]), value: JSON.parse(row[1]) as Json }
    })
  }

  async list(range: Range, options: ListOptions): Promise<Page> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    checkListOptions(options, this.limits.keys)
    return this.#database.read(() => {
      const [sql, from, to] = bounds(range, options)
      const statement = this.#database.prepare(sql)
      const records: StoredRecord[] = []
      let bytes = 0
      const rows = statement.iterate(range.partition, from, to, this.#clock.now(), options.limit + 1)
      for (const row of rows as Iterable<unknown> as Iterable<
        [key: string, version: number, value: string]
      >) {
        const last = records.at(-1)
        if (last !== undefined && (records.length === options.limit || bytes >= PAGE_BYTES)) {
          return { records, next: last.key[1] }
        }
        records.push({
          key: [range.partition, row[0]],
          version: String(row[1]),
          value: JSON.parse(row[2]) as Json,
        })
        bytes += Buffer.byteLength(row[2])
      }
      return { records }
    })
  }

  async commit(changes: readonly Change[]): Promise<CommitResult> {
    this.#assertOpen()
    const encoded = checkCommit(changes, this.limits)
    let bytes = 0
    for (const json of encoded) bytes += json?.length ?? 0
    try {
      const result = await this.#group.submit(
        (db) => this.#apply(db, changes, encoded),
        changes.length,
        bytes,
      )
      if (result.ok) this.#hub.changed(changes)
      return result
    } catch (error) {
      if (isSignalboxError(error, 'outcome_unknown')) this.#hub.changed(changes)
      throw error
    }
  }

  async deleteRange(range: Range, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    const { partition, from = LOWEST, to = HIGHEST } = range
    let deleted: number
    do {
      options.signal?.throwIfAborted()
      this.#assertOpen()
      deleted = await this.#group
        .submit((db) => Number(db.prepare(DELETE_RANGE).run(partition, from, to).changes), DELETE_BATCH, 0)
        .finally(() => this.#hub.rangeChanged(range))
    } while (deleted === DELETE_BATCH)
  }

  watch(range: Range, signal: AbortSignal): AsyncIterable<void> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    return this.#hub.watch(range, signal)
  }

  now(): { readonly ms: number; readonly uncertaintyMs: number } {
    this.#assertOpen()
    return { ms: this.#clock.now(), uncertaintyMs: 0 }
  }

  close(): Promise<void> {
    this.#closed ??= this.#release()
    return this.#closed
  }

  async #release(): Promise<void> {
    this.#stopSweeping()
    this.#hub.close()
    // Submissions are answered in order, so this one's answer comes after all of ours.
    await this.#group.submit(() => undefined, 0, 0).catch(() => undefined)
  }

  /** Runs inside the group's transaction. */
  #apply(db: Database, changes: readonly Change[], encoded: readonly (string | undefined)[]): CommitResult {
    const now = this.#clock.now()
    let failed: Key[] | undefined
    for (const { key, expect } of changes) {
      const row = db.prepare(VERSION).get(key[0], key[1], now) as unknown as [version: number] | undefined
      if (!holds(expect, row && String(row[0]))) (failed ??= []).push(key)
    }
    if (failed !== undefined) return { ok: false, failed }
    const versions: (Version | undefined)[] = []
    for (const [i, change] of changes.entries()) {
      const [partition, key] = change.key
      if (change.op === 'put') {
        const version = db.nextSequence()
        db.prepare(PUT).run(partition, key, version, encoded[i] as string, change.expiresAt ?? null)
        versions.push(String(version))
      } else {
        if (change.op === 'delete') db.prepare(DELETE).run(partition, key)
        versions.push(undefined)
      }
    }
    return { ok: true, versions }
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new SignalboxError('unavailable', 'the store is closed')
  }
}

/** The statement for a page, and the ends of what it may hold. */
function bounds(
  { from = LOWEST, to = HIGHEST }: Range,
  { after, reverse }: ListOptions,
): [string, string, string] {
  if (reverse === true) return [LIST_REVERSE, from, after !== undefined && after < to ? after : to]
  return after !== undefined && after >= from ? [LIST_AFTER, after, to] : [LIST_FROM, from, to]
}
