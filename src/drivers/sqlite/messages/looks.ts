/**
 * Looking at a queue without taking anything: counts, and pages of messages.
 *
 * Invariant: the number of all messages is kept with the queue; only those that are hidden at present are counted, in an
 * index. So the cost does not grow with a backlog.
 */
import type { PeekPage, PeekedMessage, QueueStats } from '../../../ports/message-queue.ts'
import type { Database } from '../database.ts'
import type { Queue } from './queues.ts'
import { COLUMNS, contentOf, toFacts, type MessageRow } from './rows.ts'

const TOTAL = 'SELECT total FROM message_queues WHERE id = ?'
export const HIDDEN = `SELECT leased, count(*) FROM messages INDEXED BY messages_visible
  WHERE queue = ? AND visible_at > ? GROUP BY leased`
export const OLDEST = 'SELECT sent_at FROM messages WHERE queue = ? ORDER BY id LIMIT 1'
export const PAGE = `SELECT ${COLUMNS}, visible_at, leased FROM messages WHERE queue = ? AND id > ? ORDER BY id LIMIT ?`
export const NEXT_VISIBLE = `SELECT min(visible_at) FROM messages WHERE queue = ? AND visible_at > ?`
export const NEXT_GROUP = `SELECT min(available_at) FROM message_groups WHERE queue = ? AND available_at > ?`

/** A page ends with the message that brings it to this length. */
const PAGE_LENGTH = 4 * 1024 * 1024

export function statsOf(db: Database, queue: Queue, now: number): QueueStats {
  const [total] = db.prepare(TOTAL).get(queue.id) as unknown as [total: number]
  const hidden = new Map(
    db.prepare(HIDDEN).all(queue.id, now) as unknown as [leased: number, count: number][],
  )
  const oldest = db.prepare(OLDEST).get(queue.id) as unknown as [sentAt: number] | undefined
  const inFlight = hidden.get(1) ?? 0
  const delayed = hidden.get(0) ?? 0
  return {
    visible: total - inFlight - delayed,
    inFlight,
    delayed,
    oldestAgeMs: oldest === undefined ? 0 : Math.max(0, now - oldest[0]),
  }
}

/** @param after the id of the last message of the page before; 0 for the first page */
export function page(
  db: Database,
  { queue, salt, limit, after }: { queue: Queue; salt: string; limit: number; after: number },
  now: number,
): PeekPage {
  const messages: PeekedMessage[] = []
  let last = after
  let length = 0
  let looked = 0
  for (const row of db.prepare(PAGE).iterate(queue.id, after, limit + 1) as Iterable<unknown> as Iterable<
    [...MessageRow, visibleAt: number, leased: number]
  >) {
    if (messages.length === limit || length >= PAGE_LENGTH) return { messages, next: String(last) }
    const [visibleAt, leased] = [row[9], row[10]]
    looked += 1
    last = row[0]
    if (row[2] + queue.facts.retentionMs <= now) continue
    const message = row.slice(0, 9) as unknown as MessageRow
    const content = contentOf(db, message)
    length += content.body.length
    const hiddenBy = leased === 1 ? 'in_flight' : 'delayed'
    messages.push({
      ...toFacts(salt, message, content, () => true),
      state: visibleAt <= now ? 'visible' : hiddenBy,
      visibleAt,
    })
  }
  // Some were past their retention, and behind them there may be more.
  return looked > limit ? { messages, next: String(last) } : { messages }
}

/** When something of the queue may become receivable by time alone; undefined when nothing waits for that. */
export function nextVisibleAt(db: Database, queue: Queue, now: number): number | undefined {
  const sql = queue.facts.fifo ? NEXT_GROUP : NEXT_VISIBLE
  const [at] = db.prepare(sql).get(queue.id, now) as unknown as [at: number | null]
  return at ?? undefined
}
