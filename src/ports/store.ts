/**
 * The store port: small JSON records in partitions, ordered by key, each with a version.
 *
 * What every driver guarantees (and `drivers/conformance` checks):
 * - reads are linearisable: a `get` or `list` page that starts after a commit was acknowledged sees it;
 * - a commit is all or nothing, and durable before it is acknowledged;
 * - a version is opaque and never used again for the same key, not even after delete and put;
 * - an expired record reads as absent everywhere, swept or not.
 *
 * A driver knows no capability. It translates its engine's errors into `SignalboxError` at this border:
 * `throttled` and `unavailable` mean *not applied*; `outcome_unknown` means *reload and look*.
 */

/**
 * Partition and key. ASCII (0x20–0x7e), 1–200 bytes each, ordered by byte.
 * Stores whose `limits.keys` is `decimal` take only keys of exactly 15 digits (`decimalKey`), for which byte order and
 * numeric order agree.
 */
export type Key = readonly [partition: string, key: string]

/** Opaque; compare for equality only. */
export type Version = string

export type Json = string | number | boolean | null | readonly Json[] | { readonly [k: string]: Json }

export interface StoredRecord {
  readonly key: Key
  readonly version: Version
  readonly value: Json
}

/** What must hold for a change's key, or nothing of the commit happens. */
export type Expect = 'absent' | 'present' | { readonly version: Version }

/** One change of a commit; at most one per key. `check` asserts and writes nothing. */
export type Change = { readonly key: Key; readonly expect: Expect } & (
  | {
      readonly op: 'put'
      readonly value: Json
      /** Milliseconds since the epoch from which on the record reads as absent. */
      readonly expiresAt?: number
    }
  | { readonly op: 'delete' }
  | { readonly op: 'check' }
)

export type CommitResult =
  /** `versions[i]` is the new version of `changes[i]`; undefined for delete and check. */
  | { readonly ok: true; readonly versions: readonly (Version | undefined)[] }
  /** Nothing changed. `failed` lists the keys whose expectation did not hold, where the engine can tell. */
  | { readonly ok: false; readonly failed: readonly Key[] | 'unknown' }

/** Keys of one partition in [from, to). */
export interface Range {
  readonly partition: string
  readonly from?: string
  readonly to?: string
}

export interface ListOptions {
  /** 1–1,000 records a page. */
  readonly limit: number
  readonly reverse?: boolean
  /** Continue after this key (exclusive, in the direction of travel): the `next` of the page before. */
  readonly after?: string
}

export interface Page {
  readonly records: readonly StoredRecord[]
  /** Present when more may follow. */
  readonly next?: string
}

export interface StoreLimits {
  /** Changes a commit. */
  readonly changes: number
  /** Bytes of all values of a commit, as UTF-8 JSON. */
  readonly commitBytes: number
  /** Bytes of one value, as UTF-8 JSON. */
  readonly valueBytes: number
  readonly keys: 'ascii' | 'decimal'
}

export interface Store {
  readonly limits: StoreLimits

  /** The record, or undefined when absent or expired. Linearisable. */
  get(key: Key): Promise<StoredRecord | undefined>

  /**
   * One page of a range, in key order. Each page is strongly consistent; two pages are two reads. A page may hold fewer
   * records than the limit although more follow, since bytes bound it too (`PAGE_BYTES`); so go by `next`. It is never
   * empty when more follow.
   */
  list(range: Range, options: ListOptions): Promise<Page>

  /**
   * Applies all changes or none.
   * @throws SignalboxError `invalid_argument` (limits, repeated key, empty), `throttled` or `unavailable` (not applied),
   *   `outcome_unknown` (maybe applied: reload, then decide)
   */
  commit(changes: readonly Change[]): Promise<CommitResult>

  /**
   * Deletes a range for retention. Idempotent, not atomic; may be repeated after any failure.
   * @throws the signal's reason once it aborts; a part may be deleted by then.
   */
  deleteRange(range: Range, options?: { readonly signal?: AbortSignal }): Promise<void>

  /**
   * Hints that something in the range may have changed: coalesced, maybe spurious, never the data. The first hint
   * comes at once, after which no later change goes without one; so re-read after each. Absent: poll.
   * Ends without error when the signal aborts or the store closes.
   */
  watch?(range: Range, signal: AbortSignal): AsyncIterable<void>

  /** Engine time, and how far it may be off. */
  now(): { readonly ms: number; readonly uncertaintyMs: number }

  /** Finishes commits under way, then releases everything. Idempotent. Later calls throw `unavailable`. */
  close(): Promise<void>
}

/** The limits every driver offers at least. */
export const portableLimits: StoreLimits = {
  changes: 100,
  commitBytes: 3 * 1024 * 1024,
  valueBytes: 300 * 1024,
  keys: 'ascii',
}

/** A page of `list` ends at the latest with the record that brings its values to this many bytes as UTF-8 JSON. */
export const PAGE_BYTES = 4 * 1024 * 1024

const DECIMAL_DIGITS = 15

/** A number as a key that every store takes: 15 digits, so that byte order is numeric order. @param n 0 … 10¹⁵−1 */
export function decimalKey(n: number): string {
  return String(n).padStart(DECIMAL_DIGITS, '0')
}
