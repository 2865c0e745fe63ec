/**
 * The load, in a process of its own: CONNECTIONS clients cast votes on one topic, in a loop, for SECONDS or until VOTES are
 * accepted.
 *
 * node load.ts URL CONNECTIONS SECONDS VOTES TOPIC CHOICE…  →  one line of JSON: { accepted, seconds, p50, p99 } (ms)
 */
import { quantile } from '../support/statistics.ts'
import { Connection } from '../support/wire.ts'

const [url = '', connections = '64', seconds = '5', votes = '1', topic_id = '', ...choices] =
  process.argv.slice(2)
const lines = await Promise.all(Array.from({ length: Number(connections) }, () => Connection.open(url)))
const times: number[] = []
const most = Number(votes)

const startedAt = performance.now()
const stopAt = startedAt + Number(seconds) * 1_000
let begun = 0
await Promise.all(
  lines.map(async (connection) => {
    while (begun < most && performance.now() < stopAt) {
      const choice_id = choices[begun++ % choices.length]
      const sentAt = performance.now()
      const told = await connection.request('POST', '/votes', { topic_id, choice_id })
      if ((told as { queued_at?: string }).queued_at === undefined)
        throw new Error(`unexpected: ${JSON.stringify(told)}`)
      times.push(performance.now() - sentAt)
    }
    connection.close()
  }),
)
const took = (performance.now() - startedAt) / 1_000
times.sort((a, b) => a - b)
process.stdout.write(
  `${JSON.stringify({ accepted: times.length, seconds: took, p50: quantile(times, 0.5), p99: quantile(times, 0.99) })}\n`,
)
process.exit(0)
