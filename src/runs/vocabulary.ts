/** What is said to runs: names, states, a new run, how an attempt ended, log lines, manifests of jobs. Part of `api.ts`. */
import { z } from 'zod'
import type { Json } from '../ports/store.ts'

const JOB = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const RUN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}:[A-Za-z0-9._:@/-]{1,100}$/

export const jobName = z
  .string()
  .regex(JOB, 'must be 1 to 64 characters of A-Z a-z 0-9 . _ -, the first a letter or digit')

/** `<job>:<rest>`. Without one of the caller's, the rest is made so that the ids of a job sort by time. */
export const runId = z
  .string()
  .regex(RUN, 'must be <job>:<id>, where the id is 1 to 100 characters of A-Z a-z 0-9 . _ : @ / -')

export const workerName = z
  .string()
  .regex(/^[A-Za-z0-9._:@/-]{1,100}$/, 'must be 1 to 100 characters of A-Z a-z 0-9 . _ : @ / -')

/** The job of a run, by its id alone. */
export function jobOf(id: string): string {
  return id.slice(0, Math.max(id.indexOf(':'), 0))
}

export const runStates = [
  'queued',
  'running',
  'succeeded',
  'failed',
  'cancelled',
  'timed_out',
  'lost',
  'skipped',
] as const
export type RunState = (typeof runStates)[number]
/** A run in one of these has ended for good. */
export type EndState = Exclude<RunState, 'queued' | 'running'>

export const runSources = ['enqueue', 'schedule', 'backfill', 'restart', 'run_now'] as const
export type RunSource = (typeof runSources)[number]

const json: z.ZodType<Json> = z.json()

export const MAX_INPUT_BYTES = 200 * 1024
export const MAX_RESULT_BYTES = 64 * 1024
/** How long a claim lasts without a beat: 100 ms (for tests) to 15 min; 30 s is usual. */
export const leaseMs = z.number().int().min(100).max(900_000)
const delayMs = z
  .number()
  .min(0)
  .max(366 * 86_400_000)

/** Until the year 9999, so that every view can say it. */
export const MAX_TIME = 253_402_300_799_999
const time = z.number().min(0).max(MAX_TIME)
const retentionMs = z
  .number()
  .int()
  .min(1_000)
  .max(100 * 366 * 86_400_000)

export const newRun = z.object({
  id: runId
    .optional()
    .describe('Of the caller: the same id again finds the existing run. Default: a new one.'),
  job: jobName,
  queue: z.string().min(1).max(80).describe('The message queue of the wake-up.'),
  input: json,
  attempts: z.number().int().min(1).max(1_000),
  timeoutMs: z
    .number()
    .int()
    .min(1)
    .max(366 * 86_400_000)
    .optional()
    .describe('Of one attempt.'),
  onLost: z.enum(['retry', 'fail']).describe('When a worker dies: queued again, or ended as lost.'),
  group: z.string().min(1).max(128).optional().describe('Order within it, where the queue keeps one.'),
  delayMs: delayMs.optional(),
  source: z.enum(runSources),
  schedule: z
    .string()
    .regex(/^[\x21-\x7e]{1,100}$/)
    .optional(),
  scheduledAt: time.optional().describe('Milliseconds since the epoch.'),
  restartOf: runId.optional(),
  retentionMs: retentionMs.optional().describe('How long it is kept after its end.'),
  skipped: z
    .string()
    .min(1)
    .max(500)
    .optional()
    .describe('Recorded as skipped for this reason, and never sent.'),
  hold: z
    .string()
    .min(1)
    .max(500)
    .optional()
    .describe(
      'Queued, but held for this reason: nobody is woken and it is not claimed until it is released.',
    ),
  secrets: z
    .array(z.string().min(1).max(200))
    .max(50)
    .optional()
    .describe('Fields of the input, with dots for those within, that no view shows.'),
})
export type NewRun = Readonly<z.infer<typeof newRun>>

export const MAX_PROGRESS_TEXT = 500
export const progress = z.object({
  done: z.number().optional(),
  total: z.number().optional(),
  text: z.string().max(MAX_PROGRESS_TEXT).optional(),
})
export type Progress = z.infer<typeof progress>

/** What went wrong; longer texts are cut. */
export const runError = z.object({
  name: z.string().optional(),
  message: z.string(),
  stack: z.string().optional(),
})
export type RunError = z.infer<typeof runError>

/**
 * How an attempt ended. With `retryDelayMs` the run is queued again while attempts are left; without, it ends.
 * `returned`: a worker that drains gives it back; the attempt does not count.
 */
export const outcome = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('succeeded'), result: json.optional() }),
  z.object({ kind: z.literal('failed'), error: runError, retryDelayMs: delayMs.optional() }),
  z.object({ kind: z.literal('timed_out'), retryDelayMs: delayMs.optional() }),
  z.object({ kind: z.literal('cancelled'), reason: z.string().optional() }),
  z.object({ kind: z.literal('returned') }),
])
export type Outcome = z.infer<typeof outcome>

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export const logLine = z.object({
  at: time.describe('Milliseconds since the epoch, by the worker.'),
  level: z.enum(logLevels),
  text: z.string().describe('Cut at 8,000 characters.'),
  fields: z.record(z.string(), json).optional(),
})
export type LogLine = z.infer<typeof logLine>

/** What a run keeps of its log; a marker line says that more came. */
export const MAX_LOG_LINES = 10_000
export const MAX_LOG_BYTES = 10 * 1024 * 1024

export const jobManifest = z.object({
  name: jobName,
  description: z.string().max(2_000).optional(),
  queue: z.string().min(1).max(80),
  input: z.record(z.string(), json).optional().describe('JSON Schema of the input.'),
  secrets: z.array(z.string().min(1).max(200)).max(50).optional(),
  attempts: z.number().int().min(1).max(1_000),
  timeoutMs: z.number().int().min(1).optional(),
  onLost: z
    .enum(['retry', 'fail'])
    .optional()
    .describe('Absent: the job does not say; runs that a schedule makes then fail, others are tried again.'),
  retentionMs: retentionMs.optional(),
})
export type JobManifest = z.infer<typeof jobManifest>

/** Bodies of the routes under `/api/v1/runs` and `/api/v1/jobs`. */
/** Who holds a run has to release it, which cannot be done from here. */
const noHold = z.string().refine(() => false, 'must be left away: only schedules hold runs')
const sentRun = newRun.extend({ hold: noHold.optional() })
export const createBody = z.object({ runs: z.array(sentRun).min(1).max(1_000) })
export const claimBody = z.object({
  worker: workerName,
  leaseMs,
  nonce: z.string().min(1).max(64).optional().describe('Random per claim; makes a repetition safe.'),
})
const epoch = z.number().int().min(1).describe('Of the claim.')
export const beatBody = z.object({ epoch, leaseMs, progress: progress.optional() })
export const finishBody = z.object({ epoch, outcome })
export const logBody = z.object({
  epoch,
  lines: z.array(logLine).max(10_000),
  from: z
    .number()
    .int()
    .min(0)
    .optional()
    .describe('Lines this claim has logged before; makes a repetition safe.'),
})
export const ordersBody = z.object({
  worker: workerName,
  after: z
    .string()
    .regex(/^\d{15}$/)
    .optional()
    .describe('The `next` of the call before.'),
  waitMs: z.number().int().min(0).max(60_000).optional().describe('Wait so long for an order. Default 0.'),
})
export const cancelBody = z.object({ reason: z.string().trim().min(1).max(500).optional() })
export const registerBody = z.object({ worker: workerName, jobs: z.array(jobManifest).max(1_000) })
export const runNowBody = z.object({
  input: json.optional().describe('Default {}.'),
  id: z
    .string()
    .regex(/^[A-Za-z0-9._:@/-]{1,100}$/)
    .optional()
    .describe('Makes a repetition safe: the run’s id is <job>:<id>.'),
  delayMs: delayMs.optional(),
})
