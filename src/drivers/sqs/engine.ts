/**
 * The message-queue port on Amazon SQS.
 *
 * Queues are made elsewhere (`deploy/terraform/messages-aws`). What several callers want at about the same time shares
 * requests; nothing is kept here but where queues are, so any number of processes may use the same ones.
 */
import { sleep } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { checkQueue, checkReceive } from '../../ports/message-checks.ts'
import {
  portableMessageLimits,
  type ChangeResult,
  type DeleteResult,
  type MessageCapabilities,
  type MessageQueue,
  type OutgoingMessage,
  type QueueFacts,
  type QueueOptions,
  type QueueStats,
  type ReceivedMessage,
  type ReceiveOptions,
  type SendResult,
  type VisibilityChange,
} from '../../ports/message-queue.ts'
import { parseAddress } from './address.ts'
import type { SqsClient } from './client.ts'
import { SqsQueue } from './queue.ts'

export class SqsMessageQueue implements MessageQueue {
  readonly limits = portableMessageLimits
  readonly capabilities: MessageCapabilities = {
    queues: 'existing',
    resolutionMs: 1_000,
    stats: 'approximate',
    receipts: 'lenient',
    delivery: 'sampled',
  }
  readonly #client: SqsClient
  readonly #drainMs: number
  /** Those that exist, or are being looked for. */
  readonly #queues = new Map<string, SqsQueue>()
  readonly #known = new Set<string>()
  readonly #underWay = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  /** @param drainMs how long closing waits for long polls under way */
  constructor(client: SqsClient, drainMs: number) {
    this.#client = client
    this.#drainMs = drainMs
  }

  async declareQueue(queue: string, options: QueueOptions = {}): Promise<QueueFacts> {
    checkQueue(parseAddress(queue).name, options, this.limits)
    return this.#on(queue, (q) => q.describe())
  }

  async describeQueue(queue: string): Promise<QueueFacts> {
    return this.#on(queue, (q) => q.describe())
  }

  listQueues(): Promise<readonly string[]> {
    return this.#guarded(async () => [...this.#known].toSorted())
  }

  async send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly SendResult[]> {
    return this.#on(queue, (q) => q.send(messages))
  }

  async receive(queue: string, options: ReceiveOptions = {}): Promise<readonly ReceivedMessage[]> {
    return this.#on(queue, (q) => {
      checkReceive(options, this.limits)
      return q.receive(options)
    })
  }

  async delete(queue: string, receipts: readonly string[]): Promise<readonly DeleteResult[]> {
    return this.#on(queue, (q) => q.delete(receipts))
  }

  async changeVisibility(
    queue: string,
    changes: readonly VisibilityChange[],
  ): Promise<readonly ChangeResult[]> {
    return this.#on(queue, (q) => q.changeVisibility(changes))
  }

  async stats(queue: string): Promise<QueueStats> {
    return this.#on(queue, (q) => q.stats())
  }

  async purge(queue: string): Promise<void> {
    return this.#on(queue, (q) => q.purge())
  }

  /**
   * A long poll that is still under way after the time to drain is cut off; messages that SQS takes for it in that very
   * moment are visible again when their visibility ends.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    const queues = [...this.#queues.values()]
    for (const queue of queues) queue.endReceives()
    await Promise.allSettled(this.#underWay)
    const controller = new AbortController()
    await Promise.race([
      Promise.all(queues.map((queue) => queue.drained())),
      sleep(this.#client.clock, this.#drainMs, controller.signal).catch(() => undefined),
    ])
    controller.abort()
    this.#client.destroy()
  }

  /** A call on one queue. */
  #on<T>(given: string, call: (queue: SqsQueue) => Promise<T>): Promise<T> {
    return this.#guarded(async () => {
      let queue = this.#queues.get(given)
      if (queue === undefined) {
        queue = new SqsQueue(this.#client, parseAddress(given))
        this.#queues.set(given, queue)
      }
      try {
        const result = await call(queue)
        this.#known.add(given)
        return result
      } catch (error) {
        if (!this.#known.has(given)) this.#queues.delete(given)
        throw error
      }
    })
  }

  #guarded<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) {
      return Promise.reject(new SignalboxError('unavailable', 'the message queue is closed'))
    }
    const work = call()
    this.#underWay.add(work)
    const done = (): unknown => this.#underWay.delete(work)
    work.then(done, done)
    return work
  }
}
