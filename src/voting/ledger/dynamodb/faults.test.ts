/** What no engine does on demand: lost answers, conflicts, throttling, keys left out. Each request gets the next answer of a script. */
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../kernel/id.ts'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import type { Fold, VoteLedger } from '../../ledger.ts'
import { openDynamodbLedger } from './index.ts'

type Answer = readonly [status: number, body: object] | Error

interface Faulty {
  readonly ledger: VoteLedger
  readonly clock: ManualClock
  /** Operations that came in, in order. */
  readonly seen: string[]
}

/** The last answer is given for ever. */
async function answering(...script: readonly Answer[]): Promise<Faulty> {
  const clock = new ManualClock()
  const seen: string[] = []
  const handle = async ({ headers }: { readonly headers: Record<string, string> }): Promise<object> => {
    const answer = script[Math.min(seen.length, script.length - 1)] ?? [200, {}]
    seen.push(headers['x-amz-target']?.split('.')[1] ?? '')
    if (answer instanceof Error) throw answer
    const [statusCode, body] = answer
    return { response: { statusCode, headers: {}, body: Readable.from([Buffer.from(JSON.stringify(body))]) } }
  }
  const ledger = await openDynamodbLedger({
    clock,
    random: seededRandom(1),
    region: 'eu-west-1',
    credentials: { accessKeyId: 'AKIATEST', secretAccessKey: 'test' },
    requestHandler: { handle } as object,
  })
  return { ledger, clock, seen }
}

function fails(name: string, more: object = {}, status = 400): Answer {
  return [status, { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message: name, ...more }]
}

function cancelled(...codes: string[]): Answer {
  return fails('TransactionCanceledException', { CancellationReasons: codes.map((Code) => ({ Code })) })
}

const lost = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' })
const vote = (id: string): Fold['votes'][number] => ({ id, topic_id: 't', choice_id: 'c', created: '2026-01-01T00:00:00.000000' }) // prettier-ignore
const shard = { topic_id: 't', shard: '0', fold: 1, counts: { c: 2 }, version: undefined }
const fold: Fold = { votes: [vote('a'), vote('b')], shards: [shard] }

describe('a fold', () => {
  it.each([
    ['a lost answer', lost],
    ['a server error', fails('InternalServerError', {}, 500)],
    ['an earlier request at work', fails('TransactionInProgressException')],
  ])('is unknown after %s, and not repeated', async (_, answer) => {
    const { ledger, seen } = await answering(answer)
    await expect(ledger.commit(fold)).rejects.toMatchObject({ code: 'outcome_unknown' })
    expect(seen).toEqual(['TransactWriteItems'])
  })

  it.each([
    ['throttled', fails('ProvisionedThroughputExceededException'), 'throttled'],
    ['throttled by its index', cancelled('ConditionalCheckFailed', 'None', 'ThrottlingError'), 'throttled'],
    ['without a table', fails('ResourceNotFoundException'), 'not_found'],
    ['not allowed', fails('AccessDeniedException'), 'permission_denied'],
    [
      'without connection',
      Object.assign(new Error('refused'), { code: 'ECONNREFUSED', syscall: 'connect' }),
      'unavailable',
    ],
  ])('is not applied when it is %s', async (_, answer, code) => {
    const { ledger } = await answering(answer)
    await expect(ledger.commit(fold)).rejects.toMatchObject({ code })
  })

  it('says which vote was there and which shard was not as read', async () => {
    const { ledger } = await answering(cancelled('ConditionalCheckFailed', 'None', 'ConditionalCheckFailed'))
    expect(await ledger.commit(fold)).toEqual({ ok: false, votes: ['b'], shards: ['t'] })
  })

  it.each([
    ['a conflict', cancelled('TransactionConflict', 'None', 'None')],
    ['a conflict beside a condition', cancelled('ConditionalCheckFailed', 'TransactionConflict', 'None')],
    ['reasons that are missing', fails('TransactionCanceledException')],
    ['a conflict with another request', fails('TransactionConflictException')],
  ])('knows nothing after %s', async (_, answer) => {
    const { ledger } = await answering(answer)
    expect(await ledger.commit(fold)).toEqual({ ok: false, votes: 'unknown' })
  })
})

describe('reads', () => {
  it('are repeated after what may pass, and then give up', async () => {
    const { ledger, clock, seen } = await answering(lost, fails('ThrottlingException'), [200, {}])
    const reading = ledger.getTopic('t')
    await clock.advance(5_000)
    expect(await reading).toBeUndefined()
    expect(seen.length).toBe(3)
    const never = await answering(lost)
    const failing = expect(never.ledger.getTopic('t')).rejects.toMatchObject({ code: 'unavailable' })
    await never.clock.advance(10_000)
    await failing
  })

  it('ask again for keys that were left out', async () => {
    const item = (id: string) => ({
      id: { S: id },
      topic_id: { S: 't' },
      choice_id: { S: 'c' },
      created: { S: 'x' },
    })
    const { ledger, clock } = await answering(
      [
        200,
        { Responses: { votes: [item('a')] }, UnprocessedKeys: { votes: { Keys: [{ id: { S: 'b' } }] } } },
      ],
      [200, { Responses: { votes: [item('b')] } }],
    )
    const reading = ledger.getVotes(['a', 'b'])
    await clock.advance(5_000)
    expect([...(await reading).keys()]).toEqual(['a', 'b'])
  })

  it.each([
    'The provided starting key is outside query boundaries based on provided conditions',
    'Exclusive Start Key must have same size as table key schema',
  ])('say that a cursor is of another list: %s', async (message) => {
    const { ledger } = await answering(fails('ValidationException', { message }))
    await expect(ledger.listVotes('t', { limit: 5 })).rejects.toMatchObject({ code: 'invalid_argument' })
  })

  it('send no cursor that cannot be of their list', async () => {
    const { ledger, seen } = await answering([200, {}])
    const cursor = (key: object): string => Buffer.from(JSON.stringify(key)).toString('base64url')
    for (const key of [{ id: 'x', more: 'y' }, { id: '' }, { no: 'x' }])
      await expect(ledger.listTopics({ limit: 5, after: cursor(key) })).rejects.toMatchObject({
        code: 'invalid_argument',
      })
    const ofTopics = ledger.listVotes('t', { limit: 5, after: cursor({ id: 'x' }) })
    await expect(ofTopics).rejects.toMatchObject({ code: 'invalid_argument' })
    expect(seen).toEqual([])
  })

  it('give up on keys that are always left out', async () => {
    const { ledger, clock } = await answering([
      200,
      { UnprocessedKeys: { votes: { Keys: [{ id: { S: 'a' } }] } } },
    ])
    const reading = expect(ledger.getVotes(['a'])).rejects.toMatchObject({ code: 'throttled' })
    await clock.advance(60_000)
    await reading
  })
})

describe('a topic', () => {
  const topic = {
    id: 't',
    created: '1',
    last_upd: '2',
    is_active: true,
    title: 'T',
    choices: [],
    retired: [],
  }
  const stored = (last_upd: string): Answer => [200, { Item: { id: { S: 't' }, created: { S: '1' }, last_upd: { S: last_upd }, title: { S: 'T' } } }] // prettier-ignore

  it('whose write got no answer is read', async () => {
    expect(await (await answering(lost, stored('2'))).ledger.replaceTopic(topic, '1')).toBe(true)
    expect(await (await answering(lost, stored('9'))).ledger.replaceTopic(topic, '1')).toBe(false)
    const undecided = await answering(lost, stored('1'))
    await expect(undecided.ledger.replaceTopic(topic, '1')).rejects.toMatchObject({ code: 'outcome_unknown' })
    expect(await (await answering(lost, stored('2'))).ledger.createTopic(topic)).toBe(true)
  })
})
