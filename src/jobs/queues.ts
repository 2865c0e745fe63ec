/**
 * The queues of jobs: made when they are first used, each with a dead-letter queue, where the engine makes queues; looked up
 * where they are made elsewhere (SQS).
 *
 * Invariant: what somebody else declared of a queue stays as it is, but for a dead-letter policy that is missing or too low: an
 * engine that gives up before the worker does would hide the reason. A drained worker's returns cost `SPARE_RECEIVES` at most.
 */
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { MessageQueue, QueueFacts } from '../ports/message-queue.ts'
import { deadQueueOf } from './names.ts'

/** Receives beyond a job's attempts. */
export const SPARE_RECEIVES = 10
const MAX_RECEIVES = 1_000

interface Known {
  readonly receives: number
  ready: Promise<QueueFacts>
  facts: QueueFacts | undefined
}

const knownQueues = new WeakMap<MessageQueue, Map<string, Known>>()

/**
 * Makes sure that the queue is there and lets its messages be tried so often. Remembered, so that it costs nothing the next time.
 * @throws SignalboxError `not_found` (it must be made elsewhere), `throttled`, `unavailable`, `outcome_unknown`
 */
export function readyQueue(
  engine: MessageQueue,
  queue: string,
  attempts: number,
): QueueFacts | Promise<QueueFacts> {
  const receives = Math.min(attempts + SPARE_RECEIVES, MAX_RECEIVES)
  let queues = knownQueues.get(engine)
  if (queues === undefined) knownQueues.set(engine, (queues = new Map()))
  const before = queues.get(queue)
  if (before !== undefined && before.receives >= receives) return before.facts ?? before.ready
  const known: Known = { receives, ready: prepare(engine, queue, receives), facts: undefined }
  known.ready = known.ready.then(
    (facts) => (known.facts = facts),
    (error: unknown) => {
      if (queues.get(queue) === known) queues.delete(queue)
      throw error
    },
  )
  queues.set(queue, known)
  return known.ready
}

async function prepare(engine: MessageQueue, queue: string, receives: number): Promise<QueueFacts> {
  const found = await lookUp(engine, queue)
  if (engine.capabilities.queues === 'existing') return found ?? engine.describeQueue(queue)
  if (found?.deadLetter !== undefined && found.deadLetter.maxReceives >= receives) return found
  const dead = found?.deadLetter?.queue ?? deadQueueOf(queue)
  if ((await lookUp(engine, dead)) === undefined) await engine.declareQueue(dead)
  const { name: _, ...options } = found ?? { name: queue }
  return engine.declareQueue(queue, { ...options, deadLetter: { queue: dead, maxReceives: receives } })
}

async function lookUp(engine: MessageQueue, queue: string): Promise<QueueFacts | undefined> {
  try {
    return await engine.describeQueue(queue)
  } catch (error) {
    if (isSignalboxError(error, 'not_found')) return undefined
    throw error
  }
}

/**
 * Where a worker puts what it cannot do.
 * @throws SignalboxError `config_invalid` when the queue was made without a dead-letter queue
 */
export function deadLetterOf({ name, deadLetter }: QueueFacts): string {
  if (deadLetter !== undefined) return deadLetter.queue
  throw new SignalboxError(
    'config_invalid',
    `queue ${name} has no dead-letter queue; give it a redrive policy (${deadQueueOf(name)}), so that jobs that cannot be done are kept`,
  )
}

/** Of a queue that was made elsewhere: would its engine give up before its jobs' attempts are over, and so hide the reason? */
export function tooImpatient({ name, deadLetter }: QueueFacts, attempts: number): SignalboxError | undefined {
  const receives = Math.min(attempts + SPARE_RECEIVES, MAX_RECEIVES)
  if (deadLetter === undefined || deadLetter.maxReceives >= receives) return undefined
  return new SignalboxError(
    'config_invalid',
    `queue ${name} gives a message up after ${deadLetter.maxReceives} receives, before its jobs have had their ${attempts} attempts; set its maxReceiveCount to ${receives}`,
  )
}
