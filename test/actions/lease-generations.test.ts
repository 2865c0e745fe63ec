/** Workflows of both generations of the lease service, with only their `uses:` changed: two steps, acquire and release. */
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { until, type ServerProcess } from '../support/processes.ts'
import {
  call,
  expectFree,
  gathering,
  groupEnv,
  providerAt,
  startGithub,
  startLeaseServer,
  type GithubApi,
} from './merge-queue.ts'
import { killJobs } from './runner.ts'
import { play, type Played } from './workflow.ts'

let server: ServerProcess
let github: GithubApi
beforeAll(async () => {
  const bases = ['first', 'later'].flatMap((name) => [
    gathering(`${name}/pass`, 3),
    gathering(`${name}/fail`, 2),
  ])
  server = await startLeaseServer(`repositories:\n${bases.join('')}`)
  github = await startGithub({ low: 1, middle: 2, high: 5 })
})
afterAll(async () => {
  github.close()
  await server.stop()
})
afterEach(killJobs)

const outcomes = ({ steps }: Played): unknown[] => [...steps].map(([name, { outcome }]) => [name, outcome])

describe.each([
  { name: 'first', output: 'result', acquire: 'acquire lease', release: 'release lease' },
  { name: 'later', output: 'status', acquire: 'acquire', release: 'release' },
])('the $name generation', ({ name, output, acquire, release }) => {
  const file = join(import.meta.dirname, 'fixtures', `lease-${name}.yml`)
  const group = (sha: string, base: string, pullRequest: number, replace = {}): Promise<Played> =>
    play(file, {
      env: { ...groupEnv(sha, { base, pullRequest }), ...github.env },
      standIns: { 'actions/checkout': {} },
      secrets: {},
      replace: { 'https://your.lease.service.com': server.url, ...replace },
    })

  it('lets the group that contains the others work, and tells the others that they are done', async () => {
    const base = `${name}/pass`
    const [low, middle, high] = await Promise.all([
      group('low', base, 11),
      group('middle', base, 12),
      group('high', base, 13),
    ])
    expect(outcomes(high)).toEqual([
      [acquire, 'success'],
      ['guarded', 'success'],
      [release, 'success'],
    ])
    expect(high.steps.get(acquire)?.outputs).toMatchObject({
      [output]: 'acquired',
      stacked_pull_requests: '[{"number":11},{"number":12},{"number":13}]',
      fence: '1',
      priority: '5',
    })
    for (const done of [low, middle]) {
      expect(outcomes(done)).toEqual([
        [acquire, 'success'],
        [release, 'success'],
      ])
      expect(done.steps.get(acquire)?.outputs).toMatchObject({
        [output]: 'completed',
        stacked_pull_requests: '[]',
        fence: '',
      })
    }
    for (const { posts, steps } of [low, middle, high]) {
      expect(posts.map(({ outcome, log }) => outcome + log)).toEqual(posts.map(() => 'success'))
      expect([...steps.values()].flatMap(({ annotations }) => annotations)).toEqual([])
    }
    await expectFree(server.url, base)
  })

  it('gives the lease to the next group when the guarded work fails', async () => {
    const base = `${name}/fail`
    const failing = {
      'run: |\n          echo "Do some stuff"': 'run: exit 3',
      'run: echo "staging': 'run: exit 3 #',
    }
    const [low, high] = await Promise.all([group('low', base, 11), group('high', base, 13, failing)])
    expect(outcomes(high)).toEqual([
      [acquire, 'success'],
      ['guarded', 'failure'],
      [release, 'success'],
    ])
    expect(high.steps.get(release)?.outputs).toMatchObject({ [output]: 'failure' })
    expect(outcomes(low)).toEqual([
      [acquire, 'success'],
      ['guarded', 'success'],
      [release, 'success'],
    ])
    expect(low.steps.get(acquire)?.outputs).toMatchObject({ [output]: 'acquired', fence: '2' })
    await expectFree(server.url, base)
  })
})

it('shows later steps the pull requests by fromJSON', async () => {
  const file = join(import.meta.dirname, 'fixtures', 'lease-later.yml')
  const played = await play(file, {
    env: { ...groupEnv('high', { base: 'alone', pullRequest: 77 }), ...github.env },
    standIns: {},
    replace: { 'https://your.lease.service.com': server.url },
  })
  expect(played.steps.get('guarded')?.log).toBe('staging has 77\n')
})

it('does not give back in its post step what a later step, or a later job, is to give back', async () => {
  const file = join(import.meta.dirname, 'fixtures', 'lease-first.yml')
  let seen: unknown
  await play(file, {
    env: { ...groupEnv('high', { base: 'across' }), ...github.env },
    standIns: { 'actions/checkout': {} },
    replace: {
      'https://your.lease.service.com': server.url,
      'if: always()': "if: steps.no.outputs.x == 'y'",
    },
    after: async () => {
      seen = (await providerAt(server.url, 'across')).acquired
    },
  })
  expect(seen).toMatchObject({ head_sha: 'high', status: 'acquired' })
  expect((await providerAt(server.url, 'across')).acquired).toMatchObject({ status: 'acquired' })
  expect(
    await call(server.url, 'across', 'release', { head_sha: 'high', priority: 5, status: 'success' }),
  ).toBe('completed')
})

it('fails a success that comes after the lease was lost, and only warns of a failure', async () => {
  const file = join(import.meta.dirname, 'fixtures', 'lease-first.yml')
  const clears = (base: string, work: string): Promise<Played> =>
    play(file, {
      env: { ...groupEnv('high', { base }), ...github.env },
      standIns: { 'actions/checkout': {} },
      replace: { 'https://your.lease.service.com': server.url, 'echo "Do some stuff"': work },
      after: async (step) => {
        if (step !== 'acquire lease') return
        const cleared = await fetch(`${server.url}/acme/shop/${base}`, { method: 'DELETE' })
        expect(cleared.status).toBe(200)
      },
    })
  const won = (await clears('lost', 'true')).steps.get('release lease')
  expect(won?.outcome).toBe('failure')
  expect(won?.annotations).toEqual([
    {
      level: 'error',
      message: expect.stringMatching(
        /^acme\/shop@lost: the lease is not held by commit high: .*nothing protected this job's work$/,
      ) as string,
    },
  ])
  const failed = (await clears('lost-too', 'exit 1')).steps.get('release lease')
  expect(failed).toMatchObject({ outcome: 'success', annotations: [{ level: 'warning' }] })
})

it('waits for the grant behind a job that holds the lease', async () => {
  const base = 'behind'
  const [file, body] = [
    join(import.meta.dirname, 'fixtures', 'lease-first.yml'),
    { head_sha: 'x', priority: 9 },
  ]
  expect(await call(server.url, base, 'acquire', body)).toBe('acquired')
  let acquired = false
  const waiting = play(file, {
    env: { ...groupEnv('low', { base }), ...github.env },
    standIns: { 'actions/checkout': {} },
    replace: { 'https://your.lease.service.com': server.url },
    after: () => void (acquired = true),
  })
  await until(
    'GitHub was asked twice',
    () => github.asked.filter(([path]) => path.includes('behind')).length > 1,
  )
  expect(acquired).toBe(false)
  expect(await call(server.url, base, 'release', { ...body, status: 'failure' })).toBe('failure')
  const { steps } = await waiting
  expect(steps.get('acquire lease')?.outputs).toMatchObject({ result: 'acquired', fence: '2' })
})
