/**
 * The load, in a process of its own: KNOWN requests join each of PROVIDERS providers, then CONNECTIONS clients poll for them, in a loop for
 * SECONDS. `changed`: each poll changes its request's priority, and so must be written; `again`: each is a plain re-poll, as
 * nearly all are in life.
 *
 * node load.ts URL CONNECTIONS PROVIDERS KNOWN SECONDS changed|again  →  one line of JSON: { polls, seconds, p50, p99 } (ms)
 */
import { quantile } from '../support/statistics.ts'
import { Connection } from '../support/wire.ts'

const [url = '', connections = '64', providers = '1', known = '10', seconds = '3', kind = 'again'] =
  process.argv.slice(2)
const lines = await Promise.all(Array.from({ length: Number(connections) }, () => Connection.open(url)))
const times: number[] = []

function body(request: number, round: number): object {
  // The priority of one that holds its line; a change moves it up and down by one.
  const priority = 2 * request + 1 + (kind === 'changed' ? round % 2 : 0)
  const head_sha = `sha-${request}`.padEnd(40, '0')
  return { head_sha, head_ref: `gh-readonly-queue/main/pr-${request + 1}-${'a'.repeat(40)}`, priority }
}

async function poll(connection: Connection, provider: number, request: number, round: number): Promise<void> {
  const told = await connection.request('POST', `/bench/p${provider}/main/acquire`, body(request, round))
  const { status } = told as { status: string }
  if (status !== 'pending') throw new Error(`unexpected: ${JSON.stringify(told)}`)
}

let next = 0
const total = Number(providers) * Number(known)
await Promise.all(
  lines.map(async (connection) => {
    while (next < total) {
      const n = next++
      await poll(connection, Math.floor(n / Number(known)), n % Number(known), 0)
    }
  }),
)

const startedAt = performance.now()
const stopAt = startedAt + Number(seconds) * 1_000
await Promise.all(
  lines.map(async (connection, index) => {
    for (let round = 1; performance.now() < stopAt; round++) {
      const request = (index + round * lines.length) % Number(known)
      const sentAt = performance.now()
      await poll(connection, index % Number(providers), request, round)
      times.push(performance.now() - sentAt)
    }
    connection.close()
  }),
)
const took = (performance.now() - startedAt) / 1_000
times.sort((a, b) => a - b)
process.stdout.write(
  `${JSON.stringify({ polls: times.length, seconds: took, p50: quantile(times, 0.5), p99: quantile(times, 0.99) })}\n`,
)
process.exit(0)
