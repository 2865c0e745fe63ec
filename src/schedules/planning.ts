/**
 * From what the rules decided to runs, as changes for a commit. What cannot become a run (a queue name that no engine takes) becomes a skipped
 * one that says why, so that no time passes without a record.
 */
import { SignalboxError } from '../kernel/error.ts'
import type { Change } from '../ports/store.ts'
import type { JobManifest, NewRun } from '../runs/vocabulary.ts'
import type { ScheduleDefinition } from './api.ts'
import type { PlannedScheduledRun, ScheduleEvent, ScheduleNotice } from './contract.ts'
import { idOf, type Item } from './rules.ts'
import { jitterOf } from './timing.ts'

export interface PlanningContext {
  readonly plan: (run: NewRun) => PlannedScheduledRun
  readonly beside: (notice: ScheduleNotice) => readonly Change[]
  readonly definition: ScheduleDefinition
  readonly manifest: JobManifest | undefined
  /** Kept with the schedule, for a job that is unknown by now. */
  readonly secrets: readonly string[] | undefined
  readonly now: number
}

export interface PlannedItem {
  readonly item: Item
  readonly run: PlannedScheduledRun
  /** The first is the run's record. */
  readonly changes: readonly Change[]
  readonly event: ScheduleEvent
}

/** @param id of the run; default that of its time */
export function planItem(
  context: PlanningContext,
  item: Item,
  id = idOf(context.definition, item.at),
): PlannedItem {
  if (item.kind === 'skip') return planSkip(context, item, id)
  const { definition, now, plan } = context
  try {
    const run = plan(runAt(context, item, { id, source: 'schedule' }))
    const lateMs = Math.max(0, now - item.at)
    const { name: schedule, job } = definition
    const { missed, hold } = item
    const event = { kind: 'fired', schedule, job, run: id, lateMs, missed, held: hold !== undefined } as const
    return { item, run, changes: run.changes, event }
  } catch (error) {
    if (!isRefusal(error)) throw error
    return planSkip(context, refused(item.at, error), id)
  }
}

function planSkip(context: PlanningContext, item: Item & { readonly kind: 'skip' }, id: string): PlannedItem {
  const { definition, plan, beside, now } = context
  const { name: schedule, job } = definition
  const { at, why, reason, count } = item
  const run = planBare(plan, runAt(context, item, { id, source: 'schedule', skipped: reason }))
  const event: ScheduleEvent =
    why === 'missed'
      ? { kind: 'missed', schedule, job, run: id, count, reason }
      : { kind: 'skipped', schedule, job, run: id, why, reason }
  if (why === 'overlap') return { item, run, changes: run.changes, event }
  const notice = { kind: 'missed', at: now, schedule, job, run: id, scheduledAt: at, count, reason } as const
  return { item, run, changes: [...run.changes, ...beside(notice)], event }
}

/** A record of a run that never runs has to come about whatever is wrong with it. */
function planBare(plan: PlanningContext['plan'], run: NewRun): PlannedScheduledRun {
  try {
    return plan(run)
  } catch (error) {
    if (!isRefusal(error)) throw error
    return plan({ ...run, queue: 'default', input: {} })
  }
}

function refused(at: number, error: SignalboxError): Item & { readonly kind: 'skip' } {
  return { kind: 'skip', at, why: 'problem', reason: error.message.slice(0, 500), count: 1, from: at }
}

function isRefusal(error: unknown): error is SignalboxError {
  return (
    error instanceof SignalboxError &&
    (error.code === 'invalid_argument' || error.code === 'payload_too_large')
  )
}

/** A run of the schedule for a time. */
export function runAt(
  context: Pick<PlanningContext, 'definition' | 'manifest' | 'secrets' | 'now'>,
  item: Item,
  more: Pick<NewRun, 'id' | 'source' | 'skipped'>,
): NewRun {
  const { definition, now } = context
  const delayMs = item.kind === 'run' ? Math.max(0, item.at + jitterOf(definition, item.at) - now) : 0
  return {
    ...runOf(context),
    ...more,
    ...(delayMs > 0 ? { delayMs } : {}),
    scheduledAt: item.at,
    ...(item.kind === 'run' && item.hold !== undefined ? { hold: item.hold.slice(0, 500) } : {}),
  }
}

/** What all runs of a schedule have. */
export function runOf({
  definition,
  manifest,
  secrets: kept,
}: Pick<PlanningContext, 'definition' | 'manifest' | 'secrets'>): Omit<NewRun, 'source'> {
  const timeoutMs = definition.timeoutMs ?? manifest?.timeoutMs
  const retentionMs = definition.retentionMs ?? manifest?.retentionMs
  const secrets = manifest === undefined ? kept : manifest.secrets
  return {
    job: definition.job,
    queue: manifest?.queue ?? 'default',
    input: definition.parameters,
    attempts: definition.attempts ?? manifest?.attempts ?? 1,
    onLost: definition.onLost ?? manifest?.onLost ?? 'fail',
    schedule: definition.name,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(retentionMs === undefined ? {} : { retentionMs }),
    ...(secrets === undefined ? {} : { secrets: [...secrets] }),
  }
}
