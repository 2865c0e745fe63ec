/**
 * Moves between queues: to the dead-letter queue when a message was received too often, and back by a redrive.
 *
 * Invariants: a move is one change of a row within its transaction, so a message is always in exactly one queue; to the
 * dead-letter queue it takes its id and age with it, on the way back it becomes a new message; its body is not touched.
 */
import type { RedriveOptions, RedriveResult } from '../../../ports/message-queue.ts'
import type { Database } from '../database.ts'
import { joinGroup, settleGroup } from './groups.ts'
import type { Queue, Queues } from './queues.ts'
import { addTotal } from './rows.ts'

const MOVE = `UPDATE messages SET id = ?, queue = ?, visible_at = ?, sent_at = ?, source = ?, message_group = ?,
  leased = 0, receipt = NULL, receives = 0, first_received_at = NULL, received_at = NULL WHERE id = ?`
const GROUP_NAME = 'SELECT name FROM message_groups WHERE id = ?'
export const REDRIVE = `SELECT id, sent_at, message_group, source, visible_at FROM messages
  WHERE queue = ? AND id > ? ORDER BY id LIMIT ?`

interface Move {
  readonly id: number
  readonly newId: number
  readonly sentAt: number
  readonly group: number | null
  readonly from: Queue
  readonly to: Queue
  /** Where a redrive would bring it back to. */
  readonly source: string | null
}

/** A message that was received `maxReceives` times goes to the dead-letter queue, visible there at once. */
export function bury(
  db: Database,
  message: Pick<Move, 'id' | 'sentAt' | 'group'>,
  from: Queue,
  to: Queue,
  now: number,
): void {
  move(db, { ...message, newId: message.id, from, to, source: from.name }, now)
}

/** One step of a redrive, within a transaction. @returns also the queues that got something */
export function redrive(
  db: Database,
  queues: Queues,
  from: Queue,
  { limit, after, to }: RedriveOptions,
  now: number,
): RedriveResult & { readonly targets: ReadonlySet<Queue> } {
  const rows = db
    .prepare(REDRIVE)
    .all(from.id, after === undefined ? 0 : Number(after), limit) as unknown as [
    id: number,
    sentAt: number,
    group: number | null,
    source: string | null,
    visibleAt: number,
  ][]
  const targets = new Set<Queue>()
  let moved = 0
  for (const [id, , group, source, visibleAt] of rows) {
    const name = to ?? source
    const target = name === null || visibleAt > now ? undefined : queues.find(name)
    if (target === undefined) continue
    move(db, { id, newId: db.nextSequence(), sentAt: now, group, from, to: target, source: null }, now)
    targets.add(target)
    moved += 1
  }
  const last = rows.at(-1)
  const next = last === undefined || rows.length < limit ? {} : { next: String(last[0]) }
  return { moved, skipped: rows.length - moved, ...next, targets }
}

function move(db: Database, { id, newId, sentAt, group, from, to, source }: Move, now: number): void {
  const newGroup = group === null ? null : joinGroup(db, to.id, groupName(db, group), now)
  db.prepare(MOVE).run(newId, to.id, now, sentAt, source, newGroup, id)
  addTotal(db, from.id, -1)
  addTotal(db, to.id, 1)
  if (group !== null) settleGroup(db, group, now)
}

function groupName(db: Database, group: number): string {
  const [name] = db.prepare(GROUP_NAME).get(group) as unknown as [name: string]
  return name
}
