/** Jobs on the embedded engine, owned by this process. Tuned: more jobs at a time, and nothing else. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { sqliteMessageQueue, openSqlite } from '../../../src/drivers/sqlite/index.ts'
import type { JobsConnection } from '../../../src/jobs/api.ts'
import { defineJob } from '../../../src/jobs/define.ts'
import { startWorker } from '../../../src/jobs/worker.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { systemRandom } from '../../../src/kernel/id.ts'

interface Payload {
  readonly seq: number
  readonly text?: string
}

const QUEUE = 'bench'
const CHUNK = 1_000
const TUNED = 256

/** What the peers do not check either is let through. */
const input: StandardSchemaV1<Payload> = {
  '~standard': { version: 1, vendor: 'bench', validate: (value) => ({ value: value as Payload }) },
}

export async function open({ directory }: { readonly directory: string }) {
  const owner = await openSqlite({ directory, clock: systemClock, owner: { command: 'bench' } })
  const engine = sqliteMessageQueue(owner)
  const via: JobsConnection = { engine, clock: systemClock, random: systemRandom }
  let handle: (payload: Payload) => void = () => undefined
  const job = defineJob({ name: 'bench', queue: QUEUE, input, run: (payload) => handle(payload) })
  return {
    enqueue: (payload: Payload) => job.enqueue(payload, { via }),
    async enqueueMany(all: readonly Payload[]) {
      for (let at = 0; at < all.length; at += CHUNK) {
        await job.enqueueMany(
          all.slice(at, at + CHUNK).map((payload) => ({ input: payload })),
          { via },
        )
      }
    },
    async work({ tuned }: { readonly tuned: boolean }, onJob: (payload: Payload) => void) {
      handle = onJob
      const worker = await startWorker([job], { via, ...(tuned ? { concurrency: TUNED } : {}) })
      return () => worker.close()
    },
    clear: () => engine.purge(QUEUE),
    async close() {
      await engine.close()
      await owner.close()
    },
  }
}
