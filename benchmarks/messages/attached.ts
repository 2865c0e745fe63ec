/**
 * `npm run bench:messages:attached`: what message queues cost through the owner's socket, against the same engine in process.
 *
 * The owner is this process, the attached ones are processes of their own; 64 callers in all. Figures: messages a second, and
 * the owner's CPU for each. Fsync is real. Writes benchmarks/results/messages-attached.json and prints a table.
 * Options: --bytes 100 --rounds 3 --messages 60000 --callers 64 --processes 1,4
 */
import { fork, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { attachMessageHost } from '../../src/drivers/attached/index.ts'
import { openSqlite, sqliteMessageQueue } from '../../src/drivers/sqlite/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { summary, type Summary } from '../support/statistics.ts'
import { perform, type Done, type Order } from './attached-load.ts'

const { values } = parseArgs({
  options: {
    bytes: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '3' },
    messages: { type: 'string', default: '60000' },
    callers: { type: 'string', default: '64' },
    processes: { type: 'string', default: '1,4' },
    out: { type: 'string', default: join(import.meta.dirname, '../results/messages-attached.json') },
  },
})
const QUEUE = 'bench'
const callers = Number(values.callers)

const directory = mkdtempSync(join(tmpdir(), 'signalbox-bench-'))
const socketPath = join(directory, 'owner.sock')
const sqlite = await openSqlite({ directory, clock: systemClock })
const engine = sqliteMessageQueue(sqlite)
await engine.declareQueue(QUEUE, { visibilityMs: 600_000 })
const server = createServer()
const host = attachMessageHost(server, engine)
await new Promise<void>((resolve) => server.listen(socketPath, resolve))

type Performer = (order: Order) => Promise<Done>

async function attachedProcess(): Promise<{ child: ChildProcess; perform: Performer }> {
  const child = fork(join(import.meta.dirname, 'attached-load.ts'), [socketPath])
  const answer = (): Promise<unknown> => new Promise((resolve) => child.once('message', resolve))
  await answer()
  return {
    child,
    perform: (order) => {
      const done = answer() as Promise<Done>
      child.send(order)
      return done
    },
  }
}

interface Figures {
  readonly perSecond: number
  readonly ownerCpu: number
}

async function measure(performers: readonly Performer[], order: Order): Promise<Figures> {
  const share = {
    ...order,
    callers: order.callers / performers.length,
    messages: order.messages / performers.length,
  }
  const cpu = process.cpuUsage()
  const start = performance.now()
  const done = await Promise.all(performers.map((each) => each(share)))
  const seconds = (performance.now() - start) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  const handled = done.reduce((sum, each) => sum + each.handled, 0)
  if (handled < order.messages) throw new Error(`only ${handled} of ${order.messages} messages were handled`)
  return { perSecond: handled / seconds, ownerCpu: (user + system) / handled }
}

type Row = { where: string; batch: number } & Record<Order['work'], Record<keyof Figures, Summary>>

async function rowOf(where: string, performers: readonly Performer[], batch: number): Promise<Row> {
  const runs = { send: [] as Figures[], consume: [] as Figures[] }
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const work of ['send', 'consume'] as const) {
      const messages = Number(values.messages)
      const order = { work, queue: QUEUE, batch, callers, messages, bytes: Number(values.bytes) }
      runs[work].push(await measure(performers, order))
    }
    await engine.purge(QUEUE)
  }
  const of = (all: readonly Figures[]): Record<keyof Figures, Summary> => ({
    perSecond: summary(all.map((f) => f.perSecond)),
    ownerCpu: summary(all.map((f) => f.ownerCpu)),
  })
  return { where, batch, send: of(runs.send), consume: of(runs.consume) }
}

const load = loadavg()[0]
const rows: Row[] = []
const inProcess: Performer = (order) => perform(engine, order)
await rowOf('warm-up', [inProcess], 10)
for (const batch of [10, 100]) {
  rows.push(await rowOf('in process', [inProcess], batch))
  for (const count of values.processes.split(',').map(Number)) {
    const attached = await Promise.all(Array.from({ length: count }, attachedProcess))
    const performers = attached.map((each) => each.perform)
    await measure(performers, { work: 'send', queue: QUEUE, batch, callers, messages: 8_000, bytes: 10 })
    await measure(performers, { work: 'consume', queue: QUEUE, batch, callers, messages: 8_000, bytes: 10 })
    rows.push(await rowOf(`${count} attached`, performers, batch))
    for (const { child } of attached) child.disconnect()
  }
}
await host.close()
await new Promise((resolve) => server.close(resolve))
await engine.close()
await sqlite.close()
rmSync(directory, { recursive: true })

const baseOf = (batch: number): Row | undefined => rows.find((row) => row.batch === batch)
const cell = (row: Row, work: Order['work']): string => {
  const { perSecond, ownerCpu } = row[work]
  const ratio = perSecond.median / (baseOf(row.batch)?.[work].perSecond.median ?? NaN)
  return `${Math.round(perSecond.median).toLocaleString('en')}/s (${ratio.toFixed(2)}; ${ownerCpu.median.toFixed(1)} µs)`
}
console.log(
  `bodies of ${values.bytes} bytes, ${callers} callers; medians of ${values.rounds} rounds; load before: ${load}; ${cpus().length} CPUs`,
)
console.log('messages a second (ratio to in process; CPU of the owner for a message)\n')
console.log('| batch | where | sends | receives + deletes |\n|---|---|---|---|')
for (const row of rows)
  console.log(`| ${row.batch} | ${row.where} | ${cell(row, 'send')} | ${cell(row, 'consume')} |`)
const machine = { node: process.version, cpus: cpus().map(({ model }) => model), load }
writeFileSync(
  values.out,
  `${JSON.stringify({ ...machine, bytes: Number(values.bytes), callers, rows }, undefined, 2)}\n`,
)
