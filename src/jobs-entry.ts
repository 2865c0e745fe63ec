/**
 * Jobs as a library: `import { defineJob, startWorker } from 'signalbox/jobs'`.
 *
 * Without `via`, jobs go where `signalbox worker` looks for them: SIGNALBOX_URL, else the live owner of the data directory
 * (SIGNALBOX_DATA_DIR, ./data), else an error that says how to start one. The connection is opened at the first use.
 *
 * @example
 * export const greet = defineJob({ name: 'greet', input: z.object({ name: z.string() }), run: async ({ name }) => console.log(`hello ${name}`) })
 * await greet.enqueue({ name: 'Ada' })
 */
import type { OpenedJobs } from './cli/open-jobs.ts'
import { setDefaultConnection } from './jobs/connection.ts'
import { systemClock } from './kernel/clock.ts'
import { systemRandom } from './kernel/id.ts'

export type {
  BatchContext,
  BatchItem,
  Duration,
  Effect,
  EffectResult,
  EnqueueItem,
  EnqueueOptions,
  EnqueueResult,
  Enqueued,
  JobContext,
  JobFacts,
  JobLog,
  JobsConnection,
  StopReason,
  Worker,
  WorkerEvent,
  WorkerStats,
} from './jobs/api.ts'
export {
  defineJob,
  type BatchJobOptions,
  type Job,
  type JobOptions,
  type SingleJobOptions,
} from './jobs/define.ts'
export { dramatiq, type ActorCall, type ActorMapping, type DramatiqOptions } from './jobs/dramatiq.ts'
export type { Envelope, EnvelopeDecoder, Unreadable } from './jobs/envelope.ts'
export { permanent, retryIn } from './jobs/failures.ts'
export type { Middleware } from './jobs/middleware.ts'
export { defineWorker, type WorkerSetup } from './jobs/setup.ts'
export { stopReason } from './jobs/stop-reason.ts'
export { startWorker, type WorkerOptions } from './jobs/worker.ts'
export { isSignalboxError, SignalboxError, errorCodes, type ErrorCode } from './kernel/error.ts'

let opened: Promise<OpenedJobs> | undefined

/** What it takes to connect is loaded only by those who do not bring a connection of their own. */
function open(): Promise<OpenedJobs> {
  const facts = { env: process.env, cwd: process.cwd(), clock: systemClock, random: systemRandom } // oxlint-disable-line no-restricted-properties -- the library's edge
  opened = import('./cli/open-jobs.ts').then(({ openJobs }) => openJobs({}, facts))
  return opened
}

setDefaultConnection(open)

/** Closes this process's connection, if one was opened; the next use opens it again. Close workers first. */
export async function closeJobs(): Promise<void> {
  const closing = opened
  opened = undefined
  setDefaultConnection(open)
  await (await closing?.catch(() => undefined))?.close()
}
