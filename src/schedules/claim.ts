/**
 * Sees to the times of a schedule that are due: makes their runs and moves the schedule past them, in one commit.
 *
 * Invariants:
 * - a run of a time is committed with `next` moved past that time, under the version of the schedule's record, and only if the run is
 *   absent; so each time has one run, however many servers try, and a server that dies leaves either both or nothing;
 * - `next` is never moved past a time that has neither a run nor a record that says why not, nor (where others fire) was seen to;
 * - what is due is decided on a record that was read before the runs in the way were; a fire that came in between changes the record's
 *   version, and it is decided again;
 * - a run whose id is there already (a backfill, a schedule that was deleted and made again) stays as it is.
 */
import type { Change, Store, Version } from '../ports/store.ts'
import { runKey } from '../runs/records.ts'
import { commitState, newStamp, nowOf, problemOf, untilCommitted, type Context } from './context.ts'
import { cleanAway, inTheWay } from './held.ts'
import { planItem, type PlannedItem, type PlanningContext } from './planning.ts'
import { firesPartition, loadAgain, timeOfDue, transition, type Loaded, type Stored } from './records.ts'
import { decide, idOf, type Decision, type Facts, type Item } from './rules.ts'
import { timeAfter, timingOf, type Timing } from './timing.ts'

/** What became of a look at a schedule. */
export type Claimed =
  | { readonly kind: 'moved' }
  /** Nothing is to be seen to; `due`: its key in `due`. */
  | { readonly kind: 'idle'; readonly due?: number }
  | { readonly kind: 'gone' }

/** Room in a commit for the schedule's own records. */
const OWN_CHANGES = 8
const OWN_BYTES = 400 * 1024
const FIRES_PAGE = 1_000

/**
 * Sees to all that is due; with several commits when it is much.
 * @param graceMs leave alone what is due since less; default as configured
 * @throws SignalboxError what the store throws; what was not seen to is still due then
 */
export async function claim(context: Context, name: string, graceMs = context.graceMs): Promise<Claimed> {
  const exists = new Set<string>()
  for (;;) {
    const claimed = await untilCommitted(context, `schedule '${name}'`, (attempt) =>
      claimOnce(context, name, { graceMs, exists, attempt }),
    )
    if (claimed !== 'more') return claimed
    // What is left is still due, for whoever comes next.
    if (context.closing.aborted) return { kind: 'moved' }
  }
}

interface Attempt {
  readonly graceMs: number
  /** Ids of runs that are known to be there. */
  readonly exists: Set<string>
  readonly attempt: number
}

async function claimOnce(
  context: Context,
  name: string,
  { graceMs, exists, attempt }: Attempt,
): Promise<Claimed | 'more' | 'again'> {
  const loaded = await loadAgain(context.store, name, attempt)
  if (loaded === undefined) return { kind: 'gone' }
  const { stored } = loaded
  const now = nowOf(context)
  const to = now - graceMs
  if (stored.next === undefined || stored.next > to) return idle(context, loaded)
  const timing = timingOf(stored.definition, stored.anchor)
  if (context.external && timing.expression.kind === 'rate') {
    // When somebody else's rate fires only they know; nothing is missed that we could tell.
    return graceMs === 0 ? idle(context, loaded) : write(context, loaded, { next: timeAfter(timing, to) })
  }
  const planning = await planningOf(context, stored, now)
  const facts = await factsOf(context, stored, { next: stored.next, now, to, timing, planning })
  const decision = decide(facts)
  const fit = fitting(context.store, planAll(planning, decision.items, exists))
  const { planned, left } = fit
  const after = afterwards(context, stored, { ...fit, ...decision, timing, to })
  const changes = [...transition(loaded, after, context), ...planned.flatMap(({ changes: own }) => own)]
  const committed = await commitState(context, name, after.stamp, changes)
  if (!committed.ok) {
    if (attempt > 0 && after.held !== undefined && stored.held === undefined) await cleanAway(context, name)
    await noteExisting(context.store, planned, exists)
    return 'again'
  }
  announce(context, { after, planned, changes, versions: committed.versions })
  return left ? 'more' : { kind: 'moved' }
}

/** Nothing to see to. If its record in `due` stands elsewhere than it should (another trigger was configured), it is moved. */
async function idle(context: Context, loaded: Loaded): Promise<Claimed | 'again'> {
  const { next, due } = loaded.stored
  const lookAt = next === undefined ? undefined : next + context.graceMs
  if (lookAt === (due === undefined ? undefined : timeOfDue(due))) {
    return { kind: 'idle', ...(due === undefined ? {} : { due }) }
  }
  return write(context, loaded, { next })
}

async function write(
  context: Context,
  loaded: Loaded,
  { next }: { readonly next: number | undefined },
): Promise<Claimed | 'again'> {
  const { due: _, next: _old, ...rest } = loaded.stored
  const stamp = newStamp(context.random)
  const after = { ...rest, ...(next === undefined ? {} : { next }), stamp }
  const changes = transition(loaded, after, context)
  const { ok } = await commitState(context, after.definition.name, stamp, changes)
  if (ok && next !== undefined) context.expect(next + context.graceMs)
  return ok ? { kind: 'moved' } : 'again'
}

export async function planningOf(context: Context, stored: Stored, now: number): Promise<PlanningContext> {
  const { definition, secrets } = stored
  const manifest = await context.jobs.lately(definition.job)
  return { plan: (run) => context.runs.plan(run), beside: context.beside, definition, manifest, secrets, now }
}

async function factsOf(
  context: Context,
  stored: Stored,
  known: Pick<Facts, 'next' | 'now' | 'to' | 'timing'> & { readonly planning: PlanningContext },
): Promise<Facts> {
  const { definition, makingUpTo } = stored
  const { next, now, to, timing, planning } = known
  const problem = problemOf(definition, planning.manifest)
  const live = await inTheWay(context, definition.name, definition.overlap)
  const fired = context.external ? await firesIn(context.store, definition.name, next, to) : undefined
  return {
    definition,
    timing,
    next,
    now,
    to,
    live,
    makingUpTo,
    problem,
    ...(fired === undefined ? {} : { done: (at: number) => fired.has(at) }),
  }
}

/** The times of a range that an external trigger has fired. */
export async function firesIn(store: Store, name: string, from: number, to: number): Promise<Set<number>> {
  const fires = new Set<number>()
  const partition = firesPartition(name)
  const key = (ms: number): string => String(Math.max(0, Math.floor(ms / 1_000))).padStart(15, '0')
  let after: string | undefined
  do {
    const page = await store.list(
      { partition, from: key(from), to: key(to + 1_000) },
      { limit: FIRES_PAGE, ...(after === undefined ? {} : { after }) },
    )
    for (const { key: record } of page.records) fires.add(Number(record[1]) * 1_000)
    after = page.next
  } while (after !== undefined)
  return fires
}

/** One after the other: the planner is a generator, so that what does not fit any more is not planned. */
function* planAll(
  planning: PlanningContext,
  items: readonly Item[],
  exists: ReadonlySet<string>,
): Generator<PlannedItem | Item> {
  for (const item of items) {
    const id = idOf(planning.definition, item.at)
    if (!exists.has(id)) yield planItem(planning, item, id)
    // Several times at once, the latest of which has a run: they are recorded all the same.
    else if (item.kind === 'skip' && item.count > 1 && !exists.has(`${id}:missed`))
      yield planItem(planning, item, `${id}:missed`)
    else yield item
  }
}

/** As many as one commit takes, at least one. @returns `left`: there are more */
function fitting(
  { limits }: Store,
  all: Iterable<PlannedItem | Item>,
): { readonly planned: PlannedItem[]; readonly last: Item | undefined; readonly left: boolean } {
  const planned: PlannedItem[] = []
  let last: Item | undefined
  let changes = OWN_CHANGES
  let bytes = OWN_BYTES
  for (const one of all) {
    if (!('run' in one)) {
      last = one
      continue
    }
    changes += one.changes.length
    bytes += sizeOf(one.changes)
    if (planned.length > 0 && (changes > limits.changes || bytes > limits.commitBytes)) {
      return { planned, last, left: true }
    }
    planned.push(one)
    last = one.item
  }
  return { planned, last, left: false }
}

/** Not too few, whatever the characters are. */
function sizeOf(changes: readonly Change[]): number {
  return changes.reduce((sum, change) => {
    return sum + (change.op === 'put' ? 3 * JSON.stringify(change.value).length : 0)
  }, 0)
}

type Fit = ReturnType<typeof fitting>

/** The schedule once this commit is done. */
function afterwards(
  { random }: Context,
  stored: Stored,
  {
    planned,
    last,
    left,
    makingUpTo,
    timing,
    to,
  }: Fit & Decision & { readonly timing: Timing; readonly to: number },
): Omit<Stored, 'due'> {
  const { due: _, next: _next, makingUpTo: _row, ...rest } = stored
  const next = timeAfter(timing, left && last !== undefined ? last.at : to)
  const inRow = makingUpTo !== undefined && next !== undefined && next <= makingUpTo
  return {
    ...rest,
    ...(next === undefined ? {} : { next }),
    settled: Math.max(stored.settled ?? 0, last?.at ?? 0),
    ...(inRow ? { makingUpTo } : {}),
    ...lastOf(planned),
    ...heldOf(stored, planned),
    stamp: newStamp(random),
  }
}

/** The newest of these runs. */
export function lastOf(planned: readonly PlannedItem[]): Pick<Stored, 'last'> {
  const newest = planned.at(-1)
  return newest === undefined ? {} : { last: { run: newest.run.id, scheduledAt: newest.item.at } }
}

/** What is known of held runs once these are there too. */
export function heldOf({ held }: Stored, planned: readonly PlannedItem[]): Pick<Stored, 'held'> {
  const joining = planned.filter(({ item }) => item.kind === 'run' && item.hold !== undefined)
  if (joining.length === 0) return {}
  const cancelling = joining.findLast(({ item }) => item.kind === 'run' && item.cancels === true)
  return { held: { ...held, ...(cancelling === undefined ? {} : { cancelFor: cancelling.run.id }) } }
}

export interface Announced {
  readonly after: Omit<Stored, 'due'>
  readonly planned: readonly PlannedItem[]
  readonly changes: readonly Change[]
  readonly versions: readonly (Version | undefined)[] | undefined
}

/** After the commit: wakes workers, tells what happened, sees to held runs. */
export function announce(context: Context, { after, planned, changes, versions }: Announced): void {
  const { name } = after.definition
  for (const { run, changes: own, event } of planned) {
    const [first] = own
    run.committed(first === undefined ? undefined : versions?.[changes.indexOf(first)])
    context.event(event)
  }
  if (after.held !== undefined) context.holds(name)
  if (after.next !== undefined) context.expect(after.next + context.graceMs)
  context.changed(name)
}

/** After a commit that failed: which of the runs are there already? */
export async function noteExisting(
  store: Store,
  planned: readonly PlannedItem[],
  exists: Set<string>,
): Promise<void> {
  await Promise.all(
    planned.map(async ({ run: { id } }) => {
      if ((await store.get(runKey(id))) !== undefined) exists.add(id)
    }),
  )
}
