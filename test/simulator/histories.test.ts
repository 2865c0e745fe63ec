/** Random histories of turn queues keep every invariant; what they are is in history.ts, and how to replay one in run.ts. */
import { expect, it } from 'vitest'
import { inPairs, simulate } from './processes.ts'
import { replay } from './report.ts'
import { addTally, emptyTally, faultKinds } from './tally.ts'

/** Histories of one process; every 40th is large, every 400th has hundreds of waiters. */
const PART = 500
const PARTS = 8

it(`keeps every invariant in ${PART * PARTS} histories, and injects every kind of fault`, async () => {
  const parts = Array.from({ length: PARTS }, (_, i) => 1 + i * PART)
  const reports = await inPairs(parts, (from) => simulate('--from', `${from}`, '--count', `${PART}`))
  const faults = emptyTally()
  for (const report of reports) addTally(faults, report.faults)
  const sum = (of: 'histories' | 'events' | 'members' | 'grants' | 'evictions'): number =>
    reports.reduce((total, report) => total + report[of], 0)
  console.log(
    `${sum('histories')} histories: ${sum('events')} events, ${sum('members')} members, ${sum('grants')} grants, ` +
      `${sum('evictions')} evictions\nfaults injected: ${JSON.stringify(faults)}`,
  )
  const broken = reports.flatMap(({ failure }) => (failure === undefined ? [] : [failure]))
  const told = broken.map((f) => `${f.invariant}: ${f.detail}\n  ${replay(f.seed, { serverless: false })}`)
  expect(told).toEqual([])
  expect(faultKinds.filter((kind) => faults[kind] === 0)).toEqual([])
  expect(sum('grants')).toBeGreaterThan(PART * PARTS)
})

it(`keeps them in ${PART * 4} histories without servers, where each member stands next to the store`, async () => {
  const parts = Array.from({ length: 4 }, (_, i) => 1 + i * PART)
  const reports = await inPairs(parts, (from) =>
    simulate('--serverless', '--from', `${from}`, '--count', `${PART}`),
  )
  const broken = reports.flatMap(({ failure }) => (failure === undefined ? [] : [failure]))
  const told = broken.map((f) => `${f.invariant}: ${f.detail}\n  ${replay(f.seed, { serverless: true })}`)
  expect(told).toEqual([])
  expect(reports.reduce((sum, { grants }) => sum + grants, 0)).toBeGreaterThan(PART * 4)
})

it('plays the same from the same seeds, and otherwise not', async () => {
  const seeds = ['--from', '31', '--count', '30']
  const [first, again, other] = await Promise.all([
    simulate(...seeds),
    simulate(...seeds),
    simulate('--from', '32', '--count', '30'),
  ])
  expect(again).toEqual({ ...first, seconds: again.seconds })
  expect(other.hash).not.toBe(first.hash)
})
