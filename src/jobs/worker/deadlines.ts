/**
 * Ends what has run too long: its signal is aborted at its deadline, and when it has not come to an end a while later it is not
 * waited for any more. One timer for all, since most never reach their deadline.
 */
import type { Clock, Timer } from '../../kernel/clock.ts'
import type { StopReason } from '../api.ts'

/** What runs: a job, or a batch of them. */
export interface Running {
  /** Monotonic. */
  deadline: number
  readonly stopped: StopReason | undefined
  stop(reason: StopReason): void
  /** It is taken as ended, whatever it still does. */
  abandon(): void
}

/** After its signal was aborted. */
export const ABANDON_MS = 5_000

export class Deadlines {
  readonly #clock: Clock
  readonly #running = new Set<Running>()
  #timer: Timer | undefined
  #wakeAt = Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#running.size
  }

  [Symbol.iterator](): Iterator<Running> {
    return this.#running.values()
  }

  add(running: Running): void {
    this.#running.add(running)
    this.#wake(running.deadline)
  }

  remove(running: Running): void {
    this.#running.delete(running)
  }

  close(): void {
    this.#timer?.cancel()
  }

  #wake(at: number): void {
    if (at >= this.#wakeAt) return
    this.#timer?.cancel()
    this.#wakeAt = at
    this.#timer = this.#clock.timer(at - this.#clock.monotonic(), () => this.#tick(), { unref: true })
  }

  #tick(): void {
    const now = this.#clock.monotonic()
    this.#wakeAt = Infinity
    let next = Infinity
    for (const running of this.#running) {
      if (running.deadline <= now) {
        if (running.stopped === undefined) {
          running.stop('timed_out')
          running.deadline = now + ABANDON_MS
        } else {
          running.deadline = Infinity
          running.abandon()
        }
      }
      next = Math.min(next, running.deadline)
    }
    if (next < Infinity) this.#wake(next)
  }
}
