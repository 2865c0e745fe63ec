/**
 * What every message engine checks of its arguments before it touches its service, so that all of them refuse the same
 * calls with the same words, and without a request. A check of a whole call throws `invalid_argument`; a check of one
 * entry of a batch returns the error, so that the entry fails alone. Each message is one line and shows no body.
 *
 * The rules are those of SQS (API reference: CreateQueue, SendMessageBatch, ReceiveMessage, ChangeMessageVisibility).
 */
import { SignalboxError } from '../kernel/error.ts'
import type {
  MessageAttribute,
  MessageLimits,
  OutgoingMessage,
  QueueFacts,
  QueueOptions,
  ReceiveOptions,
  VisibilityChange,
} from './message-queue.ts'
import { queueDefaults } from './message-queue.ts'

const FIFO_SUFFIX = '.fifo'
const QUEUE_NAME = /^[A-Za-z0-9_-]{1,80}$/
/** Group and deduplication ids: ASCII letters, digits and punctuation. */
const ID = /^[\x21-\x7e]{1,128}$/
const ATTRIBUTE_NAME = /^(?!(?:aws|amazon)\.)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/i
const ATTRIBUTE_TYPE = /^(String|Number|Binary)(?:\.[\x21-\x7e]+)?$/
const ATTRIBUTE_PATTERN = /^[A-Za-z0-9_.-]+(?:\.?\*)?$|^\*$/
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
/**
 * Where an engine has no other place for a message's `deadLetterSource`. Nobody sets it as an attribute: who may send to a queue
 * might not to the one that a redrive would then choose.
 */
export const SOURCE_ATTRIBUTE = 'signalbox.source'
const MAX_NAME = 256
const MAX_RECEIVES = 1_000
const MAX_RECEIPT = 4_096
const MAX_TRACE_HEADER = 1_024
/** What XML 1.0 does not allow, lone surrogates included. */
const NOT_TEXT = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u

/** Is this the name of a FIFO queue? */
export function isFifoName(queue: string): boolean {
  return queue.endsWith(FIFO_SUFFIX)
}

function isQueueName(queue: unknown): boolean {
  if (typeof queue !== 'string' || queue.length > 80) return false
  return QUEUE_NAME.test(isFifoName(queue) ? queue.slice(0, -FIFO_SUFFIX.length) : queue)
}

/** @throws SignalboxError `invalid_argument` */
export function checkQueueName(queue: string, what = 'a queue name'): void {
  if (isQueueName(queue)) return
  throw invalid(
    `${what} has 1 to 80 letters, digits, hyphens and underscores, and ends in .fifo for a FIFO queue, got ${show(queue)}`,
  )
}

/**
 * Checks a queue's name and options.
 * @returns the queue with every option's default filled in
 * @throws SignalboxError `invalid_argument`
 */
export function checkQueue(queue: string, options: QueueOptions, limits: MessageLimits): QueueFacts {
  checkQueueName(queue)
  if (!isObject(options)) throw invalid(`queue options are an object, got ${show(options)}`)
  const fifo = options.fifo ?? isFifoName(queue)
  const facts: QueueFacts = {
    name: queue,
    fifo,
    contentDeduplication: options.contentDeduplication ?? false,
    visibilityMs: options.visibilityMs ?? queueDefaults.visibilityMs,
    delayMs: options.delayMs ?? queueDefaults.delayMs,
    retentionMs: options.retentionMs ?? queueDefaults.retentionMs,
    ...(options.deadLetter === undefined ? {} : { deadLetter: options.deadLetter }),
  }
  const at = `queue ${queue}`
  if (fifo !== isFifoName(queue)) {
    throw invalid(`${at}: the names of FIFO queues, and only theirs, end in .fifo`)
  }
  if (facts.contentDeduplication && !fifo) throw invalid(`${at}: only FIFO queues deduplicate`)
  checkTime(facts.visibilityMs, 0, limits.visibilityMs, `${at}: visibilityMs`)
  checkTime(facts.delayMs, 0, limits.delayMs, `${at}: delayMs`)
  checkTime(facts.retentionMs, limits.minRetentionMs, limits.maxRetentionMs, `${at}: retentionMs`)
  checkDeadLetter(facts)
  return facts
}

function checkDeadLetter({ name, fifo, deadLetter }: QueueFacts): void {
  if (deadLetter === undefined) return
  if (!isObject(deadLetter)) {
    throw invalid(`queue ${name}: deadLetter is { queue, maxReceives }, got ${show(deadLetter)}`)
  }
  checkQueueName(deadLetter.queue, `queue ${name}: its dead-letter queue`)
  checkWhole(deadLetter.maxReceives, 1, MAX_RECEIVES, `queue ${name}: maxReceives`)
  if (deadLetter.queue === name) throw invalid(`queue ${name} cannot be its own dead-letter queue`)
  if (isFifoName(deadLetter.queue) !== fifo) {
    throw invalid(
      `queue ${name}: the dead-letter queue of a FIFO queue is a FIFO queue, of another one is not, got ${deadLetter.queue}`,
    )
  }
}

/** What a message weighs against the limits: bytes of its body and of its attributes' names, types and values. */
export function messageBytes(message: OutgoingMessage): number {
  let bytes = Buffer.byteLength(message.body)
  if (message.attributes === undefined) return bytes
  for (const [name, { type, value }] of Object.entries(message.attributes)) {
    bytes +=
      name.length + type.length + (typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength)
  }
  return bytes
}

export interface CheckedMessage {
  /** As `messageBytes`; 0 for an entry that fails. */
  readonly bytes: number
  /** Why this entry fails. */
  readonly error?: SignalboxError
}

/**
 * Checks a batch of sends.
 * @param queue what is known of it; without it, the rules that differ between FIFO and other queues go by its name.
 * @returns what was found, an entry each
 * @throws SignalboxError `invalid_argument` for the batch as a whole: empty, too many entries, too many bytes
 */
export function checkSend(
  queue: Pick<QueueFacts, 'name'> & Partial<QueueFacts>,
  messages: readonly OutgoingMessage[],
  limits: MessageLimits,
): CheckedMessage[] {
  checkBatch(messages, limits, 'send', 'messages')
  const checked = messages.map((message): CheckedMessage => {
    const problem = messageProblem(queue, message, limits)
    return problem === undefined ? { bytes: messageBytes(message) } : { bytes: 0, error: invalid(problem) }
  })
  // Each may be right by itself and the batch too large.
  const bytes = checked.reduce((sum, entry) => sum + entry.bytes, 0)
  if (bytes > limits.batchBytes) {
    throw invalid(
      `the messages of a batch may have ${limits.batchBytes} bytes together, got ${bytes}; send fewer at once`,
    )
  }
  return checked.map((entry) =>
    entry.bytes > limits.messageBytes
      ? {
          bytes: 0,
          error: invalid(
            `a message may have ${limits.messageBytes} bytes with its attributes, got ${entry.bytes}`,
          ),
        }
      : entry,
  )
}

function messageProblem(
  queue: Pick<QueueFacts, 'name'> & Partial<QueueFacts>,
  message: OutgoingMessage,
  limits: MessageLimits,
): string | undefined {
  if (!isObject(message)) return `a message is { body, … }, got ${show(message)}`
  const { body, attributes, delayMs, traceHeader } = message
  if (typeof body !== 'string' || body === '')
    return `body must be text of at least 1 byte, got ${kind(body)}`
  const place = body.search(NOT_TEXT)
  if (place >= 0) {
    return `body has a character that no queue carries (${codePoint(body, place)} at ${place}); encode it, for example as base64`
  }
  if (delayMs !== undefined) {
    if (isFifoName(queue.name))
      return `delayMs: queue ${queue.name} is a FIFO queue, whose delay is set for the queue alone`
    const problem = timeProblem(delayMs, 0, limits.delayMs, 'delayMs')
    if (problem !== undefined) return problem
  }
  if (
    traceHeader !== undefined &&
    !(typeof traceHeader === 'string' && traceHeader.length <= MAX_TRACE_HEADER)
  ) {
    return `traceHeader has up to ${MAX_TRACE_HEADER} characters, got ${kind(traceHeader)}`
  }
  return (
    idProblem(queue, message) ??
    (attributes === undefined ? undefined : attributesProblem(attributes, limits)) ??
    (message.deadLetterSource === undefined ? undefined : sourceProblem(message, limits))
  )
}

function sourceProblem(
  { attributes = {}, deadLetterSource = '' }: OutgoingMessage,
  limits: MessageLimits,
): string | undefined {
  if (!isQueueName(deadLetterSource))
    return `deadLetterSource is a queue's name, got ${show(deadLetterSource)}`
  if (Object.keys(attributes).length < limits.attributes) return undefined
  return `a message has at most ${limits.attributes} attributes, and its deadLetterSource counts as one`
}

function idProblem(
  queue: Pick<QueueFacts, 'name'> & Partial<QueueFacts>,
  { groupId, deduplicationId }: OutgoingMessage,
): string | undefined {
  const form = 'has 1 to 128 ASCII letters, digits and punctuation marks'
  if (groupId !== undefined && !ID.test(groupId)) return `groupId ${form}, got ${show(groupId)}`
  if (deduplicationId !== undefined && !ID.test(deduplicationId)) {
    return `deduplicationId ${form}, got ${show(deduplicationId)}`
  }
  if (!isFifoName(queue.name)) {
    return deduplicationId === undefined
      ? undefined
      : `deduplicationId: queue ${queue.name} is no FIFO queue and does not deduplicate`
  }
  if (groupId === undefined) return `groupId is required on the FIFO queue ${queue.name}`
  if (deduplicationId === undefined && queue.contentDeduplication === false) {
    return `deduplicationId is required on the FIFO queue ${queue.name}, which does not deduplicate by content`
  }
  return undefined
}

function attributesProblem(
  attributes: Readonly<Record<string, MessageAttribute>>,
  limits: MessageLimits,
): string | undefined {
  if (!isObject(attributes)) return `attributes are { name: { type, value } }, got ${show(attributes)}`
  const names = Object.keys(attributes)
  if (names.length > limits.attributes) {
    return `a message has at most ${limits.attributes} attributes, got ${names.length}`
  }
  for (const name of names) {
    const problem = attributeProblem(name, attributes[name])
    if (problem !== undefined) return problem
  }
  return undefined
}

function attributeProblem(name: string, attribute: MessageAttribute | undefined): string | undefined {
  if (name === '__proto__')
    return `an attribute cannot be named __proto__, which readers of JSON refuse or drop`
  if (name === SOURCE_ATTRIBUTE) return `an attribute cannot be named ${name}; set deadLetterSource`
  if (name.length > MAX_NAME || !ATTRIBUTE_NAME.test(name)) {
    return `an attribute's name has 1 to ${MAX_NAME} letters, digits, hyphens, underscores and single dots, and does not begin with AWS. or Amazon., got ${show(name)}`
  }
  const at = `attribute ${name}`
  const type = isObject(attribute) && typeof attribute.type === 'string' ? attribute.type : ''
  const base = ATTRIBUTE_TYPE.exec(type)?.[1]
  if (attribute === undefined || base === undefined || type.length > MAX_NAME) {
    return `${at}: type is String, Number or Binary, maybe with a label (Number.int), got ${show(type)}`
  }
  const { value } = attribute
  if (base === 'Binary') {
    return value instanceof Uint8Array && value.byteLength > 0
      ? undefined
      : `${at}: a Binary value is a Uint8Array of at least 1 byte, got ${kind(value)}`
  }
  if (typeof value !== 'string' || value === '') {
    return `${at}: a ${base} value is text of at least 1 byte, got ${kind(value)}`
  }
  if (base === 'Number' && !NUMBER.test(value))
    return `${at}: a Number value is a decimal number, got ${show(value)}`
  return NOT_TEXT.test(value) ? `${at}: its value has a character that no queue carries` : undefined
}

/** @throws SignalboxError `invalid_argument` */
export function checkReceive(options: ReceiveOptions, limits: MessageLimits): void {
  if (!isObject(options)) throw invalid(`receive options are an object, got ${show(options)}`)
  const { max, visibilityMs, waitMs, attributes } = options
  if (max !== undefined) checkWhole(max, 1, limits.receiveMessages, 'max')
  if (visibilityMs !== undefined) checkTime(visibilityMs, 0, limits.visibilityMs, 'visibilityMs')
  if (waitMs !== undefined) checkTime(waitMs, 0, limits.waitMs, 'waitMs')
  if (attributes === undefined || attributes === 'all') return
  if (!Array.isArray(attributes))
    throw invalid(`attributes are 'all' or a list of names, got ${show(attributes)}`)
  for (const name of attributes as readonly string[]) {
    if (typeof name === 'string' && name.length <= MAX_NAME && ATTRIBUTE_PATTERN.test(name)) continue
    throw invalid(`attributes are names, or prefixes as 'trace.*', got ${show(name)}`)
  }
}

/** Does a receive that asks for these attributes return this one? */
export function wantsAttribute(wanted: ReceiveOptions['attributes'], name: string): boolean {
  if (wanted === undefined || wanted === 'all') return true
  return wanted.some((w) => w === name || w === 'All' || (w.endsWith('*') && name.startsWith(w.slice(0, -1))))
}

/** @throws SignalboxError `invalid_argument`: not 1 to `limits.batchEntries`, or one that is no text. */
export function checkReceipts(receipts: readonly string[], limits: MessageLimits): void {
  checkBatch(receipts, limits, 'delete', 'receipts')
  for (const receipt of receipts) checkReceipt(receipt)
}

/**
 * Checks a batch of visibility changes.
 * @returns why an entry fails, by its index; undefined for one that is right
 * @throws SignalboxError `invalid_argument`: not 1 to `limits.batchEntries`, or a receipt that is no text
 */
export function checkChanges(
  changes: readonly VisibilityChange[],
  limits: MessageLimits,
): (SignalboxError | undefined)[] {
  checkBatch(changes, limits, 'changeVisibility', 'changes')
  return changes.map((change: VisibilityChange) => {
    if (!isObject(change)) throw invalid(`a change is { receipt, visibilityMs, … }, got ${show(change)}`)
    checkReceipt(change.receipt)
    const problem = timeProblem(change.visibilityMs, 0, limits.visibilityMs, 'visibilityMs')
    return problem === undefined ? undefined : invalid(problem)
  })
}

function checkReceipt(receipt: unknown): void {
  if (typeof receipt === 'string' && receipt !== '' && receipt.length <= MAX_RECEIPT) return
  throw invalid(`a receipt is the text that came with a received message, got ${kind(receipt)}`)
}

function checkBatch(entries: readonly unknown[], limits: MessageLimits, call: string, what: string): void {
  if (!Array.isArray(entries)) throw invalid(`${call} takes an array of ${what}, got ${show(entries)}`)
  if (entries.length >= 1 && entries.length <= limits.batchEntries) return
  throw invalid(`${call} takes 1 to ${limits.batchEntries} ${what}, got ${entries.length}`)
}

/** @throws SignalboxError `invalid_argument` unless it is a whole number in the range. */
export function checkWhole(value: number, min: number, max: number, what: string): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw invalid(`${what} must be a whole number from ${min} to ${max}, got ${show(value)}`)
}

function checkTime(value: number, min: number, max: number, what: string): void {
  const problem = timeProblem(value, min, max, what)
  if (problem !== undefined) throw invalid(problem)
}

function timeProblem(value: number, min: number, max: number, what: string): string | undefined {
  if (Number.isFinite(value) && value >= min && value <= max) return undefined
  return `${what} must be ${min} to ${max} milliseconds, got ${show(value)}`
}

/** The error of a call on a queue that does not exist. @param remedy what to do, as `declare it in the configuration`. */
export function queueNotFound(queue: string, remedy: string): SignalboxError {
  return new SignalboxError('not_found', `there is no queue ${show(queue)}; ${remedy}`, {
    details: { queue },
  })
}

function codePoint(text: string, at: number): string {
  return `U+${(text.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** An argument in a message: one short line, whatever it is. */
function show(value: unknown): string {
  if (typeof value === 'string') return `'${JSON.stringify(value.slice(0, 60)).slice(1, -1)}'`
  if (typeof value === 'number' || typeof value === 'boolean' || value == null) return String(value)
  return kind(value)
}

/** As `show`, for what may be confidential. */
function kind(value: unknown): string {
  if (value === '') return 'nothing'
  if (typeof value === 'string') return `text of ${value.length} characters`
  if (value == null) return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (value instanceof Uint8Array) return `${value.byteLength} bytes`
  return `a ${typeof value}`
}

function invalid(message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message)
}
