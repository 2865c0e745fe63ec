/** Jobs as people see them: the manifest, who runs it, and how many runs there are. */
import type { Store } from '../ports/store.ts'
import type { JobView } from './api-views.ts'
import { indexPartition } from './records.ts'
import { WORKER_SEEN_MS, type Registered } from './registry.ts'
import { runStates } from './vocabulary.ts'

/** @param bound runs of a state are counted up to it */
export async function jobView(
  store: Store,
  { manifest, seenAt, workers }: Registered,
  bound: number,
): Promise<JobView> {
  const now = store.now().ms
  const counted = await Promise.all(
    runStates.map(async (state) => {
      const { records, next } = await store.list(
        { partition: indexPartition({ job: manifest.name }, state) },
        { limit: bound, reverse: true },
      )
      return [state, { count: records.length, more: next !== undefined }] as const
    }),
  )
  return {
    ...manifest,
    seenAt: new Date(seenAt).toISOString(),
    workers: Object.values(workers).filter((at) => now - at < WORKER_SEEN_MS).length,
    runs: Object.fromEntries(counted.filter(([, { count }]) => count > 0)),
  }
}
