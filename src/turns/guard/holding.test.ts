/** What happens to the guard while a member holds, and when it leaves. */
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../kernel/id.ts'
import type { FaultPlan } from '../../drivers/memory/index.ts'
import { besideReference } from '../guard.ts'
import { ScriptedTurns, member } from '../testing/scripted-turns.ts'
import { settled } from '../testing/world.ts'
import { guardKey, guardLife, workAfterBeat } from './record.ts'
import { besideWorld, QUEUE, type BesideProcess, type BesideWorld } from './testing/world.ts'

const [A, B] = ['member-a', 'member-b']

async function hold(
  world: BesideWorld,
  id = A,
  process = world.open(),
  ttlMs = 45_000,
): Promise<BesideProcess> {
  const joined = await process.turns.join(QUEUE, { id, ttlMs })
  if (joined.state === 'holding') return process
  expect(await world.after(5_000, process.turns.wait(QUEUE, id, { waitMs: 5_000 }))).toMatchObject({
    state: 'holding',
  })
  return process
}

/** Beats every 10 s for this long, as a session does. */
async function beat(world: BesideWorld, { turns }: BesideProcess, forMs: number, fence = 1): Promise<void> {
  for (let ms = 0; ms < forMs; ms += 10_000) {
    await world.clock.advance(10_000)
    await turns.beat(QUEUE, A, fence)
  }
}

async function entry(world: BesideWorld): Promise<void> {
  const now = Math.floor(world.clock.now() / 1_000)
  const key = [QUEUE, String(now).padStart(15, '0')] as const
  const value = { clientId: 'c', lastUpdated: now }
  await world.referee.commit([{ op: 'put', key, expect: 'absent', value }])
}

/** Takes the guard away, or puts another in its place, as no one may. */
async function meddle(world: BesideWorld, value?: object): Promise<void> {
  const change = { key: guardKey(QUEUE), expect: 'present' } as const
  await world.referee.commit([
    value === undefined ? { ...change, op: 'delete' } : { ...change, op: 'put', value: { ...value } },
  ])
}

describe('while a member holds', () => {
  it('the guard is refreshed when a third of its life has passed, by one write', async () => {
    const world = besideWorld()
    const process = await hold(world)
    const first = await world.guard()
    await beat(world, process, 30_000)
    expect(await world.guard()).toEqual(first)
    const { list, commit } = process.store.operations
    await beat(world, process, 10_000)
    expect(await world.guard()).toEqual({ ...first, until: (first?.until ?? 0) + 40_000 })
    expect(process.store.operations.list).toBe(list)
    expect(process.store.operations.commit).toBe(commit + 2) // the beat itself, and the guard
    await beat(world, process, 600_000)
    expect((await world.guard())?.until).toBeGreaterThan(world.clock.now() + 79_000)
  })

  it.each([20_000, 45_000, 80_000, 600_000, 86_400_000])(
    'what is left of it at a refresh covers what a beat allows (hold TTL %i ms)',
    (ttlMs) => expect((guardLife(ttlMs) * 2) / 3).toBeGreaterThanOrEqual(workAfterBeat(ttlMs)),
  )

  it('a guard that another holder refreshed will do, and a shorter life never cuts a longer one', async () => {
    const world = besideWorld()
    const long = await hold(world, A, world.open(), 600_000)
    const until = (await world.guard())?.until
    await world.open().turns.setPermits(QUEUE, 2, { reason: 'a test' })
    const short = world.open()
    expect(await short.turns.join(QUEUE, { id: B })).toMatchObject({ state: 'holding', fence: 2 })
    expect(await world.guard()).toMatchObject({ by: B, fence: 2, until })
    await beat(world, long, 400_000)
    expect(await world.guard()).toMatchObject({ by: A, fence: 2 })
  })

  it('a guard that is gone, or is not the verified one, costs the turn at the next refresh', async () => {
    for (const meddled of [undefined, { verified: false }, { fence: 0 }, { kind: 'something else' }]) {
      const world = besideWorld()
      const process = await hold(world)
      await meddle(world, meddled && { ...(await world.guard()), ...meddled })
      await beat(world, process, 30_000)
      await world.clock.advance(10_000)
      const lost = { code: 'turn_lost', message: expect.stringContaining('dynamo-q') as string }
      await expect(process.turns.beat(QUEUE, A, 1)).rejects.toMatchObject(lost)
      await expect(process.turns.wait(QUEUE, A, {})).rejects.toMatchObject(lost)
    }
  })

  it('beats pass while refreshing fails, until the guard would not outlast what they allow', async () => {
    const { clock, referee } = besideWorld()
    const inner = new ScriptedTurns(clock)
    const turns = besideReference({ turns: inner, store: referee, clock, random: seededRandom(1) })
    inner.on('wait', inner.answer(member({ queue: QUEUE, id: A, state: 'holding', fence: 7 })))
    const waiting = turns.wait(QUEUE, A, { waitMs: 10_000 })
    await clock.advance(5_000)
    expect((await settled(clock, waiting)).state).toBe('holding')
    referee.faults.plan = { unavailable: 1 } satisfies FaultPlan
    const outcomes: string[] = []
    for (let n = 0; n < 10; n++) {
      await clock.advance(10_000)
      outcomes.push(
        await turns.beat(QUEUE, A, 7).then(
          () => 'passed',
          (error: { code: string }) => error.code,
        ),
      )
    }
    // 120 s of life; a beat allows 45 − 4.5 + 10 s.
    expect(outcomes).toEqual([...Array<string>(6).fill('passed'), ...Array<string>(4).fill('unavailable')])
    referee.faults.plan = {}
    await turns.beat(QUEUE, A, 7)
  })

  it('a refresh that hangs delays a beat by 2 s at most', async () => {
    const world = besideWorld()
    const { clock, referee } = world
    const inner = new ScriptedTurns(clock)
    const turns = besideReference({ turns: inner, store: referee, clock, random: seededRandom(1) })
    inner.on('wait', inner.answer(member({ queue: QUEUE, id: A, state: 'holding', fence: 7 })))
    await world.after(5_000, turns.wait(QUEUE, A, { waitMs: 10_000 }))
    await clock.advance(40_000)
    const held = referee.faults.hold('commit', 'before')
    await world.after(2_000, turns.beat(QUEUE, A, 7))
    held.release()
  })

  it('an answer lost on the way back from a refresh costs nothing', async () => {
    const world = besideWorld()
    const process = await hold(world)
    await beat(world, process, 30_000)
    await world.clock.advance(10_000)
    process.store.faults.next('commit', 'none', 'lostAfter')
    await process.turns.beat(QUEUE, A, 1)
    await beat(world, process, 100_000)
  })

  it('a process that knows nothing of a holder counts it in by its fence', async () => {
    const world = besideWorld()
    await hold(world)
    const other = world.open()
    await world.clock.advance(10_000)
    await other.turns.beat(QUEUE, A, 1)
    await beat(world, other, 200_000)
    await meddle(world)
    await expect(world.open().turns.beat(QUEUE, A, 1)).rejects.toMatchObject({ code: 'turn_lost' })
  })
})

describe('when a member leaves', () => {
  it('and nobody else is there, the guard goes', async () => {
    const world = besideWorld()
    const { turns } = await hold(world)
    expect(await turns.leave(QUEUE, A, 1)).toEqual({ outcome: 'released' })
    expect(await world.guard()).toBeUndefined()
  })

  it('and the next of ours waits, the guard stays and is taken over without delay', async () => {
    const world = besideWorld()
    const first = await hold(world)
    const second = world.open()
    await second.turns.join(QUEUE, { id: B })
    const placement = (await world.guard())?.placement
    const waiting = second.turns.wait(QUEUE, B, { waitMs: 10_000 })
    await world.clock.settle()
    await first.turns.leave(QUEUE, A, 1)
    expect(await world.after(1_000, waiting)).toMatchObject({ state: 'holding', fence: 2 })
    expect(await world.guard()).toMatchObject({ placement, by: B, fence: 2 })
  })

  it('and both kinds wait, the other tool goes first', async () => {
    const world = besideWorld()
    const first = await hold(world)
    const second = world.open()
    await second.turns.join(QUEUE, { id: B })
    const waiting = second.turns.wait(QUEUE, B, { waitMs: 10_000 })
    await entry(world)
    await first.turns.leave(QUEUE, A, 1)
    const view = await world.after(10_000, waiting)
    expect(view).toMatchObject({ state: 'waiting', position: 1, holders: [{ id: 'dynamo-q' }] })
    expect(await world.guard()).toBeUndefined()
  })

  it('and another of ours relies on the guard, it stays, whoever waits', async () => {
    const world = besideWorld()
    const first = await hold(world)
    await first.turns.setPermits(QUEUE, 2, { reason: 'a test' })
    const second = await hold(world, B)
    await entry(world)
    await second.turns.leave(QUEUE, B, 2)
    expect(await world.guard()).toMatchObject({ verified: true, fence: 2 })
    await first.turns.leave(QUEUE, A, 1)
    expect(await world.guard()).toBeUndefined()
  })

  it('a guard that somebody took over after it was read is not deleted', async () => {
    const world = besideWorld()
    const first = await hold(world)
    await first.turns.setPermits(QUEUE, 2, { reason: 'a test' })
    const read = first.store.faults.hold('list', 'after')
    const leaving = first.turns.leave(QUEUE, A, 1)
    await read.reached
    // Unseen by the leaver, whose look is on its way back.
    await hold(world, B)
    read.release()
    expect(await settled(world.clock, leaving)).toEqual({ outcome: 'released' })
    expect(await world.guard()).toMatchObject({ by: B, verified: true })
  })

  it('before the guard was secured, what it had placed goes too', async () => {
    const world = besideWorld()
    const { turns } = world.open()
    await turns.join(QUEUE, { id: A })
    expect(await world.guard()).toMatchObject({ verified: false })
    await turns.leave(QUEUE, A)
    expect(await world.guard()).toBeUndefined()
  })

  it('while its guard is on the way, that one goes as soon as it is there', async () => {
    const world = besideWorld()
    const { turns, store } = world.open()
    await turns.join(QUEUE, { id: A })
    await world.after(5_000, turns.wait(QUEUE, A, { waitMs: 5_000 }))
    await turns.leave(QUEUE, A)
    const placing = world.open()
    const looked = placing.store.faults.hold('list', 'after')
    const joining = placing.turns.join(QUEUE, { id: B })
    await looked.reached
    const put = placing.store.faults.hold('commit', 'after')
    looked.release()
    await put.reached
    const leaving = placing.turns.leave(QUEUE, B)
    await world.clock.settle()
    put.release()
    await world.after(2_000, leaving)
    await joining.catch(() => {})
    expect(await world.guard()).toBeUndefined()
    expect(store.operations.commit).toBeGreaterThan(0)
  })

  it('is answered although the store fails, within 2 s although it hangs', async () => {
    const world = besideWorld()
    const failing = await hold(world)
    failing.store.faults.next('list', 'unavailable', 'unavailable', 'unavailable', 'unavailable')
    expect(await world.after(2_000, failing.turns.leave(QUEUE, A, 1))).toEqual({ outcome: 'released' })
    await world.clock.advance(120_000)
    const hanging = await hold(world, B)
    const held = hanging.store.faults.hold('list', 'before')
    expect(await world.after(2_000, hanging.turns.leave(QUEUE, B, 2))).toEqual({ outcome: 'released' })
    held.release()
  })

  it('a waiter that never had its turn does not touch the guard', async () => {
    const world = besideWorld()
    await hold(world)
    const { turns, store } = world.open()
    await turns.join(QUEUE, { id: B })
    const { list } = store.operations
    expect(await turns.leave(QUEUE, B)).toEqual({ outcome: 'withdrawn' })
    expect(store.operations.list).toBe(list)
    expect(await world.guard()).toMatchObject({ by: A })
  })

  it('dies without a word: the guard lapses by itself', async () => {
    const world = besideWorld()
    await hold(world)
    await world.clock.advance(119_999)
    expect(await world.guard()).toBeDefined()
    await world.clock.advance(1)
    expect(await world.guard()).toBeUndefined()
  })
})
