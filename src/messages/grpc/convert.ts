/** Between the wire's messages and the port's. */
import type { SignalboxError } from '../../kernel/error.ts'
import type {
  MessageAttributes,
  MessageFacts,
  OutgoingMessage,
  ReceivedMessage,
  ReceiveOptions,
} from '../../ports/message-queue.ts'
import type * as v1 from './generated/signalbox/messages/v1/messages.ts'
import type * as sqs from './generated/sqs/sqs_service.ts'

type WireAttributes = Readonly<Record<string, v1.Attribute>>

export function attributesFrom(wire: WireAttributes): MessageAttributes {
  const entries = Object.entries(wire)
  // What generated code makes of an attribute named so: not to be lost without a word, but refused with the others.
  const proto: unknown = Object.getPrototypeOf(wire)
  if (proto !== Object.prototype) entries.push(['__proto__', proto as v1.Attribute])
  return Object.fromEntries(
    entries.map(([name, { type, text, binary }]) => [name, { type, value: isBinary(type) ? binary : text }]),
  )
}

export function attributesTo(attributes: MessageAttributes): Record<string, v1.Attribute> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, { type, value }]) => [
      name,
      typeof value === 'string'
        ? { type, text: value, binary: NO_BYTES }
        : { type, text: '', binary: Buffer.from(value) },
    ]),
  )
}

export function outgoingFrom(wire: v1.OutgoingMessage): OutgoingMessage {
  const { body, attributes, delayMs, groupId, deduplicationId, traceHeader } = wire
  return {
    body,
    attributes: attributesFrom(attributes),
    ...(delayMs === undefined ? {} : { delayMs }),
    ...(groupId === undefined ? {} : { groupId }),
    ...(deduplicationId === undefined ? {} : { deduplicationId }),
    ...(traceHeader === undefined ? {} : { traceHeader }),
  }
}

/** @param receipt absent in a stream, which settles by delivery id, and of a message that was only looked at */
export function messageTo(
  message: MessageFacts & Partial<ReceivedMessage>,
  receipt = '',
): v1.ReceivedMessage {
  return {
    messageId: message.messageId,
    body: message.body,
    attributes: attributesTo(message.attributes),
    sentAtMs: message.sentAt,
    receiveCount: message.receiveCount,
    firstReceivedAtMs: message.firstReceivedAt,
    groupId: message.groupId,
    deduplicationId: message.deduplicationId,
    sequence: message.sequence,
    traceHeader: message.traceHeader,
    deadLetterSource: message.deadLetterSource,
    receipt,
    deadlineMs: message.deadline ?? 0,
  }
}

/** A message as the reference's client gets it, and what was added. */
export function sqsMessageTo(message: ReceivedMessage): sqs.Message {
  return {
    messageID: message.receipt,
    messageBody: message.body,
    messageId: message.messageId,
    receiveCount: message.receiveCount,
    systemAttributes: systemAttributes(message),
    messageAttributes: attributesTo(message.attributes),
    group: message.groupId ?? '',
    deadline: message.deadline,
  }
}

/** The names that SQS gives them. */
function systemAttributes(message: ReceivedMessage): Record<string, string> {
  const { firstReceivedAt, groupId, deduplicationId, sequence, traceHeader, deadLetterSource } = message
  const all: Record<string, string | undefined> = {
    SentTimestamp: String(message.sentAt),
    ApproximateReceiveCount: String(message.receiveCount),
    ApproximateFirstReceiveTimestamp: firstReceivedAt === undefined ? undefined : String(firstReceivedAt),
    MessageGroupId: groupId,
    MessageDeduplicationId: deduplicationId,
    SequenceNumber: sequence,
    AWSTraceHeader: traceHeader,
    DeadLetterQueueSourceArn: deadLetterSource,
  }
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

export function failureTo({ code, message }: SignalboxError): v1.Failure {
  return { code, message }
}

export function wantedAttributes(names: readonly string[]): NonNullable<ReceiveOptions['attributes']> {
  return names.length === 0 ? 'all' : names
}

const NO_BYTES = Buffer.alloc(0)

function isBinary(type: string): boolean {
  return type === 'Binary' || type.startsWith('Binary.')
}
