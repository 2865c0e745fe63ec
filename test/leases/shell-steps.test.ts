/**
 * The shell steps that existing clients run (bash, curl, jq), of both generations, against a real server. They were written from the
 * description of the wire (fixtures/), and run as a runner runs them.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endProcesses, run, temporaryFolder, until, type ServerProcess } from '../support/processes.ts'
import { startLeaseServer } from './support/lease-server.ts'

const GENERATIONS = ['nested', 'flat'] as const
type Generation = (typeof GENERATIONS)[number]
const USER = 'ci:s3cret'

let server: ServerProcess

beforeAll(async () => {
  for (const tool of ['bash', 'curl', 'jq']) {
    if (spawnSync(tool, ['--version']).status !== 0) {
      throw new Error(
        `${tool} is missing, which the steps of existing clients need: install it (Debian: ${tool})`,
      )
    }
  }
  const repos = ['success', 'failure', 'cancelled', 'refused'].flatMap((what) =>
    GENERATIONS.map((generation) => `${generation}-${what}`),
  )
  server = await startLeaseServer({
    providers: repos.map((name) => ({ name, base_ref: 'release/1.2', expected_request_count: 3 })),
    env: { SIGNALBOX_AUTH_BASIC: JSON.stringify({ users: { ci: 's3cret' } }) },
  })
})
afterAll(async () => {
  await server.stop()
  endProcesses()
})

interface Job {
  readonly generation: Generation
  readonly repo: string
  readonly priority: number
  readonly auth?: string
}

interface StepEnd {
  readonly code: number | string
  /** What it wrote to GITHUB_OUTPUT. */
  readonly outputs: Readonly<Record<string, string>>
  readonly log: string
}

/** One step, as a runner starts it. */
async function step(which: 'acquire' | 'release', job: Job, jobStatus = ''): Promise<StepEnd> {
  const { generation, repo, priority, auth = `Basic ${Buffer.from(USER).toString('base64')}` } = job
  const output = join(temporaryFolder('step'), 'output')
  writeFileSync(output, '')
  const script = join(import.meta.dirname, 'fixtures', `${which}-${generation}.sh`)
  expect(existsSync(script)).toBe(true)
  const { exited, out, err } = run('bash', ['--noprofile', '--norc', '-eo', 'pipefail', script], {
    env: {
      PATH: process.env['PATH'],
      GITHUB_OUTPUT: output,
      GITHUB_REPOSITORY: `acme/${repo}`,
      ENDPOINT: server.url,
      LEASE_SERVICE_URL: server.url,
      AUTH: auth,
      BASE_REF: 'release/1.2',
      HEAD_SHA: shaOf(job),
      HEAD_REF: `gh-readonly-queue/release/1.2/pr-${100 + priority}-abc123`,
      PRIORITY: String(priority),
      POLL_SECONDS: '0.1',
      JOB_STATUS: jobStatus,
    },
  })
  const code = await exited
  const lines = readFileSync(output, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
  const outputs = Object.fromEntries(
    lines.map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]),
  )
  return { code, outputs, log: out() + err() }
}

const shaOf = ({ repo, priority }: Job): string => `${repo}-${priority}`

/** A whole job: acquire, the guarded steps if it may, and always the release. */
async function play(job: Job, jobStatus: string, order: string[]): Promise<StepEnd> {
  const acquired = await step('acquire', job)
  expect(acquired, acquired.log).toMatchObject({ code: 0 })
  const result = acquired.outputs['result'] ?? acquired.outputs['status']
  order.push(`${job.priority} ${result}`)
  if (job.generation === 'nested' && result === 'acquired') {
    const contained = Array.from({ length: job.priority }, (_, i) => ({ number: 101 + i }))
    expect(JSON.parse(acquired.outputs['stacked_pull_requests'] ?? '')).toEqual(contained)
  }
  // A job whose guarded steps are skipped has succeeded.
  const released = await step('release', job, result === 'acquired' ? jobStatus : 'success')
  expect(released, released.log).toMatchObject({ code: 0 })
  return released
}

async function known(repo: string): Promise<{ acquired: unknown; known: unknown[] }> {
  const headers = { authorization: `Basic ${Buffer.from(USER).toString('base64')}` }
  const answer = await fetch(`${server.url}/acme/${repo}/release/1.2`, { headers })
  return (await answer.json()) as { acquired: unknown; known: unknown[] }
}

describe.each(GENERATIONS)('the %s generation', (generation) => {
  it.concurrent.each([
    // The holder's job ends so; then who was told what, in which order.
    { what: 'success', jobStatus: 'success', told: ['3 acquired', '1 completed', '2 completed'] },
    { what: 'failure', jobStatus: 'failure', told: ['3 acquired', '2 acquired', '1 completed'] },
    { what: 'cancelled', jobStatus: 'cancelled', told: ['3 acquired', '2 acquired', '1 completed'] },
  ])('plays $what, and the release that always runs', async ({ what, jobStatus, told }) => {
    const repo = `${generation}-${what}`
    const order: string[] = []
    const job = (priority: number): Job => ({ generation, repo, priority })
    const ends = await Promise.all([
      play(job(1), 'success', order),
      play(job(2), 'success', order),
      play(job(3), jobStatus, order),
    ])
    expect([
      order[0],
      ...order.slice(1).sort((a, b) => (what === 'success' ? a.localeCompare(b) : 0)),
    ]).toEqual(told)
    const statuses = ends.map(({ outputs }) => outputs['result'] ?? outputs['status'])
    expect(statuses).toEqual(['completed', 'completed', jobStatus === 'success' ? 'completed' : 'failure'])
    // The batch is settled: the next one is let in.
    const next = step('acquire', { generation, repo, priority: 9 })
    await until('the next batch is let in', async () => {
      const { known: all } = await known(repo)
      return JSON.stringify(all).includes(`${repo}-9`)
    })
    for (const priority of [7, 8]) void step('acquire', { generation, repo, priority })
    expect((await next).outputs).toMatchObject({ [generation === 'flat' ? 'result' : 'status']: 'acquired' })
  })

  it('ends with an error, and changes nothing, when it is not let in or there is no such provider', async () => {
    const repo = `${generation}-refused`
    const wrong = `Basic ${Buffer.from('ci:wrong').toString('base64')}`
    const calls = [
      { generation, repo, priority: 1, auth: wrong },
      { generation, repo: 'nowhere', priority: 1 },
      { generation, repo, priority: 0 },
    ]
    for (const call of calls) {
      const end = await step('acquire', call)
      expect(end, end.log).toMatchObject({ code: 1, outputs: {} })
      expect(end.log).toContain('::error::')
    }
    expect((await step('release', { generation, repo, priority: 1 }, 'success')).code).not.toBe(0)
    expect(await known(repo)).toMatchObject({ acquired: null, known: [] })
  })
})
