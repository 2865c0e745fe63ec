/**
 * What turn queues cost without a server, counted at the store over ten simulated minutes: a deep waiter reads at most three times
 * a minute and writes nothing, the front beats, and neither depends on the length of the line.
 */
import { expect, it } from 'vitest'
import { Crowd, type CrowdOptions, type CrowdReport } from './crowd.ts'

const MINUTES = 60_000
/** As seen from a runner of GitHub's to a cloud in its region. */
const usual = { permits: 1, pushed: false, forMs: 10 * MINUTES, wayMs: [3, 12] } as const

function play(
  options: Partial<CrowdOptions> & Pick<CrowdOptions, 'waiters' | 'holdMs'>,
): Promise<CrowdReport> {
  return new Crowd({ ...usual, ...options }).play()
}

function perMinute(
  { cost }: CrowdReport,
  where: 'holder' | 'front' | 'deep',
  what: 'reads' | 'writes',
): number {
  return cost[where][what] / cost[where].minutes
}

function p95({ handOffMs }: CrowdReport): number {
  return handOffMs[Math.floor(0.95 * (handOffMs.length - 1))] ?? Number.NaN
}

it('costs a deep waiter at most 3 reads a minute, and no write, where the store cannot push', async () => {
  const report = await play({ waiters: 200, holdMs: 20_000 })
  expect(report.turns).toBeGreaterThan(25)
  expect(perMinute(report, 'deep', 'reads')).toBeLessThanOrEqual(3)
  expect(report.cost.deep.writes).toBe(0)
  expect(p95(report)).toBeLessThan(1_500)
})

it('costs it less than one where the store pushes', async () => {
  const report = await play({ waiters: 200, holdMs: 20_000, pushed: true })
  expect(perMinute(report, 'deep', 'reads')).toBeLessThan(1)
  expect(report.cost.deep.writes).toBe(0)
  expect(p95(report)).toBeLessThan(1_000)
})

it.each([false, true])(
  'has holders and the first waiters beat six times a minute (pushed: %s)',
  async (pushed) => {
    const report = await play({ waiters: 200, holdMs: 12 * MINUTES, pushed })
    // The holder's own claim comes on top.
    expect(report.cost.holder.writes).toBeLessThanOrEqual(6 * 10 + 1)
    expect(perMinute(report, 'front', 'writes')).toBeLessThanOrEqual(6)
  },
)

it('gives 200 who join within half a second their tickets in a few commits', async () => {
  const report = await play({ waiters: 200, holdMs: 20_000, forMs: MINUTES })
  expect(report.joinedMs).toBeLessThan(5_000)
  // One post each, and some thirty tickets a commit; one try each before that.
  expect(report.joinCommits.done).toBeLessThan(201 + 20)
  expect(report.joinCommits.tried).toBeLessThan(3 * 201)
})

it('stays linear up to 10,000 waiters: the same cost each, in order', { timeout: 600_000 }, async () => {
  const sizes = [100, 1_000, 10_000]
  const reads: number[] = []
  const units: number[] = []
  for (const waiters of sizes) {
    const rushMs = 15 * waiters
    const report = await play({ waiters, holdMs: 5_000, rushMs, forMs: rushMs + 2 * MINUTES })
    expect(report.outOfOrder).toBe(0)
    expect(report.turns).toBeGreaterThan(15)
    const { deep } = report.cost
    expect(deep.minutes).toBeGreaterThan(waiters / 2)
    reads.push(deep.reads / deep.minutes)
    units.push(deep.readUnits / deep.minutes)
  }
  console.log(
    `reads a minute of a deep waiter among ${sizes.join(', ')}: ${reads.map((r) => r.toFixed(2)).join(', ')}`,
  )
  for (const each of reads) expect(each).toBeLessThan(3.3)
  for (const each of units) expect(each).toBeLessThan(4)
})
