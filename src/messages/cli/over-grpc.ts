/** `MessagesApi` at a server or a sidecar, over gRPC. */
import { credentials, Metadata, status, type CallOptions, type ServiceError } from '@grpc/grpc-js'
import type { Clock } from '../../kernel/clock.ts'
import { isErrorCode, SignalboxError, type ErrorCode } from '../../kernel/error.ts'
import type { MessagesApi, OutgoingView, ReceivedView } from '../api.ts'
import * as v1 from '../grpc/generated/signalbox/messages/v1/messages.ts'
import { CODE_KEY } from '../grpc/unary.ts'

export interface GrpcTarget {
  /** `127.0.0.1:50052` or `unix:/run/signalbox.sock` */
  readonly address: string
  /** With TLS; by the system's authorities unless one is given, as PEM. */
  readonly tls?: { readonly authority?: Buffer }
  /** Asked before each call for what is sent as `Authorization: Bearer …`. */
  readonly token?: () => Promise<string>
  readonly clock: Clock
}

type Done<A> = (error: ServiceError | null, answer: A) => void

/** The longest wait of a receive, and ten seconds for the way. */
const DEADLINE_MS = 30_000
/** Nothing was sent to anybody; the system's code for why, if it says one. */
const NOT_SENT = /^(?:No connection established|Name resolution failed)(?:.*\b(E[A-Z]{4,})\b)?/s

export function messagesOverGrpc({
  address,
  tls,
  token,
  clock,
}: GrpcTarget): MessagesApi & { close(): void } {
  const channel =
    tls === undefined ? credentials.createInsecure() : credentials.createSsl(tls.authority ?? null)
  const client = new v1.MessagesServiceClient(address, channel)
  const call = async <A>(
    start: (metadata: Metadata, options: CallOptions, done: Done<A>) => unknown,
    { read = false } = {},
  ): Promise<A> => {
    const metadata = new Metadata()
    if (token !== undefined) metadata.set('authorization', `Bearer ${await token()}`)
    return new Promise((done, failed) => {
      start(metadata, { deadline: clock.now() + DEADLINE_MS }, (error, answer) => {
        if (error === null) done(answer)
        else failed(errorOf(error, address, read))
      })
    })
  }
  return {
    close: () => client.close(),
    async send(queue, messages) {
      const { results } = await call<v1.SendBatchResponse>((...rest) =>
        client.sendBatch({ queue, messages: messages.map(outgoing) }, ...rest),
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
      const { messages } = await call<v1.ReceiveResponse>((...rest) => client.receive(request, ...rest))
      return { messages: messages.map(received) }
    },
    async delete(queue, receipts) {
      const { results } = await call<v1.DeleteBatchResponse>((...rest) =>
        client.deleteBatch({ queue, receipts: [...receipts] }, ...rest),
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
    stats: (queue) => call<v1.StatsResponse>((...rest) => client.stats({ queue }, ...rest), { read: true }),
    async peek(queue, { limit = 0, after }) {
      const { messages, next } = await call<v1.PeekResponse>(
        (...rest) => client.peek({ queue, limit, after }, ...rest),
        { read: true },
      )
      const peeked = messages.flatMap(({ message, state, visibleAtMs }) =>
        message === undefined
          ? []
          : [{ ...received(message), state: stateOf(state), visibleAt: visibleAtMs }],
      )
      return { messages: peeked, ...(next === undefined ? {} : { next }) }
    },
    async redrive(queue, { to, rate = 0, limit = 0, after, dryRun = false }) {
      const answer = await call<v1.RedriveResponse>((...rest) =>
        client.redrive({ queue, to, rate, limit, after, dryRun }, ...rest),
      )
      const { moved, skipped, next } = answer
      return { moved, skipped, ...(next === undefined ? {} : { next }) }
    },
    async purge(queue) {
      await call<v1.PurgeResponse>((...rest) => client.purge({ queue }, ...rest))
    },
  }
}

function stateOf(text: string): 'visible' | 'in_flight' | 'delayed' {
  return text === 'in_flight' || text === 'delayed' ? text : 'visible'
}

function errorOf(error: ServiceError, address: string, read: boolean): SignalboxError {
  const { details, metadata } = error
  const [code] = (metadata as Metadata | undefined)?.get(CODE_KEY) ?? []
  if (typeof code === 'string' && isErrorCode(code)) return new SignalboxError(code, details)
  const [notSent, why = details] = NOT_SENT.exec(details) ?? []
  if (error.code === status.UNAVAILABLE && notSent !== undefined) {
    const how = "start one with 'signalbox serve' or 'signalbox sidecar', or set SIGNALBOX_URL"
    return new SignalboxError('unavailable', `nobody answers at ${address} (${why}); ${how}`, {
      cause: error,
    })
  }
  const what = `${address}: ${details}; ${read ? 'make the call again' : 'it may have been done all the same'}`
  return new SignalboxError(read ? 'unavailable' : 'outcome_unknown', what, { cause: error })
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
