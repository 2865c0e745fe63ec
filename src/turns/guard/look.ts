/**
 * One look at the bare partition: the guard and everybody else, in one read. Entries proven dead are removed, each on
 * condition that it is still as it was when last seen, so that nobody after us has to wait for them again.
 */
import { isSignalboxError } from '../../kernel/error.ts'
import type { StoredRecord } from '../../ports/store.ts'
import { asGuard, guardKey, type GuardContext, type Standing } from './record.ts'
import type { Strangers } from './strangers.ts'

export interface Look {
  /** Monotonic ms: what it shows was true at some moment between the two. */
  readonly sentAt: number
  readonly seenAt: number
  readonly guard: Standing | undefined
  /** Some entry is not known to be dead. */
  readonly anyAlive: boolean
  /** Somebody seems to wait there (`Strangers.anyWaiting`). */
  readonly anyWaiting: boolean
}

const PAGE = 1_000
const BURIED_AT_ONCE = 10

export async function lookAround(context: GuardContext, queue: string, strangers: Strangers): Promise<Look> {
  const { store, clock } = context
  const sentAt = clock.monotonic()
  const records: StoredRecord[] = []
  for (let after: string | undefined; ;) {
    const options = after === undefined ? { limit: PAGE } : { limit: PAGE, after }
    const page = await store.list({ partition: queue }, options)
    records.push(...page.records)
    if (page.next === undefined) break
    after = page.next
  }
  const seenAt = clock.monotonic()
  const guard = records.map(standing).find((found) => found !== undefined)
  strangers.saw(
    records.filter((record) => standing(record) === undefined),
    sentAt,
    seenAt,
  )
  const shown = { anyAlive: strangers.anyAlive, anyWaiting: strangers.anyWaiting(store.now().ms) }
  await bury(context, queue, strangers)
  return { sentAt, seenAt, guard, ...shown }
}

function standing({ key, version, value }: StoredRecord): Standing | undefined {
  if (key[1] !== guardKey(key[0])[1]) return undefined
  const guard = asGuard(value)
  return guard === undefined ? undefined : { version, value: guard }
}

async function bury({ store }: GuardContext, queue: string, { dead }: Strangers): Promise<void> {
  for (const [key, version] of dead.slice(0, BURIED_AT_ONCE)) {
    try {
      await store.commit([{ op: 'delete', key: [queue, key], expect: { version } }])
    } catch (error) {
      if (!isSignalboxError(error)) throw error
      return // the next look tries again
    }
  }
}
