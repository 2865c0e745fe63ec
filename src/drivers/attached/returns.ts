/**
 * Messages that were received for a peer and did not reach it: made visible again. The host waits for them when it closes.
 *
 * Invariant: a receive that nobody saw is no attempt, where the engine can take that back; one that a caller may have seen is, or a
 * message that kills whoever receives it would come for ever.
 */
import type { MessageQueue } from '../../ports/message-queue.ts'

export interface Undelivered {
  readonly queue: string
  readonly receipts: readonly string[]
  /** A caller may have had them for a moment. */
  readonly seen?: boolean
}

export class Returns {
  readonly #engine: Pick<MessageQueue, 'limits' | 'changeVisibility'>
  readonly #underWay = new Set<Promise<void>>()

  constructor(engine: Pick<MessageQueue, 'limits' | 'changeVisibility'>) {
    this.#engine = engine
  }

  /** Resolves when they are visible again. What cannot be returned is visible when its visibility ends. Never rejects. */
  giveBack(undelivered: Undelivered): Promise<void> {
    const returned = this.#return(undelivered).catch(() => undefined)
    this.#underWay.add(returned)
    return returned.finally(() => this.#underWay.delete(returned))
  }

  /** Resolves when nothing is on its way back. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
  }

  async #return({ queue, receipts, seen = false }: Undelivered): Promise<void> {
    const { batchEntries } = this.#engine.limits
    const batches: Promise<unknown>[] = []
    for (let i = 0; i < receipts.length; i += batchEntries) {
      const batch = receipts.slice(i, i + batchEntries)
      const changes = batch.map((receipt) => ({ receipt, visibilityMs: 0, nack: true, uncounted: !seen }))
      batches.push(this.#engine.changeVisibility(queue, changes))
    }
    await Promise.allSettled(batches)
  }
}
