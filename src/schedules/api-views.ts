/** What people and programs see of schedules. Times are ISO 8601 in UTC. Part of `api.ts`. */
import { z } from 'zod'
import { createdRun, runStates, type RunState } from '../runs/api.ts'
import { scheduleDefinition } from './vocabulary.ts'

/** Who fires schedules: this server and its replicas, or somebody who calls them. */
export const triggerKinds = ['embedded', 'eventbridge', 'eventbridge-scheduler', 'off'] as const
export type TriggerKind = (typeof triggerKinds)[number]

const triggerState = z.object({
  kind: z.enum(triggerKinds),
  state: z
    .enum(['in_sync', 'pending', 'failed', 'refused'])
    .describe('Of its rule there; refused: that service cannot fire it. Embedded ones are always in sync.'),
  error: z.string().optional(),
  checkedAt: z.string().optional(),
})
export type TriggerState = z.infer<typeof triggerState>

const lastRun = z.object({
  id: z.string(),
  state: z.enum(runStates as readonly [RunState, ...RunState[]]),
  scheduledAt: z.string().optional(),
  endedAt: z.string().optional(),
  error: z.string().optional().describe('In one line.'),
})
export type LastRun = z.infer<typeof lastRun>

/** One schedule in a list. */
export const scheduleRow = z.object({
  name: z.string(),
  job: z.string(),
  expression: z.string(),
  says: z.string().describe('The expression in words.'),
  timeZone: z.string(),
  enabled: z.boolean(),
  description: z.string().optional(),
  paused: z
    .object({ at: z.string(), by: z.string(), reason: z.string().optional() })
    .optional()
    .describe('Who switched it off, when, and why.'),
  nextAt: z.string().optional().describe('When it fires next; absent: never, or it is paused.'),
  last: lastRun.optional().describe('Its newest run, if that is kept.'),
  trigger: triggerState,
})
export type ScheduleRow = z.infer<typeof scheduleRow>

export const scheduleView = scheduleDefinition.extend(scheduleRow.shape).extend({
  parameters: scheduleDefinition.shape.parameters.describe('Secrets are masked.'),
  rev: z.number().int().describe('Grows with each change of its definition.'),
  createdAt: z.string(),
  updatedAt: z.string(),
  updatedBy: z.string(),
  next: z.array(z.string()).describe('The next five times.'),
  problem: z
    .string()
    .optional()
    .describe('Why its runs could not start now: its job is unknown, or its parameters do not fit the job.'),
  held: z.number().int().describe('Runs that wait until those before them have ended.'),
})
export type ScheduleView = z.infer<typeof scheduleView>

export const scheduleList = z.object({
  schedules: z.array(scheduleRow).describe('By name.'),
  total: z.number().int().describe('That fit the filter.'),
  next: z.string().optional().describe('Present when there are more: the `after` of the next page.'),
})
export type ScheduleList = z.infer<typeof scheduleList>

export const savedSchedule = z.object({ schedule: scheduleView, created: z.boolean() })
export type SavedSchedule = z.infer<typeof savedSchedule>

export const backfillView = z.object({
  times: z.array(z.string()).describe('The times of the range.'),
  runs: z
    .array(createdRun)
    .describe('One a time; `created` false: that time ran already. Empty with dryRun.'),
})
export type BackfillView = z.infer<typeof backfillView>

export const previewView = z.object({
  says: z.string().describe('The expression in words.'),
  next: z.array(z.string()),
})
export type PreviewView = z.infer<typeof previewView>
