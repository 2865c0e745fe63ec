import { describe, expect, it } from 'vitest'
import { provider, world, type Seat } from './testing/world.ts'

async function past({ leases }: Seat): Promise<string[]> {
  const { requests } = await leases.history(provider, { limit: 1_000 })
  return requests.map(
    ({ seq, sha, as, priority, fence }) => `${seq} ${sha}(${priority}) ${as} ${fence ?? '-'}`,
  )
}

describe('the history of a provider', () => {
  it('has one record of each end, whatever it was', async () => {
    const { open, clock } = world({ expectedCount: 2, maxLeaseMs: 30_000 })
    const seat = open()
    const { acquire, release } = seat
    await acquire('a', 1)
    await acquire('b', 2)
    await clock.advance(30_000)
    await acquire('a', 1)
    await release('a', 1, false)
    await acquire('c', 1)
    await release('c', 1, false)
    await acquire('d', 1)
    await clock.advance(40_001)
    await acquire('e', 1)
    expect(await past(seat)).toEqual([
      '4 d(1) evicted -',
      '3 c(1) withdrawn -',
      '2 b(2) expired 1',
      '1 a(1) failure 2',
    ])
  })

  it('holds the last priority, and none who is still known', async () => {
    const { open } = world({ expectedCount: 2 })
    const seat = open()
    await seat.acquire('a', 1)
    await seat.acquire('a', 5)
    await seat.acquire('b', 7)
    expect(await past(seat)).toEqual([])
    await seat.release('b', 7)
    expect(await past(seat)).toEqual(['2 b(7) success 1'])
    await seat.acquire('a', 6)
    expect(await past(seat)).toEqual(['2 b(7) success 1', '1 a(6) completed -'])
  })

  it('is not written by polls, and not doubled by a lost answer', async () => {
    const { open, clock } = world({ expectedCount: 1 })
    const seat = open()
    seat.store.faults.next('commit', 'lostAfter')
    await seat.acquire('a', 1)
    for (let i = 0; i < 5; i++) {
      await clock.advance(1_000)
      await seat.acquire('a', 1)
    }
    expect(await past(seat)).toEqual([])
    seat.store.faults.next('commit', 'lostAfter')
    await seat.release('a')
    seat.store.faults.next('commit', 'lostBefore')
    await seat.release('a')
    await seat.acquire('a', 1)
    expect(await past(seat)).toEqual(['1 a(1) success 1'])
  })

  it('keeps who held when more are cleared than one commit takes', async () => {
    const { open } = world({ expectedCount: 100 }, { changes: 25 })
    const seat = open()
    await Promise.all(Array.from({ length: 100 }, (_, i) => seat.acquire(`sha${i}`, i + 1)))
    expect(await seat.acquire('sha99', 100)).toBe('acquired 1')
    await seat.leases.clear(provider, { by: 'ann' })
    const kept = await past(seat)
    expect(kept[0]).toBe('100 sha99(100) cleared 1')
    expect(kept.length).toBeGreaterThan(10)
    expect(kept.length).toBeLessThan(25)
    expect(await seat.acquire('sha1', 2)).toBe('pending')
  })

  it('does not tell twice of a holder that succeeded and was cleared', async () => {
    const { open } = world({ expectedCount: 2 })
    const seat = open()
    await seat.acquire('a', 1)
    await seat.acquire('b', 2)
    await seat.release('b', 2)
    await seat.leases.clear(provider, { by: 'ann' })
    expect(await past(seat)).toEqual(['2 b(2) success 1', '1 a(1) cleared -'])
  })
})
