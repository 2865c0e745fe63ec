/** `signalbox.messages.v1.MessagesService`: the service over gRPC, call by call; the stream is in `consume.ts`. */
import { SignalboxError } from '../../kernel/error.ts'
import type { Desk } from '../desk.ts'
import { failureTo, messageTo, outgoingFrom, wantedAttributes } from './convert.ts'
import type * as v1 from './generated/signalbox/messages/v1/messages.ts'
import { unary, type Undelivered } from './unary.ts'

export interface MessagesCallsOptions {
  readonly desk: Desk
  readonly undelivered: Undelivered
}

type Calls = Omit<v1.MessagesServiceServer, 'consume'>

const MOST = 10

export function messagesCalls(options: MessagesCallsOptions): Calls {
  return { ...sending(options), ...receiving(options), ...settling(options), ...looking(options) }
}

function sending({ desk: { service } }: MessagesCallsOptions): Pick<Calls, 'send' | 'sendBatch'> {
  return {
    send: unary(async ({ queue, message }: v1.SendRequest) => {
      const [result] = await service.send(service.queueOf(queue), [outgoingFrom(given(message, 'message'))])
      if (result?.status !== 'sent') throw result?.error ?? noAnswer()
      return { messageId: result.messageId, sequence: result.sequence }
    }),
    sendBatch: unary(async ({ queue, messages }: v1.SendBatchRequest) => {
      const results = await service.send(service.queueOf(queue), messages.map(outgoingFrom))
      return {
        results: results.map((result) =>
          result.status === 'sent'
            ? { messageId: result.messageId, sequence: result.sequence }
            : { messageId: '', failure: failureTo(result.error) },
        ),
      }
    }),
  }
}

function receiving({ desk, undelivered }: MessagesCallsOptions): Pick<Calls, 'receive'> {
  return {
    receive: unary(async (request: v1.ReceiveRequest, { signal }) => {
      const queue = desk.service.queueOf(request.queue)
      const { max, visibilityMs, waitMs, attributeNames } = request
      const messages = await desk.receive(queue, {
        max: max === 0 ? MOST : max,
        attributes: wantedAttributes(attributeNames),
        ...(visibilityMs === undefined ? {} : { visibilityMs }),
        ...(waitMs === undefined ? {} : { waitMs }),
        signal,
      })
      const answer = { messages: messages.map((message) => messageTo(message, message.receipt)) }
      undelivered.watch(answer, () => desk.giveBack(queue, messages))
      return answer
    }),
  }
}

function settling({
  desk,
}: MessagesCallsOptions): Pick<
  Calls,
  'delete' | 'deleteBatch' | 'changeVisibility' | 'changeVisibilityBatch'
> {
  const { service } = desk
  return {
    delete: unary(async ({ queue, receipt }: v1.DeleteRequest) => {
      const [result] = await desk.delete(service.queueOf(queue), [receipt])
      if (result === undefined || result.status === 'failed') throw result?.error ?? noAnswer()
      return { lost: result.status === 'lost' }
    }),
    deleteBatch: unary(async ({ queue, receipts }: v1.DeleteBatchRequest) => {
      const results = await desk.delete(service.queueOf(queue), receipts)
      return {
        results: results.map((result) => ({
          lost: result.status === 'lost',
          ...(result.status === 'failed' ? { failure: failureTo(result.error) } : {}),
        })),
      }
    }),
    changeVisibility: unary(async ({ queue, change }: v1.ChangeVisibilityRequest) => {
      const [result] = await desk.changeVisibility(service.queueOf(queue), [given(change, 'change')])
      if (result === undefined || result.status === 'failed') throw result?.error ?? noAnswer()
      return {
        lost: result.status === 'lost',
        deadlineMs: result.status === 'changed' ? result.deadline : 0,
      }
    }),
    changeVisibilityBatch: unary(async ({ queue, changes }: v1.ChangeVisibilityBatchRequest) => {
      const results = await desk.changeVisibility(service.queueOf(queue), changes)
      return {
        results: results.map((result) => ({
          lost: result.status === 'lost',
          deadlineMs: result.status === 'changed' ? result.deadline : 0,
          ...(result.status === 'failed' ? { failure: failureTo(result.error) } : {}),
        })),
      }
    }),
  }
}

function looking({
  desk: { service },
}: MessagesCallsOptions): Pick<Calls, 'listQueues' | 'stats' | 'peek' | 'purge' | 'redrive'> {
  return {
    listQueues: unary(async () => ({ queues: [...(await service.listQueues())] })),
    stats: unary(async ({ queue }: v1.StatsRequest) => {
      const { visible, inFlight, delayed, oldestAgeMs } = await service.stats(service.queueOf(queue))
      const exact = service.capabilities.stats === 'exact'
      return { visible, inFlight, delayed, oldestAgeMs, exact }
    }),
    peek: unary(async ({ queue, limit, after }: v1.PeekRequest) => {
      const page = await service.peek(service.queueOf(queue), {
        ...(limit === 0 ? {} : { limit }),
        ...(after === undefined ? {} : { after }),
      })
      const messages = page.messages.map((message) => ({
        message: messageTo(message),
        state: message.state,
        visibleAtMs: message.visibleAt,
      }))
      return { messages, next: page.next }
    }),
    purge: unary(async ({ queue }: v1.PurgeRequest) => {
      await service.purge(service.queueOf(queue))
      return {}
    }),
    redrive: unary(async (request: v1.RedriveRequest, { signal }) => {
      const { queue, to, rate, limit, after, dryRun } = request
      return service.redrive(service.queueOf(queue), {
        dryRun,
        signal,
        ...(to === undefined ? {} : { to }),
        ...(rate === 0 ? {} : { rate }),
        ...(limit === 0 ? {} : { limit }),
        ...(after === undefined ? {} : { after }),
      })
    }),
  }
}

function given<T>(value: T | undefined, field: string): T {
  if (value !== undefined) return value
  throw new SignalboxError('invalid_argument', `${field} is missing`)
}

function noAnswer(): Error {
  return new Error('the engine answered nothing for an entry')
}
