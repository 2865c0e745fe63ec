/** No statement of the message engine reads more of a queue than it returns, however deep the queue is. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import { openSqlite, type SqliteEngine } from '../index.ts'
import { REDRIVE } from './dead-letter.ts'
import { AVAILABLE, FIRST, LOCK } from './groups.ts'
import { HIDDEN, NEXT_GROUP, NEXT_VISIBLE, OLDEST, PAGE } from './looks.ts'
import { OF_GROUP, VISIBLE } from './receive.ts'
import { FIRST_OF_QUEUE, FORGET } from './remove.ts'
import { FIND_DUPLICATE } from './send.ts'
import { DELETE, DELETE_ANY, HELD } from './settle.ts'

let directory: string
let engine: SqliteEngine

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
  engine = await openSqlite({ directory, clock: new ManualClock() })
})
afterAll(async () => {
  await engine.close()
  rmSync(directory, { recursive: true })
})

function plan(sql: string): string[] {
  const rows = engine.database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as unknown as [
    id: number,
    parent: number,
    unused: number,
    detail: string,
  ][]
  return rows.map(([, , , detail]) => detail)
}

const statements: Record<string, readonly [sql: string, expected: RegExp]> = {
  VISIBLE: [VISIBLE, /INDEX messages_visible \(queue=\? AND visible_at<\?\)/],
  OF_GROUP: [OF_GROUP, /INDEX messages_grouped \(message_group=\?\)/],
  AVAILABLE: [AVAILABLE, /INDEX message_groups_available \(queue=\? AND available_at<\?\)/],
  FIRST: [FIRST, /INDEX messages_grouped \(message_group=\?\)/],
  LOCK: [LOCK, /INDEX messages_locking \(message_group=\?\)/],
  FIND_DUPLICATE: [FIND_DUPLICATE, /PRIMARY KEY \(queue=\? AND id=\?\)/],
  DELETE: [DELETE, /INTEGER PRIMARY KEY \(rowid=\?\)/],
  DELETE_ANY: [DELETE_ANY, /INTEGER PRIMARY KEY \(rowid=\?\)/],
  HELD: [HELD, /INTEGER PRIMARY KEY \(rowid=\?\)/],
  HIDDEN: [HIDDEN, /COVERING INDEX messages_visible \(queue=\? AND visible_at>\?\)/],
  OLDEST: [OLDEST, /INDEX messages_sent \(queue=\?\)/],
  PAGE: [PAGE, /INDEX messages_sent \(queue=\? AND rowid>\?\)/],
  NEXT_VISIBLE: [NEXT_VISIBLE, /COVERING INDEX messages_visible \(queue=\? AND visible_at>\?\)/],
  NEXT_GROUP: [NEXT_GROUP, /COVERING INDEX message_groups_available \(queue=\? AND available_at>\?\)/],
  REDRIVE: [REDRIVE, /INDEX messages_sent \(queue=\? AND rowid>\?\)/],
  FIRST_OF_QUEUE: [FIRST_OF_QUEUE, /INDEX messages_sent \(queue=\? AND rowid<\?\)/],
  FORGET: [FORGET, /COVERING INDEX message_deduplication_ending \(until<\?\)/],
}

describe('the plans of the message engine', () => {
  it.each(Object.entries(statements))('%s goes by an index, without sorting', (name, [sql, expected]) => {
    const details = plan(sql)
    expect(details.join('\n')).toMatch(expected)
    // Counting by state sorts two groups; FORGET walks a list of at most a batch.
    if (name === 'HIDDEN' || name === 'FORGET') return
    for (const detail of details) expect(detail).not.toMatch(/SCAN|TEMP B-TREE/)
  })

  it('would show a statement that reads a whole queue', () => {
    expect(plan('SELECT * FROM messages WHERE sent_at < ? ORDER BY sent_at').join()).toMatch(
      /SCAN.*TEMP B-TREE/,
    )
  })
})
