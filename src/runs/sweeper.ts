/**
 * What time alone does to runs, in the background of every server: claims that expire, runs that are overdue, wake-ups that got
 * lost, and what is past its retention. Several servers may do it at once; each change is a conditional commit.
 *
 * It reads only what is due (`live`), except after the wall clock was set back: then it looks at all that runs.
 */
import type { Clock } from '../kernel/clock.ts'
import { decimalKey, type Store, type StoredRecord } from '../ports/store.ts'
import { KEYS_PER_MS } from './keys.ts'
import type { Mailboxes } from './mailboxes.ts'
import {
  indexKeys,
  indexPartition,
  livePartition,
  partsPartition,
  runKey,
  SHARDS,
  type Live,
  type Row,
  type Stored,
} from './records.ts'
import { hasEnded } from './state.ts'
import { runStates } from './vocabulary.ts'

export interface SweepContext {
  readonly store: Store
  readonly clock: Clock
  readonly mailboxes: Mailboxes
}

const PAGE = 200
/** A queued run that nobody took for so long is woken again. */
export const ROUSE_MS = 3_600_000
const ROUSED_AT_ONCE = 200

/** Looks at what is due. @param all look at everything that runs */
export async function sweepLive(context: SweepContext, all = false): Promise<void> {
  const now = context.store.now().ms
  const to = all ? {} : { to: decimalKey(Math.floor(now) * KEYS_PER_MS) }
  await Promise.all(
    Array.from({ length: SHARDS }, async (_, shard) => {
      const partition = livePartition(shard)
      let after: string | undefined
      do {
        const page = await context.store.list(
          { partition, ...to },
          { limit: PAGE, ...(after === undefined ? {} : { after }) },
        )
        await Promise.all(page.records.map((record) => look(context, record)))
        after = page.next
      } while (after !== undefined)
    }),
  )
}

async function look({ store, mailboxes }: SweepContext, record: StoredRecord): Promise<void> {
  const of = record.value as unknown as Live
  const { stored } = await mailboxes.submit(of.id, { command: { kind: 'check' } })
  if (stored?.born === of.born) return
  // The run is past its retention; what lay beside it goes now.
  await store.deleteRange({ partition: partsPartition(of) })
  await store.commit([{ op: 'delete', key: record.key, expect: { version: record.version } }])
}

/**
 * Wakes queued runs again that have waited for long, the oldest first: their wake-up may be gone (a purged queue).
 * @returns where to go on the next time
 */
export async function rouse(context: SweepContext, after?: string): Promise<string | undefined> {
  const { store, mailboxes } = context
  const to = decimalKey(Math.max(0, Math.floor(store.now().ms - ROUSE_MS)) * KEYS_PER_MS)
  const page = await store.list(
    { partition: indexPartition({}, 'queued'), to },
    { limit: ROUSED_AT_ONCE, ...(after === undefined ? {} : { after }) },
  )
  const command = { kind: 'rouse', silentMs: ROUSE_MS } as const
  await Promise.all(
    page.records.map(({ value }) => mailboxes.submit((value as unknown as Row).id, { command })),
  )
  return page.next
}

/** Deletes the oldest ended runs of a job beyond `keep`. @returns how many */
export async function trimJob({ store }: SweepContext, job: string, keep: number): Promise<number> {
  const ended = runStates.filter((state) => state !== 'queued' && state !== 'running')
  const places = await Promise.all(
    ended.map(async (state) => {
      const rows: { place: string; id: string }[] = []
      let after: string | undefined
      do {
        const page = await store.list(
          { partition: indexPartition({ job }, state) },
          { limit: 1_000, reverse: true, ...(after === undefined ? {} : { after }) },
        )
        for (const { key, value } of page.records) {
          rows.push({ place: key[1], id: (value as unknown as Row).id })
        }
        after = page.next
      } while (after !== undefined)
      return rows
    }),
  )
  const surplus = places
    .flat()
    .sort((a, b) => (a.place < b.place ? 1 : -1))
    .slice(keep)
  for (const { id } of surplus) await forget(store, id)
  return surplus.length
}

async function forget(store: Store, id: string): Promise<void> {
  const record = await store.get(runKey(id))
  if (record === undefined) return
  const stored = record.value as unknown as Stored
  // Another server forgot it meanwhile, and somebody made one of the same id.
  if (!hasEnded(stored.run.state)) return
  // Its record in `live`, if it has one, finds nothing when it is due, and deletes what is left beside it.
  const { ok } = await store.commit([
    { op: 'delete', key: record.key, expect: { version: record.version } },
    ...indexKeys(stored).map((key) => ({ op: 'delete', key, expect: 'present' }) as const),
  ])
  if (ok) await store.deleteRange({ partition: partsPartition({ id, born: stored.born }) })
}
