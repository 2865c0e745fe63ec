/** How SQLite would go about each statement of the message engine: none reads more of a queue than it returns. */
import { openSqlite } from '../../src/drivers/sqlite/index.ts'
import { REDRIVE } from '../../src/drivers/sqlite/messages/dead-letter.ts'
import { AVAILABLE, FIRST, LOCK } from '../../src/drivers/sqlite/messages/groups.ts'
import { NEXT_GROUP, NEXT_VISIBLE, OLDEST, PAGE } from '../../src/drivers/sqlite/messages/looks.ts'
import { OF_GROUP, VISIBLE } from '../../src/drivers/sqlite/messages/receive.ts'
import { FIRST_OF_QUEUE } from '../../src/drivers/sqlite/messages/remove.ts'
import { FIND_DUPLICATE } from '../../src/drivers/sqlite/messages/send.ts'
import { DELETE, DELETE_ANY, HELD } from '../../src/drivers/sqlite/messages/settle.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { temporaryFolder } from '../../test/support/processes.ts'

const statements = {
  VISIBLE,
  OF_GROUP,
  AVAILABLE,
  FIRST,
  LOCK,
  FIND_DUPLICATE,
  DELETE,
  DELETE_ANY,
  HELD,
  OLDEST,
  PAGE,
  NEXT_VISIBLE,
  NEXT_GROUP,
  FIRST_OF_QUEUE,
  REDRIVE,
}

/** @throws Error when one scans a table or sorts */
export async function plans(): Promise<Record<string, string>> {
  const engine = await openSqlite({ directory: temporaryFolder('bench'), clock: systemClock })
  const found: Record<string, string> = {}
  for (const [name, sql] of Object.entries(statements)) {
    const rows = engine.database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as unknown as unknown[][]
    const plan = rows.map((row) => String(row[3])).join('; ')
    if (/SCAN|TEMP B-TREE/.test(plan)) throw new Error(`${name} does not go by an index: ${plan}`)
    found[name] = plan
  }
  await engine.close()
  return found
}
