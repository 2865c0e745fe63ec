/**
 * Pages of a range, and its deletion.
 *
 * Invariants: a page is one state of the data (what it takes beyond the first query is read as of that query's time);
 * it is bounded in records and bytes and never empty when more follow; all queries are served by the one index
 * (queueName, entryTimestamp ascending). Descending ones want an index of their own, which dynamo-q's collection has not:
 * once the engine has said so, a reverse page is the tail of an ascending scan.
 */
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { PAGE_BYTES, type ListOptions, type Page, type Range } from '../../ports/store.ts'
import type { Connection } from './connection.ts'
import { live, type Documents, type Found } from './documents.ts'
import { isAborted, isMissingIndex, statusOf } from './errors.ts'
import {
  toMs,
  type FieldFilter,
  type RunQueryResponse,
  type StructuredQuery,
  type Timestamp,
  type Value,
} from './wire.ts'

const DELETE_BATCH = 300
const DELETE_ATTEMPTS = 6
const DELETE_BACKOFF = { baseMs: 50, maxMs: 2_000 }
/** How many more to read when expired records left a page short. */
const NEXT_BATCH = 200

/** Below every ascii key, and above. */
const LOWEST = ''
const HIGHEST = '\x7f'
/** Above every decimal key. */
const END_OF_NUMBERS = 1e15

/** The ends of a query, as filters on the key. */
interface Ends {
  readonly from: { readonly op: 'GREATER_THAN' | 'GREATER_THAN_OR_EQUAL'; readonly value: Value }
  readonly to: Value
}

interface Item {
  readonly record: Found
  /** Its document has the name that its key gives. */
  readonly own: boolean
}

export class Pages {
  readonly #connection: Connection
  readonly #documents: Documents
  #descending = true

  constructor(connection: Connection, documents: Documents) {
    this.#connection = connection
    this.#documents = documents
  }

  async list(range: Range, options: ListOptions): Promise<Page> {
    if (isEmpty(range, options)) return { records: [] }
    try {
      if (options.reverse !== true || this.#descending) return await this.#walk(range, options)
    } catch (error) {
      // ABORTED, which only transactions are prepared for, comes as it is.
      if (!isMissingIndex(error) || options.reverse !== true)
        throw this.#connection.translate(error, 'RunQuery')
      this.#descending = false
    }
    return this.#tail(range, options)
  }

  /** @param onBatch is called before each batch and throws to stop. */
  async deleteRange(range: Range, onBatch: () => void): Promise<void> {
    onBatch()
    if (isEmpty(range, { limit: 1 })) return
    const query: StructuredQuery = {
      ...this.query(range.partition, this.#ends(range, {})),
      select: { fields: [{ fieldPath: '__name__' }] },
      limit: { value: DELETE_BATCH },
    }
    for (;;) {
      onBatch()
      const names: string[] = []
      await this.#run(query, undefined, () => {
        names.length = 0
        return ({ document }) => document === null || names.push(document.name) > 0
      }).catch((error: unknown) => {
        throw this.#connection.translate(error, 'RunQuery')
      })
      if (names.length > 0) await this.#delete(names, onBatch)
      if (names.length < DELETE_BATCH) return
    }
  }

  /** The query for a part of a partition, ascending. */
  query(partition: string, { from, to }: Ends): StructuredQuery {
    const filter = (fieldPath: string, op: FieldFilter['op'], value: Value) => ({
      fieldFilter: { field: { fieldPath }, op, value },
    })
    const filters = [
      filter('queueName', 'EQUAL', { stringValue: partition }),
      filter('entryTimestamp', from.op, from.value),
      filter('entryTimestamp', 'LESS_THAN', to),
    ]
    return {
      from: [{ collectionId: this.#documents.collection }],
      where: { compositeFilter: { op: 'AND', filters } },
      orderBy: [{ field: { fieldPath: 'entryTimestamp' }, direction: 'ASCENDING' }],
    }
  }

  /** The query for a whole range, as a listener watches it. */
  watched(range: Range): StructuredQuery {
    return this.query(range.partition, this.#ends(range, {}))
  }

  /** Reads in the direction of travel until the page is full. */
  async #walk(range: Range, options: ListOptions): Promise<Page> {
    const { limit, reverse = false } = options
    const page = new PageBuilder(limit)
    let ends = this.#ends(range, options)
    let readTime: Timestamp | undefined
    for (let want = limit + 1; ; want = NEXT_BATCH) {
      const ascending = this.query(range.partition, ends)
      const orderBy = ascending.orderBy.map((order) => ({ ...order, direction: 'DESCENDING' as const }))
      const query = { ...ascending, ...(reverse ? { orderBy } : {}), limit: { value: want } }
      let batch: RunQueryResponse[] = []
      let bytes = 0
      await this.#run(query, readTime, () => {
        batch = []
        bytes = 0
        return (message) => {
          batch.push(message)
          // One record beyond the page's bytes, which tells that more follow.
          const enough = bytes >= PAGE_BYTES
          bytes += this.#item(range.partition, message)?.record.bytes ?? 0
          return !enough
        }
      })
      for (const message of batch) {
        readTime ??= message.readTime ?? undefined
        const item = this.#item(range.partition, message)
        if (item !== undefined && !page.add(item)) return page.full()
      }
      const documents = batch.flatMap(({ document }) => (document ? [document] : []))
      const last = documents.at(-1)?.fields['entryTimestamp']
      if (last === undefined || (documents.length < want && bytes < PAGE_BYTES)) return page.rest()
      ends = reverse ? { ...ends, to: last } : { ...ends, from: { op: 'GREATER_THAN', value: last } }
    }
  }

  /** A reverse page without a descending index: scans the range forwards, keeping what the page can need. */
  async #tail(range: Range, options: ListOptions): Promise<Page> {
    let items: Item[] = []
    let bytes = 0
    await this.#run(this.query(range.partition, this.#ends(range, options)), undefined, () => {
      items = []
      bytes = 0
      return (message) => {
        const item = this.#item(range.partition, message)
        if (item === undefined) return true
        items.push(item)
        bytes += item.record.bytes
        // The oldest goes when the page is full, and known not to be the end, without it.
        while (items.length > 2) {
          const [first, second] = items as [Item, Item]
          const without = bytes - first.record.bytes - second.record.bytes
          // Twice the limit, since two documents may stand for one key.
          if (items.length <= 2 * options.limit + 2 && without < PAGE_BYTES) break
          items.shift()
          bytes -= first.record.bytes
        }
        return true
      }
    }).catch((error: unknown) => {
      throw this.#connection.translate(error, 'RunQuery')
    })
    const page = new PageBuilder(options.limit)
    for (const item of items.reverse()) if (!page.add(item)) return page.full()
    return page.rest()
  }

  /** A live record, or undefined: a message without a document, an expired one, a key that is none. */
  #item(partition: string, { document, readTime }: RunQueryResponse): Item | undefined {
    const key = document === null ? undefined : this.#documents.keyOf(document.fields)
    if (document === null || key === undefined) return undefined
    const record = this.#documents.read([partition, key], document)
    if (live(record, readTime === null ? this.#connection.now().ms : toMs(readTime)) === undefined)
      return undefined
    return { record, own: document.name === this.#documents.name([partition, key]) }
  }

  #ends(range: Range, { after, reverse = false }: Partial<ListOptions>): Ends {
    const decimal = this.#documents.keys === 'decimal'
    const value = (key: string): Value => this.#documents.keyValue(key)
    const from = range.from ?? (decimal ? '0' : LOWEST)
    const end: Value = decimal ? { integerValue: String(END_OF_NUMBERS) } : { stringValue: HIGHEST }
    const to = range.to === undefined ? end : value(range.to)
    const first: Ends = { from: { op: 'GREATER_THAN_OR_EQUAL', value: value(from) }, to }
    if (after === undefined) return first
    if (reverse) return range.to === undefined || after < range.to ? { ...first, to: value(after) } : first
    return after >= from || range.from === undefined
      ? { ...first, from: { op: 'GREATER_THAN', value: value(after) } }
      : first
  }

  #run(
    structuredQuery: StructuredQuery,
    readTime: Timestamp | undefined,
    start: () => (message: RunQueryResponse) => boolean,
  ): Promise<void> {
    const { parent } = this.#documents
    return this.#connection.query(
      { parent, structuredQuery, ...(readTime === undefined ? {} : { readTime }) },
      start,
    )
  }

  async #delete(names: readonly string[], onBatch: () => void): Promise<void> {
    const writes = names.map((name) => ({ delete: name }))
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#connection.commit({ database: this.#documents.database, writes })
        return
      } catch (error) {
        if (statusOf(error) === undefined) throw error
        const again = isAborted(error) && attempt + 1 < DELETE_ATTEMPTS
        if (!again) throw this.#connection.translate(error, 'Commit')
        await sleep(this.#connection.clock, backoffDelay(DELETE_BACKOFF, attempt, this.#connection.random))
        onBatch()
      }
    }
  }
}

/** Takes records in the direction of travel until the page is full. */
class PageBuilder {
  readonly #limit: number
  readonly #items: Item[] = []
  #bytes = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** @returns false when the page was full already: more follow. */
  add(item: Item): boolean {
    const last = this.#items.at(-1)
    if (last?.record.key[1] === item.record.key[1]) {
      // Somebody's second document at one key: ours counts.
      if (item.own) this.#items[this.#items.length - 1] = item
      return true
    }
    if (last !== undefined && (this.#items.length === this.#limit || this.#bytes >= PAGE_BYTES)) return false
    this.#items.push(item)
    this.#bytes += item.record.bytes
    return true
  }

  full(): Page {
    const next = this.#items.at(-1)?.record.key[1]
    if (next === undefined) throw new SignalboxError('internal', 'a page without a record cannot be full')
    return { ...this.rest(), next }
  }

  rest(): Page {
    return { records: this.#items.map(({ record: { key, version, value } }) => ({ key, version, value })) }
  }
}

/** No key can be in it, so that nobody needs to be asked. */
function isEmpty({ from, to }: Range, { after, reverse }: ListOptions): boolean {
  if (from !== undefined && to !== undefined && from >= to) return true
  if (after === undefined) return false
  return reverse === true ? from !== undefined && after <= from : to !== undefined && after >= to
}
