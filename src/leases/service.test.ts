import { describe, expect, it } from 'vitest'
import { readAudit } from '../server/auth/audit-log.ts'
import { provider, world, type Seat } from './testing/world.ts'

describe('several services on one store', () => {
  it('behave as one', async () => {
    const { open } = world()
    const [left, right] = [open({ shared: true }), open({ shared: true })]
    expect(await left.acquire('a', 1)).toBe('pending')
    expect(await right.acquire('b', 2)).toBe('pending')
    expect(await left.acquire('c', 3)).toBe('acquired 1')
    expect(await right.acquire('c', 3)).toBe('acquired 1')
    expect(await right.acquire('d', 4)).toBe('acquired')
    expect(await right.release('c', 3)).toBe('completed')
    expect(await left.release('c', 3)).toBe('completed')
    expect(await left.acquire('b', 2)).toBe('completed')
    expect(await right.acquire('b', 2)).toBe('completed')
  })

  it('grant one of many that ask both at once', async () => {
    const { open } = world({ expectedCount: 1 })
    const seats = [open({ shared: true }), open({ shared: true })]
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => (seats[i % 2] as Seat).acquire(`sha${i}`, 1)),
    )
    expect(answers.filter((answer) => answer.startsWith('acquired ')).length).toBe(1)
  })

  it('write a re-poll that changes nothing at most every quarter of the ttl', async () => {
    const { open, clock } = world({ expectedCount: 9 })
    const seat = open({ shared: true })
    await seat.acquire('a', 1)
    const before = seat.store.operations.commit
    for (let i = 0; i < 8; i++) {
      await clock.advance(5_000)
      await seat.acquire('a', 1)
    }
    expect(seat.store.operations.commit - before).toBe(4)
  })

  it('forget one that was heard elsewhere only after 1¼ ttl', async () => {
    const { open, clock } = world({ expectedCount: 9 })
    const [left, right] = [open({ shared: true }), open({ shared: true })]
    await left.acquire('a', 1)
    await clock.advance(9_999)
    await right.acquire('a', 1)
    await clock.advance(40_000)
    expect((await left.leases.show(provider)).known.length).toBe(1)
    await clock.advance(2)
    expect((await left.leases.show(provider)).known.length).toBe(0)
  })
})

describe('a store that fails', () => {
  it('refuses the call, and nothing has changed', async () => {
    const { open } = world({ expectedCount: 1 })
    const seat = open()
    seat.store.faults.next('commit', 'full')
    await expect(seat.acquire('a', 1)).rejects.toMatchObject({ code: 'unavailable' })
    expect((await seat.leases.show(provider)).known).toEqual([])
    expect(await seat.acquire('a', 1)).toBe('acquired 1')
    seat.store.faults.next('commit', 'unavailable')
    await expect(seat.release('a')).rejects.toMatchObject({ code: 'unavailable' })
    expect((await seat.leases.show(provider)).phase).toBe('held')
  })

  it('and loses its answer is asked what happened; a poll is not counted twice', async () => {
    const { open } = world({ expectedCount: 1, delayCount: 1 })
    const seat = open()
    seat.store.faults.next('commit', 'lostAfter')
    expect(await seat.acquire('a', 1)).toBe('pending')
    seat.store.faults.next('commit', 'lostAfter')
    expect(await seat.acquire('a', 1)).toBe('acquired 1')
    seat.store.faults.next('commit', 'lostBefore')
    expect(await seat.release('a')).toBe('completed')
    expect(seat.events.filter(({ kind }) => kind === 'granted').length).toBe(1)
  })

  it('lets people look all the same, with what time has done', async () => {
    const { open, clock } = world({ expectedCount: 9 })
    const seat = open()
    await seat.acquire('a', 1)
    await clock.advance(40_001)
    seat.store.faults.plan = { full: 1 }
    expect((await seat.leases.show(provider)).known).toEqual([])
  })

  it('for longer than a while makes nobody silent', async () => {
    const { open, clock } = world({ expectedCount: 9 })
    const seat = open()
    await seat.acquire('a', 1)
    await seat.acquire('b', 2)
    seat.store.faults.plan = { unavailable: 1 }
    for (let i = 0; i < 5; i++) {
      await clock.advance(10_000)
      await expect(seat.acquire('b', 2)).rejects.toMatchObject({ code: 'unavailable' })
    }
    seat.store.faults.plan = {}
    await seat.acquire('b', 2)
    expect((await seat.leases.show(provider)).known.map(({ sha }) => sha)).toEqual(['a', 'b'])
  })
})

describe('answers that are all lost once, and asked for again', () => {
  it('end in the same state', async () => {
    const script: ((seat: Seat) => Promise<string>)[] = [
      (s) => s.acquire('a', 1),
      (s) => s.acquire('b', 2),
      (s) => s.acquire('c', 3),
      (s) => s.acquire('b', 2),
      (s) => s.release('c', 3, false),
      (s) => s.acquire('c', 3),
      (s) => s.acquire('b', 2),
      (s) => s.release('b', 2, true),
      (s) => s.acquire('a', 1),
      (s) => s.acquire('d', 1),
      (s) => s.release('d', 1, false),
      (s) => s.acquire('e', 4),
    ]
    const [once, twice] = [world().open(), world().open()]
    for (const call of script) {
      const answer = await call(once)
      expect(await call(twice)).toBe(answer)
      expect(await call(twice)).toBe(answer)
    }
    expect(await twice.leases.show(provider)).toEqual(await once.leases.show(provider))
  })
})

describe('a clear', () => {
  it('is recorded, forgets everybody and goes on with the fences', async () => {
    const { open } = world({ expectedCount: 1 }, { keys: 'decimal' })
    const seat = open()
    await seat.acquire('a', 1)
    const view = await seat.leases.clear(provider, { by: 'ann' })
    expect([view.phase, view.known, view.lastFence]).toEqual(['open', [], 1])
    expect(await seat.release('a')).toBe('not_acquired')
    expect(await seat.acquire('b', 1)).toBe('acquired 2')
    const { entries } = await readAudit(seat.store)
    expect(entries).toMatchObject([{ actor: 'ann', action: 'leases.clear', target: 'acme/shop@main' }])
    const { records } = await seat.store.list({ partition: 'signalbox:l:acme:shop:main' }, { limit: 9 })
    expect(records.length).toBe(2)
  })
})

describe('a thousand requests', () => {
  it('that fall silent together are forgotten within the limits of a commit', async () => {
    const { open, clock } = world({ expectedCount: 5_000, ttlMs: 40_000 }, { changes: 25 })
    const seat = open()
    await Promise.all(Array.from({ length: 300 }, (_, i) => seat.acquire(`sha${i}`, i + 1)))
    expect(seat.leases.waiting()).toMatchObject([{ requests: 300 }])
    await clock.advance(30_000)
    await seat.acquire('sha7', 8)
    await clock.advance(20_000)
    expect(await seat.acquire('sha7', 8)).toBe('pending')
    expect((await seat.leases.show(provider)).known.map(({ sha }) => sha)).toEqual(['sha7'])
  })
})

describe('when to ask again', () => {
  it('is told so that the highest does not sleep through the end of its window', async () => {
    const { open, clock } = world()
    const { leases, acquire } = open()
    const againMs = async (sha: string, priority: number): Promise<number | undefined> =>
      (await leases.acquire(provider, { sha, priority })).retryAfterMs
    expect(await againMs('a', 1)).toBe(10_000)
    expect(await againMs('b', 2)).toBe(10_000)
    await clock.advance(30_000)
    for (const [sha, priority] of [
      ['a', 1],
      ['b', 2],
    ] as const)
      await acquire(sha, priority)
    await clock.advance(27_500)
    expect(await againMs('a', 1)).toBe(10_000)
    expect(await againMs('b', 2)).toBe(2_500)
    await clock.advance(2_000)
    expect(await againMs('b', 2)).toBe(1_000)
    await clock.advance(500)
    expect(await acquire('b', 2)).toBe('acquired 1')
  })
})
