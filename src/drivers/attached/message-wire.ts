/**
 * Message queues between an attached process and their owner, in the frames of `wire.ts`: the methods of the port by name, with
 * their arguments, and results packed small.
 *
 * An answer of messages wants to be confirmed (`k`): the client says `got` once a caller has them, or `stop` when nobody
 * wants them; until then the owner gives them back when the connection breaks. `stop` also ends a receive that waits. Either
 * way it is answered once more, with no messages, when those there were are visible again.
 */
import type {
  ChangeResult,
  DeleteResult,
  MessageAttributes,
  MessageCapabilities,
  MessageLimits,
  OutgoingMessage,
  PeekPage,
  ReceivedMessage,
  SendResult,
} from '../../ports/message-queue.ts'
import { fromWire, isObject, toWire, type Protocol, type WireError } from './wire.ts'

/** Unanswered requests of a connection, receives that wait aside. */
const MAX_CALLS = 128
/** Receives of a connection that wait. */
export const MAX_WAITING = 1_024
/** Lanes of calls: receives that wait hold up no others. */
export const CALLS = 0
export const WAITING = 1

const MIB = 1024 * 1024
/** The longest frame of an owner, and the longest answer that it puts into one. */
const MAX_ANSWER_BYTES = 64 * MIB
export const MAX_ANSWER_LENGTH = 16 * MIB

export interface MessagesHello {
  readonly limits: MessageLimits
  readonly capabilities: MessageCapabilities
  /** Which of the optional methods there are. */
  readonly peek: boolean
  readonly redrive: boolean
  /** As `MAX_CALLS` and `MAX_WAITING`. */
  readonly calls: number
  readonly waiting: number
}

const METHODS = [
  'declare',
  'describe',
  'queues',
  'send',
  'receive',
  'delete',
  'change',
  'stats',
  'peek',
  'purge',
  'redrive',
] as const

export type MessageMethod = (typeof METHODS)[number]

export function isMessageMethod(name: string): name is MessageMethod {
  return (METHODS as readonly string[]).includes(name)
}

/** Text in JSON may be twice as long; then there is what belongs to an entry beside that. */
export function maxRequestBytes({ batchBytes, batchEntries }: MessageLimits): number {
  return 2 * batchBytes + batchEntries * 32 * 1024 + MIB
}

export const messageProtocol: Protocol<MessagesHello> = {
  name: 'signalbox-messages/1',
  isHello: (hello): hello is MessagesHello => {
    const { limits, capabilities, calls, waiting } = hello as Partial<MessagesHello>
    return isObject(limits) && isObject(capabilities) && Number.isInteger(calls) && Number.isInteger(waiting)
  },
  room: ({ calls, waiting }) => [calls, waiting],
  maxRequestBytes: ({ limits }) => maxRequestBytes(limits),
  maxAnswerBytes: () => MAX_ANSWER_BYTES,
}

export const rooms = { calls: MAX_CALLS, waiting: MAX_WAITING } as const

/** Bytes as base64, wherever they are: it is for the engine to say whether they may be there. */
type PackedAttributes = Readonly<Record<string, { readonly type: string; readonly value: unknown }>>

function packAttributes(attributes: MessageAttributes): PackedAttributes {
  const packed = Object.entries(attributes).map(([name, { type, value }]) => {
    const text = value instanceof Uint8Array ? { b: Buffer.from(value).toString('base64') } : value
    return [name, { type, value: text }] as const
  })
  return Object.fromEntries(packed)
}

function unpackAttributes(packed: PackedAttributes): MessageAttributes {
  const attributes = Object.entries(packed).map(([name, attribute]) => {
    if (!isObject(attribute) || !isObject(attribute.value)) return [name, attribute] as const
    const { b } = attribute.value as { readonly b?: unknown }
    const value = typeof b === 'string' ? Uint8Array.from(Buffer.from(b, 'base64')) : attribute.value
    return [name, { type: attribute.type, value }] as const
  })
  return Object.fromEntries(attributes) as MessageAttributes
}

export function packOutgoing(message: OutgoingMessage): object {
  const { attributes } = message
  return attributes === undefined ? message : { ...message, attributes: packAttributes(attributes) }
}

/** Whatever it is. */
export function unpackOutgoing(packed: unknown): OutgoingMessage {
  // For the engine to refuse: it is no message.
  if (!isObject(packed)) return {} as OutgoingMessage
  const message = packed as OutgoingMessage
  if (!isObject(message.attributes)) return message
  return { ...message, attributes: unpackAttributes(message.attributes) }
}

/** In places, since names would cost more than what they name; the rest is what few messages have. */
type PackedMessage = readonly [
  receipt: string,
  deadline: number,
  messageId: string,
  body: string,
  sentAt: number,
  receiveCount: number,
  /** 0 for none. */
  firstReceivedAt: number,
  rest?: object,
]

export function packReceived(message: ReceivedMessage): PackedMessage {
  const { receipt, deadline, messageId, body, sentAt, receiveCount, firstReceivedAt = 0 } = message
  const packed = [receipt, deadline, messageId, body, sentAt, receiveCount, firstReceivedAt] as const
  if (!isMarked(message)) return packed
  const rest = Object.entries(message).filter(([name]) => !COMMON.has(name))
  return [...packed, { ...Object.fromEntries(rest), attributes: packAttributes(message.attributes) }]
}

/** Has it anything that few messages have? */
function isMarked(message: ReceivedMessage): boolean {
  for (const name in message) if (!COMMON.has(name)) return true
  for (const _ in message.attributes) return true
  return false
}

const COMMON: ReadonlySet<string> = new Set<keyof ReceivedMessage>([
  'receipt',
  'deadline',
  'messageId',
  'body',
  'attributes',
  'sentAt',
  'receiveCount',
  'firstReceivedAt',
])

export function unpackReceived(packed: PackedMessage): ReceivedMessage {
  const [receipt, deadline, messageId, body, sentAt, receiveCount, firstReceivedAt, rest] = packed
  const { attributes, ...facts } = (rest ?? {}) as { readonly attributes?: PackedAttributes }
  return {
    messageId,
    body,
    attributes: attributes === undefined ? {} : unpackAttributes(attributes),
    sentAt,
    receiveCount,
    ...(firstReceivedAt === 0 ? {} : { firstReceivedAt }),
    ...facts,
    receipt,
    deadline,
  }
}

export function packPage(page: PeekPage): object {
  const messages = page.messages.map((m) => ({ ...m, attributes: packAttributes(m.attributes) }))
  return { ...page, messages }
}

export function unpackPage(packed: unknown): PeekPage {
  const page = packed as PeekPage
  const messages = page.messages.map((m) => ({
    ...m,
    attributes: unpackAttributes(m.attributes as PackedAttributes),
  }))
  return { ...page, messages }
}

interface PackedFailure {
  readonly e: WireError
}

type PackedSend = string | readonly [messageId: string, sequence: string] | PackedFailure

export function packSent(result: SendResult): PackedSend {
  if (result.status === 'failed') return { e: toWire(result.error) }
  return result.sequence === undefined ? result.messageId : [result.messageId, result.sequence]
}

export function unpackSent(packed: PackedSend): SendResult {
  if (typeof packed === 'string') return { status: 'sent', messageId: packed }
  if ('e' in packed) return { status: 'failed', error: fromWire(packed.e) }
  return { status: 'sent', messageId: packed[0], sequence: packed[1] }
}

type PackedDelete = 1 | 0 | PackedFailure

export function packDeleted(result: DeleteResult): PackedDelete {
  if (result.status === 'failed') return { e: toWire(result.error) }
  return result.status === 'deleted' ? 1 : 0
}

export function unpackDeleted(packed: PackedDelete): DeleteResult {
  if (packed === 1) return { status: 'deleted' }
  return packed === 0 ? { status: 'lost' } : { status: 'failed', error: fromWire(packed.e) }
}

/** The deadline; null for a lost one. */
type PackedChange = number | null | PackedFailure

export function packChanged(result: ChangeResult): PackedChange {
  if (result.status === 'failed') return { e: toWire(result.error) }
  return result.status === 'changed' ? result.deadline : null
}

export function unpackChanged(packed: PackedChange): ChangeResult {
  if (packed === null) return { status: 'lost' }
  if (typeof packed === 'number') return { status: 'changed', deadline: packed }
  return { status: 'failed', error: fromWire(packed.e) }
}
