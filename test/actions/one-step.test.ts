/** The one-step form on a runner: join and wait in the main step, give back in the post step, whatever becomes of the job. */
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { isAlive, signalbox, startServer, until, type ServerProcess } from '../support/processes.ts'
import { expectEmpty, queueAt, untilWaiting } from './queue.ts'
import { Job, killJobs, type Step } from './runner.ts'

/** GitHub's patience is 7.5 s; the place is to be gone well within it. */
const PROMPT_MS = 6_000

let server: ServerProcess
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => server.stop())
afterEach(killJobs)

function take(job: Job, queue: string, more: Readonly<Record<string, string>> = {}): Step {
  return job.uses({ with: { 'queue-name': queue, backend: 'server', url: server.url, ...more } })
}

async function holder(queue: string): Promise<Job> {
  const job = new Job()
  expect((await take(job, queue).done).outcome).toBe('success')
  return job
}

it('takes a free turn, tells the later steps and the page of the run, and gives it back', async () => {
  const queue = queueAt(server.url, 'free')
  const job = new Job()
  const main = await take(job, 'free').done
  expect(main).toMatchObject({ outcome: 'success', annotations: [] })
  expect(main.outputs).toEqual({ queue: 'free', fence: '1', 'position-at-join': '0', 'waited-seconds': '0' })
  expect(main.log).toMatch(/^free: your turn \(fence 1, waited \d+ms\)$/m)
  expect(main.summary).toBe(
    'Turn queue `free`: the turn was free, fence 1. Waiting in a job spends runner minutes.\n',
  )
  expect(await queue.holders()).toHaveLength(1)
  expect((await job.run('true').done).outcome).toBe('success')
  const [post] = await job.end()
  expect(post).toMatchObject({ outcome: 'success', annotations: [] })
  expect(post?.log).toBe('free: the turn was given back (fence 1)\n')
  await expectEmpty(queue)
  expect(job.agents()).toEqual([])
})

it('waits for the turn in a fold of the log that names the holder', async () => {
  const first = await holder('wait')
  const second = new Job({ GITHUB_REPOSITORY: 'acme/api' })
  const step = take(second, 'wait')
  await until('it says that it waits', () => step.raw().includes('waiting, position 1'))
  await new Promise((wake) => setTimeout(wake, 1_100))
  await first.end()
  const main = await step.done
  expect(main.outputs).toMatchObject({ fence: '2', 'position-at-join': '1' })
  expect(Number(main.outputs['waited-seconds'])).toBeGreaterThanOrEqual(1)
  const [before = '', inside = '', after = ''] = main.log.split(/^::group::.*\n|^::endgroup::\n/m)
  expect(before).toBe('')
  expect(inside).toMatch(/^wait: waiting, position 1 of the line; held by acme\/shop deploy #4711 \(/)
  expect(after).toMatch(/^wait: your turn \(fence 2, waited /)
  expect(main.summary).toMatch(/^Turn queue `wait`: waited .* from position 1 of the line, fence 2\. /)
  await second.end()
  await expectEmpty(queueAt(server.url, 'wait'))
})

it('gives the turn back when a later step fails', async () => {
  const job = await holder('failure')
  expect((await job.run('exit 3').done).outcome).toBe('failure')
  const [post] = await job.end()
  expect(post).toMatchObject({ outcome: 'success', annotations: [] })
  expect(post?.tookMs).toBeLessThan(PROMPT_MS)
  await expectEmpty(queueAt(server.url, 'failure'))
})

it('leaves the line at once when it is cancelled while waiting', async () => {
  const queue = queueAt(server.url, 'cancel-waiting')
  const first = await holder('cancel-waiting')
  const second = new Job()
  const step = take(second, 'cancel-waiting')
  await untilWaiting(queue, 1)
  const tookMs = await step.cancel()
  expect(await queue.waiters()).toEqual([])
  expect(tookMs).toBeLessThan(PROMPT_MS)
  expect(await step.done).toMatchObject({ outcome: 'cancelled', annotations: [] })
  expect(await second.end()).toMatchObject([{ outcome: 'success', log: '' }])
  expect(await queue.holders()).toHaveLength(1)
  await first.end()
})

it('gives the turn back at once when the job is cancelled while it works', async () => {
  const queue = queueAt(server.url, 'cancel-holding')
  const job = await holder('cancel-holding')
  const work = job.run('exec sleep 60')
  await work.pid
  expect(await work.cancel()).toBeLessThan(PROMPT_MS)
  const [post] = await job.end()
  expect(post).toMatchObject({ outcome: 'success', annotations: [] })
  expect(post?.tookMs).toBeLessThan(PROMPT_MS)
  await expectEmpty(queue)
})

it('is cancelled while it joins a server that does not answer, and leaves no process behind', async () => {
  const mute = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => mute.once('listening', done))
  const address = mute.address()
  const job = new Job()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const step = take(job, 'mute', { url, ttl: '17s' })
  await until('the agent joins', () => job.agents().length === 1)
  const [agent] = job.agents()
  const tookMs = await step.cancel()
  expect(tookMs).toBeLessThan(7_500)
  expect((await step.done).outcome).toBe('cancelled')
  mute.close()
  await job.end()
  await until('the agent has ended', () => !isAlive(agent?.pid ?? 0), 30_000)
})

it('leaves in the post step what a main that was killed has left', async () => {
  const queue = queueAt(server.url, 'crashed')
  const first = await holder('crashed')
  const second = new Job()
  const step = take(second, 'crashed')
  await untilWaiting(queue, 1)
  step.signal('SIGKILL')
  expect((await step.done).outcome).toBe('failure')
  expect(await queue.waiters()).toHaveLength(1)
  const [post] = await second.end()
  expect(post).toMatchObject({ outcome: 'success', log: 'crashed: left the queue\n' })
  expect(await queue.waiters()).toEqual([])
  await first.end()
})

it('fails the job at its end when the turn was lost while it worked: its agent killed', async () => {
  const job = await holder('killed')
  process.kill(job.agents()[0]?.pid ?? 0, 'SIGKILL')
  const [post] = await job.end()
  expect(post?.outcome).toBe('failure')
  expect(post?.annotations).toEqual([
    {
      level: 'error',
      message: expect.stringMatching(/^killed: agent step-\w+ \(process \d+\) was killed; its place lapses/),
    },
  ])
})

async function evictHolder(queue: string): Promise<void> {
  const [id = ''] = await queueAt(server.url, queue).holders()
  const evict = signalbox(['turn', 'evict', queue, id, '--reason', 'stuck', '--url', server.url])
  expect([await evict.exited, evict.err()]).toEqual([0, ''])
}

it('fails the job at its end when the turn was lost while it worked: evicted by an operator', async () => {
  const job = new Job()
  await take(job, 'evicted', { ttl: '17s' }).done
  await evictHolder('evicted')
  await until('the agent knows', () => job.agents()[0]?.state === 'ended')
  const [post] = await job.end()
  expect(post?.outcome).toBe('failure')
  expect(post?.annotations).toEqual([
    { level: 'error', message: expect.stringMatching(/^evicted: the turn was lost: .*stuck/) },
  ])
  expect(post?.log).toContain('::group::Log of the agent for evicted')
  expect(job.agents()).toEqual([])
})

it('asks GitHub to cancel the run when the turn is lost, with on-lost: cancel-run', async () => {
  const asked: unknown[] = []
  const github = createHttpServer((request, response) => {
    asked.push([request.method, request.url, request.headers.authorization])
    response.writeHead(202).end('{}')
  }).listen(0, '127.0.0.1')
  await new Promise((done) => github.once('listening', done))
  const address = github.address()
  const api = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const job = new Job({ GITHUB_API_URL: api })
  await take(job, 'cancel-run', { ttl: '17s', 'on-lost': 'cancel-run' }).done
  await evictHolder('cancel-run')
  await until('GitHub was asked', () => asked.length > 0)
  expect(asked).toEqual([['POST', '/repos/acme/shop/actions/runs/4711/cancel', 'Bearer ghs_of_the_job']])
  expect(await job.end()).toMatchObject([{ outcome: 'failure' }])
  github.close()
})

it('leaves within two seconds when the runner itself is killed', async () => {
  const job = await holder('runner-killed')
  const [agent] = job.agents()
  await job.kill()
  await until('the agent has ended', () => !isAlive(agent?.pid ?? 0), 5_000)
  await expectEmpty(queueAt(server.url, 'runner-killed'))
})

it('gives up after wait-timeout, and leaves the line', async () => {
  const first = await holder('timeout')
  const second = new Job()
  const main = await take(second, 'timeout', { 'wait-timeout': '500ms' }).done
  expect(main.outcome).toBe('failure')
  expect(main.annotations).toEqual([
    { level: 'error', message: 'timeout: the turn did not come within 500ms (wait-timeout)' },
  ])
  expect(await queueAt(server.url, 'timeout').waiters()).toEqual([])
  expect(await second.end()).toMatchObject([{ outcome: 'success', log: '' }])
  await first.end()
})

it('gives the turn back after max-hold, and says so at the end', async () => {
  const job = new Job()
  await take(job, 'max-hold', { 'max-hold': '1s' }).done
  await until('the agent has given it back', () => job.agents()[0]?.state === 'ended')
  await expectEmpty(queueAt(server.url, 'max-hold'))
  expect(await job.end()).toMatchObject([
    {
      outcome: 'failure',
      annotations: [
        { level: 'error', message: expect.stringContaining('was held for 1s (max-hold)') as string },
      ],
    },
  ])
})
