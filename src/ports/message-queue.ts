/**
 * The message-queue port: queues by name, from which each message is received, held for a while and deleted.
 *
 * Where Amazon SQS defines how something behaves, it behaves so here, on every engine
 * (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/). The life of a message:
 *
 *   send ──▶ delayed ──▶ visible ──receive──▶ in flight ──delete──▶ gone
 *                          ▲  │                  │
 *                          │  │ received more    └─ visibility ends, or nack: visible again, at once or after its delay
 *                          │  │ than maxReceives          │
 *                          └──┼───────────────────────────┘
 *                             ▼
 *                        its dead-letter queue ──redrive──▶ its source, as a new message
 *
 * What every engine guarantees (and `drivers/conformance/message-suite.ts` checks, as far as the capabilities say):
 * - a message is acknowledged only once it is durable; then it is delivered at least once, or expires;
 * - a delivered message is hidden from every receive until its visibility ends; a deleted one never comes back;
 * - a receipt belongs to one receive: it ends with the next receive of its message, with its delete, with a nack and with a
 *   visibility of 0; what is done with an ended receipt changes nothing (`lost`);
 * - on a FIFO queue the messages of a group come in the order of their sends, and none while one of them is in flight; a
 *   deduplication id is accepted once in five minutes.
 *
 * An engine knows no capability. It translates its service's errors into `SignalboxError` at this border: `throttled`
 * and `unavailable` mean *not applied*; `outcome_unknown` means *maybe applied*. A batch may fail in part: each of its
 * entries has a result of its own, in the order of the entries. All times are milliseconds, all sizes bytes of UTF-8.
 */
import type { SignalboxError } from '../kernel/error.ts'

/** What a queue does with its messages. */
export interface QueueOptions {
  /** Order within groups, and deduplication. The names of FIFO queues, and only theirs, end in `.fifo`; so it follows from the name. */
  readonly fifo?: boolean
  /** FIFO: a message without deduplication id gets the SHA-256 of its body. Default false. */
  readonly contentDeduplication?: boolean
  /** How long a received message stays hidden; 0 to 12 hours, default 30 seconds. */
  readonly visibilityMs?: number
  /** How long a sent message stays hidden; 0 to 15 minutes, default 0. */
  readonly delayMs?: number
  /** Age at which a message is dropped, counted from its send; 1 minute to 14 days, default 4 days. */
  readonly retentionMs?: number
  readonly deadLetter?: DeadLetterPolicy
}

/** A message that was received `maxReceives` times is moved to `queue` instead of being received once more. */
export interface DeadLetterPolicy {
  /** An existing queue of the same kind (FIFO or not). */
  readonly queue: string
  /** 1 to 1,000. */
  readonly maxReceives: number
}

/** A queue as it is: every option has its value. */
export interface QueueFacts extends Required<Omit<QueueOptions, 'deadLetter'>> {
  readonly name: string
  readonly deadLetter?: DeadLetterPolicy
}

/** A typed value beside the body, as on SQS: `String`, `Number` or `Binary`, maybe with a label: `Number.int`. */
export interface MessageAttribute {
  readonly type: string
  /** Text for `String` and `Number`, bytes for `Binary`; not empty. */
  readonly value: string | Uint8Array
}

export type MessageAttributes = Readonly<Record<string, MessageAttribute>>

export interface OutgoingMessage {
  /** 1 byte to `limits.messageBytes`, attributes included. Any Unicode text that XML 1.0 allows (no control characters but tab, LF, CR). */
  readonly body: string
  /** Up to `limits.attributes`. An empty object is as good as none. */
  readonly attributes?: MessageAttributes
  /** Instead of the queue's delay; 0 to 15 minutes. Not on FIFO queues. */
  readonly delayMs?: number
  /** FIFO: required. Elsewhere carried along, without an order. 1–128 characters (ASCII letters, digits, punctuation). */
  readonly groupId?: string
  /** FIFO: required unless the queue deduplicates by content. Not elsewhere. 1–128 characters, as for groups. */
  readonly deduplicationId?: string
  /** AWS X-Ray's trace header, carried along. */
  readonly traceHeader?: string
  /**
   * The queue from which the sender takes this message out of the way, into a dead-letter queue: what its
   * `MessageFacts.deadLetterSource` will be, so that a redrive finds the way back. Counts as an attribute.
   */
  readonly deadLetterSource?: string
}

export type SendResult =
  | {
      readonly status: 'sent'
      /** A repeat within the deduplication window has the id of the first, where the engine tells. */
      readonly messageId: string
      /** FIFO: grows within a group; compare as a decimal number. */
      readonly sequence?: string
    }
  | FailedEntry

/** This entry was not applied, or (`outcome_unknown`) maybe; the others of the batch stand for themselves. */
export interface FailedEntry {
  readonly status: 'failed'
  readonly error: SignalboxError
}

/** The receipt does not hold its message any more; nothing was changed. */
export interface LostEntry {
  readonly status: 'lost'
}

export type DeleteResult = { readonly status: 'deleted' } | LostEntry | FailedEntry

export interface VisibilityChange {
  readonly receipt: string
  /** The message stays hidden so long from now on; 0 to 12 hours. 0 makes it visible at once and ends the receipt. */
  readonly visibilityMs: number
  /** The holder gives the message back: the receipt ends, and the message is visible again after `visibilityMs`. Default false. */
  readonly nack?: boolean
  /** With `nack`: the receive was no attempt and is not counted. Only where `capabilities.uncounted`; elsewhere it counts. */
  readonly uncounted?: boolean
}

export type ChangeResult =
  | {
      readonly status: 'changed'
      /** As `ReceivedMessage.deadline`. */
      readonly deadline: number
    }
  | LostEntry
  | FailedEntry

export interface ReceiveOptions {
  /** 1 to `limits.receiveMessages`; default 1. */
  readonly max?: number
  /** Instead of the queue's visibility; 0 to 12 hours. With 0 the messages stay visible and their receipts hold nothing. */
  readonly visibilityMs?: number
  /** How long to wait for a first message; 0 to 20 seconds, default 0. */
  readonly waitMs?: number
  /** Which attributes to return: names, `prefix.*`, or `all` (the default). */
  readonly attributes?: 'all' | readonly string[]
  readonly signal?: AbortSignal
}

/** What is known of a message wherever it is looked at. */
export interface MessageFacts {
  readonly messageId: string
  readonly body: string
  /** Empty when there are none (or none were asked for). */
  readonly attributes: MessageAttributes
  /** Milliseconds since the epoch. */
  readonly sentAt: number
  /** How often it was received, this time included. */
  readonly receiveCount: number
  readonly firstReceivedAt?: number
  readonly groupId?: string
  readonly deduplicationId?: string
  readonly sequence?: string
  readonly traceHeader?: string
  /** In a dead-letter queue: the name of the queue from which it came. */
  readonly deadLetterSource?: string
}

export interface ReceivedMessage extends MessageFacts {
  /** Opaque: for `delete` and `changeVisibility`, on this queue. */
  readonly receipt: string
  /** When its visibility ends, milliseconds since the epoch by this process's clock; on the safe side, never too late. */
  readonly deadline: number
}

export interface QueueStats {
  /** Those of a FIFO queue that wait for others of their group included. */
  readonly visible: number
  readonly inFlight: number
  /** Hidden and held by nobody: sent or nacked with a delay. (SQS counts the nacked ones as in flight.) */
  readonly delayed: number
  /** Age of the oldest message; 0 without one. Absent where the engine cannot tell. */
  readonly oldestAgeMs?: number
}

export interface PeekOptions {
  /** 1 to 100; default 10. */
  readonly limit?: number
  /** The `next` of the page before. */
  readonly after?: string
}

export interface PeekedMessage extends MessageFacts {
  readonly state: 'visible' | 'in_flight' | 'delayed'
  /** When it was or will be visible, milliseconds since the epoch. */
  readonly visibleAt: number
}

export interface PeekPage {
  /** Oldest first. */
  readonly messages: readonly PeekedMessage[]
  /** Present when more may follow. */
  readonly next?: string
}

export interface RedriveOptions {
  /** Looks at so many messages at most; 1 to 1,000. */
  readonly limit: number
  /** The `next` of the call before. */
  readonly after?: string
  /** Where to; default: each to the queue it came from. */
  readonly to?: string
}

export interface RedriveResult {
  readonly moved: number
  /** Left where they are: not visible at present, or they came from no queue that exists and no `to` was given. */
  readonly skipped: number
  /** Present when more may follow. */
  readonly next?: string
}

export interface MessageLimits {
  /** Entries of a batch of sends, deletes or visibility changes. */
  readonly batchEntries: number
  /** Messages of one receive. */
  readonly receiveMessages: number
  /** One message: its body and the names, types and values of its attributes. */
  readonly messageBytes: number
  /** All messages of a batch. */
  readonly batchBytes: number
  readonly attributes: number
  readonly visibilityMs: number
  readonly delayMs: number
  readonly waitMs: number
  readonly minRetentionMs: number
  readonly maxRetentionMs: number
}

/** What callers and tests may assume beyond the guarantees above. */
export interface MessageCapabilities {
  /** `declared`: `declareQueue` makes queues and changes their options. `existing`: they are made elsewhere. */
  readonly queues: 'declared' | 'existing'
  /** Times are rounded up to a multiple of this: 1 or 1,000 milliseconds. */
  readonly resolutionMs: number
  /** `approximate`: counts may lag behind, up to a minute, and need not fit together. */
  readonly stats: 'exact' | 'approximate'
  /** `lenient`: a delete or change with an ended receipt may be answered as if it held, though it changes nothing of a later receive. */
  readonly receipts: 'exact' | 'lenient'
  /**
   * `exact`: a receive finds every visible message, the longest visible first, and none twice within its visibility.
   * `sampled`: it may answer with fewer or, without waiting, none; in any order; and now and then one twice (not on FIFO queues).
   */
  readonly delivery: 'exact' | 'sampled'
  /** A nack may take its receive out of the count (`VisibilityChange.uncounted`). Absent: it may not. */
  readonly uncounted?: boolean
}

export interface MessageQueue {
  readonly limits: MessageLimits
  readonly capabilities: MessageCapabilities

  /**
   * Says that a queue is to be there. `queues: 'declared'`: makes it, or gives it these options from now on (what is not
   * given gets its default), messages that lie in it included. `queues: 'existing'`: looks it up; the options are not applied.
   * @returns the queue as it is
   * @throws SignalboxError `invalid_argument`, `not_found` (the queue where it must exist; the dead-letter queue),
   *   `throttled`, `unavailable`, `outcome_unknown` (declare it again)
   */
  declareQueue(queue: string, options?: QueueOptions): Promise<QueueFacts>

  /** @throws SignalboxError `not_found`, with the remedy; `throttled`, `unavailable` */
  describeQueue(queue: string): Promise<QueueFacts>

  /** The names of the queues this engine knows, in order: those it has, or (`existing`) those declared or used so far. */
  listQueues(): Promise<readonly string[]>

  /**
   * Sends 1 to `limits.batchEntries` messages of at most `limits.batchBytes` together. On a FIFO queue, in this order.
   * @returns a result an entry. An entry that breaks a rule fails alone with `invalid_argument`.
   * @throws SignalboxError `invalid_argument` (of the batch), `not_found`, `throttled` or `unavailable` (nothing was sent),
   *   `outcome_unknown` (send it again: with the same deduplication ids nothing is doubled)
   */
  send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly SendResult[]>

  /**
   * Receives messages and hides them for their visibility. Without any, waits for the first up to `waitMs` and then
   * answers with what there is; so it wakes at once when a message is sent or becomes visible.
   * @returns none to `max` messages; of a FIFO group in order
   * @throws SignalboxError `invalid_argument`, `not_found`, `throttled`, `unavailable`, `outcome_unknown` (messages may stay
   *   hidden until their visibility ends)
   * @throws the signal's reason once it aborts. What was received and not answered is visible again at once.
   */
  receive(queue: string, options?: ReceiveOptions): Promise<readonly ReceivedMessage[]>

  /**
   * Deletes received messages (acknowledges them). A receipt whose visibility ended still deletes as long as nobody has
   * received the message since. Idempotent: a repeat says `deleted`, or `lost` when the engine remembers no more.
   * @returns a result an entry; one that is no receipt fails alone with `invalid_argument`, or is `lost`
   * @throws SignalboxError `invalid_argument` (of the batch), `not_found`, `throttled`, `unavailable`, `outcome_unknown` (repeat it)
   */
  delete(queue: string, receipts: readonly string[]): Promise<readonly DeleteResult[]>

  /**
   * Extends, shortens or ends the time that received messages stay hidden. A message is in flight for 12 hours at most,
   * counted from its receive; beyond that the entry fails with `invalid_argument`. An ended visibility is not revived: `lost`.
   * @returns a result an entry; one that is no receipt fails alone with `invalid_argument`, or is `lost`
   * @throws SignalboxError as `delete`
   */
  changeVisibility(queue: string, changes: readonly VisibilityChange[]): Promise<readonly ChangeResult[]>

  /** @throws SignalboxError `not_found`, `throttled`, `unavailable` */
  stats(queue: string): Promise<QueueStats>

  /**
   * A page of the messages that are there, in whatever state, without receiving them. Absent where the engine cannot.
   * @throws SignalboxError `invalid_argument`, `not_found`, `unavailable`
   */
  peek?(queue: string, options?: PeekOptions): Promise<PeekPage>

  /**
   * Deletes all messages that were sent before, in whatever state. Not atomic; may be repeated after any failure.
   * @throws SignalboxError `not_found`, `throttled` (SQS: once a minute), `unavailable`, `outcome_unknown`
   */
  purge(queue: string): Promise<void>

  /**
   * Moves visible messages out of a dead-letter queue, oldest first, in one commit: each becomes a new message (id, age
   * and receive count) of its source. Rate and repetition are the caller's. Absent where the engine cannot: then receive,
   * send and delete.
   * @throws SignalboxError `invalid_argument`, `not_found`, `throttled`, `unavailable`, `outcome_unknown`
   */
  redrive?(queue: string, options: RedriveOptions): Promise<RedriveResult>

  /** Receives that wait answer with no messages; calls under way finish. Idempotent. Later calls throw `unavailable`. */
  close(): Promise<void>
}

const MINUTE_MS = 60_000
const MIB = 1024 * 1024

/** The limits every engine offers at least: those of SQS. */
export const portableMessageLimits: MessageLimits = {
  batchEntries: 10,
  receiveMessages: 10,
  messageBytes: MIB,
  batchBytes: MIB,
  attributes: 10,
  visibilityMs: 12 * 60 * MINUTE_MS,
  delayMs: 15 * MINUTE_MS,
  waitMs: 20_000,
  minRetentionMs: MINUTE_MS,
  maxRetentionMs: 14 * 24 * 60 * MINUTE_MS,
}

export const queueDefaults = {
  visibilityMs: 30_000,
  delayMs: 0,
  retentionMs: 4 * 24 * 60 * MINUTE_MS,
} as const

/** How long a deduplication id is remembered, from its first send. */
export const DEDUPLICATION_MS = 5 * MINUTE_MS
