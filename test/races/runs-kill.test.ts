/**
 * kill -9 of a worker in the middle of a run, and of the server under runs: the run ends as lost, or is queued again, within a
 * lease and a half; a success that comes late is refused; nothing acknowledged is lost.
 */
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { createClient, type Client } from '../../src/client/client.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import type { NewRun } from '../../src/runs/api.ts'
import { endProcesses, root, run as start, startServer, until, type Running } from '../support/processes.ts'

/** A sixth of what is usual. */
const LEASE_MS = 5_000
const worker = join(root, 'test/races/fixtures/run-worker.ts')
afterEach(endProcesses)

const aRun = (onLost: 'retry' | 'fail'): NewRun => ({
  job: 'mail',
  queue: 'default',
  input: {},
  attempts: 3,
  onLost,
  source: 'enqueue',
})

const clientOf = (url: string): Client => createClient({ url, clock: systemClock, random: systemRandom })

async function working(url: string, id: string): Promise<Running> {
  const process_ = start(process.execPath, [worker, url, id, String(LEASE_MS)])
  await until('the worker has the run', async () => {
    if (process_.child.exitCode !== null) throw new Error(process_.err())
    return process_.out().includes('claimed\n')
  })
  return process_
}

it('a dead worker’s run ends as lost, or is queued again, and its late success is refused', async () => {
  const server = await startServer()
  const client = clientOf(server.url)
  const made = await client.runs.createMany([aRun('fail'), aRun('retry')])
  const ids = made.map(({ run }) => run.id)
  const workers = await Promise.all(ids.map((id) => working(server.url, id)))
  // They live while they beat, for more than a lease.
  await new Promise((wake) => setTimeout(wake, LEASE_MS * 1.5))
  for (const id of ids) expect((await client.runs.get(id)).state).toBe('running')
  for (const one of workers) one.kill('SIGKILL')
  await Promise.all(workers.map(({ exited }) => exited))
  const killed = Date.now()
  const states = ['lost', 'queued']
  await until('both runs are given up', async () => {
    const found = await Promise.all(ids.map((id) => client.runs.get(id)))
    return found.every(({ state }, n) => state === states[n])
  })
  // The lease, a look every 2 s, and what a loaded machine needs.
  expect(Date.now() - killed).toBeLessThan(LEASE_MS + 30_000)
  for (const id of ids) {
    expect(await client.runs.finish(id, 1, { kind: 'succeeded' })).toMatchObject({ accepted: false })
  }
  expect(await client.runs.claim(ids[1] as string, { worker: 'next', leaseMs: LEASE_MS })).toMatchObject({
    claimed: true,
    epoch: 2,
    attempt: 2,
  })
  await client.close()
  await server.stop()
})

it('kill -9 of the server loses nothing it acknowledged, and no claim whose worker lives', async () => {
  let server = await startServer()
  const client = clientOf(server.url)
  const again = async <T>(call: () => Promise<T>): Promise<T> => {
    let answer: { readonly value: T } | undefined
    await until('the server answers', async () => {
      answer = await call().then(
        (value) => ({ value }),
        () => undefined,
      )
      return answer !== undefined
    })
    return (answer as { readonly value: T }).value
  }
  const held = (await client.runs.create(aRun('fail'))).run.id
  await client.runs.claim(held, { worker: 'w', leaseMs: 120_000 })
  const acknowledged = new Map<string, string>()
  for (let round = 0; round < 3; round++) {
    const killed = { yet: false }
    const before = acknowledged.size
    const playing = Array.from({ length: 20 }, async () => {
      while (!killed.yet) {
        try {
          const { run } = await client.runs.create(aRun('retry'))
          acknowledged.set(run.id, 'queued')
          const claim = await client.runs.claim(run.id, { worker: 'w', leaseMs: 300_000 })
          if (!claim.claimed) continue
          acknowledged.set(run.id, 'running')
          await client.runs.log(run.id, claim.epoch, [{ at: 0, level: 'info', text: 'x' }], 0)
          await client.runs.finish(run.id, claim.epoch, { kind: 'succeeded' })
          acknowledged.set(run.id, 'succeeded')
        } catch {
          await new Promise((wake) => setTimeout(wake, 20)) // the server is away, or slow
        }
      }
    })
    await until('it has acknowledged some', async () => acknowledged.size >= before + 25)
    const restarting = server.restart()
    killed.yet = true
    server = await restarting
    await Promise.all(playing)
    expect(await again(() => client.runs.beat(held, 1, { leaseMs: 120_000 }))).toEqual({ held: true })
  }
  const order = ['queued', 'running', 'succeeded']
  for (const [id, state] of acknowledged) {
    const view = await client.runs.get(id)
    expect(order.indexOf(view.state)).toBeGreaterThanOrEqual(order.indexOf(state))
    if (view.state === 'succeeded') expect(view.logLines).toBe(1)
  }
  await client.close()
  await server.stop()
})
