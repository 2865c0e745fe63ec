/**
 * What one call costs with WAITERS in line, and with QUEUES queues in use: join, poll (by one deep in the line), and release
 * with the next one's claim; 300 of each, one at a time on one connection, medians in milliseconds.
 *
 * node long-line.ts URL WAITERS QUEUES  →  one line of JSON
 */
import { Connection } from '../support/wire.ts'
import { quantile } from '../support/statistics.ts'

const [url = '', waiters = '10', queues = '1'] = process.argv.slice(2)
const ROUNDS = 300
const ttlMs = 3_600_000
const run = `line-${process.pid}`
const pathOf = (queue: number): string => `/api/v1/turns/${run}-${queue}/members`
const idOf = (n: number): string => `member-${n}`.padEnd(10, '-')

let next = 0
const filling = await Promise.all(Array.from({ length: 64 }, () => Connection.open(url)))
const total = Number(waiters) + 1
await Promise.all(
  filling.map(async (connection) => {
    while (next < total) {
      const n = next++
      await connection.request('POST', pathOf(0), { id: idOf(n), ttlMs })
    }
  }),
)
let queue = 1
await Promise.all(
  filling.map(async (connection) => {
    while (queue < Number(queues)) {
      const q = queue++
      for (const n of [0, 1]) await connection.request('POST', pathOf(q), { id: idOf(n), ttlMs })
    }
  }),
)

const connection = await Connection.open(url)
const line = (await connection.request('GET', `/api/v1/turns/${run}-0?limit=1000`)) as {
  holders: { id: string }[]
  waiters: { id: string }[]
}
const order = [...line.holders, ...line.waiters].map((m) => m.id)
const times = { join: [] as number[], poll: [] as number[], release: [] as number[] }
async function timed(kind: keyof typeof times, call: () => Promise<unknown>): Promise<void> {
  const startedAt = performance.now()
  await call()
  times[kind].push(performance.now() - startedAt)
}
for (let round = 0; round < ROUNDS; round++) {
  const id = idOf(total + round)
  await timed('join', () => connection.request('POST', pathOf(0), { id, ttlMs }))
  order.push(id)
  await timed('poll', () => connection.request('POST', `${pathOf(0)}/${id}/wait`, {}))
  const [holder, successor] = [order.shift(), order[0]]
  await timed('release', async () => {
    await connection.request('DELETE', `${pathOf(0)}/${holder}`)
    const view = (await connection.request('POST', `${pathOf(0)}/${successor}/wait`, {})) as { state: string }
    if (view.state !== 'holding') throw new Error(`unexpected: ${JSON.stringify(view)}`)
  })
}
const median = (all: number[]): number =>
  quantile(
    [...all].sort((a, b) => a - b),
    0.5,
  )
process.stdout.write(
  `${JSON.stringify({ joinMs: median(times.join), pollMs: median(times.poll), releaseMs: median(times.release) })}\n`,
)
process.exit(0)
