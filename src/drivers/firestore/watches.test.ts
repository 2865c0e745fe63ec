import { afterEach, describe, expect, it } from 'vitest'
import { code } from '../../../test/support/engines/firestore-fake/protocol.ts'
import { storeOnFake, type StoreOnFake } from '../../../test/support/engines/firestore-fake/store.ts'
import { decimalKey, type Change, type Range, type Store } from '../../ports/store.ts'

let on: StoreOnFake
afterEach(() => on.close())

const GO_ON = { done: false, value: undefined }
const put = (n: number, expect: 'absent' | 'present' = 'absent'): Change => ({
  key: ['q', decimalKey(n)],
  expect,
  op: 'put',
  value: n,
})
const all: Range = { partition: 'q' }
const one: Range = { partition: 'q', from: decimalKey(1), to: decimalKey(2) }

/** A watch whose listener stands: its first hint, and the one of the engine's first answer, are taken. */
async function standing(store: Store, range: Range): Promise<AsyncIterator<void> & { stop: () => void }> {
  const controller = new AbortController()
  const iterator = store.watch!(range, controller.signal)[Symbol.asyncIterator]()
  expect(await iterator.next()).toEqual(GO_ON)
  expect(await iterator.next()).toEqual(GO_ON)
  return { next: () => iterator.next(), stop: () => controller.abort() }
}

describe('watches', () => {
  it('share one stream, which is there only while somebody watches', async () => {
    on = await storeOnFake()
    const watching = [await standing(on.store, all), await standing(on.store, one)]
    const same = on.store.watch!(all, new AbortController().signal)[Symbol.asyncIterator]()
    await same.next()
    expect(on.calls()).toEqual(['Listen'])
    for (const { stop } of watching) stop()
    await same.return?.()
    await standing(on.store, all)
    expect(on.calls()).toEqual(['Listen'])
  })

  it('of a single key need no index, and hear of it alone', async () => {
    on = await storeOnFake({}, { indexes: [] })
    const watching = await standing(on.store, one)
    let hints = 0
    const counted = watching.next().then(() => (hints += 1))
    await on.store.commit([put(2), put(0)])
    await on.clock.settle()
    expect(hints).toBe(0)
    await on.store.commit([put(1)])
    await counted
    expect(hints).toBe(1)
  })

  it('of a single ascii key hear of it alone', async () => {
    on = await storeOnFake({ keys: 'ascii' }, { indexes: [] })
    const watching = await standing(on.store, { partition: 'q', from: 'a', to: 'a ' })
    const hint = watching.next()
    await on.store.commit([{ key: ['q', 'a'], expect: 'absent', op: 'put', value: 1 }])
    expect(await hint).toEqual(GO_ON)
  })

  it.each([code.UNAVAILABLE, code.INTERNAL, code.CANCELLED, code.RESOURCE_EXHAUSTED, 16])(
    'hint again after their stream broke with code %i, whatever happened meanwhile',
    async (status) => {
      on = await storeOnFake()
      const [everything, single] = [await standing(on.store, all), await standing(on.store, one)]
      on.fake.faults.fail('Listen', { code: code.UNAVAILABLE, times: 3 })
      const hints = Promise.all([everything.next(), single.next()])
      on.fake.cutListeners(status)
      await on.store.commit([put(1)])
      expect(await on.settled(hints)).toEqual([GO_ON, GO_ON])
      const next = everything.next()
      await on.store.commit([put(5)])
      expect(await on.settled(next)).toEqual(GO_ON)
      expect(on.calls().filter((name) => name === 'Listen')).toHaveLength(5)
    },
  )

  it('hint of a change that came while they were being set up', async () => {
    on = await storeOnFake()
    const hold = on.fake.faults.hold('Listen', 'before')
    const controller = new AbortController()
    const iterator = on.store.watch!(all, controller.signal)[Symbol.asyncIterator]()
    expect(await iterator.next()).toEqual(GO_ON)
    await hold.reached
    await on.store.commit([put(1)])
    const hint = iterator.next()
    hold.release()
    expect(await hint).toEqual(GO_ON)
    controller.abort()
  })

  it('end with the error when the engine refuses them for good', async () => {
    on = await storeOnFake({}, { indexes: [] })
    const single = await standing(on.store, one)
    const iterator = on.store.watch!(all, new AbortController().signal)[Symbol.asyncIterator]()
    await iterator.next()
    await expect(iterator.next()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('composite index'),
    })
    expect((await iterator.next()).done).toBe(true)
    // Others go on.
    const hint = single.next()
    await on.store.commit([put(1)])
    expect(await hint).toEqual(GO_ON)
    const refused = expect(single.next()).rejects.toMatchObject({ code: 'permission_denied' })
    on.fake.cutListeners(code.PERMISSION_DENIED)
    await refused
  })
})
