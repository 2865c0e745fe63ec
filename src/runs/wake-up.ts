/** The message that wakes a worker for a run, and how it is sent through an engine of the message-queue port. */
import { createHash } from 'node:crypto'
import type { MessageQueue, OutgoingMessage } from '../ports/message-queue.ts'
import { jobOf } from './vocabulary.ts'
import type { Out } from './records.ts'

/** Hands messages to a queue. @returns which of them it took; throws when it took none */
export type SendWakeUps = (queue: string, messages: readonly OutgoingMessage[]) => Promise<readonly boolean[]>

export function wakeUpOf({ id, born, queue, group, wake }: Out, delayMs: number): OutgoingMessage {
  const body = JSON.stringify({ v: 1, job: jobOf(id), run: id })
  if (isFifo(queue)) {
    const hash = createHash('sha256').update(id).digest('hex').slice(0, 40)
    return { body, groupId: group ?? hash, deduplicationId: `${hash}-${born}-${wake}` }
  }
  return { body, ...(group === undefined ? {} : { groupId: group }), ...(delayMs > 0 ? { delayMs } : {}) }
}

/** @example createRunsService({ store, clock, random, send: sendThrough(engine) }) */
export function sendThrough(engine: Pick<MessageQueue, 'send' | 'limits'>): SendWakeUps {
  const size = engine.limits.batchEntries
  return async (queue, messages) => {
    const batches: OutgoingMessage[][] = []
    for (let first = 0; first < messages.length; first += size) {
      batches.push(messages.slice(first, first + size))
    }
    const results = isFifo(queue)
      ? await oneByOne(batches, (batch) => engine.send(queue, batch))
      : await Promise.allSettled(batches.map((batch) => engine.send(queue, batch)))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined && results.every(({ status }) => status === 'rejected')) throw failed.reason
    return results.flatMap((result, index) =>
      result.status === 'fulfilled'
        ? result.value.map(({ status }) => status === 'sent')
        : (batches[index] ?? []).map(() => false),
    )
  }
}

/** In order; after the first that fails none is sent. */
async function oneByOne<T, R>(
  all: readonly T[],
  send: (one: T) => Promise<R>,
): Promise<PromiseSettledResult<R>[]> {
  const results: PromiseSettledResult<R>[] = []
  for (const one of all) {
    const before = results.at(-1)
    const [result] = before?.status === 'rejected' ? [before] : await Promise.allSettled([send(one)])
    results.push(result)
  }
  return results
}

/** On a FIFO queue the group waits for the wake-up itself, so a retry uses the same one. */
export function isFifo(queue: string): boolean {
  return queue.endsWith('.fifo')
}
