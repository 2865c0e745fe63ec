/**
 * `npm run bench:leases`: what polling for merge-queue leases costs over HTTP on the embedded store, in one run on one machine, 64 connections:
 *
 * - acquire polls that change something, each answered when it is durable, with grouped commits against one transaction for
 *   each commit: the same build, one setting apart, alternating; and plain re-polls on the same server;
 * - both on one provider with 10 and with 1,000 known requests, and on 64 providers with 10 each.
 *
 * Writes benchmarks/results/leases.json and prints a table. Options: --rounds 5 --seconds 3.
 */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { root, startServer, type ServerProcess } from '../../test/support/processes.ts'
import { summary, type Summary } from '../support/statistics.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '3' } },
})
const rounds = Number(values.rounds)
const CONNECTIONS = '64'

const shapes = {
  ten: { name: 'one provider, 10 known', providers: 1, known: 10 },
  thousand: { name: 'one provider, 1,000 known', providers: 1, known: 1_000 },
  many: { name: '64 providers, 10 known each', providers: 64, known: 10 },
} as const
type Shape = keyof typeof shapes
type Commits = 'grouped' | 'single'
type Kind = 'changed' | 'again'

interface Load {
  readonly polls: number
  readonly seconds: number
  readonly p50: number
  readonly p99: number
}

interface Measured extends Load {
  readonly perSecond: number
  readonly commits: number
  readonly transactions: number
}

async function load(url: string, shape: Shape, seconds: string, kind: Kind): Promise<Load> {
  const { providers, known } = shapes[shape]
  const script = join(root, 'benchmarks/leases/load.ts')
  const args = [url, CONNECTIONS, String(providers), String(known), seconds, kind]
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args])
  return JSON.parse(stdout) as Load
}

async function written({ url }: ServerProcess): Promise<[commits: number, transactions: number]> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const metric = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN)
  return [metric('signalbox_store_commits_total'), metric('signalbox_store_transactions_total')]
}

/** One server, first with polls that change something, then with plain ones. */
async function measure(shape: Shape, commits: Commits): Promise<Record<Kind, Measured>> {
  const providers = Array.from({ length: shapes[shape].providers }, (_, i) => ({
    owner: 'bench',
    name: `p${i}`,
    base_ref: 'main',
    stabilize_duration_seconds: 86_400,
    ttl_seconds: 86_400,
    expected_request_count: 100_000,
  }))
  const server = await startServer({
    env: {
      SIGNALBOX_STORE_GROUP_COMMIT: String(commits === 'grouped'),
      SIGNALBOX_REPOSITORIES: JSON.stringify(providers),
    },
  })
  const one = async (kind: Kind): Promise<Measured> => {
    const [commitsBefore, transactionsBefore] = await written(server)
    const made = await load(server.url, shape, values.seconds, kind)
    const [commitsAfter, transactionsAfter] = await written(server)
    return {
      ...made,
      perSecond: made.polls / made.seconds,
      commits: commitsAfter - commitsBefore,
      transactions: transactionsAfter - transactionsBefore,
    }
  }
  try {
    await load(server.url, shape, '1', 'changed') // warm-up
    return { changed: await one('changed'), again: await one('again') }
  } finally {
    await server.stop()
  }
}

type Runs = Record<Shape, Record<Commits, Record<Kind, Measured>[]>>
const none = (): Record<Commits, Record<Kind, Measured>[]> => ({ grouped: [], single: [] })
const runs: Runs = { ten: none(), thousand: none(), many: none() }
for (let round = 0; round < rounds; round++) {
  for (const shape of Object.keys(shapes) as Shape[]) {
    for (const commits of ['grouped', 'single'] as const) {
      runs[shape][commits].push(await measure(shape, commits))
      process.stderr.write('.')
    }
  }
}
process.stderr.write('\n')

function figures(shape: Shape, commits: Commits, kind: Kind): Record<'perSecond' | 'p50' | 'p99', Summary> {
  const of = (what: 'perSecond' | 'p50' | 'p99'): Summary =>
    summary(runs[shape][commits].map((run) => run[kind][what]))
  return { perSecond: of('perSecond'), p50: of('p50'), p99: of('p99') }
}

function table<T>(make: (shape: Shape) => T): Record<Shape, T> {
  return { ten: make('ten'), thousand: make('thousand'), many: make('many') }
}

/** Of two series of one run, round by round. */
function ratio(above: readonly number[], below: readonly number[]): Summary {
  return summary(above.map((value, i) => value / (below[i] ?? NaN)))
}

const perSecond = (shape: Shape, commits: Commits, kind: Kind): number[] =>
  runs[shape][commits].map((run) => run[kind].perSecond)
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
  connections: Number(CONNECTIONS),
  durable: table((shape) => ({
    grouped: figures(shape, 'grouped', 'changed'),
    single: figures(shape, 'single', 'changed'),
    ratio: ratio(perSecond(shape, 'grouped', 'changed'), perSecond(shape, 'single', 'changed')),
  })),
  plain: table((shape) => figures(shape, 'grouped', 'again')),
  /** Polls a second with 1,000 known requests, of those with 10. */
  growth: {
    durable: ratio(perSecond('thousand', 'grouped', 'changed'), perSecond('ten', 'grouped', 'changed')),
    plain: ratio(perSecond('thousand', 'grouped', 'again'), perSecond('ten', 'grouped', 'again')),
  },
  runs,
}
writeFileSync(join(root, 'benchmarks/results/leases.json'), `${JSON.stringify(result, undefined, 1)}\n`)

const show = ({ median, min, max }: Summary, digits = 0): string =>
  `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`
const lines = (Object.keys(shapes) as Shape[]).flatMap((shape) => {
  const { grouped, single, ratio: better } = result.durable[shape]
  const plain = result.plain[shape]
  return [
    shapes[shape].name,
    `  durable polls/s  grouped ${show(grouped.perSecond)}, p99 ${show(grouped.p99, 1)} ms   single ${show(single.perSecond)}, p99 ${show(single.p99, 1)} ms   ratio ${show(better, 2)}`,
    `  plain re-polls/s ${show(plain.perSecond)}, p99 ${show(plain.p99, 1)} ms`,
  ]
})
process.stdout.write(
  [
    '',
    `median (range) of ${rounds} rounds`,
    ...lines,
    `with 1,000 known of the rate with 10: durable ${show(result.growth.durable, 2)}, plain ${show(result.growth.plain, 2)}`,
    '',
  ].join('\n'),
)
