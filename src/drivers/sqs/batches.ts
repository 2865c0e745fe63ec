/**
 * Sends, deletes and visibility changes of one queue, each gathered into batches, and what SQS's answer to a batch says
 * of each entry: a request may succeed while entries of it fail.
 *
 * Invariants:
 * - an entry is tried again only when it was not applied, or when doing it twice does no harm: a send on a FIFO queue
 *   (deduplicated), a delete, an extension. A send elsewhere, or giving a message back, of which SQS did not say what
 *   became is `outcome_unknown`.
 * - the changes of one receipt never overlap, so that an extension under way cannot undo the nack that follows it.
 */
import type {
  BatchResultErrorEntry,
  ChangeMessageVisibilityBatchResultEntry,
  DeleteMessageBatchResultEntry,
  SendMessageBatchResultEntry,
} from '@aws-sdk/client-sqs'
import { SignalboxError } from '../../kernel/error.ts'
import { isFifoName, messageBytes } from '../../ports/message-checks.ts'
import {
  portableMessageLimits,
  type ChangeResult,
  type DeleteResult,
  type OutgoingMessage,
  type SendResult,
} from '../../ports/message-queue.ts'
import { Batcher, type BatcherOptions, type Verdict } from './batcher.ts'
import { isPassing, type Outcome, type SqsClient, type Target } from './client.ts'
import { isEndedReceipt, translateEntry, type Refusal } from './errors.ts'
import { toEntry } from './wire.ts'

/** A message is made visible after so many seconds from now on. */
export interface Change {
  readonly receipt: string
  readonly seconds: number
  /** It keeps its receipt: doing it twice does no harm. */
  readonly extends: boolean
}

interface BatchAnswer<S> {
  readonly Successful?: readonly S[] | undefined
  readonly Failed?: readonly BatchResultErrorEntry[] | undefined
}

/** How one operation reads the answer to its batches. */
interface Reading<E, S, R> {
  readonly operation: string
  readonly harmlessTwice: (item: E) => boolean
  /** @param doneAt monotonic time that is not after the change */
  readonly done: (item: E, entry: S, doneAt: number) => R
  /** The result that stands for this refusal; undefined: an error. */
  readonly refused: (refusal: Refusal) => R | undefined
  readonly failed: (error: SignalboxError) => R
}

/** How long an entry waits for others: the spec's bound. */
const LINGER_MS = 20

export class QueueBatches {
  readonly #client: SqsClient
  readonly #target: Target
  readonly #url: () => Promise<string>
  readonly #sends: Batcher<OutgoingMessage, SendResult>
  readonly #deletes: Batcher<string, DeleteResult>
  readonly #changes: Batcher<Change, ChangeResult>

  constructor(client: SqsClient, target: Target, name: string, url: () => Promise<string>) {
    this.#client = client
    this.#target = target
    this.#url = url
    const fifo = isFifoName(name)
    this.#sends = this.#batcher({
      eager: true,
      bytes: messageBytes,
      key: (message) => (fifo ? (message.groupId ?? '') : undefined),
      fly: (messages) => this.#send(messages, fifo),
    })
    this.#deletes = this.#batcher({ fly: (receipts) => this.#delete(receipts) })
    this.#changes = this.#batcher({
      key: ({ receipt }) => receipt,
      oneOfKey: true,
      fly: (changes) => this.#change(changes),
    })
  }

  /** @throws SignalboxError when nothing can be said of this entry alone; `outcome_unknown` when nothing is known of it */
  send(message: OutgoingMessage): Promise<SendResult> {
    return this.#sends.add(message)
  }

  delete(receipt: string): Promise<DeleteResult> {
    return this.#deletes.add(receipt)
  }

  change(change: Change): Promise<ChangeResult> {
    return this.#changes.add(change)
  }

  #batcher<E, R>(
    options: Pick<BatcherOptions<E, R>, 'fly' | 'key' | 'oneOfKey' | 'bytes' | 'eager'>,
  ): Batcher<E, R> {
    const { clock, random } = this.#client
    const { batchEntries: maxEntries, batchBytes: maxBytes } = portableMessageLimits
    return new Batcher({ clock, random, maxEntries, maxBytes, lingerMs: LINGER_MS, ...options })
  }

  async #send(messages: readonly OutgoingMessage[], fifo: boolean): Promise<readonly Verdict<SendResult>[]> {
    const QueueUrl = await this.#url()
    const Entries = messages.map((message, i) => toEntry(String(i), message))
    const operation = 'SendMessageBatch'
    const make = () => new this.#client.sdk.SendMessageBatchCommand({ QueueUrl, Entries })
    const options = { entries: messages.length }
    const outcome = await this.#client.exchange(this.#target, operation, make, options)
    return this.#read<OutgoingMessage, SendMessageBatchResultEntry, SendResult>(messages, outcome, {
      operation,
      harmlessTwice: () => fifo,
      done: (_, { MessageId = '', SequenceNumber }) => ({
        status: 'sent',
        messageId: MessageId,
        ...(SequenceNumber === undefined ? {} : { sequence: SequenceNumber }),
      }),
      refused: () => undefined,
      failed: (error) => ({ status: 'failed', error }),
    })
  }

  async #delete(receipts: readonly string[]): Promise<readonly Verdict<DeleteResult>[]> {
    const QueueUrl = await this.#url()
    const Entries = receipts.map((ReceiptHandle, i) => ({ Id: String(i), ReceiptHandle }))
    const operation = 'DeleteMessageBatch'
    const make = () => new this.#client.sdk.DeleteMessageBatchCommand({ QueueUrl, Entries })
    const options = { entries: receipts.length }
    const outcome = await this.#client.exchange(this.#target, operation, make, options)
    return this.#read<string, DeleteMessageBatchResultEntry, DeleteResult>(receipts, outcome, {
      operation,
      harmlessTwice: () => true,
      done: () => ({ status: 'deleted' }),
      refused: (refusal) => (isEndedReceipt(refusal) ? { status: 'lost' } : undefined),
      failed: (error) => ({ status: 'failed', error }),
    })
  }

  async #change(changes: readonly Change[]): Promise<readonly Verdict<ChangeResult>[]> {
    const QueueUrl = await this.#url()
    const Entries = changes.map(({ receipt, seconds }, i) => ({
      Id: String(i),
      ReceiptHandle: receipt,
      VisibilityTimeout: seconds,
    }))
    const operation = 'ChangeMessageVisibilityBatch'
    const make = () => new this.#client.sdk.ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries })
    const options = { entries: changes.length }
    const outcome = await this.#client.exchange(this.#target, operation, make, options)
    return this.#read<Change, ChangeMessageVisibilityBatchResultEntry, ChangeResult>(changes, outcome, {
      operation,
      harmlessTwice: (change) => change.extends,
      done: ({ seconds }, _, doneAt) => ({
        status: 'changed',
        deadline: wallTime(this.#client, doneAt) + seconds * 1_000,
      }),
      refused: (refusal) => (isEndedReceipt(refusal) ? { status: 'lost' } : undefined),
      failed: (error) => ({ status: 'failed', error }),
    })
  }

  async #read<E, S extends { readonly Id: string | undefined }, R>(
    items: readonly E[],
    outcome: Outcome<BatchAnswer<S>>,
    reading: Reading<E, S, R>,
  ): Promise<readonly Verdict<R>[]> {
    if ('failure' in outcome) return this.#readFailure(items, outcome.failure, reading)
    const { output, doneAt } = outcome.answer
    const call = await this.#client.call(this.#target.queue, reading.operation, true)
    const successful = new Map(output.Successful?.map((entry) => [entry.Id, entry]))
    const failed = new Map(output.Failed?.map((entry) => [entry.Id, entry]))
    return items.map((item, i): Verdict<R> => {
      const success = successful.get(String(i))
      if (success !== undefined) return { kind: 'done', result: reading.done(item, success, doneAt) }
      const failure = failed.get(String(i))
      if (failure === undefined) {
        const error = new SignalboxError(
          'outcome_unknown',
          `SQS queue '${call.queue}' did not say whether it took this entry of ${reading.operation}`,
        )
        return reading.harmlessTwice(item) ? { kind: 'again', error } : { kind: 'failed', error }
      }
      const refusal = { name: failure.Code ?? 'Error', message: failure.Message ?? '' }
      const result = reading.refused(refusal)
      if (result !== undefined) return { kind: 'done', result }
      const error = translateEntry(refusal, failure.SenderFault ?? false, call)
      if (failure.SenderFault === true && error.code !== 'throttled') {
        return { kind: 'done', result: reading.failed(error) }
      }
      return { kind: 'again', error }
    })
  }

  /** The request failed as a whole. */
  async #readFailure<E, S, R>(
    items: readonly E[],
    failure: Extract<Outcome<never>, { readonly failure: unknown }>['failure'],
    reading: Reading<E, S, R>,
  ): Promise<readonly Verdict<R>[]> {
    const error = await this.#client.error(failure, this.#target.queue, reading.operation, true)
    const spoilt = error.code === 'invalid_argument' || error.code === 'internal'
    return items.map((item): Verdict<R> => {
      if (isPassing(failure)) {
        const again = failure.kind !== 'lost' || reading.harmlessTwice(item)
        return { kind: again ? 'again' : 'failed', error }
      }
      // One entry may have spoilt the batch for the others, who may even be other callers'.
      if (spoilt && items.length > 1) return { kind: 'again', error, alone: true }
      const result = reading.refused(failure)
      if (result !== undefined) return { kind: 'done', result }
      return error.code === 'invalid_argument'
        ? { kind: 'done', result: reading.failed(error) }
        : { kind: 'failed', error }
    })
  }
}

/** A monotonic moment of the past, as this process's clock tells the time now; in whole milliseconds, rounded down. */
export function wallTime({ clock }: Pick<SqsClient, 'clock'>, monotonic: number): number {
  return Math.floor(clock.now() - (clock.monotonic() - monotonic))
}
