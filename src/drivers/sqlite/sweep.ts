/**
 * The background duty that removes expired records. Nothing depends on it: an expired record reads as absent, swept or
 * not; sweeping only gives the space back. It works in small batches through the group commit, so that nobody waits.
 */
import type { Clock, Timer } from '../../kernel/clock.ts'
import type { Database } from './database.ts'
import type { GroupCommit } from './group-commit.ts'

const INTERVAL_MS = 30_000
const BATCH = 500

const DELETE = `DELETE FROM records WHERE (partition, key) IN (
  SELECT partition, key FROM records WHERE expires_at IS NOT NULL AND expires_at <= ? ORDER BY expires_at LIMIT ${BATCH})`

/** Starts sweeping now and then. @returns how to stop. */
export function startSweeper(clock: Clock, group: GroupCommit<Database>): () => void {
  const state = { stopped: false }
  let timer: Timer
  const sweep = async (): Promise<void> => {
    let swept: number
    do {
      swept = await group.submit((db) => Number(db.prepare(DELETE).run(clock.now()).changes), BATCH, 0)
    } while (swept === BATCH && !state.stopped)
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
