/**
 * The inbox of a queue: joins that met contention. A member posts its join under a random key, where it contends with
 * nobody; whoever comes first gives tickets to as many of them as fit into one commit (`Transition.enlist`).
 *
 * Invariants: a join is acknowledged when it has its ticket, so one that was acknowledged before another began has the smaller one;
 * a posted join is either given its ticket or withdrawn, since both delete its record.
 */
import { isSignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { decimalKey, type Store } from '../ports/store.ts'
import type { JoinCommand } from './queue-state.ts'
import { asJson, inboxPartition, memberKey, POSTED_KEPT_MS, type Member, type Posted } from './records.ts'

/** As many as one commit takes beside the rest: three changes each. */
const POSTED_READ = 33
const KEYS = 10 ** 15

/**
 * Does nothing if the member is known already. Repeat it until a look shows what became of it.
 * @returns the key under which it may be posted now
 */
export async function postJoin(
  store: Store,
  queue: string,
  { id, permits, priority, ttlMs, labels }: JoinCommand,
  random: Random,
): Promise<string> {
  const key = decimalKey(Math.floor(random.next() * KEYS))
  const now = store.now().ms
  const expiresAt = now + POSTED_KEPT_MS
  const posted: Posted = { id, ...(permits === undefined ? {} : { permits }), priority, ttlMs, labels }
  const member: Member = { id, ticket: 0, priority, ttlMs, joinedAt: now, labels, posted: key }
  try {
    await store.commit([
      { op: 'put', key: memberKey(queue, id), expect: 'absent', value: asJson(member), expiresAt },
      { op: 'put', key: [inboxPartition(queue), key], expect: 'absent', value: asJson(posted), expiresAt },
    ])
  } catch (error) {
    if (!isSignalboxError(error, 'outcome_unknown') && !isSignalboxError(error, 'throttled')) throw error
  }
  return key
}

/**
 * Is it this member's turn to empty the inbox? That of the first always, and now and then that of any other, so that
 * the first may sleep, or be dead, and yet few contend.
 */
export async function mayEmpty(store: Store, queue: string, own: string, random: Random): Promise<boolean> {
  const { records } = await store.list({ partition: inboxPartition(queue) }, { limit: POSTED_READ })
  const first = records[0]?.key[1]
  return first === undefined || first === own || random.next() < 2 / records.length
}

/** The first posted joins by key, and those under `own`. */
export async function loadPosted(
  store: Store,
  queue: string,
  own: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Posted>> {
  const partition = inboxPartition(queue)
  const page = await store.list({ partition }, { limit: POSTED_READ })
  const posted = new Map(page.records.map((r) => [r.key[1], r.value as unknown as Posted]))
  for (const key of own) {
    const record = posted.has(key) ? undefined : await store.get([partition, key])
    if (record !== undefined) posted.set(key, record.value as unknown as Posted)
  }
  return posted
}
