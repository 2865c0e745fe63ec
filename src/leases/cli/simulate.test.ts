import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { LeaseHistoryView, PastRequestView, ProviderName } from '../api.ts'
import { config } from '../testing/world.ts'
import { historyIn, historyOf, simulated, simulationRequest, type SimulateFlags } from './simulate.ts'

const provider: ProviderName = { owner: 'acme', repo: 'shop', baseRef: 'main' }
const NOW = Date.UTC(2026, 0, 31)
const DAY = 86_400_000
const at = (ms: number): string => new Date(ms).toISOString()

/** One that held for two minutes, `days` ago. */
function past(seq: number, days: number): PastRequestView {
  const joined = NOW - days * DAY
  return {
    seq,
    sha: `sha${seq}`,
    pullRequest: seq,
    priority: 1,
    joinedAt: at(joined),
    grantedAt: at(joined + 60_000),
    endedAt: at(joined + 180_000),
    fence: seq,
    as: 'success',
    batch: seq,
    config: 0,
  }
}

function page(requests: PastRequestView[], next?: number): LeaseHistoryView {
  return { provider: 'acme/shop@main', requests, configs: [config], ...(next === undefined ? {} : { next }) }
}

const asked = (flags: SimulateFlags = {}): ReturnType<typeof simulationRequest> =>
  simulationRequest(provider, flags)

describe('the flags', () => {
  it('change what they name, and nothing else', () => {
    const { changes, pollMs } = asked({ stabilize: '1m', expected: '2', maxLease: '1h', poll: '3s' })
    expect([changes, pollMs]).toEqual([
      { stabilizeMs: 60_000, expectedCount: 2, maxLeaseMs: 3_600_000 },
      3_000,
    ])
  })

  it.each([
    [{ ttl: '0s' }, '--ttl: must be at least 1s'],
    [{ expected: 'two' }, "--expected: 'two' must be a whole number"],
    [{ stabilize: 'long' }, "--stabilize: 'long' is not a duration"],
    [{ poll: '10ms' }, '--poll: must be at least 1s'],
  ])('%o are refused', (flags, message) => {
    expect(() => asked(flags)).toThrow(message)
  })
})

describe('the history', () => {
  it('is read page by page, no farther than is asked for, oldest first', async () => {
    const calls: (number | undefined)[] = []
    const pages: Record<string, LeaseHistoryView> = {
      first: page([past(9, 1), past(8, 2)], 8),
      '8': page([past(7, 3), past(6, 9)], 6),
      '6': page([past(5, 20)]),
    }
    const history = async (
      _: ProviderName,
      { before }: { before?: number } = {},
    ): Promise<LeaseHistoryView> => {
      // prettier-ignore
      calls.push(before)
      return pages[String(before ?? 'first')] ?? page([])
    }
    const week = await historyOf(history, asked({ since: '7d' }), NOW)
    expect([week.map(({ seq }) => seq), calls]).toEqual([
      [7, 8, 9],
      [undefined, 8],
    ])
    expect((await historyOf(history, asked(), NOW)).map(({ seq }) => seq)).toEqual([5, 6, 7, 8, 9])
  })

  it('may come from a file: one answer, or a list of them', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'simulate-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text)
      return join(folder, name)
    }
    const one = file('one.json', JSON.stringify(page([past(2, 1), past(1, 9)])))
    const list = file('list.json', JSON.stringify([page([past(2, 1)]), page([past(1, 9)])]))
    for (const name of [one, list]) expect((await historyIn(name, undefined, NOW)).length).toBe(2)
    expect((await historyIn(one, 7 * DAY, NOW)).length).toBe(1)
    await expect(historyIn(file('bad.json', '{}'), undefined, NOW)).rejects.toThrow('is not a history; save')
    await expect(historyIn(file('text', 'x'), undefined, NOW)).rejects.toThrow('cannot be read')
    await expect(historyIn(join(folder, 'none'), undefined, NOW)).rejects.toThrow('ENOENT')
  })
})

describe('what is printed', () => {
  const requests = async (): ReturnType<typeof historyOf> =>
    historyOf(async () => page([past(2, 1), past(1, 2)]), asked(), NOW)

  it('compares, names what changed for whom, and says what was assumed', async () => {
    const said = simulated(await requests(), asked({ stabilize: '10s', poll: '1s' }))
    expect(said).toMatch(/^acme\/shop@main: 2 recorded requests, played again with window 10s \(was 1m\)\n/)
    expect(said).toMatch(/holds of the lease +2 +2\n/)
    expect(said).toMatch(/median wait +1m +10s\n/)
    expect(said).toMatch(/#1 +sha1 +1 +success after 1m, held 2m +success after 10s, held 2m\n/)
    expect(said).toMatch(/Assumed:\n- each request asks from the moment it was let in, every 1 s/)
    const same = simulated(await requests(), asked({ poll: '1s' }))
    expect(same).toContain('Nothing else would have become of any request.')
  })

  it('is JSON when asked for, and an error when there is nothing', async () => {
    const json: unknown = JSON.parse(simulated(await requests(), asked({ json: true })))
    expect(json).toMatchObject({ provider: 'acme/shop@main', before: config, recorded: { holds: 2 } })
    expect(() => simulated([], asked())).toThrow('there is nothing to simulate')
  })
})
