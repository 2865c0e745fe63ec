/**
 * Which messages of answered unary receives are still with their callers, so that a stopping process knows when it may end.
 * Bounded: beyond `MAX`, messages are counted as in flight until the latest deadline of those not remembered.
 */
import type { Clock } from '../kernel/clock.ts'
import type { ReceivedMessage } from '../ports/message-queue.ts'

const MAX = 20_000

export class InFlight {
  readonly #clock: Clock
  readonly #deadlines = new Map<string, number>()
  #untracked = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(messages: readonly Pick<ReceivedMessage, 'receipt' | 'deadline'>[]): void {
    for (const { receipt, deadline } of messages) {
      if (this.#deadlines.size >= MAX) this.#prune()
      if (this.#deadlines.size >= MAX) this.#untracked = Math.max(this.#untracked, deadline)
      else this.#deadlines.set(receipt, deadline)
    }
  }

  extend(receipt: string, deadline: number): void {
    if (this.#deadlines.has(receipt)) this.#deadlines.set(receipt, deadline)
  }

  remove(receipt: string): void {
    this.#deadlines.delete(receipt)
  }

  /** How many there are; at least 1 while some may be. */
  count(): number {
    this.#prune()
    return this.#deadlines.size + (this.#untracked > this.#clock.now() ? 1 : 0)
  }

  #prune(): void {
    const now = this.#clock.now()
    for (const [receipt, deadline] of this.#deadlines) {
      if (deadline <= now) this.#deadlines.delete(receipt)
    }
  }
}
