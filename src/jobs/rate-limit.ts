/**
 * How often a job may start, over all workers that share a store: starts are evenly spaced slots (the generic cell rate algorithm
 * without a burst), which are reserved in one record before they are used.
 *
 * Invariants:
 * - in any window of `perMs` there are at most `limit` slots, however many processes reserve them; a reserved slot that is
 *   not used is lost, never moved;
 * - nothing reserves a slot that lies farther away than `maxWaitMs`: who would have to wait longer is told when to come back,
 *   those who ask one after the other at different times, so that they do not come back all at once.
 *
 * Without a store the record is this process's own.
 */
import { isTransient } from '../kernel/attempt.ts'
import type { Clock } from '../kernel/clock.ts'
import { decimalKey, type Change, type Key, type Store } from '../ports/store.ts'

const PARTITION = 'signalbox:rate:'
/** Slots are reserved ahead for so long, when they are asked for faster than that. */
const BLOCK_MS = 100
const KEEP_MS = 24 * 3_600_000
const STORE_RETRY_MS = 1_000

export interface RateLimitOptions {
  readonly job: string
  readonly limit: number
  readonly perMs: number
  /** Who gets a slot waits for it at most so long. */
  readonly maxWaitMs: number
  readonly clock: Clock
  readonly store?: Store | undefined
}

/** A slot after `waitMs`, which is reserved; or none, and when to ask again. */
export type Slot = { readonly waitMs: number } | { readonly againMs: number }

export class RateLimit {
  readonly #options: RateLimitOptions
  readonly #intervalMs: number
  /** Reserved and not yet used; engine time. */
  #slots: number[] = []
  /** When the next one is free that nobody has reserved, as far as known here. */
  #free = 0
  /** Those told to come back are expected so. */
  #comeBack = 0
  #reserving: Promise<void> | undefined
  /** Whoever asks while slots are being reserved. */
  #asking = 0

  constructor(options: RateLimitOptions) {
    this.#options = options
    this.#intervalMs = options.perMs / options.limit
  }

  /** Never rejects: while the store fails nothing starts. */
  async take(): Promise<Slot> {
    this.#asking += 1
    try {
      for (;;) {
        const slot = this.#next()
        if (slot !== undefined) return { waitMs: Math.max(0, Math.ceil(slot - this.#now())) }
        const waitMs = this.#free - this.#now()
        if (waitMs > this.#options.maxWaitMs) return { againMs: this.#later(waitMs) }
        await (this.#reserving ??= this.#reserve().finally(() => (this.#reserving = undefined)))
      }
    } catch (error) {
      if (!isTransient(error)) throw error
      return { againMs: STORE_RETRY_MS }
    } finally {
      this.#asking -= 1
    }
  }

  /** The first reserved slot; those that have passed by more than one interval are lost. */
  #next(): number | undefined {
    const now = this.#now()
    while (this.#slots.length > 0 && (this.#slots[0] as number) < now - this.#intervalMs) this.#slots.shift()
    return this.#slots.shift()
  }

  #later(waitMs: number): number {
    const { maxWaitMs } = this.#options
    const now = this.#now()
    this.#comeBack = Math.max(this.#comeBack, now + waitMs - maxWaitMs / 2) + this.#intervalMs
    return Math.ceil(this.#comeBack - now)
  }

  async #reserve(): Promise<void> {
    const { store, job } = this.#options
    const count = Math.max(1, Math.min(this.#asking, Math.ceil(BLOCK_MS / this.#intervalMs)))
    if (store === undefined) {
      this.#reserved(Math.max(this.#free, this.#now()), count)
      return
    }
    const key: Key = [`${PARTITION}${job}`, decimalKey(0)]
    const record = await store.get(key)
    const free = (record?.value as { readonly free?: number } | undefined)?.free ?? 0
    const from = Math.max(free, this.#now())
    if (from - this.#now() > this.#options.maxWaitMs) {
      this.#free = from
      return
    }
    const expect = record === undefined ? 'absent' : { version: record.version }
    const until = from + count * this.#intervalMs
    const change: Change = { key, expect, op: 'put', value: { free: until }, expiresAt: until + KEEP_MS }
    // What is unclear or lost to another process is simply asked for again: the slots of a lost answer stay unused.
    const { ok } = await store.commit([change])
    if (ok) this.#reserved(from, count)
  }

  #reserved(from: number, count: number): void {
    for (let i = 0; i < count; i++) this.#slots.push(from + i * this.#intervalMs)
    this.#free = from + count * this.#intervalMs
  }

  #now(): number {
    const { store, clock } = this.#options
    return store === undefined ? clock.monotonic() : store.now().ms
  }
}
