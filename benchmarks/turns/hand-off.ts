/**
 * Hand-off: WAITERS stand in line on one queue; how long from the moment the holder sends its release until the next one has been told,
 * beside a plain round trip (GET /healthz) on the same connection, alternating.
 *
 * node hand-off.ts URL WAITERS  →  one line of JSON: { handOffMs: [...], roundTripMs: [...] }
 */
import { Connection } from '../support/wire.ts'

const [url = '', waiters = '200'] = process.argv.slice(2)
const queue = `hand-off-${process.pid}`
const path = `/api/v1/turns/${queue}/members`
const handOffMs: number[] = []
const roundTripMs: number[] = []

interface Member {
  readonly id: string
  readonly connection: Connection
  readonly told: Promise<number>
}

async function untilTold(connection: Connection, id: string, first: Promise<unknown>): Promise<number> {
  let view = (await first) as { state: string; position: number }
  while (view.state === 'waiting') {
    view = (await connection.request('POST', `${path}/${id}/wait`, {
      waitMs: 30_000,
      seenPosition: view.position,
    })) as typeof view
  }
  return performance.now()
}

const members: Member[] = []
for (let i = 0; i <= Number(waiters); i++) {
  const connection = await Connection.open(url)
  const id = `member-${i}`.padEnd(10, '-')
  const first = connection.request('POST', path, { id, waitMs: i === 0 ? 0 : 30_000, ttlMs: 300_000 })
  if (i === 0) await first
  else await new Promise((wake) => setImmediate(wake))
  members.push({ id, connection, told: untilTold(connection, id, first) })
}
await new Promise((wake) => setTimeout(wake, 500))
const other = await Connection.open(url)
for (const [index, { id, connection, told }] of members.entries()) {
  const next = members[index + 1]
  await told
  if (next === undefined) break
  const pingedAt = performance.now()
  await other.request('GET', '/healthz')
  roundTripMs.push(performance.now() - pingedAt)
  const releasedAt = performance.now()
  await Promise.all([
    connection.request('DELETE', `${path}/${id}`),
    next.told.then((at) => handOffMs.push(at - releasedAt)),
  ])
}
process.stdout.write(`${JSON.stringify({ handOffMs, roundTripMs })}\n`)
process.exit(0)
