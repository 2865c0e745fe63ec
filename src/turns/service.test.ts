import { describe, expect, it } from 'vitest'
import { DEFAULT_TTL_MS } from './api.ts'
import { isPending, newId, settled, world } from './testing/world.ts'

const Q = 'deploy'

describe('taking turns', () => {
  it('grants the first to join, lets the second wait, and hands over on release in one commit', async () => {
    const w = world()
    const { turns, store } = w.open()
    const first = await turns.join(Q, { id: newId() })
    expect(first).toMatchObject({ state: 'holding', ticket: 1, fence: 1, position: 0 })
    const second = turns.join(Q, { id: newId(), waitMs: 10_000 })
    expect(await isPending(w.clock, second)).toBe(true)
    const before = store.operations.commit
    expect(await turns.leave(Q, first.id, 1)).toEqual({ outcome: 'released' })
    expect(await settled(w.clock, second)).toMatchObject({ state: 'holding', ticket: 2, fence: 2 })
    expect(store.operations.commit - before).toBe(1)
    await w.check(Q)
  })

  it('grants strictly in ticket order, whoever asks first', async () => {
    const w = world()
    const { turns } = w.open()
    const [a, b, c] = [newId('a'), newId('b'), newId('c')]
    for (const id of [a, b, c]) await turns.join(Q, { id })
    await turns.leave(Q, a)
    // c asks first, but b stands before it
    const third = turns.wait(Q, c, { waitMs: 5_000 })
    expect(await isPending(w.clock, third)).toBe(true)
    expect(await turns.wait(Q, b, {})).toMatchObject({ state: 'holding', fence: 2 })
    await turns.leave(Q, b)
    expect(await settled(w.clock, third)).toMatchObject({ state: 'waiting', position: 1 })
    expect(await turns.wait(Q, c, {})).toMatchObject({ state: 'holding', fence: 3 })
  })

  it('lets a higher priority go first, and keeps ticket order within one priority', async () => {
    const w = world()
    const { turns } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    const waiting = [
      turns.join(Q, { id: newId('low'), priority: 10, waitMs: 10_000 }),
      turns.join(Q, { id: newId('high1'), priority: 90, waitMs: 10_000 }),
      turns.join(Q, { id: newId('high2'), priority: 90, waitMs: 10_000 }),
    ]
    await w.clock.settle()
    const order: string[] = []
    for (const p of waiting) void p.then((v) => v.state === 'holding' && order.push(v.id.slice(0, 5)))
    await turns.leave(Q, holder.id)
    await w.clock.settle()
    expect(order).toEqual(['high1'])
    await w.check(Q)
  })

  it('holds as many as there are permits, and refuses another number', async () => {
    const w = world()
    const { turns } = w.open()
    const ids = Array.from({ length: 5 }, () => newId())
    const views = await Promise.all(ids.map((id) => turns.join(Q, { id, permits: 3 })))
    expect(views.map((v) => v.state)).toEqual(['holding', 'holding', 'holding', 'waiting', 'waiting'])
    expect(views.map((v) => v.ticket)).toEqual([1, 2, 3, 4, 5])
    await expect(turns.join(Q, { id: newId(), permits: 2 })).rejects.toMatchObject({ code: 'conflict' })
    const control = await w.check(Q)
    expect(control?.tail).toBe(5)
  })

  it('is idempotent: a repeated join keeps its ticket, a repeated release its answer, a late join after leaving is refused', async () => {
    const w = world()
    const { turns } = w.open()
    const id = newId()
    const [first, again] = await Promise.all([turns.join(Q, { id }), turns.join(Q, { id })])
    expect(again).toMatchObject({ ticket: first.ticket, fence: first.fence })
    expect(await turns.leave(Q, id, 1)).toEqual({ outcome: 'released' })
    expect(await turns.leave(Q, id, 1)).toEqual({ outcome: 'released' })
    await expect(turns.join(Q, { id })).rejects.toMatchObject({ code: 'turn_lost' })
    const never = newId()
    expect(await turns.leave(Q, never)).toEqual({ outcome: 'gone' })
    await expect(turns.join(Q, { id: never })).rejects.toMatchObject({ code: 'turn_lost' })
  })

  it('refuses a release with another fence, and a beat of one that does not hold', async () => {
    const w = world()
    const { turns } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    const waiter = await turns.join(Q, { id: newId() })
    expect(await turns.leave(Q, holder.id, 99)).toEqual({ outcome: 'gone' })
    await expect(turns.beat(Q, waiter.id, 1)).rejects.toMatchObject({ code: 'turn_lost' })
    await expect(turns.beat(Q, newId(), 1)).rejects.toMatchObject({ code: 'not_found' })
    expect(await turns.beat(Q, holder.id, 1)).toEqual({ elapsedMs: 0 })
  })

  it('tells only those near the front that they moved', async () => {
    const w = world()
    const { turns } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    const waits = Array.from({ length: 6 }, () => turns.join(Q, { id: newId(), waitMs: 60_000 }))
    await w.clock.settle()
    const answered: number[] = []
    waits.forEach((p, i) => void p.then(() => answered.push(i)))
    await turns.leave(Q, holder.id)
    await w.clock.settle()
    // the first holds; the second is at the head and the third has entered the window
    expect(answered).toEqual([0, 1, 2])
  })

  it('drops a waiter whose client hung up from those ready, without taking its place away', async () => {
    const w = world()
    const { turns } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    const hangUp = new AbortController()
    const id = newId()
    const waiting = turns.join(Q, { id, waitMs: 10_000 }, hangUp.signal)
    await w.clock.settle()
    hangUp.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
    await turns.leave(Q, holder.id)
    expect((await turns.show(Q)).holders).toEqual([])
    expect(await turns.wait(Q, id, {})).toMatchObject({ state: 'holding', fence: 2 })
  })
})

describe('silence', () => {
  it('evicts a holder after one TTL without a beat, not before, and tells it', async () => {
    const w = world()
    const { turns } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    const next = newId()
    let view = turns.join(Q, { id: next, waitMs: 60_000 })
    const deadline = w.clock.monotonic() + DEFAULT_TTL_MS
    while ((await isPending(w.clock, view)) || (await view).state === 'waiting') {
      expect(w.clock.monotonic()).toBeLessThanOrEqual(deadline)
      if (!(await isPending(w.clock, view))) view = turns.wait(Q, next, { waitMs: 60_000 })
      await w.clock.advance(500)
    }
    expect(w.clock.monotonic()).toBeGreaterThanOrEqual(DEFAULT_TTL_MS)
    expect(await view).toMatchObject({ state: 'holding', fence: 2 })
    await expect(turns.beat(Q, holder.id, 1)).rejects.toMatchObject({ code: 'turn_lost' })
    expect(await turns.wait(Q, holder.id, {})).toMatchObject({ state: 'lost' })
    expect(await turns.leave(Q, holder.id, 1)).toEqual({ outcome: 'gone' })
    await w.check(Q)
  })

  it('never evicts a holder that beats, however long it holds', async () => {
    const w = world()
    const { turns, events } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    for (let i = 0; i < 60; i++) {
      await w.clock.advance(DEFAULT_TTL_MS - 1)
      await turns.beat(Q, holder.id, 1)
    }
    expect(events.map((e) => e.kind)).not.toContain('lost')
  })

  it('counts the deadline of a re-joining holder from a beat of its own', async () => {
    const w = world()
    const { turns } = w.open()
    const id = newId()
    await turns.join(Q, { id })
    await w.clock.advance(DEFAULT_TTL_MS - 1_000)
    // the first answer was lost; the member asks again and now believes in a whole TTL from here
    expect(await turns.join(Q, { id })).toMatchObject({ state: 'holding', fence: 1 })
    await w.clock.advance(DEFAULT_TTL_MS - 1_000)
    expect(await turns.beat(Q, id, 1)).toBeDefined()
  })

  it('evicts a dead row of twenty in a few TTLs and skips nobody alive', async () => {
    const w = world()
    const { turns } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    for (let i = 0; i < 20; i++) await turns.join(Q, { id: newId('dead') })
    const alive = newId('alive')
    await turns.join(Q, { id: alive })
    await turns.leave(Q, holder.id)
    let ttls = 0
    for (let state = 'waiting'; state === 'waiting'; ttls += 0.25) {
      await w.clock.advance(DEFAULT_TTL_MS / 4)
      ;({ state } = await turns.wait(Q, alive, {}))
      await w.check(Q)
      expect(ttls).toBeLessThan(8)
    }
  })

  it('gives an evicted waiter its old place back', async () => {
    const w = world()
    const { turns, events } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    const [slow, quick] = [newId('slow'), newId('quick')]
    await turns.join(Q, { id: slow })
    await turns.join(Q, { id: quick })
    for (let i = 0; i < 12; i++) {
      await w.clock.advance(DEFAULT_TTL_MS / 6)
      await turns.beat(Q, holder.id, 1)
      await turns.wait(Q, quick, {})
    }
    expect(events.filter((e) => e.kind === 'evicted')).toHaveLength(1)
    expect(await turns.wait(Q, slow, {})).toMatchObject({ state: 'waiting', ticket: 2, position: 1 })
    expect(await turns.wait(Q, quick, {})).toMatchObject({ position: 2 })
    await w.check(Q)
  })

  it('gives everyone one whole TTL after a restart', async () => {
    const w = world()
    const before = w.open()
    const holder = await before.turns.join(Q, { id: newId() })
    await w.clock.advance(DEFAULT_TTL_MS - 1)
    await before.turns.close()
    const after = w.open()
    await after.turns.start()
    await w.clock.advance(DEFAULT_TTL_MS - 1)
    expect((await after.turns.show(Q)).holders.map((h) => h.id)).toEqual([holder.id])
    await w.clock.advance(2)
    expect((await after.turns.show(Q)).holders).toEqual([])
  })

  it('does not count silence while the server itself was stalled', async () => {
    const w = world()
    const { turns, events } = w.open()
    await turns.join(Q, { id: newId() })
    // An alarm that fires late: the timers stood still while monotonic time went on.
    const stalled = w.clock.advance.bind(w.clock)
    const monotonic = w.clock.monotonic.bind(w.clock)
    w.clock.monotonic = () => monotonic() + 30_000
    await stalled(DEFAULT_TTL_MS)
    expect(events.map((e) => e.kind)).not.toContain('lost')
    await stalled(DEFAULT_TTL_MS + 1)
    expect(events.map((e) => e.kind)).toContain('lost')
  })

  it('recovers a queue whose beat record was deleted from outside', async () => {
    const w = world()
    const { turns, store } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    const next = newId()
    await turns.join(Q, { id: next })
    await store.deleteRange({ partition: `signalbox:q:${Q}`, from: '000000000000001', to: '000000000000002' })
    const healed = turns.beat(Q, holder.id, 1)
    await w.clock.advance(10)
    expect(await healed).toBeDefined()
    await w.check(Q)
    await store.deleteRange({ partition: `signalbox:q:${Q}`, from: '000000000000001', to: '000000000000002' })
    for (let i = 0; i < 8; i++) {
      await w.clock.advance(DEFAULT_TTL_MS / 3)
      await turns.wait(Q, next, {})
    }
    expect(await turns.wait(Q, next, {})).toMatchObject({ state: 'holding', fence: 2 })
  })
})

describe('several servers on one store', () => {
  it('hands over between members of different servers without polling', async () => {
    const w = world()
    const [a, b] = [w.open(), w.open()]
    const holder = await a.turns.join(Q, { id: newId() })
    const other = b.turns.join(Q, { id: newId(), waitMs: 9_000 })
    await w.clock.settle()
    await a.turns.leave(Q, holder.id)
    expect(await settled(w.clock, other)).toMatchObject({ state: 'holding', fence: 2 })
    await w.check(Q)
  })

  it('gives 60 joins over three servers 60 distinct tickets and grants in their order', async () => {
    const w = world()
    const seats = [w.open(), w.open(), w.open()]
    const joins = Array.from({ length: 60 }, (_, i) => seats[i % 3]!.turns.join(Q, { id: newId() }))
    await w.clock.advance(30_000)
    const views = await Promise.all(joins)
    expect(new Set(views.map((v) => v.ticket)).size).toBe(60)
    await w.check(Q)
  })
})

describe('bad input', () => {
  it('shows no queue that nobody joined', async () => {
    const { turns } = world().open()
    await expect(turns.show('nothing')).rejects.toMatchObject({ code: 'not_found' })
    await expect(turns.wait('nothing', newId(), {})).rejects.toMatchObject({ code: 'not_found' })
    expect((await turns.list()).queues).toEqual([])
  })
})
