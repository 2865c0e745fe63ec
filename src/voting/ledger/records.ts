/**
 * The ledger as records on the store port.
 *
 *   v → <vote id>                      the vote
 *   v/t/<topic> → <created>/<vote id>  the same by time, for pages (committed with it)
 *   tally/<topic> → <shard>            {fold, counts, repairs?}
 *   topics → <topic id>                the topic
 *   topics/new → <created>/<topic id>  the same by time (committed with it)
 */
import { SignalboxError } from '../../kernel/error.ts'
import type { Change, Json, Key, Store, StoredRecord } from '../../ports/store.ts'
import type { PageOptions } from '../api.ts'
import type {
  Fold,
  FoldResult,
  LedgerPage,
  StoredTopic,
  StoredVote,
  TallyShard,
  VoteLedger,
} from '../ledger.ts'

const VOTES = 'v'
const TOPICS = 'topics'
const NEWEST_TOPICS = 'topics/new'
const SCAN_PAGE = 1_000

const voteKey = (id: string): Key => [VOTES, id]
const votesOf = (topicId: string): string => `v/t/${topicId}`
const tallyOf = (topicId: string): string => `tally/${topicId}`
const topicKey = (id: string): Key => [TOPICS, id]

/**
 * Closing it leaves the store open.
 * @example
 * const ledger = recordLedger(store)
 */
export function recordLedger(store: Store): VoteLedger {
  return {
    limits: { changes: store.limits.changes, changesAVote: 2 },
    createTopic: (topic) => putTopic(store, topic, undefined),
    replaceTopic: (topic, lastUpd) => putTopic(store, topic, lastUpd),
    async getTopic(id) {
      return (await store.get(topicKey(id)))?.value as unknown as StoredTopic | undefined
    },
    listTopics: (page) => newestFirst<StoredTopic>(store, NEWEST_TOPICS, page),
    async getVotes(ids) {
      const found = await Promise.all(ids.map((id) => store.get(voteKey(id))))
      return new Map(
        found.filter((record) => record !== undefined).map((record) => [record.key[1], vote(record)]),
      )
    },
    listVotes: (topicId, page) => newestFirst<StoredVote>(store, votesOf(topicId), page),
    async scanVotes(after) {
      const options = { limit: SCAN_PAGE, ...(after === undefined ? {} : { after }) }
      const { records, next } = await store.list({ partition: VOTES }, options)
      return { entries: records.map(vote), ...(next === undefined ? {} : { next }) }
    },
    async getShard(topicId, name) {
      const record = await store.get([tallyOf(topicId), name])
      if (record !== undefined) return shard(topicId, record)
      return { topic_id: topicId, shard: name, fold: 0, counts: {}, version: undefined }
    },
    async getShards(topicIds) {
      const all = await Promise.all(
        topicIds.map(async (topicId) => {
          const { records } = await store.list({ partition: tallyOf(topicId) }, { limit: SCAN_PAGE })
          return records.map((record) => shard(topicId, record))
        }),
      )
      return all.flat()
    },
    commit: (fold) => commit(store, fold),
    ...(store.watch === undefined ? {} : { watch: (topicId, signal) => watchTally(store, topicId, signal) }),
    close: async () => {},
  }
}

function watchTally(store: Store, topicId: string, signal: AbortSignal): AsyncIterable<void> {
  if (store.watch === undefined) throw new SignalboxError('internal', 'this store has no watch')
  return store.watch({ partition: tallyOf(topicId) }, signal)
}

async function putTopic(store: Store, topic: StoredTopic, lastUpd: string | undefined): Promise<boolean> {
  const before = await store.get(topicKey(topic.id))
  if ((before?.value as unknown as StoredTopic | undefined)?.last_upd !== lastUpd) return false
  const value = topic as unknown as Json
  const result = await store.commit([
    {
      op: 'put',
      key: topicKey(topic.id),
      expect: before === undefined ? 'absent' : { version: before.version },
      value,
    },
    {
      op: 'put',
      key: [NEWEST_TOPICS, `${topic.created}/${topic.id}`],
      expect: before === undefined ? 'absent' : 'present',
      value,
    },
  ])
  return result.ok
}

async function newestFirst<T>(store: Store, partition: string, page: PageOptions): Promise<LedgerPage<T>> {
  const { limit, after } = page
  const options = { limit, reverse: true, ...(after === undefined ? {} : { after }) }
  const { records, next } = await store.list({ partition }, options)
  return {
    entries: records.map(({ value }) => value as unknown as T),
    ...(next === undefined ? {} : { next }),
  }
}

async function commit(store: Store, { votes, shards }: Fold): Promise<FoldResult> {
  const changes: Change[] = shards.map(({ topic_id, shard, fold, counts, repairs, version }) => ({
    op: 'put',
    key: [tallyOf(topic_id), shard],
    expect: version === undefined ? 'absent' : { version },
    value: { fold, counts, ...(repairs === undefined ? {} : { repairs }) },
  }))
  for (const each of votes) {
    const value = each as unknown as Json
    changes.push({ op: 'put', key: voteKey(each.id), expect: 'absent', value })
    const byTime: Key = [votesOf(each.topic_id), `${each.created}/${each.id}`]
    changes.push({ op: 'put', key: byTime, expect: 'absent', value })
  }
  const result = await store.commit(changes)
  if (result.ok) return { ok: true, versions: result.versions.slice(0, shards.length).map(String) }
  if (result.failed === 'unknown') return { ok: false, votes: 'unknown' }
  const failed = result.failed
  return {
    ok: false,
    votes: failed.filter(([partition]) => partition === VOTES).map(([, id]) => id),
    shards: shards.map(({ topic_id }) => topic_id).filter((id) => failed.some(([p]) => p === tallyOf(id))),
  }
}

function vote({ value }: StoredRecord): StoredVote {
  return value as unknown as StoredVote
}

function shard(topicId: string, { key, version, value }: StoredRecord): TallyShard {
  const state = value as unknown as Pick<TallyShard, 'fold' | 'counts' | 'repairs'>
  return { topic_id: topicId, shard: key[1], ...state, version }
}
