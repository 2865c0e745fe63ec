/** The one-step form on a runner: acquire in the main step, give back with the job's outcome in the post step. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
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
import { Job, killJobs, type Step, type StepResult } from './runner.ts'

/** GitHub's patience is 7.5 s; what is left behind is to be gone well within it. */
const PROMPT_MS = 5_000

let server: ServerProcess
let github: GithubApi
beforeAll(async () => {
  server = await startLeaseServer(
    `repositories:\n${gathering('pair', 2)}${gathering('left', 2)}${gathering('short', 0, ', max_lease_seconds: 1')}`,
  )
  github = await startGithub({ low: 1, high: 3 })
})
afterAll(async () => {
  github.close()
  await server.stop()
})
afterEach(killJobs)

function jobOf(sha: string, base: string): Job {
  return new Job({ ...groupEnv(sha, { base }), ...github.env })
}

function take(job: Job, more: Readonly<Record<string, string>> = {}): Step {
  return job.uses({ action: 'lease', with: { endpoint: server.url, release: 'post', ...more } })
}

async function holder(base: string, more: Readonly<Record<string, string>> = {}): Promise<Job> {
  const job = jobOf('high', base)
  expect((await take(job, more).done).outputs).toMatchObject({ result: 'acquired' })
  return job
}

async function post(job: Job): Promise<StepResult> {
  const [result, ...others] = await job.end()
  expect(others).toEqual([])
  return result!
}

it('acquires, tells the later steps and the page of the run, and gives back the success', async () => {
  const job = jobOf('high', 'success')
  const main = await take(job).done
  expect(main).toMatchObject({ outcome: 'success', annotations: [] })
  expect(main.outputs).toEqual({
    result: 'acquired',
    status: 'acquired',
    stacked_pull_requests: '[{"number":12}]',
    fence: '1',
    priority: '3',
    waited_seconds: '0',
  })
  expect(main.log).toMatch(/^acme\/shop@success: acquired for #12 \(priority 3, fence 1\)$/m)
  expect(main.summary).toBe(
    'Lease on `acme/shop@success`: acquired for #12; priority 3, fence 1. Waiting in a job spends runner minutes.\n',
  )
  expect((await job.run('true').done).outcome).toBe('success')
  expect(await post(job)).toMatchObject({
    outcome: 'success',
    annotations: [],
    log: 'acme/shop@success: the lease was given back (success)\n',
  })
  const { acquired } = await providerAt(server.url, 'success')
  expect(acquired).toMatchObject({ head_sha: 'high', status: 'completed' })
})

it('lets the next group try when a later step fails', async () => {
  const job = await holder('failure')
  expect((await job.run('exit 3').done).outcome).toBe('failure')
  expect(await post(job)).toMatchObject({
    outcome: 'success',
    annotations: [],
    log: 'acme/shop@failure: the lease was given back, and the next group may try (failure)\n',
  })
  expect((await providerAt(server.url, 'failure')).acquired).toBeNull()
})

it('gives back as cancelled when the job is cancelled while it works', async () => {
  const job = await holder('cancelled')
  const work = job.run('exec sleep 60')
  await work.pid
  await work.cancel()
  expect((await post(job)).log).toMatch(/may try \(cancelled\)$/m)
  expect((await providerAt(server.url, 'cancelled')).acquired).toBeNull()
})

it.each(['', 'skipped', '${{ job.status }}'])('takes the job status %j for no success', async (status) => {
  const base = `status-${status.length}`
  const job = await holder(base, { job_status: status })
  expect((await post(job)).log).toMatch(/may try \(failure\)$/m)
  expect((await providerAt(server.url, base)).acquired).toBeNull()
})

it('has nothing to give back when a higher group has passed', async () => {
  const [low, high] = [jobOf('low', 'pair'), jobOf('high', 'pair')]
  const [waiting, won] = [take(low), take(high)]
  expect((await won.done).outputs).toMatchObject({
    result: 'acquired',
    stacked_pull_requests: expect.any(String),
  })
  expect((await high.run('true').done).outcome).toBe('success')
  await post(high)
  const completed = await waiting.done
  expect(completed).toMatchObject({ outcome: 'success', annotations: [] })
  expect(completed.outputs).toMatchObject({ result: 'completed', stacked_pull_requests: '[]', fence: '' })
  expect(completed.summary).toMatch(/^Lease on `acme\/shop@pair`: completed: .* there is nothing to do; /)
  expect(await post(low)).toMatchObject({ outcome: 'success', log: '' })
  await expectFree(server.url, 'pair')
})

it('fails the job at its end when the lease was lost while it worked', async () => {
  const job = await holder('short')
  await until('the lease has expired', async () => (await providerAt(server.url, 'short')).acquired === null)
  const ended = await post(job)
  expect(ended.outcome).toBe('failure')
  expect(ended.annotations).toEqual([
    {
      level: 'error',
      message: expect.stringMatching(/^acme\/shop@short: the lease is not held by commit high: /) as string,
    },
  ])
})

it('withdraws at once when it is cancelled while waiting, and its post step has nothing to do', async () => {
  const base = 'cancel-waiting'
  await call(server.url, base, 'acquire', { head_sha: 'other', priority: 9 })
  const job = jobOf('low', base)
  const step = take(job)
  await until('it waits', () => step.raw().includes('waiting: '))
  expect(await step.cancel()).toBeLessThan(PROMPT_MS)
  expect(await step.done).toMatchObject({ outcome: 'cancelled', annotations: [] })
  expect(await post(job)).toMatchObject({ outcome: 'success', log: '', annotations: [] })
  expect((await providerAt(server.url, base)).known.map(({ head_sha: sha }) => sha)).toEqual(['other'])
})

it('withdraws in the post step what a main step that was killed has left', async () => {
  const job = jobOf('low', 'left')
  const step = take(job)
  await until('it waits', () => step.raw().includes('waiting: '))
  step.signal('SIGKILL')
  expect((await step.done).outcome).toBe('failure')
  expect(await post(job)).toMatchObject({ outcome: 'success', annotations: [] })
  expect((await providerAt(server.url, 'left')).known).toEqual([])
})

it('takes no success of a job for that of a main step that was killed', async () => {
  const job = jobOf('low', 'left')
  const step = take(job, { job_status: 'success' })
  await until('it waits', () => step.raw().includes('waiting: '))
  step.signal('SIGKILL')
  await step.done
  const ended = await post(job)
  expect(ended.outcome).toBe('success')
  expect(ended.log).toMatch(/\(failure\)$/m)
})

it('keeps its post step quiet when it was refused before it asked for anything', async () => {
  const job = new Job({ GITHUB_EVENT_NAME: 'push' })
  expect((await take(job).done).outcome).toBe('failure')
  expect(await post(job)).toMatchObject({ outcome: 'success', log: '' })
})
