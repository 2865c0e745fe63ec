/**
 * Structured queries: filters, order, cursors, limit, select; and which of them which indexes serve
 * (https://cloud.google.com/firestore/docs/query-data/index-overview).
 *
 * What is not built is refused as UNIMPLEMENTED, so that no test passes on a half-understood query.
 */
import { code, Status, type Message } from './protocol.ts'
import { compare, compareNames, sameType, type Stored } from './values.ts'

type Direction = 'ASCENDING' | 'DESCENDING'

/** A composite index of a collection. `__name__` is understood at its end. */
export interface Index {
  readonly collection: string
  readonly fields: readonly { readonly path: string; readonly order: Direction }[]
}

interface Filter {
  readonly path: string
  readonly op: string
  readonly value: Message
}

export interface Query {
  readonly parent: string
  readonly collection: string
  readonly filters: readonly Filter[]
  /** Complete: with the order that Firestore adds. */
  readonly order: readonly { readonly path: string; readonly direction: Direction }[]
  readonly startAt: Message
  readonly endAt: Message
  readonly offset: number
  readonly limit: number
  readonly select: readonly string[] | undefined
}

const OPERATORS: Readonly<Record<string, (order: number) => boolean>> = {
  EQUAL: (order) => order === 0,
  LESS_THAN: (order) => order < 0,
  LESS_THAN_OR_EQUAL: (order) => order <= 0,
  GREATER_THAN: (order) => order > 0,
  GREATER_THAN_OR_EQUAL: (order) => order >= 0,
}

/** @throws Status UNIMPLEMENTED for what the fake does not know */
export function parseQuery(parent: string, query: Message): Query {
  const [from, ...more] = query.from
  if (from === undefined || more.length > 0 || from.allDescendants) {
    throw new Status(code.UNIMPLEMENTED, 'the fake takes queries of one collection')
  }
  const filters = query.where ? parseFilters(query.where) : []
  for (const { op } of filters) {
    if (OPERATORS[op] === undefined)
      throw new Status(code.UNIMPLEMENTED, `the fake does not know the filter ${op}`)
  }
  return {
    parent,
    collection: from.collectionId,
    filters,
    order: completeOrder(query.orderBy, filters),
    startAt: query.startAt,
    endAt: query.endAt,
    offset: query.offset ?? 0,
    limit: query.limit ? query.limit.value : Infinity,
    select: query.select?.fields.map((field: Message) => field.fieldPath),
  }
}

function parseFilters(where: Message): Filter[] {
  if (where.fieldFilter) {
    const { field, op, value } = where.fieldFilter
    return [{ path: field.fieldPath, op, value }]
  }
  if (where.compositeFilter?.op === 'AND') return where.compositeFilter.filters.flatMap(parseFilters)
  throw new Status(code.UNIMPLEMENTED, 'the fake takes field filters joined by AND')
}

/** Fields of inequalities, and then the name, follow in the direction of the last order. */
function completeOrder(orderBy: Message[], filters: readonly Filter[]): Query['order'] {
  const order = orderBy.map(({ field, direction }) => ({
    path: field.fieldPath as string,
    direction: (direction === 'DESCENDING' ? direction : 'ASCENDING') as Direction,
  }))
  const direction = order.at(-1)?.direction ?? 'ASCENDING'
  const inequalities = filters.filter(({ op }) => op !== 'EQUAL').map(({ path }) => path)
  for (const path of [...new Set(inequalities), '__name__']) {
    if (!order.some((o) => o.path === path)) order.push({ path, direction })
  }
  return order
}

export function matches(query: Query, document: Stored): boolean {
  const prefix = `${query.parent}/${query.collection}/`
  if (!document.name.startsWith(prefix) || document.name.includes('/', prefix.length)) return false
  if (query.order.some(({ path }) => valueAt(document, path) === undefined)) return false
  return query.filters.every(({ path, op, value }) => {
    const actual = valueAt(document, path)
    return actual !== undefined && sameType(actual, value) && OPERATORS[op]?.(compare(actual, value)) === true
  })
}

/** The documents of a query's answer, in order. */
export function evaluate(query: Query, documents: Iterable<Stored>): Stored[] {
  const found = [...documents].filter((document) => matches(query, document))
  found.sort((a, b) => inOrder(query, a, b))
  const from = query.startAt ? found.filter((d) => !isBefore(query, d, query.startAt)) : found
  const upTo = query.endAt ? from.filter((d) => isBefore(query, d, query.endAt)) : from
  return upTo.slice(query.offset, query.offset + query.limit).map((document) => selected(query, document))
}

/** @throws Status FAILED_PRECONDITION when no index serves the query */
export function checkIndex(query: Query, indexes: readonly Index[]): void {
  const equal = [...new Set(query.filters.filter(({ op }) => op === 'EQUAL').map(({ path }) => path))]
  const order = query.order.filter(({ path }) => path !== '__name__' && !equal.includes(path))
  const byName = query.order.at(-1)?.direction
  // Each field has an index of its own, both ways; those of equalities merge as long as nothing else orders.
  if (order.length === 0 && (equal.length === 0 || byName === 'ASCENDING')) return
  if (equal.length === 0 && order.length === 1) return
  const serves = ({ collection, fields }: Index): boolean => {
    const named = fields.filter(({ path }) => path !== '__name__')
    const nameOrder = fields.find(({ path }) => path === '__name__')?.order ?? named.at(-1)?.order
    const head = named.slice(0, equal.length).map(({ path }) => path)
    const tail = named.slice(equal.length)
    return (
      collection === query.collection &&
      named.length === equal.length + order.length &&
      equal.every((path) => head.includes(path)) &&
      order.every(({ path, direction }, i) => tail[i]?.path === path && tail[i]?.order === direction) &&
      nameOrder === byName
    )
  }
  if (!indexes.some(serves)) throw new Status(code.FAILED_PRECONDITION, 'The query requires an index.')
}

function inOrder(query: Query, a: Stored, b: Stored): number {
  for (const { path, direction } of query.order) {
    const order =
      path === '__name__' ? compareNames(a.name, b.name) : compare(valueAt(a, path), valueAt(b, path))
    if (order !== 0) return direction === 'ASCENDING' ? order : -order
  }
  return 0
}

/** Does the document stand before the cursor? */
function isBefore(query: Query, document: Stored, cursor: Message): boolean {
  for (const [i, value] of cursor.values.entries()) {
    const { path, direction } = query.order[i] as Query['order'][number]
    const order = compare(valueAt(document, path), value)
    if (order !== 0) return direction === 'ASCENDING' ? order < 0 : order > 0
  }
  return cursor.before !== true
}

function selected(query: Query, document: Stored): Stored {
  if (query.select === undefined) return document
  const wanted = Object.entries(document.fields).filter(([name]) => query.select?.includes(name))
  return { ...document, fields: Object.fromEntries(wanted) }
}

function valueAt(document: Stored, path: string): Message {
  return path === '__name__' ? { referenceValue: document.name } : document.fields[path]
}
