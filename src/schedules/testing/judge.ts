/**
 * Judges what schedules did by what was written: every commit of every replica in the order in which the store took them, and what lies
 * in the store at the end. It shares no code with the scheduler; the layout of records is all that it knows of it.
 *
 * - one run for each (schedule, time), and none for a time that is not the schedule's;
 * - a run and the step of its schedule past that time are one commit;
 * - what a schedule's record says never goes back: neither `rev`, nor, while the definition stands still, `next`;
 * - no run before its time, but for what clocks may be off;
 * - where runs may not overlap, at most one of a schedule is at work or waits for a worker, and held ones are let go in the order of their
 *   times; one is skipped for another only while that one is there;
 * - at the end each schedule that fires has exactly its own record among what is due.
 */
import { decimalKey, type Change, type Store } from '../../ports/store.ts'
import { hasEnded } from '../../runs/state.ts'
import type { Stored as StoredRun } from '../../runs/records.ts'
import type { OverlapPolicy } from '../vocabulary.ts'
import { allRecords, iso } from './world.ts'

const RUN = /^signalbox:run:(.+)$/
const SCHEDULE = /^signalbox:sch:([A-Za-z0-9._-]{1,64})$/
const duePartition = (shard: number): string => `signalbox:sch:due:${shard}`
const HELD = 'signalbox:sch:held:0'
const SHARDS = 16
/** From the look at the runs that have not ended to the commit of what follows from it. */
const LOOK_MS = 1_000

/** What the judge reads of a schedule's record. */
interface StoredSchedule {
  readonly rev: number
  readonly next?: number
  readonly paused?: unknown
  readonly definition: { readonly name: string; readonly enabled: boolean; readonly overlap: OverlapPolicy }
}

type Run = StoredRun['run']

export interface Fired {
  readonly schedule: string
  readonly scheduledAt: number
  readonly id: string
  /** True time of the commit. */
  readonly at: number
  readonly skipped: boolean
}

export interface JudgeOptions {
  /** True time. */
  readonly now: () => number
  /** How far clocks of replicas may be ahead. */
  readonly skewMs: number
  /** Somebody else fires: a record of the time may take the place of the schedule's step. */
  readonly external?: boolean
}

export class ScheduleJudge {
  readonly problems: string[] = []
  /** By schedule and time, what source `schedule` made. */
  readonly fired = new Map<string, Fired>()
  /** Ids of runs that were held. */
  readonly held = new Set<string>()
  readonly schedules = new Map<string, StoredSchedule>()
  /** Of each schedule those that have not ended, by id. */
  readonly #live = new Map<string, Map<string, Run>>()
  readonly #clearSince = new Map<string, number>()
  readonly #options: JudgeOptions

  constructor(options: JudgeOptions) {
    this.#options = options
  }

  /** For `onCommit` of each handle. */
  readonly saw = (changes: readonly Change[]): void => {
    const stepped = new Map<string, { readonly change: Change; readonly next: number | undefined }>()
    for (const change of changes) {
      const name = change.key[1] === decimalKey(0) ? SCHEDULE.exec(change.key[0])?.[1] : undefined
      if (name === undefined) continue
      if (change.op === 'delete') this.schedules.delete(name)
      if (change.op !== 'put') continue
      const stored = change.value as unknown as StoredSchedule
      stepped.set(name, { change, next: stored.next })
      this.#wrote(name, stored)
    }
    const noted = new Set(changes.filter(({ expect }) => expect === 'absent').map(({ key }) => key.join(' ')))
    for (const change of changes) {
      const id = RUN.exec(change.key[0])?.[1]
      if (id === undefined || change.op !== 'put') continue
      const { run } = change.value as unknown as StoredRun
      if (run.source !== 'schedule' || run.schedule === undefined) continue
      this.#lives(run, run.schedule)
      if (change.expect !== 'absent') continue
      if (run.scheduledAt === undefined) this.problems.push(`${id}: has no time`)
      else this.#born({ ...run, schedule: run.schedule, scheduledAt: run.scheduledAt }, stepped, noted)
    }
  }

  #born(
    run: { id: string; schedule: string; scheduledAt: number; state: string },
    stepped: ReadonlyMap<string, { readonly change: Change; readonly next: number | undefined }>,
    noted: ReadonlySet<string>,
  ): void {
    const { id, schedule, scheduledAt } = run
    const now = this.#options.now()
    const key = `${schedule} ${iso(scheduledAt)}`
    const before = this.fired.get(key)
    if (before !== undefined) this.problems.push(`${key}: fired twice, as ${before.id} and ${id}`)
    this.fired.set(key, { schedule, scheduledAt, id, at: now, skipped: run.state === 'skipped' })
    if (scheduledAt > now + this.#options.skewMs) {
      this.problems.push(`${key}: fired ${scheduledAt - now} ms before its time`)
    }
    const step = stepped.get(schedule)
    const fires = `signalbox:sch:fires:${schedule} ${decimalKey(scheduledAt / 1_000)}`
    if (this.#options.external === true && noted.has(fires)) return
    if (step === undefined) this.problems.push(`${key}: its schedule was not moved on in the same commit`)
    else if (step.next !== undefined && step.next <= scheduledAt)
      this.problems.push(`${key}: fires next at ${iso(step.next)}, which is not later`)
    else if (typeof step.change.expect === 'string')
      this.problems.push(`${key}: moved on whatever the schedule was meanwhile`)
  }

  #lives(run: Run, schedule: string): void {
    const overlap = this.schedules.get(schedule)?.definition.overlap
    const live = this.#live.get(schedule) ?? new Map<string, Run>()
    this.#live.set(schedule, live)
    const before = live.get(run.id)
    if (run.hold !== undefined) this.held.add(run.id)
    const now = this.#options.now()
    const clear = live.size === 0 && now - (this.#clearSince.get(schedule) ?? 0) > LOOK_MS
    if (run.state === 'skipped' && run.reason?.includes('overlap: skip') === true && clear)
      this.problems.push(`${run.id}: skipped, and nothing was in its way`)
    if (hasEnded(run.state) && live.delete(run.id)) this.#clearSince.set(schedule, now)
    if (!hasEnded(run.state)) live.set(run.id, run)
    if (overlap === undefined || overlap === 'allow') return
    const loose = [...live.values()].filter(({ hold }) => hold === undefined)
    if (loose.length > 1 && isLoose(run) && !isLoose(before))
      this.problems.push(`${loose.map(({ id }) => id).join(' and ')}: side by side`)
    const earlier = [...live.values()].find(
      ({ hold, scheduledAt = 0 }) => hold !== undefined && scheduledAt < (run.scheduledAt ?? 0),
    )
    if (before?.hold !== undefined && isLoose(run) && earlier !== undefined)
      this.problems.push(`${run.id}: let go before ${earlier.id}`)
  }

  #wrote(name: string, after: StoredSchedule): void {
    const before = this.schedules.get(name)
    this.schedules.set(name, after)
    if (before === undefined) return
    if (after.rev < before.rev) this.problems.push(`${name}: rev went back to ${after.rev}`)
    if (after.rev === before.rev && JSON.stringify(after.definition) !== JSON.stringify(before.definition))
      this.problems.push(`${name}: another definition with the same rev`)
    const same = after.rev === before.rev && fires(before) && fires(after)
    if (same && before.next !== undefined && after.next !== undefined && after.next < before.next)
      this.problems.push(`${name}: next went back from ${iso(before.next)} to ${iso(after.next)}`)
  }

  /** Every minute of [from, to) must have fired. @returns what is missing */
  missing(schedule: string, from: number, to: number): string[] {
    const missing: string[] = []
    for (let minute = Math.ceil(from / 60_000) * 60_000; minute < to; minute += 60_000) {
      const key = `${schedule} ${iso(minute)}`
      if (!this.fired.has(key)) missing.push(`${key}: is missing`)
    }
    return missing
  }

  /** Where no schedule is being seen to, each that fires has one record among what is due. */
  async misplaced(store: Store): Promise<string[]> {
    const problems: string[] = []
    const due = new Map<string, number>()
    for (let shard = 0; shard < SHARDS; shard++) {
      for (const { value } of await allRecords(store, duePartition(shard))) {
        const { name } = value as { readonly name: string }
        due.set(name, (due.get(name) ?? 0) + 1)
      }
    }
    for (const [name, stored] of this.schedules) {
      const records = due.get(name) ?? 0
      const wanted = fires(stored) && stored.next !== undefined ? 1 : 0
      if (records !== wanted) problems.push(`${name}: ${records} records among what is due, not ${wanted}`)
      due.delete(name)
    }
    for (const name of due.keys()) problems.push(`${name}: is due, and does not exist`)
    return problems
  }

  /** Where no run is held, nothing says that one is. */
  async leftHeld(store: Store): Promise<string[]> {
    const records = await allRecords(store, HELD)
    return records.map(({ value }) => `${JSON.stringify(value)}: holds nothing, and is said to`)
  }
}

function isLoose(run: Run | undefined): boolean {
  return run !== undefined && !hasEnded(run.state) && run.hold === undefined
}

function fires({ definition, paused }: StoredSchedule): boolean {
  return definition.enabled && paused === undefined
}
