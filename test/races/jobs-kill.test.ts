/** kill -9 of workers under load: nothing is lost, and each effect is there exactly once. */
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openEmbedded, type OpenedEmbedded } from '../../src/cli/embedded.ts'
import type { JobsConnection } from '../../src/jobs/api.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { endProcesses, run, temporaryFolder, until, type Running } from '../support/processes.ts'
import { countJob } from './fixtures/job-kill-job.ts'

const WORKER = resolve(import.meta.dirname, 'fixtures/job-kill-worker.ts')
const WORKERS = 2
const VISIBILITY_MS = 3_000
const KILLS = Number(process.env['JOBS_KILLS'] ?? 6)
/**
 * Enqueued before each kill, which strikes when half of them are done: so the workers have something to do. JOBS_KILL_STEP=1700 is the
 * long form, of 10,200 jobs.
 */
const STEP = Number(process.env['JOBS_KILL_STEP'] ?? 600)
const JOBS = KILLS * STEP
const parts = { clock: systemClock, random: systemRandom }
const job = countJob(() => Promise.reject(new Error('runs in workers')))

describe('workers that are killed with -9 under load', () => {
  const directory = temporaryFolder('jobs-kill')
  let owner: OpenedEmbedded
  beforeAll(async () => {
    owner = await openEmbedded({ directory, mayOwn: true, command: 'test', ...parts })
  })
  afterAll(async () => {
    endProcesses()
    await owner.close()
  })

  const startOne = async (): Promise<Running> => {
    const worker = run(process.execPath, [WORKER, directory, `${VISIBILITY_MS}ms`])
    await until(`a worker starts ${worker.err()}`, () => worker.out().includes('ready\n'))
    return worker
  }
  const left = async (): Promise<number> => {
    const { visible, inFlight, delayed } = await owner.messages.stats('counted')
    return visible + inFlight + delayed
  }

  it('lose no job and have each effect exactly once', async () => {
    const via: JobsConnection = { engine: owner.messages, store: owner.store, ...parts }
    const workers = await Promise.all(Array.from({ length: WORKERS }, startOne))
    for (let kills = 0; kills < KILLS; kills++) {
      const items = Array.from({ length: STEP }, (_, n) => ({ input: { n }, id: `job-${kills}-${n}` }))
      const results = await job.enqueueMany(items, { via })
      expect(results.every(({ status }) => status === 'enqueued')).toBe(true)
      await until('half of them are done', async () => (await left()) <= STEP / 2)
      const at = kills % WORKERS
      workers[at]?.kill('SIGKILL')
      workers[at] = await startOne()
    }
    for (const worker of workers) worker.kill('SIGKILL')
    // What those held is delivered again after one visibility; the rest of the time is for a slow machine.
    await startOne()
    await until('no job is left', async () => (await left()) === 0, VISIBILITY_MS + 60_000)

    const counted = await effects(owner)
    expect(counted.size).toBe(JOBS)
    expect([...counted.values()].filter((count) => count !== 1)).toEqual([])
    expect(await owner.messages.stats('counted-dead')).toMatchObject({ visible: 0, inFlight: 0 })
  })
})

/** How many effects each job had. */
async function effects({ store }: OpenedEmbedded): Promise<Map<string, number>> {
  const counted = new Map<string, number>()
  let after: string | undefined
  do {
    const page = await store.list(
      { partition: 'effects' },
      { limit: 1_000, ...(after === undefined ? {} : { after }) },
    )
    for (const { value } of page.records)
      counted.set(value as string, (counted.get(value as string) ?? 0) + 1)
    after = page.next
  } while (after !== undefined)
  return counted
}
