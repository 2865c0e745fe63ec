/** Each way to consume from SQS, against the same emulator, the ways alternating. */
import { summary, type Summary } from '../support/statistics.ts'
import type { Emulator } from './emulators.ts'
import { measured, startSidecar, summaries, type Figures } from './run.ts'

/** Callers who share the work; the polls of `Consume` and of sqs-consumer are their own matter. */
const CALLERS = 8
const WAYS: Readonly<Record<string, 'sidecar' | 'alone'>> = {
  'sqs-consumer, tuned': 'alone',
  Consume: 'sidecar',
  'our engine as a library': 'alone',
  'AWS SDK': 'alone',
  'Receive + DeleteBatch': 'sidecar',
  'Receive + Delete': 'sidecar',
  'HTTP receive + delete': 'sidecar',
  'sqs-consumer, default': 'alone',
}
/** Its two requests for each message go one after the other: a tenth of the messages is enough. */
const SLOW = 'sqs-consumer, default'
/** What is on its way when enough is handled must find messages too. */
const SPARE = 1_000

export interface SqsOptions {
  readonly rounds: number
  readonly messages: number
  readonly bytes: number
  /** Default: all. */
  readonly ways?: readonly string[]
}

export interface SqsRow extends Record<keyof Figures, Summary> {
  readonly way: string
  /** Of each round, against the first way (sqs-consumer as tuned) in the same round: its rate, and its CPU for each message. */
  readonly rateRatio: Summary
  readonly cpuRatio: Summary
}

export async function onSqs(emulator: Emulator, options: SqsOptions): Promise<SqsRow[]> {
  const { rounds, messages, bytes, ways = Object.keys(WAYS) } = options
  const all = new Map<string, Figures[]>(ways.map((way) => [way, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [way, figures] of all) {
      const queue = `bench-${round}-${figures.length}-${ways.indexOf(way)}`
      const count = way === SLOW ? Math.ceil(messages / 10) : messages
      const warmUp = Math.ceil(count / 4)
      const address = await emulator.fill(queue, warmUp + count + SPARE, bytes)
      const task = {
        address,
        queue,
        warmUp,
        messages: count,
        bytes,
        callers: way === 'Consume' ? 1 : CALLERS,
      }
      figures.push(await (WAYS[way] === 'sidecar' ? throughSidecar(way, task) : measured(way, task)))
    }
  }
  const [tuned = []] = all.values()
  return [...all].map(([way, figures]) => ({
    way,
    ...summaries(figures),
    rateRatio: ratio(figures, tuned, 'perSecond'),
    cpuRatio: ratio(figures, tuned, 'together'),
  }))
}

async function throughSidecar(way: string, task: Parameters<typeof measured>[1]): Promise<Figures> {
  const web = way.startsWith('HTTP')
  const engine = ['--engine', 'sqs', '--endpoint', task.address, '--region', 'us-east-1']
  const sidecar = await startSidecar([...engine, '--queue', task.queue], { web })
  const figures = await measured(way, { ...task, address: web ? sidecar.http : sidecar.grpc }, sidecar)
  await sidecar.stop()
  return figures
}

function ratio(figures: readonly Figures[], to: readonly Figures[], key: keyof Figures): Summary {
  return summary(figures.map((one, i) => one[key] / (to[i]?.[key] ?? NaN)))
}
