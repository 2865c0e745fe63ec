import { describe, expect, it } from 'vitest'
import { memoryStore, type MemoryStore } from '../../drivers/memory/index.ts'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { auditChange } from '../../ports/audit.ts'
import { readAudit, type AuditRange } from './audit-log.ts'

const HOUR = 3_600_000

/** A store with one entry every 16 hours, `count` of them, the newest a moment ago. */
async function world(count: number): Promise<{ store: MemoryStore; clock: ManualClock; times: number[] }> {
  const clock = new ManualClock()
  const store = memoryStore({ clock })
  const random = seededRandom(3)
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const at = clock.now()
    times.unshift(at)
    await store.commit([auditChange({ at, actor: 'ann', action: 'turns.pause', target: `q${i}` }, random)])
    await clock.advance(i === count - 1 ? 1 : 16 * HOUR)
  }
  return { store, clock, times }
}

/** All pages of a range. */
async function pages(store: MemoryStore, range: AuditRange): Promise<number[][]> {
  const found: number[][] = []
  for (let after: string | undefined; ;) {
    const page = await readAudit(store, { ...range, ...(after === undefined ? {} : { after }) })
    found.push(page.entries.map(({ at }) => Date.parse(at)))
    if (page.next === undefined) return found
    after = page.next
  }
}

describe('the audit log', () => {
  it.each([1, 2, 3, 7, 1_000])('is read newest first, across days, %i a page', async (limit) => {
    const { store, times } = await world(20)
    const found = await pages(store, { limit })
    expect(found.flat()).toEqual(times)
    expect(found.slice(0, -1).every((page) => page.length === limit)).toBe(true)
  })

  it('is cut by its range: from is in it, to is not', async () => {
    const { store, times } = await world(20)
    const [to = 0, from = 0] = [times[5], times[12]]
    expect((await pages(store, { from, to, limit: 3 })).flat()).toEqual(times.slice(6, 13))
    expect(await readAudit(store, { from: to, to: from })).toEqual({ entries: [] })
    expect(await readAudit(store, { to: 0 })).toEqual({ entries: [] })
  })

  it('keeps entries of one instant apart', async () => {
    const clock = new ManualClock()
    const store = memoryStore({ clock })
    const entry = { at: clock.now(), actor: 'ann', action: 'a.b', reason: 'r', details: { n: 1 } }
    for (const [n, next] of [0.1, 0.2, 0.3].entries()) {
      await store.commit([
        auditChange({ ...entry, target: `t${n}` }, { ...seededRandom(1), next: () => next }),
      ])
    }
    const one = await readAudit(store, { limit: 2 })
    const two = await readAudit(store, { limit: 2, after: one.next ?? '' })
    expect([...one.entries, ...two.entries].map(({ target }) => target)).toEqual(['t2', 't1', 't0'])
    expect(one.entries[0]).toMatchObject({ reason: 'r', details: { n: 1 } })
  })

  it('ends after 90 days', async () => {
    const { store, clock } = await world(2)
    await clock.advance(90 * 24 * HOUR)
    expect(await readAudit(store)).toEqual({ entries: [] })
  })
})
