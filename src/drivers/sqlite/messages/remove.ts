/**
 * Removing many messages in small batches: what is past its retention, and what a purge finds.
 *
 * Invariant: nothing depends on the sweeper: a message past its retention is never received, swept or not. Messages lie in
 * the order of their sends, so sweeping a queue looks at no message that stays but the first. (After the clock stepped back
 * some stay until those before them go.)
 */
import type { Clock, Timer } from '../../../kernel/clock.ts'
import type { Database } from '../database.ts'
import type { GroupCommit } from '../group-commit.ts'
import { settleGroup } from './groups.ts'
import type { Queue, Queues } from './queues.ts'
import { addTotal, removeMessage, type MessageRow } from './rows.ts'

const INTERVAL_MS = 30_000
export const BATCH = 500

/** Everything but the content. */
export const FIRST_OF_QUEUE = `SELECT id, receives, sent_at, first_received_at, message_group, source, large, NULL, NULL
  FROM messages WHERE queue = ? AND id <= ? ORDER BY id LIMIT ${BATCH}`
export const FORGET = `DELETE FROM message_deduplication WHERE (queue, id) IN (
  SELECT queue, id FROM message_deduplication WHERE until <= ? ORDER BY until LIMIT ${BATCH})`

/** Deletes up to a batch of a queue's messages up to an id, the oldest first. @returns how many; fewer than a batch: all */
export function removeFirst(db: Database, queue: Queue, upTo: number, now: number): number {
  return remove(db, queue, [...firstRows(db, queue, upTo)], now)
}

/** Deletes up to a batch of a queue's messages that are past their retention. @returns how many */
export function removeExpired(db: Database, queue: Queue, now: number): number {
  const expired: MessageRow[] = []
  for (const row of firstRows(db, queue, Number.MAX_SAFE_INTEGER)) {
    if (row[2] + queue.facts.retentionMs > now) break
    expired.push(row)
  }
  return remove(db, queue, expired, now)
}

/** Forgets deduplication ids whose time is over. @returns how many, at most a batch */
export function forgetDuplicates(db: Database, now: number): number {
  return Number(db.prepare(FORGET).run(now).changes)
}

function firstRows(db: Database, queue: Queue, upTo: number): Iterable<MessageRow> {
  return db.prepare(FIRST_OF_QUEUE).iterate(queue.id, upTo) as Iterable<unknown> as Iterable<MessageRow>
}

function remove(db: Database, queue: Queue, rows: readonly MessageRow[], now: number): number {
  const groups = new Set<number>()
  for (const row of rows) {
    removeMessage(db, row)
    if (row[4] !== null) groups.add(row[4])
  }
  for (const group of groups) settleGroup(db, group, now)
  addTotal(db, queue.id, -rows.length)
  return rows.length
}

/** Starts sweeping now and then. @returns how to stop. */
export function startMessageSweeper(clock: Clock, group: GroupCommit<Database>, queues: Queues): () => void {
  const state = { stopped: false }
  let timer: Timer
  const all = async (step: (db: Database) => number): Promise<void> => {
    while (!state.stopped && (await group.submit(step, BATCH, 0)) === BATCH);
  }
  const sweep = async (): Promise<void> => {
    for (const queue of queues.all) await all((db) => removeExpired(db, queue, clock.now()))
    await all((db) => forgetDuplicates(db, clock.now()))
  }
  const wait = (): void => {
    timer = clock.timer(INTERVAL_MS, run, { unref: true })
  }
  const run = (): void => {
    // A full disk or a closing store: the next round tries again, or there is none.
    const done = (): void => {
      if (!state.stopped) wait()
    }
    sweep().then(done, done)
  }
  wait()
  return () => {
    state.stopped = true
    timer.cancel()
  }
}
