/**
 * The store port on a DynamoDB table.
 *
 * Invariants: every read is strongly consistent; every write is conditional on what the commit expects, decided by the
 * engine; a version is drawn anew for each put, so none is used twice; a record expires by the engine's clock, and only
 * once its time has surely passed there.
 *
 * Two things differ from an embedded store: there is no watch, and a page is no snapshot, since the engine may show the
 * first writes of a transaction before its last ones (never one that is taken back).
 */
import { SignalboxError } from '../../kernel/error.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Random } from '../../kernel/id.ts'
import { checkCommit, checkKey, checkListOptions, checkRange } from '../../ports/store-checks.ts'
import {
  PAGE_BYTES,
  portableLimits,
  type Change,
  type CommitResult,
  type Key,
  type ListOptions,
  type Page,
  type Range,
  type Store,
  type StoredRecord,
  type StoreLimits,
} from '../../ports/store.ts'
import { holds } from '../shared/expect.ts'
import type { TableClient } from './client.ts'
import { applyChanges, type CommitContext } from './commit.ts'
import { deleteItems } from './delete-range.ts'
import { fromItem } from './item.ts'
import { keyItem, queryRange, type Item, type TableKeys } from './table.ts'

/** How far this machine's clock may be off, while no answer has told the engine's time. */
const UNCHECKED_CLOCK_MS = 86_400_000

export interface StoreParts {
  readonly client: TableClient
  readonly table: string
  readonly keys: TableKeys
  readonly clock: Clock
  readonly random: Random
}

export class DynamodbStore implements Store {
  readonly limits: StoreLimits
  readonly #client: TableClient
  readonly #keys: TableKeys
  readonly #clock: Clock
  readonly #context: CommitContext
  readonly #underWay = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  constructor({ client, table, keys, clock, random }: StoreParts) {
    this.limits = { ...portableLimits, keys: keys.sortType === 'number' ? 'decimal' : 'ascii' }
    this.#client = client
    this.#keys = keys
    this.#clock = clock
    this.#context = { client, table, keys, random, sureMs: () => this.#sureMs() }
  }

  async get(key: Key): Promise<StoredRecord | undefined> {
    this.#assertOpen()
    checkKey(key, this.limits.keys)
    return this.#track(this.#read(key))
  }

  async list(range: Range, options: ListOptions): Promise<Page> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    checkListOptions(options, this.limits.keys)
    return this.#track(this.#page(range, options))
  }

  async commit(changes: readonly Change[]): Promise<CommitResult> {
    this.#assertOpen()
    const encoded = checkCommit(changes, this.limits)
    // The caller may change its objects while this waits.
    const kept = changes.map((change) => ({ ...change, key: [change.key[0], change.key[1]] as const }))
    return this.#track(this.#apply(kept, encoded))
  }

  async deleteRange(range: Range, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    options.signal?.throwIfAborted()
    const query = queryRange(this.#keys, range)
    if (query === undefined) return
    await this.#track(
      deleteItems(this.#client, this.#keys, range, query, options.signal, () => this.#assertOpen()),
    )
  }

  /**
   * The engine's time as its answers tell it, to about half a second. Before the first answer this machine's own, of
   * which nothing is known.
   */
  now(): { readonly ms: number; readonly uncertaintyMs: number } {
    this.#assertOpen()
    return this.#time()
  }

  close(): Promise<void> {
    this.#closed ??= Promise.allSettled(this.#underWay).then(() => this.#client.destroy())
    return this.#closed
  }

  async #read(key: Key): Promise<StoredRecord | undefined> {
    const item = await this.#client.getItem(keyItem(this.#keys, key))
    return item && fromItem(this.#keys, item, this.#sureMs())?.record
  }

  async #page(range: Range, options: ListOptions): Promise<Page> {
    const { limit } = options
    const query = queryRange(this.#keys, range, options)
    const records: StoredRecord[] = []
    if (query === undefined) return { records }
    let bytes = 0
    let start: Item | undefined = query.ExclusiveStartKey
    do {
      // One more than wanted tells whether more follow.
      const answer = await this.#client.query({
        ...query,
        ExclusiveStartKey: start,
        ScanIndexForward: options.reverse !== true,
        Limit: limit - records.length + 1,
      })
      for (const item of answer.Items ?? []) {
        const found = fromItem(this.#keys, item, this.#sureMs())
        if (found === undefined || (range.to !== undefined && found.record.key[1] >= range.to)) continue
        const last = records.at(-1)
        if (last !== undefined && (records.length === limit || bytes >= PAGE_BYTES)) {
          return { records, next: last.key[1] }
        }
        records.push(found.record)
        bytes += found.bytes
      }
      start = answer.LastEvaluatedKey
      const last = records.at(-1)
      if (start !== undefined && last !== undefined && bytes >= PAGE_BYTES)
        return { records, next: last.key[1] }
    } while (start !== undefined)
    return { records }
  }

  async #apply(changes: readonly Change[], encoded: readonly (string | undefined)[]): Promise<CommitResult> {
    const [first] = changes as readonly [Change, ...Change[]]
    if (first.op === 'check' && changes.length === 1) {
      // A linearisable read decides as well as a write would.
      const record = await this.#read(first.key)
      return holds(first.expect, record?.version)
        ? { ok: true, versions: [undefined] }
        : { ok: false, failed: [first.key] }
    }
    await this.#client.learnTime(keyItem(this.#keys, first.key))
    return applyChanges(this.#context, changes, encoded)
  }

  /** A time that has surely passed on the engine, in whole milliseconds. */
  #sureMs(): number {
    const { ms, uncertaintyMs } = this.#time()
    return Math.floor(ms - uncertaintyMs)
  }

  #time(): { readonly ms: number; readonly uncertaintyMs: number } {
    return this.#client.time() ?? { ms: this.#clock.now(), uncertaintyMs: UNCHECKED_CLOCK_MS }
  }

  #track<T>(operation: Promise<T>): Promise<T> {
    this.#underWay.add(operation)
    const done = (): unknown => this.#underWay.delete(operation)
    operation.then(done, done)
    return operation
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new SignalboxError('unavailable', 'the store is closed')
  }
}
