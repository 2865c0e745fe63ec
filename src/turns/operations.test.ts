import { describe, expect, it } from 'vitest'
import { auditPartition, type AuditEntry } from '../ports/audit.ts'
import { DEFAULT_TTL_MS } from './api.ts'
import { isPending, newId, settled, world, type Seat, type World } from './testing/world.ts'

const Q = 'deploy'
const act = { reason: 'because', by: 'ann' }

async function audited(w: World, { store }: Seat): Promise<AuditEntry[]> {
  const { records } = await store.list({ partition: auditPartition(w.clock.now()) }, { limit: 100 })
  return records.map((r) => r.value as unknown as AuditEntry)
}

describe('an operator', () => {
  it('pauses a queue: no joins, no grants, holders go on; resuming grants in order', async () => {
    const w = world()
    const seat = w.open()
    const { turns } = seat
    const holder = await turns.join(Q, { id: newId() })
    const next = turns.join(Q, { id: newId(), waitMs: 9_000 })
    await w.clock.settle()
    expect(await turns.setState(Q, 'paused', act)).toEqual({ changed: true })
    expect(await turns.setState(Q, 'paused', act)).toEqual({ changed: false })
    await expect(turns.join(Q, { id: newId() })).rejects.toMatchObject({ code: 'queue_paused' })
    await turns.beat(Q, holder.id, 1)
    await turns.leave(Q, holder.id)
    const paused = await settled(w.clock, next).catch(() => undefined)
    expect(paused?.state ?? 'waiting').toBe('waiting')
    const id = (await turns.show(Q)).waiters[0]!.id
    expect(await turns.wait(Q, id, {})).toMatchObject({
      state: 'waiting',
      queueState: 'paused',
      reason: 'because (ann)',
    })
    const again = turns.wait(Q, id, { waitMs: 9_000 })
    await w.clock.advance(1)
    await turns.setState(Q, 'open', { ...act, reason: 'done' })
    expect(await settled(w.clock, again)).toMatchObject({ state: 'holding', fence: 2 })
    expect((await audited(w, seat)).map((e) => [e.action, e.actor, e.target, e.reason])).toEqual([
      ['turns.pause', 'ann', Q, 'because'],
      ['turns.resume', 'ann', Q, 'done'],
    ])
  })

  it('drains a queue: no joins, but who waits gets its turn', async () => {
    const w = world()
    const { turns } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    const next = turns.join(Q, { id: newId(), waitMs: 9_000 })
    await w.clock.settle()
    await turns.setState(Q, 'draining', act)
    await expect(turns.join(Q, { id: newId() })).rejects.toMatchObject({ code: 'queue_paused' })
    await turns.leave(Q, holder.id)
    expect(await settled(w.clock, next)).toMatchObject({ state: 'holding' })
  })

  it('evicts a holder: it is told at its next beat, and its permit is free only when it has left', async () => {
    const w = world()
    const seat = w.open()
    const { turns } = seat
    const holder = await turns.join(Q, { id: newId() })
    const next = turns.join(Q, { id: newId(), waitMs: 9_000 })
    await w.clock.settle()
    expect(await turns.evict(Q, holder.id, act)).toEqual({ outcome: 'ending' })
    expect(await turns.evict(Q, holder.id, act)).toEqual({ outcome: 'ending' })
    expect(await isPending(w.clock, next)).toBe(true)
    await expect(turns.beat(Q, holder.id, 1)).rejects.toMatchObject({
      code: 'turn_lost',
      message: expect.stringContaining('ann: because'),
    })
    expect(await turns.wait(Q, holder.id, {})).toMatchObject({ state: 'lost', reason: 'because (ann)' })
    expect((await turns.show(Q)).holders[0]).toMatchObject({ id: holder.id, ending: { by: 'ann' } })
    expect(await isPending(w.clock, next)).toBe(true)
    await turns.leave(Q, holder.id, 1)
    expect(await settled(w.clock, next)).toMatchObject({ state: 'holding', fence: 2 })
    expect((await turns.history(Q)).holds).toMatchObject([
      { fence: 1, as: 'evicted', note: { by: 'ann', reason: 'because' } },
    ])
    expect(await audited(w, seat)).toMatchObject([
      { action: 'turns.evict', details: { member: holder.id, force: false } },
    ])
    await w.check(Q)
  })

  it('evicts a dead holder: its permit is free after a TTL', async () => {
    const w = world()
    const { turns } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    await turns.evict(Q, holder.id, act)
    await w.clock.advance(DEFAULT_TTL_MS)
    expect((await turns.show(Q)).holders).toEqual([])
    expect((await turns.history(Q)).holds).toMatchObject([{ as: 'evicted' }])
  })

  it('frees a permit at once only by force', async () => {
    const w = world()
    const { turns } = w.open()
    const holder = await turns.join(Q, { id: newId() })
    const next = turns.join(Q, { id: newId(), waitMs: 9_000 })
    await w.clock.settle()
    expect(await turns.evict(Q, holder.id, { ...act, force: true })).toEqual({ outcome: 'evicted' })
    expect(await settled(w.clock, next)).toMatchObject({ state: 'holding', fence: 2 })
    await expect(turns.beat(Q, holder.id, 1)).rejects.toMatchObject({ code: 'turn_lost' })
    expect(await turns.evict(Q, holder.id, act)).toEqual({ outcome: 'gone' })
  })

  it('evicts a waiter for good, and its open request hears of it', async () => {
    const w = world()
    const { turns } = w.open()
    await turns.join(Q, { id: newId() })
    const id = newId()
    const waiting = turns.join(Q, { id, waitMs: 9_000 })
    await w.clock.settle()
    expect(await turns.evict(Q, id, act)).toEqual({ outcome: 'evicted' })
    expect(await settled(w.clock, waiting)).toMatchObject({ state: 'lost', reason: 'because (ann)' })
    await expect(turns.join(Q, { id })).rejects.toMatchObject({ code: 'turn_lost' })
    await w.check(Q)
  })

  it('raises permits, which grants at once, and lowers them, which revokes nobody', async () => {
    const w = world()
    const { turns } = w.open()
    const first = await turns.join(Q, { id: newId() })
    const others = Array.from({ length: 3 }, () => turns.join(Q, { id: newId(), waitMs: 9_000 }))
    await w.clock.settle()
    expect(await turns.setPermits(Q, 3, act)).toEqual({ changed: true })
    expect((await turns.show(Q)).holders).toHaveLength(3)
    await turns.setPermits(Q, 1, act)
    expect((await turns.show(Q)).holders).toHaveLength(3)
    await turns.leave(Q, first.id)
    expect((await turns.show(Q)).holders).toHaveLength(2)
    await Promise.allSettled(others.slice(0, 2))
    await expect(turns.join(Q, { id: newId(), permits: 3 })).rejects.toMatchObject({ code: 'conflict' })
  })

  it('raises permits to the most with many waiting, beyond what one commit holds', async () => {
    const w = world()
    const { turns } = w.open()
    const ids = Array.from({ length: 260 }, () => newId())
    await Promise.all(ids.map((id) => turns.join(Q, { id, ttlMs: 3_600_000 })))
    const untilHolding = async (id: string): Promise<void> => {
      while ((await turns.wait(Q, id, { waitMs: 60_000 })).state === 'waiting');
    }
    const waits = ids.map(untilHolding)
    await w.clock.settle()
    await turns.setPermits(Q, 250, act)
    for (let i = 0; i < 20; i++) await w.clock.advance(100)
    expect((await turns.show(Q)).holders.map((h) => h.ticket)).toEqual(
      Array.from({ length: 250 }, (_, i) => i + 1),
    )
    await turns.close()
    await Promise.allSettled(waits)
  })

  it('cannot change what is not there, and makes a queue only by set-permits', async () => {
    const { turns } = world().open()
    await expect(turns.setState('none', 'paused', act)).rejects.toMatchObject({ code: 'not_found' })
    await expect(turns.evict('none', newId(), act)).rejects.toMatchObject({ code: 'not_found' })
    await expect(turns.history('none')).rejects.toMatchObject({ code: 'not_found' })
    expect((await turns.list()).queues).toEqual([])
    await turns.setPermits('some', 1, act)
    expect((await turns.list()).queues).toMatchObject([{ queue: 'some', permits: 1 }])
  })

  it('does a repeated change once, also when the answer was lost', async () => {
    const w = world()
    const seat = w.open()
    const { turns, store } = seat
    await turns.join(Q, { id: newId() })
    store.faults.next('commit', 'lostAfter')
    const paused = turns.setState(Q, 'paused', act)
    await w.clock.advance(1_000)
    await paused
    expect(await audited(w, seat)).toHaveLength(1)
  })
})

describe('the history of a queue', () => {
  it('says who held, how long and how it ended, newest first, in pages', async () => {
    const w = world()
    const { turns } = w.open()
    for (let i = 0; i < 3; i++) {
      const { id } = await turns.join(Q, { id: newId(), labels: { job: `job ${i}` } })
      await w.clock.advance(1_000 * (i + 1))
      await turns.leave(Q, id)
    }
    await turns.join(Q, { id: newId() })
    await w.clock.advance(DEFAULT_TTL_MS)
    const first = await turns.history(Q, { limit: 2 })
    expect(first.holds.map((h) => [h.fence, h.as, h.heldMs])).toEqual([
      [4, 'lost', DEFAULT_TTL_MS],
      [3, 'released', 3_000],
    ])
    const second = await turns.history(Q, { limit: 2, before: first.next! })
    expect(second.holds.map((h) => [h.fence, h.labels])).toEqual([
      [2, { job: 'job 1' }],
      [1, { job: 'job 0' }],
    ])
    expect(second.next).toBeUndefined()
  })
})
