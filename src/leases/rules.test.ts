import { describe, expect, it } from 'vitest'
import { world, type Seat, type World } from './testing/world.ts'

/** a(1), b(2) and c(3) are known, and c holds. */
async function held(changes: Parameters<typeof world>[0] = {}): Promise<World & Seat> {
  const made = world(changes)
  const seat = made.open()
  expect(await seat.acquire('a', 1)).toBe('pending')
  expect(await seat.acquire('b', 2)).toBe('pending')
  expect(await seat.acquire('c', 3)).toBe('acquired 1')
  return { ...made, ...seat }
}

describe('a lease', () => {
  it('is the same grant for a holder that asks again', async () => {
    const { acquire } = await held()
    expect(await acquire('c', 3)).toBe('acquired 1')
  })

  it('that becomes shorter leaves a holder what it was promised before', async () => {
    const { acquire, clock } = await renewed()
    await clock.advance(100_000)
    await acquire('a', 1)
    expect(await acquire('x', 2, { leaseMs: 40_000 })).toBe('acquired 1')
    for (let i = 0; i < 19; i++) {
      await clock.advance(10_000)
      expect(await acquire('a', 1)).toBe('pending')
    }
    await clock.advance(10_000)
    expect(await acquire('a', 1)).toBe('acquired 2')
  })

  it('ends after max_lease_seconds; its holder is then like anybody else', async () => {
    const { acquire, release, clock } = await held({ ttlMs: 7_200_000 })
    await clock.advance(3_600_000 - 1)
    expect(await acquire('b', 2)).toBe('pending')
    await clock.advance(1)
    expect(await release('c')).toBe('not_acquired')
    expect(await acquire('c', 3)).toBe('acquired')
    expect(await acquire('b', 2)).toBe('acquired 2')
    expect(await release('c')).toBe('not_holder')
  })

  it('is renewed by asking again, for a client that says how long', async () => {
    const { acquire, clock } = await renewing()
    await clock.advance(25_000)
    expect(await acquire('x', 1, { leaseMs: 30_000 })).toBe('acquired 1')
    await clock.advance(29_999)
    expect(await acquire('y', 2)).toBe('acquired')
    await clock.advance(1)
    expect(await acquire('y', 2)).toBe('acquired 2')
  })

  it('is not given for a while after its holder was taken for dead, if so wished', async () => {
    const { acquire, clock } = await held({ ttlMs: 7_200_000, coolDownMs: 60_000 })
    await clock.advance(3_600_000)
    expect(await acquire('b', 2)).toBe('pending')
    await clock.advance(59_999)
    expect(await acquire('b', 2)).toBe('pending')
    await clock.advance(1)
    expect(await acquire('b', 2)).toBe('acquired 2')
  })
})

async function renewing(): Promise<World & Seat> {
  const made = world({ expectedCount: 1 })
  const seat = made.open()
  expect(await seat.acquire('x', 1, { leaseMs: 30_000 })).toBe('acquired 1')
  return { ...made, ...seat }
}

/** a(1) waits, x(2) holds and renews. */
async function renewed(): Promise<World & Seat> {
  const made = world({ expectedCount: 2, ttlMs: 30_000 })
  const seat = made.open()
  expect(await seat.acquire('a', 1)).toBe('pending')
  expect(await seat.acquire('x', 2, { leaseMs: 300_000 })).toBe('acquired 1')
  return { ...made, ...seat }
}

/** a(1) waits for the window; dead(2) was heard once. */
async function waiting(): Promise<World & Seat> {
  const made = world({ expectedCount: 9, ttlMs: 30_000, stabilizeMs: 20_000 })
  const seat = made.open()
  expect(await seat.acquire('dead', 2)).toBe('pending')
  expect(await seat.acquire('a', 1)).toBe('pending')
  return { ...made, ...seat }
}

describe('completed', () => {
  it('is not said to an equal whose priority falls while the other one holds', async () => {
    const { acquire, release } = await held()
    expect(await acquire('b', 3)).toBe('pending')
    expect(await acquire('b', 2)).toBe('pending')
    expect(await release('c', 3)).toBe('completed')
    expect(await acquire('a', 1)).toBe('completed')
    expect(await acquire('b', 2)).toBe('pending')
  })

  it('is said to a strictly lower priority only', async () => {
    const { acquire, release } = await held()
    await acquire('a', 3)
    await release('c', 3)
    expect(await acquire('a', 3)).toBe('pending')
    expect(await acquire('b', 2)).toBe('completed')
  })

  it('is not said to one whose priority falls only when the base has moved', async () => {
    const { acquire, release } = await held()
    await acquire('a', 5)
    await release('c', 3)
    expect(await acquire('a', 2)).toBe('pending')
    expect(await acquire('b', 2)).toBe('completed')
    expect(await acquire('a', 2)).toBe('pending')
  })

  it('is not said by a holder’s own higher priority', async () => {
    const { acquire, release } = await held()
    await acquire('b', 4)
    await release('c', 9)
    expect(await acquire('b', 4)).toBe('pending')
  })

  it('is said again for 24 hours, and to the holder too', async () => {
    const { acquire, release, clock } = await held()
    await release('c', 3)
    expect(await acquire('a', 1)).toBe('completed')
    expect(await acquire('b', 2)).toBe('completed')
    await clock.advance(86_399_999)
    for (const [sha, priority] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ] as const)
      expect(await acquire(sha, priority)).toBe('completed')
    await clock.advance(1)
    expect(await acquire('a', 1)).toBe('pending')
  })
})

describe('a waiter', () => {
  it('may withdraw', async () => {
    const { acquire, release } = await held()
    expect(await release('b', 2, false)).toBe('failure')
    expect(await release('b', 2, false)).toBe('failure')
    expect(await acquire('b', 2)).toBe('acquired')
    expect(await release('a', 1, true)).toBe('not_holder')
  })

  it('that was forgotten during a hold may return, and is told what became of it', async () => {
    const { acquire, release, clock } = await held()
    await clock.advance(40_001)
    expect(await acquire('b', 2)).toBe('pending')
    expect(await acquire('new', 9)).toBe('acquired')
    expect(await acquire('a', 1)).toBe('pending')
    await release('c', 3)
    expect(await acquire('a', 1)).toBe('completed')
  })

  it('is forgotten after more than its ttl, not at it', async () => {
    const { acquire, release, clock } = await held()
    await release('c', 3, false)
    await clock.advance(40_000)
    expect(await acquire('a', 1)).toBe('pending')
    await clock.advance(1)
    expect(await acquire('a', 1)).toBe('acquired 2')
  })
})

describe('a failed SHA that is run again', () => {
  it('is refused until the rest of its batch is settled', async () => {
    const { acquire, release } = await held()
    expect(await release('c', 3, false)).toBe('failure')
    expect(await acquire('c', 3)).toBe('acquired')
    expect(await acquire('b', 2)).toBe('acquired 2')
    await release('b', 2)
    expect(await acquire('c', 3)).toBe('acquired')
    expect(await acquire('a', 1)).toBe('completed')
    expect(await acquire('c', 3)).toBe('pending')
  })
})

describe('a release', () => {
  it('that is repeated hears its first answer, whatever it says', async () => {
    const { release } = await held()
    expect(await release('c', 3, true)).toBe('completed')
    expect(await release('c', 3, false)).toBe('completed')
  })
})

describe('a clock', () => {
  it('that is set forward leaves a holder what was left of its lease, also across a restart', async () => {
    const { acquire, clock, open } = await held({ ttlMs: 7_200_000 })
    await clock.advance(600_000)
    await acquire('b', 2)
    clock.jump(86_400_000)
    expect(await acquire('b', 2)).toBe('pending')
    const after = open()
    await clock.advance(3_000_000 - 1)
    expect(await after.acquire('b', 2)).toBe('pending')
    await clock.advance(1)
    expect(await after.acquire('b', 2)).toBe('acquired 2')
  })

  it('that is set forward, and back, and forward locks nobody out for longer than a lease', async () => {
    const { acquire, clock } = await held({ ttlMs: 7_200_000 })
    for (const ms of [86_400_000, -86_400_000, 86_400_000]) {
      await clock.advance(1_000)
      clock.jump(ms)
      expect(await acquire('b', 2)).toBe('pending')
    }
    await clock.advance(3_600_000)
    expect(await acquire('b', 2)).toBe('acquired 2')
  })

  it('that is set forward twice ends no lease that was renewed in between', async () => {
    const { acquire, clock } = await renewed()
    clock.jump(3_000)
    for (let i = 0; i < 20; i++) {
      await clock.advance(10_000)
      await acquire('a', 1)
      if (i % 10 === 9) expect(await acquire('x', 2, { leaseMs: 300_000 })).toBe('acquired 1')
    }
    clock.jump(3_600_000)
    for (let i = 0; i < 24; i++) {
      await clock.advance(10_000)
      expect(await acquire('a', 1)).toBe('pending')
    }
  })

  it('that flaps does not keep the silent alive', async () => {
    const { acquire, clock } = await waiting()
    for (let i = 0; i < 60; i++) {
      await clock.advance(10_000)
      clock.jump(i % 2 === 0 ? 2_500 : -2_500)
      if ((await acquire('a', 1)) === 'acquired 1') return
    }
    expect.unreachable('the dead one of higher priority was not forgotten')
  })

  it('that is set forward does not end a lease between two renewals', async () => {
    const { acquire, clock } = await renewing()
    await clock.advance(20_000)
    clock.jump(3_600_000)
    expect(await acquire('y', 2)).toBe('acquired')
    expect(await acquire('x', 1, { leaseMs: 30_000 })).toBe('acquired 1')
    await clock.advance(100_000)
    expect(await acquire('y', 2)).toBe('acquired 2')
  })

  it.each([3_600_000, -3_600_000])('that jumps by %d ms locks nobody out and in', async (ms) => {
    const { acquire, release, clock } = await held()
    clock.jump(ms)
    expect(await acquire('b', 2)).toBe('pending')
    expect(await acquire('c', 3)).toBe('acquired 1')
    await release('c', 3, false)
    await clock.advance(40_001)
    const fence = await acquire('new', 1).then(async (first) => {
      expect(first).toBe('pending')
      await clock.advance(30_000)
      await acquire('new', 1)
      await clock.advance(30_000)
      return acquire('new', 1)
    })
    expect(fence).toBe('acquired 2')
  })
})
