/**
 * A model of the dynamo-q tool's clients on one queue, for tests that let them meet turns of ours on one memory database.
 *
 * `ReferenceTable` is the queue's partition as that tool sees it: what is written, by whomever, also what has expired, as it
 * was up to a few seconds ago. `ReferenceClient` is one process of the tool, with what it gets wrong: entries of one
 * second share one key, zombies are deleted by its own clock and unconditionally, a beat puts a deleted entry back
 * (without its client), one failed read drops the place while the beats go on.
 */
import type { MemoryDatabase, MemoryStore } from '../../src/drivers/memory/index.ts'
import { sleep, type Clock } from '../../src/kernel/clock.ts'
import type { Random } from '../../src/kernel/id.ts'
import { decimalKey, type Change, type Json } from '../../src/ports/store.ts'
import { asGuard } from '../../src/turns/guard/record.ts'

export interface ReferenceEntry {
  readonly timestamp: number
  readonly clientId?: string
  /** Unix seconds; absent: a dead entry. */
  readonly lastUpdated?: number
}

type Contents = ReadonlyMap<number, ReferenceEntry>

const ZOMBIE_S = 120

export class ReferenceTable {
  readonly #queue: string
  readonly #clock: Clock
  readonly #store: MemoryStore
  /** Oldest first; the last is the present. */
  #history: { readonly at: number; readonly contents: Contents }[]

  /** @param clock true time */
  constructor(database: MemoryDatabase, queue: string, clock: Clock) {
    this.#queue = queue
    this.#clock = clock
    this.#history = [{ at: -Infinity, contents: new Map() }]
    // Nothing is ever expired for that tool, so its handle lives at the beginning of time.
    const early: Clock = {
      now: () => 0,
      monotonic: () => clock.monotonic(),
      timer: (ms, fire) => clock.timer(ms, fire),
    }
    this.#store = database.connect({ clock: early, onCommit: (changes) => this.observe(changes) })
  }

  /** Connect every other handle of the database with this as its `onCommit`. */
  readonly observe = (changes: readonly Change[]): void => {
    const ours = changes.filter(({ key, op }) => key[0] === this.#queue && op !== 'check')
    if (ours.length === 0) return
    const contents = new Map(this.now())
    for (const change of ours) {
      const timestamp = Number(change.key[1])
      if (change.op === 'put') contents.set(timestamp, entryOf(timestamp, change.value, change.expiresAt))
      else contents.delete(timestamp)
    }
    const at = this.#clock.monotonic()
    this.#history = [
      ...this.#history.filter((_, i, all) => (all[i + 1]?.at ?? at) > at - 10_000),
      { at, contents },
    ]
  }

  now(): Contents {
    return this.#history.at(-1)?.contents ?? new Map()
  }

  /**
   * In ascending order, each item as it was `staleMs()` ago (at most 10 s): an eventually consistent read may show one item's
   * newest state and another's of before, so a client can see its own entry and not yet a guard that is older.
   */
  read(staleMs: () => number): ReferenceEntry[] {
    const now = this.#clock.monotonic()
    const timestamps = new Set(this.#history.flatMap(({ contents }) => [...contents.keys()]))
    const entries = [...timestamps].map((timestamp) => {
      const then = now - staleMs()
      return this.#history.findLast(({ at }) => at <= then)?.contents.get(timestamp)
    })
    return entries.filter((entry) => entry !== undefined).sort((a, b) => a.timestamp - b.timestamp)
  }

  /** Unconditional. */
  put({ timestamp, ...attributes }: ReferenceEntry): void {
    this.#write({
      op: 'put',
      key: this.#key(timestamp),
      expect: this.#asItIs(timestamp),
      value: { ...attributes },
    })
  }

  /** Unconditional; makes the item when there is none. */
  beat(timestamp: number, lastUpdated: number): void {
    this.put({ ...this.now().get(timestamp), timestamp, lastUpdated })
  }

  /** Unconditional. */
  delete(timestamp: number): void {
    if (!this.now().has(timestamp)) return
    this.#write({ op: 'delete', key: this.#key(timestamp), expect: 'present' })
  }

  #asItIs(timestamp: number): 'present' | 'absent' {
    return this.now().has(timestamp) ? 'present' : 'absent'
  }

  #key(timestamp: number): readonly [string, string] {
    return [this.#queue, decimalKey(timestamp)]
  }

  #write(change: Change): void {
    // The memory store commits during the call.
    void this.#store.commit([change])
  }
}

function entryOf(timestamp: number, value: Json, expiresAt: number | undefined): ReferenceEntry {
  // The cloud drivers write the expiry as `lastUpdated` too.
  if (asGuard(value) !== undefined) return { timestamp, lastUpdated: Math.floor((expiresAt ?? 0) / 1_000) }
  const { clientId, lastUpdated } = value as Partial<ReferenceEntry>
  return {
    timestamp,
    ...(clientId === undefined ? {} : { clientId }),
    ...(lastUpdated === undefined ? {} : { lastUpdated }),
  }
}

export interface ReferenceClientOptions {
  readonly table: ReferenceTable
  /** True time; `skewMs` makes its own wall clock of it. */
  readonly clock: Clock
  readonly random: Random
  readonly clientId: string
  readonly skewMs?: number
  readonly workMs: number
  /** Reads are out of date by up to this. */
  readonly staleMs?: number
  /** A request takes up to this to take effect, and its answer as long again. */
  readonly delayMs?: number
  /** A put takes up to this long to arrive. */
  readonly putDelayMs?: number
  /** Probability that the answer to a put is lost, so that it is tried again. */
  readonly putLost?: number
  /** Probability that a read fails, which drops its place. */
  readonly readFails?: number
  readonly onChange?: (client: ReferenceClient) => void
}

/** `working` from the moment it believes to be at the front until it starts to leave, or dies. */
export type ReferenceState = 'joining' | 'waiting' | 'dropped' | 'working' | 'over'

export class ReferenceClient {
  readonly clientId: string
  readonly timestamp: number
  readonly #options: ReferenceClientOptions
  readonly #life = new AbortController()
  readonly #beating = new AbortController()
  #state: ReferenceState = 'joining'

  constructor(options: ReferenceClientOptions) {
    this.#options = options
    this.clientId = options.clientId
    this.timestamp = this.#seconds()
  }

  get state(): ReferenceState {
    return this.#state
  }

  /** The entry in the table is its own. */
  get owns(): boolean {
    return this.#options.table.now().get(this.timestamp)?.clientId === this.clientId
  }

  /** Joins, waits, works, leaves; resolves when it is over. */
  async run(): Promise<void> {
    try {
      await this.#join()
      this.#beat().catch(() => {})
      await this.#waitForFront()
      this.#become('working')
      await this.#pause(this.#options.workMs)
      await this.#leave()
    } catch {
      this.#become('over') // killed
    }
  }

  /** kill -9; its job dies with it. What is on its way still arrives. */
  kill(): void {
    this.#life.abort(new Error('killed'))
    this.#become('over')
  }

  /** The job is cancelled: it leaves. */
  cancel(): void {
    if (this.#state === 'over') return
    this.#life.abort(new Error('cancelled'))
    void this.#leave()
  }

  async #join(): Promise<void> {
    const { table, clock, putDelayMs = 0, putLost = 0, random } = this.#options
    for (let tries = 0; tries < 3; tries++) {
      const { timestamp, clientId } = this
      await sleep(clock, random.next() * putDelayMs)
      await this.#request(() => table.put({ timestamp, clientId, lastUpdated: timestamp }))
      if (random.next() >= putLost) {
        this.#become('waiting')
        return
      }
      await this.#pause(3_000)
    }
    throw new Error('could not join')
  }

  async #beat(): Promise<void> {
    const { clock, random, table } = this.#options
    for (;;) {
      await sleep(clock, 1_000 * (10 + Math.floor(random.next() * 15)), this.#beating.signal)
      if (this.#life.signal.aborted) return
      const lastUpdated = this.#seconds()
      await this.#request(() => table.beat(this.timestamp, lastUpdated))
    }
  }

  async #waitForFront(): Promise<void> {
    const { table, random, staleMs = 0, readFails = 0 } = this.#options
    for (;;) {
      const entries = await this.#request(() => table.read(() => random.next() * staleMs))
      if (random.next() < readFails) return this.#drop()
      const now = this.#seconds()
      const first = entries.findIndex(({ lastUpdated = 0 }) => now - lastUpdated <= ZOMBIE_S)
      const zombies = first < 0 ? entries : entries.slice(0, first)
      for (const { timestamp } of zombies) await this.#request(() => table.delete(timestamp))
      if (first >= 0 && entries[first]?.clientId === this.clientId) return
      await this.#pause(1_000 * (15 + Math.floor(random.next() * 15)))
    }
  }

  /** Gives up its place and goes on beating until the job is cancelled. */
  async #drop(): Promise<never> {
    const { table } = this.#options
    this.#become('dropped')
    await this.#request(() => table.delete(this.timestamp))
    return new Promise((_, reject) => {
      this.#life.signal.addEventListener('abort', () => reject(new Error('cancelled')), { once: true })
    })
  }

  async #leave(): Promise<void> {
    const { table, clock, random, delayMs = 0 } = this.#options
    this.#become('over')
    this.#beating.abort()
    await sleep(clock, random.next() * delayMs)
    table.delete(this.timestamp)
  }

  /** Takes effect even if the client dies on the way. */
  async #request<T>(effect: () => T): Promise<T> {
    const { clock, random, delayMs = 0 } = this.#options
    await sleep(clock, random.next() * delayMs)
    const result = effect()
    await sleep(clock, random.next() * delayMs)
    this.#life.signal.throwIfAborted()
    return result
  }

  #pause(ms: number): Promise<void> {
    return sleep(this.#options.clock, ms, this.#life.signal)
  }

  #seconds(): number {
    const { clock, skewMs = 0 } = this.#options
    return Math.floor((clock.now() + skewMs) / 1_000)
  }

  #become(state: ReferenceState): void {
    if (this.#state === state || this.#state === 'over') return
    this.#state = state
    this.#options.onChange?.(this)
  }
}
