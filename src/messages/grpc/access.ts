/**
 * What each gRPC call demands, as its twin over HTTP does, for a server that asks who calls. A sidecar asks nobody.
 *
 * Invariant: every method of the two services has an entry; one that has none is refused by whoever enforces this.
 */
import type { Metadata, ServerInterceptor } from '@grpc/grpc-js'
import type { SignalboxError } from '../../kernel/error.ts'
import type { Access } from '../../ports/access.ts'
import type * as v1 from './generated/signalbox/messages/v1/messages.ts'

/** Says who may call what. */
export interface CallGuard {
  readonly interceptor: ServerInterceptor
  /** Calls `ended`, maybe more than once, when the caller of a stream may go on no longer. @returns stops that */
  watch(caller: Metadata, ended: (error: SignalboxError) => void): () => void
}

export interface GuardedCall {
  readonly access: Access
  /** The queues that a request concerns (of a stream: its first request). */
  readonly queues: (request: object) => readonly string[]
  /** Of a list: the answer without what the caller may not see. */
  readonly visible?: (answer: object, may: (queue: string) => boolean) => object
}

const operator: Access = { role: 'operator', noun: 'messages', param: 'queue' }
const viewer: Access = { role: 'viewer', noun: 'messages', param: 'queue' }

/**
 * @param queueOf the queue that is meant by a name, which may be empty
 * @returns the calls by path: `/sqs.SQSService/ReceiveMessage`
 */
export function messageCalls(queueOf: (name: string) => string): ReadonlyMap<string, GuardedCall> {
  const one = (access: Access): GuardedCall => ({
    access,
    queues: (request) => [queueOf((request as { queue: string }).queue)],
  })
  const v1Calls: Readonly<Record<string, GuardedCall>> = {
    Send: one(operator),
    SendBatch: one(operator),
    Receive: one(operator),
    Delete: one(operator),
    DeleteBatch: one(operator),
    ChangeVisibility: one(operator),
    ChangeVisibilityBatch: one(operator),
    Consume: {
      access: operator,
      queues: (request) => [queueOf((request as v1.ConsumeRequest).open?.queue ?? '')],
    },
    ListQueues: {
      access: { role: 'viewer', noun: 'messages', filtered: true },
      queues: () => [''],
      visible: (answer, may) => ({ queues: (answer as v1.ListQueuesResponse).queues.filter(may) }),
    },
    Stats: one(viewer),
    Peek: one(viewer),
    Purge: one(operator),
    Redrive: {
      access: operator,
      queues: (request) => {
        const { queue, to } = request as v1.RedriveRequest
        return [queueOf(queue), ...(to === undefined ? [] : [to])]
      },
    },
  }
  return new Map([
    ...Object.entries(v1Calls).map(
      ([name, call]) => [`/signalbox.messages.v1.MessagesService/${name}`, call] as const,
    ),
    ['/sqs.SQSService/ReceiveMessage', one(operator)],
    ['/sqs.SQSService/DeleteMessage', one(operator)],
  ])
}
