/**
 * A store that shows its transactions while they are being applied, as DynamoDB may: a commit locks its items and then applies
 * them one by one, each at its own time; reads see each item as it is. Single items are linearisable.
 */
import type { Clock } from '../../src/kernel/clock.ts'
import type { Random } from '../../src/kernel/id.ts'
import {
  portableLimits,
  type Change,
  type CommitResult,
  type Key,
  type ListOptions,
  type Page,
  type Range,
  type Store,
  type StoredRecord,
} from '../../src/ports/store.ts'

interface Item extends StoredRecord {
  readonly expiresAt: number | undefined
}

export interface TornOptions {
  readonly clock: Clock
  readonly random: Random
  /** One way to the store, milliseconds. */
  readonly wayMs: readonly [number, number]
  /** Milliseconds until this item of a transaction is applied. */
  readonly lagMs: (change: Change) => number
}

export class TornDatabase {
  readonly #o: TornOptions
  readonly #items = new Map<string, Item>()
  readonly #locked = new Set<string>()
  #writes = 0

  constructor(options: TornOptions) {
    this.#o = options
  }

  /** All records of a partition, past everything. */
  records(partition: string): readonly StoredRecord[] {
    return this.#live(({ key }) => key[0] === partition)
  }

  connect(): Store {
    const { clock } = this.#o
    return {
      limits: { ...portableLimits, keys: 'decimal' },
      now: () => ({ ms: clock.now(), uncertaintyMs: 0 }),
      close: async () => {},
      deleteRange: async () => {},
      get: (key) => this.#asked(() => this.#live((item) => nameOf(item.key) === nameOf(key))[0]),
      list: (range, options) => this.#asked(() => this.#page(range, options)),
      commit: (changes) => this.#commit(structuredClone(changes)),
    }
  }

  async #asked<T>(answer: () => T): Promise<T> {
    await this.#way()
    const copy = structuredClone(answer())
    await this.#way()
    return copy
  }

  #page(range: Range, { limit, reverse = false, after }: ListOptions): Page {
    const { partition, from = '', to = '~' } = range
    const all = this.#live(({ key }) => key[0] === partition && key[1] >= from && key[1] < to)
    const ordered = all.toSorted((a, b) => (a.key[1] < b.key[1] !== reverse ? -1 : 1))
    const left = ordered.filter(
      ({ key }) => after === undefined || (reverse ? key[1] < after : key[1] > after),
    )
    const records = left.slice(0, limit)
    const last = records.at(-1)
    return left.length > limit && last !== undefined ? { records, next: last.key[1] } : { records }
  }

  async #commit(changes: readonly Change[]): Promise<CommitResult> {
    await this.#way()
    if (changes.some(({ key }) => this.#locked.has(nameOf(key)))) {
      await this.#way()
      return { ok: false, failed: 'unknown' }
    }
    const failed = changes.filter((change) => !this.#holds(change)).map(({ key }) => key)
    if (failed.length > 0) {
      await this.#way()
      return { ok: false, failed }
    }
    const versions = changes.map(({ op }) => (op === 'put' ? `v${++this.#writes}` : undefined))
    await Promise.all(changes.map((change, i) => this.#apply(change, versions[i], changes.length > 1)))
    await this.#way()
    return { ok: true, versions }
  }

  #holds({ key, expect }: Change): boolean {
    const present = this.#live((item) => nameOf(item.key) === nameOf(key))[0]
    if (expect === 'absent') return present === undefined
    return expect === 'present' ? present !== undefined : present?.version === expect.version
  }

  #apply(change: Change, version: string | undefined, slowly: boolean): Promise<void> {
    const name = nameOf(change.key)
    this.#locked.add(name)
    const { promise, resolve } = Promise.withResolvers<void>()
    const apply = (): void => {
      this.#locked.delete(name)
      const { key } = change
      if (change.op === 'delete') this.#items.delete(name)
      if (change.op === 'put' && version !== undefined)
        this.#items.set(name, { key, version, value: change.value, expiresAt: change.expiresAt })
      resolve()
    }
    const lagMs = slowly ? this.#o.lagMs(change) : 0
    if (lagMs > 0) this.#o.clock.timer(lagMs, apply)
    else apply()
    return promise
  }

  #live(fits: (item: Item) => boolean): Item[] {
    const now = this.#o.clock.now()
    return [...this.#items.values()].filter(
      (item) => fits(item) && (item.expiresAt === undefined || item.expiresAt > now),
    )
  }

  #way(): Promise<void> {
    const [least, most] = this.#o.wayMs
    const ms = least + this.#o.random.next() * (most - least)
    return new Promise((done) => void this.#o.clock.timer(ms, done))
  }
}

function nameOf([partition, key]: Key): string {
  return `${partition}\n${key}`
}
