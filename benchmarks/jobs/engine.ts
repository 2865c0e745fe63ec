/**
 * Jobs on the embedded engine in one process, without a server or a client beside it: how fast they are enqueued (one by
 * one, 64 side by side, a thousand at once), how fast a worker runs jobs that do nothing, and how soon one is picked up.
 *
 *   node benchmarks/jobs/engine.ts [jobs=20000] [concurrency=64]
 *
 * CPU figures are of this process, per job, so that they tell something on a loaded machine too.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { openSqlite, sqliteMessageQueue } from '../../src/drivers/sqlite/index.ts'
import type { JobsConnection } from '../../src/jobs/api.ts'
import { defineJob } from '../../src/jobs/define.ts'
import { startWorker } from '../../src/jobs/worker.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'

const jobs = Number(process.argv[2] ?? 20_000)
const concurrency = Number(process.argv[3] ?? 64)

const directory = mkdtempSync(join(tmpdir(), 'signalbox-jobs-'))
const engine = await openSqlite({ directory, clock: systemClock })
const messages = sqliteMessageQueue(engine)
const via: JobsConnection = { engine: messages, clock: systemClock, random: systemRandom }
const input = z.object({ user: z.string(), amount: z.number().int(), note: z.string() })
const sample = { user: 'u-123456', amount: 42, note: 'a job of about a hundred bytes, as most are' }

let ran = 0
let wanted = 0
let all: () => void = () => undefined
const job = defineJob({
  name: 'no-op',
  input,
  run: () => {
    ran += 1
    if (ran === wanted) all()
  },
})

async function measured(what: string, count: number, work: () => Promise<void>): Promise<void> {
  const { transactions } = engine.facts()
  const cpu = process.cpuUsage()
  const start = systemClock.monotonic()
  await work()
  const ms = systemClock.monotonic() - start
  const { user, system } = process.cpuUsage(cpu)
  const perSecond = Math.round((count / ms) * 1_000)
  const cpuUs = ((user + system) / count).toFixed(1)
  const commits = engine.facts().transactions - transactions
  console.log(
    `${what.padEnd(28)} ${String(perSecond).padStart(8)} /s  ${cpuUs.padStart(6)} µs CPU  ${commits} transactions`,
  )
}

await job.enqueue(sample, { via })
await measured('enqueue, one by one', 2_000, async () => {
  for (let i = 0; i < 2_000; i++) await job.enqueue(sample, { via })
})
await measured('enqueue, 64 side by side', jobs, async () => {
  let left = jobs
  const one = async (): Promise<void> => {
    while (left-- > 0) await job.enqueue(sample, { via })
  }
  await Promise.all(Array.from({ length: 64 }, one))
})
await measured('enqueue, 1,000 at once', jobs, async () => {
  const items = Array.from({ length: 1_000 }, () => ({ input: sample }))
  for (let i = 0; i < jobs; i += 1_000) await job.enqueueMany(items, { via })
})

wanted = 2_001 + jobs + Math.ceil(jobs / 1_000) * 1_000
let worker: Awaited<ReturnType<typeof startWorker>> | undefined
await measured(`run, concurrency ${concurrency}`, wanted, async () => {
  const done = new Promise<void>((resolve) => (all = resolve))
  worker = await startWorker([job], { concurrency, via })
  await done
})

const waits: number[] = []
let at = 0
let picked: () => void = () => undefined
const ping = defineJob({
  name: 'ping',
  queue: 'pings',
  input: z.object({}),
  run: () => {
    waits.push(systemClock.monotonic() - at)
    picked()
  },
})
const pinger = await startWorker([ping], { concurrency, via })
for (let i = 0; i < 500; i++) {
  const done = new Promise<void>((resolve) => (picked = resolve))
  at = systemClock.monotonic()
  await ping.enqueue({}, { via })
  await done
  await new Promise((resolve) => setTimeout(resolve, 2))
}
waits.sort((a, b) => a - b)
const quantile = (q: number): string => (waits[Math.floor(waits.length * q)] ?? 0).toFixed(2)
console.log(`picked up after enqueue()    p50 ${quantile(0.5)} ms  p99 ${quantile(0.99)} ms`)

await worker?.close()
await pinger.close()
await messages.close()
await engine.close()
rmSync(directory, { recursive: true })
