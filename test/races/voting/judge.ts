/**
 * The judge of the voting races: looks at what is stored without any code of the service, by raw SQL on the data file or by scans of the
 * tables.
 */
import { DatabaseSync } from 'node:sqlite'
import { ScanCommand, type AttributeValue, type DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Crowd } from './crowd.ts'

interface Stored {
  /** Every stored vote. */
  readonly votes: readonly { id: string; topic: string; choice: string; created: string }[]
  /** Of each shard, its counts: topic, choice, votes. */
  readonly counts: readonly { topic: string; choice: string; votes: number }[]
}

export interface Finding {
  readonly stored: number
  readonly missing: number
  readonly foreign: number
  readonly changed: number
  /** Choices whose tally is not the number of their votes. */
  readonly wrongTallies: number
  /** Votes whose `created` is not the one that was first seen. */
  readonly movedTimes: number
}

export const allIsWell = { missing: 0, foreign: 0, changed: 0, wrongTallies: 0, movedTimes: 0 }

/** What a data directory holds that nobody owns any more. */
export function readFile(file: string): Stored {
  const database = new DatabaseSync(file, { readOnly: true })
  const votes = database
    .prepare(
      `SELECT key AS id, value ->> 'topic_id' AS topic, value ->> 'choice_id' AS choice, value ->> 'created' AS created
       FROM records WHERE partition = 'v'`,
    )
    .all() as unknown as Stored['votes']
  const counts = database
    .prepare(
      `SELECT substr(partition, 7) AS topic, counted.key AS choice, counted.value AS votes
       FROM records, json_each(records.value, '$.counts') AS counted WHERE partition LIKE 'tally/%'`,
    )
    .all() as unknown as Stored['counts']
  const byTime = database
    .prepare(`SELECT count(*) AS n FROM records WHERE partition LIKE 'v/t/%'`)
    .get() as unknown as { readonly n: number }
  database.close()
  if (byTime.n !== votes.length) throw new Error(`${votes.length} votes, but ${byTime.n} of them by time`)
  return { votes, counts }
}

/** What the tables hold. */
export async function readTables(client: DynamoDBClient, TableName: string): Promise<Stored> {
  const items: Record<string, AttributeValue>[] = []
  let from: Record<string, AttributeValue> | undefined
  do {
    const page = await client.send(
      new ScanCommand({ TableName, ConsistentRead: true, ExclusiveStartKey: from }),
    )
    items.push(...(page.Items ?? []))
    from = page.LastEvaluatedKey
  } while (from !== undefined)
  const text = (item: Record<string, AttributeValue>, name: string): string => item[name]?.S ?? ''
  const isShard = (item: Record<string, AttributeValue>): boolean => text(item, 'id').startsWith('tally#')
  return {
    votes: items
      .filter((item) => !isShard(item))
      .map((item) => ({
        id: text(item, 'id'),
        topic: text(item, 'topic_id'),
        choice: text(item, 'choice_id'),
        created: text(item, 'created'),
      })),
    counts: items.filter(isShard).flatMap((item) =>
      Object.entries(item['counts']?.M ?? {}).map(([choice, { N }]) => ({
        topic: text(item, 'id').split('#')[1] ?? '',
        choice,
        votes: Number(N),
      })),
    ),
  }
}

export function judge({ votes, counts }: Stored, crowd: Crowd): Finding {
  const cast = new Map(crowd.votes.map((vote) => [vote.id, vote]))
  const stored = new Map(votes.map((vote) => [vote.id, vote]))
  const tally = new Map<string, number>()
  for (const { topic, choice, votes } of counts) {
    tally.set(`${topic}/${choice}`, (tally.get(`${topic}/${choice}`) ?? 0) + votes)
  }
  const names = new Set([...tally.keys(), ...crowd.expected.keys()])
  return {
    stored: votes.length,
    missing: crowd.votes.filter(({ id }) => !stored.has(id)).length,
    foreign: votes.filter(({ id }) => !cast.has(id)).length,
    changed: votes.filter(({ id, topic, choice }) => {
      const vote = cast.get(id)
      return vote?.topic_id !== topic || vote.choice_id !== choice
    }).length,
    wrongTallies: [...names].filter((name) => (tally.get(name) ?? 0) !== (crowd.expected.get(name) ?? 0))
      .length,
    movedTimes:
      crowd.moved.length +
      [...crowd.seen].filter(([id, created]) => stored.get(id)?.created !== created).length,
  }
}
