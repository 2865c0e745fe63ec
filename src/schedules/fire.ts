/**
 * What an external trigger says: a schedule is due. It may say so many times, late, or for a time that was seen to meanwhile.
 *
 * Invariants:
 * - a time that is fired leaves a record in `fires`, in the commit that makes the run; the same time again finds it, for 8 days, which is
 *   longer than anybody delivers an event again;
 * - a time before `next` has been decided about; only `next` itself moves the schedule, so one that never comes stays due and is looked at
 *   a while later (claim.ts);
 * - the answer comes after the commit; without one the event is sent again.
 */
import { SignalboxError } from '../kernel/error.ts'
import type { TriggerEvent } from '../ports/trigger.ts'
import type { RunRow } from '../runs/api.ts'
import { runKey, type Stored as StoredRun } from '../runs/records.ts'
import { rowOfRun } from '../runs/views.ts'
import { announce, claim, firesIn, heldOf, lastOf, noteExisting, planningOf } from './claim.ts'
import { cleanAway, inTheWay } from './held.ts'
import {
  commitState,
  newStamp,
  nowOf,
  problemOf,
  unknownSchedule,
  untilCommitted,
  type Context,
} from './context.ts'
import type { Fired } from './contract.ts'
import { planItem, type PlannedItem, type PlanningContext } from './planning.ts'
import { fireChange, fireKey, loadAgain, transition, type Loaded, type Stored } from './records.ts'
import { idOf, Line, ON_TIME_MS, type Item } from './rules.ts'
import { newestTimes, timeAfter, timeText, timingOf, type Timing } from './timing.ts'

/** An event may carry a time this much after the schedule's own. */
const BEHIND_MS = 120_000
/** And its clock may be so much before ours. */
const AHEAD_MS = 1_000
/** Nobody is called so long before the time; if a clock is wrong, the event is sent again until it is right. */
const FUTURE_MS = 600_000
/** Events of a rate that are closer than this part of its interval are the same. */
const SAME_RATE = 0.5

export class Firing {
  readonly #context: Context
  /** Under way: the same event again waits for the first. */
  readonly #underWay = new Map<string, Promise<Fired>>()

  constructor(context: Context) {
    this.#context = context
  }

  async fire(event: TriggerEvent): Promise<Fired> {
    if (!Number.isFinite(event.time)) {
      throw new SignalboxError('invalid_argument', `time: '${String(event.time)}' is no time`)
    }
    const key = `${event.schedule} ${event.time}`
    const first = this.#underWay.get(key)
    if (first !== undefined) return { ...(await first), created: false }
    const firing = fire(this.#context, event).finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, firing)
    return firing
  }
}

async function fire(context: Context, event: TriggerEvent): Promise<Fired> {
  const { schedule: name } = event
  const exists = new Set<string>()
  return untilCommitted(context, `schedule '${name}'`, async (attempt): Promise<Fired | 'again'> => {
    const loaded = await loadAgain(context.store, name, attempt)
    if (loaded === undefined) throw unknownSchedule(name)
    const { stored } = loaded
    if (event.time > nowOf(context) + FUTURE_MS) throw inFuture(event)
    if (!stored.definition.enabled) return { created: false, why: 'the schedule is paused' }
    const timing = timingOf(stored.definition, stored.anchor)
    const { at, own } = ownTime(timing, event.time)
    const outside = whyOutside(timing, at)
    if (outside !== undefined) return { created: false, why: outside }
    const now = nowOf(context)
    if (
      own &&
      context.external &&
      stored.next !== undefined &&
      stored.next <= at &&
      at <= now - context.graceMs
    ) {
      // It is so late that it counts as missed; what comes of it is decided together with the others.
      await claim(context, name)
      return { ...(await seenTo(context, stored, timing, at)), created: false }
    }
    const before = await seenTo(context, stored, timing, at)
    if (before !== undefined) return { ...before, created: false }
    if (own && (stored.next === undefined || at < stored.next)) {
      const run = await runOf(context, idOf(stored.definition, at))
      return { ...run, created: false, why: `the time ${timeText(at)} was seen to already` }
    }
    return fireAt(context, loaded, { at, timing, now, exists, attempt })
  })
}

function inFuture({ schedule, time }: TriggerEvent): SignalboxError {
  return new SignalboxError(
    'unavailable',
    `schedule '${schedule}': an event says that it was due at ${timeText(time)}, which is in the future; check the clocks`,
  )
}

interface Fire {
  readonly at: number
  readonly timing: Timing
  readonly now: number
  /** Ids of runs that are known to be there. */
  readonly exists: Set<string>
  readonly attempt: number
}

async function fireAt(
  context: Context,
  loaded: Loaded,
  { at, timing, now, exists, attempt }: Fire,
): Promise<Fired | 'again'> {
  const { stored } = loaded
  const { name } = stored.definition
  const planning = await planningOf(context, stored, now)
  const id = idOf(stored.definition, at)
  const planned: PlannedItem[] = []
  if (!exists.has(id)) planned.push(planItem(planning, await itemAt(context, planning, at), id))
  const { due: _, next, ...rest } = stored
  const moved = next === at ? timeAfter(timing, at) : next
  const after: Omit<Stored, 'due'> = {
    ...rest,
    ...(moved === undefined ? {} : { next: moved }),
    settled: Math.max(stored.settled ?? 0, at),
    ...lastOf(planned),
    ...heldOf(stored, planned),
    stamp: newStamp(context.random),
  }
  const changes = [
    ...transition(loaded, after, context),
    ...planned.flatMap(({ changes: own }) => own),
    fireChange(name, at, id, now),
  ]
  const committed = await commitState(context, name, after.stamp, changes)
  if (!committed.ok) {
    if (attempt > 0 && after.held !== undefined && stored.held === undefined) await cleanAway(context, name)
    await noteExisting(context.store, planned, exists)
    return 'again'
  }
  announce(context, { after, planned, changes, versions: committed.versions })
  const [made] = planned
  if (made !== undefined) return { run: made.run.run, created: true }
  return { ...(await runOf(context, id)), created: false, why: 'there is a run of this time already' }
}

/** A run now, or the record of why not. */
async function itemAt(context: Context, planning: PlanningContext, at: number): Promise<Item> {
  const { definition, manifest, now } = planning
  const skip = { kind: 'skip', at, count: 1, from: at } as const
  const problem = problemOf(definition, manifest)
  if (problem !== undefined) return { ...skip, why: 'problem', reason: problem.slice(0, 500) }
  const lateMs = now - at
  if (lateMs > context.graceMs + ON_TIME_MS && definition.missed === 'skip') {
    return {
      ...skip,
      why: 'missed',
      reason: `missed the time ${timeText(at)}: its event came late (missed: skip)`,
    }
  }
  const live = await inTheWay(context, definition.name, definition.overlap)
  const late = lateMs >= ON_TIME_MS
  return new Line(live).place(at, definition.overlap, late, idOf(definition, at))
}

/**
 * The time of the schedule that an event stands for.
 * @returns `own`: the expression tells it. A rate counts from when its rule was made there, so only its events tell.
 */
function ownTime(timing: Timing, time: number): { readonly at: number; readonly own: boolean } {
  if (timing.expression.kind === 'rate') return { at: Math.floor(time / 1_000) * 1_000, own: false }
  // Whether it has begun, or ended, is another question.
  const unbound = { ...timing, startAt: undefined, endAt: undefined }
  const [at] = newestTimes(unbound, time - BEHIND_MS, time + AHEAD_MS, 1)
  return at === undefined ? { at: Math.floor(time / 60_000) * 60_000, own: false } : { at, own: true }
}

function whyOutside({ startAt, endAt }: Timing, at: number): string | undefined {
  if (startAt !== undefined && at < startAt) return 'the schedule begins later'
  return endAt !== undefined && at >= endAt ? 'the schedule has ended' : undefined
}

/** The run of a time that was fired already; undefined: it was not. */
async function seenTo(
  context: Context,
  { definition: { name } }: Stored,
  { expression }: Timing,
  at: number,
): Promise<Omit<Fired, 'created'> | undefined> {
  const spanMs = expression.kind === 'rate' ? Math.floor(expression.intervalMs * SAME_RATE) - 1_000 : 0
  const near = spanMs > 0 ? await firesIn(context.store, name, at - spanMs, at + spanMs) : new Set([at])
  for (const time of near) {
    const record = await context.store.get(fireKey(name, time))
    if (record === undefined) continue
    const { run } = record.value as { readonly run: string }
    return { ...(await runOf(context, run)), why: `the time ${timeText(time)} was fired already` }
  }
  return undefined
}

async function runOf({ store }: Context, id: string): Promise<{ readonly run?: RunRow }> {
  const record = await store.get(runKey(id))
  return record === undefined ? {} : { run: rowOfRun(record.value as unknown as StoredRun) }
}
