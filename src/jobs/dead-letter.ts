/**
 * What a worker cannot do goes to its queue's dead-letter queue, body and attributes as they are, with the reason beside
 * them and its source, so that a redrive finds the way back.
 */
import type { SignalboxError } from '../kernel/error.ts'
import { isFifoName, messageBytes } from '../ports/message-checks.ts'
import type {
  MessageAttribute,
  MessageAttributes,
  MessageLimits,
  MessageQueue,
  OutgoingMessage,
  ReceivedMessage,
} from '../ports/message-queue.ts'
import { ID_ATTRIBUTE } from './envelope.ts'
import type { DeadReason } from './rules.ts'

export interface DeadLetter {
  readonly message: ReceivedMessage
  readonly queue: string
  readonly reason: DeadReason
  /** What is known of the job. */
  readonly job?: string | undefined
  /** Where its body has none. */
  readonly id?: string | undefined
  readonly error?: SignalboxError | undefined
}

export const REASON = 'signalbox.reason'
export const JOB = 'signalbox.job'
export const ERROR = 'signalbox.error'
const OURS = new Set([REASON, JOB, ERROR, ID_ATTRIBUTE])
const MAX_ERROR = 500
/** Of the attribute that an engine may keep the source in. */
const SOURCE_BYTES = 128
// What XML 1.0 does not allow, and line ends.
const NOT_TEXT = /[^\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]+/gu

/** @throws SignalboxError as the engine's `send`, and its error of the entry */
export async function deadLetter(engine: MessageQueue, to: string, letter: DeadLetter): Promise<void> {
  const [result] = await engine.send(to, [asLetter(engine.limits, letter)])
  if (result?.status === 'failed') throw result.error
}

function asLetter(limits: MessageLimits, letter: DeadLetter): OutgoingMessage {
  const { message, queue } = letter
  const { body, groupId, messageId, traceHeader } = message
  return {
    body,
    attributes: attributesOf(limits, letter),
    deadLetterSource: queue,
    ...(groupId === undefined ? {} : { groupId }),
    // Sent once, though an answer may be lost.
    ...(isFifoName(queue) ? { deduplicationId: messageId.slice(-128) } : {}),
    ...(traceHeader === undefined ? {} : { traceHeader }),
  }
}

/** The message's own, and as many of ours as there is room for, the most telling first. */
function attributesOf(limits: MessageLimits, letter: DeadLetter): MessageAttributes {
  const own = Object.entries(letter.message.attributes).filter(([name]) => !OURS.has(name))
  const { reason, job, id, error } = letter
  const ours = [
    text(REASON, reason),
    text(ID_ATTRIBUTE, id),
    text(JOB, job),
    text(ERROR, error?.message.replaceAll(NOT_TEXT, ' ').slice(0, MAX_ERROR)),
  ].flat()
  // One may be taken by the source, where an engine has no better place for it.
  let places = limits.attributes - own.length - 1
  let bytes = limits.messageBytes - SOURCE_BYTES - messageBytes(letter.message)
  const fitting = ours.filter(([name, attribute]) => {
    const weight = messageBytes({ body: '', attributes: { [name]: attribute } })
    if (places < 1 || weight > bytes) return false
    places -= 1
    bytes -= weight
    return true
  })
  return Object.fromEntries([...own, ...fitting])
}

function text(name: string, value: string | undefined): [string, MessageAttribute][] {
  return value === undefined || value === '' ? [] : [[name, { type: 'String', value }]]
}
