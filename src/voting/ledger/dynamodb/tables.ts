/**
 * The fixed tables of the reference, and what lies in them.
 *
 *   topics  id                     {created, last_upd, is_active, title, choices: [{id, description}], retired?: [id]}
 *   votes   id                     {topic_id, choice_id, created, shard?, fold?}
 *           index GroupByTopicOrderByCreated: topic_id, created
 *   votes   tally#<topic>#<shard>  {fold, counts: {<choice>: n}, repairs?}
 *
 * Shards lie among the votes: without `topic_id` they are not in the index, so programs that were there before do not meet them,
 * nor does a listing of the topics. No id of a vote has a '#'.
 */
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import type { StoredTopic, StoredVote, TallyShard } from '../../ledger.ts'

export const INDEX = 'GroupByTopicOrderByCreated'
const TALLY = 'tally#'

export interface TableNames {
  readonly topics: string
  readonly votes: string
}

export type Item = Record<string, AttributeValue>

export function shardId(topicId: string, shard: string): string {
  return `${TALLY}${topicId}#${shard}`
}

export function isShard(item: Item): boolean {
  return item['id']?.S?.startsWith(TALLY) === true
}

export function topicItem(topic: StoredTopic): Item {
  const choices = topic.choices.map(({ id, description }) => ({
    M: { id: { S: id }, description: { S: description } },
  }))
  return {
    id: { S: topic.id },
    created: { S: topic.created },
    last_upd: { S: topic.last_upd },
    is_active: { BOOL: topic.is_active },
    title: { S: topic.title },
    choices: { L: choices },
    ...(topic.retired.length === 0 ? {} : { retired: { L: topic.retired.map((id) => ({ S: id })) } }),
  }
}

/** Also of a topic that another program wrote. */
export function topicOf(item: Item): StoredTopic {
  const created = text(item, 'created')
  return {
    id: text(item, 'id'),
    created,
    last_upd: item['last_upd']?.S ?? created,
    is_active: item['is_active']?.BOOL ?? true,
    title: text(item, 'title'),
    choices: (item['choices']?.L ?? []).map(({ M = {} }) => ({
      id: text(M, 'id'),
      description: text(M, 'description'),
    })),
    retired: (item['retired']?.L ?? []).map(({ S = '' }) => S),
  }
}

export function voteItem({ id, topic_id, choice_id, created, counted }: StoredVote): Item {
  return {
    id: { S: id },
    topic_id: { S: topic_id },
    choice_id: { S: choice_id },
    created: { S: created },
    ...(counted === undefined ? {} : { shard: { S: counted.shard }, fold: { N: String(counted.fold) } }),
  }
}

/** Also of a vote that another program wrote. */
export function voteOf(item: Item): StoredVote {
  const [shard, fold] = [item['shard']?.S, item['fold']?.N]
  return {
    id: text(item, 'id'),
    topic_id: text(item, 'topic_id'),
    choice_id: text(item, 'choice_id'),
    created: text(item, 'created'),
    ...(shard === undefined || fold === undefined ? {} : { counted: { shard, fold: Number(fold) } }),
  }
}

export function shardItem({ topic_id, shard, fold, counts, repairs }: TallyShard): Item {
  const numbers = Object.entries(counts).map(([choice, n]) => [choice, { N: String(n) }] as const)
  return {
    id: { S: shardId(topic_id, shard) },
    fold: { N: String(fold) },
    counts: { M: Object.fromEntries(numbers) },
    ...(repairs === undefined ? {} : { repairs: { N: String(repairs) } }),
  }
}

export function shardOf(topic_id: string, shard: string, item: Item | undefined): TallyShard {
  const fold = Number(item?.['fold']?.N ?? 0)
  const numbers = Object.entries(item?.['counts']?.M ?? {}).map(
    ([choice, { N }]) => [choice, Number(N)] as const,
  )
  const repairs = item?.['repairs']?.N
  return {
    topic_id,
    shard,
    fold,
    ...(repairs === undefined ? {} : { repairs: Number(repairs) }),
    counts: Object.fromEntries(numbers),
    version: item === undefined ? undefined : String(fold),
  }
}

function text(item: Item, name: string): string {
  return item[name]?.S ?? ''
}
