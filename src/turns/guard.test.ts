/** How a turn of ours is secured beside clients of the dynamo-q tool; what happens to the guard then is in guard/holding.test.ts. */
import { describe, expect, it } from 'vitest'
import { ReferenceClient, ReferenceTable } from '../../test/support/reference-client.ts'
import { seededRandom } from '../kernel/id.ts'
import { decimalKey } from '../ports/store.ts'
import { besideReference } from './guard.ts'
import { guardKey, type Guard } from './guard/record.ts'
import { openTurn } from './session.ts'
import { besideWorld, QUEUE, type BesideWorld } from './guard/testing/world.ts'
import { member, ScriptedTurns } from './testing/scripted-turns.ts'
import { settled } from './testing/world.ts'
import { waitingLine } from './cli/waiting-line.ts'

const [A, B, C] = ['member-a', 'member-b', 'member-c']

/** The present second, as the other tool counts. */
const seconds = ({ clock }: BesideWorld): number => Math.floor(clock.now() / 1_000)

function meet(): BesideWorld & { readonly table: ReferenceTable } {
  let table: ReferenceTable | undefined
  const world = besideWorld((changes) => table?.observe(changes))
  table = new ReferenceTable(world.database, QUEUE, world.clock)
  return { ...world, table }
}

function putGuard(world: BesideWorld, facts: Partial<Guard>): Promise<unknown> {
  const until = world.clock.now() + 120_000
  const guard: Guard = {
    kind: 'signalbox-guard',
    placement: 'p',
    verified: true,
    fence: 1,
    by: A,
    until,
    ...facts,
  }
  return world.referee.commit([
    { op: 'put', key: guardKey(QUEUE), expect: 'absent', value: { ...guard }, expiresAt: guard.until },
  ])
}

describe('beside nobody', () => {
  it('a member is the next for 5 s, then holds, under a verified guard', async () => {
    const world = meet()
    const { turns } = world.open()
    const joined = await turns.join(QUEUE, { id: A })
    expect(joined).toMatchObject({
      state: 'waiting',
      position: 1,
      inWindow: true,
      pollMs: 10_000,
      holders: [],
    })
    expect(joined.fence).toBeUndefined()
    expect(joined.reason).toContain('dynamo-q')
    expect(await world.guard()).toMatchObject({ verified: false, fence: 1, by: A })
    const waiting = turns.wait(QUEUE, A, { waitMs: 10_000, seenPosition: 1 })
    await world.clock.advance(4_990)
    expect(await world.guard()).toMatchObject({ verified: false })
    const held = await world.after(10, waiting)
    expect(held).toMatchObject({ state: 'holding', fence: 1, position: 0 })
    expect(await world.guard()).toMatchObject({ verified: true, fence: 1 })
  })

  it('the guard is what the other tool looks at: first in order, and alive for 2 minutes', async () => {
    const world = meet()
    await world.open().turns.join(QUEUE, { id: A })
    const [first] = world.table.read(() => 0)
    expect(first).toEqual({ timestamp: 1, lastUpdated: seconds(world) + 120 })
  })

  it('an answer after the wait rests on a beat made then', async () => {
    const { clock, referee: store } = besideWorld()
    const inner = new ScriptedTurns(clock)
    const holding = (elapsedMs: number): object =>
      member({ state: 'holding', fence: 7, position: 0, elapsedMs })
    inner.on('wait', inner.answer(holding(3)))
    const turns = besideReference({ turns: inner, store, clock, random: seededRandom(1) })
    await turns.join(QUEUE, { id: A })
    const waiting = turns.wait(QUEUE, A, { waitMs: 10_000 })
    await clock.advance(5_000)
    expect(await settled(clock, waiting)).toMatchObject({ state: 'holding', elapsedMs: 5_003 })
    expect(inner.times('wait')).toEqual([0, 5_000])
  })

  it('what became of the grant in the meantime is what the member is told', async () => {
    const { clock, referee: store } = besideWorld()
    const inner = new ScriptedTurns(clock)
    inner.on(
      'wait',
      inner.answer(member({ state: 'holding', fence: 7 })),
      inner.answer(member({ state: 'lost' })),
    )
    const turns = besideReference({ turns: inner, store, clock, random: seededRandom(1) })
    const waiting = turns.wait(QUEUE, A, { waitMs: 10_000 })
    await clock.advance(5_000)
    expect(await settled(clock, waiting)).toMatchObject({ state: 'lost' })
  })

  it('answers within a beat, however long it may wait, so that each request is one', async () => {
    const world = meet()
    const { turns } = world.open()
    world.table.put({ timestamp: seconds(world), clientId: 'c', lastUpdated: seconds(world) })
    const waiting = turns.join(QUEUE, { id: A, waitMs: 60_000, ttlMs: 45_000 })
    expect(await world.after(10_000, waiting)).toMatchObject({ state: 'waiting' })
  })

  it('a clock that is 10 minutes off the engine makes no difference', async () => {
    for (const offset of [-600_000, 600_000]) {
      const world = besideWorld()
      const { clock, referee: store } = world
      const wrong = {
        now: () => clock.now() + offset,
        monotonic: () => clock.monotonic(),
        timer: clock.timer.bind(clock),
      }
      const inner = new ScriptedTurns(clock).on('wait')
      inner.on('wait', inner.answer(member({ state: 'holding', fence: 7 })))
      const turns = besideReference({ turns: inner, store, clock: wrong, random: seededRandom(1) })
      const held = await world.after(5_000, turns.wait(QUEUE, A, { waitMs: 10_000 }))
      expect(held.state).toBe('holding')
      expect((await world.guard())?.until).toBe(clock.now() + 120_000)
    }
  })

  it('a queue whose name would lie among our own records is refused', async () => {
    const { turns } = meet().open()
    await expect(turns.join('signalbox:queues', { id: A })).rejects.toMatchObject({
      code: 'invalid_argument',
    })
  })

  it('those who wait in our own line do not touch the other tool’s partition', async () => {
    const world = meet()
    const { turns } = world.open()
    await turns.join(QUEUE, { id: A })
    const other = world.open()
    await other.turns.join(QUEUE, { id: B })
    await other.turns.join(QUEUE, { id: C })
    const { commit } = other.store.operations
    expect(await world.after(2_000, other.turns.wait(QUEUE, C, { waitMs: 1_000 }))).toMatchObject({
      position: 2,
    })
    expect(other.store.operations.commit).toBe(commit)
    expect(await world.guard()).toMatchObject({ by: A })
  })
})

describe('beside jobs of the other tool', () => {
  it('no guard is put while one is there, and people are told whom they wait for', async () => {
    const world = meet()
    const { turns } = world.open()
    world.table.put({ timestamp: seconds(world), clientId: 'c', lastUpdated: seconds(world) })
    await turns.join(QUEUE, { id: A })
    expect(await world.guard()).toBeUndefined()
    const view = await world.after(10_000, turns.wait(QUEUE, A, { waitMs: 10_000 }))
    expect(waitingLine(view, 0)).toBe(
      'waiting, position 1 of the line; held by jobs of the dynamo-q tool (dynamo-q) for 10s',
    )
    expect(await world.guard()).toBeUndefined()
  })

  it('when one has gone, the turn comes after a heartbeat’s time of quiet and the 5 s', async () => {
    const world = meet()
    const { turns } = world.open()
    const at = seconds(world)
    world.table.put({ timestamp: at, clientId: 'c', lastUpdated: at })
    await turns.join(QUEUE, { id: A })
    world.table.delete(at)
    let heldAt = 0
    for (let view = await turns.wait(QUEUE, A, {}); view.state !== 'holding';) {
      view = await world.after(1_000, turns.wait(QUEUE, A, { waitMs: 1_000 }))
      heldAt = world.clock.monotonic()
    }
    expect(heldAt).toBe(35_000) // seen to be gone at 5 s, 25 s of quiet, 5 s of settling
  })

  it('one that comes within the 5 s has the guard taken away', async () => {
    const world = meet()
    const { turns } = world.open()
    await turns.join(QUEUE, { id: A })
    await world.clock.advance(1_000)
    world.table.put({ timestamp: seconds(world), clientId: 'c', lastUpdated: seconds(world) })
    const view = await world.after(10_000, turns.wait(QUEUE, A, { waitMs: 10_000 }))
    expect(view.state).toBe('waiting')
    expect(await world.guard()).toBeUndefined()
  })

  it('one that beats is waited for however long; one that is silent for 130 s is removed', async () => {
    const world = meet()
    const { turns } = world.open()
    const at = seconds(world)
    world.table.put({ timestamp: at, clientId: 'c', lastUpdated: at })
    await turns.join(QUEUE, { id: A })
    const wait = (): Promise<{ state: string }> =>
      world.after(10_000, turns.wait(QUEUE, A, { waitMs: 10_000 }))
    for (let n = 0; n < 20; n++) {
      world.table.beat(at, seconds(world))
      expect(await wait()).toMatchObject({ state: 'waiting' })
    }
    const silentFrom = world.clock.monotonic()
    while ((await wait()).state === 'waiting') expect(world.clock.monotonic()).toBeLessThan(400_000)
    expect(world.clock.monotonic() - silentFrom).toBeGreaterThan(120_000)
    expect([...world.table.now().keys()]).toEqual([1])
  })

  it('one that beats at the very moment it would be removed stays', async () => {
    const world = meet()
    const { turns, store } = world.open()
    const at = seconds(world)
    world.table.put({ timestamp: at, clientId: 'c', lastUpdated: at })
    await turns.join(QUEUE, { id: A })
    for (let n = 0; n < 12; n++) await world.after(10_000, turns.wait(QUEUE, A, { waitMs: 10_000 }))
    await world.clock.advance(15_000)
    const [partition] = guardKey(QUEUE)
    const burial = new Promise<void>((resolve) => {
      const commit = store.commit.bind(store)
      store.commit = (changes) => {
        const buries = changes.some(({ op, key }) => op === 'delete' && key[0] === partition)
        if (buries) {
          world.table.beat(at, seconds(world))
          resolve()
        }
        return commit(changes)
      }
    })
    const waiting = turns.wait(QUEUE, A, { waitMs: 10_000 })
    waiting.catch(() => {})
    await burial
    await world.clock.settle()
    expect(world.table.now().get(at)).toMatchObject({ lastUpdated: seconds(world) })
    expect((await world.after(10_000, waiting)).state).toBe('waiting')
  })

  it('a job of theirs and a turn of ours take their turns, both ways', async () => {
    const world = meet()
    const { clock, table } = world
    const log: string[] = []
    const random = seededRandom(3)
    const api = world.open().turns
    const theirs = (clientId: string): ReferenceClient =>
      new ReferenceClient({
        table,
        clock,
        random,
        clientId,
        workMs: 20_000,
        staleMs: 3_000,
        onChange: ({ state }) => log.push(`${clientId} ${state}`),
      })
    const ours = async (name: string): Promise<void> => {
      const turn = await openTurn({ api, clock, random, queue: QUEUE })
      log.push(`${name} working`)
      await new Promise<void>((resolve) => clock.timer(100_000, resolve))
      log.push(`${name} ${turn.isHeld() ? 'over' : 'lost'}`)
      await turn.release()
    }
    void theirs('c1').run()
    await clock.advance(5_000)
    void ours('m1')
    void ours('m2')
    while (!log.includes('m1 working')) await clock.advance(1_000)
    await clock.advance(20_000)
    void theirs('c2').run()
    await clock.advance(400_000)
    expect(log.filter((line) => !/joining|waiting/.test(line)).join()).toBe(
      'c1 working,c1 over,m1 working,m1 over,c2 working,c2 over,m2 working,m2 over',
    )
    expect([...table.now().keys()]).toEqual([])
  })
})

describe('a guard that stands already', () => {
  it('verified: is taken over at once, for one read and one write', async () => {
    const world = meet()
    await putGuard(world, {})
    const before = { ...(await joinBare(world)) }
    const { turns, store } = world.open()
    expect(await turns.join(QUEUE, { id: B })).toMatchObject({ state: 'holding', fence: 1 })
    const { list, commit } = store.operations
    expect([list - before.list, commit - before.commit]).toEqual([1, 1])
    expect(await world.guard()).toMatchObject({ placement: 'p', verified: true, by: B })
  })

  it('unverified, by one that crashed: is verified 5 s after it was first seen', async () => {
    const world = meet()
    await putGuard(world, { verified: false, fence: 9 })
    await world.clock.advance(3_000)
    const { turns } = world.open()
    await turns.join(QUEUE, { id: B })
    const waiting = turns.wait(QUEUE, B, { waitMs: 10_000 })
    await world.clock.advance(4_990)
    expect(await world.guard()).toMatchObject({ verified: false })
    expect(await world.after(10, waiting)).toMatchObject({ state: 'holding' })
    expect(await world.guard()).toMatchObject({ placement: 'p', verified: true, fence: 9, by: B })
  })

  it('about to lapse: counts as none', async () => {
    const world = meet()
    await putGuard(world, { until: world.clock.now() + 9_000 })
    const { turns } = world.open()
    expect(await turns.join(QUEUE, { id: B })).toMatchObject({ state: 'waiting' })
    expect(await world.guard()).toMatchObject({ verified: false, by: B })
    expect((await world.guard())?.placement).not.toBe('p')
  })

  it('verified, but somebody of the other tool waits: makes way for it', async () => {
    const world = meet()
    await putGuard(world, {})
    world.table.put({ timestamp: seconds(world), clientId: 'c', lastUpdated: seconds(world) })
    expect(await world.open().turns.join(QUEUE, { id: B })).toMatchObject({ state: 'waiting' })
    expect(await world.guard()).toBeUndefined()
  })

  it('relied on by another holder of ours: is neither taken away nor joined while the other tool waits', async () => {
    const world = meet()
    const first = world.open()
    await first.turns.join(QUEUE, { id: A, permits: 2 })
    await world.after(5_000, first.turns.wait(QUEUE, A, { waitMs: 10_000 }))
    world.table.put({ timestamp: seconds(world), clientId: 'c', lastUpdated: seconds(world) })
    const second = world.open()
    expect(await second.turns.join(QUEUE, { id: B })).toMatchObject({
      state: 'waiting',
      holders: [{ id: 'dynamo-q' }],
    })
    expect(await world.guard()).toMatchObject({ verified: true, fence: 1 })
    await first.turns.leave(QUEUE, A, 1)
    expect(await world.guard()).toBeUndefined()
    expect(await second.turns.wait(QUEUE, B, {})).toMatchObject({ state: 'waiting' })
  })

  it('an entry left behind long ago keeps nobody from taking it over', async () => {
    const world = meet()
    await putGuard(world, {})
    world.table.put({ timestamp: 5, clientId: 'c', lastUpdated: seconds(world) - 600 })
    expect(await world.open().turns.join(QUEUE, { id: B })).toMatchObject({ state: 'holding' })
  })

  it('is no guard if it is not ours, and then lives like any entry', async () => {
    const world = meet()
    world.table.put({ timestamp: 1, clientId: 'c', lastUpdated: seconds(world) })
    const { turns } = world.open()
    expect(await turns.join(QUEUE, { id: B })).toMatchObject({
      state: 'waiting',
      holders: [{ id: 'dynamo-q' }],
    })
    expect(world.table.now().get(1)).toMatchObject({ clientId: 'c' })
  })
})

describe('when the store fails', () => {
  it.each(['lostAfter', 'lostBefore', 'throttled', 'conflict', 'unavailable'] as const)(
    '%s at each step of the way only delays the turn',
    async (fault) => {
      for (let step = 0; step < 4; step++) {
        const world = meet()
        const { turns, store } = world.open()
        const join = turns.join(QUEUE, { id: A })
        if (step > 0) await join
        store.faults.next('commit', ...Array.from({ length: step }, () => 'none' as const), fault)
        let view = await join.catch(() => undefined)
        // As a session does: what failed is asked again.
        for (let n = 0; view?.state !== 'holding' && n < 20; n++) {
          const again = view === undefined ? turns.join(QUEUE, { id: A, waitMs: 1_000 }) : undefined
          const next = again ?? turns.wait(QUEUE, A, { waitMs: 1_000 })
          view = await world.after(1_000, next).catch(() => view)
        }
        expect(view?.state).toBe('holding')
        expect(world.clock.monotonic()).toBeLessThan(15_000)
        expect(await world.guard()).toMatchObject({ verified: true })
      }
    },
  )

  it('a look that hangs does not keep the member from beating', async () => {
    const world = meet()
    const { turns, store } = world.open()
    await turns.join(QUEUE, { id: A })
    await world.clock.advance(5_000)
    store.faults.hold('list', 'before')
    const view = await world.after(10_000, turns.wait(QUEUE, A, { waitMs: 10_000 }))
    expect(view.state).toBe('waiting')
    const [, beatAt] = await beatOf(world)
    await world.after(10_000, turns.wait(QUEUE, A, { waitMs: 10_000 }))
    expect((await beatOf(world))[1]).toBe(beatAt + 10_000)
  })

  it('who hangs up is told so, and what was begun is taken up by the next request', async () => {
    const world = meet()
    const { turns } = world.open()
    await turns.join(QUEUE, { id: A })
    const hangUp = new AbortController()
    const waiting = turns.wait(QUEUE, A, { waitMs: 10_000 }, hangUp.signal)
    waiting.catch(() => {})
    await world.clock.advance(3_000)
    hangUp.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' })
    expect(await world.after(2_000, turns.wait(QUEUE, A, { waitMs: 10_000 }))).toMatchObject({
      state: 'holding',
    })
  })
})

/** What a join costs without a guard: the same join on a database of its own. */
async function joinBare({ clock }: BesideWorld): Promise<{ list: number; commit: number }> {
  const { createTurnsService } = await import('./service.ts')
  const { memoryStore } = await import('../drivers/memory/index.ts')
  const store = memoryStore({ clock })
  await createTurnsService({ store, clock, random: seededRandom(1) }).join(QUEUE, { id: B })
  return store.operations
}

async function beatOf({ referee }: BesideWorld): Promise<readonly [string, number]> {
  const record = await referee.get([`signalbox:q:${QUEUE}`, decimalKey(1)])
  if (record === undefined) throw new Error('no beat record')
  const { id, at } = record.value as { id: string; at: number }
  return [id, at]
}
