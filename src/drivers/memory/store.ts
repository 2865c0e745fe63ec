/**
 * The memory store: for tests of services, and the reference for what the port means. Several handles on one
 * `memoryDatabase()` play several processes on one engine, each with its own clock, randomness and faults.
 *
 * Invariants: without delays an operation takes effect during the call and answers in a microtask, so that a test plays
 * the same way every time; commits of all handles are atomic and share one sequence of versions; a hint may be late,
 * never lost (a healed handle hints all its watchers).
 */
import type { Clock, Timer } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { seededRandom, type Random } from '../../kernel/id.ts'
import { checkCommit, checkKey, checkListOptions, checkRange } from '../../ports/store-checks.ts'
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
  type StoreLimits,
} from '../../ports/store.ts'
import { WatchHub } from '../shared/watch-hub.ts'
import { MemoryEngine } from './engine.ts'
import { Faults, type FaultPlan, type Operation } from './faults.ts'

export interface ConnectOptions {
  /** Decides about expiry, and times injected delays. */
  readonly clock: Clock
  /** Source of the injected faults; default: seed 1. */
  readonly random?: Random
  readonly faults?: FaultPlan
  /** Told of each commit of this handle the moment it takes effect, before its answer travels. Must not throw. */
  readonly onCommit?: (changes: readonly Change[]) => void
}

export interface MemoryDatabase {
  /** Opens a handle, as one process would; close it like any store. The data outlive all handles. */
  connect(options: ConnectOptions): MemoryStore
}

type Hint = (hub: WatchHub) => void

/** What the handles of one database share. */
interface Shared {
  readonly engine: MemoryEngine
  readonly limits: StoreLimits
  readonly handles: Set<(hint: Hint) => void>
}

/** One handle on a memory database. */
export class MemoryStore implements Store {
  readonly limits: StoreLimits
  /** What goes wrong on this handle, and how often it did. */
  readonly faults: Faults
  /** Calls so far, and how many records they read and wrote. */
  readonly operations = { get: 0, list: 0, commit: 0, deleteRange: 0, recordsRead: 0, recordsWritten: 0 }

  readonly #shared: Shared
  readonly #clock: Clock
  readonly #onCommit: (changes: readonly Change[]) => void
  readonly #hub = new WatchHub()
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #lateHints = new Set<Timer>()
  #closed: Promise<void> | undefined

  constructor(shared: Shared, options: ConnectOptions) {
    this.limits = shared.limits
    this.#shared = shared
    this.#clock = options.clock
    this.#onCommit = options.onCommit ?? (() => {})
    const random = options.random ?? seededRandom(1)
    this.faults = new Faults(options.clock, random, options.faults ?? {}, () => this.#hub.allChanged())
    shared.handles.add(this.#receive)
  }

  async get(key: Key): Promise<StoredRecord | undefined> {
    this.#assertOpen()
    checkKey(key, this.limits.keys)
    return this.#perform('get', () => {
      const record = this.#shared.engine.get(key, this.#clock.now())
      if (record !== undefined) this.operations.recordsRead += 1
      return record
    })
  }

  async list(range: Range, options: ListOptions): Promise<Page> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    checkListOptions(options, this.limits.keys)
    return this.#perform('list', () => {
      const page = this.#shared.engine.list(range, options, this.#clock.now())
      this.operations.recordsRead += page.records.length
      return page
    })
  }

  async commit(changes: readonly Change[]): Promise<CommitResult> {
    this.#assertOpen()
    const encoded = checkCommit(changes, this.limits)
    return this.#perform('commit', () => {
      const result = this.#shared.engine.commit(changes, encoded, this.#clock.now())
      if (result.ok) {
        this.operations.recordsWritten += changes.filter(({ op }) => op !== 'check').length
        this.#onCommit(changes)
        this.#announce((hub) => hub.changed(changes))
      }
      return result
    })
  }

  async deleteRange(range: Range, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    options.signal?.throwIfAborted()
    await this.#perform('deleteRange', () => {
      this.#shared.engine.deleteRange(range)
      this.#announce((hub) => hub.rangeChanged(range))
    })
  }

  watch(range: Range, signal: AbortSignal): AsyncIterable<void> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    return this.#hub.watch(range, signal)
  }

  now(): { readonly ms: number; readonly uncertaintyMs: number } {
    this.#assertOpen()
    const { clockOffsetMs, clockUncertaintyMs } = this.faults
    return { ms: this.#clock.now() + clockOffsetMs, uncertaintyMs: clockUncertaintyMs }
  }

  close(): Promise<void> {
    this.#closed ??= this.#release()
    return this.#closed
  }

  async #release(): Promise<void> {
    this.#shared.handles.delete(this.#receive)
    this.#hub.close()
    for (const timer of this.#lateHints) timer.cancel()
    this.faults.close()
    await Promise.allSettled(this.#underWay)
  }

  #perform<T>(op: Operation, effect: () => T): Promise<T> {
    const performed = this.#play(op, effect)
    this.#underWay.add(performed)
    const done = (): unknown => this.#underWay.delete(performed)
    performed.then(done, done)
    return performed
  }

  /** One operation from call to answer, with what the simulator does to it on the way. */
  async #play<T>(op: Operation, effect: () => T): Promise<T> {
    const { faults } = this
    this.operations[op] += 1
    const fault = faults.draw(op)
    if (faults.onTheWay(op, 'before')) await faults.travel(op, 'before')
    if (fault === 'conflict') {
      faults.injected.conflict += 1
      return { ok: false, failed: 'unknown' } satisfies CommitResult as T
    }
    if (fault !== undefined && fault !== 'lostAfter') throw faults.error(fault, op)
    const result = effect()
    if (faults.onTheWay(op, 'after')) await faults.travel(op, 'after')
    if (fault === 'lostAfter') throw faults.error(fault, op)
    return result
  }

  /** Tells the watchers of every handle. */
  #announce(hint: Hint): void {
    for (const receive of this.#shared.handles) receive(hint)
  }

  readonly #receive = (hint: Hint): void => {
    // While cut nothing comes in; `heal()` makes up for it.
    if (this.faults.isCut || this.#hub.idle) return
    const delay = this.faults.hintDelay()
    if (delay === 0) {
      hint(this.#hub)
      return
    }
    const timer = this.#clock.timer(delay, () => {
      this.#lateHints.delete(timer)
      if (!this.faults.isCut) hint(this.#hub)
    })
    this.#lateHints.add(timer)
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new SignalboxError('unavailable', 'the store is closed')
  }
}

/**
 * An empty database in memory.
 * @example
 * const database = memoryDatabase()
 * const a = database.connect({ clock })
 * const b = database.connect({ clock, random: seededRandom(7), faults: { conflict: 0.1 } })
 */
export function memoryDatabase(options: { readonly limits?: Partial<StoreLimits> } = {}): MemoryDatabase {
  const shared: Shared = {
    engine: new MemoryEngine(),
    limits: { ...portableLimits, ...options.limits },
    handles: new Set(),
  }
  return { connect: (connectOptions) => new MemoryStore(shared, connectOptions) }
}

/** A store of its own in memory: a database with one handle. */
export function memoryStore(
  options: ConnectOptions & { readonly limits?: Partial<StoreLimits> },
): MemoryStore {
  const { limits, ...connectOptions } = options
  return memoryDatabase(limits === undefined ? {} : { limits }).connect(connectOptions)
}
