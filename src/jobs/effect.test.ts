import { describe, expect, it } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { decimalKey, type Change, type Store } from '../ports/store.ts'
import { JobEffect } from './effect.ts'

const clock = new ManualClock()
const add = (n: number): Change => ({ key: ['count', decimalKey(n)], expect: 'absent', op: 'put', value: n })

/** A job whose effect is one record more. */
function counting(store: Store) {
  let serial = 0
  const once = (id: string) => new JobEffect('vote', id, clock).once(store, [add((serial += 1))])
  const count = async (): Promise<number> =>
    (await store.list({ partition: 'count' }, { limit: 100 })).records.length
  return { once, count }
}

describe('an effect', () => {
  it('is there once for each job, however often and beside itself it is tried', async () => {
    const { once, count } = counting(memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock }))
    const results = await Promise.all([once('a'), once('a'), once('b')])
    results.push(await once('a'))
    expect(results.map(({ status }) => status)).toEqual(['done', 'already_done', 'done', 'already_done'])
    expect(await count()).toBe(2)
  })

  it('is there once although the answer was lost, before or after it was applied', async () => {
    const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
    const { once, count } = counting(store)
    store.faults.next('commit', 'lostAfter', 'lostBefore')
    expect(await once('a')).toEqual({ status: 'done' })
    await expect(once('b')).rejects.toMatchObject({ code: 'outcome_unknown' })
    expect(await once('b')).toEqual({ status: 'done' })
    expect(await once('b')).toEqual({ status: 'already_done' })
    expect(await count()).toBe(2)
  })

  it('says when an expectation of its own did not hold, and leaves nothing', async () => {
    const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
    const effect = new JobEffect('vote', 'a', clock)
    await store.commit([add(1)])
    expect(await effect.once(store, [add(1)])).toEqual({
      status: 'conflict',
      failed: [['count', decimalKey(1)]],
    })
    expect(await effect.once(store, [add(2)])).toEqual({ status: 'done' })
  })

  it('is remembered longer than a message lives', async () => {
    const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
    const { once } = counting(store)
    await once('a')
    clock.jump(14 * 86_400_000)
    expect(await once('a')).toEqual({ status: 'already_done' })
    clock.jump(2 * 86_400_000)
    expect(await once('a')).toEqual({ status: 'done' })
  })
})
