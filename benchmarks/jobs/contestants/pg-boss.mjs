/**
 * pg-boss on PostgreSQL. Tuned: large batches, two workers, no pause while batches come full, woken by LISTEN/NOTIFY
 * (docs/api/workers.md of its repository).
 */
import { PgBoss } from 'pg-boss'

const NAME = 'bench'
const CHUNK = 10_000

export async function open({ postgresUrl }) {
  const boss = new PgBoss({ connectionString: postgresUrl, max: 20, useListenNotify: true })
  boss.on('error', (error) => console.error(error.message))
  await boss.start()
  await boss.createQueue(NAME, { notify: true })
  return {
    enqueue: (data) => boss.send(NAME, data),
    async enqueueMany(all) {
      for (let at = 0; at < all.length; at += CHUNK) {
        await boss.insert(
          NAME,
          all.slice(at, at + CHUNK).map((data) => ({ data })),
        )
      }
    },
    async work({ tuned }, handle) {
      const options = tuned
        ? { batchSize: 1_000, localConcurrency: 2, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true }
        : {}
      await boss.work(NAME, options, async (jobs) => {
        for (const { data } of jobs) await handle(data)
      })
      return () => boss.offWork(NAME)
    },
    clear: () => boss.deleteAllJobs(NAME),
    close: () => boss.stop({ graceful: false }),
  }
}
