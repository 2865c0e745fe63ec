/**
 * `node benchmarks/messages/sqs.ts`: what a message costs on SQS through the engine, through the AWS SDK alone and through sqs-consumer.
 *
 * Each contestant works in a process of its own, against one emulator (fauxqs) in another, and consumes the same number of
 * messages: receive, hand to a handler that does nothing, delete. The emulator is the limit, and shares the cores; so CPU per
 * message in the contestant's own process decides, beside requests per message, which SQS charges for.
 *
 * - `sdk`: four loops of ReceiveMessage (10) and DeleteMessageBatch, by hand.
 * - `sqs-consumer`: batches of ten through `handleMessageBatch`, four consumers at once, no heartbeat, no pause between polls.
 * - `engine`: forty callers, each message deleted by a call of its own; the engine makes the batches.
 * - `engine-batches`: four callers who receive and delete ten at once.
 *
 * Prints a table and writes results/messages-sqs.json. Options: --messages 20000 --rounds 3
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SQSClient,
  type Message,
} from '@aws-sdk/client-sqs'
import { startFauxqs } from 'fauxqs'
import { Consumer } from 'sqs-consumer'
import { openSqsMessages } from '../../src/drivers/sqs/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { summary } from '../support/statistics.ts'

const { values: options } = parseArgs({
  options: {
    messages: { type: 'string', default: '20000' },
    rounds: { type: 'string', default: '3' },
    role: { type: 'string' },
    endpoint: { type: 'string', default: '' },
  },
})
const COUNT = Number(options.messages)
const QUEUE = 'bench'
const PARALLEL = 4
const CALLERS = 40
const region = 'us-east-1'
const credentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'test' }
const { endpoint } = options
const url = `${endpoint}/000000000000/${QUEUE}`

interface Figures {
  readonly perSecond: number
  readonly cpuMicroseconds: number
  readonly requestsPerMessage: number
}

/** Consumes messages until `done` says that all are handled. @returns the requests it took, if it counts them */
type Contestant = (handled: () => void) => Promise<number>

function sdkClient(count: () => void): SQSClient {
  const client = new SQSClient({ region, credentials, endpoint })
  client.middlewareStack.add(
    (next) => (args) => {
      count()
      return next(args)
    },
    { step: 'finalizeRequest', name: 'count' },
  )
  return client
}

const contestants: Record<string, Contestant> = {
  async sdk(handled) {
    let requests = 0
    let left = COUNT
    const client = sdkClient(() => (requests += 1))
    const loop = async (): Promise<void> => {
      while (left > 0) {
        const input = { QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }
        const { Messages = [] } = await client.send(new ReceiveMessageCommand(input))
        if (Messages.length === 0) continue
        left -= Messages.length
        const Entries = Messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle }))
        await client.send(new DeleteMessageBatchCommand({ QueueUrl: url, Entries }))
        for (let i = 0; i < Messages.length; i++) handled()
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, loop))
    return requests
  },

  async 'sqs-consumer'(handled) {
    let requests = 0
    const sqs = sdkClient(() => (requests += 1))
    const left = Promise.withResolvers<void>()
    let seen = 0
    const consumers = Array.from({ length: PARALLEL }, () =>
      Consumer.create({
        queueUrl: url,
        sqs,
        batchSize: 10,
        waitTimeSeconds: 1,
        pollingWaitTimeMs: 0,
        handleMessageBatch: async (messages: Message[]) => {
          for (let i = 0; i < messages.length; i++) handled()
          seen += messages.length
          if (seen >= COUNT) left.resolve()
          return messages
        },
      }),
    )
    for (const consumer of consumers) consumer.start()
    await left.promise
    for (const consumer of consumers) consumer.stop()
    return requests
  },

  engine: (handled) => throughEngine(handled, CALLERS, 1),
  'engine-batches': (handled) => throughEngine(handled, PARALLEL, 10),
}

async function throughEngine(handled: () => void, callers: number, deletes: 1 | 10): Promise<number> {
  let requests = 0
  let left = COUNT
  const messages = await openSqsMessages({
    region,
    credentials,
    endpoint,
    clock: systemClock,
    random: systemRandom,
    onRequest: () => (requests += 1),
  })
  const loop = async (): Promise<void> => {
    while (left > 0) {
      const some = await messages.receive(QUEUE, { max: 10, waitMs: 1_000 })
      left -= some.length
      const receipts = some.map(({ receipt }) => receipt)
      if (deletes === 1) await Promise.all(receipts.map((receipt) => messages.delete(QUEUE, [receipt])))
      else if (receipts.length > 0) await messages.delete(QUEUE, receipts)
      for (let i = 0; i < some.length; i++) handled()
    }
  }
  await Promise.all(Array.from({ length: callers }, loop))
  return requests
}

async function contest(consume: Contestant): Promise<Figures> {
  let done = 0
  let finishedAt = 0
  const cpu = process.cpuUsage()
  const start = performance.now()
  const requests = await consume(() => {
    done += 1
    if (done === COUNT) finishedAt = performance.now()
  })
  const { user, system } = process.cpuUsage(cpu)
  return {
    perSecond: (COUNT / (finishedAt - start)) * 1_000,
    cpuMicroseconds: (user + system) / COUNT,
    requestsPerMessage: requests / COUNT,
  }
}

/** The emulator: a queue that is full anew at each line of standard input. */
async function emulate(): Promise<void> {
  const server = await startFauxqs({ port: 0, logger: false, host: '127.0.0.1' })
  server.createQueue(QUEUE)
  process.stdin.on('data', () => {
    server.reset()
    for (let i = 0; i < COUNT; i++) server.sendMessage(QUEUE, `message ${i}`)
    console.log(`http://127.0.0.1:${server.port}`)
  })
}

/** Starts this file in a role. @returns its first line, each time it is asked */
function start(role: string, args: readonly string[] = []): { ask(): Promise<string>; stop(): void } {
  const settings = ['--role', role, '--messages', String(COUNT), ...args]
  const child = spawn(process.execPath, [import.meta.filename, ...settings], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  let waiting: ((line: string) => void) | undefined
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    const end = text.indexOf('\n')
    if (end < 0) return
    waiting?.(text.slice(0, end))
    text = text.slice(end + 1)
  })
  return {
    ask: () =>
      new Promise((resolve) => {
        waiting = resolve
        child.stdin.write('\n')
      }),
    stop: () => void child.kill(),
  }
}

async function main(): Promise<void> {
  const emulator = start('emulator')
  const rounds = Array.from({ length: Number(options.rounds) }, (_, i) => i)
  const figures = new Map<string, Figures[]>(Object.keys(contestants).map((name) => [name, []]))
  for (const _ of rounds) {
    for (const [name, all] of figures) {
      const at = await emulator.ask()
      const contestant = start(name, ['--endpoint', at])
      all.push(JSON.parse(await contestant.ask()) as Figures)
      contestant.stop()
    }
  }
  emulator.stop()
  const table = [...figures].map(([name, all]) => ({
    name,
    perSecond: summary(all.map((f) => f.perSecond)),
    cpuMicroseconds: summary(all.map((f) => f.cpuMicroseconds)),
    requestsPerMessage: summary(all.map((f) => f.requestsPerMessage)),
  }))
  console.table(
    table.map(({ name, ...rest }) => ({
      name,
      ...Object.fromEntries(Object.entries(rest).map(([key, { median }]) => [key, median])),
    })),
  )
  const facts = { node: process.version, cpus: cpus().length, messages: COUNT, contestants: table }
  const out = join(import.meta.dirname, '../results/messages-sqs.json')
  writeFileSync(out, `${JSON.stringify(facts, null, 2)}\n`)
}

const consume = contestants[options.role ?? '']
if (options.role === 'emulator') await emulate()
else if (consume === undefined) await main()
else {
  console.log(JSON.stringify(await contest(consume)))
  process.exit()
}
