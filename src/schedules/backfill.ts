/**
 * Runs for times of the past, and runs now: made by hand, beside the schedule's own times, which stay as they are.
 *
 * Invariants:
 * - a time that ran, or runs, runs no second time: a backfilled run has the id that the schedule's own run of the time has. Only where
 *   that one was skipped it has an id of its own, and that one too is used once;
 * - runs are made in the order of their times, each commit under the version of the schedule's record; so whoever decides on overlap
 *   meanwhile decides again.
 */
import { SignalboxError } from '../kernel/error.ts'
import type { Store } from '../ports/store.ts'
import type { CreatedRun, RunRow } from '../runs/api.ts'
import { newRunId } from '../runs/new-run.ts'
import { runKey, type Stored as StoredRun } from '../runs/records.ts'
import { rowOfRun } from '../runs/views.ts'
import { MAX_BACKFILL, MAX_MISSED, type Backfill, type BackfillView, type RunSchedule } from './api.ts'
import { announce, heldOf, planningOf } from './claim.ts'
import {
  audit,
  commitState,
  newStamp,
  nowOf,
  problemOf,
  unknownSchedule,
  untilCommitted,
  type Context,
} from './context.ts'
import { invalid, withSecrets } from './definition.ts'
import { cleanAway, inTheWay, MAX_LIVE } from './held.ts'
import { runAt, runOf, type PlannedItem, type PlanningContext } from './planning.ts'
import { load, loadAgain, transition, type Loaded, type Stored } from './records.ts'
import { idOf, Line, type Item } from './rules.ts'
import { timesIn, timingOf } from './timing.ts'
import { iso, secretsOf } from './views.ts'

const READS_AT_ONCE = 32
/** Runs of one commit: each makes some records, and a commit takes a hundred. */
const RUN_CHANGES = 12

export async function backfill(
  context: Context,
  name: string,
  request: Backfill,
  { by }: { readonly by: string },
): Promise<BackfillView> {
  const loaded = await load(context.store, name)
  if (loaded === undefined) throw unknownSchedule(name)
  const times = timesOf(context, loaded.stored, request)
  const view = { times: times.map(iso), runs: [] }
  if (request.dryRun === true || times.length === 0) return view
  const { definition } = loaded.stored
  const problem = problemOf(definition, await context.jobs.find(definition.job))
  if (problem !== undefined) throw invalid('parameters', problem)
  const made = new Map<number, CreatedRun>()
  while (made.size < times.length) {
    const left = times.filter((at) => !made.has(at))
    const first = ![...made.values()].some(({ created }) => created)
    for (const [at, run] of await packed(context, name, left, request, { by, first })) {
      made.set(at, run)
    }
  }
  return { ...view, runs: times.flatMap((at) => made.get(at) ?? []) }
}

function timesOf(context: Context, { definition, anchor }: Stored, request: Backfill): readonly number[] {
  const from = Date.parse(request.from)
  const to = Date.parse(request.to)
  const limit = request.limit ?? MAX_BACKFILL
  if (!(from < to)) throw invalid('to', `to: '${request.to}' must be later than from, '${request.from}'`)
  if (to > nowOf(context))
    throw invalid('to', `to: '${request.to}' is in the future; only past times can be made up for`)
  const times = timesIn(timingOf(definition, anchor), from, to - 1, limit + 1)
  if (times.length > limit) {
    throw invalid(
      'limit',
      `the range has more than ${limit} times of the schedule; take a shorter one, or backfill it in parts`,
    )
  }
  return times
}

interface Pack {
  readonly by: string
  /** Of this call: it leaves the audit entry. */
  readonly first: boolean
}

/** The runs of the first of these times, as many as one commit takes. */
async function packed(
  context: Context,
  name: string,
  times: readonly number[],
  request: Backfill,
  pack: Pack,
): Promise<Map<number, CreatedRun>> {
  return untilCommitted(context, `schedule '${name}'`, async (attempt) => {
    const loaded = await loadAgain(context.store, name, attempt)
    if (loaded === undefined) throw unknownSchedule(name)
    const most = Math.max(1, Math.floor((context.store.limits.changes - RUN_CHANGES) / RUN_CHANGES))
    const { definition } = loaded.stored
    const some = times.slice(0, Math.min(most, READS_AT_ONCE))
    const found = await Promise.all(some.map((at) => runOfTime(context.store, idOf(definition, at))))
    const there = new Map<number, CreatedRun>()
    const fresh: { readonly at: number; readonly id: string }[] = []
    some.forEach((at, index) => {
      const { run, id } = found[index] ?? {}
      if (run !== undefined) there.set(at, { run, created: false })
      else if (id !== undefined) fresh.push({ at, id })
    })
    if (fresh.length === 0) return there
    const made = await commitRuns(context, loaded, fresh, request, { ...pack, times, attempt })
    if (made === 'again') return 'again'
    for (const { item, run } of made) there.set(item.at, { run: run.run, created: true })
    return there
  })
}

/** The run that ran, or runs, at a time; else the id that a new one gets. */
async function runOfTime(store: Store, id: string): Promise<{ readonly run?: RunRow; readonly id?: string }> {
  const own = await store.get(runKey(id))
  if (own === undefined) return { id }
  const stored = own.value as unknown as StoredRun
  if (stored.run.state !== 'skipped') return { run: rowOfRun(stored) }
  const again = `${id}:backfill`
  const other = await store.get(runKey(again))
  return other === undefined ? { id: again } : { run: rowOfRun(other.value as unknown as StoredRun) }
}

async function commitRuns(
  context: Context,
  loaded: Loaded,
  fresh: readonly { readonly at: number; readonly id: string }[],
  request: Backfill,
  { by, first, times, attempt }: Pack & { readonly times: readonly number[]; readonly attempt: number },
): Promise<readonly PlannedItem[] | 'again'> {
  const { stored } = loaded
  const { name } = stored.definition
  const planning = await planningOf(context, stored, nowOf(context))
  const overlap = request.overlap ?? 'queue'
  const live = await inTheWay(context, name, overlap)
  const waiting = live.length >= MAX_LIVE ? MAX_LIVE : live.filter(({ held }) => held).length
  if (overlap === 'queue' && waiting + times.length > MAX_MISSED) {
    throw new SignalboxError(
      'conflict',
      `schedule '${name}': more than ${MAX_MISSED} runs would wait; wait for those there are`,
    )
  }
  const line = new Line(live)
  const planned = fresh.map(({ at, id }) => planBackfill(planning, line.place(at, overlap, true, id), id))
  const { due: _, ...rest } = stored
  const newest = planned.at(-1)
  const after = {
    ...rest,
    ...(newest === undefined ? {} : { last: { run: newest.run.id, scheduledAt: newest.item.at } }),
    ...heldOf(stored, planned),
    stamp: newStamp(context.random),
  }
  const details = { from: request.from, to: request.to, runs: times.length }
  const changes = [
    ...transition(loaded, after, context),
    ...planned.flatMap(({ changes: own }) => own),
    ...(first ? [audit(context, 'schedules.backfill', name, { by, details })] : []),
  ]
  const committed = await commitState(context, name, after.stamp, changes)
  if (!committed.ok) {
    if (attempt > 0 && after.held !== undefined && stored.held === undefined) await cleanAway(context, name)
    return 'again'
  }
  announce(context, { after, planned, changes, versions: committed.versions })
  return planned
}

function planBackfill(planning: PlanningContext, item: Item, id: string): PlannedItem {
  const { name: schedule, job } = planning.definition
  const skipped = item.kind === 'skip' ? { skipped: item.reason } : {}
  const { delayMs: _, ...wanted } = runAt(planning, item, { id, source: 'backfill', ...skipped })
  const run = planning.plan(wanted)
  const event =
    item.kind === 'skip'
      ? ({ kind: 'skipped', schedule, job, run: id, why: 'overlap', reason: item.reason } as const)
      : ({ kind: 'backfilled', schedule, job, run: id, held: item.hold !== undefined } as const)
  return { item, run, changes: run.changes, event }
}

/** A run now. */
export async function runNow(
  context: Context,
  name: string,
  { id, parameters = {} }: RunSchedule,
  { by }: { readonly by: string },
): Promise<CreatedRun> {
  const fixed = id
  let made: string | undefined
  return untilCommitted(context, `schedule '${name}'`, async (attempt): Promise<CreatedRun | 'again'> => {
    const loaded = await loadAgain(context.store, name, attempt)
    if (loaded === undefined) throw unknownSchedule(name)
    const { stored } = loaded
    const manifest = await context.jobs.find(stored.definition.job)
    const wanted = { ...stored.definition, parameters: { ...stored.definition.parameters, ...parameters } }
    const definition = withSecrets(wanted, stored.definition, secretsOf(stored, manifest))
    const problem = problemOf(definition, manifest)
    if (problem !== undefined) throw invalid('parameters', problem)
    const { job } = definition
    const now = nowOf(context)
    made ??= fixed === undefined ? newRunId(job, now, context.random) : `${job}:${fixed}`
    const present = await context.store.get(runKey(made))
    if (present !== undefined) {
      // An id that was made here is ours: the answer to its commit was lost.
      return { run: rowOfRun(present.value as unknown as StoredRun), created: fixed === undefined }
    }
    const { secrets } = stored
    const run = context.runs.plan({
      ...runOf({ definition, manifest, secrets }),
      id: made,
      source: 'run_now',
    })
    const { due: _, ...rest } = stored
    const after = { ...rest, last: { run: run.id }, stamp: newStamp(context.random) }
    const changes = [
      ...transition(loaded, after, context),
      ...run.changes,
      audit(context, 'schedules.run', name, { by, details: { run: run.id } }),
    ]
    const committed = await commitState(context, name, after.stamp, changes)
    if (!committed.ok) return 'again'
    const [first] = run.changes
    run.committed(first === undefined ? undefined : committed.versions?.[changes.indexOf(first)])
    context.changed(name)
    return { run: run.run, created: true }
  })
}
