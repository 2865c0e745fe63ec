/**
 * The attached driver: message queues whose engine is in another process, the owner of the data directory.
 *
 * Invariants: those of `attachment.ts`, and:
 * - receives that wait hold up no other call, and go on at the successor of an owner that goes on purpose;
 * - when a receive is given up, its messages are visible again before its caller hears of it, unless the owner is away.
 *
 * Owner and client are on one machine, so their wall clocks are one: deadlines are handed on as they are.
 */
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { checkChanges, checkReceipts, checkReceive, checkSend } from '../../ports/message-checks.ts'
import {
  portableMessageLimits,
  type ChangeResult,
  type DeleteResult,
  type MessageCapabilities,
  type MessageLimits,
  type MessageQueue,
  type OutgoingMessage,
  type PeekOptions,
  type PeekPage,
  type QueueFacts,
  type QueueOptions,
  type QueueStats,
  type ReceivedMessage,
  type ReceiveOptions,
  type RedriveOptions,
  type RedriveResult,
  type SendResult,
  type VisibilityChange,
} from '../../ports/message-queue.ts'
import { Attachment, type AttachedOptions } from './attachment.ts'
import {
  CALLS,
  messageProtocol,
  packOutgoing,
  unpackChanged,
  unpackDeleted,
  unpackPage,
  unpackReceived,
  unpackSent,
  WAITING,
  type MessageMethod,
  type MessagesHello,
} from './message-wire.ts'

/** What only looks may be asked again. */
const LOOKS: ReadonlySet<MessageMethod> = new Set<MessageMethod>(['describe', 'queues', 'stats', 'peek'])

/**
 * Attaches to the message queues of an owner. Resolves once the owner has answered.
 * @example
 * const messages = await openAttachedMessages({ socketPath: 'data/owner.sock', clock: systemClock, random: systemRandom })
 * @throws SignalboxError `unavailable` when nobody answers within the deadline
 */
export async function openAttachedMessages(options: AttachedOptions): Promise<MessageQueue> {
  const messages = new AttachedMessages(options)
  await messages.open()
  return messages
}

class AttachedMessages implements MessageQueue {
  readonly #clock: Clock
  readonly #attachment: Attachment<MessagesHello>
  /** Receives that wait. */
  readonly #waiting = new Set<number>()
  limits: MessageLimits = portableMessageLimits
  capabilities: MessageCapabilities = {
    queues: 'declared',
    resolutionMs: 1,
    stats: 'exact',
    receipts: 'exact',
    delivery: 'exact',
  }
  declare peek?: (queue: string, options?: PeekOptions) => Promise<PeekPage>
  declare redrive?: (queue: string, options: RedriveOptions) => Promise<RedriveResult>

  constructor(options: AttachedOptions) {
    this.#clock = options.clock
    this.#attachment = new Attachment(options, messageProtocol, {
      onHello: ({ hello }) => this.#greeted(hello),
    })
  }

  async open(): Promise<void> {
    try {
      await this.#call('queues', [])
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async declareQueue(queue: string, options: QueueOptions = {}): Promise<QueueFacts> {
    this.#assertOpen()
    return (await this.#call('declare', [queue, options])) as QueueFacts
  }

  async describeQueue(queue: string): Promise<QueueFacts> {
    this.#assertOpen()
    return (await this.#call('describe', [queue])) as QueueFacts
  }

  async listQueues(): Promise<readonly string[]> {
    this.#assertOpen()
    return (await this.#call('queues', [])) as readonly string[]
  }

  async send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly SendResult[]> {
    this.#assertOpen()
    const checked = checkSend({ name: queue }, messages, this.limits)
    // What is wrong already may be of any size: it stays here.
    const right = messages.filter((_, i) => checked[i]?.error === undefined).map(packOutgoing)
    const packed = right.length === 0 ? [] : await this.#call('send', [queue, right])
    const sent = (packed as Parameters<typeof unpackSent>[0][]).map(unpackSent).values()
    return checked.map(({ error }): SendResult => {
      if (error !== undefined) return { status: 'failed', error }
      const { value } = sent.next()
      return value ?? { status: 'failed', error: misunderstood() }
    })
  }

  async receive(queue: string, options: ReceiveOptions = {}): Promise<readonly ReceivedMessage[]> {
    this.#assertOpen()
    checkReceive(options, this.limits)
    const { signal, waitMs = 0, max, visibilityMs, attributes } = options
    signal?.throwIfAborted()
    const end = this.#clock.monotonic() + waitMs
    const left = (): number => Math.max(0, end - this.#clock.monotonic())
    const asked = { max, visibilityMs, attributes }
    const waiting = {
      lane: WAITING,
      args: () => JSON.stringify([queue, { ...asked, waitMs: left() }]),
    } as const
    const call = waitMs > 0 ? waiting : ({ lane: CALLS, args: JSON.stringify([queue, asked]) } as const)
    const id = this.#attachment.nextId()
    const onAbort = (): void => this.#attachment.stop(id, { reason: signal?.reason })
    signal?.addEventListener('abort', onAbort, { once: true })
    if (waitMs > 0) this.#waiting.add(id)
    try {
      const received = this.#attachment.call({ method: 'receive', once: true, extraMs: left, ...call }, id)
      return ((await received) as Parameters<typeof unpackReceived>[0][]).map(unpackReceived)
    } finally {
      this.#waiting.delete(id)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  async delete(queue: string, receipts: readonly string[]): Promise<readonly DeleteResult[]> {
    this.#assertOpen()
    checkReceipts(receipts, this.limits)
    const packed = await this.#call('delete', [queue, receipts])
    return (packed as Parameters<typeof unpackDeleted>[0][]).map(unpackDeleted)
  }

  async changeVisibility(
    queue: string,
    changes: readonly VisibilityChange[],
  ): Promise<readonly ChangeResult[]> {
    this.#assertOpen()
    checkChanges(changes, this.limits)
    const packed = await this.#call('change', [queue, changes])
    return (packed as Parameters<typeof unpackChanged>[0][]).map(unpackChanged)
  }

  async stats(queue: string): Promise<QueueStats> {
    this.#assertOpen()
    return (await this.#call('stats', [queue])) as QueueStats
  }

  async purge(queue: string): Promise<void> {
    this.#assertOpen()
    await this.#call('purge', [queue])
  }

  close(): Promise<void> {
    for (const id of this.#waiting) this.#attachment.stop(id, { result: [] })
    return this.#attachment.close()
  }

  #call(method: Exclude<MessageMethod, 'receive'>, args: readonly unknown[]): Promise<unknown> {
    // JSON text now: later changes to the arguments do not count.
    const call = { method, args: JSON.stringify(args), once: !LOOKS.has(method), lane: CALLS } as const
    return this.#attachment.call(call)
  }

  #greeted({ limits, capabilities, peek, redrive }: MessagesHello): void {
    this.limits = limits
    this.capabilities = capabilities
    if (peek) {
      this.peek ??= async (queue, options = {}) => {
        this.#assertOpen()
        return unpackPage(await this.#call('peek', [queue, options]))
      }
    }
    if (redrive) {
      this.redrive ??= async (queue, options) => {
        this.#assertOpen()
        return (await this.#call('redrive', [queue, options])) as RedriveResult
      }
    }
  }

  #assertOpen(): void {
    if (this.#attachment.closed)
      throw new SignalboxError('unavailable', 'the attached message queues are closed')
  }
}

function misunderstood(): SignalboxError {
  return new SignalboxError('outcome_unknown', 'the owner answered for fewer messages than it was sent')
}
