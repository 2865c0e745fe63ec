/** Defects that a review or the simulator found once; each must stay away. */
import { describe, expect, it } from 'vitest'
import { sleep } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import { decimalKey } from '../ports/store.ts'
import { DEFAULT_TTL_MS } from './api.ts'
import { emptyState } from './queue-state.ts'
import { Transition } from './rules.ts'
import { newId, settled, world } from './testing/world.ts'

const Q = 'deploy'

/** Advances in small steps until the promise is settled. */
async function within<T>(w: ReturnType<typeof world>, promise: Promise<T>, ms = 60_000): Promise<T> {
  const done = new AbortController()
  promise.then(
    () => done.abort(),
    () => done.abort(),
  )
  for (let t = 0; t < ms && !done.signal.aborted; t += 50) await w.clock.advance(50)
  return settled(w.clock, promise)
}

describe('a waiter that comes back', () => {
  it('in the very batch that evicts it keeps its ticket', () => {
    const entry = { id: 'waiter-1', ticket: 2, priority: 50, ttlMs: DEFAULT_TTL_MS, joinedAt: 0 }
    const holder = { ...entry, id: 'holder-1', ticket: 1, fence: 1, grantedAt: 0 }
    const control = { ...emptyState.control, tail: 2, fence: 1, holders: [holder], window: [entry] }
    const t = new Transition(Q, { control, version: '7', line: [entry], complete: true }, 0, 99)
    expect(t.evict(2, 0, '5', { ...entry, labels: {} })).toBe(true)
    // What was read for the command was read before the eviction: the member stood in line, so no record was looked for.
    const standing = t.standing(entry.id, undefined, false)
    expect(standing).toMatchObject({ state: 'evicted', member: { ticket: 2 } })
    if (standing.state === 'evicted') t.reinstate(standing.member)
    t.seal()
    expect(t.state.line).toEqual([entry])
    expect(t.changes.toChanges().find((c) => c.key[1] === decimalKey(2))).toMatchObject({
      op: 'put',
      expect: { version: '5' },
    })
  })

  it('cannot come back on one server when another has acknowledged that it left', async () => {
    const w = world()
    const [a, b] = [w.open(), w.open()]
    const holder = await a.turns.join(Q, { id: newId() })
    const id = newId()
    await a.turns.join(Q, { id })
    for (let i = 0; i < 5; i++) {
      await w.clock.advance(DEFAULT_TTL_MS / 4)
      await a.turns.beat(Q, holder.id, 1)
    }
    expect((await a.turns.show(Q)).waiters).toEqual([])
    const hold = b.store.faults.hold('commit', 'before')
    const back = b.turns.wait(Q, id, {})
    await hold.reached
    expect(await within(w, a.turns.leave(Q, id))).toEqual({ outcome: 'withdrawn' })
    hold.release()
    expect(await within(w, back)).toMatchObject({ state: 'left' })
    expect((await a.turns.show(Q)).waiters).toEqual([])
  })
})

describe('an eviction', () => {
  it('is not put off for ever by a short TTL on a slow store', async () => {
    const w = world()
    const { turns, store } = w.open()
    await turns.join(Q, { id: newId('dead'), ttlMs: DEFAULT_TTL_MS })
    const alive = newId('alive')
    await turns.join(Q, { id: alive, priority: 90 })
    store.faults.plan = { delayBeforeMs: [150, 150], delayAfterMs: [150, 150] }
    void turns.join(Q, { id: newId('short'), ttlMs: 1_000, priority: 95 })
    const granted = { at: Infinity }
    const ask = async (): Promise<void> => {
      while (granted.at === Infinity && w.clock.monotonic() < 10 * DEFAULT_TTL_MS) {
        const view = await turns.wait(Q, alive, {}).catch(() => undefined)
        if (view?.state === 'holding') granted.at = Math.min(granted.at, w.clock.monotonic())
        await sleep(w.clock, 400)
      }
    }
    for (let i = 0; i < 5; i++) void ask()
    for (let i = 0; i < 200 && granted.at === Infinity; i++) await w.clock.advance(1_000)
    expect(granted.at).toBeLessThan(2 * DEFAULT_TTL_MS)
    await w.clock.advance(2_000)
  })
})

describe('many grants whose answer was lost', () => {
  it('do not make the next commit too large', async () => {
    const w = world()
    const [a, b] = [w.open(), w.open()]
    const permits = 30
    const holders = Array.from({ length: permits }, () => newId('holder'))
    const held = await Promise.all(holders.map((id) => a.turns.join(Q, { id, permits })))
    const waits = Array.from({ length: permits }, () =>
      b.turns.join(Q, { id: newId('waiter'), waitMs: 60_000 }),
    )
    await w.clock.settle()
    // The commit that grants many is applied, its answer is lost, and the state cannot be read again at once.
    const commit = b.store.commit.bind(b.store)
    let lost = false
    b.store.commit = async (changes) => {
      const result = await commit(changes)
      const grants = changes.filter((c) => c.op === 'delete' && c.key[0].startsWith('signalbox:w:')).length
      if (lost || grants < 10) return result
      lost = true
      b.store.faults.next('get', 'unavailable')
      throw new SignalboxError('outcome_unknown', 'lost')
    }
    await Promise.all(held.map(({ id, fence }) => a.turns.leave(Q, id, fence)))
    await w.clock.advance(100)
    expect(lost).toBe(true)
    const joins = Promise.all(Array.from({ length: 60 }, () => b.turns.join(Q, { id: newId('newcomer') })))
    expect((await within(w, joins)).map((v) => v.state)).toEqual(Array(60).fill('waiting'))
    const views = await within(w, Promise.all(waits))
    expect(views.every((v) => v.state === 'holding' || v.state === 'waiting')).toBe(true)
    await w.check(Q)
  })
})

describe('a second request of one member', () => {
  it('answers the first with the waiting view, whichever is the late copy', async () => {
    const w = world()
    const { turns } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    const id = newId()
    const first = turns.join(Q, { id, waitMs: 9_000 })
    await w.clock.settle()
    const second = turns.wait(Q, id, { waitMs: 9_000 })
    expect(await settled(w.clock, first)).toMatchObject({ state: 'waiting', ticket: 2 })
    await turns.leave(Q, holder.id)
    expect(await settled(w.clock, second)).toMatchObject({ state: 'holding' })
  })
})

describe('a long line', () => {
  it('is forgotten behind its head, and everybody gets through', async () => {
    const w = world()
    const { turns } = w.open()
    const ids = Array.from({ length: 700 }, () => newId())
    for (const id of ids) await turns.join(Q, { id, ttlMs: 3_600_000 })
    expect(await turns.wait(Q, ids[650]!, {})).toMatchObject({
      state: 'waiting',
      positionExact: false,
      ticket: 651,
    })
    expect(await turns.wait(Q, ids[90]!, {})).toMatchObject({ position: 90, positionExact: true })
    for (const [index, id] of ids.entries()) {
      expect(await turns.wait(Q, id, {})).toMatchObject({ state: 'holding', fence: index + 1 })
      await turns.leave(Q, id)
      if (index % 100 === 0) await w.check(Q)
    }
  })
})
