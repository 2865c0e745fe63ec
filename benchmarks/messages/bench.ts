/**
 * `npm run bench:messages`: what a message costs, in one run on one machine.
 *
 * - consuming from SQS through the sidecar (the stream, unary calls, HTTP), through our engine as a library, through the AWS
 *   SDK by hand and through sqs-consumer (as its README has it, and as fast as we could make it: `sqs-consumer/*.json`), against the
 *   same emulator in a process of its own. The emulator shares the cores and is often the limit; so CPU for each message, of
 *   the client and of the sidecar it uses, decides. And against a stand-in at a distance, where requests under way decide;
 * - the embedded engine behind the sidecar and alone, at 1 and 64 clients, at depths 10³ to 10⁶;
 * - the sidecar's memory when idle and after work; how SQLite goes about the engine's statements.
 *
 * The ways of a comparison alternate, each in processes of its own, measured after a warm-up; the sidecar runs as it is published.
 * Prints tables, and writes benchmarks/results/messages.json. Options: --quick (2 minutes instead of 15; writes nothing), --only
 * sqs|embedded|engine|memory (nor does this), --out FILE. With ElasticMQ installed (`npm run test:engines` does it), the full
 * form measures against it too.
 */
import { closeSync, existsSync, fdatasyncSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root, temporaryFolder } from '../../test/support/processes.ts'
import { forked, heard } from '../support/forked.ts'
import { summary, type Summary } from '../support/statistics.ts'
import { embedded } from './embedded.ts'
import { distant, elasticmq, fauxqs, LATENCY_MS, type Emulator } from './emulators.ts'
import type { EngineRow, EngineTask } from './engine.ts'
import { memory } from './memory.ts'
import { onSqs, type SqsRow } from './on-sqs.ts'
import { plans } from './plans.ts'
import { build } from './run.ts'
import { depthTable, flatness, sqsTable } from './tables.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    out: { type: 'string' },
  },
})
const { quick, only } = values
const whole = !quick && only === undefined
const out = values.out ?? (whole ? join(root, 'benchmarks/results/messages.json') : undefined)
const bytes = 100
const all = { depths: [1_000, 10_000, 100_000, 1_000_000], rounds: 3, messages: 100_000 }
const few = { depths: [1_000, 100_000], rounds: 2, messages: 40_000 }
const depths = { ...(quick ? few : all), bytes }
const wants = (part: string): boolean => only === undefined || only === part
const say = (text: string): void => void process.stdout.write(`${text}\n`)

/** @param share of the usual number of messages, where they take long */
async function against(
  start: () => Promise<Emulator>,
  ways?: readonly string[],
  share = 1,
): Promise<SqsRow[]> {
  const emulator = await start()
  try {
    const { rounds, messages } = quick ? { rounds: 2, messages: 6_000 } : { rounds: 5, messages: 20_000 }
    const size = { rounds, messages: messages * share, bytes }
    return await onSqs(emulator, { ...size, ...(ways === undefined ? {} : { ways }) })
  } finally {
    await emulator.stop()
  }
}

async function engineAlone(task: EngineTask): Promise<EngineRow[]> {
  const { child } = forked(join(import.meta.dirname, 'engine.ts'), [JSON.stringify(task)])
  return (await heard(child, Array.isArray)) as EngineRow[]
}

/** What the disk alone takes to make 4 KiB durable: nobody can be answered faster. */
function syncMs(): Summary {
  const file = openSync(join(temporaryFolder('sync'), 'file'), 'w')
  const times = Array.from({ length: 100 }, () => {
    const start = performance.now()
    writeSync(file, Buffer.alloc(4_096))
    fdatasyncSync(file)
    return performance.now() - start
  })
  closeSync(file)
  return { ...summary(times), all: [] }
}

const result: Record<string, unknown> = {
  measuredAt: new Date().toISOString(),
  machine: {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: process.platform,
    loadBefore: loadavg()[0],
  },
  quick,
  bytes,
  syncMs: syncMs(),
}
build()
if (only === undefined) result['plans'] = await plans()
if (wants('sqs')) {
  const rows = await against(fauxqs)
  result['sqs'] = rows
  say(`\nConsuming from SQS (fauxqs), bodies of ${bytes} bytes; medians (range)\n\n${sqsTable(rows)}`)
  const others = ['Consume', 'our engine as a library', 'AWS SDK']
  const far = await against(distant, ['sqs-consumer, tuned for distance', ...others], 0.3)
  result['sqsDistant'] = far
  say(`\nThe same where a request takes ${LATENCY_MS} ms\n\n${sqsTable(far)}`)
  if (!quick && existsSync(join(root, '.engines/elasticmq'))) {
    const more = await against(elasticmq, ['sqs-consumer, tuned', ...others])
    result['sqsElasticmq'] = more
    say(`\nThe same against ElasticMQ\n\n${sqsTable(more)}`)
  }
}
for (const [part, title, run] of [
  ['embedded', 'The embedded engine behind the sidecar, over gRPC', () => embedded(depths)],
  ['engine', 'The embedded engine in process', () => engineAlone(depths)],
] as const) {
  if (!wants(part)) continue
  const rows = await run()
  const flat = flatness(rows)
  result[part] = { rows, flatness: flat }
  const ratios = Object.entries(flat)
    .map(([what, { rate, cpu }]) => `${what}: rate ${rate.toFixed(2)}, CPU ${cpu.toFixed(2)}`)
    .join('; ')
  say(`\n${title}; medians (range)\n\n${depthTable(rows)}\n\ndeepest, × shallowest: ${ratios}`)
}
if (wants('memory')) {
  const used = await memory(quick ? 5 : 60)
  result['memory'] = used
  const after = `${used.afterMb} MB ${used.afterSeconds} s after 10,000 messages`
  say(`\nresident memory of the sidecar: ${used.idleMb} MB idle (on SQS ${used.idleOnSqsMb} MB), ${after}`)
}
if (out !== undefined) writeFileSync(out, `${JSON.stringify(result, undefined, 1)}\n`)
process.exit()
