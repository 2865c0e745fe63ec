/**
 * `npm run bench:schedules`: what schedules cost on the embedded store.
 *
 * - *tick*: a minute begins and 10 schedules are due, among 1,000 and among 100,000: wall time until their runs are durable, and CPU of
 *   the process; the ratio of the two;
 * - *at once*: 1,000 are due at the same time: runs a second;
 * - *lists* of all of them;
 * - *start-up* of the real server, from its start until it answers that it is ready, with 100,000 schedules and with none.
 *
 * Medians of 5 rounds; what is compared alternates. Writes benchmarks/results/schedules.json and the table in docs/performance.md. With
 * --quick: 10,000 schedules instead of 100,000 and 2 rounds, and it only prints.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root, startServer } from '../../test/support/processes.ts'
import { summary, type Summary } from '../support/statistics.ts'
import { place, type Cost, type Place } from './place.ts'
import { figuresIn, rows, type Figures } from './table.ts'

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const { quick } = values
const rounds = quick ? 2 : 5
const few = 1_000
const many = quick ? 10_000 : 100_000
const DUE = 10
/** Of one round; one alone would be too short to measure. */
const TICKS = 50
const AT_ONCE = 1_000

const say = (text: string): void => void process.stderr.write(`${text}\n`)

/** @returns what one tick cost, on average */
async function ticks(at: Place): Promise<Cost> {
  let [wallMs, cpuMs] = [0, 0]
  for (let n = 0; n < TICKS; n++) {
    const cost = await at.tick(DUE)
    wallMs += cost.wallMs / TICKS
    cpuMs += cost.cpuMs / TICKS
  }
  return { wallMs, cpuMs }
}

interface TickFigures {
  readonly wallMs: Summary
  readonly cpuMs: Summary
}

function ticked(costs: readonly Cost[]): TickFigures {
  return { wallMs: summary(costs.map((c) => c.wallMs)), cpuMs: summary(costs.map((c) => c.cpuMs)) }
}

async function tickAmong(small: Place, large: Place): Promise<Figures['tick']> {
  const costs: { small: Cost; large: Cost }[] = []
  await ticks(small)
  await ticks(large)
  for (let round = 0; round < rounds; round++) {
    const pair = { small: await ticks(small), large: await ticks(large) }
    costs.push(pair)
    say(
      `tick: ${pair.small.wallMs.toFixed(2)} ms among ${few}, ${pair.large.wallMs.toFixed(2)} ms among ${many}`,
    )
  }
  return {
    few: ticked(costs.map(({ small: cost }) => cost)),
    many: ticked(costs.map(({ large: cost }) => cost)),
    wallRatio: summary(costs.map((c) => c.large.wallMs / c.small.wallMs)),
    cpuRatio: summary(costs.map((c) => c.large.cpuMs / c.small.cpuMs)),
  }
}

async function atOnce(): Promise<Figures['atOnce']> {
  const busy = await place({ idle: 0, everyMinute: AT_ONCE })
  const costs: Cost[] = []
  await busy.tick(AT_ONCE)
  for (let round = 0; round < rounds; round++) {
    costs.push(await busy.tick(AT_ONCE))
    say(`${AT_ONCE} at once: ${(costs.at(-1)?.wallMs ?? 0).toFixed()} ms`)
  }
  await busy.close()
  return {
    runsPerSecond: summary(costs.map(({ wallMs }) => (AT_ONCE * 1_000) / wallMs)),
    lastAfterMs: summary(costs.map(({ wallMs }) => wallMs)),
  }
}

async function lists({ schedules }: Place): Promise<Figures['lists']> {
  const timed = async (list: () => Promise<unknown>): Promise<Summary> => {
    const took: number[] = []
    for (let round = 0; round < rounds; round++) {
      const started = performance.now()
      await list()
      took.push(performance.now() - started)
    }
    return summary(took)
  }
  const figures = {
    first: await timed(() => schedules.list()),
    thousand: await timed(() => schedules.list({ limit: 1_000 })),
    text: await timed(() => schedules.list({ text: `branch ${many - 1}` })),
  }
  say(`list of ${many}: ${figures.first.median.toFixed()} ms`)
  return figures
}

async function startUp(directory: string): Promise<Figures['startUp']> {
  const times = { none: [] as number[], many: [] as number[] }
  const once = async (dataDir?: string): Promise<number> => {
    const started = performance.now()
    const server = await startServer(dataDir === undefined ? {} : { dataDir })
    const took = performance.now() - started
    if (dataDir !== undefined) await isFull(server.url)
    await server.stop()
    return took
  }
  await once()
  for (let round = 0; round < rounds; round++) {
    times.none.push(await once())
    times.many.push(await once(directory))
    say(`start-up: ${times.none.at(-1)?.toFixed()} ms, with schedules ${times.many.at(-1)?.toFixed()} ms`)
  }
  return { none: summary(times.none), many: summary(times.many) }
}

/** What started must have been the directory with all the schedules. */
async function isFull(url: string): Promise<void> {
  const answer = await fetch(`${url}/api/v1/schedules?limit=1`)
  const { total } = (await answer.json()) as { readonly total: number }
  if (total < many) throw new Error(`the server knows ${total} schedules, not ${many}`)
}

say(`filling: ${few} and ${many} schedules`)
const small = await place({ idle: few - DUE, everyMinute: DUE })
const large = await place({ idle: many - DUE, everyMinute: DUE })
const tick = await tickAmong(small, large)
const listed = await lists(large)
await small.close()
await large.close()
const figures: Figures = {
  few,
  many,
  tick,
  lists: listed,
  atOnce: await atOnce(),
  startUp: await startUp(large.directory),
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
  ticksARound: TICKS,
  ...figures,
}
process.stdout.write(`${rows(figures)}\n`)
if (!quick) {
  writeFileSync(join(root, 'benchmarks/results/schedules.json'), `${JSON.stringify(result, undefined, 1)}\n`)
  const docs = join(root, 'docs/performance.md')
  writeFileSync(docs, figuresIn(readFileSync(docs, 'utf8'), figures))
}
