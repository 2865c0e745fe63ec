/** Runs of a schedule that have not ended, from its index records alone: what overlap policies look at. */
import type { Store } from '../ports/store.ts'
import { indexPartition, type Row } from './records.ts'
import type { RunSource } from './vocabulary.ts'

export interface LiveRun {
  readonly id: string
  readonly state: 'queued' | 'running'
  /** Queued, and waits to be released. */
  readonly held: boolean
  /** Milliseconds since the epoch. */
  readonly scheduledAt?: number
  readonly source: RunSource
}

/** The oldest first, by their creation. Read to and fro, so that a run that is claimed meanwhile, or goes back to be tried again, is seen. */
export async function liveRuns(store: Store, schedule: string, limit: number): Promise<LiveRun[]> {
  const queued = await liveIn(store, schedule, 'queued', limit)
  const running = await liveIn(store, schedule, 'running', limit)
  const requeued = await liveIn(store, schedule, 'queued', limit)
  const seen = new Set<string>()
  return [...requeued, ...running, ...queued]
    .filter(({ run: { id } }) => !seen.has(id) && seen.add(id))
    .sort((a, b) => (a.place < b.place ? -1 : 1))
    .slice(0, limit)
    .map(({ run }) => run)
}

async function liveIn(
  store: Store,
  schedule: string,
  state: LiveRun['state'],
  limit: number,
): Promise<{ readonly place: string; readonly run: LiveRun }[]> {
  const { records } = await store.list({ partition: indexPartition({ schedule }, state) }, { limit })
  return records.map(({ key: [, place], value }) => {
    const { id, hold, scheduledAt, source } = value as unknown as Row
    const at = scheduledAt === undefined ? {} : { scheduledAt }
    return { place, run: { id, state, held: hold !== undefined, source, ...at } }
  })
}
