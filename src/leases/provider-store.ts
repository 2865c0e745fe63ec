/**
 * Reads a provider's state from its records, and turns a new state into the changes of one commit.
 *
 * Invariants: what is adopted was committed, or read whole under one header version; every commit changes the header
 * under its version, so the requests and outcomes read with it are still true.
 */
import type { Change, Store, StoredRecord, Version } from '../ports/store.ts'
import { decimalKey } from '../ports/store.ts'
import type { ProviderName } from './api.ts'
import {
  asJson,
  entryKey,
  headerKey,
  outcomeKey,
  partitionOf,
  type Kept,
  type StoredHeader,
} from './records.ts'
import { emptyState, OUTCOME_KEPT_MS, type Entry, type LeaseState, type Outcome } from './state.ts'

const PAGE = 1_000
const NO_OUTCOMES: LeaseState['outcomes'] = new Map()

interface Bucket {
  readonly version: Version | undefined
  readonly kept: Kept['outcomes']
}

/** The state as of one header version. */
interface Loaded {
  readonly state: LeaseState
  readonly version: Version | undefined
  readonly stamp: string | undefined
  /** Versions of the requests' records, by sequence number. */
  readonly versions: ReadonlyMap<number, Version>
}

export interface Prepared {
  readonly changes: readonly Change[]
  readonly stamp: string
  readonly state: LeaseState
}

export class ProviderStore {
  readonly #store: Store
  readonly #name: ProviderName
  /** Do others write here too? Then the header is looked at before each use of what is known. */
  readonly #shared: boolean
  #loaded: Loaded | undefined

  constructor(store: Store, name: ProviderName, shared: boolean) {
    this.#store = store
    this.#name = name
    this.#shared = shared
  }

  /** What was last known, without a look at the store. */
  get known(): LeaseState | undefined {
    return this.#loaded?.state
  }

  get version(): Version | undefined {
    return this.#loaded?.version
  }

  get stamp(): string | undefined {
    return this.#loaded?.stamp
  }

  forget(): void {
    this.#loaded = undefined
  }

  /** The state without outcomes. */
  async load(): Promise<LeaseState> {
    const held = this.#loaded
    if (held !== undefined) {
      if (!this.#shared) return held.state
      const header = await this.#store.get(headerKey(this.#name))
      if (header?.version === held.version) return held.state
    }
    this.#loaded = await this.#readWhole()
    return this.#loaded.state
  }

  /** What became of these SHAs, as far as it is kept. */
  async outcomes(shas: Iterable<string>): Promise<Map<string, Outcome>> {
    const found = new Map<string, Outcome>()
    for (const sha of new Set(shas)) {
      const { kept } = await this.#bucket(sha)
      const mine = kept.find((one) => one.sha === sha)
      if (mine !== undefined) found.set(sha, mine)
    }
    return found
  }

  /** The commit that makes `after` of `before`, which was loaded and has had its outcomes added. */
  async prepare(before: LeaseState, after: LeaseState, stamp: string, now: number): Promise<Prepared> {
    const name = this.#name
    const expectHeader = this.version === undefined ? 'absent' : { version: this.version }
    const changes: Change[] = [
      { op: 'put', key: headerKey(name), expect: expectHeader, value: asJson({ ...after.header, stamp }) },
    ]
    if (after.entries !== before.entries) this.#entryChanges(before, after, changes)
    if (after.outcomes !== before.outcomes) await this.#outcomeChanges(before, after, changes, now)
    return { changes, stamp, state: { ...after, outcomes: NO_OUTCOMES } }
  }

  /** The prepared commit was made. */
  adopt({ changes, stamp, state }: Prepared, versions: readonly (Version | undefined)[]): void {
    const own = partitionOf(this.#name)
    const held = new Map(this.#loaded?.versions)
    changes.forEach(({ key: [partition, key], op }, index) => {
      if (partition !== own || index === 0) return
      const version = versions[index]
      if (op === 'delete') held.delete(Number(key))
      else if (version !== undefined) held.set(Number(key), version)
    })
    this.#loaded = { state, stamp, version: versions[0], versions: held }
  }

  /** Removes what a clear left behind. Harmless to repeat. */
  async sweep(): Promise<void> {
    const to = this.#loaded?.state.header.from ?? 1
    if (to > 1) {
      const range = { partition: partitionOf(this.#name), from: decimalKey(1), to: decimalKey(to) }
      await this.#store.deleteRange(range)
    }
  }

  async #readWhole(): Promise<Loaded> {
    const partition = partitionOf(this.#name)
    for (;;) {
      const records: StoredRecord[] = []
      for (let after: string | undefined; ;) {
        const page = await this.#store.list(
          { partition },
          after === undefined ? { limit: PAGE } : { limit: PAGE, after },
        )
        records.push(...page.records)
        after = page.next
        if (after === undefined) break
      }
      const first = records[0]
      if (records.length < PAGE) return loadedFrom(records, this.#store.now().ms)
      // Several pages are several reads: true only if nothing was decided in between.
      const header = await this.#store.get(headerKey(this.#name))
      if (header?.version === first?.version) return loadedFrom(records, this.#store.now().ms)
    }
  }

  #entryChanges(before: LeaseState, after: LeaseState, changes: Change[]): void {
    for (const entry of after.entries.values()) {
      if (before.entries.get(entry.sha) === entry) continue
      const version = this.#loaded?.versions.get(entry.seq)
      const key = entryKey(this.#name, entry.seq)
      const expect = version === undefined ? 'absent' : { version }
      changes.push({ op: 'put', key, expect, value: asJson(entry) })
    }
    for (const { sha, seq } of before.entries.values()) {
      // What a clear removed lies below `from` and is swept; the same SHA may be known anew under another number.
      if (after.entries.get(sha)?.seq === seq || seq < after.header.from) continue
      const version = this.#loaded?.versions.get(seq)
      if (version === undefined) continue
      changes.push({ op: 'delete', key: entryKey(this.#name, seq), expect: { version } })
    }
  }

  async #outcomeChanges(
    before: LeaseState,
    after: LeaseState,
    changes: Change[],
    now: number,
  ): Promise<void> {
    const shas = new Set([...before.outcomes.keys(), ...after.outcomes.keys()])
    const buckets = new Map<string, Bucket & { readonly sha: string }>()
    for (const sha of shas) {
      const outcome = after.outcomes.get(sha)
      if (outcome === before.outcomes.get(sha)) continue
      const [, key] = outcomeKey(this.#name, sha)
      const bucket = buckets.get(key) ?? (await this.#bucket(sha))
      const others = bucket.kept.filter((one) => one.sha !== sha && now - one.at < OUTCOME_KEPT_MS)
      const kept = outcome === undefined ? others : [...others, { ...outcome, sha }]
      buckets.set(key, { version: bucket.version, kept, sha })
    }
    for (const { version, kept, sha } of buckets.values()) {
      const key = outcomeKey(this.#name, sha)
      const expect = version === undefined ? 'absent' : { version }
      if (kept.length > 0) {
        const expiresAt = Math.max(...kept.map(({ at }) => at)) + OUTCOME_KEPT_MS
        changes.push({ op: 'put', key, expect, value: asJson({ outcomes: kept }), expiresAt })
      } else if (version !== undefined) changes.push({ op: 'delete', key, expect: { version } })
    }
  }

  async #bucket(sha: string): Promise<Bucket> {
    const record = await this.#store.get(outcomeKey(this.#name, sha))
    if (record === undefined) return { version: undefined, kept: [] }
    return { version: record.version, kept: (record.value as unknown as Kept).outcomes }
  }
}

function loadedFrom(records: readonly StoredRecord[], now: number): Loaded {
  const [first, ...rest] = records
  if (first === undefined || first.key[1] !== decimalKey(0)) {
    return { state: emptyState(now), version: undefined, stamp: undefined, versions: new Map() }
  }
  const { stamp, ...header } = first.value as unknown as StoredHeader
  const entries = new Map<string, Entry>()
  const versions = new Map<number, Version>()
  for (const { value, version } of rest) {
    const entry = value as unknown as Entry
    versions.set(entry.seq, version)
    if (entry.seq >= header.from) entries.set(entry.sha, entry)
  }
  return { state: { header, entries, outcomes: NO_OUTCOMES }, version: first.version, stamp, versions }
}
