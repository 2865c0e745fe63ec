/**
 * Receiving: the visible messages of a queue are the beginning of one range of an index, so a receive reads as many
 * entries as it returns, however deep the queue is.
 *
 * Invariants: what is taken is hidden and has its new receipt in the same transaction; a message past its retention is
 * dropped and one received too often is moved instead of being taken; of a FIFO group messages are taken from its beginning,
 * only while none is in flight, and a group is visited once a receive.
 */
import type { ReceivedMessage } from '../../../ports/message-queue.ts'
import type { Database } from '../database.ts'
import { bury } from './dead-letter.ts'
import { availableGroups, settleGroup } from './groups.ts'
import type { Queue } from './queues.ts'
import { formatReceipt, type Tokens } from './receipts.ts'
import { addTotal, COLUMNS, contentOf, removeMessage, toFacts, type MessageRow } from './rows.ts'

export const VISIBLE = `SELECT ${COLUMNS} FROM messages WHERE queue = ? AND visible_at <= ?
  ORDER BY visible_at, leased, id LIMIT ?`
export const OF_GROUP = `SELECT ${COLUMNS}, visible_at FROM messages WHERE message_group = ? ORDER BY id LIMIT ?`
const TAKE = `UPDATE messages SET visible_at = ?, leased = 1, receipt = ?, receives = ?, first_received_at = ?, received_at = ?
  WHERE id = ?`

/** A receive returns fewer messages than it might when their bodies reach this size, so that one turn's answers fit in memory. */
const ANSWER_LENGTH = 1024 * 1024
/** Messages that one receive drops or moves before it lets others have their turn. */
const MAX_REMOVED = 100

export interface Request {
  readonly queue: Queue
  /** Where a message goes that was received too often. */
  readonly deadLetter: Queue | undefined
  readonly max: number
  readonly visibilityMs: number
  readonly wants: (attribute: string) => boolean
  readonly salt: string
  readonly tokens: Tokens
}

export interface Taken {
  readonly messages: ReceivedMessage[]
  /** Nothing was taken yet, but only since there was too much to drop or to move: ask again. */
  readonly again: boolean
  /** There may be more for others. */
  readonly more: boolean
  /** Something was moved to the dead-letter queue. */
  readonly buried: boolean
}

/** One receive, within a transaction. */
export function receive(db: Database, request: Request, now: number): Taken {
  const taking = new Taking(db, request, now)
  const { max, queue } = request
  if (queue.facts.fifo) {
    for (const group of availableGroups(db, queue.id, now, max)) {
      if (taking.full) break
      takeFromGroup(taking, group)
    }
  } else {
    // What is dropped or moved makes room for others, so look again until all of the first `max` can be taken.
    for (;;) {
      const rows = db.prepare(VISIBLE).all(queue.id, now, max) as unknown as MessageRow[]
      const fit = rows.filter((row) => taking.accepts(row))
      if (fit.length < rows.length && !taking.exhausted) continue
      for (const row of fit) if (!taking.take(row)) break
      break
    }
  }
  return taking.done()
}

function takeFromGroup(taking: Taking, group: number): void {
  const { db, now, request } = taking
  let touched = false
  const rows = db.prepare(OF_GROUP).all(group, request.max - taking.messages.length) as unknown as [
    ...MessageRow,
    visibleAt: number,
  ][]
  for (const row of rows) {
    if (row[9] > now) break
    const message = row.slice(0, 9) as unknown as MessageRow
    if (taking.accepts(message)) {
      if (!taking.take(message)) break
      touched = true
    }
  }
  if (touched) settleGroup(db, group, now)
}

/** What one receive has gathered so far. */
class Taking {
  readonly db: Database
  readonly request: Request
  readonly now: number
  readonly messages: ReceivedMessage[] = []
  #length = 0
  #full = false
  #removed = 0
  #dropped = 0
  #buried = 0

  constructor(db: Database, request: Request, now: number) {
    this.db = db
    this.request = request
    this.now = now
  }

  get full(): boolean {
    return this.#full || this.messages.length === this.request.max
  }

  get exhausted(): boolean {
    return this.#removed >= MAX_REMOVED
  }

  /** May this message be taken? If not, it is dropped or moved, and counted. */
  accepts(row: MessageRow): boolean {
    const { queue, deadLetter } = this.request
    const [id, receives, sentAt, , group] = row
    const { facts } = queue
    if (sentAt + facts.retentionMs <= this.now) {
      removeMessage(this.db, row)
      if (group !== null) settleGroup(this.db, group, this.now)
      this.#dropped += 1
    } else if (
      deadLetter !== undefined &&
      facts.deadLetter !== undefined &&
      receives >= facts.deadLetter.maxReceives
    ) {
      bury(this.db, { id, sentAt, group }, queue, deadLetter, this.now)
      this.#buried += 1
    } else {
      return true
    }
    this.#removed += 1
    return false
  }

  /** @returns false when the answer is long enough without it */
  take(row: MessageRow): boolean {
    const { db, request, now } = this
    const content = contentOf(db, row)
    this.#length += content.body.length + (content.extra?.length ?? 0)
    if (this.messages.length > 0 && this.#length > ANSWER_LENGTH) {
      this.#full = true
      return false
    }
    const [id, receives, sentAt, first, group, source, large] = row
    const token = request.tokens.next()
    const deadline = now + request.visibilityMs
    db.prepare(TAKE).run(deadline, token, receives + 1, first ?? now, now, id)
    const taken: MessageRow = [id, receives + 1, sentAt, first ?? now, group, source, null, null, null]
    const facts = toFacts(request.salt, taken, content, request.wants)
    this.messages.push({ ...facts, receipt: formatReceipt({ id, token, large: large !== null }), deadline })
    return true
  }

  done(): Taken {
    addTotal(this.db, this.request.queue.id, -this.#dropped)
    return {
      messages: this.messages,
      again: this.messages.length === 0 && this.#removed > 0,
      more: this.full,
      buried: this.#buried > 0,
    }
  }
}
