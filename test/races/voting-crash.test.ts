/**
 * No vote is lost and none counted twice: each is cast three times, processes are killed with -9 again and again, every tenth commit
 * is answered with a time-out after it was applied. Judged from outside (`voting/judge.ts`).
 * VOTING_VOTES=20000 is the long form, with a kill every two seconds.
 */
import { join } from 'node:path'
import { GetQueueAttributesCommand, GetQueueUrlCommand } from '@aws-sdk/client-sqs'
import { afterEach, describe, expect, it } from 'vitest'
import { openEmbedded } from '../../src/cli/embedded.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { sdkClient } from '../support/engines/dynamodb.ts'
import { startFauxqsEngine } from '../support/engines/fauxqs.ts'
import { createQueue, sqsClient } from '../support/engines/sqs.ts'
import { endProcesses, freePort, signalbox, temporaryFolder, until } from '../support/processes.ts'
import { startVotingTables } from '../support/voting-tables.ts'
import { CROWD_KEY, gatherCrowd, tallies, type Crowd } from './voting/crowd.ts'
import { allIsWell, judge, readFile, readTables } from './voting/judge.ts'
import { KilledProcess, killUntil, report } from './voting/killed.ts'

const LONG = process.env['VOTING_VOTES']
const VOTES = Number(LONG ?? 2_000)
const EVERY_MS = LONG === undefined ? 500 : 2_000
const TIMEOUT_MS = 400_000 + VOTES * 60
const KILLS = 8
const rhythm = { everyMs: EVERY_MS, atLeast: KILLS, growth: LONG === undefined ? 1.5 : 1 }

afterEach(() => endProcesses())

const metrics = { host: '127.0.0.1', port: 0 }
/** A killed worker's votes come again after two seconds, so that the test need not wait for longer. */
const worker = { concurrency: 3, visibilityMs: 2_000, metrics }
const api = { host: '127.0.0.1', apiKey: CROWD_KEY, origins: [], requireActive: false }
const faults = { lost: 0.1, delayMs: 30 }

async function startApi(
  env: Record<string, string>,
  args: readonly string[],
): Promise<{ url: string; stop: () => Promise<void> }> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const running = signalbox(['voting', 'api', '--port', String(port), ...args], {
    env: { API_KEY: CROWD_KEY, ...env },
  })
  await until('the voting API is ready', async () => {
    if (running.child.exitCode !== null) throw new Error(`it ended: ${running.out()}${running.err()}`)
    return (await fetch(`${url}/healthz`).catch(() => undefined))?.status === 200
  })
  return {
    url,
    async stop() {
      running.kill('SIGTERM')
      expect(await running.exited).toBe(0)
    },
  }
}

/** Waits until the tallies are what was cast; `judge` sees to the rest. */
async function counted(url: string, crowd: Crowd): Promise<void> {
  await crowd.done
  await until(
    'all votes are counted',
    async () => {
      const now = await tallies(url).catch(() => new Map<string, number>())
      return [...crowd.expected].every(([name, votes]) => (now.get(name) ?? 0) >= votes)
    },
    TIMEOUT_MS,
  )
}

function watched(promise: Promise<void>): () => boolean {
  let over = false
  promise.then(
    () => (over = true),
    () => (over = true),
  )
  return () => over
}

/** Until nothing waits or is being counted; nothing may have been given up. */
async function drained(directory: string): Promise<void> {
  const parts = { clock: systemClock, random: systemRandom }
  const opened = await openEmbedded({ directory, ...parts, mayOwn: false, command: 'test' })
  await until(
    'no delivery is left',
    async () => {
      const { visible, inFlight, delayed } = await opened.messages.stats('votes')
      return visible + inFlight + delayed === 0
    },
    TIMEOUT_MS,
  )
  expect(await opened.messages.stats('votes-dead')).toMatchObject({ visible: 0, inFlight: 0, delayed: 0 })
  await opened.close()
}

/** By the service's own word. */
async function agrees(
  args: readonly string[],
  votes: number,
  env: Record<string, string> = {},
): Promise<void> {
  const verdict = signalbox(['voting', 'verify', ...args], { env })
  expect([await verdict.exited, verdict.out()]).toEqual([
    0,
    `${votes} votes on 3 topics: the tallies agree\n`,
  ])
}

describe('votes survive', () => {
  it(
    'workers that are killed, on the embedded engines',
    async () => {
      const directory = temporaryFolder('voting')
      const service = await startApi({}, ['--data-dir', directory])
      const engine = { kind: 'embedded', directory } as const
      const workers = [1, 2].map((seed) => new KilledProcess({ engine, worker, seed, ...faults }))
      for (const each of workers) await each.start()

      const crowd = await gatherCrowd(service.url, VOTES)
      const all = counted(service.url, crowd)
      await killUntil(watched(all), workers, rhythm)
      await all

      await drained(directory)
      for (const each of workers) expect(await each.stop()).toBe(0)
      await agrees(['--data-dir', directory], VOTES)
      await service.stop()
      report('embedded', VOTES, workers)
      expect(judge(readFile(join(directory, 'signalbox.db')), crowd)).toEqual({ stored: VOTES, ...allIsWell })
    },
    TIMEOUT_MS,
  )

  it(
    'an owner of the data that is killed, API and worker in one, under a worker that attached to it',
    async () => {
      const directory = temporaryFolder('voting')
      const port = await freePort()
      const engine = { kind: 'embedded', directory } as const
      const service = new KilledProcess({ engine, api: { ...api, port }, worker, seed: 1, ...faults })
      await service.start()
      const attached = new KilledProcess({ engine, worker, seed: 2, ...faults })
      await attached.start()
      const url = `http://127.0.0.1:${port}`

      const crowd = await gatherCrowd(url, VOTES)
      const all = counted(url, crowd)
      await killUntil(watched(all), [service], { ...rhythm, everyMs: EVERY_MS * 2 })
      await all

      await drained(directory)
      expect(await attached.stop()).toBe(0)
      expect(await service.stop()).toBe(0)
      report('embedded, the owner', VOTES, [service, attached])
      expect(judge(readFile(join(directory, 'signalbox.db')), crowd)).toEqual({ stored: VOTES, ...allIsWell })
    },
    TIMEOUT_MS,
  )

  it(
    'workers that are killed, on DynamoDB and SQS',
    async () => {
      const tables = await startVotingTables()
      const sqs = await startFauxqsEngine()
      const client = sqsClient(sqs)
      await createQueue(client, 'votes-dead')
      await createQueue(client, 'votes', {
        visibilityMs: 2_000,
        deadLetter: { queue: 'votes-dead', maxReceives: 30 },
      })
      const env = {
        AWS_REGION: 'eu-west-1',
        AWS_ACCESS_KEY_ID: 'AKIATEST',
        AWS_SECRET_ACCESS_KEY: 'test',
        DYNAMODB_ENDPOINT_URL: tables.engine.endpoint,
        AWS_SQS_ENDPOINT_URL: sqs.endpoint,
      }
      const engine = {
        kind: 'aws',
        region: env.AWS_REGION,
        dynamodb: tables.engine.endpoint,
        sqs: sqs.endpoint,
      } as const
      const service = await startApi(env, [])
      const workers = [1, 2].map((seed) => new KilledProcess({ engine, worker, seed, ...faults }, env))
      for (const each of workers) await each.start()

      const crowd = await gatherCrowd(service.url, VOTES / 2)
      const all = counted(service.url, crowd)
      await killUntil(watched(all), workers, rhythm)
      await all

      const left = async (QueueName: string): Promise<number> => {
        const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName }))
        const answer = await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }))
        const { ApproximateNumberOfMessages: a, ApproximateNumberOfMessagesNotVisible: b } =
          answer.Attributes ?? {}
        return Number(a) + Number(b)
      }
      await until('no delivery is left', async () => (await left('votes')) === 0, TIMEOUT_MS)
      expect(await left('votes-dead')).toBe(0)
      for (const each of workers) expect(await each.stop()).toBe(0)
      await agrees([], VOTES / 2, env)
      await service.stop()
      report('DynamoDB and SQS', VOTES / 2, workers)
      const reader = sdkClient(tables.engine)
      const finding = judge(await readTables(reader, tables.names.votes), crowd)
      expect(finding).toEqual({ stored: VOTES / 2, ...allIsWell })
      reader.destroy()
      client.destroy()
      await tables.stop()
      await sqs.stop()
    },
    TIMEOUT_MS,
  )
})
