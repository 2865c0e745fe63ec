/**
 * Sending: one row a message, in one transaction a batch.
 *
 * Invariant: a deduplication id is looked up and remembered in the transaction that writes its message.
 */
import { hash } from 'node:crypto'
import type { CheckedMessage } from '../../../ports/message-checks.ts'
import { DEDUPLICATION_MS, type OutgoingMessage, type SendResult } from '../../../ports/message-queue.ts'
import type { Database } from '../database.ts'
import { joinGroup } from './groups.ts'
import type { Queue } from './queues.ts'
import { addTotal, messageId, putContent, type Extra, sequenceOf, storeAttributes } from './rows.ts'

const INSERT = `INSERT INTO messages (id, queue, visible_at, leased, receives, sent_at, message_group, source, large, extra, body)
  VALUES (?, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?)`
export const FIND_DUPLICATE =
  'SELECT message FROM message_deduplication WHERE queue = ? AND id = ? AND until > ?'
const REMEMBER = `INSERT INTO message_deduplication (queue, id, message, until) VALUES (?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET message = excluded.message, until = excluded.until`

export interface Batch {
  readonly queue: Queue
  readonly messages: readonly OutgoingMessage[]
  readonly checked: readonly CheckedMessage[]
  readonly salt: string
}

/** Writes what is right of a batch, within a transaction. */
export function sendBatch(
  db: Database,
  { queue, messages, checked, salt }: Batch,
  now: number,
): SendResult[] {
  let written = 0
  const results = messages.map((message, i): SendResult => {
    const { bytes, error } = checked[i] as CheckedMessage
    if (error !== undefined) return { status: 'failed', error }
    if (!queue.facts.fifo) {
      written += 1
      return { status: 'sent', messageId: messageId(salt, insert(db, queue, message, bytes, now)) }
    }
    const deduplicationId = message.deduplicationId ?? hash('sha256', message.body)
    let id = duplicateOf(db, queue, deduplicationId, now)
    if (id === undefined) {
      written += 1
      id = insert(db, queue, { ...message, deduplicationId }, bytes, now)
      db.prepare(REMEMBER).run(queue.id, deduplicationId, id, now + DEDUPLICATION_MS)
    }
    return { status: 'sent', messageId: messageId(salt, id), sequence: sequenceOf(id) }
  })
  addTotal(db, queue.id, written)
  return results
}

function duplicateOf(db: Database, queue: Queue, id: string, now: number): number | undefined {
  const found = db.prepare(FIND_DUPLICATE).get(queue.id, id, now) as unknown as [message: number] | undefined
  return found?.[0]
}

/** @returns the id of the new row */
function insert(db: Database, queue: Queue, message: OutgoingMessage, bytes: number, now: number): number {
  const id = db.nextSequence()
  const visibleAt = now + Math.ceil(message.delayMs ?? queue.facts.delayMs)
  const { groupId } = message
  const group = queue.facts.fifo && groupId !== undefined ? joinGroup(db, queue.id, groupId, visibleAt) : null
  const content = { body: message.body, extra: extraOf(message) }
  const [large, extra, body] = putContent(db, id, content, bytes)
  db.prepare(INSERT).run(
    id,
    queue.id,
    visibleAt,
    now,
    group,
    message.deadLetterSource ?? null,
    large,
    extra,
    body,
  )
  return id
}

function extraOf({ attributes, groupId, deduplicationId, traceHeader }: OutgoingMessage): string | null {
  const a = storeAttributes(attributes)
  if (a === undefined && groupId === undefined && traceHeader === undefined) return null
  const extra: Extra = {
    ...(a === undefined ? {} : { a }),
    ...(groupId === undefined ? {} : { g: groupId }),
    ...(deduplicationId === undefined ? {} : { d: deduplicationId }),
    ...(traceHeader === undefined ? {} : { x: traceHeader }),
  }
  return JSON.stringify(extra)
}
