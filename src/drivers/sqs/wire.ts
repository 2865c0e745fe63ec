/** Messages as SQS's API writes them, and back. Times are whole seconds there; ours are rounded up. */
import type { Message, MessageAttributeValue, SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs'
import { SOURCE_ATTRIBUTE, wantsAttribute } from '../../ports/message-checks.ts'
import type {
  MessageAttributes,
  OutgoingMessage,
  QueueFacts,
  ReceivedMessage,
  ReceiveOptions,
} from '../../ports/message-queue.ts'
import { queueDefaults } from '../../ports/message-queue.ts'
import { nameInArn } from './address.ts'

const SECOND_MS = 1_000

export function toSeconds(ms: number): number {
  return Math.ceil(ms / SECOND_MS)
}

export function toEntry(Id: string, message: OutgoingMessage): SendMessageBatchRequestEntry {
  const { body, delayMs, groupId, deduplicationId, traceHeader, deadLetterSource } = message
  const source = deadLetterSource && { [SOURCE_ATTRIBUTE]: { type: 'String', value: deadLetterSource } }
  const attributes = { ...message.attributes, ...source }
  const names = Object.keys(attributes)
  return {
    Id,
    MessageBody: body,
    ...(names.length === 0 ? {} : { MessageAttributes: toAttributes(attributes) }),
    ...(delayMs === undefined ? {} : { DelaySeconds: toSeconds(delayMs) }),
    ...(groupId === undefined ? {} : { MessageGroupId: groupId }),
    ...(deduplicationId === undefined ? {} : { MessageDeduplicationId: deduplicationId }),
    ...(traceHeader === undefined
      ? {}
      : { MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: traceHeader } } }),
  }
}

function toAttributes(attributes: MessageAttributes): Record<string, MessageAttributeValue> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, { type, value }]) => [
      name,
      typeof value === 'string'
        ? { DataType: type, StringValue: value }
        : { DataType: type, BinaryValue: value },
    ]),
  )
}

/** A received message whose deadline and wanted attributes are yet to be said. */
export type RawMessage = Message

export function receiptOf({ ReceiptHandle = '' }: RawMessage): string {
  return ReceiptHandle
}

export function fromMessage(
  message: RawMessage,
  deadline: number,
  wanted: ReceiveOptions['attributes'],
): ReceivedMessage {
  const facts: Partial<Record<string, string>> = message.Attributes ?? {}
  const { ApproximateFirstReceiveTimestamp: first, DeadLetterQueueSourceArn: arn } = facts
  const source =
    arn === undefined ? message.MessageAttributes?.[SOURCE_ATTRIBUTE]?.StringValue : nameInArn(arn)
  return {
    messageId: message.MessageId ?? '',
    receipt: receiptOf(message),
    body: message.Body ?? '',
    attributes: fromAttributes(message.MessageAttributes ?? {}, wanted),
    sentAt: Number(facts['SentTimestamp'] ?? 0),
    receiveCount: Number(facts['ApproximateReceiveCount'] ?? 1),
    deadline,
    ...(first === undefined ? {} : { firstReceivedAt: Number(first) }),
    ...optional('groupId', facts['MessageGroupId']),
    ...optional('deduplicationId', facts['MessageDeduplicationId']),
    ...optional('sequence', facts['SequenceNumber']),
    ...optional('traceHeader', facts['AWSTraceHeader']),
    ...optional('deadLetterSource', source),
  }
}

function optional<K extends string>(key: K, value: string | undefined): Partial<Record<K, string>> {
  return value === undefined || value === '' ? {} : ({ [key]: value } as Record<K, string>)
}

function fromAttributes(
  attributes: Record<string, MessageAttributeValue>,
  wanted: ReceiveOptions['attributes'],
): MessageAttributes {
  const entries = Object.entries(attributes).filter(
    ([name]) => name !== SOURCE_ATTRIBUTE && wantsAttribute(wanted, name),
  )
  return Object.fromEntries(
    entries.map(([name, { DataType = 'String', StringValue, BinaryValue }]) => [
      name,
      { type: DataType, value: StringValue ?? BinaryValue ?? '' },
    ]),
  )
}

/** @param attributes of `GetQueueAttributes` */
export function toFacts(name: string, attributes: Partial<Record<string, string>>): QueueFacts {
  const milliseconds = (key: string, otherwise: number): number =>
    attributes[key] === undefined ? otherwise : Number(attributes[key]) * SECOND_MS
  const deadLetter = toDeadLetter(attributes['RedrivePolicy'])
  return {
    name,
    fifo: attributes['FifoQueue'] === 'true',
    contentDeduplication: attributes['ContentBasedDeduplication'] === 'true',
    visibilityMs: milliseconds('VisibilityTimeout', queueDefaults.visibilityMs),
    delayMs: milliseconds('DelaySeconds', queueDefaults.delayMs),
    retentionMs: milliseconds('MessageRetentionPeriod', queueDefaults.retentionMs),
    ...(deadLetter === undefined ? {} : { deadLetter }),
  }
}

function toDeadLetter(policy: string | undefined): QueueFacts['deadLetter'] {
  if (policy === undefined || policy === '') return undefined
  const { deadLetterTargetArn, maxReceiveCount } = JSON.parse(policy) as {
    readonly deadLetterTargetArn: string
    readonly maxReceiveCount: number | string
  }
  return { queue: nameInArn(deadLetterTargetArn), maxReceives: Number(maxReceiveCount) }
}
