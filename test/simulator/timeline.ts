/**
 * True time, which no simulated machine can read: an agenda of events. `step` plays the next one and lets every promise it
 * settles run to its end, so that a history is a sequence of events and plays the same way every time.
 *
 * Invariants: time is whole microseconds and an event lies at least one ahead, so that time always goes on; events of one
 * instant play in the order in which they were entered.
 */
import type { Clock, Timer } from '../../src/kernel/clock.ts'

interface Event {
  readonly at: number
  readonly order: number
  fire: (() => void) | undefined
}

const EPOCH_MS = Date.UTC(2026, 0, 1)

export class Timeline implements Clock {
  readonly #heap: Event[] = []
  #us = 0
  #order = 0
  #pending = 0

  /** Milliseconds since the history began. */
  monotonic(): number {
    return this.#us / 1_000
  }

  now(): number {
    return EPOCH_MS + this.#us / 1_000
  }

  /** Events not yet played or cancelled. */
  get pending(): number {
    return this.#pending
  }

  timer(ms: number, fire: () => void): Timer {
    const event: Event = { at: this.#us + Math.max(1, Math.ceil(ms * 1_000)), order: this.#order++, fire }
    this.#pending++
    this.#push(event)
    return {
      cancel: () => {
        if (event.fire === undefined) return
        event.fire = undefined
        this.#pending--
      },
    }
  }

  /** Plays the next event. @returns false when there is none */
  async step(): Promise<boolean> {
    for (let event = this.#pop(); event !== undefined; event = this.#pop()) {
      const { fire } = event
      if (fire === undefined) continue
      event.fire = undefined
      this.#pending--
      this.#us = event.at
      fire()
      await settle()
      return true
    }
    return false
  }

  #push(event: Event): void {
    const heap = this.#heap
    let i = heap.push(event) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(event, heap[parent] as Event)) break
      heap[i] = heap[parent] as Event
      i = parent
    }
    heap[i] = event
  }

  #pop(): Event | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child++
      if (!before(heap[child] as Event, last)) break
      heap[i] = heap[child] as Event
      i = child
    }
    heap[i] = last
    return first
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** All promises that can settle have settled when an immediate runs: nothing here does real input or output. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
