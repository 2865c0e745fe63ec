import { describe, expect, it } from 'vitest'
import { ManualClock } from '../kernel/manual-clock.ts'
import { ServerTime } from './server-time.ts'

const HOUR = 3_600_000

/** A server whose clock is an hour ahead. */
function world() {
  const clock = new ManualClock()
  const time = new ServerTime(clock)
  const server = { aheadMs: HOUR }
  const ask = async (toMs: number, backMs: number): Promise<void> => {
    const sentAt = clock.monotonic()
    await clock.advance(toMs)
    const now = clock.now() + server.aheadMs
    await clock.advance(backMs)
    time.learn(sentAt, now)
  }
  /** How much earlier a moment of the server's is taken to be than it is. */
  const early = (): number => clock.now() - time.ours(clock.now() + server.aheadMs)
  return { clock, time, server, ask, early }
}

describe('a server’s time', () => {
  it('is taken as ours while nothing is known', () => {
    const { time } = world()
    expect(time.ours(5)).toBe(5)
    time.learn(0, undefined)
    expect(time.ours(5)).toBe(5)
  })

  it('becomes ours, early by the way there at most, and by the shortest of all', async () => {
    const { ask, early } = world()
    await ask(30, 500)
    expect(early()).toBe(30)
    await ask(5_000, 0)
    expect(early()).toBeLessThanOrEqual(31)
    await ask(2, 0)
    expect(early()).toBe(2)
  })

  it('is never late, however old the knowledge is', async () => {
    const { ask, early, clock, server } = world()
    await ask(1, 1)
    for (let i = 0; i < 100; i++) {
      await clock.advance(60_000)
      server.aheadMs += 5
      expect(early()).toBeGreaterThanOrEqual(0)
      if (i % 10 === 0) await ask(10, 10)
      expect(early()).toBeGreaterThanOrEqual(0)
    }
    expect(early()).toBeLessThan(10_000)
  })

  it('is learnt anew when a clock was set', async () => {
    for (const jump of [-HOUR, HOUR]) {
      const { ask, early, server } = world()
      await ask(1, 1)
      server.aheadMs += jump
      await ask(10, 10)
      expect(early()).toBe(10)
    }
  })
})
