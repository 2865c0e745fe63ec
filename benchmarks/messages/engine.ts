/**
 * The embedded engine in process, durable, without a wire: sends, and receives with their deletes, in batches of ten, by 1 and
 * by 64 callers. A process of its own, for its memory: `node engine.ts '{"depths":[1000],…}'`, the rows over IPC.
 */
import { rmSync } from 'node:fs'
import { openSqlite, sqliteMessageQueue } from '../../src/drivers/sqlite/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import type { MessageQueue } from '../../src/ports/message-queue.ts'
import { temporaryFolder } from '../../test/support/processes.ts'
import { summary, type Summary } from '../support/statistics.ts'
import { fill, QUEUE } from './fill.ts'
import { Meter } from './meter.ts'

export interface EngineTask {
  readonly depths: readonly number[]
  readonly rounds: number
  /** Of 64 callers; one alone handles a tenth. */
  readonly messages: number
  readonly bytes: number
}

interface Figures {
  readonly perSecond: number
  /** Microseconds for each message. */
  readonly cpu: number
}

export interface EngineRow {
  readonly depth: number
  readonly callers: number
  readonly send: Record<keyof Figures, Summary>
  readonly consume: Record<keyof Figures, Summary>
}

const BATCH = 10

/** Lets callers repeat `step` until they have handled enough together. */
async function measure(callers: number, messages: number, step: () => Promise<number>): Promise<Figures> {
  const meter = new Meter(Math.ceil(messages / 5), messages)
  const caller = async (): Promise<void> => {
    while (meter.left > 0) meter.handled(await step())
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const done = await meter.done
  return { perSecond: done.messages / done.seconds, cpu: done.cpu / done.messages }
}

async function send(messages: MessageQueue, body: string): Promise<number> {
  const results = await messages.send(
    QUEUE,
    Array.from({ length: BATCH }, () => ({ body })),
  )
  return results.filter(({ status }) => status === 'sent').length
}

async function consume(messages: MessageQueue): Promise<number> {
  const received = await messages.receive(QUEUE, { max: BATCH })
  const receipts = received.map(({ receipt }) => receipt)
  const results = receipts.length === 0 ? [] : await messages.delete(QUEUE, receipts)
  return results.filter(({ status }) => status === 'deleted').length
}

async function opened(depth: number, bytes: number) {
  const directory = temporaryFolder('bench')
  await fill(directory, depth, bytes)
  const engine = await openSqlite({ directory, clock: systemClock })
  const messages = sqliteMessageQueue(engine)
  const close = async (): Promise<void> => {
    await messages.close()
    await engine.close()
    rmSync(directory, { recursive: true })
  }
  return { depth, messages, close }
}

async function all({ depths, rounds, messages: count, bytes }: EngineTask): Promise<EngineRow[]> {
  const queues = await Promise.all(depths.map((depth) => opened(depth, bytes)))
  const body = 'x'.repeat(bytes)
  const rows = queues.flatMap(({ depth, messages }) =>
    [1, 64].map((callers) => ({
      depth,
      callers,
      messages,
      sends: [] as Figures[],
      consumes: [] as Figures[],
    })),
  )
  for (let round = 0; round < rounds; round++) {
    for (const { callers, messages, sends, consumes } of rows) {
      const enough = callers === 1 ? Math.ceil(count / 10) : count
      sends.push(await measure(callers, enough, () => send(messages, body)))
      consumes.push(await measure(callers, enough, () => consume(messages)))
    }
  }
  for (const { close } of queues) await close()
  return rows.map(({ depth, callers, sends, consumes }) => ({
    depth,
    callers,
    send: summaries(sends),
    consume: summaries(consumes),
  }))
}

function summaries(all: readonly Figures[]): Record<keyof Figures, Summary> {
  return { perSecond: summary(all.map((f) => f.perSecond)), cpu: summary(all.map((f) => f.cpu)) }
}

const task = JSON.parse(process.argv[2] ?? '') as EngineTask
process.send?.(await all(task), () => process.exit())
