/**
 * Jobs on DynamoDB and SQS, on the table as Terraform makes it: workers of the command line that are killed with -9, unique ids, run
 * records, rate limits, and returns that are no attempts.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { JobsConnection } from '../../src/jobs/api.ts'
import { defineJob } from '../../src/jobs/define.ts'
import { startWorker } from '../../src/jobs/worker.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { redrive } from '../../src/messages/redrive.ts'
import type { MessageQueue } from '../../src/ports/message-queue.ts'
import type { Store } from '../../src/ports/store.ts'
import { createRunsService, type RunsService } from '../../src/runs/service.ts'
import { sendThrough } from '../../src/runs/wake-up.ts'
import { createTable, openStore, type DynamodbEngine, type Table } from '../support/engines/dynamodb.ts'
import { startDynoxide } from '../support/engines/dynoxide.ts'
import { startFauxqsEngine } from '../support/engines/fauxqs.ts'
import { createQueue, openMessages, sqsClient, type SqsEngine } from '../support/engines/sqs.ts'
import { endProcesses, root, signalbox, until, type Running } from '../support/processes.ts'
import { counted, limited } from './fixtures/jobs-cloud.ts'

const FIXTURE = join(root, 'test/races/fixtures/jobs-cloud.ts')
const JOBS = 150
const LONG = { timeout: 600_000 }
const parts = { clock: systemClock, random: systemRandom }

let dynamodb: DynamodbEngine
let table: Table
let sqs: SqsEngine
let store: Store
let engine: MessageQueue
let runs: RunsService
let via: JobsConnection

beforeAll(async () => {
  dynamodb = await startDynoxide()
  table = await createTable(dynamodb)
  sqs = await startFauxqsEngine()
  const client = sqsClient(sqs)
  for (const name of ['counted', 'limited', 'held', 'odd']) {
    await createQueue(client, `${name}-dead`)
    await createQueue(client, name, { deadLetter: { queue: `${name}-dead`, maxReceives: 30 } })
  }
  client.destroy()
  store = await openStore(dynamodb, table)
  engine = await openMessages(sqs)
  runs = createRunsService({ store, send: sendThrough(engine), sweepMs: 1_000, ...parts })
  await runs.start()
  via = { engine, store, runs, ...parts }
})

afterAll(async () => {
  await runs.close()
  await engine.close()
  await store.close()
  await table.drop()
  await sqs.stop()
  await dynamodb.stop()
  endProcesses()
})

async function startOne(): Promise<Running> {
  const env = {
    AWS_REGION: dynamodb.region,
    AWS_ACCESS_KEY_ID: 'AKIATEST',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_SQS_ENDPOINT_URL: sqs.endpoint,
    SIGNALBOX_STORE_ENGINE: 'dynamodb',
    SIGNALBOX_STORE_DYNAMODB_TABLE: table.name,
    SIGNALBOX_STORE_DYNAMODB_ENDPOINT: dynamodb.endpoint,
    SIGNALBOX_MESSAGES_ENGINE: 'sqs',
  }
  const worker = signalbox(['worker', FIXTURE, '--metrics', 'off', '--concurrency', '4'], { env })
  await until('a worker is ready', async () => {
    if (worker.child.exitCode !== null) throw new Error(`it ended: ${worker.out()}${worker.err()}`)
    return `${worker.out()}${worker.err()}`.includes('worker is ready')
  })
  return worker
}

/** How many effects each job of a kind had. */
async function effects(partition: string): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  const { records } = await store.list({ partition }, { limit: 1_000 })
  for (const { value } of records) found.set(value as string, (found.get(value as string) ?? 0) + 1)
  return found
}

const succeeded = async (): Promise<number> =>
  (await runs.list({ job: 'counted', states: ['succeeded'], limit: 1_000 })).runs.length

describe('jobs on DynamoDB and SQS', () => {
  it('run once an id while their workers are killed, and their effects are there once', LONG, async () => {
    const workers = [await startOne(), await startOne()]
    const items = Array.from({ length: JOBS }, (_, n) => ({ input: { n }, id: `job-${n}` }))
    for (const again of [false, true]) {
      const results = await counted.enqueueMany(items, { via })
      expect(results.filter((one) => one.status === 'enqueued' && one.duplicate === again)).toHaveLength(JOBS)
    }
    expect(await limited.enqueueMany(items.slice(0, 40), { via })).toHaveLength(40)
    for (const [at, share] of [0.2, 0.5].entries()) {
      await until('some are done', async () => (await succeeded()) >= share * JOBS, 120_000)
      workers[at]?.kill('SIGKILL')
      workers[at] = await startOne()
    }
    await until('all runs have succeeded', async () => (await succeeded()) === JOBS, 180_000)
    await until('the others are done', async () => (await effects('limited')).size === 40, 120_000)
    const all = await effects('counted')
    expect(all.size).toBe(JOBS)
    for (const each of [all, await effects('limited')]) {
      expect([...each].filter(([, count]) => count !== 1)).toEqual([])
    }
    for (const worker of workers) worker.kill('SIGTERM')
    expect(await Promise.all(workers.map(({ exited }) => exited))).toEqual([0, 0])
    for (const queue of ['counted-dead', 'limited-dead']) {
      expect(await engine.stats(queue)).toMatchObject({ visible: 0, inFlight: 0 })
    }
  })

  it('that are poison are dead-lettered on the first attempt, each with its reason, and again after a redrive', async () => {
    const seen: number[] = []
    let moved = 0
    const odd = defineJob({
      name: 'odd',
      queue: 'odd',
      input: z.object({ n: z.number() }),
      run: ({ n }) => seen.push(n),
    })
    const worker = await startWorker([odd], { via, unknownJobGrace: '0s' })
    const bodies = ['{bad', '{"job":"odd","input":{"n":"x"}}', '{"job":"nobody","input":{}}']
    for (const body of bodies) await engine.send('odd', [{ body }])
    for (const visibilityMs of [0, 60_000]) {
      await until('all are dead', async () => (await engine.stats('odd-dead')).visible === 3)
      const dead = await engine.receive('odd-dead', { max: 10, visibilityMs })
      expect(dead.map(({ attributes }) => String(attributes['signalbox.reason']?.value)).toSorted()).toEqual([
        'invalid_input',
        'unknown_job',
        'unreadable',
      ])
      if (visibilityMs > 0) continue
      await until('they are back', async () => {
        moved += (await redrive({ engine, clock: systemClock }, 'odd-dead', { limit: 3 - moved })).moved
        return moved === 3
      })
    }
    expect(seen).toEqual([])
    await worker.close()
  })

  it('are given back by a drained worker without the loss of an attempt', async () => {
    const attempts: number[] = []
    const held = defineJob({
      name: 'held',
      queue: 'held',
      input: z.object({}),
      run: async (_, { attempt, signal }) => {
        attempts.push(attempt)
        if (attempts.length < 3) {
          await new Promise((__, over) =>
            signal.addEventListener('abort', () => over(signal.reason as Error)),
          )
        }
      },
    })
    const trouble: string[] = []
    await held.enqueue({}, { via })
    for (let drains = 1; drains <= 3; drains++) {
      const worker = await startWorker([held], {
        via,
        onEvent: (event) => void (event.type === 'trouble' && trouble.push(event.error.message)),
      })
      await until('it runs', () => attempts.length === drains)
      await worker.close()
    }
    expect(attempts).toEqual([1, 1, 1])
    expect(trouble).toEqual([])
  })
})
