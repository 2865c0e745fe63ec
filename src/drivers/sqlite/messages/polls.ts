/**
 * Receives that wait for a message: who waits at which queue, and what wakes them.
 *
 * Invariants:
 * - what makes a message receivable after a look found none wakes a waiter, or is noticed before it starts to wait (`epoch`):
 *   no wake-up is lost, though some may be for nothing;
 * - whoever was woken and takes no message (its caller gave up, the disk failed) hands the wake-up on;
 * - a queue has one timer, and only while somebody waits; it looks at the wall clock at least once a second, since that
 *   may jump; nothing of a message is kept here.
 */
import type { Clock, Timer } from '../../../kernel/clock.ts'
import type { Queue } from './queues.ts'

const LOOK_MS = 1_000
/** Who is woken when time alone may have made messages visible; each that finds enough wakes one more. */
const WAKE_BY_TIME = 16

export interface Wait {
  /** As of the look that found nothing. */
  readonly epoch: number
  /** How long at most. */
  readonly ms: number
  /** How many messages it would take. */
  readonly max: number
  readonly signal: AbortSignal | undefined
}

interface Waiter {
  readonly max: number
  /** Ends the wait: true to look again. */
  readonly end: (again: boolean) => void
}

interface Line {
  readonly waiters: Set<Waiter>
  epoch: number
  timer: Timer | undefined
  /** When time makes the next message visible; undefined when that has to be looked up. */
  nextAt: number | undefined
}

export class Polls {
  readonly #clock: Clock
  readonly #nextVisibleAt: (queue: Queue) => number | undefined
  readonly #lines = new Map<Queue, Line>()
  #closed = false

  /** @param nextVisibleAt looks up when time alone makes the next message of a queue visible. */
  constructor(clock: Clock, nextVisibleAt: (queue: Queue) => number | undefined) {
    this.#clock = clock
    this.#nextVisibleAt = nextVisibleAt
  }

  /** Grows with each change that could make a message receivable: read it with the look, hand it to `wait`. */
  epoch(queue: Queue): number {
    return this.#line(queue).epoch
  }

  /**
   * Waits until it may be worth to look again.
   * @returns false when the time is over or the engine closes
   * @throws the signal's reason once it aborts
   */
  wait(queue: Queue, { epoch, ms, max, signal }: Wait): Promise<boolean> {
    const line = this.#line(queue)
    if (this.#closed) return Promise.resolve(false)
    if (line.epoch !== epoch) return Promise.resolve(true)
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        timer.cancel()
        signal?.removeEventListener('abort', onAbort)
        this.#leave(line, waiter)
      }
      const end = (again: boolean): void => {
        leave()
        resolve(again)
      }
      const onAbort = (): void => {
        leave()
        reject(signal?.reason as Error)
      }
      const waiter: Waiter = { max, end }
      const timer = this.#clock.timer(ms, () => end(false))
      signal?.addEventListener('abort', onAbort, { once: true })
      line.waiters.add(waiter)
      this.#arm(queue, line)
    })
  }

  /**
   * Wakes those who have waited longest, as many as `count` messages are enough for.
   * @returns for how many messages somebody was woken
   */
  wake(queue: Queue, count: number): number {
    let woken = 0
    for (const waiter of this.#lines.get(queue)?.waiters ?? []) {
      if (woken >= count) break
      woken += waiter.max
      waiter.end(true)
    }
    return woken
  }

  /** Up to `count` messages may have become receivable. @param woken for how many somebody was woken already */
  changed(queue: Queue, count: number, woken = 0): void {
    if (count <= 0) return
    this.#line(queue).epoch += 1
    if (count > woken) this.wake(queue, count - woken)
  }

  /** A message will be visible at this time. */
  hidden(queue: Queue, until: number): void {
    const line = this.#lines.get(queue)
    if (line === undefined || line.waiters.size === 0) return
    if (line.nextAt !== undefined && line.nextAt <= until) return
    line.nextAt = until
    line.timer?.cancel()
    line.timer = undefined
    this.#arm(queue, line)
  }

  /** Ends every wait, and all later ones at once. */
  close(): void {
    this.#closed = true
    for (const { waiters } of this.#lines.values()) for (const waiter of waiters) waiter.end(false)
  }

  #line(queue: Queue): Line {
    let line = this.#lines.get(queue)
    if (line === undefined) {
      line = { waiters: new Set(), epoch: 0, timer: undefined, nextAt: undefined }
      this.#lines.set(queue, line)
    }
    return line
  }

  #leave(line: Line, waiter: Waiter): void {
    line.waiters.delete(waiter)
    if (line.waiters.size > 0) return
    line.timer?.cancel()
    line.timer = undefined
    line.nextAt = undefined
  }

  #arm(queue: Queue, line: Line): void {
    if (line.timer !== undefined) return
    line.nextAt ??= this.#lookUp(queue)
    if (line.nextAt === Infinity) return
    const ms = Math.min(LOOK_MS, Math.max(0, line.nextAt - this.#clock.now()))
    line.timer = this.#clock.timer(ms, () => this.#look(queue, line), { unref: true })
  }

  #look(queue: Queue, line: Line): void {
    line.timer = undefined
    if (line.nextAt !== undefined && this.#clock.now() >= line.nextAt) {
      line.nextAt = undefined
      this.changed(queue, WAKE_BY_TIME)
    }
    if (line.waiters.size > 0) this.#arm(queue, line)
  }

  #lookUp(queue: Queue): number {
    try {
      return this.#nextVisibleAt(queue) ?? Infinity
    } catch {
      // The disk fails at present: look again soon.
      return this.#clock.now() + LOOK_MS
    }
  }
}
