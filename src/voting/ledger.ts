/**
 * The ledger: topics, the votes that were counted, and their tallies. Two engines keep it: records on the store port, and the
 * fixed DynamoDB tables of the reference.
 *
 * What every ledger guarantees (and `testing/ledger-suite.ts` checks):
 * - reads are linearisable, except pages of topics and of a topic's votes, which may lag a moment behind;
 * - a fold (votes and the shards of the tallies that count them) is one commit, all or nothing, durable before it is answered;
 * - a vote is put only where none with its id is; a shard only over the state that it was read in.
 *
 * **Tallies are sharded** so that a popular topic is not one record that all workers queue up for: each of `SHARDS` counts
 * the votes of some folds, their sum is the tally. A shard numbers its folds, and each vote carries shard and number. So a recount
 * can be exact while votes arrive: what shard 3 says at its fold 17 is the votes of shard 3 whose number is 17 or less.
 * Votes of another program (the reference's worker) carry neither, and count once `verify --repair` has adopted them.
 *
 * Engines translate errors into `SignalboxError` at this border: `throttled` and `unavailable` mean *not applied*,
 * `outcome_unknown` means *maybe applied: read, then decide*.
 */
import type { PageOptions, VoteView } from './api.ts'

export interface Choice {
  readonly id: string
  readonly description: string
}

export interface StoredTopic {
  readonly id: string
  readonly created: string
  readonly last_upd: string
  readonly is_active: boolean
  readonly title: string
  readonly choices: readonly Choice[]
  /** Ids of choices that were taken out; they may return. */
  readonly retired: readonly string[]
}

/** The names of the shards that workers count on. */
export const SHARDS = ['0', '1', '2', '3', '4', '5', '6', '7'] as const
/** The shard of votes that carry none. */
export const ADOPTED = 'adopted'
/** All shards that a topic may have. */
export const ALL_SHARDS: readonly string[] = [...SHARDS, ADOPTED]

export interface StoredVote extends VoteView {
  /** Which fold of which shard counted it; absent on votes of another program. */
  readonly counted?: { readonly shard: string; readonly fold: number }
}

export interface TallyShard {
  readonly topic_id: string
  readonly shard: string
  /** How often it was written; 0 before the first time. */
  readonly fold: number
  /** Votes by choice id. */
  readonly counts: Readonly<Record<string, number>>
  /** How often it was repaired; absent: never. So a repair that is made twice, or arrives late, changes nothing. */
  readonly repairs?: number
  /** What a write of it expects; opaque. Undefined as long as it does not exist. */
  readonly version: string | undefined
}

export interface Fold {
  readonly votes: readonly StoredVote[]
  /** Each as it is to be, with the version it was read in; one a topic and shard. */
  readonly shards: readonly TallyShard[]
}

export type FoldResult =
  /** The new versions of the shards, in their order. */
  | { readonly ok: true; readonly versions: readonly string[] }
  /** Nothing changed. Where the engine can tell: the ids of votes that exist, the topics whose shard is not as expected. */
  | { readonly ok: false; readonly votes: readonly string[]; readonly shards: readonly string[] }
  | { readonly ok: false; readonly votes: 'unknown' }

export interface LedgerPage<T> {
  readonly entries: readonly T[]
  /** Present when more may follow. */
  readonly next?: string
}

export interface VoteLedger {
  /** What a commit takes: a shard is one change, a vote so many. */
  readonly limits: { readonly changes: number; readonly changesAVote: number }

  /** @returns false if there is a topic of this id */
  createTopic(topic: StoredTopic): Promise<boolean>

  /** @param lastUpd what it must say now. @returns false if it does not */
  replaceTopic(topic: StoredTopic, lastUpd: string): Promise<boolean>

  getTopic(id: string): Promise<StoredTopic | undefined>

  /** All topics page by page; newest first where the engine has an order. */
  listTopics(page: PageOptions): Promise<LedgerPage<StoredTopic>>

  /** @param ids at most 100, each once. @returns those that exist, by id */
  getVotes(ids: readonly string[]): Promise<ReadonlyMap<string, StoredVote>>

  /** Newest first. */
  listVotes(topicId: string, page: PageOptions): Promise<LedgerPage<StoredVote>>

  /** All votes in any order, each strongly consistent page of at most 1,000. */
  scanVotes(after?: string): Promise<LedgerPage<StoredVote>>

  /** @returns one of fold 0 if it does not exist */
  getShard(topicId: string, shard: string): Promise<TallyShard>

  /** All shards that exist of these topics. */
  getShards(topicIds: readonly string[]): Promise<readonly TallyShard[]>

  /** @throws SignalboxError `throttled` or `unavailable` (not applied), `outcome_unknown` */
  commit(fold: Fold): Promise<FoldResult>

  /** Hints that a topic's tally may have changed, also by other processes: re-read after each. Absent: poll. */
  watch?(topicId: string, signal: AbortSignal): AsyncIterable<void>

  close(): Promise<void>
}

/** The sum of shards: votes by topic id, then choice id. */
export function sumShards(shards: readonly TallyShard[]): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const sums = new Map<string, Map<string, number>>()
  for (const { topic_id, counts } of shards) {
    const sum = sums.get(topic_id) ?? new Map<string, number>()
    for (const [choice, votes] of Object.entries(counts)) sum.set(choice, (sum.get(choice) ?? 0) + votes)
    sums.set(topic_id, sum)
  }
  return sums
}
