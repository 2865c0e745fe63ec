/**
 * What message queues offer to their faces at a distance (HTTP, command line): the vocabulary as JSON, and `MessagesApi`, which
 * a client over HTTP and one over gRPC implement alike. Times are milliseconds; a `Binary` attribute's value is base64.
 */
import { z } from 'zod'
import { errorCodes, isErrorCode, type ErrorCode } from '../kernel/error.ts'

export const messageQueueName = z
  .string()
  .regex(
    /^[A-Za-z0-9_-]{1,80}(?:\.fifo)?$/,
    'must be 1 to 80 characters of A-Z a-z 0-9 _ -, and end in .fifo for a FIFO queue',
  )

const attributes = z.record(
  z.string(),
  z.object({ type: z.string().describe('String, Number or Binary'), value: z.string() }),
)

export const outgoingMessage = z.object({
  body: z.string(),
  attributes: attributes.optional(),
  delayMs: z.number().optional(),
  groupId: z.string().optional(),
  deduplicationId: z.string().optional(),
  traceHeader: z.string().optional(),
  deadLetterSource: z.string().optional().describe('Of a dead letter: the queue it comes from'),
})

const messageFacts = z.object({
  messageId: z.string(),
  body: z.string(),
  attributes,
  sentAt: z.number().describe('Milliseconds since the epoch'),
  receiveCount: z.number(),
  firstReceivedAt: z.number().optional(),
  groupId: z.string().optional(),
  deduplicationId: z.string().optional(),
  sequence: z.string().optional(),
  traceHeader: z.string().optional(),
  deadLetterSource: z.string().optional(),
})

export const receivedMessage = messageFacts.extend({
  receipt: z.string().describe('For delete and visibility'),
  deadline: z.number().describe('When its visibility ends, milliseconds since the epoch'),
})

export const peekedMessage = messageFacts.extend({
  state: z.enum(['visible', 'in_flight', 'delayed']),
  visibleAt: z.number(),
})

const codes = Object.keys(errorCodes).filter(isErrorCode) as [ErrorCode, ...ErrorCode[]]
export const failedEntry = z.object({
  status: z.literal('failed'),
  error: z.object({ code: z.enum(codes), message: z.string() }),
})
const lostEntry = z.object({ status: z.literal('lost') })

const deadLetterPolicy = z.object({ queue: messageQueueName, maxReceives: z.number().int() })

export const queueOptionsBody = z.object({
  contentDeduplication: z.boolean().optional().describe('FIFO: by the body, where no id is given'),
  visibilityMs: z.number().optional().describe('Default 30000'),
  delayMs: z.number().optional().describe('Default 0'),
  retentionMs: z.number().optional().describe('Default 4 days'),
  deadLetter: deadLetterPolicy.optional(),
})

export const queueFactsView = z.object({
  name: z.string(),
  fifo: z.boolean(),
  contentDeduplication: z.boolean(),
  visibilityMs: z.number(),
  delayMs: z.number(),
  retentionMs: z.number(),
  deadLetter: deadLetterPolicy.optional(),
})

const limit = z.number()
/** The server's clock, to which deadlines refer. */
const now = z.number().optional().describe('Milliseconds since the epoch, by the clock of the server')

/** What this place offers, and which queues the caller may see. */
export const messageQueuesView = z.object({
  queues: z.array(z.string()),
  limits: z.object({
    batchEntries: limit,
    receiveMessages: limit,
    messageBytes: limit,
    batchBytes: limit,
    attributes: limit,
    visibilityMs: limit,
    delayMs: limit,
    waitMs: limit,
    minRetentionMs: limit,
    maxRetentionMs: limit,
  }),
  capabilities: z.looseObject({
    queues: z.enum(['declared', 'existing']),
    resolutionMs: z.number(),
    stats: z.enum(['exact', 'approximate']),
    receipts: z.enum(['exact', 'lenient']),
    delivery: z.enum(['exact', 'sampled']),
    peek: z.boolean(),
  }),
  now,
})

export const sendBody = z.object({ messages: z.array(outgoingMessage) })
export const sendView = z.object({
  results: z.array(
    z.union([
      z.object({ status: z.literal('sent'), messageId: z.string(), sequence: z.string().optional() }),
      failedEntry,
    ]),
  ),
})

export const receiveBody = z.object({
  max: z.number().int().optional().describe('1 to 10; default 10'),
  visibilityMs: z.number().optional().describe("Default: the queue's"),
  waitMs: z.number().optional().describe('How long to wait for a first message; at most 20000, default 0'),
  attributes: z.array(z.string()).optional().describe('Names or prefix.*; default: all'),
})
export const receiveView = z.object({ messages: z.array(receivedMessage), now })

export const deleteBody = z.object({ receipts: z.array(z.string()) })
export const deleteView = z.object({
  results: z.array(z.union([z.object({ status: z.literal('deleted') }), lostEntry, failedEntry])),
})

export const visibilityBody = z.object({
  changes: z.array(
    z.object({
      receipt: z.string(),
      visibilityMs: z.number(),
      nack: z.boolean().optional(),
      uncounted: z.boolean().optional(),
    }),
  ),
})
export const visibilityView = z.object({
  results: z.array(
    z.union([z.object({ status: z.literal('changed'), deadline: z.number() }), lostEntry, failedEntry]),
  ),
  now,
})

export const statsView = z.object({
  visible: z.number(),
  inFlight: z.number(),
  delayed: z.number(),
  oldestAgeMs: z.number().optional(),
  exact: z.boolean().describe('Counts of some engines lag behind by up to a minute'),
})

export const peekView = z.object({ messages: z.array(peekedMessage), next: z.string().optional() })

export const redriveBody = z.object({
  to: messageQueueName.optional().describe('Default: each message to the queue it came from'),
  rate: z.number().int().min(1).optional().describe('Messages a second; default: as fast as it goes'),
  limit: z.number().int().optional().describe('Messages to look at in this call, 1 to 1000'),
  after: z.string().optional().describe('The `next` of the call before'),
  dryRun: z.boolean().optional(),
})
export const redriveView = z.object({
  moved: z.number(),
  skipped: z.number(),
  next: z.string().optional().describe('There may be more: call again with it as `after`'),
})

export type OutgoingView = z.infer<typeof outgoingMessage>
export type ReceivedView = z.infer<typeof receivedMessage>
export type SendView = z.infer<typeof sendView>
export type ReceiveRequest = z.infer<typeof receiveBody>
export type DeleteView = z.infer<typeof deleteView>
export type StatsView = z.infer<typeof statsView>
export type PeekView = z.infer<typeof peekView>
export type RedriveBody = z.infer<typeof redriveBody>
export type RedriveView = z.infer<typeof redriveView>

/** The port itself, for a client that implements it at a distance, and what it checks before it asks. */
export type {
  ChangeResult,
  DeleteResult,
  MessageAttributes,
  MessageCapabilities,
  MessageLimits,
  MessageQueue,
  OutgoingMessage,
  PeekOptions,
  PeekPage,
  QueueFacts,
  QueueOptions,
  QueueStats,
  ReceivedMessage,
  ReceiveOptions,
  RedriveOptions,
  RedriveResult,
  SendResult,
  VisibilityChange,
} from '../ports/message-queue.ts'
export {
  checkChanges,
  checkQueue,
  checkReceipts,
  checkReceive,
  checkSend,
  checkWhole,
} from '../ports/message-checks.ts'

/** Every call throws `SignalboxError`; entries of batches fail by themselves. */
export interface MessagesApi {
  send(queue: string, messages: readonly OutgoingView[]): Promise<SendView>
  receive(queue: string, request: ReceiveRequest): Promise<{ readonly messages: readonly ReceivedView[] }>
  delete(queue: string, receipts: readonly string[]): Promise<DeleteView>
  stats(queue: string): Promise<StatsView>
  peek(queue: string, page: { readonly limit?: number; readonly after?: string }): Promise<PeekView>
  redrive(queue: string, request: RedriveBody): Promise<RedriveView>
  purge(queue: string): Promise<void>
}
