/** What the parts of the message suite share: the engine under test, fresh queues, the passing of time, short ways to say common things. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect } from 'vitest'
import { sleep, systemClock } from '../../kernel/clock.ts'
import type {
  MessageQueue,
  OutgoingMessage,
  QueueOptions,
  ReceivedMessage,
  ReceiveOptions,
  SendResult,
} from '../../ports/message-queue.ts'

export interface MessageTarget {
  readonly messages: MessageQueue
  /** Makes a queue; required with `queues: 'existing'`, default: `declareQueue`. */
  readonly create?: (queue: string, options: QueueOptions) => Promise<void>
  /** Moves the engine's time by hand. Without it time passes by itself, and tests of long times are skipped. */
  readonly advance?: (ms: number) => Promise<void>
  /** Closes the engine and opens the same data again. Without it, durability is not tested. */
  readonly reopen?: () => Promise<MessageQueue>
  /** Releases everything. The engine may be closed already. */
  readonly close: () => Promise<void>
}

export type OpenMessages = () => Promise<MessageTarget>

/** Every engine can tell times apart that differ by this. */
export const UNIT = 1_000
/** How long an engine in real time may take to let something become visible. */
const SLACK_MS = 700

export class MessageContext {
  #target: MessageTarget | undefined

  async open(open: OpenMessages): Promise<void> {
    this.#target = await open()
  }

  async close(): Promise<void> {
    await this.#target?.close()
  }

  get target(): MessageTarget {
    return this.#target!
  }

  get messages(): MessageQueue {
    return this.target.messages
  }

  /** Receives find all there is, at once and in order. */
  get exact(): boolean {
    return this.messages.capabilities.delivery === 'exact'
  }

  get exactReceipts(): boolean {
    return this.messages.capabilities.receipts === 'exact'
  }

  get manual(): boolean {
    return this.target.advance !== undefined
  }

  /** So long a message is hidden that the calls before its time do not outlast it, also on a slow machine in real time. */
  get hiddenMs(): number {
    return this.manual ? 2 * UNIT : 8 * UNIT
  }

  /** A queue nobody else has. */
  async queue(options: QueueOptions = {}): Promise<string> {
    const name = `t-${randomUUID()}${options.fifo === true ? '.fifo' : ''}`
    if (this.target.create !== undefined) await this.target.create(name, options)
    await this.messages.declareQueue(name, options)
    return name
  }

  /** Lets so much time pass and, where it passes by itself, a bit more. */
  async pass(ms: number): Promise<void> {
    if (this.target.advance !== undefined) await this.target.advance(ms)
    else await sleep(systemClock, ms + SLACK_MS)
  }

  /** Lets everything happen that takes no time. */
  async settle(): Promise<void> {
    if (this.target.advance !== undefined) await this.target.advance(0)
    else await sleep(systemClock, 100)
  }

  /** Sends, which must succeed. @returns the results */
  async send(
    queue: string,
    ...messages: readonly (string | OutgoingMessage)[]
  ): Promise<(SendResult & { status: 'sent' })[]> {
    const results = await this.messages.send(
      queue,
      messages.map((message) => (typeof message === 'string' ? { body: message } : message)),
    )
    return results.map((result) => {
      if (result.status !== 'sent') throw result.error
      return result
    })
  }

  /** Sends any number of messages, ten a batch. */
  async fill(queue: string, bodies: readonly (string | OutgoingMessage)[]): Promise<void> {
    for (let i = 0; i < bodies.length; i += 10) await this.send(queue, ...bodies.slice(i, i + 10))
  }

  /** Receives until there are so many messages or, several times over, none. */
  async receive(queue: string, count: number, options: ReceiveOptions = {}): Promise<ReceivedMessage[]> {
    const found: ReceivedMessage[] = []
    const patience = this.exact ? 1 : 5
    for (let empty = 0; empty < patience && found.length < count;) {
      const max = Math.min(10, count - found.length)
      const some = await this.messages.receive(queue, { ...options, max, waitMs: this.exact ? 0 : UNIT })
      expect(some.length).toBeLessThanOrEqual(max)
      empty = some.length === 0 ? empty + 1 : 0
      found.push(...some)
    }
    return found
  }

  /** Receives one message, which must be there. */
  async one(queue: string, options: ReceiveOptions = {}): Promise<ReceivedMessage> {
    const [message] = await this.receive(queue, 1, options)
    if (message === undefined) throw new Error('a message should be there')
    return message
  }

  /** The bodies of everything that can be received now. */
  async bodies(queue: string, options: ReceiveOptions = {}): Promise<string[]> {
    return (await this.receive(queue, 1_000, options)).map(({ body }) => body)
  }

  /** Nothing can be received now. */
  async none(queue: string): Promise<void> {
    const waitMs = this.exact ? 0 : UNIT
    expect(await this.messages.receive(queue, { max: 10, waitMs, visibilityMs: 0 })).toEqual([])
  }

  async remove(queue: string, ...messages: readonly ReceivedMessage[]): Promise<void> {
    const receipts = messages.map(({ receipt }) => receipt)
    expect(await this.messages.delete(queue, receipts)).toEqual(messages.map(() => ({ status: 'deleted' })))
  }

  /** Gives a message back. */
  async nack(queue: string, { receipt }: ReceivedMessage, visibilityMs = 0): Promise<void> {
    const [result] = await this.messages.changeVisibility(queue, [{ receipt, visibilityMs, nack: true }])
    expect(result?.status).toBe('changed')
  }
}

/** One engine for all tests of the enclosing block. */
export function messagesForBlock(open: OpenMessages): MessageContext {
  const context = new MessageContext()
  beforeAll(() => context.open(open))
  afterAll(() => context.close())
  return context
}

/** An error of this code. */
export function code(name: string): unknown {
  return expect.objectContaining({ code: name })
}

export function numbered(count: number, prefix = 'm'): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`)
}

/** Messages of a group, each with a deduplication id of its own. */
export function grouped(groupId: string, ...bodies: string[]): OutgoingMessage[] {
  return bodies.map((body) => ({ body, groupId, deduplicationId: randomUUID() }))
}
