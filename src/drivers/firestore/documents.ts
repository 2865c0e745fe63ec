/**
 * How a record lies in a collection, and what a document that we find there says.
 *
 * - `queueName` is the partition and `entryTimestamp` the key, as in the collection of dynamo-q, so that its one composite
 *   index (queueName, entryTimestamp, __name__, all ascending) serves every query.
 * - `value` is our value as JSON text. `nonce` is new with each write: a write that changes no field does not advance a
 *   document's update time, and update times are our versions.
 * - A record that expires carries `expiresAt` (milliseconds: what counts), `expireAt` (the same as a timestamp, for a
 *   TTL policy) and `lastUpdated` (the same in seconds, rounded up: clients of dynamo-q remove leading entries whose
 *   `lastUpdated` is missing or more than 120 s old).
 *
 * Invariants: a key has exactly one document name; a version carries its record's expiry, so that whoever holds a
 * version knows whether it may have expired without reading it again; a document of someone else (without `value`) is a
 * record too: its value is its other fields, and it never expires.
 */
import {
  decimalKey,
  type Change,
  type Json,
  type Key,
  type StoredRecord,
  type StoreLimits,
  type Version,
} from '../../ports/store.ts'
import type { Place } from './errors.ts'
import {
  asNumber,
  fieldsToJson,
  numberValue,
  type Document,
  type Fields,
  type Timestamp,
  type Value,
} from './wire.ts'

type KeyKind = StoreLimits['keys']

/** A record as found, expired or not. */
export interface Found extends StoredRecord {
  readonly expiresAt: number | undefined
  /** Of its value as stored. */
  readonly bytes: number
}

/** Timestamps reach to the end of the year 9999; a later end is none for a TTL policy. */
const LAST_SECOND = 253_402_300_799

/** Names documents of one collection and reads them. */
export class Documents {
  /** `projects/<p>/databases/<d>` */
  readonly database: string
  /** Where queries start: `projects/<p>/databases/<d>/documents` */
  readonly parent: string
  readonly collection: string
  readonly keys: KeyKind
  readonly #prefix: string

  constructor(place: Place, keys: KeyKind) {
    this.database = `projects/${place.project}/databases/${place.database}`
    this.parent = `${this.database}/documents`
    this.collection = place.collection
    this.keys = keys
    this.#prefix = `${this.parent}/${place.collection}/`
  }

  /**
   * Decimal keys: `<base64url(partition)>-<number>`, which is also how dynamo-q names an entry. Ascii keys:
   * `<base64url(partition)>.<base64url(key)>`: a dot is not in that alphabet, and no id is `.`, `..` or `__…__`.
   */
  name([partition, key]: Key): string {
    const id =
      this.keys === 'decimal' ? `${base64(partition)}-${Number(key)}` : `${base64(partition)}.${base64(key)}`
    return this.#prefix + id
  }

  /** The key as it stands in `entryTimestamp`. */
  keyValue(key: string): Value {
    return this.keys === 'decimal' ? { integerValue: String(Number(key)) } : { stringValue: key }
  }

  /** The key in `entryTimestamp`, or undefined when that is none of ours. */
  keyOf(fields: Fields): string | undefined {
    const value = fields['entryTimestamp']
    if (this.keys === 'ascii') return value?.stringValue === '' ? undefined : value?.stringValue
    const number = asNumber(value)
    if (number === undefined || !Number.isInteger(number) || number < 0 || number > 999_999_999_999_999)
      return
    return decimalKey(number)
  }

  /** The least key above this one. */
  successor(key: string): string {
    // Ascii: no key sorts between `a` and `a ` (space is the first printable character).
    return this.keys === 'decimal' ? decimalKey(Number(key) + 1) : `${key} `
  }

  fields(change: Change & { readonly op: 'put' }, json: string, nonce: string): Fields {
    return {
      queueName: { stringValue: change.key[0] },
      entryTimestamp: this.keyValue(change.key[1]),
      value: { stringValue: json },
      nonce: { stringValue: nonce },
      ...(change.expiresAt === undefined ? {} : expiryFields(change.expiresAt)),
    }
  }

  /** Reads a document found at this key. */
  read(key: Key, { fields, updateTime }: Document): Found {
    const json = fields['value']?.stringValue
    // Only what has both was written here; anything else is somebody's entry.
    if (json !== undefined && fields['nonce']?.stringValue !== undefined) {
      const expiresAt = asNumber(fields['expiresAt'])
      const version = formatVersion(updateTime, expiresAt)
      return { key, version, value: JSON.parse(json) as Json, expiresAt, bytes: Buffer.byteLength(json) }
    }
    const { queueName: _, entryTimestamp: __, ...others } = fields
    const value = fieldsToJson(others)
    const bytes = Buffer.byteLength(JSON.stringify(value))
    return { key, version: formatVersion(updateTime, undefined), value, expiresAt: undefined, bytes }
  }
}

/** The record as it reads at this moment of the engine's time. */
export function live(found: Found | undefined, nowMs: number): StoredRecord | undefined {
  if (found === undefined || (found.expiresAt !== undefined && found.expiresAt <= nowMs)) return undefined
  return { key: found.key, version: found.version, value: found.value }
}

/** `<seconds>.<nanos>`, and `x<expiresAt>` when the record expires. */
export function formatVersion({ seconds, nanos }: Timestamp, expiresAt: number | undefined): Version {
  const time = `${seconds}.${String(nanos).padStart(9, '0')}`
  return expiresAt === undefined ? time : `${time}x${expiresAt}`
}

// Update times are whole microseconds; the engine refuses a precondition on any other.
const VERSION = /^(\d{1,12})\.(\d{6}000)(?:x(.+))?$/

/** What a version says, or undefined when it cannot be one of ours. */
export function parseVersion(
  version: Version,
): { readonly updateTime: Timestamp; readonly expiresAt: number | undefined } | undefined {
  const match = VERSION.exec(version)
  if (match === null) return undefined
  const [, seconds = '', nanos = '', expiry] = match
  const expiresAt = expiry === undefined ? undefined : Number(expiry)
  if (Number.isNaN(expiresAt)) return undefined
  return { updateTime: { seconds, nanos: Number(nanos) }, expiresAt }
}

function expiryFields(expiresAt: number): Fields {
  const seconds = Math.ceil(expiresAt / 1_000)
  const whole = Math.floor(expiresAt / 1_000)
  const inReach = whole >= 0 && whole <= LAST_SECOND
  const nanos = inReach ? Math.round((expiresAt - whole * 1_000) * 1_000) * 1_000 : 0
  return {
    expiresAt: numberValue(expiresAt),
    lastUpdated: numberValue(seconds),
    ...(inReach
      ? { expireAt: { timestampValue: { seconds: String(whole), nanos: Math.min(nanos, 999_999_000) } } }
      : {}),
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64url')
}
