/**
 * `npm run bench:messages:engine`: what the embedded message queue costs in process, durable, without a wire.
 *
 * Sends, and receives with their deletes, in batches of ten, by 1 and by 64 callers, on queues 10³ to 10⁶ messages deep. Each
 * measurement works off a fixed number of messages on top of the depth, so that the queue is as deep at its end as at its
 * beginning. Fsync is real: every answer waited for it.
 *
 * Writes benchmarks/results/messages-engine.json and prints a table. Options: --bytes 100 --rounds 3 --depths 1000,1000000
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openSqlite, sqliteMessageQueue } from '../../src/drivers/sqlite/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import type { MessageQueue } from '../../src/ports/message-queue.ts'
import { summary, type Summary } from '../support/statistics.ts'

const { values } = parseArgs({
  options: {
    bytes: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '3' },
    depths: { type: 'string', default: '1000,10000,100000,1000000' },
    out: { type: 'string', default: join(import.meta.dirname, '../results/messages-engine.json') },
  },
})
const BATCH = 10
const QUEUE = 'bench'
/** Messages a measurement handles, by its callers: a second's worth or so. */
const MESSAGES: Record<number, number> = { 1: 10_000, 64: 128_000 }
const body = 'x'.repeat(Number(values.bytes))
const batch = Array.from({ length: BATCH }, () => ({ body }))

interface Figures {
  readonly perSecond: number
  readonly cpuMicroseconds: number
}

/** Lets callers run `step` until together they have handled `count` messages. */
async function measure(callers: number, count: number, step: () => Promise<number>): Promise<Figures> {
  const progress = { begun: 0, done: 0 }
  const caller = async (): Promise<void> => {
    while (progress.begun < count) {
      progress.begun += BATCH
      const handled = await step()
      progress.done += handled
    }
  }
  const cpu = process.cpuUsage()
  const start = performance.now()
  await Promise.all(Array.from({ length: callers }, caller))
  const seconds = (performance.now() - start) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  if (progress.done < count) throw new Error(`only ${progress.done} of ${count} messages were handled`)
  return { perSecond: progress.done / seconds, cpuMicroseconds: (user + system) / progress.done }
}

const send = async (messages: MessageQueue): Promise<number> => {
  const results = await messages.send(QUEUE, batch)
  return results.filter(({ status }) => status === 'sent').length
}

const consume = async (messages: MessageQueue): Promise<number> => {
  const received = await messages.receive(QUEUE, { max: BATCH })
  if (received.length === 0) return 0
  const results = await messages.delete(
    QUEUE,
    received.map(({ receipt }) => receipt),
  )
  return results.filter(({ status }) => status === 'deleted').length
}

async function fill(messages: MessageQueue, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 6_400) {
    const many = Array.from({ length: 100 }, () => ({ body }))
    await Promise.all(Array.from({ length: 64 }, () => messages.send(QUEUE, many)))
  }
}

/** What the disk alone takes to make 4 KiB durable, in milliseconds: no caller can be answered faster. */
function disk(): Summary {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-bench-'))
  const file = openSync(join(directory, 'probe'), 'w')
  const page = Buffer.alloc(4_096)
  const times = Array.from({ length: 50 }, () => {
    const start = performance.now()
    writeSync(file, page)
    fdatasyncSync(file)
    return performance.now() - start
  })
  closeSync(file)
  rmSync(directory, { recursive: true })
  return summary(times)
}

type Row = { depth: number; callers: number } & Record<'send' | 'consume', Record<keyof Figures, Summary>>

async function atDepth(depth: number): Promise<Row[]> {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-bench-'))
  const engine = await openSqlite({ directory, clock: systemClock })
  const messages = sqliteMessageQueue(engine)
  await messages.declareQueue(QUEUE, { visibilityMs: 600_000 })
  await fill(messages, depth)
  const rows: Row[] = []
  for (const callers of [1, 64]) {
    const runs = { send: [] as Figures[], consume: [] as Figures[] }
    for (let round = 0; round < Number(values.rounds); round++) {
      const count = MESSAGES[callers] ?? 10_000
      runs.send.push(await measure(callers, count, () => send(messages)))
      runs.consume.push(await measure(callers, count, () => consume(messages)))
    }
    const of = (all: readonly Figures[]): Record<keyof Figures, Summary> => ({
      perSecond: summary(all.map((f) => f.perSecond)),
      cpuMicroseconds: summary(all.map((f) => f.cpuMicroseconds)),
    })
    rows.push({ depth, callers, send: of(runs.send), consume: of(runs.consume) })
  }
  await messages.close()
  await engine.close()
  rmSync(directory, { recursive: true })
  return rows
}

const fsyncMs = disk()
const load = loadavg()[0]
const rows: Row[] = []
for (const depth of values.depths.split(',').map(Number)) rows.push(...(await atDepth(depth)))

const round = (n: number): string => Math.round(n).toLocaleString('en')
const figures = ({ perSecond, cpuMicroseconds }: Record<keyof Figures, Summary>): string =>
  `${round(perSecond.median)}/s (${cpuMicroseconds.median.toFixed(1)} µs CPU)`
console.log(`bodies of ${values.bytes} bytes, batches of ${BATCH}; medians of ${values.rounds} rounds`)
console.log(`fsync of 4 KiB: ${fsyncMs.median} ms; load before: ${load}; ${cpus().length} CPUs\n`)
console.log('| messages deep | callers | sends | receives + deletes |\n|---|---|---|---|')
for (const row of rows) {
  console.log(`| ${round(row.depth)} | ${row.callers} | ${figures(row.send)} | ${figures(row.consume)} |`)
}
writeFileSync(
  values.out,
  `${JSON.stringify({ node: process.version, cpus: cpus().map(({ model }) => model), bytes: Number(values.bytes), load, fsyncMs, rows }, undefined, 2)}\n`,
)
