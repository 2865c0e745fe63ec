import { PutItemCommand } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sdkClient } from '../../../../test/support/engines/dynamodb.ts'
import { startVotingTables, type VotingTables } from '../../../../test/support/voting-tables.ts'
import type { VoteLedger } from '../../ledger.ts'
import { ledgerConformance } from '../../testing/ledger-suite.ts'

let tables: VotingTables
let ledger: VoteLedger
beforeAll(async () => {
  tables = await startVotingTables()
  ledger = await tables.open()
}, 120_000)
afterAll(async () => {
  await ledger.close()
  await tables.stop()
})

ledgerConformance('DynamoDB tables', () => ledger)

describe('DynamoDB tables', () => {
  it('hold what the reference wrote, which reads as it is', async () => {
    const client = sdkClient(tables.engine)
    const created = '2021-12-28T00:48:55.871230'
    const S = (text: string): { S: string } => ({ S: text })
    await client.send(
      new PutItemCommand({
        TableName: tables.names.votes,
        Item: { id: S('old-vote'), topic_id: S('old-topic'), choice_id: S('c'), created: S(created) },
      }),
    )
    await client.send(
      new PutItemCommand({
        TableName: tables.names.topics,
        Item: {
          id: S('old-topic'),
          created: S(created),
          last_upd: S(created),
          is_active: { BOOL: true },
          title: S('Old'),
          choices: { L: [{ M: { id: S('c'), description: S('Chef') } }] },
        },
      }),
    )
    client.destroy()
    const vote = { id: 'old-vote', topic_id: 'old-topic', choice_id: 'c', created }
    expect([...(await ledger.getVotes(['old-vote'])).values()]).toEqual([vote])
    expect((await ledger.listVotes('old-topic', { limit: 5 })).entries).toEqual([vote])
    expect(await ledger.getTopic('old-topic')).toEqual({
      id: 'old-topic',
      created,
      last_upd: created,
      is_active: true,
      title: 'Old',
      choices: [{ id: 'c', description: 'Chef' }],
      retired: [],
    })
  })

  it('refuse a cursor that they did not give', async () => {
    const cursor = (key: object): string => Buffer.from(JSON.stringify(key)).toString('base64url')
    const ofVotes = { id: 'v', topic_id: 'another', created: 'x' }
    for (const after of ['x', 'bnVsbA', ...[{ id: 1 }, { id: '' }, { to: 'x' }, ofVotes].map(cursor)]) {
      await expect(ledger.listTopics({ limit: 5, after })).rejects.toMatchObject({ code: 'invalid_argument' })
    }
    for (const after of [{ id: 'v' }, { ...ofVotes, id: '' }].map(cursor)) {
      await expect(ledger.listVotes('t', { limit: 5, after })).rejects.toMatchObject({
        code: 'invalid_argument',
      })
    }
  })
})
