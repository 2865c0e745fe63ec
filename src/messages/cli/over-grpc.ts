/** `MessagesApi` at a sidecar, over gRPC. */
import { credentials, type Metadata, type ServiceError } from '@grpc/grpc-js'
import { isErrorCode, SignalboxError, type ErrorCode } from '../../kernel/error.ts'
import type { MessagesApi, OutgoingView, ReceivedView } from '../api.ts'
import * as v1 from '../grpc/generated/signalbox/messages/v1/messages.ts'
import { CODE_KEY } from '../grpc/unary.ts'

type Done<A> = (error: ServiceError | null, answer: A) => void

export function messagesOverGrpc(address: string): MessagesApi & { close(): void } {
  const client = new v1.MessagesServiceClient(address, credentials.createInsecure())
  const call = <A>(start: (done: Done<A>) => unknown): Promise<A> =>
    new Promise((done, failed) => {
      start((error, answer) => {
        if (error === null) done(answer)
        else failed(errorOf(error, address))
      })
    })
  return {
    close: () => client.close(),
    async send(queue, messages) {
      const { results } = await call<v1.SendBatchResponse>((done) =>
        client.sendBatch({ queue, messages: messages.map(outgoing) }, done),
      )
      return {
        results: results.map(({ failure, messageId, sequence }) =>
          failure === undefined
            ? { status: 'sent' as const, messageId, ...(sequence === undefined ? {} : { sequence }) }
            : failedEntry(failure),
        ),
      }
    },
    async receive(queue, { max = 0, visibilityMs, waitMs, attributes = [] }) {
      const request = { queue, max, visibilityMs, waitMs, attributeNames: attributes }
      const { messages } = await call<v1.ReceiveResponse>((done) => client.receive(request, done))
      return { messages: messages.map(received) }
    },
    async delete(queue, receipts) {
      const { results } = await call<v1.DeleteBatchResponse>((done) =>
        client.deleteBatch({ queue, receipts: [...receipts] }, done),
      )
      return {
        results: results.map(({ lost, failure }) =>
          failure === undefined
            ? lost
              ? { status: 'lost' as const }
              : { status: 'deleted' as const }
            : failedEntry(failure),
        ),
      }
    },
    stats: (queue) => call<v1.StatsResponse>((done) => client.stats({ queue }, done)),
    async peek(queue, { limit = 0, after }) {
      const { messages, next } = await call<v1.PeekResponse>((done) =>
        client.peek({ queue, limit, after }, done),
      )
      const peeked = messages.flatMap(({ message, state, visibleAtMs }) =>
        message === undefined
          ? []
          : [{ ...received(message), state: stateOf(state), visibleAt: visibleAtMs }],
      )
      return { messages: peeked, ...(next === undefined ? {} : { next }) }
    },
    async redrive(queue, { to, rate = 0, limit = 0, after, dryRun = false }) {
      const answer = await call<v1.RedriveResponse>((done) =>
        client.redrive({ queue, to, rate, limit, after, dryRun }, done),
      )
      const { moved, skipped, next } = answer
      return { moved, skipped, ...(next === undefined ? {} : { next }) }
    },
    async purge(queue) {
      await call<v1.PurgeResponse>((done) => client.purge({ queue }, done))
    },
  }
}

function stateOf(text: string): 'visible' | 'in_flight' | 'delayed' {
  return text === 'in_flight' || text === 'delayed' ? text : 'visible'
}

function errorOf(error: ServiceError, address: string): SignalboxError {
  const [code] = (error.metadata as Metadata | undefined)?.get(CODE_KEY) ?? []
  if (typeof code === 'string' && isErrorCode(code)) return new SignalboxError(code, error.details)
  const how = "start one with 'signalbox sidecar', or set SIGNALBOX_URL"
  return new SignalboxError('unavailable', `${address}: ${error.details}; ${how}`, { cause: error })
}

function failedEntry({ code, message }: { readonly code: string; readonly message: string }) {
  const known: ErrorCode = isErrorCode(code) ? code : 'internal'
  return { status: 'failed' as const, error: { code: known, message } }
}

function outgoing({ attributes = {}, ...message }: OutgoingView) {
  const typed = Object.entries(attributes).map(([name, { type, value }]): [string, v1.Attribute] => [
    name,
    /^Binary(\.|$)/.test(type)
      ? { type, text: '', binary: Buffer.from(value, 'base64') }
      : { type, text: value, binary: Buffer.alloc(0) },
  ])
  return { ...message, attributes: Object.fromEntries(typed) }
}

function received({
  attributes,
  sentAtMs,
  firstReceivedAtMs,
  deadlineMs,
  ...message
}: v1.ReceivedMessage): ReceivedView {
  const typed = Object.entries(attributes).map(([name, { type, text, binary }]) => [
    name,
    { type, value: /^Binary(\.|$)/.test(type) ? Buffer.from(binary).toString('base64') : text },
  ])
  return {
    ...message,
    attributes: Object.fromEntries(typed) as ReceivedView['attributes'],
    sentAt: sentAtMs,
    firstReceivedAt: firstReceivedAtMs,
    deadline: deadlineMs,
  }
}
