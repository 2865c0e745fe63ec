/**
 * A message queue in memory for tests of what stands on the port: visibility, receipts, delays, long polls and dead-letter
 * queues on the clock it is given; `before` injects failures and delays, `requests` counts calls. No FIFO order, no retention.
 */
import type { Clock } from '../../kernel/clock.ts'
import {
  checkChanges,
  checkQueue,
  checkReceipts,
  checkReceive,
  checkSend,
  queueNotFound,
} from '../../ports/message-checks.ts'
import {
  portableMessageLimits,
  type ChangeResult,
  type DeleteResult,
  type MessageCapabilities,
  type MessageLimits,
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

type Call = 'send' | 'receive' | 'delete' | 'changeVisibility' | 'stats' | 'describeQueue' | 'declareQueue'

interface Stored {
  readonly id: string
  readonly message: OutgoingMessage
  readonly sentAt: number
  readonly source: string | undefined
  visibleAt: number
  /** Ends with each receive; empty: held by nobody. */
  receipt: string
  receiveCount: number
}

interface FakeQueueState {
  facts: QueueFacts
  readonly stored: Stored[]
  readonly waiting: Set<() => void>
}

export interface FakeOptions {
  readonly clock: Clock
  readonly limits?: Partial<MessageLimits>
  readonly capabilities?: Partial<MessageCapabilities>
}

export class FakeQueue implements MessageQueue {
  readonly limits: MessageLimits
  readonly capabilities: MessageCapabilities
  readonly requests: Record<Call, number> = {
    send: 0,
    receive: 0,
    delete: 0,
    changeVisibility: 0,
    stats: 0,
    describeQueue: 0,
    declareQueue: 0,
  }
  /** Every change of a visibility that was asked for. */
  readonly changes: (VisibilityChange & { readonly at: number })[] = []
  /** Runs before a call takes effect; may wait, or throw. */
  before: (call: Call, queue: string) => Promise<void> = async () => undefined
  readonly #clock: Clock
  readonly #queues = new Map<string, FakeQueueState>()
  #ids = 0

  constructor({ clock, limits, capabilities }: FakeOptions) {
    this.#clock = clock
    this.limits = { ...portableMessageLimits, ...limits }
    this.capabilities = {
      queues: 'declared',
      resolutionMs: 1,
      stats: 'exact',
      receipts: 'exact',
      delivery: 'exact',
      uncounted: true,
      ...capabilities,
    }
  }

  async declareQueue(queue: string, options: QueueOptions = {}): Promise<QueueFacts> {
    await this.#begin('declareQueue', queue)
    const facts = checkQueue(queue, options, this.limits)
    if (this.capabilities.queues === 'existing') return this.#queue(queue).facts
    const known = this.#queues.get(queue)
    if (known === undefined) this.#queues.set(queue, { facts, stored: [], waiting: new Set() })
    else known.facts = facts
    return facts
  }

  async describeQueue(queue: string): Promise<QueueFacts> {
    await this.#begin('describeQueue', queue)
    return this.#queue(queue).facts
  }

  async listQueues(): Promise<readonly string[]> {
    return [...this.#queues.keys()].toSorted()
  }

  async send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly SendResult[]> {
    await this.#begin('send', queue)
    const { facts } = this.#queue(queue)
    return checkSend(facts, messages, this.limits).map(({ error }, i): SendResult => {
      const message = messages[i]
      if (error !== undefined || message === undefined)
        return { status: 'failed', error: error ?? queueNotFound(queue, '') }
      return {
        status: 'sent',
        messageId: this.#put(queue, message, message.delayMs ?? facts.delayMs, message.deadLetterSource),
      }
    })
  }

  async receive(queue: string, options: ReceiveOptions = {}): Promise<readonly ReceivedMessage[]> {
    const { signal, waitMs = 0 } = options
    checkReceive(options, this.limits)
    await this.#begin('receive', queue)
    signal?.throwIfAborted()
    const end = this.#clock.monotonic() + waitMs
    for (;;) {
      const taken = this.#take(queue, options)
      if (taken.length > 0 || this.#clock.monotonic() >= end) return taken
      await this.#change(queue, end - this.#clock.monotonic(), signal)
      signal?.throwIfAborted()
    }
  }

  async delete(queue: string, receipts: readonly string[]): Promise<readonly DeleteResult[]> {
    checkReceipts(receipts, this.limits)
    await this.#begin('delete', queue)
    const { stored } = this.#queue(queue)
    return receipts.map((receipt): DeleteResult => {
      const at = stored.findIndex((s) => s.receipt === receipt)
      if (at < 0) return { status: 'lost' }
      stored.splice(at, 1)
      return { status: 'deleted' }
    })
  }

  async changeVisibility(
    queue: string,
    changes: readonly VisibilityChange[],
  ): Promise<readonly ChangeResult[]> {
    const errors = checkChanges(changes, this.limits)
    await this.#begin('changeVisibility', queue)
    const state = this.#queue(queue)
    const now = this.#clock.now()
    return changes.map((change, i): ChangeResult => {
      this.changes.push({ ...change, at: now })
      const error = errors[i]
      if (error !== undefined) return { status: 'failed', error }
      const held = state.stored.find((s) => s.receipt === change.receipt && s.visibleAt > now)
      if (held === undefined) return { status: 'lost' }
      held.visibleAt = now + change.visibilityMs
      if (change.nack === true || change.visibilityMs === 0) held.receipt = ''
      if (change.uncounted === true && this.capabilities.uncounted === true) held.receiveCount -= 1
      this.#wake(state)
      return { status: 'changed', deadline: held.visibleAt }
    })
  }

  async stats(queue: string): Promise<QueueStats> {
    await this.#begin('stats', queue)
    const { stored } = this.#queue(queue)
    const now = this.#clock.now()
    const hidden = stored.filter((s) => s.visibleAt > now)
    return {
      visible: stored.length - hidden.length,
      inFlight: hidden.filter((s) => s.receipt !== '').length,
      delayed: hidden.filter((s) => s.receipt === '').length,
      oldestAgeMs: stored.length === 0 ? 0 : now - Math.min(...stored.map((s) => s.sentAt)),
    }
  }

  async purge(queue: string): Promise<void> {
    this.#queue(queue).stored.length = 0
  }

  async close(): Promise<void> {
    for (const { waiting } of this.#queues.values()) for (const wake of waiting) wake()
  }

  async #begin(call: Call, queue: string): Promise<void> {
    this.requests[call] += 1
    await this.before(call, queue)
  }

  #queue(queue: string): FakeQueueState {
    const state = this.#queues.get(queue)
    if (state === undefined) throw queueNotFound(queue, 'make it first')
    return state
  }

  #put(queue: string, message: OutgoingMessage, delayMs: number, source: string | undefined): string {
    const state = this.#queue(queue)
    const now = this.#clock.now()
    const id = `m${(this.#ids += 1)}`
    state.stored.push({
      id,
      message,
      sentAt: now,
      source,
      visibleAt: now + delayMs,
      receipt: '',
      receiveCount: 0,
    })
    this.#wake(state)
    return id
  }

  #take(queue: string, { max = 1, visibilityMs }: ReceiveOptions): ReceivedMessage[] {
    const { facts, stored } = this.#queue(queue)
    const now = this.#clock.now()
    const taken: ReceivedMessage[] = []
    for (const s of stored.filter((each) => each.visibleAt <= now)) {
      if (taken.length === max) break
      const { deadLetter } = facts
      if (deadLetter !== undefined && s.receiveCount >= deadLetter.maxReceives) {
        stored.splice(stored.indexOf(s), 1)
        this.#put(deadLetter.queue, s.message, 0, queue)
        continue
      }
      s.receiveCount += 1
      s.receipt = `r${(this.#ids += 1)}`
      s.visibleAt = now + (visibilityMs ?? facts.visibilityMs)
      taken.push(received(s))
    }
    return taken
  }

  /** Resolves when something may be visible, or `ms` have passed. */
  #change(queue: string, ms: number, signal: AbortSignal | undefined): Promise<void> {
    const { stored, waiting } = this.#queue(queue)
    const next = Math.min(...stored.map((s) => s.visibleAt)) - this.#clock.now()
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel()
        waiting.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      const timer = this.#clock.timer(Math.min(ms, next), wake)
      waiting.add(wake)
      signal?.addEventListener('abort', wake, { once: true })
    })
  }

  /** Those who wait look again. */
  #wake({ waiting }: FakeQueueState): void {
    for (const wake of waiting) wake()
  }
}

function received({
  id,
  message,
  sentAt,
  source,
  receipt,
  receiveCount,
  visibleAt,
}: Stored): ReceivedMessage {
  const { body, attributes = {}, groupId } = message
  return {
    messageId: id,
    body,
    attributes,
    sentAt,
    receiveCount,
    receipt,
    deadline: visibleAt,
    ...(groupId === undefined ? {} : { groupId }),
    ...(source === undefined ? {} : { deadLetterSource: source }),
  }
}
