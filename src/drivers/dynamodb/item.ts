/**
 * Records as items. Ours carry their value as JSON text beside a version that the writer drew; an item without that
 * version was written by somebody else: it reads as a record all the same, its attributes are the value and a digest of
 * them is the version.
 *
 * Invariant: the TTL attribute stands in an item of ours only if the record expires, and never before its time, since
 * the engine deletes by it.
 */
import { createHash } from 'node:crypto'
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import type { Json, Key, StoredRecord, Version } from '../../ports/store.ts'
import { keyItem, keyOf, OWN, type Item, type TableKeys } from './table.ts'

/** Marks the versions of items that are not ours; no drawn version begins with it. */
const FOREIGN = '~'
/** Bounds of what is written as a time: the engine's numbers end, and times beyond mean the same. */
const LATEST_MS = 8.64e15

export function isForeign(version: Version): boolean {
  return version.startsWith(FOREIGN)
}

/** @param json the value as JSON text. */
export function toItem(
  keys: TableKeys,
  key: Key,
  version: Version,
  json: string,
  expiresAt: number | undefined,
): Item {
  const item: Item = { ...keyItem(keys, key), [OWN.version]: { S: version }, [OWN.value]: { S: json } }
  if (expiresAt !== undefined) {
    const ms = Math.ceil(Math.min(Math.max(expiresAt, 0), LATEST_MS))
    item[OWN.expiresAt] = { N: String(ms) }
    item[keys.ttl] = { N: String(Math.ceil(ms / 1_000)) }
  }
  return item
}

/**
 * The record in an item, and the bytes of its value.
 * @param sureMs a time that has surely passed on the engine.
 * @returns undefined when it is expired, or stands where no key of ours leads.
 */
export function fromItem(
  keys: TableKeys,
  item: Item,
  sureMs: number,
): { readonly record: StoredRecord; readonly bytes: number } | undefined {
  const key = keyOf(keys, item)
  const expiresAt = item[OWN.expiresAt]?.N
  if (key === undefined || (expiresAt !== undefined && Number(expiresAt) <= sureMs)) return undefined
  const version = item[OWN.version]?.S
  const json = item[OWN.value]?.S
  if (version !== undefined && json !== undefined) {
    return { record: { key, version, value: JSON.parse(json) as Json }, bytes: Buffer.byteLength(json) }
  }
  const attributes = foreignAttributes(keys, item)
  const value = Object.fromEntries(attributes.map(([name, attribute]) => [name, toJson(attribute)]))
  const record = { key, version: FOREIGN + digest(attributes), value }
  return { record, bytes: Buffer.byteLength(JSON.stringify(value)) }
}

/** What an item holds beside its key, in an order that does not depend on the engine's. */
export function foreignAttributes(keys: TableKeys, item: Item): [name: string, value: AttributeValue][] {
  const attributes = Object.entries(item).filter(([name]) => name !== keys.partition && name !== keys.sort)
  return attributes.toSorted(([a], [b]) => byText(a, b))
}

function digest(attributes: readonly [string, AttributeValue][]): string {
  return createHash('sha256')
    .update(JSON.stringify(attributes.map(canonical)))
    .digest('base64url')
}

/** One text for one attribute: names of maps and members of sets come in any order. */
function canonical([name, value]: readonly [string, AttributeValue]): unknown {
  if (value.M !== undefined) {
    const entries = Object.entries(value.M).toSorted(([a], [b]) => byText(a, b))
    return [name, 'M', entries.map(canonical)]
  }
  if (value.L !== undefined) return [name, 'L', value.L.map((member) => canonical(['', member]))]
  const json = toJson(value, String)
  const set = value.SS !== undefined || value.NS !== undefined || value.BS !== undefined
  return [name, Object.keys(value)[0], set ? (json as string[]).toSorted(byText) : json]
}

function toJson(value: AttributeValue, number: (text: string) => Json = Number): Json {
  if (value.S !== undefined) return value.S
  if (value.N !== undefined) return number(value.N)
  if (value.BOOL !== undefined) return value.BOOL
  if (value.L !== undefined) return value.L.map((member) => toJson(member, number))
  if (value.M !== undefined) {
    return Object.fromEntries(Object.entries(value.M).map(([name, member]) => [name, toJson(member, number)]))
  }
  if (value.SS !== undefined) return value.SS
  if (value.NS !== undefined) return value.NS.map(number)
  if (value.B !== undefined) return base64(value.B)
  return value.BS === undefined ? null : value.BS.map(base64)
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
