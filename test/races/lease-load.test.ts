/**
 * 200 clients that poll without a pause and 50 that read, on one server: never a 5xx, never an answer that is not JSON, and the leases go round
 * all the while. `LEASE_LOAD_SECONDS=60` plays longer.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { quantile } from '../../benchmarks/support/statistics.ts'
import { post, startLeaseServer, type Told } from '../leases/support/lease-server.ts'
import { until } from '../support/processes.ts'

const SECONDS = Number(process.env['LEASE_LOAD_SECONDS'] ?? 10)
const POLLERS = 200
const READERS = 50
const PROVIDERS = ['shop', 'bank']

it(
  `answers ${POLLERS} pollers and ${READERS} readers without a 5xx`,
  { timeout: 120_000 + SECONDS * 2_000 },
  async () => {
    const each = POLLERS / PROVIDERS.length
    const server = await startLeaseServer({
      providers: PROVIDERS.map((name) => ({ name, expected_request_count: each })),
    })
    const codes: Record<string, number> = {}
    const times: number[] = []
    const over = new AbortController()
    const count = (what: string, startedAt: number): void => {
      times.push(performance.now() - startedAt)
      codes[what] = (codes[what] ?? 0) + 1
    }
    const ask = async (url: string, body: object): Promise<Told> => {
      const startedAt = performance.now()
      const told = await post(url, body)
      count(`${told.code} ${told.status ?? ''}`.trim(), startedAt)
      return told
    }

    const poll = async (index: number): Promise<void> => {
      const url = `${server.url}/acme/${PROVIDERS[index % PROVIDERS.length]}/main`
      for (let round = 0; !over.signal.aborted; round++) {
        const body = { head_sha: `${index}-${round}`, priority: 1 + (index % each) }
        let told = await ask(`${url}/acquire`, body)
        while (!over.signal.aborted && (told.code === 409 || told.status === 'pending')) {
          told = await ask(`${url}/acquire`, body)
        }
        if (told.status !== 'acquired') continue
        await pause(10)
        await ask(`${url}/release`, { ...body, status: (index + round) % 3 === 0 ? 'failure' : 'success' })
      }
    }
    const read = async (index: number): Promise<void> => {
      const paths = ['/', '/acme/shop/main', '/acme/bank/main', '/metrics']
      for (let i = index; !over.signal.aborted; i++) {
        const startedAt = performance.now()
        const path = paths[i % paths.length] ?? '/'
        const answer = await fetch(server.url + path)
        const text = await answer.text()
        if (path !== '/metrics') JSON.parse(text)
        count(`${answer.status} read`, startedAt)
      }
    }
    const startedAt = performance.now()
    const load = Promise.all([
      ...Array.from({ length: POLLERS }, (_, i) => poll(i)),
      ...Array.from({ length: READERS }, (_, i) => read(i)),
    ])
    load.catch(() => undefined) // awaited below
    await pause(SECONDS * 1_000)
    // A slow machine takes longer until somebody was told each of these.
    const kinds = ['200 pending', '200 acquired', '200 completed', '200 failure', '200 read', '409']
    await until('all answers were given', () => kinds.every((kind) => kind in codes), 100_000).finally(() =>
      over.abort(),
    )
    await load
    const seconds = (performance.now() - startedAt) / 1_000
    times.sort((a, b) => a - b)
    console.log(
      `${Math.round(times.length / seconds)} answers a second, p50 ${quantile(times, 0.5)} ms, p99 ${quantile(times, 0.99)} ms: ${JSON.stringify(codes)}`,
    )
    const unexpected = Object.keys(codes).filter((what) => !/^(200 |409)/.test(what))
    expect(unexpected).toEqual([])
    await server.stop()
  },
)
