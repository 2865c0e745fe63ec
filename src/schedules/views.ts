/** Schedules as people and programs see them: ISO times, secrets masked. */
import type { Store } from '../ports/store.ts'
import { runKey, type Stored as StoredRun } from '../runs/records.ts'
import type { JobManifest } from '../runs/vocabulary.ts'
import type { LastRun, ScheduleRow, ScheduleView, TriggerKind, TriggerState } from './api.ts'
import { maskedDefinition } from './definition.ts'
import { describe } from './expression/describe.ts'
import { parseExpression } from './expression/parse.ts'
import type { Row, Stored } from './records.ts'
import { timeAfter, timesAfter, timingOf } from './timing.ts'

const NEXT_SHOWN = 5
const MAX_ERROR = 200

export interface RowFacts {
  /** Undefined: it was deleted a moment ago. */
  readonly stored: Omit<Stored, 'due'> | undefined
  readonly last: LastRun | undefined
  readonly trigger: TriggerState
  readonly now: number
}

export function rowView(row: Row, { stored, last, trigger, now }: RowFacts): ScheduleRow {
  const { name, job, expression, timeZone, enabled, description } = row
  const { paused } = stored ?? {}
  const next = stored === undefined ? undefined : nextShown(stored, trigger.kind, now)
  return {
    name,
    job,
    expression,
    says: describe(parseExpression(expression)),
    timeZone,
    enabled,
    ...(description === undefined ? {} : { description }),
    ...(paused === undefined ? {} : { paused: { ...paused, at: iso(paused.at) } }),
    ...(next === undefined ? {} : { nextAt: iso(next) }),
    ...(last === undefined ? {} : { last }),
    trigger,
  }
}

export interface ViewFacts extends RowFacts {
  readonly stored: Omit<Stored, 'due'>
  readonly manifest: JobManifest | undefined
  readonly problem: string | undefined
  readonly held: number
}

export function scheduleViewOf(facts: ViewFacts): ScheduleView {
  const { stored, manifest, problem, held, now } = facts
  const { definition, rev, createdAt, updatedAt, by } = stored
  return {
    ...maskedDefinition(definition, secretsOf(stored, manifest)),
    ...rowView(definition, facts),
    rev,
    createdAt: iso(createdAt),
    updatedAt: iso(updatedAt),
    updatedBy: by,
    next: nextTimes(stored, now).map(iso),
    ...(problem === undefined ? {} : { problem }),
    held,
  }
}

/** What was secret when it was saved, and what the job says by now. */
export function secretsOf(
  { secrets = [] }: Pick<Stored, 'secrets'>,
  manifest: JobManifest | undefined,
): readonly string[] {
  return [...new Set([...secrets, ...(manifest?.secrets ?? [])])]
}

/** Where others fire, a rate's own record is moved on only now and then. */
function nextShown(
  { definition, anchor, next }: Omit<Stored, 'due'>,
  kind: TriggerKind,
  now: number,
): number | undefined {
  const lags = kind === 'eventbridge' || kind === 'eventbridge-scheduler'
  if (next === undefined || next > now || !lags || !definition.expression.startsWith('rate(')) return next
  return timeAfter(timingOf(definition, anchor), now)
}

function nextTimes({ definition, anchor, next }: Omit<Stored, 'due'>, now: number): number[] {
  if (next === undefined) return []
  const timing = timingOf(definition, anchor)
  return next > now
    ? [next, ...timesAfter(timing, next, NEXT_SHOWN - 1)]
    : timesAfter(timing, now, NEXT_SHOWN)
}

export async function lastRunOf(store: Store, { last }: Pick<Stored, 'last'>): Promise<LastRun | undefined> {
  const record = last === undefined ? undefined : await store.get(runKey(last.run))
  if (record === undefined) return undefined
  const { run } = record.value as unknown as StoredRun
  const { id, state, scheduledAt, endedAt, error, reason } = run
  const why = error?.message ?? reason
  return {
    id,
    state,
    ...(scheduledAt === undefined ? {} : { scheduledAt: iso(scheduledAt) }),
    ...(endedAt === undefined ? {} : { endedAt: iso(endedAt) }),
    ...(why === undefined ? {} : { error: oneLine(why) }),
  }
}

/** @param told what the external trigger knows of it */
export function triggerState(kind: TriggerKind, told: TriggerState | undefined): TriggerState {
  if (kind === 'embedded') return { kind, state: 'in_sync' }
  if (kind === 'off')
    return { kind, state: 'refused', error: 'this server fires no schedules (schedules.trigger is off)' }
  return told ?? { kind, state: 'pending' }
}

export function iso(ms: number): string {
  return new Date(ms).toISOString()
}

function oneLine(text: string): string {
  const line = text.split('\n', 1)[0] ?? ''
  return line.length > MAX_ERROR ? `${line.slice(0, MAX_ERROR)}…` : line
}
