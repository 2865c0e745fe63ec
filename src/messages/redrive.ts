/**
 * Moves messages out of a dead-letter queue, at a rate, and a bounded number a call. Engines that can do it in one commit
 * are asked to; elsewhere each message is received, sent on and only then deleted, so a failure can double it and never lose it.
 */
import { sleep, type Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { MessageQueue, OutgoingMessage, ReceivedMessage } from '../ports/message-queue.ts'
import { giveBack } from './give-back.ts'

export interface RedriveRequest {
  /** Where to; default: each message to the queue it came from. */
  readonly to?: string
  /** Messages a second; default: as fast as it goes. */
  readonly rate?: number
  /** Messages to look at in this call; 1 to `MAX_REDRIVE`, the default. */
  readonly limit?: number
  /** The `next` of the call before. */
  readonly after?: string
  /** Move nothing, and say how many would be. */
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
}

export interface RedriveAnswer {
  readonly moved: number
  /** Left where they are: not visible at present, or of no known source. */
  readonly skipped: number
  /** There may be more: call again with it. */
  readonly next?: string
}

interface Parts {
  readonly engine: MessageQueue
  readonly clock: Clock
}

export const MAX_REDRIVE = 1_000
/** A call answers after this long at the latest, with `next`. */
const CALL_MS = 10_000
/** Batches of a paced redrive go out so often. */
const STEP_MS = 200
const STEP = 100
/** A received message must be sent and deleted within this. */
const MOVING_MS = 60_000
/** `next` of a redrive that is not counted by position. */
const MORE = 'more'

export async function redrive(parts: Parts, queue: string, request: RedriveRequest): Promise<RedriveAnswer> {
  const { limit = MAX_REDRIVE, rate } = request
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= MAX_REDRIVE)) {
    throw new SignalboxError('invalid_argument', `limit must be 1 to ${MAX_REDRIVE}, got ${limit}`)
  }
  if (rate !== undefined && !(Number.isInteger(rate) && rate >= 1)) {
    throw new SignalboxError('invalid_argument', `rate must be at least 1 message a second, got ${rate}`)
  }
  if (request.to === queue) {
    throw new SignalboxError('invalid_argument', `queue ${queue} cannot be redriven to itself; name another`)
  }
  if (request.dryRun === true) return dryRun(parts, queue, request)
  return parts.engine.redrive === undefined
    ? stepped(parts, request, (count) => moveByHand(parts, queue, request, count))
    : stepped(parts, request, (count, after) => moveByEngine(parts, queue, request, count, after))
}

/** What one step did. @param after where the step before ended */
type Step = (count: number, after: string | undefined) => Promise<RedriveAnswer>

async function stepped({ clock }: Parts, request: RedriveRequest, step: Step): Promise<RedriveAnswer> {
  const { limit = MAX_REDRIVE, rate = Infinity, signal } = request
  const start = clock.monotonic()
  const size = Math.max(1, Math.min(STEP, Math.floor((rate * STEP_MS) / 1_000)))
  let { after } = request
  let moved = 0
  let skipped = 0
  while (moved + skipped < limit) {
    const done = await step(Math.min(size, limit - moved - skipped), after)
    moved += done.moved
    skipped += done.skipped
    after = done.next
    if (after === undefined) return { moved, skipped }
    if (moved + skipped >= limit) break
    const due = start + (moved / rate) * 1_000
    if (Math.max(due, clock.monotonic()) - start > CALL_MS) break
    if (due > clock.monotonic()) await sleep(clock, due - clock.monotonic(), signal)
    signal?.throwIfAborted()
  }
  return { moved, skipped, ...(after === undefined ? {} : { next: after }) }
}

async function moveByEngine(
  { engine }: Parts,
  queue: string,
  { to }: RedriveRequest,
  limit: number,
  after: string | undefined,
): Promise<RedriveAnswer> {
  if (engine.redrive === undefined) throw new TypeError('asked only where the engine can')
  return engine.redrive(queue, {
    limit,
    ...(to === undefined ? {} : { to }),
    ...(after === undefined ? {} : { after }),
  })
}

async function moveByHand(
  parts: Parts,
  queue: string,
  { to, signal }: RedriveRequest,
  count: number,
): Promise<RedriveAnswer> {
  const { engine } = parts
  const messages = await engine.receive(queue, {
    max: Math.min(count, engine.limits.receiveMessages),
    visibilityMs: MOVING_MS,
    waitMs: 1_000,
    ...(signal === undefined ? {} : { signal }),
  })
  if (messages.length === 0) return { moved: 0, skipped: 0 }
  const left = new Set(messages)
  try {
    for (const [target, group] of Map.groupBy(messages, (message) => to ?? message.deadLetterSource)) {
      if (target === undefined) continue
      try {
        await moveTo(parts, { queue, target }, group, (message) => left.delete(message))
      } catch (error) {
        // The queue it came from is there no more; one that was asked for has to be.
        if (to !== undefined || !isSignalboxError(error, 'not_found')) throw error
      }
    }
  } finally {
    await giveBack(parts, queue, [...left])
  }
  const moved = messages.length - left.size
  // Those returned would come again; a batch in which nothing could be moved ends the call.
  return { moved, skipped: left.size, ...(moved === 0 ? {} : { next: MORE }) }
}

async function moveTo(
  { engine }: Parts,
  { queue, target }: { readonly queue: string; readonly target: string },
  messages: readonly ReceivedMessage[],
  moved: (message: ReceivedMessage) => void,
): Promise<void> {
  // One by one: together they might be larger than a batch may be.
  for (const message of messages) {
    const [sent] = await engine.send(target, [outgoing(message)])
    if (sent?.status === 'failed') throw sent.error
    const [deleted] = await engine.delete(queue, [message.receipt])
    if (deleted?.status === 'failed') throw deleted.error
    moved(message)
  }
}

function outgoing(message: ReceivedMessage): OutgoingMessage {
  const { body, attributes, groupId, messageId, traceHeader, sequence } = message
  return {
    body,
    attributes,
    ...(groupId === undefined ? {} : { groupId }),
    // On a FIFO queue; its own id: a message that failed once more must not count as a repeat of its first send.
    ...(sequence === undefined ? {} : { deduplicationId: `redrive-${messageId}` }),
    ...(traceHeader === undefined ? {} : { traceHeader }),
  }
}

async function dryRun({ engine }: Parts, queue: string, { to }: RedriveRequest): Promise<RedriveAnswer> {
  if (engine.peek === undefined) {
    const { visible, inFlight, delayed } = await engine.stats(queue)
    return { moved: visible, skipped: inFlight + delayed }
  }
  let moved = 0
  let skipped = 0
  let after: string | undefined
  do {
    const page = await engine.peek(queue, { limit: 100, ...(after === undefined ? {} : { after }) })
    for (const { state, deadLetterSource } of page.messages) {
      if (state === 'visible' && (to ?? deadLetterSource) !== undefined) moved += 1
      else skipped += 1
    }
    after = page.next
  } while (after !== undefined)
  return { moved, skipped }
}
