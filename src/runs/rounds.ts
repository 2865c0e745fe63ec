/**
 * When the background duties are done: every few seconds what is due, now and then retention and lost wake-ups; one after the
 * other, and on after any failure. It also knows since when this server hears beats, for nobody's claim expires by an
 * outage of the server or by a clock that was set.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { Store } from '../ports/store.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Mailboxes } from './mailboxes.ts'
import { livePartition } from './records.ts'
import { registered } from './registry.ts'
import { rouse, sweepLive, trimJob, type SweepContext } from './sweeper.ts'

export interface Retention {
  /** How long a run is kept after its end, unless it says otherwise. */
  readonly ageMs: number
  /** Ended runs of a job that are kept. */
  readonly perJob: number
}

export interface RoundsOptions {
  readonly store: Store
  readonly clock: Clock
  readonly mailboxes: Mailboxes
  readonly dispatcher: Dispatcher | undefined
  readonly everyMs: number
  readonly retention: Retention
  readonly failed: (error: unknown) => void
}

const ROUSE_EVERY_MS = 60_000
const TRIM_EVERY_MS = 600_000
/** The wall clock may differ from the monotonic one by this much from one round to the next, before it counts as set. */
const JUMP_MS = 2_000

export class Rounds {
  readonly #options: RoundsOptions
  readonly #context: SweepContext
  #heardSince: number
  #timer: Timer | undefined
  #round: Promise<void> | undefined
  #closed = false
  #clocks: { readonly wall: number; readonly mono: number } | undefined
  /** Monotonic ms of the first round that the store did not answer. */
  #deafSince: number | undefined
  /** Monotonic ms of the end of the last round. */
  #restedFrom: number | undefined
  #trimAt: number
  #rouseAt: number
  #rousedTo: string | undefined

  constructor(options: RoundsOptions) {
    const { store, clock, mailboxes } = options
    this.#options = options
    this.#context = { store, clock, mailboxes }
    this.#heardSince = store.now().ms
    this.#trimAt = clock.monotonic() + TRIM_EVERY_MS
    this.#rouseAt = clock.monotonic() + ROUSE_EVERY_MS
  }

  get heardSince(): number {
    return this.#heardSince
  }

  /** Beats could not be heard until now. */
  hearAnew(): void {
    this.#heardSince = this.#options.store.now().ms
  }

  start(): void {
    if (this.#closed || this.#timer !== undefined) return
    this.hearAnew()
    this.#next()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#round
  }

  #next(): void {
    if (this.#closed) return
    const begin = (): void => {
      this.#round = this.#go().finally(() => {
        this.#restedFrom = this.#options.clock.monotonic()
        this.#next()
      })
    }
    this.#timer = this.#options.clock.timer(this.#options.everyMs, begin, { unref: true })
  }

  async #go(): Promise<void> {
    const { dispatcher, clock } = this.#options
    const wentBack = this.#noteJump()
    if (!(await this.#works())) return
    await this.#tried(() => sweepLive(this.#context, wentBack))
    if (dispatcher !== undefined) await this.#tried(() => dispatcher.sweep())
    const now = clock.monotonic()
    if (now >= this.#rouseAt) {
      this.#rouseAt = now + ROUSE_EVERY_MS
      await this.#tried(async () => {
        this.#rousedTo = await rouse(this.#context, this.#rousedTo)
      })
    }
    if (now >= this.#trimAt) {
      this.#trimAt = now + TRIM_EVERY_MS
      await this.#tried(() => this.#trim())
    }
  }

  async #trim(): Promise<void> {
    const { store, retention } = this.#options
    for (const { manifest } of await registered(store)) {
      if (this.#closed) return
      await trimJob(this.#context, manifest.name, retention.perJob)
    }
  }

  async #tried(duty: () => Promise<unknown>): Promise<void> {
    if (this.#closed) return
    try {
      await duty()
    } catch (error) {
      this.#options.failed(error)
    }
  }

  /** Does the store answer? When it does again after a while, nobody could be heard meanwhile. */
  async #works(): Promise<boolean> {
    const { store, clock, everyMs } = this.#options
    try {
      await store.list({ partition: livePartition(0) }, { limit: 1 })
    } catch (error) {
      this.#deafSince ??= clock.monotonic()
      this.#options.failed(error)
      return false
    }
    if (this.#deafSince !== undefined && clock.monotonic() - this.#deafSince > everyMs + JUMP_MS)
      this.hearAnew()
    this.#deafSince = undefined
    return true
  }

  /** @returns was the wall clock set back? */
  #noteJump(): boolean {
    const { store, clock } = this.#options
    const wall = store.now().ms
    const mono = clock.monotonic()
    const last = this.#clocks
    this.#clocks = { wall, mono }
    const jumpMs = last === undefined ? 0 : wall - last.wall - (mono - last.mono)
    const restedMs = mono - (this.#restedFrom ?? mono)
    const slept = restedMs > this.#options.everyMs + JUMP_MS // the process was stopped, and heard nobody
    if (slept || Math.abs(jumpMs) >= JUMP_MS || this.#heardSince > wall) this.#heardSince = wall
    return jumpMs <= -JUMP_MS
  }
}
