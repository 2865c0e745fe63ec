/** What the parts of the suite share: the store under test, fresh partitions, and short ways to say common things. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect } from 'vitest'
import type {
  Change,
  CommitResult,
  Expect,
  Json,
  Key,
  ListOptions,
  Range,
  Store,
  StoredRecord,
  Version,
} from '../../ports/store.ts'
import { decimalKey } from '../../ports/store.ts'

export interface ConformanceTarget {
  readonly store: Store
  /** Moves engine time forward. Without it, tests that need time to pass are skipped. */
  readonly advance?: (ms: number) => Promise<void>
  /** Closes the store and opens the same data again. Without it, durability is not tested. */
  readonly reopen?: () => Promise<Store>
  /** Releases everything. The store may be closed already. */
  readonly close: () => Promise<void>
}

export type OpenTarget = () => Promise<ConformanceTarget>

export interface ConformanceOptions {
  /** False for engines that cannot push; default true. */
  readonly watch?: boolean
  /** What the store takes as keys; default `ascii`. */
  readonly keys?: 'ascii' | 'decimal'
}

export interface Context {
  readonly store: Store
  readonly advance: ((ms: number) => Promise<void>) | undefined
}

/** One store for all tests of the enclosing block. */
export function openForBlock(open: OpenTarget): Context {
  let target: ConformanceTarget | undefined
  beforeAll(async () => {
    target = await open()
  })
  afterAll(() => target?.close())
  const opened = (): ConformanceTarget => target!
  return {
    get store() {
      return opened().store
    },
    get advance() {
      return opened().advance
    },
  }
}

/** A partition nobody else has, also in a table that outlives the run. */
export function freshPartition(): string {
  return `t/${randomUUID()}`
}

export function key(partition: string, n: number): Key {
  return [partition, decimalKey(n)]
}

export function put(at: Key, value: Json, expect: Expect = 'absent', expiresAt?: number): Change {
  return { key: at, expect, op: 'put', value, ...(expiresAt === undefined ? {} : { expiresAt }) }
}

export function remove(at: Key, expect: Expect = 'present'): Change {
  return { key: at, expect, op: 'delete' }
}

export function check(at: Key, expect: Expect): Change {
  return { key: at, expect, op: 'check' }
}

/** Commits, which must succeed. @returns the versions */
export async function apply(store: Store, ...changes: Change[]): Promise<readonly (Version | undefined)[]> {
  const result = await store.commit(changes)
  if (!result.ok) throw new Error(`commit failed: ${JSON.stringify(result)}`)
  return result.versions
}

/** Puts values at keys 0, 1, 2, … a hundred a commit. */
export async function fill(store: Store, partition: string, values: readonly Json[]): Promise<void> {
  for (let i = 0; i < values.length; i += 100) {
    await apply(store, ...values.slice(i, i + 100).map((value, j) => put(key(partition, i + j), value)))
  }
}

/** Follows `next` to the end. */
export async function listAll(
  store: Store,
  range: Range,
  options: ListOptions = { limit: 1_000 },
): Promise<StoredRecord[]> {
  const records: StoredRecord[] = []
  let after = options.after
  do {
    const page = await store.list(range, { ...options, ...(after === undefined ? {} : { after }) })
    expect(page.records.length).toBeLessThanOrEqual(options.limit)
    if (page.next !== undefined) expect([page.records.length > 0, page.next !== after]).toEqual([true, true])
    records.push(...page.records)
    after = page.next
  } while (after !== undefined)
  return records
}

export async function valuesOf(store: Store, range: Range, options?: ListOptions): Promise<Json[]> {
  return (await listAll(store, range, options)).map(({ value }) => value)
}

/** The commit failed, and where the engine can tell, for exactly these keys. */
export function expectFailed(result: CommitResult, ...keys: Key[]): void {
  expect(result.ok).toBe(false)
  if (result.ok || result.failed === 'unknown') return
  expect(result.failed.map((k) => k.join(' ')).toSorted()).toEqual(keys.map((k) => k.join(' ')).toSorted())
}
