/**
 * The groups of FIFO queues. A group has a row as long as it has messages; the row says from when on its first message may be
 * received, so that the next free group is one step in an index, however many are locked.
 *
 * Invariant: `available_at` is the time at which the first message is visible and no message of the group is in flight; it
 * is brought up to date in the transaction of every change that could move it.
 */
import type { Database } from '../database.ts'

const FIND = 'SELECT id FROM message_groups WHERE queue = ? AND name = ?'
const INSERT = 'INSERT INTO message_groups (queue, name, available_at) VALUES (?, ?, ?)'
const DELETE = 'DELETE FROM message_groups WHERE id = ?'
const UPDATE = 'UPDATE message_groups SET available_at = ? WHERE id = ?'
export const AVAILABLE = `SELECT id FROM message_groups WHERE queue = ? AND available_at <= ? ORDER BY available_at, id LIMIT ?`
export const FIRST = 'SELECT visible_at FROM messages WHERE message_group = ? ORDER BY id LIMIT 1'
export const LOCK = `SELECT max(visible_at) FROM messages WHERE message_group = ? AND leased = 1`

/** The group for a message about to be written; made if this is its first. */
export function joinGroup(db: Database, queue: number, name: string, visibleAt: number): number {
  const found = db.prepare(FIND).get(queue, name) as unknown as [id: number] | undefined
  if (found !== undefined) return found[0]
  return Number(db.prepare(INSERT).run(queue, name, visibleAt).lastInsertRowid)
}

/** The groups that may be received from, the longest available first. */
export function availableGroups(db: Database, queue: number, now: number, limit: number): number[] {
  const rows = db.prepare(AVAILABLE).all(queue, now, limit) as unknown as [id: number][]
  return rows.map(([id]) => id)
}

/** Brings a group up to date after its messages changed. One that was served goes behind the others. */
export function settleGroup(db: Database, group: number, now: number): void {
  const first = db.prepare(FIRST).get(group) as unknown as [visibleAt: number] | undefined
  if (first === undefined) {
    db.prepare(DELETE).run(group)
    return
  }
  const [locked] = db.prepare(LOCK).get(group) as unknown as [until: number | null]
  db.prepare(UPDATE).run(Math.max(now, first[0], locked ?? 0), group)
}
