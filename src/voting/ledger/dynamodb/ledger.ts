/**
 * The ledger on the reference's tables. A fold is one `TransactWriteItems`: votes put where no item has their id, shards over
 * the fold they were read at, which is their version.
 */
import type * as Sdk from '@aws-sdk/client-dynamodb'
import { THROTTLED } from '../../../drivers/shared/aws-failure.ts'
import { SignalboxError } from '../../../kernel/error.ts'
import type { Random } from '../../../kernel/id.ts'
import type { PageOptions } from '../../api.ts'
import {
  ALL_SHARDS,
  type Fold,
  type FoldResult,
  type LedgerPage,
  type StoredTopic,
  type StoredVote,
  type TallyShard,
  type VoteLedger,
} from '../../ledger.ts'
import type { LedgerClient } from './client.ts'
import {
  INDEX,
  isShard,
  shardId,
  shardItem,
  shardOf,
  topicItem,
  topicOf,
  voteItem,
  voteOf,
  type Item,
  type TableNames,
} from './tables.ts'

export interface LedgerParts {
  readonly sdk: typeof Sdk
  readonly client: LedgerClient
  readonly tables: TableNames
  readonly random: Random
}

const TRANSACTION_ITEMS = 100
const BATCH_KEYS = 100
const BATCH_ATTEMPTS = 8
const SCAN_PAGE = 1_000

export class DynamodbLedger implements VoteLedger {
  readonly limits = { changes: TRANSACTION_ITEMS, changesAVote: 1 }
  readonly #sdk: typeof Sdk
  readonly #client: LedgerClient
  readonly #tables: TableNames
  readonly #random: Random

  constructor({ sdk, client, tables, random }: LedgerParts) {
    this.#sdk = sdk
    this.#client = client
    this.#tables = tables
    this.#random = random
  }

  createTopic(topic: StoredTopic): Promise<boolean> {
    return this.#putTopic(topic, { ConditionExpression: 'attribute_not_exists(id)' }, undefined)
  }

  replaceTopic(topic: StoredTopic, lastUpd: string): Promise<boolean> {
    // Another program's topics may have none; then what was read is their `created`.
    const condition = 'last_upd = :read OR (attribute_not_exists(last_upd) AND created = :read)'
    return this.#putTopic(
      topic,
      { ConditionExpression: condition, ExpressionAttributeValues: { ':read': { S: lastUpd } } },
      lastUpd,
    )
  }

  async getTopic(id: string): Promise<StoredTopic | undefined> {
    const item = await this.#get(this.#tables.topics, id)
    return item === undefined ? undefined : topicOf(item)
  }

  async listTopics({ limit, after }: PageOptions): Promise<LedgerPage<StoredTopic>> {
    const input = {
      TableName: this.#tables.topics,
      Limit: limit,
      ConsistentRead: true,
      ...startAfter(after, KEY),
    }
    const { Items = [], LastEvaluatedKey } = await this.#client.read(
      'Scan',
      () => new this.#sdk.ScanCommand(input),
    )
    return page(Items.map(topicOf), LastEvaluatedKey)
  }

  async getVotes(ids: readonly string[]): Promise<ReadonlyMap<string, StoredVote>> {
    const items = await this.#batchGet(ids)
    return new Map([...items].map(([id, item]) => [id, voteOf(item)]))
  }

  async listVotes(topicId: string, { limit, after }: PageOptions): Promise<LedgerPage<StoredVote>> {
    const input = {
      TableName: this.#tables.votes,
      IndexName: INDEX,
      KeyConditionExpression: 'topic_id = :topic',
      ExpressionAttributeValues: { ':topic': { S: topicId } },
      ScanIndexForward: false,
      Limit: limit,
      ...startAfter(after, INDEX_KEY),
    }
    const { Items = [], LastEvaluatedKey } = await this.#client.read(
      'Query',
      () => new this.#sdk.QueryCommand(input),
    )
    return page(Items.map(voteOf), LastEvaluatedKey)
  }

  async scanVotes(after?: string): Promise<LedgerPage<StoredVote>> {
    const input = {
      TableName: this.#tables.votes,
      Limit: SCAN_PAGE,
      ConsistentRead: true,
      ...startAfter(after, KEY),
    }
    const { Items = [], LastEvaluatedKey } = await this.#client.read(
      'Scan',
      () => new this.#sdk.ScanCommand(input),
    )
    return page(Items.filter((item) => !isShard(item)).map(voteOf), LastEvaluatedKey)
  }

  async getShard(topicId: string, shard: string): Promise<TallyShard> {
    return shardOf(topicId, shard, await this.#get(this.#tables.votes, shardId(topicId, shard)))
  }

  async getShards(topicIds: readonly string[]): Promise<readonly TallyShard[]> {
    const all = topicIds.flatMap((topic) =>
      ALL_SHARDS.map((shard) => ({ topic, shard, id: shardId(topic, shard) })),
    )
    const parts = Array.from({ length: Math.ceil(all.length / BATCH_KEYS) }, (_, i) =>
      all.slice(i * BATCH_KEYS, (i + 1) * BATCH_KEYS),
    )
    const found = await Promise.all(
      parts.map(async (part) => {
        const items = await this.#batchGet(part.map(({ id }) => id))
        return part.flatMap(({ topic, shard, id }) =>
          items.has(id) ? [shardOf(topic, shard, items.get(id))] : [],
        )
      }),
    )
    return found.flat()
  }

  async commit({ votes, shards }: Fold): Promise<FoldResult> {
    const TableName = this.#tables.votes
    const TransactItems: Sdk.TransactWriteItem[] = [
      ...shards.map((shard) => ({ Put: { TableName, Item: shardItem(shard), ...unchanged(shard) } })),
      ...votes.map((vote) => ({
        Put: { TableName, Item: voteItem(vote), ConditionExpression: 'attribute_not_exists(id)' },
      })),
    ]
    const input = { TransactItems, ClientRequestToken: this.#random.id() }
    const refusal = await this.#client.write(
      'TransactWriteItems',
      () => new this.#sdk.TransactWriteItemsCommand(input),
      (name) => REFUSALS.has(name),
    )
    if (refusal === undefined) return { ok: true, versions: shards.map(({ fold }) => String(fold)) }
    return refused(refusal.error, { votes, shards })
  }

  async close(): Promise<void> {
    this.#client.destroy()
  }

  async #putTopic(
    topic: StoredTopic,
    condition: Pick<Sdk.PutItemCommandInput, 'ConditionExpression' | 'ExpressionAttributeValues'>,
    lastUpd: string | undefined,
  ): Promise<boolean> {
    const input = { TableName: this.#tables.topics, Item: topicItem(topic), ...condition }
    try {
      const make = (): Sdk.PutItemCommand => new this.#sdk.PutItemCommand(input)
      const refusal = await this.#client.write(
        'PutItem',
        make,
        (name) => name === 'ConditionalCheckFailedException',
      )
      return refusal === undefined
    } catch (error) {
      if (!(error instanceof SignalboxError) || error.code !== 'outcome_unknown') throw error
      const now = await this.getTopic(topic.id)
      if (now?.last_upd === topic.last_upd) return true
      if (now?.last_upd === lastUpd) throw error
      return false
    }
  }

  async #get(TableName: string, id: string): Promise<Item | undefined> {
    const input = { TableName, Key: { id: { S: id } }, ConsistentRead: true }
    return (await this.#client.read('GetItem', () => new this.#sdk.GetItemCommand(input))).Item
  }

  /** Of the votes' table, at most 100. @throws SignalboxError `throttled` when the engine keeps leaving some out */
  async #batchGet(ids: readonly string[]): Promise<ReadonlyMap<string, Item>> {
    const table = this.#tables.votes
    const found = new Map<string, Item>()
    let keys: Item[] = ids.map((id) => ({ id: { S: id } }))
    for (let attempt = 0; keys.length > 0; attempt++) {
      if (attempt === BATCH_ATTEMPTS)
        throw new SignalboxError(
          'throttled',
          `the DynamoDB table '${table}' takes no more reads at present; repeat later`,
        )
      if (attempt > 0) await this.#client.pause(attempt)
      const input = { RequestItems: { [table]: { Keys: keys, ConsistentRead: true } } }
      const { Responses, UnprocessedKeys } = await this.#client.read(
        'BatchGetItem',
        () => new this.#sdk.BatchGetItemCommand(input),
      )
      for (const item of Responses?.[table] ?? []) found.set(item['id']?.S ?? '', item)
      keys = UnprocessedKeys?.[table]?.Keys ?? []
    }
    return found
  }
}

const REFUSALS: ReadonlySet<string> = new Set([
  'TransactionCanceledException',
  'TransactionConflictException',
])

/** The condition that a shard is as it was read. */
function unchanged({
  version,
}: TallyShard): Pick<
  Sdk.Put,
  'ConditionExpression' | 'ExpressionAttributeNames' | 'ExpressionAttributeValues'
> {
  if (version === undefined) return { ConditionExpression: 'attribute_not_exists(id)' }
  return {
    ConditionExpression: '#fold = :read',
    ExpressionAttributeNames: { '#fold': 'fold' },
    ExpressionAttributeValues: { ':read': { N: version } },
  }
}

/** One code a change, in their order: shards, then votes. @throws SignalboxError `throttled` */
function refused(error: unknown, { votes, shards }: Fold): FoldResult {
  const reasons = (error as { readonly CancellationReasons?: readonly { readonly Code?: string }[] })
    .CancellationReasons
  const codes = (reasons ?? []).map(({ Code }) => Code ?? 'None')
  const throttled = codes.find((code) => THROTTLED.has(code))
  if (throttled !== undefined) {
    throw new SignalboxError(
      'throttled',
      `the DynamoDB table of the votes takes no more writes at present (${throttled}); repeat later`,
      { cause: error },
    )
  }
  const judged =
    codes.length > 0 && codes.every((code) => code === 'None' || code === 'ConditionalCheckFailed')
  if (!judged) return { ok: false, votes: 'unknown' }
  const failed = (i: number): boolean => codes[i] === 'ConditionalCheckFailed'
  return {
    ok: false,
    votes: votes.filter((_, i) => failed(shards.length + i)).map(({ id }) => id),
    shards: shards.filter((_, i) => failed(i)).map(({ topic_id }) => topic_id),
  }
}

/** What the last key of a page has. */
const KEY = ['id']
const INDEX_KEY = ['created', 'id', 'topic_id']

/** A cursor is the engine's own last key. */
function startAfter(
  after: string | undefined,
  names: readonly string[],
): { readonly ExclusiveStartKey?: Item } {
  if (after === undefined) return {}
  let values: unknown
  try {
    values = JSON.parse(Buffer.from(after, 'base64url').toString())
  } catch {
    values = undefined
  }
  const texts = Object.entries(typeof values === 'object' && values !== null ? values : {})
  const given = texts.map(([name]) => name).sort()
  const whole = given.join() === names.join()
  if (!whole || texts.some(([, value]) => typeof value !== 'string' || value === '')) {
    throw new SignalboxError(
      'invalid_argument',
      'cursor: is not one that this service gave; begin without one',
    )
  }
  return { ExclusiveStartKey: Object.fromEntries(texts.map(([name, value]) => [name, { S: String(value) }])) }
}

function page<T>(entries: readonly T[], last: Item | undefined): LedgerPage<T> {
  if (last === undefined) return { entries }
  const texts = Object.entries(last).map(([name, { S }]) => [name, S])
  return { entries, next: Buffer.from(JSON.stringify(Object.fromEntries(texts))).toString('base64url') }
}
