/** `sqs.SQSService`: what clients of the reference's sidecar call, answered as it did, from whatever engine there is. */
import { SignalboxError } from '../../kernel/error.ts'
import type { ReceivedMessage } from '../../ports/message-queue.ts'
import type { Desk } from '../desk.ts'
import { sqsMessageTo } from './convert.ts'
import type {
  DeleteMessageRequest,
  ReceiveMessageRequest,
  ReceiveMessageResponse,
  SQSServiceServer,
} from './generated/sqs/sqs_service.ts'
import { unary, type Undelivered } from './unary.ts'

/** What the reference logs at level debug: its function's name and one line. */
export type CallLog = (call: string, message: () => string) => void

export interface SqsServiceOptions {
  readonly desk: Desk
  readonly undelivered: Undelivered
  /** How long a receive waits that does not say so. */
  readonly waitMs: number
  readonly log: CallLog
  /** Bodies and receipt handles may stand in the log. */
  readonly logBodies: boolean
}

const MOST = 10

export function sqsService(options: SqsServiceOptions): SQSServiceServer {
  const { desk, undelivered, log, logBodies } = options
  return {
    receiveMessage: unary<ReceiveMessageRequest, ReceiveMessageResponse>(async (request, { signal }) => {
      log('ReceiveMessage', () => `Received input: ${inputText(request)}`)
      const queue = desk.service.queueOf(request.queue)
      const messages = await desk.receive(queue, { ...receiveOptions(request, options.waitMs), signal })
      log('ReceiveMessage', () => `Returned output: ${outputText(messages, logBodies)}`)
      const answer = { messages: messages.map(sqsMessageTo) }
      undelivered.watch(answer, () => desk.giveBack(queue, messages))
      return answer
    }),
    deleteMessage: unary<DeleteMessageRequest, object>(async (request) => {
      log('DeleteMessage', () => `Received input: messageID:${shown(request.messageID, logBodies)}`)
      const queue = desk.service.queueOf(request.queue)
      if (request.messageID === '') {
        throw new SignalboxError('invalid_argument', 'messageID: give the one that came with the message')
      }
      const [result] = await desk.delete(queue, [request.messageID])
      if (result?.status === 'failed') throw result.error
      log('DeleteMessage', () => 'Returned output: ')
      return {}
    }),
  }
}

function receiveOptions(request: ReceiveMessageRequest, waitMs: number) {
  const { maximumNumberOfMessages: max, visibilityTimeout, waitTime, attributeNames } = request
  if (!(max >= 0 && max <= MOST)) {
    throw new SignalboxError(
      'invalid_argument',
      `maximum_number_of_messages must be 1 to ${MOST}, or 0 for ${MOST}, got ${max}`,
    )
  }
  return {
    max: max === 0 ? MOST : max,
    waitMs: waitTime === undefined ? waitMs : waitTime * 1_000,
    ...(visibilityTimeout === undefined ? {} : { visibilityMs: visibilityTimeout * 1_000 }),
    attributes: attributeNames,
  }
}

function inputText(request: ReceiveMessageRequest): string {
  const { visibilityTimeout, waitTime, maximumNumberOfMessages, queue } = request
  const fields = [
    ...(visibilityTimeout === undefined ? [] : [`visibility_timeout:${visibilityTimeout}`]),
    ...(waitTime === undefined ? [] : [`wait_time:${waitTime}`]),
    ...(maximumNumberOfMessages === 0 ? [] : [`maximum_number_of_messages:${maximumNumberOfMessages}`]),
    ...(queue === '' ? [] : [`queue:${JSON.stringify(queue)}`]),
  ]
  return fields.join('  ')
}

function outputText(messages: readonly ReceivedMessage[], bodies: boolean): string {
  const each = messages.map(
    ({ receipt, body }) => `messageID:${shown(receipt, bodies)}  messageBody:${shown(body, bodies)}`,
  )
  return `[${each.join(' ')}]`
}

function shown(secret: string, visible: boolean): string {
  return visible ? JSON.stringify(secret) : '"********"'
}
