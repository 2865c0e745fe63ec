/** The job on the real queue and the real worker, embedded: what is counted, what is given up and why. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../test/support/processes.ts'
import { openSqlite, sqliteMessageQueue, sqliteStore } from '../drivers/sqlite/index.ts'
import type { JobsConnection, Worker } from '../jobs/api.ts'
import { startWorker } from '../jobs/worker.ts'
import { systemClock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import { systemRandom } from '../kernel/id.ts'
import type { MessageQueue } from '../ports/message-queue.ts'
import type { VoteInput } from './api.ts'
import { VoteCounter } from './counting.ts'
import { sumShards, type VoteLedger } from './ledger.ts'
import { recordLedger } from './ledger/records.ts'
import { recordVote } from './worker.ts'

let folder: string
let engine: Awaited<ReturnType<typeof openSqlite>>
let messages: MessageQueue
let ledger: VoteLedger
let via: JobsConnection
let worker: Worker | undefined
const told: string[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'signalbox-votes-'))
  engine = await openSqlite({ directory: folder, clock: systemClock })
  messages = sqliteMessageQueue(engine)
  const store = sqliteStore(engine)
  ledger = recordLedger(store)
  via = { engine: messages, store, clock: systemClock, random: systemRandom }
  told.splice(0)
})
afterEach(async () => {
  await worker?.close()
  worker = undefined
  await messages.close()
  await engine.close()
  rmSync(folder, { recursive: true })
})

async function work(on: VoteLedger = ledger): Promise<void> {
  const counter = new VoteCounter({ ledger: on, clock: systemClock, random: systemRandom })
  worker = await startWorker([recordVote], {
    concurrency: 2,
    via,
    deps: { counter, onCounted: (status) => told.push(status) },
  })
}

function cast(...votes: readonly VoteInput[]): Promise<unknown> {
  return recordVote.enqueueMany(
    votes.map((input) => ({ input, id: input.id })),
    { via },
  )
}

async function drained(): Promise<void> {
  await until('nothing is left', async () => {
    const { visible, inFlight, delayed } = await messages.stats('votes')
    return visible + inFlight + delayed === 0
  })
}

async function tally(): Promise<Record<string, number>> {
  return Object.fromEntries(sumShards(await ledger.getShards(['t'])).get('t') ?? [])
}

async function dead(): Promise<{ reason: unknown; body: string }[]> {
  const { messages: all = [] } = (await messages.peek?.('votes-dead')) ?? {}
  return all.map(({ attributes, body }) => ({ reason: attributes['signalbox.reason']?.value, body }))
}

const vote = (id: string, choice_id = 'a'): VoteInput => ({ id, topic_id: 't', choice_id })

describe('record-vote', () => {
  it('counts what waits, each vote once', async () => {
    await cast(...Array.from({ length: 100 }, (_, i) => vote(`v${i % 50}`, i % 2 === 0 ? 'a' : 'b')))
    await work()
    await drained()
    expect(await tally()).toEqual({ a: 25, b: 25 })
    expect(told.filter((status) => status === 'counted').length).toBe(50)
    expect(told.length).toBe(100)
  })

  it('gives up at once what no repetition will count, says why, and counts the rest', async () => {
    await cast(vote('1'))
    await work()
    await drained()
    await cast(vote('1', 'b'), vote('2', 'b'))
    await messages.send('votes', [
      { body: '{' },
      { body: JSON.stringify({ v: 1, job: 'record-vote', id: 'x', input: { id: 'x', topic_id: 't' } }) },
      {
        body: JSON.stringify({
          v: 1,
          job: 'record-vote',
          id: 'y',
          input: { ...vote('y'), choice_id: 'a b' },
        }),
      },
    ])
    await drained()
    expect(await tally()).toEqual({ a: 1, b: 1 })
    const reasons = (await dead()).map(({ reason }) => String(reason))
    expect(reasons.toSorted()).toEqual(['invalid_input', 'invalid_input', 'rejected', 'unreadable'])
  })

  it('counts once what is redriven after its reason is gone', async () => {
    await cast(vote('1', 'b'))
    await work()
    await drained()
    await cast(vote('1'))
    await drained()
    expect(await dead()).toHaveLength(1)
    await messages.redrive?.('votes-dead', { limit: 10 })
    await drained()
    expect(await dead()).toHaveLength(1) // it still stands for another vote
    expect(await tally()).toEqual({ b: 1 })
  })

  it('tries again what the ledger did not take', async () => {
    let refusals = 3
    const shaky: VoteLedger = {
      ...ledger,
      async commit(fold) {
        if (refusals-- > 0) throw new SignalboxError('throttled', 'too much')
        return ledger.commit(fold)
      },
    }
    await cast(vote('1'))
    await work(shaky)
    await drained()
    expect(await tally()).toEqual({ a: 1 })
    expect(await dead()).toEqual([])
  })
})
