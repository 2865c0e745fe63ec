/** What people and programs see of runs and jobs. Times are ISO 8601. Part of `api.ts`. */
import { z } from 'zod'
import type { Json } from '../ports/store.ts'
import {
  jobManifest,
  jobName,
  logLine,
  progress,
  runError,
  runId,
  runSources,
  runStates,
} from './vocabulary.ts'

const json: z.ZodType<Json> = z.json()
const onLost = z.enum(['retry', 'fail'])

/** One run in a list: what its index record carries. */
export const runRow = z.object({
  id: runId,
  job: jobName,
  queue: z.string(),
  state: z.enum(runStates),
  source: z.enum(runSources),
  attempt: z.number().int().describe('0 before the first.'),
  attempts: z.number().int().describe('At most so many.'),
  createdAt: z.string(),
  notBefore: z.string().optional().describe('Queued: not before then.'),
  held: z.string().optional().describe('Queued: it waits to be let go, for this reason.'),
  startedAt: z.string().optional().describe('Of the last attempt.'),
  endedAt: z.string().optional(),
  durationMs: z.number().optional().describe('From the start of the last attempt to the end.'),
  worker: z.string().optional(),
  schedule: z.string().optional(),
  scheduledAt: z.string().optional(),
  restartOf: runId.optional(),
  reason: z.string().optional().describe('Why it was skipped or cancelled.'),
  error: z.string().optional().describe('Of the last attempt, in one line.'),
  input: z.string().optional().describe('The beginning of the input as JSON; secrets masked.'),
})
export type RunRow = z.infer<typeof runRow>

const runStep = z.object({
  at: z.string(),
  state: z.enum(runStates),
  attempt: z.number().int(),
  worker: z.string().optional(),
  note: z.string().optional(),
})

export const runView = runRow.omit({ error: true, input: true }).extend({
  rev: z.number().int().describe('Grows with each change of the run.'),
  group: z.string().optional(),
  timeoutMs: z.number().optional(),
  onLost,
  input: json.describe('Secrets are masked.'),
  result: json.optional(),
  error: runError.optional().describe('Of the last attempt.'),
  progress: progress.optional(),
  cancel: z
    .object({ at: z.string(), by: z.string(), reason: z.string().optional() })
    .optional()
    .describe('Somebody wants it to end.'),
  claimUntil: z
    .string()
    .optional()
    .describe('Running: its worker is taken for dead if it says nothing until then.'),
  restartedAs: runId.optional().describe('The last restart of it.'),
  logLines: z.number().int().describe('Lines of its log so far.'),
  timeline: z.array(runStep).describe('Its states so far; the oldest are left out beyond 50.'),
})
export type RunView = z.infer<typeof runView>

export const loggedLine = logLine.extend({
  n: z.number().int().describe('Its number in the run, from 1.'),
  attempt: z.number().int(),
})
export type LoggedLine = z.infer<typeof loggedLine>

export const runList = z.object({
  runs: z.array(runRow).describe('Newest first.'),
  next: z.string().optional().describe('Present when there may be more: the `after` of the next page.'),
  scanned: z
    .number()
    .int()
    .optional()
    .describe('With a text: so many runs were looked at; at most 10,000 of the newest that fit the rest.'),
})
export type RunList = z.infer<typeof runList>

export const logPage = z.object({
  lines: z.array(loggedLine),
  next: z.number().int().optional().describe('Present when there are more: the `after` of the next page.'),
})
export type LogPage = z.infer<typeof logPage>

export const createdRun = z.object({
  run: runRow,
  created: z.boolean().describe('False: there was one with this id already.'),
})
export type CreatedRun = z.infer<typeof createdRun>

export const claimView = z.union([
  z.object({
    claimed: z.literal(true),
    epoch: z.number().int(),
    attempt: z.number().int(),
    run: runRow,
    input: json.describe('Whole, with its secrets.'),
  }),
  z.object({
    claimed: z.literal(false),
    why: z.enum(['finished', 'running', 'not_before', 'not_found']),
    retryAfterMs: z
      .number()
      .optional()
      .describe('Give the wake-up back for so long; without it, acknowledge it.'),
  }),
])
export type ClaimView = z.infer<typeof claimView>

export const beatAnswer = z.union([
  z.object({
    held: z.literal(true),
    cancel: z.string().optional().describe('The attempt shall stop, for this reason.'),
  }),
  z.object({ held: z.literal(false) }),
])
export type BeatAnswer = z.infer<typeof beatAnswer>

export const finishView = z.object({
  accepted: z.boolean().describe('False: the claim is over, and nothing changed.'),
  run: runRow.optional(),
  retryAfterMs: z
    .number()
    .optional()
    .describe('Give the wake-up back for so long; without it, acknowledge it.'),
})
export type FinishView = z.infer<typeof finishView>

export const cancelOrder = z.object({ id: runId, epoch: z.number().int(), reason: z.string() })
export type CancelOrder = z.infer<typeof cancelOrder>

const count = z.object({
  count: z.number().int(),
  more: z.boolean().describe('There are more than counted.'),
})

export const jobView = jobManifest.extend({
  seenAt: z.string().describe('When a worker last said that it runs this job.'),
  workers: z.number().int().describe('Workers that did so within 3 minutes.'),
  runs: z.partialRecord(z.enum(runStates), count).describe('Kept runs by state, counted up to a bound.'),
})
export type JobView = z.infer<typeof jobView>

export const createdList = z.object({ runs: z.array(createdRun) })
export const jobList = z.object({ jobs: z.array(jobView) })
export const orderPage = z.object({ orders: z.array(cancelOrder), next: z.string() })
