/**
 * The load, in a process of its own: CONNECTIONS members that join, get their turn, and release, in a loop for SECONDS.
 *
 * node load.ts URL CONNECTIONS QUEUES SECONDS  →  one line of JSON: { cycles, seconds, p50, p99 } (ms per cycle)
 */
import { Connection } from '../support/wire.ts'
import { quantile } from '../support/statistics.ts'

const [url = '', connections = '64', queues = '64', seconds = '3'] = process.argv.slice(2)
const stopAt = performance.now() + Number(seconds) * 1_000
const durations: number[] = []
let members = 0

async function work(index: number): Promise<void> {
  const connection = await Connection.open(url)
  const path = `/api/v1/turns/bench-${index % Number(queues)}/members`
  while (performance.now() < stopAt) {
    const id = `${process.pid}-${index}-${members++}`.padEnd(8, '-')
    const startedAt = performance.now()
    let view = (await connection.request('POST', path, { id, waitMs: 30_000 })) as { state: string }
    while (view.state === 'waiting')
      view = (await connection.request('POST', `${path}/${id}/wait`, { waitMs: 30_000 })) as { state: string }
    if (view.state !== 'holding') throw new Error(`unexpected: ${JSON.stringify(view)}`)
    await connection.request('DELETE', `${path}/${id}`)
    durations.push(performance.now() - startedAt)
  }
  connection.close()
}

const startedAt = performance.now()
await Promise.all(Array.from({ length: Number(connections) }, (_, index) => work(index)))
const took = (performance.now() - startedAt) / 1_000
durations.sort((a, b) => a - b)
process.stdout.write(
  `${JSON.stringify({ cycles: durations.length, seconds: took, p50: quantile(durations, 0.5), p99: quantile(durations, 0.99) })}\n`,
)
process.exit(0)
