/** graphile-worker on PostgreSQL. Tuned: the configuration of https://worker.graphile.org/docs/performance. */
import { Logger, makeWorkerUtils, run } from 'graphile-worker'

const CHUNK = 10_000
const logger = new Logger(() => () => undefined)

export async function open({ postgresUrl }) {
  const utils = await makeWorkerUtils({ connectionString: postgresUrl, logger })
  await utils.migrate()
  return {
    enqueue: (payload) => utils.addJob('bench', payload),
    async enqueueMany(all) {
      for (let at = 0; at < all.length; at += CHUNK) {
        await utils.addJobs(all.slice(at, at + CHUNK).map((payload) => ({ identifier: 'bench', payload })))
      }
    },
    async work({ tuned }, handle) {
      const worker = tuned
        ? {
            connectionString: postgresUrl,
            concurrentJobs: 24,
            maxPoolSize: 25,
            localQueue: { size: 500 },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
          }
        : { connectionString: postgresUrl }
      const runner = await run({
        preset: { worker: { ...worker, logger } },
        taskList: { bench: async (payload) => handle(payload) },
        noHandleSignals: true,
      })
      return () => runner.stop()
    },
    clear: () => utils.withPgClient((client) => client.query('truncate graphile_worker._private_jobs')),
    close: () => utils.release(),
  }
}
