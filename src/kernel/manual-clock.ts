/**
 * A clock that tests move by hand. `advance` fires due timers in order and lets the promises they settle run in
 * between, so that a whole protocol plays in one call and no test sleeps.
 */
import type { Clock, Timer } from './clock.ts'

interface Pending {
  readonly at: number
  readonly order: number
  readonly fire: () => void
}

export class ManualClock implements Clock {
  #wall: number
  #monotonic = 0
  #order = 0
  readonly #pending = new Set<Pending>()

  /** @param startMs wall-clock start, milliseconds since the epoch; default 2026-01-01T00:00:00Z. */
  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#wall = startMs
  }

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  timer(ms: number, fire: () => void): Timer {
    const pending: Pending = { at: this.#monotonic + Math.max(ms, 0), order: this.#order++, fire }
    this.#pending.add(pending)
    return { cancel: () => this.#pending.delete(pending) }
  }

  /** Timers not yet fired or cancelled; a leak check for tests. */
  get pendingTimers(): number {
    return this.#pending.size
  }

  /** Moves wall and monotonic time by `ms`, firing what falls due on the way. */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms
    await this.settle()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#moveTo(Math.max(next.at, this.#monotonic))
      this.#pending.delete(next)
      next.fire()
      await this.settle()
    }
    this.#moveTo(end)
    await this.settle()
  }

  /** Moves the wall clock alone: an NTP step, or (forward) a machine that was suspended. */
  jump(ms: number): void {
    this.#wall += ms
  }

  /** Lets settled promises, immediates and socket callbacks run; moves no time. */
  async settle(): Promise<void> {
    for (let i = 0; i < 4; i++) await new Promise<void>((resolve) => setImmediate(resolve))
  }

  #moveTo(monotonic: number): void {
    this.#wall += monotonic - this.#monotonic
    this.#monotonic = monotonic
  }

  #next(end: number): Pending | undefined {
    let first: Pending | undefined
    for (const p of this.#pending) {
      if (p.at > end) continue
      if (first === undefined || p.at < first.at || (p.at === first.at && p.order < first.order)) first = p
    }
    return first
  }
}
