import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { Pace } from './pace.ts'

/** Sends as fast as the pace allows, a request at a time, for so long. @returns requests per second */
async function rate(clock: ManualClock, pace: Pace, ms: number, perMs = 1): Promise<number> {
  let count = 0
  const end = clock.monotonic() + ms
  const run = async (): Promise<void> => {
    while (clock.monotonic() < end) {
      await pace.enter()
      if (clock.monotonic() >= end) return
      count += 1
      await new Promise<void>((resolve) => void clock.timer(perMs, resolve))
    }
  }
  const running = run()
  await clock.advance(ms + 2_000)
  await running
  return count / (ms / 1_000)
}

describe('the pace', () => {
  it('is not limited before SQS throttles', async () => {
    const clock = new ManualClock()
    const pace = new Pace(clock)
    expect(pace.rate).toBeUndefined()
    const before = clock.monotonic()
    for (let i = 0; i < 1_000; i++) await pace.enter()
    expect(clock.monotonic()).toBe(before)
  })

  it('halves once for a burst that is throttled, and again for the next', async () => {
    const clock = new ManualClock()
    const pace = new Pace(clock)
    const sent: number[] = []
    for (let i = 0; i < 400; i++) sent.push(await pace.enter())
    await clock.advance(10)
    for (const at of sent) pace.throttled(at)
    expect(pace.rate).toBe(200)
    const entered = pace.enter()
    await clock.advance(10)
    pace.throttled(await entered)
    expect(pace.rate).toBeCloseTo(100, -1)
  })

  it('spreads requests evenly, rises steadily and lets go', async () => {
    const clock = new ManualClock()
    const pace = new Pace(clock)
    for (let i = 0; i < 200; i++) await pace.enter()
    pace.throttled(clock.monotonic())
    expect(pace.rate).toBe(100)
    const slow = await rate(clock, pace, 2_000)
    expect(slow).toBeGreaterThan(90)
    expect(slow).toBeLessThan(125)
    await clock.advance(6_000)
    expect(pace.rate).toBeGreaterThan(190)
    await clock.advance(60_000)
    expect(pace.rate).toBeUndefined()
  })

  it('never stops altogether', async () => {
    const clock = new ManualClock()
    const pace = new Pace(clock)
    for (let i = 0; i < 20; i++) {
      const entered = pace.enter()
      await clock.advance(2_000)
      pace.throttled(await entered)
    }
    expect(pace.rate).toBeGreaterThanOrEqual(1)
  })
})
