import { describe, expect, it } from 'vitest'
import { seededRandom } from '../kernel/id.ts'
import type { LeaseHistoryView, ProviderConfig } from './api.ts'
import { recordedFrom, simulate, type Recorded, type Simulation } from './simulate.ts'
import { config, provider, world, type World } from './testing/world.ts'

const POLL_MS = 5_000
const START = Date.UTC(2026, 0, 1)

interface Job {
  readonly sha: string
  readonly priority: number
  readonly startsAt: number
  readonly holdMs: number
  readonly success: boolean
  /** It gives up then, if it still waits. */
  readonly leavesAt: number
}

/** Merge groups as GitHub builds them: every few minutes some, each containing those before it. */
function jobs(seed: number): Job[] {
  const random = seededRandom(seed)
  const found: Job[] = []
  for (let at = 0; found.length < 60; at += 60_000 + random.next() * 1_200_000) {
    const size = 1 + Math.floor(random.next() * 5)
    for (let priority = 1; priority <= size; priority++) {
      found.push({
        sha: `s${found.length}`,
        priority,
        startsAt: START + Math.round(at + priority * random.next() * 20_000),
        holdMs: 60_000 + Math.round(random.next() * 500_000),
        success: random.next() < 0.7,
        leavesAt: random.next() < 0.1 ? START + at + 120_000 : Number.POSITIVE_INFINITY,
      })
    }
  }
  return found
}

/** The history that a real service writes of them. */
async function history(seed: number, changes: Partial<ProviderConfig>): Promise<Recorded[]> {
  const made: World = world(changes)
  const { leases } = made.open()
  const play = async ({ sha, priority, startsAt, holdMs, success, leavesAt }: Job): Promise<void> => {
    const { clock } = made
    const until = (at: number): Promise<void> =>
      new Promise((resolve) => void clock.timer(at - clock.now(), resolve))
    await until(startsAt)
    for (;;) {
      if (clock.now() >= leavesAt) {
        await leases.release(provider, { sha, priority, success: false })
        return
      }
      const answer = await leases.acquire(provider, { sha, priority })
      if (answer.kind === 'lease' && answer.status === 'completed') return
      if (answer.kind === 'lease' && answer.status === 'acquired') break
      await until(Math.min(clock.now() + POLL_MS, leavesAt))
    }
    await until(clock.now() + holdMs)
    await leases.release(provider, { sha, priority, success })
  }
  const all = Promise.all(jobs(seed).map(play))
  for (let hours = 0; hours < 12; hours++) await made.clock.advance(3_600_000)
  await all
  const pages: LeaseHistoryView[] = []
  for (let before: number | undefined; ;) {
    const page = await leases.history(provider, { limit: 25, ...(before === undefined ? {} : { before }) })
    pages.push(page)
    before = page.next
    if (before === undefined) return recordedFrom(pages)
  }
}

const waits = ({ requests }: Simulation): number[] =>
  requests.map(({ recorded, simulated }) => Math.abs(recorded.waitedMs - simulated.waitedMs))

describe('the same configuration', () => {
  it.each([
    [1, {}],
    [2, { expectedCount: 2, delayCount: 1 }],
    [3, { stabilizeMs: 0 }],
    [4, { stabilizeMs: 300_000, expectedCount: 5 }],
  ])('gives nearly the same outcome (history %d, %o)', async (seed, changes) => {
    const requests = await history(seed, changes)
    expect(requests.length).toBeGreaterThan(50)
    const again = simulate({ requests, config: { ...config, ...changes }, pollMs: POLL_MS })
    expect(again.simulated.holds).toBe(again.recorded.holds)
    expect(again.simulated.batches).toBe(again.recorded.batches)
    const alike = again.requests.filter((one) => one.recorded.as === one.simulated.as).length
    expect(alike / requests.length).toBeGreaterThan(0.95)
    expect(waits(again).filter((ms) => ms > 2 * POLL_MS).length / requests.length).toBeLessThan(0.05)
  })
})

function one(seq: number, more: Partial<Recorded> = {}): Recorded {
  return {
    seq,
    sha: `s${seq}`,
    priority: seq,
    joinedAt: START,
    endedAt: START + 60_000,
    as: 'completed',
    batch: 1,
    config,
    ...more,
  }
}

describe('another configuration', () => {
  const hold = (seq: number, at: number, ms: number, more: Partial<Recorded> = {}): Recorded =>
    one(seq, { as: 'success', fence: seq, grantedAt: START + at, endedAt: START + at + ms, ...more })

  it('with a window that waits for all needs fewer runs', () => {
    const requests = [
      hold(1, 0, 100_000, { batch: 1 }),
      hold(2, 110_000, 90_000, { batch: 2, joinedAt: START + 10_000 }),
      hold(3, 205_000, 80_000, { batch: 3, joinedAt: START + 20_000 }),
    ]
    const wide = simulate({ requests, config: { ...config, stabilizeMs: 30_000, expectedCount: 9 }, pollMs: 1_000 }) // prettier-ignore
    expect([wide.recorded.holds, wide.simulated.holds]).toEqual([3, 1])
    expect(wide.requests.map(({ simulated }) => simulated.as)).toEqual(['completed', 'completed', 'success'])
    expect(wide.requests[2]?.simulated).toMatchObject({ waitedMs: 30_000, heldMs: 80_000 })
    expect([wide.recorded.heldMs, wide.simulated.heldMs]).toEqual([270_000, 80_000])
  })

  it('lets one hold that never did: it succeeds after the median of the recorded holds, and that is said', () => {
    const requests = [one(1, { joinedAt: START }), hold(2, 60_000, 40_000, { joinedAt: START + 50_000 })]
    const eager = simulate({ requests, config: { ...config, stabilizeMs: 0, expectedCount: 1 }, pollMs: 1_000 }) // prettier-ignore
    expect(eager.requests[0]?.simulated).toEqual({ as: 'success', waitedMs: 0, heldMs: 40_000, batch: 1 })
    expect(eager.assumptions.join('\n')).toContain(
      '1 of 2 requests never held; one that does here succeeds after 40 s, the median of 1 recorded holds',
    )
  })

  it('forgets requests whose clients ask less often than its ttl', () => {
    const requests = [one(1), one(2)]
    const hasty = simulate({ requests, config: { ...config, ttlMs: 2_000 }, pollMs: 10_000 })
    expect(hasty.simulated.evicted).toBeGreaterThan(4)
    expect(hasty.recorded.evicted).toBe(0)
  })

  it('takes a holder for dead that holds longer than it allows', () => {
    const requests = [hold(1, 0, 500_000)]
    const strict = simulate({ requests, config: { ...config, stabilizeMs: 0, maxLeaseMs: 60_000 }, pollMs: 1_000 }) // prettier-ignore
    expect(strict.requests[0]?.simulated).toMatchObject({ as: 'expired', heldMs: 500_000 })
    expect(strict.simulated.failed).toBe(1)
  })

  it('changes nothing for those who gave up, fell silent or died', () => {
    const requests = [
      one(1, { as: 'withdrawn', endedAt: START + 20_000 }),
      one(2, { as: 'evicted', endedAt: START + 60_000 }),
      hold(3, 100_000, 3_600_000, { as: 'expired', joinedAt: START + 90_000 }),
    ]
    const same = simulate({ requests, config, pollMs: 5_000 })
    expect(same.requests.map(({ simulated }) => simulated.as)).toEqual(['withdrawn', 'evicted', 'expired'])
    const cleared = [one(1, { as: 'cleared' }), hold(2, 60_000, 5_000, { as: 'cleared' })]
    expect(simulate({ requests: cleared, config }).requests.map(({ simulated }) => simulated.as)).toEqual([
      'cleared',
      'cleared',
    ])
  })

  it('of nothing is nothing', () => {
    expect(simulate({ requests: [], config }).simulated).toMatchObject({ holds: 0, medianWaitMs: 0 })
  })
})
