/**
 * A hundred merge groups wait with the real client while the only server is stopped and started, and killed and started, again and again: nobody
 * fails, everybody is granted or completed in the end, no two hold at once, fences only grow, and every answer is JSON.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, expect, it } from 'vitest'
import { leasesOver } from '../../src/client/leases.ts'
import { Transport, type Exchange, type RawAnswer } from '../../src/client/transport.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { openLease, type Lease } from '../../src/leases/session.ts'
import { startLeaseServer } from '../leases/support/lease-server.ts'
import { endProcesses, until, type ServerProcess } from '../support/processes.ts'

const PROVIDERS = ['shop', 'bank', 'post', 'zoo', 'farm']
const GROUPS = 20
/** Of each batch the highest so many fail; the next one succeeds, and all below it are completed. */
const FAILURES = 2
const RESTARTS = 4

afterAll(endProcesses)

/** Notices what came back that is not JSON. */
class WatchedTransport extends Transport {
  readonly foreign: string[] = []
  answers = 0

  override async exchange(call: Exchange): Promise<RawAnswer> {
    const answer = await super.exchange(call)
    this.answers++
    try {
      JSON.parse(answer.text)
    } catch {
      this.foreign.push(`${answer.status}: ${answer.text.slice(0, 200)}`)
    }
    return answer
  }
}

interface Hold {
  readonly provider: string
  readonly fence: number
  readonly from: number
  readonly to: number
}

it('nobody notices a restart but by waiting', { timeout: 300_000 }, async () => {
  const providers = PROVIDERS.map((name) => ({ name, expected_request_count: GROUPS, ttl_seconds: 20 }))
  let server = await startLeaseServer({ providers })
  const { url, dataDir } = server
  const start = (): Promise<ServerProcess> =>
    startLeaseServer({ providers, dataDir, port: Number(new URL(url).port) })
  const transport = new WatchedTransport({ url: new URL(url), clock: systemClock, random: systemRandom })
  const holds: Hold[] = []
  let away = 0

  const work = async (provider: string, lease: Lease, succeeds: boolean): Promise<void> => {
    const from = performance.now()
    await pause(300)
    expect(lease.isHeld()).toBe(true)
    holds.push({ provider, fence: lease.fence ?? 0, from, to: performance.now() })
    const told = await lease.release(succeeds ? 'success' : 'failure')
    expect(told, JSON.stringify(told)).toMatchObject({
      kind: 'lease',
      status: succeeds ? 'completed' : 'failure',
    })
  }
  const group = async (provider: string, priority: number): Promise<string> => {
    const opened = await openLease({
      api: leasesOver(transport),
      clock: systemClock,
      random: systemRandom,
      provider: { owner: 'acme', repo: provider, baseRef: 'main' },
      request: { sha: `${provider}-${priority}`, priority, leaseMs: 60_000 },
      onProgress: ({ type }) => {
        if (type === 'unreachable' || type === 'release_failed') away++
      },
    })
    if (opened.status === 'completed') return 'completed'
    const succeeds = priority <= GROUPS - FAILURES
    await work(provider, opened.lease, succeeds)
    return succeeds ? 'success' : 'failure'
  }

  let ended = 0
  const groups = PROVIDERS.flatMap((provider) =>
    Array.from({ length: GROUPS }, async (_, i) => {
      const became = await group(provider, i + 1)
      ended++
      return `${provider} ${i + 1} ${became}`
    }),
  )
  const became = Promise.all(groups)
  became.catch(() => undefined) // awaited below
  for (let i = 0; i < RESTARTS; i++) {
    const how = i % 2 === 0 ? 'SIGTERM' : 'SIGKILL'
    await pause(300 + Math.random() * 700)
    server.running.kill(how)
    expect(await server.running.exited).toBe(how === 'SIGTERM' ? 0 : how)
    const before = away
    await until('somebody has noticed', () => away > before || ended === groups.length)
    const granted = holds.length
    server = await start()
    await until('somebody has held', () => i === 0 || holds.length > granted || ended === groups.length)
  }
  const expected = PROVIDERS.flatMap((provider) =>
    Array.from({ length: GROUPS }, (_, i) => {
      const after = i + 1 - (GROUPS - FAILURES)
      return `${provider} ${i + 1} ${after > 0 ? 'failure' : after === 0 ? 'success' : 'completed'}`
    }),
  )
  expect(await became).toEqual(expected)
  for (const name of PROVIDERS) {
    const own = holds.filter(({ provider }) => provider === name).sort((a, b) => a.from - b.from)
    expect(own.map(({ fence }) => fence)).toEqual([1, 2, 3])
    for (const [i, { from }] of own.entries()) expect(from).toBeGreaterThan(own[i - 1]?.to ?? 0)
  }
  expect(transport.foreign).toEqual([])
  console.log(
    `${RESTARTS} restarts, ${transport.answers} answers, ${away} calls repeated because the server was away`,
  )
  expect(away).toBeGreaterThan(0)
  await transport.close()
  await server.stop()
})
