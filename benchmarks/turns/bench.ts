/**
 * `npm run bench:turns`: what turn queues cost over HTTP on the embedded store, in one run on one machine.
 *
 * - cycles (join → grant → release, two durable writes) a second at 64 connections, on 64 queues and on one, with grouped
 *   commits against one transaction per commit: the same build, one setting apart, alternating;
 * - what a join, a poll and a release cost with 10 and with 10,000 waiters, and beside 1,000 queues;
 * - the time from a release to the next of 200 waiters being told, as a multiple of a plain round trip;
 * - memory when idle, and start-up time.
 *
 * Writes benchmarks/results/turns.json and prints a table. Options: --rounds 5 --seconds 3.
 */
import { execFile } from 'node:child_process'
import {
  closeSync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { root, startServer, type ServerProcess } from '../../test/support/processes.ts'
import { quantile, summary, type Summary } from '../support/statistics.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '3' } },
})
const rounds = Number(values.rounds)
const here = (file: string): string => join(root, 'benchmarks/turns', file)

interface Load {
  readonly cycles: number
  readonly seconds: number
  readonly p50: number
  readonly p99: number
}

async function tool<T>(file: string, ...args: readonly string[]): Promise<T> {
  const { stdout } = await promisify(execFile)(process.execPath, [here(file), ...args], {
    maxBuffer: 64 * 1024 * 1024,
  })
  return JSON.parse(stdout) as T
}

async function metric(server: ServerProcess, name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN)
}

/** One server, one load. Transactions are what the write-ahead log is synced for, once each. */
async function measure(
  groupCommit: boolean,
  queues: number,
): Promise<Load & { perSecond: number; commits: number; transactions: number }> {
  const server = await startServer({ env: { SIGNALBOX_STORE_GROUP_COMMIT: String(groupCommit) } })
  try {
    await tool('load.ts', server.url, '64', String(queues), '1') // warm-up
    const before = [
      await metric(server, 'signalbox_store_commits_total'),
      await metric(server, 'signalbox_store_transactions_total'),
    ]
    const load = await tool<Load>('load.ts', server.url, '64', String(queues), values.seconds)
    const after = [
      await metric(server, 'signalbox_store_commits_total'),
      await metric(server, 'signalbox_store_transactions_total'),
    ]
    const [commits = 0, transactions = 0] = after.map((n, i) => n - (before[i] ?? 0))
    return { ...load, perSecond: load.cycles / load.seconds, commits, transactions }
  } finally {
    await server.stop()
  }
}

async function compare(
  queues: number,
): Promise<Record<string, unknown> & { grouped: Summary; single: Summary; ratio: Summary }> {
  const runs = {
    grouped: [] as Awaited<ReturnType<typeof measure>>[],
    single: [] as Awaited<ReturnType<typeof measure>>[],
  }
  for (let round = 0; round < rounds; round++) {
    runs.grouped.push(await measure(true, queues))
    runs.single.push(await measure(false, queues))
  }
  const of = (kind: 'grouped' | 'single'): Summary => summary(runs[kind].map((r) => r.perSecond))
  return {
    queues,
    grouped: of('grouped'),
    single: of('single'),
    ratio: summary(runs.grouped.map((r, i) => r.perSecond / (runs.single[i]?.perSecond ?? NaN))),
    latencyMs: {
      grouped: { p50: summary(runs.grouped.map((r) => r.p50)), p99: summary(runs.grouped.map((r) => r.p99)) },
      single: { p50: summary(runs.single.map((r) => r.p50)), p99: summary(runs.single.map((r) => r.p99)) },
    },
    commitsPerTransaction: summary(runs.grouped.map((r) => r.commits / r.transactions)),
    runs,
  }
}

async function handOff(): Promise<Record<string, unknown> & { ratio: Summary }> {
  const ratios: number[] = []
  const raw: unknown[] = []
  for (let round = 0; round < rounds; round++) {
    const server = await startServer()
    const { handOffMs, roundTripMs } = await tool<{ handOffMs: number[]; roundTripMs: number[] }>(
      'hand-off.ts',
      server.url,
      '200',
    )
    await server.stop()
    const [hand = NaN, trip = NaN] = [handOffMs, roundTripMs].map((all) =>
      quantile(
        [...all].sort((a, b) => a - b),
        0.5,
      ),
    )
    ratios.push(hand / trip)
    raw.push({ handOffMedianMs: hand, roundTripMedianMs: trip, handOffMs, roundTripMs })
  }
  return { waiters: 200, ratio: summary(ratios), rounds: raw }
}

interface Line {
  readonly joinMs: number
  readonly pollMs: number
  readonly releaseMs: number
}

/** Ten waiters, ten thousand, and ten beside a thousand other queues, alternating. */
async function longLines(): Promise<
  Record<'ten' | 'tenThousand' | 'thousandQueues', Record<keyof Line, Summary>>
> {
  const runs = { ten: [] as Line[], tenThousand: [] as Line[], thousandQueues: [] as Line[] }
  for (let round = 0; round < rounds; round++) {
    for (const [kind, waiters, queues] of [
      ['ten', '10', '1'],
      ['tenThousand', '10000', '1'],
      ['thousandQueues', '10', '1000'],
    ] as const) {
      const server = await startServer()
      await tool('long-line.ts', server.url, '10', '1') // warm-up
      runs[kind].push(await tool<Line>('long-line.ts', server.url, waiters, queues))
      await server.stop()
    }
  }
  const of = (all: readonly Line[]): Record<keyof Line, Summary> => ({
    joinMs: summary(all.map((l) => l.joinMs)),
    pollMs: summary(all.map((l) => l.pollMs)),
    releaseMs: summary(all.map((l) => l.releaseMs)),
  })
  return { ten: of(runs.ten), tenThousand: of(runs.tenThousand), thousandQueues: of(runs.thousandQueues) }
}

/** What one durable sync of this disk costs: the least a commit can take. */
function syncMs(): Summary {
  const file = join(mkdtempSync(join(tmpdir(), 'signalbox-sync-')), 'file')
  const fd = openSync(file, 'w')
  const times: number[] = []
  for (let i = 0; i < 300; i++) {
    writeSync(fd, Buffer.alloc(4_096, i))
    const startedAt = performance.now()
    fdatasyncSync(fd)
    times.push(performance.now() - startedAt)
  }
  closeSync(fd)
  const { median, min, max } = summary(times)
  return { median, min, max, all: [] }
}

async function resources(): Promise<{
  startUpMs: Summary
  idleMemoryMiB: Summary
  memoryAfterLoadMiB: Summary
}> {
  const startUp: number[] = []
  const idle: number[] = []
  const after: number[] = []
  for (let round = 0; round < rounds; round++) {
    const startedAt = performance.now()
    const server = await startServer()
    startUp.push(performance.now() - startedAt)
    await new Promise((wake) => setTimeout(wake, 3_000))
    idle.push(memoryMiB(server.running.pid))
    await tool('load.ts', server.url, '64', '64', '2')
    await new Promise((wake) => setTimeout(wake, 3_000))
    after.push(memoryMiB(server.running.pid))
    await server.stop()
  }
  return { startUpMs: summary(startUp), idleMemoryMiB: summary(idle), memoryAfterLoadMiB: summary(after) }
}

/** Resident memory; Linux only. */
function memoryMiB(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? NaN) / 1_024
  } catch {
    return NaN
  }
}

const result = {
  measuredAt: new Date().toISOString(),
  machine: {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: process.platform,
  },
  rounds,
  syncMs: syncMs(),
  manyQueues: await compare(64),
  oneQueue: await compare(1),
  handOff: await handOff(),
  longLines: await longLines(),
  resources: await resources(),
}
writeFileSync(join(root, 'benchmarks/results/turns.json'), `${JSON.stringify(result, undefined, 1)}\n`)

const show = ({ median, min, max }: Summary, digits = 0): string =>
  `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`
const { manyQueues, oneQueue, resources: use } = result
process.stdout.write(
  [
    '',
    `median (range) of ${rounds} rounds`,
    `cycles/s, 64 connections on 64 queues   grouped ${show(manyQueues.grouped)}   one transaction each ${show(manyQueues.single)}   ratio ${show(manyQueues.ratio, 1)}`,
    `cycles/s, 64 connections on one queue   grouped ${show(oneQueue.grouped)}   one transaction each ${show(oneQueue.single)}   ratio ${show(oneQueue.ratio, 1)}`,
    `one sync of this disk                   ${show(result.syncMs, 2)} ms`,
    ...(['ten', 'tenThousand', 'thousandQueues'] as const).map((kind) => {
      const { joinMs, pollMs, releaseMs } = result.longLines[kind]
      const name = {
        ten: '10 waiters',
        tenThousand: '10,000 waiters',
        thousandQueues: '10 waiters beside 1,000 queues',
      }[kind]
      return `${name.padEnd(40)}join ${show(joinMs, 2)}   poll ${show(pollMs, 2)}   release and claim ${show(releaseMs, 2)} ms`
    }),
    `hand-off with 200 waiters               ${show(result.handOff.ratio, 2)} × a plain round trip`,
    `start-up                                ${show(use.startUpMs)} ms`,
    `memory idle / after load                ${show(use.idleMemoryMiB)} / ${show(use.memoryAfterLoadMiB)} MiB`,
    '',
  ].join('\n'),
)
