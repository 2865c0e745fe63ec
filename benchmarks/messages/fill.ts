/** Data directories with a queue of so many messages. */
import { openSqlite, sqliteMessageQueue } from '../../src/drivers/sqlite/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'

export const QUEUE = 'bench'
const BATCH = 100
const CALLERS = 64

/** @param directory that nobody has open */
export async function fill(directory: string, depth: number, bytes: number): Promise<void> {
  const engine = await openSqlite({ directory, clock: systemClock })
  const queue = sqliteMessageQueue(engine)
  await queue.declareQueue(QUEUE, { visibilityMs: 600_000 })
  const body = 'x'.repeat(bytes)
  let left = depth
  const caller = async (): Promise<void> => {
    while (left > 0) {
      const count = Math.min(BATCH, left)
      left -= count
      await queue.send(
        QUEUE,
        Array.from({ length: count }, () => ({ body })),
      )
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  await queue.close()
  await engine.close()
}
