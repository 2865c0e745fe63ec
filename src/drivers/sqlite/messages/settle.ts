/**
 * What the holder of a message does with it: delete it, or change how long it stays hidden.
 *
 * Invariant: a row is touched only under its present receipt. A nack and a visibility of 0 take the receipt away, so that
 * a late extension cannot overwrite the delay.
 */
import { SignalboxError } from '../../../kernel/error.ts'
import { portableMessageLimits, type ChangeResult } from '../../../ports/message-queue.ts'
import type { Database } from '../database.ts'
import { settleGroup } from './groups.ts'
import type { Queue } from './queues.ts'
import type { Receipt } from './receipts.ts'
import { addTotal, removeBody } from './rows.ts'

export const DELETE = `DELETE FROM messages WHERE id = ? AND receipt = ? AND queue = ?
  AND large IS NULL AND message_group IS NULL`
export const DELETE_ANY =
  'DELETE FROM messages WHERE id = ? AND receipt = ? AND queue = ? RETURNING large, message_group'
export const HELD =
  'SELECT visible_at, received_at, message_group FROM messages WHERE id = ? AND receipt = ? AND queue = ?'
const EXTEND = 'UPDATE messages SET visible_at = ? WHERE id = ?'
const GIVE_BACK = 'UPDATE messages SET visible_at = ?, leased = 0, receipt = NULL WHERE id = ?'
const GIVE_BACK_UNCOUNTED =
  'UPDATE messages SET visible_at = ?, leased = 0, receipt = NULL, receives = receives - 1 WHERE id = ?'

const MAX_IN_FLIGHT_MS = portableMessageLimits.visibilityMs

/** Deletes what the receipts still hold, within a transaction. @returns for each whether it did */
export function deleteHeld(
  db: Database,
  queue: Queue,
  receipts: readonly (Receipt | undefined)[],
  now: number,
): boolean[] {
  const deleted = receipts.map((receipt) => {
    if (receipt === undefined) return false
    const { id, token, large } = receipt
    if (!large && !queue.facts.fifo) return db.prepare(DELETE).run(id, token, queue.id).changes === 1
    return deleteAny(db, queue, receipt, now)
  })
  addTotal(db, queue.id, -deleted.filter(Boolean).length)
  return deleted
}

function deleteAny(db: Database, queue: Queue, { id, token }: Receipt, now: number): boolean {
  const row = db.prepare(DELETE_ANY).get(id, token, queue.id) as unknown as
    | [large: number | null, group: number | null]
    | undefined
  if (row === undefined) return false
  const [large, group] = row
  removeBody(db, large)
  if (group !== null) settleGroup(db, group, now)
  return true
}

export interface Change {
  readonly receipt: Receipt
  readonly visibilityMs: number
  readonly nack: boolean
  readonly uncounted: boolean
}

/** One change of visibility, within a transaction. */
export function changeHeld(db: Database, queue: Queue, change: Change, now: number): ChangeResult {
  const { id, token } = change.receipt
  const row = db.prepare(HELD).get(id, token, queue.id) as unknown as
    | [visibleAt: number, receivedAt: number, group: number | null]
    | undefined
  if (row === undefined || row[0] <= now) return { status: 'lost' }
  const deadline = now + change.visibilityMs
  if (deadline > row[1] + MAX_IN_FLIGHT_MS) {
    const held = Math.round((now - row[1]) / 1_000)
    return {
      status: 'failed',
      error: new SignalboxError(
        'invalid_argument',
        `a message may be in flight for 12 hours, this one is since ${held} s; ${change.visibilityMs} ms more are too many`,
      ),
    }
  }
  const giveBack = change.uncounted ? GIVE_BACK_UNCOUNTED : GIVE_BACK
  db.prepare(change.nack ? giveBack : EXTEND).run(deadline, id)
  if (row[2] !== null) settleGroup(db, row[2], now)
  return { status: 'changed', deadline }
}
