/**
 * Jobs in one program: enqueue some and work them off. It talks to the server that owns ./data (`npm start`), or to SIGNALBOX_URL.
 *
 *   node examples/jobs.ts
 *
 * In a project of your own the import is 'signalbox/jobs'.
 */
import { z } from 'zod'
import { closeJobs, defineJob, startWorker } from '../src/jobs-entry.ts'

const seen = new Set<number>()
const count = defineJob({
  name: 'count',
  queue: 'counting',
  input: z.object({ n: z.number().int() }),
  run: ({ n }) => {
    seen.add(n)
    if (seen.size === 10) allDone.resolve()
  },
})
const allDone = Promise.withResolvers<void>()

await count.enqueueMany(Array.from({ length: 10 }, (_, n) => ({ input: { n } })))
const worker = await startWorker([count], { concurrency: 4 })
await allDone.promise
await worker.drain()
await closeJobs()
console.log(`counted ${seen.size}`)
