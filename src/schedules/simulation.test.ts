/** Five servers, 200 every-minute schedules, servers that die, clocks that are wrong, a store that fails. */
import { describe, expect, it } from 'vitest'
import { mutants } from './testing/mutants.ts'
import { simulate } from './testing/simulation.ts'

/** Seconds each, where nothing else runs. */
const LONG = { timeout: 180_000 }

describe('every-minute schedules on five servers under weather', () => {
  it('have one run a minute each, none missing', LONG, async () => {
    const report = await simulate({ seed: 1 })
    expect(report.problems).toEqual([])
    expect(report.fired).toBe(report.wanted)
    expect(report.wanted).toBe(200 * 10)
    expect(report.late).toBeLessThan(100)
    expect(report.deaths).toBeGreaterThan(10)
    expect(report.held).toBeGreaterThan(50)
    expect(report.skipped).toBeGreaterThan(10)
    for (const kind of ['conflict', 'lostAfter', 'lostBefore', 'throttled', 'unavailable', 'cut'] as const) {
      expect(report.faults[kind], kind).toBeGreaterThan(10)
    }
  })

  it('also where servers hardly live', LONG, async () => {
    const report = await simulate({ seed: 2, schedules: 40, minutes: 8, deaths: 20 })
    expect(report.problems).toEqual([])
    expect(report.fired).toBe(report.wanted)
    expect(report.deaths).toBeGreaterThan(50)
  })

  it('play the same way again', LONG, async () => {
    const small = { seed: 7, schedules: 8, minutes: 3, deaths: 6 }
    const first = await simulate(small)
    expect(first.problems).toEqual([])
    expect(await simulate(small)).toEqual(first)
    expect((await simulate({ ...small, seed: 8 })).history).not.toBe(first.history)
  })
})

describe('the judge', () => {
  it.each(mutants.map((mutant) => [mutant.name, mutant] as const))(
    'sees that %s',
    LONG,
    async (_, { sabotage, caughtAs }) => {
      const { problems } = await simulate({ seed: 3, schedules: 30, minutes: 5, sabotage })
      expect(problems.join('\n')).toMatch(caughtAs)
    },
  )
})
