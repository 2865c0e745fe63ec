/**
 * Enqueueing: the input is checked before anything is sent, a job that keeps a run goes through `RunsApi`, any other one is a
 * message.
 *
 * Invariants: jobs enqueued in the same turn of the event loop share a batch, without waiting for it; each is answered by what
 * became of its own message, when that is durable.
 */
import { hash } from 'node:crypto'
import { parseDuration } from '../kernel/duration.ts'
import { SignalboxError, toSignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { isFifoName } from '../ports/message-checks.ts'
import type { MessageQueue, OutgoingMessage, SendResult } from '../ports/message-queue.ts'
import type { Json } from '../ports/store.ts'
import type { NewRun, RunsApi } from '../runs/api.ts'
import type { EnqueueItem, EnqueueOptions, EnqueueResult, Enqueued, JobsConnection } from './api.ts'
import { connectionOf } from './connection.ts'
import type { JobDefinition } from './define.ts'
import { encodeJob } from './envelope.ts'
import { inputText } from './input.ts'
import { checkJobId, checkJobQueue, runIdOf } from './names.ts'
import { outboxOf, sendAll } from './outbox.ts'
import { readyQueue } from './queues.ts'

const MAX_DEDUPLICATION_ID = 128
const OPTIONS = new Set(['id', 'delay', 'group', 'queue', 'via'])

/** One job, checked and encoded. */
interface Prepared {
  readonly id: string | undefined
  readonly text: string
  readonly delayMs: number
  readonly group: string | undefined
}

/** @throws SignalboxError as `Job.enqueue` */
export async function enqueue(
  definition: JobDefinition,
  input: unknown,
  options: EnqueueOptions = {},
): Promise<Enqueued> {
  checkOptions(definition, options)
  const queue = queueOf(definition, options.queue)
  const prepared = await prepare(definition, { ...options, input }, '')
  const connection = await connectionOf(options.via)
  if (keepsRun(definition, prepared.id)) {
    const runs = runsOf(definition, connection)
    await offerQueue(connection.engine, queue, definition)
    const { run, created } = await runs.create(newRun(definition, queue, prepared))
    return enqueuedRun(definition, queue, run.id, !created)
  }
  const { engine } = connection
  const made = madeQueue(engine, queue, definition)
  if (made instanceof Promise) await made
  const { id, message } = messageOf(definition, queue, prepared, connection)
  const result = await outboxOf(engine, queue).send(message)
  if (result.status === 'failed') throw result.error
  return { id, queue, duplicate: false, messageId: result.messageId }
}

/** @throws SignalboxError as `Job.enqueueMany` */
export async function enqueueMany(
  definition: JobDefinition,
  items: readonly EnqueueItem<unknown>[],
  options: Pick<EnqueueOptions, 'queue' | 'via'> = {},
): Promise<readonly EnqueueResult[]> {
  checkOptions(definition, options)
  const queue = queueOf(definition, options.queue)
  const prepared: Prepared[] = []
  for (const [i, item] of items.entries()) {
    const one = prepare(definition, item, ` of item ${i}`)
    prepared.push(one instanceof Promise ? await one : one)
  }
  if (prepared.length === 0) return []
  const connection = await connectionOf(options.via)
  const kept = prepared.filter(({ id }) => keepsRun(definition, id))
  const [runs, messages] = await Promise.all([
    createRuns(definition, queue, kept, connection),
    sendMessages(
      definition,
      queue,
      prepared.filter((each) => !kept.includes(each)),
      connection,
    ),
  ])
  const left = { runs: runs[Symbol.iterator](), messages: messages[Symbol.iterator]() }
  return prepared.map(
    ({ id }) => left[keepsRun(definition, id) ? 'runs' : 'messages'].next().value as EnqueueResult,
  )
}

async function createRuns(
  definition: JobDefinition,
  queue: string,
  prepared: readonly Prepared[],
  connection: JobsConnection,
): Promise<readonly EnqueueResult[]> {
  if (prepared.length === 0) return []
  const runs = runsOf(definition, connection)
  await offerQueue(connection.engine, queue, definition)
  const created = await runs.createMany(prepared.map((each) => newRun(definition, queue, each)))
  return created.map((each) => ({
    status: 'enqueued',
    ...enqueuedRun(definition, queue, each.run.id, !each.created),
  }))
}

async function sendMessages(
  definition: JobDefinition,
  queue: string,
  prepared: readonly Prepared[],
  connection: JobsConnection,
): Promise<readonly EnqueueResult[]> {
  if (prepared.length === 0) return []
  await madeQueue(connection.engine, queue, definition)
  const messages = prepared.map((each) => messageOf(definition, queue, each, connection))
  let results: readonly SendResult[]
  try {
    results = await sendAll(connection.engine, queue, messages.map(({ message }) => message)) // prettier-ignore
  } catch (error) {
    const failed: SendResult = { status: 'failed', error: toSignalboxError(error) }
    results = messages.map(() => failed)
  }
  return messages.map(({ id }, i): EnqueueResult => {
    const result = results[i]
    if (result?.status !== 'sent') return { status: 'failed', id, error: result?.error ?? noAnswer() }
    return { status: 'enqueued', id, queue, duplicate: false, messageId: result.messageId }
  })
}

/** A queue that is made elsewhere need not be looked up by those who send to it: the send tells if it is missing. */
function madeQueue(
  engine: MessageQueue,
  queue: string,
  { retry }: JobDefinition,
): ReturnType<typeof readyQueue> | undefined {
  return engine.capabilities.queues === 'existing' ? undefined : readyQueue(engine, queue, retry.attempts)
}

/** So that the wake-up of a run finds its queue. Where it cannot be made now the run waits for whoever makes it. */
async function offerQueue(engine: MessageQueue, queue: string, definition: JobDefinition): Promise<void> {
  try {
    await madeQueue(engine, queue, definition)
  } catch {
    // Wake-ups are sent again and again until there is one.
  }
}

function prepare(
  definition: JobDefinition,
  { id, delay, group, input }: EnqueueItem<unknown>,
  at: string,
): Prepared | Promise<Prepared> {
  const { name } = definition
  if (id !== undefined) checkJobId(id, `job ${name}${at}`)
  const delayMs = delay === undefined ? 0 : parseDuration(delay, `job ${name}: delay`)
  const text = inputText(definition, input, at)
  if (text instanceof Promise) return text.then((t) => ({ id, text: t, delayMs, group }))
  return { id, text, delayMs, group }
}

function keepsRun({ unique, keepRuns }: JobDefinition, id: string | undefined): boolean {
  return keepRuns !== undefined || (unique && id !== undefined)
}

function newRun(definition: JobDefinition, queue: string, { id, text, delayMs, group }: Prepared): NewRun {
  const { name, retry, timeoutMs, onLost = 'retry', keepRuns, secrets } = definition
  const retentionMs = keepRuns?.retentionMs
  const order = group ?? (isFifoName(queue) ? name : undefined)
  return {
    job: name,
    queue,
    input: JSON.parse(text) as Json,
    attempts: retry.attempts,
    timeoutMs,
    onLost,
    source: 'enqueue',
    ...(id === undefined ? {} : { id: runIdOf(name, id) }),
    ...(delayMs === 0 ? {} : { delayMs }),
    ...(order === undefined ? {} : { group: order }),
    ...(retentionMs === undefined ? {} : { retentionMs }),
    ...(secrets.length === 0 ? {} : { secrets: [...secrets] }),
  }
}

function enqueuedRun({ name }: JobDefinition, queue: string, runId: string, duplicate: boolean): Enqueued {
  return { id: runId.slice(name.length + 1), queue, duplicate, runId }
}

function runsOf({ name }: JobDefinition, { runs }: JobsConnection): RunsApi {
  if (runs !== undefined) return runs
  const why = 'its ids are unique, or it keeps its runs, and this connection keeps none'
  throw new SignalboxError(
    'invalid_argument',
    `job ${name}: ${why}; give it unique: false, or connect to a server`,
  )
}

function messageOf(
  { name }: JobDefinition,
  queue: string,
  { id: given, text, delayMs, group }: Prepared,
  { engine, random }: JobsConnection,
): { readonly id: string; readonly message: OutgoingMessage } {
  const id = given ?? newId(random)
  const body = encodeJob(name, id, text)
  const fifo = isFifoName(queue)
  const most = fifo ? 0 : engine.limits.delayMs
  if (delayMs > most) throw tooLate(name, fifo, most)
  if (!fifo && delayMs === 0 && group === undefined) return { id, message: { body } }
  const message = {
    body,
    ...(delayMs === 0 ? {} : { delayMs }),
    ...(fifo || group !== undefined ? { groupId: group ?? name } : {}),
    // A repeat with the same id within five minutes is no second message.
    ...(fifo ? { deduplicationId: deduplicationId(name, id) } : {}),
  }
  return { id, message }
}

function deduplicationId(name: string, id: string): string {
  const own = `${name}:${id}`
  return own.length <= MAX_DEDUPLICATION_ID ? own : hash('sha256', own)
}

function tooLate(name: string, fifo: boolean, mostMs: number): SignalboxError {
  const why = fifo
    ? 'a FIFO queue delays no single message'
    : `a message waits ${mostMs / 60_000} minutes at most`
  return new SignalboxError('invalid_argument', `job ${name}: delay: ${why}; with keepRuns any delay will do`)
}

const prefixes = new WeakMap<Random, string>()
let serial = 0

/** Unique: 120 random bits of this process, and a number. */
function newId(random: Random): string {
  let prefix = prefixes.get(random)
  if (prefix === undefined) prefixes.set(random, (prefix = random.id()))
  return `${prefix}-${(serial += 1).toString(36)}`
}

function queueOf(definition: JobDefinition, queue: string | undefined): string {
  if (queue === undefined) return definition.queue
  checkJobQueue(queue, `job ${definition.name}`)
  return queue
}

function checkOptions({ name }: JobDefinition, options: object): void {
  for (const option in options) {
    if (!OPTIONS.has(option)) {
      throw new SignalboxError(
        'invalid_argument',
        `job ${name}: enqueue has no option '${option}'; remove it`,
      )
    }
  }
}

function noAnswer(): SignalboxError {
  return new SignalboxError('internal', 'the engine answered with too few results')
}
