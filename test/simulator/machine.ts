/**
 * A simulated process on a machine of its own: a `Clock` that runs at its own rate, and a gate through which everything
 * from outside comes in.
 *
 * - `freeze` (SIGSTOP): nothing runs, its clocks go on; `suspend` (a closed lid): its monotonic clock stops as well.
 *   `resume` then fires what fell due and lets in what arrived, in random order of the two kinds.
 * - `kill` (kill -9): nothing ever runs again.
 */
import type { Clock, Timer } from '../../src/kernel/clock.ts'
import type { Random } from '../../src/kernel/id.ts'
import type { Timeline } from './timeline.ts'

export interface MachineOptions {
  /** Seconds on this machine per true second. */
  readonly rate: number
  /** How wrong its wall clock is, milliseconds. */
  readonly wallOffsetMs: number
}

interface Entry {
  readonly due: number
  readonly fire: () => void
  timer: Timer
}

export class Machine implements Clock {
  readonly name: string
  readonly rate: number
  readonly #timeline: Timeline
  readonly #random: Random
  readonly #entries = new Set<Entry>()
  readonly #bornAt: number
  #late: Entry[] = []
  #arrived: (() => void)[] = []
  #state: 'running' | 'frozen' | 'suspended' | 'dead' = 'running'
  #wallOffset: number
  /** True milliseconds spent suspended, and since when it is. */
  #slept = 0
  #sleepsSince = 0

  constructor(name: string, timeline: Timeline, random: Random, { rate, wallOffsetMs }: MachineOptions) {
    this.name = name
    this.rate = rate
    this.#timeline = timeline
    this.#random = random
    this.#wallOffset = wallOffsetMs
    this.#bornAt = timeline.monotonic()
  }

  get state(): 'running' | 'frozen' | 'suspended' | 'dead' {
    return this.#state
  }

  get pendingTimers(): number {
    return this.#entries.size
  }

  /** Milliseconds on its own clock since it was started. */
  get age(): number {
    return this.monotonic() - this.#bornAt * this.rate
  }

  monotonic(): number {
    const sleeping = this.#state === 'suspended' ? this.#timeline.monotonic() - this.#sleepsSince : 0
    return (this.#timeline.monotonic() - this.#slept - sleeping) * this.rate
  }

  now(): number {
    return this.#timeline.now() + this.#wallOffset + this.#timeline.monotonic() * (this.rate - 1)
  }

  timer(ms: number, fire: () => void): Timer {
    const entry: Entry = { due: this.monotonic() + Math.max(0, ms), fire, timer: { cancel: () => {} } }
    if (this.#state === 'dead') return entry.timer
    this.#entries.add(entry)
    this.#schedule(entry)
    return {
      cancel: () => {
        entry.timer.cancel()
        this.#entries.delete(entry)
      },
    }
  }

  /** Runs what arrives from outside: now, when it is resumed, or never. */
  run(arrival: () => void): void {
    if (this.#state === 'running') arrival()
    else if (this.#state !== 'dead') this.#arrived.push(arrival)
  }

  /** The outcome of a call to the outside, let in through the gate. */
  admit<T>(outcome: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      outcome.then(
        (value) => this.run(() => resolve(value)),
        (error: unknown) => this.run(() => reject(error)),
      )
    })
  }

  /** Steps the wall clock. */
  jump(ms: number): void {
    this.#wallOffset += ms
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen'
  }

  suspend(): void {
    if (this.#state !== 'running') return
    this.#sleepsSince = this.#timeline.monotonic()
    this.#state = 'suspended'
    for (const entry of this.#entries) entry.timer.cancel()
  }

  resume(): void {
    if (this.#state !== 'frozen' && this.#state !== 'suspended') return
    if (this.#state === 'suspended') {
      this.#slept += this.#timeline.monotonic() - this.#sleepsSince
      this.#state = 'running'
      for (const entry of this.#entries) if (!this.#late.includes(entry)) this.#schedule(entry)
    }
    this.#state = 'running'
    const late = this.#late.splice(0).map((entry) => () => this.#fire(entry))
    const arrived = this.#arrived.splice(0)
    const next = this.#random.next() < 0.5 ? [...late, ...arrived] : [...arrived, ...late]
    for (const go of next) this.#timeline.timer(0, () => this.run(go))
  }

  kill(): void {
    this.#state = 'dead'
    for (const entry of this.#entries) entry.timer.cancel()
    this.#entries.clear()
    this.#late = []
    this.#arrived = []
  }

  #schedule(entry: Entry): void {
    // A microsecond more than exact: a timer never fires before its time on this clock.
    const ms = Math.max(0, entry.due - this.monotonic()) / this.rate + 0.001
    entry.timer = this.#timeline.timer(ms, () => {
      if (this.#state === 'running') this.#fire(entry)
      else this.#late.push(entry)
    })
  }

  #fire(entry: Entry): void {
    if (this.#entries.delete(entry)) entry.fire()
  }
}
