/** Workflows of Dynamo-Q on both clouds, step by step, with only their `uses:` changed. */
import { CreateTableCommand } from '@aws-sdk/client-dynamodb'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { sdkClient, type DynamodbEngine } from '../support/engines/dynamodb.ts'
import { startDynoxide } from '../support/engines/dynoxide.ts'
import {
  referenceIndex,
  startFirestoreFake,
  type FirestoreFake,
} from '../support/engines/firestore-fake/index.ts'
import { signalbox, until } from '../support/processes.ts'
import { Job, killJobs } from './runner.ts'
import { play, type Played } from './workflow.ts'

const QUEUE = 'randy-tester-github-action'
const fixture = (name: string): string => join(import.meta.dirname, 'fixtures', name)
afterEach(killJobs)

/** How many hold and wait, as the CLI lists them from the same table. */
async function look(
  flags: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<[number, number]> {
  const show = signalbox(['turn', 'show', QUEUE, '--json', ...flags], { env: { ...process.env, ...env } })
  expect([await show.exited, show.err()]).toEqual([0, ''])
  const view = JSON.parse(show.out()) as { holders: object[]; waiters: object[] }
  return [view.holders.length, view.waiters.length]
}

/** What each of the steps is to do. */
async function playsThrough(played: Played, seen: Readonly<Record<string, [number, number]>>): Promise<void> {
  const { job, steps, posts } = played
  const outcomes = [...steps].map(([name, { outcome, annotations }]) => [name, outcome, annotations])
  expect(outcomes).toEqual([
    ['setup lock', 'success', []],
    ['wait for lock', 'success', []],
    ['do something', 'success', []],
    ['release lock', 'success', []],
  ])
  // Nobody is before it, but the guard has to be in place.
  expect(steps.get('wait for lock')?.outputs).toMatchObject({ queue: QUEUE, 'position-at-join': '1' })
  expect(Number(steps.get('wait for lock')?.outputs['fence'])).toBeGreaterThan(0)
  expect(steps.get('do something')?.log).toBe('I am doing something\n')
  expect(steps.get('release lock')?.log).toContain(`${QUEUE}: the turn was given back`)
  expect(posts.map(({ outcome, log }) => outcome + log)).toEqual(['success', 'success', 'success'])
  expect(seen).toEqual({ 'do something': [1, 0], 'release lock': [0, 0] })
  expect(job.agents()).toEqual([])
}

describe('on AWS', () => {
  const flags = ['--backend', 'aws', '--queue-table', 'QueueTable']
  const signedIn = { AWS_ACCESS_KEY_ID: 'AKIATEST', AWS_SECRET_ACCESS_KEY: 'test', AWS_SESSION_TOKEN: 'test' }
  const standIns = { 'aws-actions/configure-aws-credentials': signedIn }
  let engine: DynamodbEngine
  let env: Readonly<Record<string, string>>

  beforeAll(async () => {
    engine = await startDynoxide()
    env = { DYNAMODB_ENDPOINT_URL: engine.endpoint, AWS_EC2_METADATA_DISABLED: 'true' }
    const client = sdkClient(engine)
    // As the reference's Terraform makes it.
    await client.send(
      new CreateTableCommand({
        TableName: 'QueueTable',
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [
          { AttributeName: 'queueName', KeyType: 'HASH' },
          { AttributeName: 'entryTimestamp', KeyType: 'RANGE' },
        ],
        AttributeDefinitions: [
          { AttributeName: 'queueName', AttributeType: 'S' },
          { AttributeName: 'entryTimestamp', AttributeType: 'N' },
        ],
      }),
    )
    client.destroy()
  })
  afterAll(async () => engine.stop())

  it('plays the workflow, whose region is given to its first step alone', async () => {
    const seen: Record<string, [number, number]> = {}
    const after = async (step: string): Promise<void> => {
      if (step === 'do something' || step === 'release lock') {
        seen[step] = await look(flags, { ...env, ...signedIn, AWS_REGION: 'ap-south-1' })
      }
    }
    await playsThrough(await play(fixture('aws.yml'), { env, standIns, after }), seen)
  })

  it('takes a turn in one step, after another job', async () => {
    const inputs = { 'queue-name': QUEUE, 'queue-table': 'QueueTable' }
    const job = (): Job => new Job({ ...env, ...signedIn, AWS_REGION: 'ap-south-1' })
    const [first, second] = [job(), job()]
    const one = await first.uses({ with: inputs }).done
    expect(one.outcome).toBe('success')
    const waiting = second.uses({ with: inputs })
    await first.run('sleep 1').done
    expect(waiting.raw()).not.toContain('your turn')
    expect(await first.end()).toMatchObject([{ outcome: 'success', annotations: [] }])
    const two = await waiting.done
    expect(Number(two.outputs['fence'])).toBeGreaterThan(Number(one.outputs['fence']))
    expect(await second.end()).toMatchObject([{ outcome: 'success', annotations: [] }])
  })

  it('leaves at once when it is cancelled while waiting', async () => {
    const inputs = { 'queue-name': QUEUE, 'queue-table': 'QueueTable', guard: 'off' }
    const cloud = { ...env, ...signedIn, AWS_REGION: 'ap-south-1' }
    const [first, second] = [new Job(cloud), new Job(cloud)]
    expect((await first.uses({ with: inputs }).done).outcome).toBe('success')
    const waiting = second.uses({ with: inputs })
    await until('it waits', () => waiting.raw().includes('waiting, position 1'))
    expect(await waiting.cancel()).toBeLessThan(6_000)
    expect(await look(flags, cloud)).toEqual([1, 0])
    await first.end()
    expect(await look(flags, cloud)).toEqual([0, 0])
  })

  it.each<[string, Readonly<Record<string, string>>, Readonly<Record<string, string>>, RegExp]>([
    ['no region', signedIn, {}, /region/i],
    ['no credentials', { AWS_REGION: 'ap-south-1' }, {}, /credentials/i],
    ['no table', { ...signedIn, AWS_REGION: 'ap-south-1' }, { 'queue-table': 'Missing' }, /Missing/],
  ])('says in one line that there is %s', async (_, more, inputs, message) => {
    const job = new Job({ ...env, ...more })
    const main = await job.uses({ with: { 'queue-name': QUEUE, 'queue-table': 'QueueTable', ...inputs } })
      .done
    expect(main.outcome).toBe('failure')
    expect(main.annotations.map((annotation) => annotation.message)).toEqual([expect.stringMatching(message)])
    expect(main.log).not.toMatch(/^\s+at /m)
    expect(job.agents()).toEqual([])
  })
})

describe('on Google Cloud', () => {
  const flags = ['--backend', 'gcp', '--queue-table', 'QueueCollection', '--gcp-project', 'your-project-id']
  // With an emulator nobody signs in; what the action would have set is the path of a file of credentials.
  const standIns = { 'google-github-actions/auth': {} }
  let fake: FirestoreFake
  let env: Readonly<Record<string, string>>

  beforeAll(async () => {
    fake = await startFirestoreFake({
      databases: ['github-dynamoq'],
      indexes: [referenceIndex('QueueCollection')],
    })
    env = { FIRESTORE_EMULATOR_HOST: fake.host }
  })
  afterAll(async () => fake.close())

  it('plays the workflow', async () => {
    const seen: Record<string, [number, number]> = {}
    const after = async (step: string): Promise<void> => {
      if (step === 'do something' || step === 'release lock') seen[step] = await look(flags, env)
    }
    await playsThrough(await play(fixture('gcp.yml'), { env, standIns, after }), seen)
  })

  it('takes a turn in one step, its project from the environment', async () => {
    const job = new Job({ ...env, GCP_PROJECT: 'your-project-id' })
    const inputs = { 'queue-name': 'one-step', backend: 'gcp', 'queue-table': 'QueueCollection' }
    const main = await job.uses({ with: inputs }).done
    expect(main).toMatchObject({ outcome: 'success', annotations: [] })
    expect(await job.end()).toMatchObject([{ outcome: 'success', annotations: [] }])
  })

  it('says in one line that there is no project', async () => {
    const main = await new Job(env).uses({ with: { 'queue-name': 'q', backend: 'gcp' } }).done
    expect(main.outcome).toBe('failure')
    expect(main.annotations.map(({ message }) => message)).toEqual([expect.stringMatching(/gcp-project/)])
  })
})
