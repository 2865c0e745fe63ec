/**
 * BullMQ on Redis. Tuned: https://docs.bullmq.io/guide/workers/concurrency for the worker, `addBulk` in chunks, finished jobs removed
 * (they are kept by default and would fill Redis).
 */
import { Queue, Worker } from 'bullmq'

const NAME = 'bench'
const CHUNK = 1_000
const TUNED = 100

export async function open({ redisPort }) {
  const connection = { host: '127.0.0.1', port: redisPort, maxRetriesPerRequest: null }
  const defaultJobOptions = { removeOnComplete: true, removeOnFail: true }
  const queue = new Queue(NAME, { connection, defaultJobOptions })
  await queue.waitUntilReady()
  return {
    enqueue: (data) => queue.add('job', data),
    async enqueueMany(all) {
      for (let at = 0; at < all.length; at += CHUNK) {
        await queue.addBulk(all.slice(at, at + CHUNK).map((data) => ({ name: 'job', data })))
      }
    },
    async work({ tuned }, handle) {
      const worker = new Worker(NAME, async ({ data }) => handle(data), {
        connection,
        ...(tuned ? { concurrency: TUNED } : {}),
      })
      worker.on('error', (error) => console.error(error.message))
      await worker.waitUntilReady()
      return () => worker.close()
    },
    clear: () => queue.obliterate({ force: true }),
    close: () => queue.close(),
  }
}
