/**
 * fauxqs (https://github.com/kibertoad/fauxqs): SQS in this process, so that `npm test` needs nothing but npm. What of it
 * differs from SQS in what our suites look at is put right here:
 * - text beyond the Basic Multilingual Plane is refused;
 * - a receive gets one message of a FIFO group at most, and messages that come back are not in order;
 * - what is visible again stands behind what was sent since;
 * - a message in a dead-letter queue does not tell where it came from.
 */
import { startFauxqs, type FauxqsServer } from 'fauxqs'
import { localEngine, type SqsEngine } from './sqs.ts'

interface Message {
  readonly messageGroupId?: string
  readonly sequenceNumber?: string
  approximateReceiveCount: number
  source?: string
}

interface Received {
  readonly ReceiptHandle: string
  Attributes?: Record<string, string>
}

type Dequeue = (this: Queue, max: number, visibility: number | undefined, find: unknown) => Received[]

/** What this file uses of a queue in fauxqs. */
interface Queue {
  readonly arn: string
  readonly inflightMessages: Map<string, { readonly message: Message }>
  readonly fifoMessages: Map<string, Message[]>
  readonly fifoLockedGroups: Map<string, number>
  dequeue: Dequeue
  dequeueFifo: Dequeue
  enqueue: (this: Queue, message: Message) => void
  processTimers(): void
}

interface Store {
  getQueue(url: string): Queue | undefined
}

type Handler = (body: { readonly QueueUrl: string }, store: Store, request: unknown) => unknown

interface Router {
  register: (this: Router, action: string, handler: Handler) => void
}

let mended: Promise<void> | undefined

export async function startFauxqsEngine(): Promise<SqsEngine & { readonly server: FauxqsServer }> {
  mended ??= mend()
  await mended
  const server = await startFauxqs({ port: 0, logger: false, host: '127.0.0.1' })
  return { ...localEngine(`http://127.0.0.1:${server.port}`, () => server.stop()), server }
}

async function mend(): Promise<void> {
  const part = (path: string): Promise<unknown> => import(new URL(path, import.meta.resolve('fauxqs')).href)
  const types = (await part('./sqs/sqsTypes.js')) as { readonly INVALID_MESSAGE_BODY_CHAR: RegExp }
  const invalid = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u
  types.INVALID_MESSAGE_BODY_CHAR.test = (text) => invalid.test(text)
  const { SqsQueue } = (await part('./sqs/sqsStore.js')) as {
    readonly SqsQueue: { readonly prototype: Queue }
  }
  giveSeveralOfAGroup(SqsQueue.prototype)
  const { SqsRouter } = (await part('./sqs/sqsRouter.js')) as {
    readonly SqsRouter: { readonly prototype: Router }
  }
  tellSource(SqsQueue.prototype, SqsRouter.prototype)
}

function giveSeveralOfAGroup(queue: Queue): void {
  const one = queue.dequeueFifo
  queue.dequeueFifo = function (max, visibility, find) {
    for (const group of this.fifoMessages.values()) group.sort(bySequence)
    // What stays visible would come again and again.
    if (visibility === 0) return one.call(this, max, visibility, find)
    const all: Received[] = []
    const own = new Map<string, number>()
    for (let some = [0] as unknown[]; some.length > 0 && all.length < max;) {
      const got = one.call(this, max - all.length, visibility, find)
      for (const { ReceiptHandle } of got) {
        const group = this.inflightMessages.get(ReceiptHandle)?.message.messageGroupId ?? ''
        own.set(group, (own.get(group) ?? 0) + 1)
        // Locked for others only.
        this.fifoLockedGroups.delete(group)
      }
      all.push(...got)
      some = got
    }
    for (const [group, count] of own) this.fifoLockedGroups.set(group, count)
    return all
  }
}

function bySequence(a: Message, b: Message): number {
  return (a.sequenceNumber ?? '') < (b.sequenceNumber ?? '') ? -1 : 1
}

function tellSource(queue: Queue, router: Router): void {
  let from: string | undefined
  const { dequeue, enqueue } = queue
  queue.dequeue = function (max, visibility, find) {
    from = this.arn
    try {
      return dequeue.call(this, max, visibility, find)
    } finally {
      from = undefined
    }
  }
  queue.enqueue = function (message) {
    // A queue is left during a receive only.
    if (from !== undefined && from !== this.arn) message.source = from
    // Puts what is visible again into the line.
    this.processTimers()
    enqueue.call(this, message)
  }
  const { register } = router
  router.register = function (action, handler) {
    register.call(this, action, action === 'ReceiveMessage' ? withSource(handler) : handler)
  }
}

function withSource(receive: Handler): Handler {
  return async (body, store, request) => {
    const answer = (await receive(body, store, request)) as { readonly Messages?: readonly Received[] }
    for (const message of answer.Messages ?? []) {
      const entry = store.getQueue(body.QueueUrl)?.inflightMessages.get(message.ReceiptHandle)
      const source = entry?.message.source
      if (source !== undefined)
        message.Attributes = { ...message.Attributes, DeadLetterQueueSourceArn: source }
    }
    return answer
  }
}
