/**
 * Three servers on one DynamoDB table and SQS, two of which are killed with -9 while schedules are due: one run for each time, none
 * missing, one effect each.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createClient, type Client } from '../../src/client/client.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import type { Store } from '../../src/ports/store.ts'
import { createTable, openStore, type DynamodbEngine, type Table } from '../support/engines/dynamodb.ts'
import { startDynoxide } from '../support/engines/dynoxide.ts'
import { startFauxqsEngine } from '../support/engines/fauxqs.ts'
import { createQueue, sqsClient, type SqsEngine } from '../support/engines/sqs.ts'
import { endProcesses, startServer } from '../support/processes.ts'
import { doneRuns, effectsIn, saved, startWorker, strikeAt } from './fixtures/schedules.ts'

const SCHEDULES = 72
const SECONDS = 9
const SERVERS = 3
let dynamodb: DynamodbEngine
let table: Table
let sqs: SqsEngine
let store: Store

beforeAll(async () => {
  dynamodb = await startDynoxide()
  table = await createTable(dynamodb)
  sqs = await startFauxqsEngine()
  const client = sqsClient(sqs)
  await createQueue(client, 'ticks-dead')
  await createQueue(client, 'ticks', { deadLetter: { queue: 'ticks-dead', maxReceives: 30 } })
  client.destroy()
  store = await openStore(dynamodb, table)
})

afterAll(async () => {
  await store.close()
  await table.drop()
  await sqs.stop()
  await dynamodb.stop()
  endProcesses()
})

it(
  'of three servers two are killed: each time has one run and one effect',
  { timeout: 300_000 },
  async () => {
    const env = {
      AWS_REGION: dynamodb.region,
      AWS_ACCESS_KEY_ID: 'AKIATEST',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_PROFILE: '',
      AWS_SQS_ENDPOINT_URL: sqs.endpoint,
      SIGNALBOX_STORE_ENGINE: 'dynamodb',
      SIGNALBOX_STORE_DYNAMODB_TABLE: table.name,
      SIGNALBOX_STORE_DYNAMODB_ENDPOINT: dynamodb.endpoint,
      SIGNALBOX_MESSAGES_ENGINE: 'sqs',
      SIGNALBOX_SCHEDULES_POLL: '1s',
    }
    const servers = await Promise.all(Array.from({ length: SERVERS }, () => startServer({ env })))
    const clients = servers.map(({ url }): Client =>
      createClient({ url, clock: systemClock, random: systemRandom }),
    )
    const workers = await Promise.all([startWorker(env), startWorker(env)])
    let calls = 0
    const due = await saved(
      { count: SCHEDULES, seconds: SECONDS },
      () => clients[calls++ % SERVERS] as Client,
    )
    const survivor = Math.floor(Math.random() * SERVERS)
    const victims = servers.filter((_, n) => n !== survivor)
    for (const [n, { running }] of victims.entries()) {
      const strikesAt = strikeAt(due, (n + Math.random()) / victims.length)
      await pause(Math.max(0, strikesAt - Date.now()))
      running.kill('SIGKILL')
      await running.exited
    }
    const client = clients[survivor] as Client
    const runs = await doneRuns(client, due, 180_000)
    expect(new Set(runs.map(({ source }) => source))).toEqual(new Set(['schedule']))
    for (const worker of workers) worker.kill('SIGTERM')
    expect(await Promise.all(workers.map(({ exited }) => exited))).toEqual([0, 0])
    expect(await effectsIn(store)).toEqual(new Map(due.map(({ run }) => [run, 1])))
    await Promise.all(clients.map((one) => one.close()))
    await servers[survivor]?.stop()
  },
)
