import { describe, expect, it, vi } from 'vitest'
import { decimalKey, type Change, type CommitResult, type Key } from '../../ports/store.ts'
import {
  breaks,
  cancelled,
  ENGINE_START,
  fails,
  fakeEngine,
  hangs,
  ok,
  type FakeEngine,
  type Reaction,
} from './testing/fake-engine.ts'

const at = (n: number): Key => ['p', decimalKey(n)]
const put = (n: number): Change => ({ key: at(n), expect: 'absent', op: 'put', value: n })

/** An engine that has told its time, so that the next request is the one under test. */
async function warm(): Promise<FakeEngine> {
  const engine = await fakeEngine()
  await engine.store.get(at(0))
  engine.operations()
  return engine
}

/** Commits against one answer of the engine, which must be asked once. */
async function commit(changes: readonly Change[], reaction: Reaction): Promise<CommitResult> {
  const { store, answer, requests } = await warm()
  answer(reaction)
  try {
    return await store.commit(changes)
  } finally {
    expect(requests).toHaveLength(1)
  }
}

describe('a refused commit', () => {
  it('of one change names its key', async () => {
    const result = await commit([put(1)], fails('ConditionalCheckFailedException'))
    expect(result).toEqual({ ok: false, failed: [at(1)] })
  })

  it('of one change that met a transaction cannot tell', async () => {
    for (const name of ['TransactionConflictException', 'ReplicatedWriteConflictException']) {
      expect(await commit([put(1)], fails(name))).toEqual({ ok: false, failed: 'unknown' })
    }
  })

  it('of several names all keys that failed', async () => {
    const reaction = cancelled('ConditionalCheckFailed', 'None', 'ConditionalCheckFailed')
    const result = await commit([put(1), put(2), put(3)], reaction)
    expect(result).toEqual({ ok: false, failed: [at(1), at(3)] })
  })

  it.each([
    ['TransactionConflict', 'None'],
    ['TransactionConflict', 'ConditionalCheckFailed'],
    ['ThrottlingError', 'ConditionalCheckFailed'],
  ])('of several that also met something else cannot tell: %s, %s', async (...codes) => {
    expect(await commit([put(1), put(2)], cancelled(...codes))).toEqual({ ok: false, failed: 'unknown' })
  })

  it.each(['ThrottlingError', 'ProvisionedThroughputExceeded'])(
    'of several is throttled when nothing but %s is the reason',
    async (code) => {
      await expect(commit([put(1), put(2)], cancelled('None', code))).rejects.toMatchObject({
        code: 'throttled',
      })
    },
  )
})

/** What the network or the engine does, what it means for a write, and for a read that meets it again and again. */
const FAULTS: readonly (readonly [string, Reaction, write: string, read: string])[] = [
  ['an internal error', fails('InternalServerError', 'x', {}, 500), 'outcome_unknown', 'unavailable'],
  ['a gateway’s error', fails('ServiceUnavailable', 'x', {}, 503), 'outcome_unknown', 'unavailable'],
  ['a connection reset', breaks('ECONNRESET'), 'outcome_unknown', 'unavailable'],
  ['a broken pipe', breaks('EPIPE'), 'outcome_unknown', 'unavailable'],
  ['a refused connection', breaks('ECONNREFUSED'), 'unavailable', 'unavailable'],
  ['an unknown host', breaks('ENOTFOUND'), 'unavailable', 'unavailable'],
  ['a time-out while connecting', breaks('ETIMEDOUT', { syscall: 'connect' }), 'unavailable', 'unavailable'],
  ['a time-out while reading', breaks('ETIMEDOUT', { syscall: 'read' }), 'outcome_unknown', 'unavailable'],
  ['a transaction in progress', fails('TransactionInProgressException'), 'outcome_unknown', 'unavailable'],
  ['throttling', fails('ThrottlingException'), 'throttled', 'throttled'],
  ['the end of its capacity', fails('ProvisionedThroughputExceededException'), 'throttled', 'throttled'],
  ['the account’s limit', fails('RequestLimitExceeded'), 'throttled', 'throttled'],
]

describe('a fault', () => {
  it.each(FAULTS)('%s: a write goes out once and is what it is', async (_, reaction, code) => {
    await expect(commit([put(1)], reaction)).rejects.toMatchObject({ code })
    await expect(commit([put(1), put(2)], reaction)).rejects.toMatchObject({ code })
  })

  it.each(FAULTS)('%s: a read is repeated, then fails', async (_, reaction, _write, code) => {
    const { store, clock, answer, operations } = await warm()
    answer(reaction)
    const read = expect(store.get(at(1))).rejects.toMatchObject({ code })
    await clock.advance(10_000)
    await read
    expect(operations()).toEqual(['GetItem', 'GetItem', 'GetItem', 'GetItem'])
    expect(clock.pendingTimers).toBe(0)
  })

  it.each(FAULTS)('%s, once: a read succeeds', async (_, reaction) => {
    const { store, clock, answer } = await warm()
    answer(reaction, ok({ Items: [] }))
    const page = store.list({ partition: 'p' }, { limit: 10 })
    await clock.advance(1_000)
    expect(await page).toEqual({ records: [] })
  })

  it('that cuts an answer short leaves a write unknown', async () => {
    const reaction: Reaction = () => ({ status: 200, body: '{"Attributes": {' })
    await expect(commit([put(1)], reaction)).rejects.toMatchObject({ code: 'outcome_unknown' })
  })
})

describe('a request without an answer', () => {
  it('is given up at its deadline, and a write is unknown', async () => {
    const { store, clock, answer, requests } = await warm()
    answer(hangs)
    const refusal = { code: 'outcome_unknown', message: expect.stringContaining('no answer within 5000 ms') }
    const committed = expect(store.commit([put(1)])).rejects.toMatchObject(refusal)
    await clock.advance(4_999)
    expect(requests[0]?.signal.aborted).toBe(false)
    await clock.advance(1)
    await committed
    expect(requests[0]?.signal.aborted).toBe(true)
  })

  it('does not hold up the store: others go on, and closing waits for it', async () => {
    const { store, clock, answer } = await warm()
    answer(hangs, ok())
    const lost = store.commit([put(1)]).catch((error: unknown) => error)
    expect(await store.commit([put(2)])).toMatchObject({ ok: true })
    let closed = false
    const closing = store.close().then(() => (closed = true))
    await clock.settle()
    expect(closed).toBe(false)
    await clock.advance(5_000)
    await closing
    expect(await lost).toMatchObject({ code: 'outcome_unknown' })
  })

  it('counts from when it goes out: what queues for a connection has all its time', async () => {
    const { store, clock, answer, requests } = await warm()
    answer(hangs)
    const first = Array.from({ length: 64 }, (_, i) => store.get(at(i)).catch(() => undefined))
    await clock.settle()
    const late = store.commit([put(99)])
    await clock.settle()
    expect(requests).toHaveLength(64)
    answer(ok())
    await clock.advance(5_000)
    expect(await late).toMatchObject({ ok: true })
    await clock.advance(5_000)
    await Promise.all(first)
  })
})

const REFUSALS: readonly (readonly [string, Reaction, code: string, words: RegExp])[] = [
  [
    'an action that is not allowed',
    fails(
      'AccessDeniedException',
      'User: x is not authorized to perform: dynamodb:ConditionCheckItem on resource: y',
    ),
    'permission_denied',
    /'queue' in eu-west-1.*may not perform dynamodb:ConditionCheckItem; allow it/,
  ],
  [
    'an action that it does not name',
    fails('AccessDeniedException', 'no'),
    'permission_denied',
    /may not perform dynamodb:PutItem;/,
  ],
  [
    'a table that is missing',
    fails('ResourceNotFoundException'),
    'not_found',
    /'queue' in eu-west-1 does not exist/,
  ],
  ['expired credentials', fails('ExpiredTokenException', 'expired'), 'unauthenticated', /renew them/],
  ['unknown credentials', fails('UnrecognizedClientException'), 'unauthenticated', /renew them/],
  [
    'keys of another kind',
    fails('ValidationException', 'The provided key element does not match the schema'),
    'config_invalid',
    /has other keys than expected \(partition key 'queueName' of type S, sort key 'entryTimestamp' of type N\)/,
  ],
  ['an invalid call', fails('ValidationException', 'Item size too large'), 'internal', /refused PutItem/],
  ['a page of some proxy', () => ({ status: 403, body: '<html>' }), 'config_invalid', /is not DynamoDB/],
]

describe('a refusal', () => {
  it.each(REFUSALS)('for %s says what and what to do, on one line', async (_, reaction, code, words) => {
    const message = expect.stringMatching(words)
    await expect(commit([put(1)], reaction)).rejects.toMatchObject({ code, message })
    const failure = await commit([put(1)], reaction).catch((error: Error) => error)
    expect((failure as Error).message).not.toContain('\n')
  })

  it('of a transaction names the actions that its parts need', async () => {
    const said = 'User: x is not authorized to perform: dynamodb:TransactWriteItems'
    const needed = 'dynamodb:PutItem, dynamodb:DeleteItem, dynamodb:ConditionCheckItem;'
    const refusal = { code: 'permission_denied', message: expect.stringContaining(needed) }
    await expect(commit([put(1), put(2)], fails('AccessDeniedException', said))).rejects.toMatchObject(
      refusal,
    )
  })

  it('of a read is not repeated', async () => {
    const { store, answer, operations } = await warm()
    answer(fails('ResourceNotFoundException'))
    await expect(store.get(at(1))).rejects.toMatchObject({ code: 'not_found' })
    expect(operations()).toEqual(['GetItem'])
  })

  it('of a transaction as invalid says why', async () => {
    const reaction = fails('TransactionCanceledException', 'x', {
      CancellationReasons: [
        { Code: 'None' },
        { Code: 'ValidationError', Message: 'Type mismatch for key sk' },
      ],
    })
    const refusal = { code: 'config_invalid', message: expect.stringContaining('Type mismatch for key sk') }
    await expect(commit([put(1), put(2)], reaction)).rejects.toMatchObject(refusal)
  })
})

describe('a machine whose clock is wrong', () => {
  /** Judges the time of the signature as SigV4 does. */
  const judging =
    (accept: Reaction): Reaction =>
    (request) => {
      const signed = request.headers['x-amz-date'] ?? ''
      const iso = signed.replace(/(....)(..)(..)T(..)(..)(..)Z/, '$1-$2-$3T$4:$5:$6Z')
      const skewed = Math.abs(Date.parse(iso) - ENGINE_START) > 300_000
      return skewed
        ? fails('InvalidSignatureException', `Signature expired: ${signed}`)(request)
        : accept(request)
    }

  it.each([-10, 10, -60 * 24 * 400])('by %i minutes gets through all the same', async (minutes) => {
    const wrong = vi.spyOn(Date, 'now').mockReturnValue(ENGINE_START + minutes * 60_000)
    try {
      const write = await warm()
      write.answer(judging(ok()))
      expect(await write.store.commit([put(1)])).toMatchObject({ ok: true })
      const read = await fakeEngine()
      read.answer(judging(ok()))
      const found = read.store.get(at(1))
      await read.clock.advance(1_000)
      expect(await found).toBeUndefined()
      // What the store believes about the time is the engine's word, too.
      expect(Math.abs(read.store.now().ms - ENGINE_START)).toBeLessThan(3_000)
    } finally {
      wrong.mockRestore()
    }
  })

  it('learns by its first write, which then goes out twice', async () => {
    const { store, answer, operations } = await warm()
    const wrong = vi.spyOn(Date, 'now').mockReturnValue(ENGINE_START + 600_000)
    try {
      answer(judging(fails('ConditionalCheckFailedException')))
      expect(await store.commit([put(1)])).toEqual({ ok: false, failed: [at(1)] })
      expect(operations()).toEqual(['PutItem', 'PutItem'])
      answer(judging(ok()))
      expect(await store.commit([put(1), put(2)])).toMatchObject({ ok: true })
      expect(operations()).toEqual(['TransactWriteItems'])
    } finally {
      wrong.mockRestore()
    }
  })

  it('is told of it where the SDK cannot correct it', async () => {
    const { store, answer } = await warm()
    answer(fails('InvalidSignatureException', 'Signature expired'))
    const refusal = {
      code: 'unauthenticated',
      message: expect.stringContaining('check the clock of this machine'),
    }
    await expect(store.commit([put(1)])).rejects.toMatchObject(refusal)
  })
})
