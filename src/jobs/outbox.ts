/**
 * Sends of one process to one queue: what is sent in the same turn of the event loop shares calls of the engine, as large as its
 * limits allow. Nothing waits for company: the first of a turn goes out as soon as the code that sent it, and all that
 * ran beside it, has come to a wait.
 */
import { SignalboxError, toSignalboxError } from '../kernel/error.ts'
import type { MessageQueue, OutgoingMessage, SendResult } from '../ports/message-queue.ts'

interface Pending {
  readonly message: OutgoingMessage
  readonly resolve: (result: SendResult) => void
}

export class Outbox {
  readonly #engine: MessageQueue
  readonly #queue: string
  #waiting: Pending[] = []

  constructor(engine: MessageQueue, queue: string) {
    this.#engine = engine
    this.#queue = queue
  }

  /** Never rejects. */
  send(message: OutgoingMessage): Promise<SendResult> {
    return new Promise((resolve) => {
      this.#waiting.push({ message, resolve })
      if (this.#waiting.length === 1) queueMicrotask(() => this.#flush())
    })
  }

  #flush(): void {
    const waiting = this.#waiting
    this.#waiting = []
    const messages = waiting.map(({ message }) => message)
    let at = 0
    for (const batch of batches(this.#engine, messages)) {
      const pending = waiting.slice(at, (at += batch.length))
      void sendBatch(this.#engine, this.#queue, batch).then((results) =>
        pending.forEach(({ resolve }, i) => resolve(results[i] ?? unanswered())),
      )
    }
  }
}

const outboxes = new WeakMap<MessageQueue, Map<string, Outbox>>()

export function outboxOf(engine: MessageQueue, queue: string): Outbox {
  let queues = outboxes.get(engine)
  if (queues === undefined) outboxes.set(engine, (queues = new Map()))
  let outbox = queues.get(queue)
  if (outbox === undefined) queues.set(queue, (outbox = new Outbox(engine, queue)))
  return outbox
}

/** Sends any number, side by side. Never rejects. */
export async function sendAll(
  engine: MessageQueue,
  queue: string,
  messages: readonly OutgoingMessage[],
): Promise<readonly SendResult[]> {
  const sent = batches(engine, messages).map((batch) => sendBatch(engine, queue, batch))
  return (await Promise.all(sent)).flat()
}

async function sendBatch(
  engine: MessageQueue,
  queue: string,
  messages: readonly OutgoingMessage[],
): Promise<readonly SendResult[]> {
  try {
    return await engine.send(queue, messages)
  } catch (thrown) {
    const error = toSignalboxError(thrown)
    return messages.map(() => ({ status: 'failed', error }))
  }
}

function batches({ limits }: MessageQueue, messages: readonly OutgoingMessage[]): OutgoingMessage[][] {
  const all: OutgoingMessage[][] = []
  let batch: OutgoingMessage[] = []
  let bytes = 0
  for (const message of messages) {
    const { length } = message.body
    // Three bytes a character at most: counted only when that may be too many.
    const weight =
      length * 3 < limits.batchBytes / limits.batchEntries ? length * 3 : Buffer.byteLength(message.body)
    if (batch.length === limits.batchEntries || (batch.length > 0 && bytes + weight > limits.batchBytes)) {
      all.push(batch)
      batch = []
      bytes = 0
    }
    batch.push(message)
    bytes += weight
  }
  if (batch.length > 0) all.push(batch)
  return all
}

function unanswered(): SendResult {
  return {
    status: 'failed',
    error: new SignalboxError('internal', 'the engine answered with too few results'),
  }
}
