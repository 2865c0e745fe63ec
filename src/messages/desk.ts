/**
 * What every face does alike with received messages: gives back those whose caller has gone, remembers what is with
 * callers, and takes in no new work while it drains.
 */
import { SignalboxError } from '../kernel/error.ts'
import type { Clock } from '../kernel/clock.ts'
import type {
  ChangeResult,
  DeleteResult,
  ReceivedMessage,
  ReceiveOptions,
  VisibilityChange,
} from '../ports/message-queue.ts'
import { InFlight } from './in-flight.ts'
import type { MessagesService } from './service.ts'

export class Desk {
  readonly service: MessagesService
  readonly #inFlight: InFlight
  readonly #clock: Clock
  readonly #beforeAnswer: () => Promise<void>
  readonly #drained = new AbortController()
  readonly #waiting = new Set<Promise<unknown>>()

  /** @param beforeAnswer waited for before messages are handed out: what brings cancellations to light */
  constructor(
    service: MessagesService,
    clock: Clock,
    beforeAnswer: () => Promise<void> = async () => undefined,
  ) {
    this.service = service
    this.#clock = clock
    this.#beforeAnswer = beforeAnswer
    this.#inFlight = new InFlight(clock)
  }

  /** The clock that deadlines refer to. */
  now(): number {
    return this.#clock.now()
  }

  get draining(): boolean {
    return this.#drained.signal.aborted
  }

  /** Messages with callers, of answered receives. */
  get inFlight(): number {
    return this.#inFlight.count()
  }

  /** Receives that wait answer with nothing; later ones are refused. */
  drain(): void {
    this.#drained.abort()
  }

  /** Resolves when what is being given back is. */
  async settled(): Promise<void> {
    while (this.#waiting.size > 0) await Promise.all(this.#waiting)
  }

  /**
   * @throws SignalboxError `unavailable` while draining; what the engine throws; the signal's reason when the caller gives up,
   *   and then its messages are given back
   */
  async receive(
    queue: string,
    { signal, ...options }: ReceiveOptions & { readonly signal: AbortSignal },
  ): Promise<readonly ReceivedMessage[]> {
    if (this.draining) {
      throw new SignalboxError(
        'unavailable',
        'this process is stopping and hands out no more messages; ask another',
      )
    }
    let messages: readonly ReceivedMessage[]
    try {
      const either = AbortSignal.any([signal, this.#drained.signal])
      messages = await this.service.receive(queue, { ...options, signal: either })
    } catch (error) {
      if (this.draining && !signal.aborted) return []
      throw error
    }
    if (messages.length > 0) await this.#beforeAnswer()
    if (signal.aborted || this.draining) {
      this.giveBack(queue, messages, true)
      signal.throwIfAborted()
      return []
    }
    this.#inFlight.add(messages)
    return messages
  }

  /** @param uncounted the caller cannot have seen them: this receive was no attempt */
  giveBack(queue: string, messages: readonly ReceivedMessage[], uncounted = false): void {
    if (messages.length === 0) return
    for (const { receipt } of messages) this.#inFlight.remove(receipt)
    const given = this.service.giveBack(queue, messages, uncounted).finally(() => this.#waiting.delete(given))
    this.#waiting.add(given)
  }

  async delete(queue: string, receipts: readonly string[]): Promise<readonly DeleteResult[]> {
    const results = await this.service.delete(queue, receipts)
    receipts.forEach((receipt, i) => {
      if (results[i]?.status !== 'failed') this.#inFlight.remove(receipt)
    })
    return results
  }

  async changeVisibility(
    queue: string,
    changes: readonly VisibilityChange[],
  ): Promise<readonly ChangeResult[]> {
    const results = await this.service.changeVisibility(queue, changes)
    changes.forEach(({ receipt, visibilityMs, nack }, i) => {
      const result = results[i]
      if (result?.status === 'changed' && nack !== true && visibilityMs > 0)
        this.#inFlight.extend(receipt, result.deadline)
      else if (result?.status !== 'failed') this.#inFlight.remove(receipt)
    })
    return results
  }
}
