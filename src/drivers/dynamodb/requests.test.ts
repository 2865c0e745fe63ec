/** What goes over the wire: how many requests, when the engine's time is asked for, and what it then decides. */
import { describe, expect, it } from 'vitest'
import { decimalKey, PAGE_BYTES, type Change, type Key } from '../../ports/store.ts'
import { ENGINE_START, fakeEngine, ok } from './testing/fake-engine.ts'

const at = (n: number): Key => ['p', decimalKey(n)]
const put = (n: number, expiresAt?: number): Change => ({
  key: at(n),
  expect: 'absent',
  op: 'put',
  value: n,
  ...(expiresAt === undefined ? {} : { expiresAt }),
})
const MIDDLE = ENGINE_START + 500

describe('a call costs', () => {
  it.each([
    ['PutItem', [put(1)]],
    ['DeleteItem', [{ key: at(1), expect: 'present', op: 'delete' }]],
    ['GetItem', [{ key: at(1), expect: 'absent', op: 'check' }]],
    ['TransactWriteItems', [put(1), put(2)]],
    ['TransactWriteItems', Array.from({ length: 100 }, (_, i) => put(i))],
  ] as const)('one %s a commit', async (operation, changes) => {
    const seen: string[] = []
    const { store, operations } = await fakeEngine({ onRequest: (name) => seen.push(name) })
    await store.get(at(0))
    operations()
    await store.commit(changes)
    expect(operations()).toEqual([operation])
    expect(seen).toEqual(['GetItem', operation])
  })

  it('nothing to open and to close', async () => {
    const { store, operations } = await fakeEngine()
    await store.close()
    expect(operations()).toEqual([])
  })

  it('one Query a page, and none for a range that can hold nothing', async () => {
    const { store, operations } = await fakeEngine()
    await store.list({ partition: 'p' }, { limit: 10 })
    expect(operations()).toEqual(['Query'])
    const [from, to] = [decimalKey(3), decimalKey(5)]
    await store.list({ partition: 'p', from: to, to: from }, { limit: 10 })
    await store.list({ partition: 'p', from, to: from }, { limit: 10 })
    await store.list({ partition: 'p', to: decimalKey(0) }, { limit: 10 })
    await store.list({ partition: 'p', from, to }, { limit: 10, after: to })
    await store.list({ partition: 'p', from, to }, { limit: 10, after: from, reverse: true })
    await store.deleteRange({ partition: 'p', from: to, to: from })
    expect(operations()).toEqual([])
  })
})

describe('a request', () => {
  it('that reads is strongly consistent', async () => {
    const { store, requests } = await fakeEngine()
    await store.get(at(1))
    await store.list({ partition: 'p' }, { limit: 1 })
    await store.commit([{ key: at(1), expect: 'absent', op: 'check' }])
    await store.deleteRange({ partition: 'p' })
    expect(requests.map(({ body }) => body['ConsistentRead'])).toEqual([true, true, true, true])
  })

  it('that writes several has a token of its own, and every put a version of its own', async () => {
    const { store, requests } = await fakeEngine()
    for (let i = 0; i < 3; i++) await store.commit([put(1), put(2)])
    const tokens = requests.slice(1).map(({ body }) => body['ClientRequestToken'])
    expect(new Set(tokens).size).toBe(3)
    expect(tokens).not.toContain(undefined)
    const versions = JSON.stringify(requests).match(/"sbVersion":\{"S":"[^"]+"/g)
    expect(new Set(versions).size).toBe(6)
  })
})

describe('a call', () => {
  it('that lists ends with the record that makes the page full', async () => {
    const { store, answer } = await fakeEngine()
    const item = (n: number): object => ({
      queueName: { S: 'p' },
      entryTimestamp: { N: String(n) },
      sbVersion: { S: 'v' },
      sbValue: { S: `"${'x'.repeat(200_000 - 2)}"` },
    })
    answer(ok({ Items: Array.from({ length: 30 }, (_, n) => item(n)) }))
    const { records, next } = await store.list({ partition: 'p' }, { limit: 1_000 })
    expect(records).toHaveLength(Math.ceil(PAGE_BYTES / 200_000))
    expect(next).toBe(records.at(-1)?.key[1])
  })

  it('that commits is not changed by what the caller does to its objects meanwhile', async () => {
    const { store, requests } = await fakeEngine()
    const key: [string, string] = ['p', decimalKey(1)]
    const committed = store.commit([{ key, expect: 'present', op: 'delete' }])
    key[0] = 'q'
    await committed
    expect(requests.at(-1)?.body['Key']).toEqual({ queueName: { S: 'p' }, entryTimestamp: { N: '1' } })
  })

  it('that deletes a range stops when its signal aborts, and when the store closes', async () => {
    const items = Array.from({ length: 40 }, (_, n) => ({
      queueName: { S: 'p' },
      entryTimestamp: { N: String(n) },
    }))
    for (const how of ['abort', 'close'] as const) {
      const controller = new AbortController()
      const { store, answer, operations } = await fakeEngine()
      answer(ok({ Items: items }), (request) => {
        if (how === 'abort') controller.abort(new Error('enough'))
        else void store.close()
        return ok()(request)
      })
      const deleted = store.deleteRange({ partition: 'p' }, { signal: controller.signal })
      await expect(deleted).rejects.toThrow(how === 'abort' ? 'enough' : 'the store is closed')
      expect(operations()).toHaveLength(1 + 16)
    }
  })
})

describe('the engine’s time', () => {
  it('before any answer is this machine’s own, of which nothing is known', async () => {
    const { store, clock, operations } = await fakeEngine()
    expect(store.now()).toEqual({ ms: clock.now(), uncertaintyMs: 86_400_000 })
    expect(operations()).toEqual([])
  })

  it('is the middle of the second that an answer names, give or take half of it and a little', async () => {
    const { store, clock } = await fakeEngine()
    await store.get(at(1))
    expect(store.now()).toEqual({ ms: MIDDLE, uncertaintyMs: 550 })
    await clock.advance(10_000)
    expect(store.now()).toEqual({ ms: MIDDLE + 10_000, uncertaintyMs: 551 })
  })

  it('is less certain by half of the way there and back', async () => {
    const { store, clock, answer } = await fakeEngine()
    answer(async (request) => {
      await clock.advance(200)
      return ok()(request)
    })
    await store.get(at(1))
    expect(store.now()).toEqual({ ms: MIDDLE + 100, uncertaintyMs: 650 })
  })

  it('is learnt from refusals too', async () => {
    const { store, answer } = await fakeEngine()
    answer(() => ({ status: 400, body: '{"__type":"ResourceNotFoundException"}' }))
    await expect(store.get(at(1))).rejects.toMatchObject({ code: 'not_found' })
    expect(store.now().ms).toBe(MIDDLE)
  })

  it('is asked for once before the first commits, by reading', async () => {
    const { store, operations } = await fakeEngine()
    await Promise.all([store.commit([put(1)]), store.commit([put(2)]), store.commit([put(3), put(4)])])
    expect(operations()).toEqual(['GetItem', 'PutItem', 'PutItem', 'TransactWriteItems'])
    await store.commit([put(5)])
    expect(operations()).toEqual(['PutItem'])
  })

  it('decides in conditions by what has surely passed', async () => {
    const { store, clock, requests } = await fakeEngine()
    await store.get(at(0))
    await clock.advance(10_000)
    await store.get(at(0))
    for (const expected of ['absent', 'present', { version: 'v' }] as const) {
      await store.commit([{ key: at(1), expect: expected, op: 'delete' }])
      expect(requests.at(-1)?.body['ExpressionAttributeValues']).toMatchObject({
        ':now': { N: String(ENGINE_START + 10_000 - 50) },
      })
    }
  })

  it('hides a record once its time has surely passed, and not a moment before', async () => {
    const { store, clock, answer } = await fakeEngine()
    const item = {
      queueName: { S: 'p' },
      entryTimestamp: { N: '1' },
      sbVersion: { S: 'v' },
      sbValue: { S: '7' },
      sbExpiresAt: { N: String(ENGINE_START + 5_000) },
    }
    answer(ok({ Item: item, Items: [item] }))
    const read = async (): Promise<unknown[]> => {
      const page = await store.list({ partition: 'p' }, { limit: 1 })
      return [await store.get(at(1)), page.records[0]]
    }
    const record = { key: at(1), version: 'v', value: 7 }
    expect(await read()).toEqual([record, record])
    await clock.advance(5_049)
    expect(await read()).toEqual([record, record])
    await clock.advance(2)
    expect(await read()).toEqual([undefined, undefined])
  })
})

describe('a record as an item', () => {
  const written = async (change: Change): Promise<unknown> => {
    const { store, requests } = await fakeEngine()
    await store.commit([change])
    return requests.at(-1)?.body['Item']
  }
  const key = { queueName: { S: 'p' }, entryTimestamp: { N: '12' } }

  it('without expiry has no TTL attribute, by which the engine would delete it', async () => {
    expect(await written(put(12))).toEqual({
      ...key,
      sbVersion: { S: expect.any(String) },
      sbValue: { S: '12' },
    })
  })

  it('with expiry has its millisecond, and a TTL that comes no earlier', async () => {
    expect(await written(put(12, 1_700_000_000_001))).toMatchObject({
      sbExpiresAt: { N: '1700000000001' },
      lastUpdated: { N: '1700000001' },
    })
    expect(await written(put(12, 1_700_000_000_000))).toMatchObject({ lastUpdated: { N: '1700000000' } })
  })

  it.each([
    [0.25, '1', '1'],
    [-1e300, '0', '0'],
    [1e300, '8640000000000000', '8640000000000'],
  ])('takes %d as a time that the engine can hold', async (expiresAt, ms, seconds) => {
    expect(await written(put(12, expiresAt))).toMatchObject({
      sbExpiresAt: { N: ms },
      lastUpdated: { N: seconds },
    })
  })
})
