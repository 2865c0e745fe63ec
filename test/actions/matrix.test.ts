/** Sixteen jobs of one matrix: the same repository, run and job name, each on a runner of its own, started at once. */
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { startServer, temporaryFolder, type ServerProcess } from '../support/processes.ts'
import { expectEmpty, queueAt } from './queue.ts'
import { Job, killJobs } from './runner.ts'

const JOBS = 16

let server: ServerProcess
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => server.stop())
afterEach(killJobs)

it('lets the jobs of a matrix work strictly one after the other', async () => {
  const ledger = join(temporaryFolder('matrix'), 'ledger')
  appendFileSync(ledger, '')
  const fences = await Promise.all(
    Array.from({ length: JOBS }, async (_, index) => {
      const job = new Job()
      const inputs = { 'queue-name': 'matrix', backend: 'server', url: server.url }
      const { outputs } = await job.uses({ with: inputs }).done
      const work = `echo "begin ${index}" >> "$LEDGER"; sleep 0.2; echo "end ${index}" >> "$LEDGER"`
      expect((await job.run(work, { LEDGER: ledger }).done).outcome).toBe('success')
      expect(await job.end()).toMatchObject([{ outcome: 'success' }])
      await job.kill()
      return Number(outputs['fence'])
    }),
  )
  expect(fences.toSorted((a, b) => a - b)).toEqual(Array.from({ length: JOBS }, (_, index) => index + 1))
  const lines = readFileSync(ledger, 'utf8').trim().split('\n')
  const order = lines.filter((line) => line.startsWith('begin ')).map((line) => line.slice('begin '.length))
  expect(new Set(order).size).toBe(JOBS)
  expect(lines).toEqual(order.flatMap((index) => [`begin ${index}`, `end ${index}`]))
  await expectEmpty(queueAt(server.url, 'matrix'))
})
