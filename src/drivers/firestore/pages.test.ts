import { afterEach, describe, expect, it } from 'vitest'
import { code } from '../../../test/support/engines/firestore-fake/protocol.ts'
import { storeOnFake, type StoreOnFake } from '../../../test/support/engines/firestore-fake/store.ts'
import { decimalKey, PAGE_BYTES, type Change, type Json } from '../../ports/store.ts'

let on: StoreOnFake
afterEach(() => on.close())

const put = (n: number, value: Json = n, expiresAt?: number): Change => ({
  key: ['q', decimalKey(n)],
  expect: 'absent',
  op: 'put',
  value,
  ...(expiresAt === undefined ? {} : { expiresAt }),
})
const values = async (limit: number, reverse = false): Promise<Json[]> =>
  (await on.store.list({ partition: 'q' }, { limit, reverse })).records.map(({ value }) => value)

const bothWays = [
  {
    collection: 'queues',
    fields: [
      { path: 'queueName', order: 'ASCENDING' as const },
      { path: 'entryTimestamp', order: 'ASCENDING' as const },
    ],
  },
  {
    collection: 'queues',
    fields: [
      { path: 'queueName', order: 'ASCENDING' as const },
      { path: 'entryTimestamp', order: 'DESCENDING' as const },
    ],
  },
]

describe('a reverse page', () => {
  it('is the tail of a scan where there is no descending index, which is asked for only once', async () => {
    on = await storeOnFake()
    await on.store.commit([1, 2, 3, 4, 5].map((n) => put(n)))
    on.calls()
    expect(await values(2, true)).toEqual([5, 4])
    expect(on.calls()).toEqual(['RunQuery', 'RunQuery'])
    expect(await values(2, true)).toEqual([5, 4])
    expect(on.calls()).toEqual(['RunQuery'])
  })

  it('is one short query where there is one', async () => {
    on = await storeOnFake({}, { indexes: bothWays })
    await on.store.commit([1, 2, 3, 4, 5].map((n) => put(n)))
    on.calls()
    expect(await values(2, true)).toEqual([5, 4])
    expect(on.calls()).toEqual(['RunQuery'])
  })

  it.each([
    ['a scan', undefined],
    ['the index', bothWays],
  ])('is bounded in bytes by %s too', async (_, indexes) => {
    on = await storeOnFake({}, indexes === undefined ? {} : { indexes })
    const value = 'x'.repeat(290_000)
    for (let n = 0; n < 40; n += 10) {
      await on.store.commit(Array.from({ length: 10 }, (_, i) => put(n + i, value)))
    }
    const wanted = Math.ceil(PAGE_BYTES / (value.length + 2))
    const first = await on.store.list({ partition: 'q' }, { limit: 1_000, reverse: true })
    expect(first.records.map(({ key }) => Number(key[1]))).toEqual(
      Array.from({ length: wanted }, (_, i) => 39 - i),
    )
    expect(first.next).toBe(decimalKey(40 - wanted))
  })
})

describe('a page', () => {
  it('with many expired records in its way is full all the same, and of one moment', async () => {
    on = await storeOnFake()
    const soon = on.store.now().ms + 1_000
    for (let n = 0; n < 500; n += 100) {
      await on.store.commit(Array.from({ length: 100 }, (_, i) => put(n + i, 'old', soon)))
    }
    await on.store.commit([put(600, 'a'), put(601, 'b')])
    await on.clock.advance(1_000)
    on.calls()
    const hold = on.fake.faults.hold('RunQuery', 'after')
    const page = on.store.list({ partition: 'q' }, { limit: 2 })
    await hold.reached
    // Moves `b` to where the first query has been already.
    const other = await on.another()
    await other.commit([
      { key: ['q', decimalKey(601)], expect: 'present', op: 'delete' },
      { key: ['q', decimalKey(0)], expect: 'absent', op: 'put', value: 'b' },
    ])
    hold.release()
    expect((await page).records.map(({ value }) => value)).toEqual(['a', 'b'])
    expect(on.calls().length).toBeGreaterThan(1)
    expect(await values(2)).toEqual(['b', 'a'])
  })

  it('of nothing but expired records is empty, with nothing to follow', async () => {
    on = await storeOnFake()
    const past = on.store.now().ms - 1
    await on.store.commit(Array.from({ length: 30 }, (_, n) => put(n, 'old', past)))
    for (const reverse of [false, true]) {
      expect(await on.store.list({ partition: 'q' }, { limit: 3, reverse })).toEqual({ records: [] })
    }
  })

  it('asks nobody for a range that can hold nothing', async () => {
    on = await storeOnFake()
    const [two, four] = [decimalKey(2), decimalKey(4)]
    await on.store.list({ partition: 'q', from: four, to: two }, { limit: 1 })
    await on.store.list({ partition: 'q', to: four }, { limit: 1, after: four })
    await on.store.list({ partition: 'q', from: two }, { limit: 1, after: two, reverse: true })
    expect(on.calls()).toEqual([])
  })
})

describe('deleteRange', () => {
  it('goes on after contention, and gives up as throttled', async () => {
    on = await storeOnFake()
    await on.store.commit([put(1)])
    on.fake.faults.fail('Commit', { code: code.ABORTED, times: 6 })
    await expect(on.settled(on.store.deleteRange({ partition: 'q' }))).rejects.toMatchObject({
      code: 'throttled',
    })
    expect(await values(1)).toEqual([1])
    on.fake.faults.fail('Commit', { code: code.ABORTED, times: 3 })
    await on.settled(on.store.deleteRange({ partition: 'q' }))
    expect(await values(1)).toEqual([])
  })

  it('stops between batches when the store closes', async () => {
    on = await storeOnFake()
    for (let n = 0; n < 400; n += 100) {
      await on.store.commit(Array.from({ length: 100 }, (_, i) => put(n + i)))
    }
    const hold = on.fake.faults.hold('Commit', 'before')
    const deleted = on.store.deleteRange({ partition: 'q' })
    await hold.reached
    const refused = expect(deleted).rejects.toMatchObject({ code: 'unavailable' })
    const closed = on.store.close()
    hold.release()
    await refused
    await closed
    const other = await on.another()
    expect((await other.list({ partition: 'q' }, { limit: 1_000 })).records).toHaveLength(100)
  })
})
