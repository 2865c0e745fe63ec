import { describe, expect, it } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { sleep } from '../kernel/clock.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { RateLimit } from './rate-limit.ts'

const limits = { job: 'mail', limit: 10, perMs: 1_000, maxWaitMs: 1_000 }

/** Asks as a worker does, for one job after the other, each until it may start. */
async function starts(
  clock: ManualClock,
  limit: RateLimit,
  jobs: number,
): Promise<{ at: number[]; asked: number }> {
  const at: number[] = []
  let asked = 0
  const one = async (): Promise<void> => {
    for (;;) {
      asked += 1
      const slot = await limit.take()
      if ('waitMs' in slot) {
        await sleep(clock, slot.waitMs)
        at.push(clock.monotonic())
        return
      }
      await sleep(clock, slot.againMs)
    }
  }
  await Promise.all(Array.from({ length: jobs }, one))
  return { at, asked }
}

async function played<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  const state = { done: false }
  void work.then(() => (state.done = true))
  for (let i = 0; i < 600 && !state.done; i++) await clock.advance(100)
  return work
}

/** The most starts in any window of so long. */
function most(at: readonly number[], windowMs: number): number {
  const sorted = at.toSorted((a, b) => a - b)
  return Math.max(...sorted.map((from) => sorted.filter((t) => t >= from && t < from + windowMs).length))
}

describe('a rate limit', () => {
  it('starts no more than its limit in any window, and no fewer than it may', async () => {
    const clock = new ManualClock()
    const { at, asked } = await played(clock, starts(clock, new RateLimit({ ...limits, clock }), 100))
    expect(most(at, 1_000)).toBeLessThanOrEqual(10)
    expect(Math.max(...at)).toBeLessThan(12_000)
    // Those who had to come back came at different times, and few of them twice.
    expect(asked).toBeLessThan(300)
  })

  it('is shared by all processes on a store, also when commits conflict', async () => {
    const clock = new ManualClock()
    const database = memoryDatabase({ limits: { keys: 'decimal' } })
    const workers = [1, 2, 3].map(() => {
      const store = database.connect({ clock, faults: { conflict: 0.2 } })
      return starts(clock, new RateLimit({ ...limits, clock, store }), 30)
    })
    const all = await played(clock, Promise.all(workers))
    const at = all.flatMap((each) => each.at)
    expect(at).toHaveLength(90)
    expect(most(at, 1_000)).toBeLessThanOrEqual(10)
    expect(Math.max(...at)).toBeLessThan(15_000)
  })

  it('starts nothing while its store fails, and goes on afterwards', async () => {
    const clock = new ManualClock()
    const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
    const limit = new RateLimit({ ...limits, clock, store })
    store.faults.next('get', 'unavailable')
    expect(await limit.take()).toEqual({ againMs: 1_000 })
    store.faults.next('commit', 'lostAfter')
    expect(await limit.take()).toEqual({ againMs: 1_000 })
    expect(await limit.take()).toEqual({ waitMs: 100 }) // the slot of the lost answer is lost
  })

  it('reserves nothing for those who would wait too long', async () => {
    const clock = new ManualClock()
    const limit = new RateLimit({ ...limits, clock })
    const slots = await Promise.all(Array.from({ length: 30 }, () => limit.take()))
    expect(slots.filter((slot) => 'waitMs' in slot)).toHaveLength(11)
    const later = slots.flatMap((slot) => ('againMs' in slot ? [slot.againMs] : []))
    expect(new Set(later).size).toBe(later.length)
  })
})
