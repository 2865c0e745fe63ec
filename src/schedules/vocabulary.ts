/** What is said to schedules: names, a definition with its defaults, policies, bodies of calls. Part of `api.ts`. */
import { z } from 'zod'
import type { Json } from '../ports/store.ts'
import { jobName } from '../runs/api.ts'

/** Dots alone mean something else in a path. */
const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$/

/** The names that rules of Amazon EventBridge may have, so that every schedule can become one. */
export const scheduleName = z.string().regex(NAME, 'must be 1 to 64 characters of A-Z a-z 0-9 . _ -')

/**
 * What becomes of times that passed while nobody could fire them: `skip` records them as one skipped run, `once` runs the latest,
 * `all` runs each of the newest `limit`. Those older than the window are never made up for.
 */
export const missedPolicies = ['skip', 'once', 'all'] as const

/**
 * What happens at a time when a run of the schedule has not ended: `skip` records a skipped run, `queue` holds the new run until
 * those before it have ended, `allow` lets them run side by side, `cancel-previous` cancels them and then runs the new one.
 */
export const overlapPolicies = ['skip', 'queue', 'allow', 'cancel-previous'] as const
export type OverlapPolicy = (typeof overlapPolicies)[number]

export const notificationKinds = ['failed', 'cancelled', 'timed_out', 'lost', 'missed', 'recovered'] as const

const json: z.ZodType<Json> = z.json()
const DAY_MS = 86_400_000
export const MAX_PARAMETER_BYTES = 100 * 1024
/** Runs that one schedule makes up for, holds or is backfilled with at once. */
export const MAX_MISSED = 1_000
export const MAX_BACKFILL = 1_000
const time = z.iso.datetime({ offset: true })

/** A schedule as people write it. What is left out has its default. */
export const scheduleDefinition = z.strictObject({
  name: scheduleName,
  job: jobName,
  expression: z
    .string()
    .max(256)
    .describe(
      'cron(minutes hours day-of-month month day-of-week year), rate(value unit) or at(yyyy-mm-ddThh:mm:ss).',
    ),
  timeZone: z.string().max(64).default('UTC').describe('IANA name, such as Europe/Berlin.'),
  enabled: z.boolean().default(true),
  description: z.string().max(512).optional(),
  parameters: z.record(z.string(), json).default({}).describe('The input of the job; checked by its schema.'),
  startAt: time.optional().describe('It does not fire before then.'),
  endAt: time.optional().describe('It does not fire then or later.'),
  missed: z.enum(missedPolicies).default('once').describe('What becomes of times that nobody could fire.'),
  missedWindowMs: z
    .number()
    .int()
    .min(0)
    .max(366 * DAY_MS)
    .default(DAY_MS)
    .describe('Missed times older than this are not made up for.'),
  missedLimit: z.number().int().min(1).max(MAX_MISSED).default(100).describe('With `all`: at most so many.'),
  overlap: z.enum(overlapPolicies).default('skip').describe('When a run of it has not ended.'),
  jitterMs: z
    .number()
    .int()
    .min(0)
    .max(DAY_MS)
    .default(0)
    .describe('Each run starts a while later, up to this much; the same time always by the same while.'),
  attempts: z.number().int().min(1).max(1_000).optional().describe('Default: those of the job.'),
  timeoutMs: z
    .number()
    .int()
    .min(1)
    .max(366 * DAY_MS)
    .optional()
    .describe('Of one attempt. Default: that of the job.'),
  onLost: z
    .enum(['retry', 'fail'])
    .optional()
    .describe('When a worker dies. Default: what the job says, else fail: the run ends as lost.'),
  retentionMs: z
    .number()
    .int()
    .min(60_000)
    .max(36_500 * DAY_MS)
    .optional()
    .describe('How long its runs are kept after their end. Default: that of the job.'),
  notify: z
    .strictObject({
      events: z
        .array(z.enum(notificationKinds))
        .max(notificationKinds.length)
        .optional()
        .describe('Default: all.'),
      channels: z.array(z.string().min(1).max(64)).max(20).describe('Names of configured channels.'),
    })
    .optional()
    .describe('Instead of the server’s rules. No channels: nobody is notified.'),
})
/** With its defaults filled in. */
export type ScheduleDefinition = z.output<typeof scheduleDefinition>
/** As people write it. */
export type ScheduleInput = z.input<typeof scheduleDefinition>

/** Bodies of the routes under `/api/v1/schedules`. */
export const scheduleBody = scheduleDefinition.omit({ name: true })
/** Without defaults: what is absent stays; null takes an optional key away. */
export const schedulePatch = z.strictObject({
  job: jobName.optional(),
  expression: scheduleDefinition.shape.expression.optional(),
  timeZone: z.string().max(64).optional(),
  enabled: z.boolean().optional(),
  description: z.string().max(512).nullable().optional(),
  parameters: z.record(z.string(), json).optional(),
  startAt: time.nullable().optional(),
  endAt: time.nullable().optional(),
  missed: z.enum(missedPolicies).optional(),
  missedWindowMs: scheduleDefinition.shape.missedWindowMs.unwrap().optional(),
  missedLimit: scheduleDefinition.shape.missedLimit.unwrap().optional(),
  overlap: z.enum(overlapPolicies).optional(),
  jitterMs: scheduleDefinition.shape.jitterMs.unwrap().optional(),
  attempts: scheduleDefinition.shape.attempts.nullable(),
  timeoutMs: scheduleDefinition.shape.timeoutMs.nullable(),
  onLost: scheduleDefinition.shape.onLost.nullable(),
  retentionMs: scheduleDefinition.shape.retentionMs.nullable(),
  notify: scheduleDefinition.shape.notify.nullable(),
})
export type SchedulePatch = z.output<typeof schedulePatch>

const reason = z.string().trim().min(1).max(500)
export const pauseBody = z.strictObject({ reason: reason.optional() })
export const runScheduleBody = z.strictObject({
  parameters: z
    .record(z.string(), json)
    .optional()
    .describe('Instead of the schedule’s; those it does not name stay.'),
  id: z
    .string()
    .regex(/^[A-Za-z0-9._:@/-]{1,100}$/)
    .optional()
    .describe('Makes a repetition safe: the run’s id is <job>:<id>.'),
})
export const backfillBody = z.strictObject({
  from: time.describe('The first time that may be made up for.'),
  to: time.describe('Only times before then; not in the future.'),
  limit: z
    .number()
    .int()
    .min(1)
    .max(MAX_BACKFILL)
    .optional()
    .describe(`Refused when there are more. Default ${MAX_BACKFILL}.`),
  overlap: z.enum(overlapPolicies).optional().describe('For these runs. Default queue: one after the other.'),
  dryRun: z.boolean().optional().describe('Only tell which times it would be.'),
})
export const previewBody = z.strictObject({
  expression: z.string().max(300),
  timeZone: z.string().max(64).optional().describe('Default UTC.'),
  count: z.number().int().min(1).max(100).optional().describe('Default 5.'),
  from: time.optional().describe('Only later times. Default: now.'),
  startAt: time.optional(),
  endAt: time.optional(),
})
