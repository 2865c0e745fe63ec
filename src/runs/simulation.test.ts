import { describe, expect, it } from 'vitest'
import type { RunsService } from './service.ts'
import { simulate } from './testing/simulation.ts'

/** A second each, where nothing else runs. */
const LONG = { timeout: 120_000 }

describe('runs under weather', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('seed %i', LONG, async (seed) => {
    const { problems, states, faults } = await simulate({ seed })
    expect(problems).toEqual([])
    expect(faults).toBeGreaterThan(50)
    expect(Object.values(states).reduce((a, b) => a + b, 0)).toBeGreaterThan(20)
  })
})

describe('the judge', () => {
  const found = async (sabotage: (runs: RunsService) => Partial<RunsService>): Promise<string> => {
    const broken = (runs: RunsService): RunsService => {
      const changed = sabotage(runs)
      return new Proxy(runs, {
        get(target, name: keyof RunsService) {
          const member: unknown = changed[name] ?? target[name]
          return typeof member === 'function' ? (member.bind(target) as unknown) : member
        },
      })
    }
    return (await simulate({ seed: 3, runs: 40, sabotage: broken })).problems.join('\n')
  }

  it('sees a success that was accepted and is not recorded', LONG, async () => {
    const problems = await found((runs) => ({
      finish: async (...args) => ({ ...(await runs.finish(...args)), accepted: true }),
    }))
    expect(problems).toMatch(/accepted as \w+, but recorded as/)
  })

  it('sees a run that two have', LONG, async () => {
    const problems = await found((runs) => ({
      async claim(id, claim) {
        const answer = await runs.claim(id, claim)
        if (answer.claimed || answer.why !== 'running') return answer
        const epoch = (await runs.get(id)).attempt
        return {
          claimed: true,
          epoch,
          attempt: 1,
          run: (await runs.list({ limit: 1 })).runs[0] as never,
          input: null,
        }
      },
    }))
    expect(problems).toMatch(/claimed by two/)
  })

  it('sees a line that is logged twice', LONG, async () => {
    const problems = await found((runs) => ({
      log: (id, epoch, lines) => runs.log(id, epoch, [...lines, ...lines]),
    }))
    expect(problems).toMatch(/doubled or missing/)
  })
})
