/**
 * kill -9 under schedules that are due: of the server, which loses no time and doubles none; and of a worker, whose run ends as lost
 * and lets the next one go.
 */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, expect, it } from 'vitest'
import { createClient, type Client } from '../../src/client/client.ts'
import { openEmbedded } from '../../src/cli/embedded.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { endProcesses, root, run as start, startServer, until, type Running } from '../support/processes.ts'
import {
  answered,
  doneRuns,
  effectsIn,
  JOB,
  runsOf,
  saved,
  startWorker,
  strikeAt,
} from './fixtures/schedules.ts'

const SCHEDULES = 60
/** The times, one or more a second, in which the server is killed. */
const SECONDS = 8
const KILLS = 3
const BACKFILLED = 8
/** A sixth of what is usual. */
const LEASE_MS = 5_000
const SLOW = { timeout: 300_000 }
const parts = { clock: systemClock, random: systemRandom }
const claimer = join(root, 'test/races/fixtures/run-worker.ts')
afterAll(endProcesses)

const clientOf = (url: string): Client => createClient({ url, ...parts })
const minute = (ms: number): string =>
  `${new Date(Math.floor(ms / 60_000) * 60_000).toISOString().slice(0, 19)}Z`

it('kill -9 of the server: each time has one run and one effect, whenever it strikes', SLOW, async () => {
  let server = await startServer()
  const client = clientOf(server.url)
  const worker = await startWorker({ SIGNALBOX_DATA_DIR: server.dataDir })
  const due = await saved({ count: SCHEDULES, seconds: SECONDS }, () => client)
  for (let kills = 0; kills < KILLS; kills++) {
    const strikesAt = strikeAt(due, (kills + Math.random()) / KILLS)
    await pause(Math.max(0, strikesAt - Date.now()))
    server = await server.restart()
  }
  await doneRuns(client, due, 120_000)
  await endedWorker(worker)
  await server.stop()
  expect(await effectsBelow(server.dataDir)).toEqual(new Map(due.map(({ run }) => [run, 1])))
})

it('kill -9 of the server in a backfill: one run after the other, each time once', SLOW, async () => {
  let server = await startServer()
  const client = clientOf(server.url)
  const worker = await startWorker({ SIGNALBOX_DATA_DIR: server.dataDir })
  const expression = 'cron(* * * * ? *)'
  const minutely = { name: 'minutely', job: JOB, expression, enabled: false, parameters: { n: 1 } }
  await answered(() =>
    client.schedules.put({ ...minutely, onLost: 'retry' }, { by: 'test', unknownJob: true }),
  )
  const to = Date.now() - 60_000
  const range = { from: minute(to - BACKFILLED * 60_000), to: minute(to) }
  const filling = answered(() => client.schedules.backfill('minutely', range, { by: 'test' }))
  await until('the first has succeeded', async () =>
    (await runsOf(client)).some(({ state }) => state === 'succeeded'),
  )
  server = await server.restart()
  const { times } = await filling
  expect(times).toHaveLength(BACKFILLED)
  // Said again, as after a lost answer, it makes none.
  const again = await answered(() => client.schedules.backfill('minutely', range, { by: 'test' }))
  expect(again.runs.map(({ created }) => created)).toEqual(times.map(() => false))
  await until('all have succeeded', async () =>
    (await runsOf(client)).every(({ state }) => state === 'succeeded'),
  )
  const runs = (await runsOf(client)).toSorted((a, b) =>
    (a.scheduledAt ?? '') < (b.scheduledAt ?? '') ? -1 : 1,
  )
  expect(runs.map(({ scheduledAt }) => Date.parse(scheduledAt ?? ''))).toEqual(
    times.map((time) => Date.parse(time)),
  )
  for (const [n, { startedAt }] of runs.entries()) {
    if (n > 0)
      expect(Date.parse(startedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(runs[n - 1]?.endedAt ?? ''))
  }
  await endedWorker(worker)
  await server.stop()
  expect(await effectsBelow(server.dataDir)).toEqual(new Map(runs.map(({ id }) => [id, 1])))
})

it(
  'kill -9 of a worker: the scheduled run is lost, its late success is refused, the next one goes',
  SLOW,
  async () => {
    const server = await startServer()
    const client = clientOf(server.url)
    // Its manifest does not say what is to become of a run whose worker is lost.
    await client.runs.registerJobs([{ name: 'mail', queue: 'default', attempts: 3 }], 'w')
    const at = new Date(Date.now() + 10_000).toISOString().slice(0, 19)
    await client.schedules.put({ name: 'once', job: 'mail', expression: `at(${at})` }, { by: 'test' })
    const once = `mail:once@${at}Z`
    const minutely = { name: 'minutely', job: 'mail', expression: 'cron(* * * * ? *)', enabled: false }
    await client.schedules.put(minutely, { by: 'test' })
    const to = Date.now() - 60_000
    const range = { from: minute(to - 2 * 60_000), to: minute(to) }
    const { runs } = await client.schedules.backfill('minutely', range, { by: 'test' })
    const [first, next] = runs.map(({ run }) => run.id) as [string, string]
    expect((await client.runs.get(next)).held).toContain(first)
    expect(await client.runs.claim(next, { worker: 'w', leaseMs: LEASE_MS })).toMatchObject({
      claimed: false,
    })

    await until(
      'the schedule fires',
      async () => (await client.runs.list({ schedule: 'once' })).runs.length === 1,
    )
    const workers = await Promise.all([once, first].map((id) => working(server.url, id)))
    for (const one of workers) one.kill('SIGKILL')
    await Promise.all(workers.map(({ exited }) => exited))
    await until('both are lost', async () => {
      const views = await Promise.all([once, first].map((id) => client.runs.get(id)))
      return views.every(({ state }) => state === 'lost')
    })
    for (const id of [once, first]) {
      expect(await client.runs.finish(id, 1, { kind: 'succeeded' })).toMatchObject({ accepted: false })
      expect(await client.runs.get(id)).toMatchObject({ state: 'lost', onLost: 'fail' })
    }
    await until('the next one is let go', async () => (await client.runs.get(next)).held === undefined)
    expect(await client.runs.claim(next, { worker: 'w', leaseMs: LEASE_MS })).toMatchObject({ claimed: true })
    await client.close()
    await server.stop()
  },
)

/** A process that has claimed the run and beats. */
async function working(url: string, id: string): Promise<Running> {
  const process_ = start(process.execPath, [claimer, url, id, String(LEASE_MS)])
  await until('the worker has the run', () => {
    if (process_.child.exitCode !== null) throw new Error(process_.err())
    return process_.out().includes('claimed\n')
  })
  return process_
}

async function endedWorker(worker: Running): Promise<void> {
  worker.kill('SIGTERM')
  expect(await worker.exited).toBe(0)
}

async function effectsBelow(directory: string): Promise<Map<string, number>> {
  const opened = await openEmbedded({ directory, mayOwn: true, command: 'test', ...parts })
  try {
    return await effectsIn(opened.store)
  } finally {
    await opened.close()
  }
}
