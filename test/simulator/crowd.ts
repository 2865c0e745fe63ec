/**
 * A crowd without a server and without faults: members that join one queue, wait, hold, release and join again, each with a
 * service of its own. Counts what each of them asks of the store, by where it stands at that moment.
 */
import { memoryDatabase } from '../../src/drivers/memory/index.ts'
import { seededRandom, type Random } from '../../src/kernel/id.ts'
import type { Change, Json, Store, StoredRecord } from '../../src/ports/store.ts'
import { controlKey, type Control } from '../../src/turns/records.ts'
import { createTurnsService } from '../../src/turns/service.ts'
import { openTurn } from '../../src/turns/session.ts'
import { Timeline } from './timeline.ts'

const QUEUE = 'deploy'

export interface CrowdOptions {
  readonly waiters: number
  readonly permits: number
  readonly holdMs: number
  readonly forMs: number
  /** The store pushes, as Firestore does. */
  readonly pushed: boolean
  /** Each way to the store and back, milliseconds. */
  readonly wayMs: readonly [number, number]
  /** They come within this time; default 500 ms. */
  readonly rushMs?: number
  readonly seed?: number
}

/** `front`: the holders and the first N+1 waiters; `deep`: everybody behind them; `else`: joining, or through. */
export type Where = 'holder' | 'front' | 'deep' | 'else'

export interface Cost {
  /** Member-minutes spent there. */
  minutes: number
  reads: number
  writes: number
  /** DynamoDB's units: 4 KiB of strongly consistent reading; 1 KiB of writing, twice within a transaction. */
  readUnits: number
  writeUnits: number
  /** Firestore's: documents read (also by listeners) and written. */
  documentReads: number
  documentWrites: number
}

export interface CrowdReport {
  readonly cost: Record<Where, Cost>
  /** From the release in the store to the next holder's start, milliseconds, ascending. */
  readonly handOffMs: readonly number[]
  /** Until everybody of the first rush had its ticket, milliseconds. */
  readonly joinedMs: number
  readonly joinCommits: { readonly tried: number; readonly done: number }
  readonly turns: number
  /** Grants that passed somebody with a smaller ticket. */
  readonly outOfOrder: number
}

/** Attributes of an item beside its value: keys, version. */
const ITEM_BYTES = 120

export class Crowd {
  readonly #o: CrowdOptions
  readonly #timeline = new Timeline()
  readonly #database = memoryDatabase()
  readonly #random: Random
  readonly #cost: Record<Where, Cost> = {
    holder: nothing(),
    front: nothing(),
    deep: nothing(),
    else: nothing(),
  }
  readonly #handOffs: number[] = []
  #control: Control | undefined
  #freedAt: number[] = []
  #turns = 0
  #outOfOrder = 0
  #lastTicket = 0
  #joined = 0
  #joinedMs = 0
  #joinTried = 0
  #joinDone = 0
  #accountedAt = 0

  constructor(options: CrowdOptions) {
    this.#o = options
    this.#random = seededRandom(options.seed ?? 1)
  }

  async play(): Promise<CrowdReport> {
    const { waiters, permits, forMs, rushMs = 500 } = this.#o
    for (let i = 0; i < waiters + permits; i++)
      this.#timeline.timer(1 + this.#random.next() * rushMs, () => void this.#member(`m${i}`))
    while (this.#timeline.monotonic() < forMs && (await this.#timeline.step())) this.#account()
    return {
      cost: this.#cost,
      handOffMs: this.#handOffs.toSorted((a, b) => a - b),
      joinedMs: this.#joinedMs,
      joinCommits: { tried: this.#joinTried, done: this.#joinDone },
      turns: this.#turns,
      outOfOrder: this.#outOfOrder,
    }
  }

  async #member(name: string): Promise<void> {
    const random = { next: () => this.#random.next(), id: () => `${name}-${this.#random.id()}` }
    for (;;) {
      let id = ''
      let joined = false
      const store = this.#store(() => (joined ? id : ''))
      const turns = createTurnsService({ store, clock: this.#timeline, random, serverless: true })
      const turn = await openTurn({
        api: turns,
        clock: this.#timeline,
        random: { ...random, id: () => (id = random.id()) },
        queue: QUEUE,
        permits: this.#o.permits,
        onProgress: () => (joined = true),
      })
      joined = true
      this.#turns++
      if (turn.ticket < this.#lastTicket) this.#outOfOrder++
      this.#lastTicket = turn.ticket
      const freed = this.#freedAt.shift()
      if (freed !== undefined) this.#handOffs.push(this.#timeline.monotonic() - freed)
      await new Promise<void>((done) => void this.#timeline.timer(this.#o.holdMs, done))
      await turn.release()
      await turns.close()
      await store.close()
    }
  }

  #store(id: () => string): Store {
    const { wayMs, pushed } = this.#o
    const inner = this.#database.connect({
      clock: this.#timeline,
      random: this.#random,
      faults: { delayBeforeMs: wayMs, delayAfterMs: wayMs },
      onCommit: (changes) => this.#committed(changes),
    })
    const count = (read: readonly (StoredRecord | undefined)[]): void => {
      const cost = this.#cost[this.#where(id())]
      cost.reads++
      cost.documentReads += Math.max(1, read.length)
      const bytes = read.reduce((sum, r) => sum + sizeOf(r?.value), 0)
      cost.readUnits += Math.max(1, Math.ceil(bytes / 4_096))
    }
    const store: Store = {
      limits: inner.limits,
      now: () => inner.now(),
      close: () => inner.close(),
      deleteRange: (...call) => inner.deleteRange(...call),
      get: async (key) => {
        const record = await inner.get(key)
        count([record])
        return record
      },
      list: async (range, options) => {
        const page = await inner.list(range, options)
        count(page.records)
        return page
      },
      commit: async (changes) => {
        const cost = this.#cost[this.#where(id())]
        cost.writes++
        cost.documentWrites += changes.length
        const each = changes.length > 1 ? 2 : 1
        for (const change of changes) {
          const bytes = change.op === 'put' ? sizeOf(change.value) : ITEM_BYTES
          cost.writeUnits += each * Math.max(1, Math.ceil(bytes / 1_024))
        }
        const joins = this.#joinedMs === 0
        if (joins) this.#joinTried++
        const result = await inner.commit(changes)
        if (joins && result.ok) this.#joinDone++
        return result
      },
    }
    if (!pushed) return store
    return {
      ...store,
      watch: (range, signal) => {
        const hints = inner.watch(range, signal)
        const where = (): Cost => this.#cost[this.#where(id())]
        return (async function* () {
          for await (const hint of hints) {
            where().documentReads++
            yield hint
          }
        })()
      },
    }
  }

  #committed(changes: readonly Change[]): void {
    const [partition, key] = controlKey(QUEUE)
    for (const change of changes) {
      if (change.op !== 'put' || change.key[0] !== partition || change.key[1] !== key) continue
      const before = this.#control
      this.#control = change.value as unknown as Control
      const freed = (before?.holders ?? []).filter(
        (h) => !this.#control?.holders.some((now) => now.fence === h.fence),
      )
      for (const _ of freed) this.#freedAt.push(this.#timeline.monotonic())
      this.#joined = Math.max(this.#joined, this.#control.tail)
      if (this.#joinedMs === 0 && this.#joined >= this.#o.waiters + this.#o.permits)
        this.#joinedMs = this.#timeline.monotonic()
    }
  }

  #where(id: string): Where {
    const control = this.#control
    if (control === undefined || id === '') return 'else'
    if (control.holders.some((h) => h.id === id)) return 'holder'
    if (control.window.some((w) => w.id === id)) return 'front'
    return this.#joinedMs > 0 ? 'deep' : 'else'
  }

  /** Counts the time spent, from when everybody has joined. */
  #account(): void {
    const now = this.#timeline.monotonic()
    const minutes = (now - this.#accountedAt) / 60_000
    this.#accountedAt = now
    const control = this.#control
    if (control === undefined || this.#joinedMs === 0) return
    this.#cost.holder.minutes += minutes * control.holders.length
    this.#cost.front.minutes += minutes * control.window.length
    this.#cost.deep.minutes += minutes * (control.waiting - control.window.length)
  }
}

function nothing(): Cost {
  return {
    minutes: 0,
    reads: 0,
    writes: 0,
    readUnits: 0,
    writeUnits: 0,
    documentReads: 0,
    documentWrites: 0,
  }
}

function sizeOf(value: Json | undefined): number {
  return value === undefined ? 0 : ITEM_BYTES + Buffer.byteLength(JSON.stringify(value))
}
