import { afterEach, describe, expect, it } from 'vitest'
import {
  collection,
  database,
  documentsOf,
  storeOnFake,
  type StoreOnFake,
} from '../../../test/support/engines/firestore-fake/store.ts'
import type { Message } from '../../../test/support/engines/firestore-fake/protocol.ts'
import { decimalKey, type Change, type Json, type Key } from '../../ports/store.ts'
import { formatVersion, parseVersion } from './documents.ts'

const at = (n: number, partition = 'deploy/prod'): Key => [partition, decimalKey(n)]
const put = (key: Key, value: Json, expiresAt?: number): Change => ({
  key,
  expect: 'absent',
  op: 'put',
  value,
  ...(expiresAt === undefined ? {} : { expiresAt }),
})

let on: StoreOnFake
afterEach(() => on.close())

describe('a record as a document', () => {
  it('has the name and the fields of an entry of dynamo-q', async () => {
    on = await storeOnFake()
    await on.store.commit([put(at(1_700_000_000), { a: 1 })])
    expect(await documentsOf(on)).toMatchObject({
      'ZGVwbG95L3Byb2Q-1700000000': {
        queueName: { stringValue: 'deploy/prod' },
        entryTimestamp: { integerValue: '1700000000' },
        value: { stringValue: '{"a":1}' },
      },
    })
    const [fields] = Object.values(await documentsOf(on))
    expect(Object.keys(fields).sort()).toEqual(['entryTimestamp', 'nonce', 'queueName', 'value'])
  })

  it('that expires tells it in three ways, for us, a TTL policy and clients of dynamo-q', async () => {
    on = await storeOnFake()
    await on.store.commit([put(at(1), 0, 1_800_000_000_001.5)])
    const [fields] = Object.values(await documentsOf(on))
    expect(fields).toMatchObject({
      expiresAt: { doubleValue: 1_800_000_000_001.5 },
      expireAt: { timestampValue: { seconds: '1800000000', nanos: 1_500_000 } },
      lastUpdated: { integerValue: '1800000001' },
    })
  })

  it('that expires beyond all calendars still does', async () => {
    on = await storeOnFake()
    await on.store.commit([put(at(1), 'for ever', 1e300), put(at(2), 'never was', -1e300)])
    expect([(await on.store.get(at(1)))?.value, await on.store.get(at(2))]).toEqual(['for ever', undefined])
  })

  it('with an ascii key has it as text, and a name of its own', async () => {
    on = await storeOnFake({ keys: 'ascii' })
    await on.store.commit([put(['a', 'b/c'], 1), put(['a.b', 'c'], 2)])
    expect(await documentsOf(on)).toMatchObject({
      'YQ.Yi9j': { entryTimestamp: { stringValue: 'b/c' } },
      'YS5i.Yw': { entryTimestamp: { stringValue: 'c' } },
    })
  })
})

describe('a document of somebody else', () => {
  const foreign = (n: number, id?: string): Message => ({
    update: {
      name: `${collection}/${id ?? `${Buffer.from('build').toString('base64url')}-${n}`}`,
      fields: {
        queueName: { stringValue: 'build' },
        entryTimestamp: { integerValue: String(n) },
        clientId: { stringValue: 'org/repo-17' },
        lastUpdated: { integerValue: '12' },
      },
    },
  })

  it('is a record: its value is its other fields, and no `lastUpdated` makes it expire', async () => {
    on = await storeOnFake()
    const { writeResults } = await on.client.commit({ database, writes: [foreign(7)] })
    const record = {
      key: at(7, 'build'),
      version: formatVersion(writeResults[0].updateTime, undefined),
      value: { clientId: 'org/repo-17', lastUpdated: 12 },
    }
    expect(await on.store.get(at(7, 'build'))).toEqual(record)
    expect(await on.store.list({ partition: 'build' }, { limit: 10 })).toEqual({ records: [record] })
  })

  it('can be expected, replaced and deleted like any other', async () => {
    on = await storeOnFake()
    await on.client.commit({ database, writes: [foreign(7), foreign(8)] })
    const key = at(7, 'build')
    expect((await on.store.commit([put(key, 'mine')])).ok).toBe(false)
    const version = (await on.store.get(key))!.version
    expect((await on.store.commit([{ key, expect: { version }, op: 'put', value: 'mine' }])).ok).toBe(true)
    expect((await on.store.get(key))?.value).toBe('mine')
    const eight = at(8, 'build')
    expect((await on.store.commit([{ key: eight, expect: 'present', op: 'delete' }])).ok).toBe(true)
    expect(await on.store.get(eight)).toBeUndefined()
  })

  it('beside ours at the same key does not double the record; one at no key of ours is passed over', async () => {
    on = await storeOnFake()
    const half = foreign(3, 'half')
    half.update.fields.entryTimestamp = { doubleValue: 2.5 }
    const below = foreign(3, 'below')
    below.update.fields.entryTimestamp = { integerValue: '-1' }
    const text = foreign(3, 'text')
    text.update.fields.entryTimestamp = { stringValue: '3' }
    const writes = [foreign(7, 'zz'), foreign(7, 'AA'), half, below, text, foreign(9, 'other-name')]
    await on.client.commit({ database, writes })
    await on.store.commit([put(at(7, 'build'), 'mine')])
    for (const reverse of [false, true]) {
      const { records } = await on.store.list({ partition: 'build' }, { limit: 10, reverse })
      const seen = records.map(({ key, value }) => [key[1], value === 'mine'])
      const wanted = [
        [decimalKey(7), true],
        [decimalKey(9), false],
      ]
      expect(seen).toEqual(reverse ? wanted.reverse() : wanted)
    }
    await on.store.deleteRange({ partition: 'build' })
    expect(Object.keys(await documentsOf(on)).sort()).toEqual(['below', 'text'])
  })
})

describe('a version', () => {
  it('carries the expiry of its record', () => {
    const time = { seconds: '1700000000', nanos: 123_456_000 }
    for (const expiresAt of [undefined, 0, 1_800_000_000_001.5, 1e300, -5]) {
      expect(parseVersion(formatVersion(time, expiresAt))).toEqual({ updateTime: time, expiresAt })
    }
  })

  it.each(['', 'no such version', '12', '1.5', '1700000000.123456789', '1700000000.123456000xsoon'])(
    'is none of ours as %s',
    (version) => {
      expect(parseVersion(version)).toBeUndefined()
    },
  )
})
