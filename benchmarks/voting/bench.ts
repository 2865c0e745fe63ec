/**
 * `npm run bench:voting`: votes accepted and counted per second on the embedded engines, over HTTP with 64 connections, all on one topic with
 * three choices (the worst case: one hot tally), on one machine that also makes the load:
 *
 * - `one`: API and worker in one process; `two`: `voting api`, and `voting worker` attached to it from another process. Votes are cast for
 *   some seconds; *accepted* is the rate of answers (each vote durable in the queue), *counted* is accepted votes by the time from the
 *   first cast until the tally has them all;
 * - `backlog`: so many votes wait when the worker starts; *counted* is the rate at which it works them off alone.
 *
 * Each run ends with `voting verify`. Writes benchmarks/results/voting.json and prints a table. Options: --rounds 5 --seconds 5 --backlog 20000.
 */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import {
  freePort,
  root,
  signalbox,
  temporaryFolder,
  until,
  type Running,
} from '../../test/support/processes.ts'
import { summary, type Summary } from '../support/statistics.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    backlog: { type: 'string', default: '20000' },
  },
})
const rounds = Number(values.rounds)
const CONNECTIONS = '64'
const FOR_EVER = '1000000000'

type Way = 'one' | 'two' | 'backlog'

interface Load {
  readonly accepted: number
  readonly seconds: number
  readonly p50: number
  readonly p99: number
}

interface Measured {
  readonly acceptedPerSecond: number
  readonly countedPerSecond: number
  readonly p50: number
  readonly p99: number
}

interface Topic {
  readonly id: string
  readonly choices: readonly { readonly id: string; readonly votes: number }[]
}

async function start(args: readonly string[], directory: string): Promise<Running> {
  const running = signalbox(['voting', ...args, '--data-dir', directory])
  await until('the voting service is ready', () => {
    if (running.child.exitCode !== null) throw new Error(`it ended: ${running.out()}${running.err()}`)
    return running.out().includes('is ready')
  })
  return running
}

async function measure(way: Way): Promise<Measured> {
  const directory = temporaryFolder('bench')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const api = await start([...(way === 'one' ? [] : ['api']), '--dev', '--port', String(port)], directory)
  const worker = (): Promise<Running> => start(['worker', '--metrics', 'off'], directory)
  let second = way === 'two' ? await worker() : undefined
  const topic = await createTopic(url)
  let startedAt = performance.now()
  const load = await cast(url, topic, way === 'backlog' ? values.backlog : FOR_EVER)
  if (way === 'backlog') {
    const running = worker()
    startedAt = await firstCounted(url, topic)
    second = await running
  }
  await until('all are counted', async () => (await counted(url, topic)) >= load.accepted, 600_000)
  const countedIn = (performance.now() - startedAt) / 1_000
  const verdict = signalbox(['voting', 'verify', '--data-dir', directory])
  if ((await verdict.exited) !== 0) throw new Error(verdict.out() + verdict.err())
  for (const each of [second, api]) {
    each?.kill('SIGTERM')
    await each?.exited
  }
  return {
    acceptedPerSecond: load.accepted / load.seconds,
    countedPerSecond: load.accepted / countedIn,
    p50: load.p50,
    p99: load.p99,
  }
}

async function createTopic(url: string): Promise<Topic> {
  const choices = ['a', 'b', 'c'].map((description) => ({ description }))
  const answer = await fetch(`${url}/topics`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ title: 'bench', choices }),
  })
  return (await answer.json()) as Topic
}

async function cast(url: string, { id, choices }: Topic, votes: string): Promise<Load> {
  const seconds = votes === FOR_EVER ? values.seconds : '600'
  const script = join(root, 'benchmarks/voting/load.ts')
  const args = [script, url, CONNECTIONS, seconds, votes, id, ...choices.map((choice) => choice.id)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout) as Load
}

async function counted(url: string, { id }: Topic): Promise<number> {
  const topic = (await (await fetch(`${url}/topics/${id}?include_votes=true`)).json()) as Topic
  return topic.choices.reduce((sum, { votes }) => sum + votes, 0)
}

/** When the worker, whose start is not measured, had counted its first votes. */
async function firstCounted(url: string, topic: Topic): Promise<number> {
  await until('the worker counts', async () => (await counted(url, topic)) > 0)
  return performance.now()
}

const runs: { readonly way: Way; readonly round: number; readonly measured: Measured }[] = []
for (let round = 1; round <= rounds; round++) {
  for (const way of ['one', 'two', 'backlog'] as const) {
    const measured = await measure(way)
    runs.push({ way, round, measured })
    const { acceptedPerSecond, countedPerSecond } = measured
    process.stderr.write(
      `${way} ${round}: ${acceptedPerSecond.toFixed()} accepted/s, ${countedPerSecond.toFixed()} counted/s\n`,
    )
  }
}

function figures(way: Way): Record<keyof Measured, Summary> {
  const of = (name: keyof Measured): Summary =>
    summary(runs.filter((run) => run.way === way).map(({ measured }) => measured[name]))
  return {
    acceptedPerSecond: of('acceptedPerSecond'),
    countedPerSecond: of('countedPerSecond'),
    p50: of('p50'),
    p99: of('p99'),
  }
}

const result = {
  at: new Date().toISOString(),
  machine: {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: process.platform,
  },
  rounds,
  seconds: Number(values.seconds),
  backlog: Number(values.backlog),
  connections: Number(CONNECTIONS),
  one: figures('one'),
  two: figures('two'),
  backlogged: figures('backlog'),
}
writeFileSync(join(root, 'benchmarks/results/voting.json'), `${JSON.stringify(result, undefined, 1)}\n`)

const show = ({ median, min, max }: Summary, digits = 0): string =>
  `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`
const row = (
  name: string,
  { acceptedPerSecond, countedPerSecond, p50, p99 }: Record<keyof Measured, Summary>,
): string =>
  `${name.padEnd(24)} accepted/s ${show(acceptedPerSecond)}, p50 ${show(p50, 1)} ms, p99 ${show(p99, 1)} ms   counted/s ${show(countedPerSecond)}`
process.stdout.write(
  [
    '',
    `median (range) of ${rounds} rounds`,
    row('one process', result.one),
    row('api + worker', result.two),
    `${'a backlog, worker alone'.padEnd(24)} counted/s ${show(result.backlogged.countedPerSecond)}`,
    '',
  ].join('\n'),
)
