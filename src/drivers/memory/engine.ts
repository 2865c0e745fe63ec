/**
 * The data of the memory store: synchronous, without faults, shared by every handle connected to it.
 *
 * Invariants: the keys of a partition are sorted; values are kept as JSON text, so that no caller shares an object with
 * the store; versions come from one sequence that never goes back.
 */
import {
  PAGE_BYTES,
  type Change,
  type CommitResult,
  type Json,
  type Key,
  type ListOptions,
  type Page,
  type Range,
  type StoredRecord,
  type Version,
} from '../../ports/store.ts'
import { holds } from '../shared/expect.ts'

interface Row {
  readonly key: string
  readonly version: Version
  readonly json: string
  readonly expiresAt: number | undefined
}

interface Partition {
  readonly rows: Map<string, Row>
  /** The keys of `rows`, sorted by byte: for ASCII the order of JavaScript's `<`. */
  readonly keys: string[]
}

export class MemoryEngine {
  readonly #partitions = new Map<string, Partition>()
  #sequence = 0

  get([name, key]: Key, now: number): StoredRecord | undefined {
    const row = live(this.#partitions.get(name)?.rows.get(key), now)
    return row && toRecord(name, row)
  }

  list(range: Range, options: ListOptions, now: number): Page {
    const records: StoredRecord[] = []
    let bytes = 0
    for (const row of this.#walk(range, options)) {
      if (live(row, now) === undefined) continue
      const last = records.at(-1)
      if (last !== undefined && (records.length === options.limit || bytes >= PAGE_BYTES)) {
        return { records, next: last.key[1] }
      }
      records.push(toRecord(range.partition, row))
      bytes += Buffer.byteLength(row.json)
    }
    return { records }
  }

  /** @param encoded the values as JSON text, by index (from `checkCommit`). */
  commit(changes: readonly Change[], encoded: readonly (string | undefined)[], now: number): CommitResult {
    const failed = changes.filter(({ key, expect }) => {
      const row = live(this.#partitions.get(key[0])?.rows.get(key[1]), now)
      return !holds(expect, row?.version)
    })
    if (failed.length > 0) return { ok: false, failed: failed.map(({ key }) => key) }
    const versions = changes.map((change, i) => {
      if (change.op === 'delete') this.#delete(change.key)
      return change.op === 'put' ? this.#put(change.key, encoded[i] as string, change.expiresAt) : undefined
    })
    return { ok: true, versions }
  }

  deleteRange(range: Range): void {
    const partition = this.#partitions.get(range.partition)
    if (partition === undefined) return
    const [from, to] = bounds(partition.keys, range)
    for (const key of partition.keys.splice(from, Math.max(0, to - from))) partition.rows.delete(key)
    if (partition.keys.length === 0) this.#partitions.delete(range.partition)
  }

  *#walk(range: Range, { after, reverse = false }: ListOptions): Generator<Row> {
    const partition = this.#partitions.get(range.partition)
    if (partition === undefined) return
    let [from, to] = bounds(partition.keys, range)
    if (after !== undefined && reverse) to = Math.min(to, lowerBound(partition.keys, after))
    if (after !== undefined && !reverse) from = Math.max(from, upperBound(partition.keys, after))
    for (let i = 0; i < to - from; i++) {
      yield partition.rows.get(partition.keys[reverse ? to - 1 - i : from + i] as string) as Row
    }
  }

  #put([name, key]: Key, json: string, expiresAt: number | undefined): Version {
    let partition = this.#partitions.get(name)
    if (partition === undefined) this.#partitions.set(name, (partition = { rows: new Map(), keys: [] }))
    if (!partition.rows.has(key)) partition.keys.splice(lowerBound(partition.keys, key), 0, key)
    const version = String(++this.#sequence)
    partition.rows.set(key, { key, version, json, expiresAt })
    return version
  }

  #delete([name, key]: Key): void {
    const partition = this.#partitions.get(name)
    if (partition?.rows.delete(key) !== true) return
    partition.keys.splice(lowerBound(partition.keys, key), 1)
    if (partition.keys.length === 0) this.#partitions.delete(name)
  }
}

function live(row: Row | undefined, now: number): Row | undefined {
  return row?.expiresAt !== undefined && row.expiresAt <= now ? undefined : row
}

function toRecord(partition: string, row: Row): StoredRecord {
  return { key: [partition, row.key], version: row.version, value: JSON.parse(row.json) as Json }
}

function bounds(keys: readonly string[], { from, to }: Range): [from: number, to: number] {
  return [
    from === undefined ? 0 : lowerBound(keys, from),
    to === undefined ? keys.length : lowerBound(keys, to),
  ]
}

/** Index of the first key ≥ the given one. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((keys[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}

/** Index of the first key > the given one. */
function upperBound(keys: readonly string[], key: string): number {
  const index = lowerBound(keys, key)
  return keys[index] === key ? index + 1 : index
}
