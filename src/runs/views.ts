/** Runs as people and programs see them: ISO times, secrets masked. */
import type { Json } from '../ports/store.ts'
import type { RunRow, RunView } from './api-views.ts'
import { masked } from './masking.ts'
import { rowOf, type Row, type Stored } from './records.ts'
import { jobOf, type RunState } from './vocabulary.ts'

export function rowView(row: Row, state: RunState): RunRow {
  const { id, queue, source, attempt, attempts, createdAt, startedAt, endedAt, notBefore, scheduledAt } = row
  const { worker, schedule, restartOf, reason, error, input, hold } = row
  return {
    id,
    job: jobOf(id),
    queue,
    state,
    source,
    attempt,
    attempts,
    createdAt: iso(createdAt),
    ...(notBefore === undefined ? {} : { notBefore: iso(notBefore) }),
    ...(hold === undefined ? {} : { held: hold }),
    ...(startedAt === undefined ? {} : { startedAt: iso(startedAt) }),
    ...(endedAt === undefined ? {} : { endedAt: iso(endedAt) }),
    ...(endedAt === undefined || startedAt === undefined
      ? {}
      : { durationMs: Math.max(0, endedAt - startedAt) }),
    ...(worker === undefined ? {} : { worker }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(scheduledAt === undefined ? {} : { scheduledAt: iso(scheduledAt) }),
    ...(restartOf === undefined ? {} : { restartOf }),
    ...(reason === undefined ? {} : { reason }),
    ...(error === undefined ? {} : { error }),
    ...(input === undefined ? {} : { input }),
  }
}

export function rowOfRun(stored: Stored): RunRow {
  return rowView(rowOf(stored), stored.run.state)
}

/** @param parts what lies in records of its own */
export function runViewOf(stored: Stored, parts: { readonly input: Json; readonly result?: Json }): RunView {
  const { run } = stored
  const { error: _, input: _summary, ...row } = rowOfRun(stored)
  const { rev, group, timeoutMs, onLost, error, progress, cancel, claim, restartedAs, log } = run
  return {
    ...row,
    rev,
    onLost,
    ...(group === undefined ? {} : { group }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    input: masked(parts.input, run.secrets),
    ...(parts.result === undefined ? {} : { result: parts.result }),
    ...(error === undefined ? {} : { error }),
    ...(progress === undefined ? {} : { progress }),
    ...(cancel === undefined ? {} : { cancel: { ...cancel, at: iso(cancel.at) } }),
    ...(claim === undefined ? {} : { claimUntil: iso(claim.until) }),
    ...(restartedAs === undefined ? {} : { restartedAs }),
    logLines: log?.lines ?? 0,
    timeline: run.timeline.map((step) => ({ ...step, at: iso(step.at) })),
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
