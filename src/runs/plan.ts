/**
 * Runs that come with somebody else's commit (a schedule's claim of a time), so that the run is there exactly if the rest is. Whoever
 * commits says so afterwards, and the wake-up goes out at once; if it cannot, a sweeper finds the wake-up in the outbox.
 */
import type { Change, Version } from '../ports/store.ts'
import type { RunRow } from './api-views.ts'
import { makeRun, type CreatingContext } from './create.ts'
import type { NamedRun } from './new-run.ts'
import { rowOfRun } from './views.ts'

export interface PlannedRun {
  readonly id: string
  /** Make the run, which must be absent: `runKey(id)` is the key of the first. For one attempt of a commit. */
  readonly changes: readonly Change[]
  /** As it will be. */
  readonly run: RunRow
  /**
   * Call it once the commit has succeeded: wakes a worker and tells what happened.
   * @param version of the first of the changes; spares the next one who needs the run a read
   */
  committed(version?: Version): void
}

export function plannedRun(context: CreatingContext, run: NamedRun): PlannedRun {
  const prepared = makeRun(context, run, '')
  return {
    id: run.id,
    changes: prepared.changes,
    run: rowOfRun(prepared.stored),
    committed: (version) => context.mailboxes.adopt(prepared, version),
  }
}
