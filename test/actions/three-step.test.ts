/** The reference's three steps on a runner: server-start, client-wait, server-stop. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { startServer, until, type ServerProcess } from '../support/processes.ts'
import { expectEmpty, queueAt, untilWaiting } from './queue.ts'
import { Job, killJobs, type Step } from './runner.ts'

let server: ServerProcess
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => server.stop())
afterEach(killJobs)

function step(job: Job, action: string, queue?: string): Step {
  const where = action === 'server-start' ? { backend: 'server', url: server.url } : {}
  return job.uses({ with: { action, ...where, ...(queue === undefined ? {} : { 'queue-name': queue }) } })
}

async function started(queue: string): Promise<Job> {
  const job = new Job()
  expect((await step(job, 'server-start', queue).done).outcome).toBe('success')
  return job
}

it('joins, waits, works and leaves; only the first step is told where', async () => {
  const queue = queueAt(server.url, 'steps')
  const job = await started('steps')
  const waited = await step(job, 'client-wait').done
  expect(waited).toMatchObject({ outcome: 'success', annotations: [] })
  expect(waited.outputs).toEqual({
    queue: 'steps',
    fence: '1',
    'position-at-join': '0',
    'waited-seconds': '0',
  })
  expect(waited.summary).toContain('Turn queue `steps`')
  expect(await queue.holders()).toHaveLength(1)
  const stopped = await step(job, 'server-stop').done
  expect(stopped).toMatchObject({ outcome: 'success', log: 'steps: the turn was given back (fence 1)\n' })
  await expectEmpty(queue)
  expect(await job.end()).toMatchObject([
    { outcome: 'success', log: '' },
    { outcome: 'success', log: '' },
    { outcome: 'success', log: '' },
  ])
})

it('ends server-start while others hold the turn; client-wait waits for it', async () => {
  const queue = queueAt(server.url, 'behind')
  const first = await started('behind')
  const second = await started('behind')
  expect(await queue.waiters()).toHaveLength(1)
  const waiting = step(second, 'client-wait')
  await until('it waits', () => waiting.raw().includes('waiting, position 1'))
  await step(first, 'server-stop').done
  expect((await waiting.done).outputs).toMatchObject({ fence: '2', 'position-at-join': '1' })
  await step(second, 'server-stop').done
  await expectEmpty(queue)
})

it('serves the reference’s own clients on the first port that is free, on each runner of a machine', async () => {
  const [one, two] = [await started('ports'), await started('ports')]
  const addresses = [...one.agents(), ...two.agents()].map(({ address }) => address)
  expect(new Set(addresses).size).toBe(2)
  for (const job of [one, two]) {
    const waited = step(job, 'client-wait')
    expect((await waited.done).outputs).toMatchObject({ queue: 'ports' })
    expect((await step(job, 'server-stop').done).outcome).toBe('success')
  }
  await expectEmpty(queueAt(server.url, 'ports'))
})

it('leaves when client-wait is cancelled and server-stop runs', async () => {
  const queue = queueAt(server.url, 'cancelled')
  const first = await started('cancelled')
  const second = await started('cancelled')
  const waiting = step(second, 'client-wait')
  await until('it waits', () => waiting.raw().includes('waiting, position 1'))
  expect(await waiting.cancel()).toBeLessThan(6_000)
  const stopped = await step(second, 'server-stop').done
  expect(stopped).toMatchObject({ outcome: 'success', log: 'cancelled: left the queue\n' })
  expect(stopped.tookMs).toBeLessThan(6_000)
  expect(await queue.waiters()).toEqual([])
  await first.end()
})

it('leaves at the end of the job when there is no server-stop', async () => {
  const job = await started('forgotten')
  expect(await job.end()).toMatchObject([{ log: 'forgotten: the turn was given back (fence 1)\n' }])
  await expectEmpty(queueAt(server.url, 'forgotten'))
})

it('has nothing to stop where nothing was started, and does not fail', async () => {
  const stopped = await step(new Job(), 'server-stop').done
  expect(stopped).toMatchObject({
    outcome: 'success',
    annotations: [{ level: 'notice', message: 'nothing to stop: this job is in no queue' }],
  })
})

it('cannot wait where nothing was started', async () => {
  const waited = await step(new Job(), 'client-wait').done
  expect(waited.outcome).toBe('failure')
  expect(waited.annotations).toEqual([
    {
      level: 'error',
      message: 'this job is in no queue; join it by a step with action: server-start before',
    },
  ])
})

it('fails client-wait and server-stop when the place was lost', async () => {
  const job = await started('lost')
  process.kill(job.agents()[0]?.pid ?? 0, 'SIGKILL')
  for (const action of ['client-wait', 'server-stop']) {
    const done = await step(job, action).done
    expect(done.outcome).toBe('failure')
    expect(done.annotations).toMatchObject([
      { message: expect.stringMatching(/^lost: agent .* was killed/) as string },
    ])
  }
  expect(await job.end()).toMatchObject([{ log: '' }, { log: '' }, { log: '' }])
})

it('keeps two queues of one job apart', async () => {
  const blocker = await started('apart/2')
  const job = await started('apart/1')
  expect((await step(job, 'server-start', 'apart/2').done).outcome).toBe('success')
  await untilWaiting(queueAt(server.url, 'apart/2'), 1)
  for (const action of ['client-wait', 'server-stop']) {
    const bare = await step(job, action).done
    expect(bare.outcome).toBe('failure')
    expect(bare.annotations).toEqual([
      { level: 'error', message: 'queue-name: is missing; this job is in several queues: apart/1, apart/2' },
    ])
  }
  expect((await step(job, 'client-wait', 'apart/1').done).outputs['queue']).toBe('apart/1')
  const waiting = step(job, 'client-wait', 'apart/2')
  expect((await step(job, 'server-stop', 'apart/1').done).outcome).toBe('success')
  await expectEmpty(queueAt(server.url, 'apart/1'))
  expect(waiting.raw()).not.toContain('your turn')
  await blocker.end()
  expect((await waiting.done).outputs).toMatchObject({ queue: 'apart/2', fence: '2' })
  expect((await step(job, 'server-stop').done).outcome).toBe('success')
  await expectEmpty(queueAt(server.url, 'apart/2'))
})

it('refuses to join a queue twice, which would wait for itself', async () => {
  const job = await started('twice')
  const again = await step(job, 'server-start', 'twice').done
  expect(again.outcome).toBe('failure')
  expect(again.annotations).toMatchObject([
    { message: expect.stringMatching(/^queue-name: this job is in 'twice'/) as string },
  ])
  await job.end()
})

it('keeps one-step turns of the same job out of its way', async () => {
  const job = new Job()
  const at = { backend: 'server', url: server.url }
  for (const queue of ['mixed/1', 'mixed/2']) {
    expect((await job.uses({ with: { 'queue-name': queue, ...at } }).done).outcome).toBe('success')
  }
  expect((await step(job, 'server-start', 'mixed/3').done).outcome).toBe('success')
  expect((await step(job, 'client-wait').done).outputs['queue']).toBe('mixed/3')
  expect((await step(job, 'server-stop').done).log).toContain('mixed/3')
  const logs = (await job.end()).map(({ log }) => log)
  expect(logs.filter((log) => log !== '')).toEqual([
    'mixed/2: the turn was given back (fence 1)\n',
    'mixed/1: the turn was given back (fence 1)\n',
  ])
})
