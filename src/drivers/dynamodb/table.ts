/**
 * The table as the store sees it: which attributes are its keys, and how our keys and ranges read in its terms.
 *
 * Invariants: a decimal key and the number in its sort attribute stand for each other exactly; a range never asks the
 * engine for an empty interval, which it refuses; a start key always lies within the range, as the engine demands.
 */
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { SignalboxError } from '../../kernel/error.ts'
import { decimalKey, type Key, type ListOptions, type Range } from '../../ports/store.ts'

/** Names of the attributes that the table's definition fixes. */
export interface TableKeys {
  /** Partition key, type S. */
  readonly partition: string
  readonly sort: string
  /** `number` takes decimal keys only; `string` takes any. */
  readonly sortType: 'number' | 'string'
  /** The attribute of the table's time to live; written only with records that expire. */
  readonly ttl: string
}

/** The turn table of the dynamo-q tool (references/turn-queue-dynamo-q.md). */
export const turnTableKeys: TableKeys = {
  partition: 'queueName',
  sort: 'entryTimestamp',
  sortType: 'number',
  ttl: 'lastUpdated',
}

/**
 * Attributes of our own. Their names are unlikely in anybody else's item: one that lacks the version is not ours.
 * `expiresAt` alone makes a record expire, to the millisecond; the TTL attribute only tells the engine to clean up later.
 */
export const OWN = { version: 'sbVersion', value: 'sbValue', expiresAt: 'sbExpiresAt' } as const

export type Item = Record<string, AttributeValue>

/** What a Query needs to read a range from where a page begins. */
export interface QueryRange {
  readonly KeyConditionExpression: string
  readonly ExpressionAttributeNames: Record<string, string>
  readonly ExpressionAttributeValues: Item
  readonly ExclusiveStartKey?: Item
}

const LOWEST_DECIMAL = decimalKey(0)
const HIGHEST_DECIMAL = '9'.repeat(LOWEST_DECIMAL.length)
const DECIMAL = /^\d{1,15}$/
const ASCII = /^[\x20-\x7e]{1,200}$/

/** @throws SignalboxError `config_invalid` when two attributes would have one name. */
export function checkTableKeys({ partition, sort, ttl }: TableKeys): void {
  const names = [partition, sort, ttl, ...Object.values(OWN)]
  const twice = names.find((name, i) => name === '' || names.indexOf(name) !== i)
  if (twice === undefined) return
  throw new SignalboxError(
    'config_invalid',
    `keys of the DynamoDB table: '${twice}' cannot be used; partition, sort and ttl need names of their own, none of them ${Object.values(OWN).join(', ')}`,
  )
}

export function keyItem(keys: TableKeys, [partition, key]: Key): Item {
  return { [keys.partition]: { S: partition }, [keys.sort]: sortValue(keys, key) }
}

/** Our key of an item; undefined when it stands at a place that no key of ours names (a fraction, say). */
export function keyOf(keys: TableKeys, item: Item): Key | undefined {
  const partition = item[keys.partition]?.S ?? ''
  const sort = item[keys.sort]
  if (keys.sortType === 'number') {
    return sort?.N !== undefined && DECIMAL.test(sort.N) ? [partition, decimalKey(Number(sort.N))] : undefined
  }
  return sort?.S !== undefined && ASCII.test(sort.S) ? [partition, sort.S] : undefined
}

/**
 * The query for a range, or undefined when nothing can be in it. In a table with string keys it may find one record
 * too many, at `to` itself: the engine's interval has both its ends.
 */
export function queryRange(
  keys: TableKeys,
  range: Range,
  { after, reverse = false }: Pick<ListOptions, 'after' | 'reverse'> = {},
): QueryRange | undefined {
  const { partition, from, to } = range
  if (from !== undefined && to !== undefined && from >= to) return undefined
  const begun = after === undefined ? 'before' : whereIs(after, range, reverse)
  if (begun === 'past') return undefined
  const interval = keys.sortType === 'number' ? decimalInterval(range) : asciiInterval(range)
  if (interval === undefined) return undefined
  const values: Item = { ':p': { S: partition } }
  if (interval.low !== undefined) values[':low'] = sortValue(keys, interval.low)
  if (interval.high !== undefined) values[':high'] = sortValue(keys, interval.high)
  return {
    KeyConditionExpression: `#p = :p${interval.condition}`,
    ExpressionAttributeNames: {
      '#p': keys.partition,
      ...(interval.condition === '' ? {} : { '#s': keys.sort }),
    },
    ExpressionAttributeValues: values,
    ...(begun === 'within' && after !== undefined
      ? { ExclusiveStartKey: keyItem(keys, [partition, after]) }
      : {}),
  }
}

/** Where a key lies, seen in the direction of travel. */
function whereIs(key: string, { from, to }: Range, reverse: boolean): 'before' | 'within' | 'past' {
  const below = from !== undefined && (reverse ? key <= from : key < from)
  const above = to !== undefined && key >= to
  if (below) return reverse ? 'past' : 'before'
  if (above) return reverse ? 'before' : 'past'
  return 'within'
}

interface Interval {
  readonly condition: string
  readonly low?: string | undefined
  readonly high?: string | undefined
}

/** Both ends always, so that numbers that are no key of ours stay outside. */
function decimalInterval({ from = LOWEST_DECIMAL, to }: Range): Interval | undefined {
  if (to === LOWEST_DECIMAL) return undefined
  const high = to === undefined ? HIGHEST_DECIMAL : decimalKey(Number(to) - 1)
  return { condition: ' AND #s BETWEEN :low AND :high', low: from, high }
}

function asciiInterval({ from, to }: Range): Interval {
  if (from !== undefined && to !== undefined) {
    return { condition: ' AND #s BETWEEN :low AND :high', low: from, high: to }
  }
  if (from !== undefined) return { condition: ' AND #s >= :low', low: from }
  return to === undefined ? { condition: '' } : { condition: ' AND #s < :high', high: to }
}

function sortValue(keys: TableKeys, key: string): AttributeValue {
  return keys.sortType === 'number' ? { N: String(Number(key)) } : { S: key }
}
