/**
 * `npm run bench:jobs`: jobs enqueued and processed a second, and how soon an idle worker picks one up, here and by BullMQ, graphile-worker
 * and pg-boss, each at its documented best and with its defaults, at equal durability: an answer means that an fsync has happened (Redis
 * `appendfsync everysec` stands beside it, and may lose a second).
 *
 * Each contestant is a process of its own (producer and worker in one), the engines of the peers others beside it; ours has its engine within. One at a time,
 * in turn, for several rounds, on an engine started afresh. CPU counts contestant and engine.
 *
 * Options: --rounds 5 --quick --only signalbox,bullmq. Raw figures: benchmarks/results/jobs.json.
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgres, startRedis } from './engines.mjs'
import { summary } from '../support/statistics.ts'

const here = import.meta.dirname
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
})
const rounds = Number(options.rounds ?? (options.quick ? '1' : '5'))
const sizes = options.quick
  ? { sequential: 200, concurrent: 4_000, bulk: 10_000, byDefault: 2_000, processMs: 10_000, pickups: 100 }
  : {
      sequential: 1_000,
      concurrent: 20_000,
      bulk: 50_000,
      byDefault: 10_000,
      processMs: 20_000,
      pickups: 500,
    }

async function startDirectory() {
  const directory = mkdtempSync(join(tmpdir(), 'bench-signalbox-'))
  const stop = async () => rmSync(directory, { recursive: true, force: true })
  return { facts: { directory, typescript: true }, version: `Node.js ${process.version}`, stop }
}

const contestants = {
  signalbox: { module: 'signalbox', start: startDirectory },
  'bullmq (always)': { module: 'bullmq', start: () => startRedis('always') },
  'bullmq (everysec)': { module: 'bullmq', start: () => startRedis('everysec') },
  'graphile-worker': { module: 'graphile-worker', start: startPostgres },
  'pg-boss': { module: 'pg-boss', start: startPostgres },
}

function contest(module, facts) {
  return new Promise((done, failed) => {
    const child = spawn(
      process.execPath,
      [join(here, 'contestant.mjs'), module, JSON.stringify(facts), JSON.stringify(sizes)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part) => (text += part))
    child.on('error', failed)
    child.on('exit', (code) => {
      if (code === 0) done(JSON.parse(text.trim().split('\n').at(-1)))
      else failed(new Error(`${module} ended with ${code}`))
    })
  })
}

/** Numbers at the ends of both, each replaced by its summary over the rounds. */
function combined(all) {
  const [first] = all
  if (typeof first === 'number') return summary(all)
  return Object.fromEntries(Object.keys(first).map((key) => [key, combined(all.map((one) => one[key]))]))
}

const range = ({ median, min, max }, digits = 0) =>
  `${median.toFixed(digits)} (${min.toFixed(digits)}-${max.toFixed(digits)})`

function row(name, { noop, kilobyte, pickup }) {
  const rates = [noop, kilobyte].flatMap(({ enqueue, process: worked }) => [
    enqueue.one.perSecond,
    enqueue.concurrent.perSecond,
    enqueue.bulk.perSecond,
    worked.default.perSecond,
    worked.tuned.perSecond,
  ])
  return [name, ...rates.map((rate) => range(rate)), range(pickup.p50Ms, 2), range(pickup.p99Ms, 2)]
}

if (!existsSync(join(here, 'node_modules'))) {
  execFileSync('npm', ['ci', '--ignore-scripts'], { cwd: here, stdio: 'inherit' })
}
const wanted = options.only?.split(',')
const entries = Object.entries(contestants).filter(
  ([name]) => wanted?.some((part) => name.startsWith(part)) ?? true,
)
const raw = Object.fromEntries(entries.map(([name]) => [name, []]))
const versions = {}
for (let round = 0; round < rounds; round++) {
  for (const [name, { module, start }] of entries) {
    const engine = await start()
    versions[name] = engine.version
    try {
      raw[name].push(await contest(module, { ...engine.facts, enginePid: engine.pid }))
    } finally {
      await engine.stop()
    }
    process.stderr.write(`round ${round + 1} of ${rounds}: ${name}\n`)
  }
}
const figures = Object.fromEntries(entries.map(([name]) => [name, combined(raw[name])]))
const { dependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
const result = {
  sizes,
  rounds,
  node: process.version,
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  dependencies,
  versions,
  figures,
  raw,
}
const file = join(here, '..', 'results', options.quick ? 'jobs-quick.json' : 'jobs.json')
writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`)

const phases = ['one by one', '64 at once', 'bulk', 'process (default)', 'process (tuned)']
const head = [
  'a second',
  ...phases.map((p) => `no-op: ${p}`),
  ...phases.map((p) => `1 KiB: ${p}`),
  'pickup p50 ms',
  'p99 ms',
]
const table = entries.map(([name]) => row(name, figures[name]))
head.forEach((title, i) => {
  process.stdout.write(
    `${[title, ...table.map((cells) => cells[i])].map((cell, j) => String(cell).padEnd(j === 0 ? 26 : 24)).join('')}\n`,
  )
})
