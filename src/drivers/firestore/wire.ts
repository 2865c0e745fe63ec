/**
 * The messages of Firestore's API (google.firestore.v1) as far as this driver speaks it, in the shape the SDK's stub
 * takes and gives: 64-bit numbers as text, enums by name, of a oneof the one that is set.
 * Facts: https://cloud.google.com/firestore/docs/reference/rpc/google.firestore.v1
 */
import type { Json } from '../../ports/store.ts'

export interface Timestamp {
  readonly seconds: string
  readonly nanos: number
}

export interface Value {
  readonly nullValue?: unknown
  readonly booleanValue?: boolean
  readonly integerValue?: string
  readonly doubleValue?: number
  readonly timestampValue?: Timestamp
  readonly stringValue?: string
  readonly bytesValue?: Uint8Array
  readonly referenceValue?: string
  readonly geoPointValue?: { readonly latitude: number; readonly longitude: number }
  readonly arrayValue?: { readonly values: readonly Value[] }
  readonly mapValue?: { readonly fields: Fields }
}

export type Fields = Readonly<Record<string, Value>>

export interface Document {
  /** `projects/<p>/databases/<d>/documents/<collection>/<id>` */
  readonly name: string
  readonly fields: Fields
  readonly updateTime: Timestamp
}

export interface Precondition {
  readonly exists?: boolean
  readonly updateTime?: Timestamp
}

export interface Write {
  readonly update?: { readonly name: string; readonly fields: Fields }
  readonly delete?: string
  readonly currentDocument?: Precondition
}

export interface CommitRequest {
  readonly database: string
  readonly writes: readonly Write[]
  readonly transaction?: Uint8Array
}

export interface CommitResponse {
  readonly writeResults: readonly { readonly updateTime: Timestamp | null }[]
  readonly commitTime: Timestamp
}

export interface NewTransaction {
  readonly readWrite: { readonly retryTransaction?: Uint8Array }
}

export interface BatchGetRequest {
  readonly database: string
  readonly documents: readonly string[]
  readonly newTransaction?: NewTransaction
}

/** One message of the answer's stream. */
export interface BatchGetResponse {
  readonly found?: Document
  readonly missing?: string
  readonly transaction?: Uint8Array
  readonly readTime: Timestamp | null
}

export interface FieldFilter {
  readonly field: { readonly fieldPath: string }
  readonly op: 'EQUAL' | 'GREATER_THAN' | 'GREATER_THAN_OR_EQUAL' | 'LESS_THAN'
  readonly value: Value
}

export interface StructuredQuery {
  readonly select?: { readonly fields: readonly { readonly fieldPath: string }[] }
  readonly from: readonly { readonly collectionId: string }[]
  readonly where: {
    readonly compositeFilter: {
      readonly op: 'AND'
      readonly filters: readonly { readonly fieldFilter: FieldFilter }[]
    }
  }
  readonly orderBy: readonly {
    readonly field: { readonly fieldPath: string }
    readonly direction: 'ASCENDING' | 'DESCENDING'
  }[]
  readonly limit?: { readonly value: number }
}

export interface RunQueryRequest {
  readonly parent: string
  readonly structuredQuery: StructuredQuery
  readonly readTime?: Timestamp
}

/** One message of the answer's stream. */
export interface RunQueryResponse {
  readonly document: Document | null
  readonly readTime: Timestamp | null
}

/** What a listener wants to hear about: a query's results, or single documents. */
export type TargetSource =
  | { readonly query: { readonly parent: string; readonly structuredQuery: StructuredQuery } }
  | { readonly documents: { readonly documents: readonly string[] } }

export interface ListenRequest {
  readonly database: string
  readonly addTarget?: TargetSource & { readonly targetId: number; readonly resumeToken?: Uint8Array }
  readonly removeTarget?: number
}

export interface ListenResponse {
  readonly targetChange?: {
    readonly targetChangeType: 'NO_CHANGE' | 'ADD' | 'REMOVE' | 'CURRENT' | 'RESET'
    /** Empty: all targets of the stream. */
    readonly targetIds: readonly number[]
    readonly cause: { readonly code: number; readonly message: string } | null
    readonly resumeToken: Uint8Array
  }
  readonly documentChange?: {
    readonly targetIds: readonly number[]
    readonly removedTargetIds: readonly number[]
  }
  readonly documentDelete?: { readonly removedTargetIds: readonly number[] }
  readonly documentRemove?: { readonly removedTargetIds: readonly number[] }
  readonly filter?: { readonly targetId: number }
}

/** Milliseconds since the epoch, with their fraction. */
export function toMs({ seconds, nanos }: Timestamp): number {
  return Number(seconds) * 1_000 + nanos / 1e6
}

/** Whole numbers as integers, others as doubles; Firestore orders and compares both alike. */
export function numberValue(n: number): Value {
  return Number.isSafeInteger(n) ? { integerValue: String(n) } : { doubleValue: n }
}

/** The number in a field, or undefined when it holds none. */
export function asNumber(value: Value | undefined): number | undefined {
  if (value?.integerValue !== undefined) return Number(value.integerValue)
  return value?.doubleValue
}

/** Any field as JSON: what has no form there becomes text (times in ISO 8601, bytes in base64). */
export function toJson(value: Value): Json {
  if (value.stringValue !== undefined) return value.stringValue
  if (value.booleanValue !== undefined) return value.booleanValue
  const number = asNumber(value)
  if (number !== undefined) return Number.isFinite(number) ? number : String(number)
  if (value.timestampValue !== undefined) return new Date(toMs(value.timestampValue)).toISOString()
  if (value.referenceValue !== undefined) return value.referenceValue
  if (value.bytesValue !== undefined) return Buffer.from(value.bytesValue).toString('base64')
  if (value.arrayValue !== undefined) return value.arrayValue.values.map(toJson)
  if (value.mapValue !== undefined) return fieldsToJson(value.mapValue.fields)
  if (value.geoPointValue !== undefined) {
    return { latitude: value.geoPointValue.latitude, longitude: value.geoPointValue.longitude }
  }
  return null
}

export function fieldsToJson(fields: Fields): { readonly [k: string]: Json } {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, toJson(value)]))
}
