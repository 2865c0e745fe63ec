/**
 * What becomes of a schedule's times: `(schedule, now, its live runs) → runs and records to make, ascending by time`. Pure; claim.ts commits
 * what comes of it under the version of the schedule's record.
 *
 *   next … now:  [ missed, not made up for ][ missed, made up for ][ on time ]
 *                  one skipped run for all    a run each             a run
 *
 * Invariants:
 * - every time from `next` to `now` is in exactly one item, and items ascend; so the schedule may be moved past any item's time on its
 *   own, and what is left is decided again later;
 * - no item has a time before `next` or after `now`;
 * - what is on time (late by less than a minute) fires at its own time whatever the missed policy says; with `once` it stands for those
 *   that were missed before it;
 * - runs of times that are made up for together with `all` never run side by side unless the overlap policy is `allow`.
 */
import type { LiveRun } from './contract.ts'
import { MAX_MISSED, type OverlapPolicy, type ScheduleDefinition } from './vocabulary.ts'
import { newestTimes, timesIn, timeText, type Timing } from './timing.ts'

/** A time that is looked at later than this was missed. */
export const ON_TIME_MS = 60_000
/** Missed times are counted up to this. */
export const MAX_COUNTED = 1_000

export interface Facts {
  readonly definition: ScheduleDefinition
  readonly timing: Timing
  /** The first time that nobody decided about. */
  readonly next: number
  readonly now: number
  /** Times up to here are decided about; `now`, or earlier where others fire and we look later. */
  readonly to: number
  /** Times up to here belong to a row that is being made up for. */
  readonly makingUpTo?: number | undefined
  readonly live: readonly LiveRun[]
  /** Why its runs cannot start. */
  readonly problem?: string | undefined
  /** Was this time seen to already? */
  readonly done?: (at: number) => boolean
}

export type Item =
  | {
      readonly kind: 'run'
      readonly at: number
      readonly missed: boolean
      /** Held, for this reason. */
      readonly hold?: string
      /** Those before it are cancelled. */
      readonly cancels?: true
    }
  | {
      readonly kind: 'skip'
      readonly at: number
      readonly why: 'overlap' | 'problem' | 'missed'
      readonly reason: string
      /** How many times it stands for, and the first of them. */
      readonly count: number
      readonly from: number
    }

export interface Decision {
  readonly items: readonly Item[]
  /** The last time of a row that is made up for. */
  readonly makingUpTo?: number
}

export function decide(facts: Facts): Decision {
  const { definition, to, now, problem } = facts
  const { missed: policy, overlap } = definition
  const { times, rest } = dueTimes(facts)
  const onTime = times.filter((at) => now - at < ON_TIME_MS)
  const missed = times.filter((at) => now - at >= ON_TIME_MS)
  const chosen = problem === undefined ? madeUp(definition, missed, onTime.length > 0, now) : []
  const given = missed.slice(0, missed.length - chosen.length)
  const row = policy === 'all' && chosen.length > 0
  const last = onTime.at(-1) ?? chosen.at(-1) ?? to
  const makingUpTo = row ? Math.max(last, facts.makingUpTo ?? 0) : facts.makingUpTo
  const line = new Line(facts.live)
  const items: Item[] = []
  const skipped = skipOf(facts, given, rest, onTime)
  if (skipped !== undefined) items.push(skipped)
  for (const at of [...chosen, ...onTime]) {
    const late = now - at >= ON_TIME_MS
    const inRow = makingUpTo !== undefined && at <= makingUpTo && overlap !== 'allow'
    if (problem !== undefined) items.push(skip(at, 'problem', problem))
    else items.push(line.place(at, inRow ? 'queue' : overlap, late, idOf(definition, at)))
  }
  return makingUpTo === undefined ? { items } : { items, makingUpTo }
}

/** The run of a schedule's time. */
export function idOf({ job, name }: Pick<ScheduleDefinition, 'job' | 'name'>, at: number): string {
  return `${job}:${name}@${timeText(at)}`
}

interface Rest {
  /** Times before those that are looked at one by one. */
  readonly count: number
  readonly more: boolean
  readonly first: number | undefined
  readonly last: number | undefined
}

/** The newest times that are due, as many as the policy can want one by one, and how many there are before them. */
function dueTimes({ definition, timing, next, to, done = () => false }: Facts): {
  readonly times: readonly number[]
  readonly rest: Rest
} {
  const wanted = definition.missed === 'all' ? definition.missedLimit + 1 : 2
  const newest = newestTimes(timing, next, to, wanted)
  const first = newest[0]
  const before = first === undefined ? [] : timesIn(timing, next, first - 1, MAX_COUNTED + 1)
  const more = before.length > MAX_COUNTED
  const open = before.filter((at) => !done(at))
  const last = more && first !== undefined ? newestTimes(timing, next, first - 1, 1)[0] : open.at(-1)
  return {
    times: newest.filter((at) => !done(at)),
    rest: { count: Math.min(open.length, MAX_COUNTED), more, first: open[0], last },
  }
}

/** Of the missed times those that get a run: always the newest ones. */
function madeUp(
  { missed: policy, missedWindowMs, missedLimit }: ScheduleDefinition,
  missed: readonly number[],
  onTime: boolean,
  now: number,
): readonly number[] {
  const within = missed.filter((at) => now - at <= missedWindowMs)
  if (policy === 'all') return within.slice(-missedLimit)
  return policy === 'once' && !onTime ? within.slice(-1) : []
}

function skipOf(
  { definition, problem }: Facts,
  given: readonly number[],
  rest: Rest,
  onTime: readonly number[],
): Item | undefined {
  const count = given.length + rest.count
  const at = given.at(-1) ?? rest.last
  const from = rest.first ?? given[0]
  if (count === 0 || at === undefined || from === undefined) return undefined
  const many = `${rest.more ? 'more than ' : ''}${count}`
  const when =
    count === 1 ? `the time ${timeText(at)}` : `${many} times from ${timeText(from)} to ${timeText(at)}`
  const why = whyNot(definition, problem, onTime)
  const reason = `missed ${when}, when nothing could fire it; ${why}`
  return { kind: 'skip', at, why: 'missed', reason: reason.slice(0, 500), count, from }
}

function whyNot(
  { missed: policy }: ScheduleDefinition,
  problem: string | undefined,
  onTime: readonly number[],
): string {
  if (problem !== undefined) return `not made up for: ${problem}`
  if (policy === 'skip') return 'not made up for (missed: skip)'
  if (policy === 'once' && onTime[0] !== undefined) return `the run of ${timeText(onTime[0])} stands for it`
  if (policy === 'once') return 'only the latest time within the window is made up for (missed: once)'
  return 'older than the window, or beyond the limit (missed: all)'
}

function skip(at: number, why: 'overlap' | 'problem', reason: string): Item {
  return { kind: 'skip', at, why, reason: reason.slice(0, 500), count: 1, from: at }
}

/** The runs of a schedule that have not ended, and those that join them. */
export class Line {
  #last: string | undefined
  #held: number
  /** No more than these were read: behind them there may be any number. */
  readonly #full: boolean
  readonly #first: string | undefined

  constructor(live: readonly LiveRun[]) {
    this.#first = live.find(({ held }) => !held)?.id ?? live[0]?.id
    this.#last = live.at(-1)?.id
    this.#held = live.filter(({ held }) => held).length
    this.#full = live.length >= MAX_MISSED
  }

  /** @param id of the run, if it comes to be */
  place(at: number, overlap: OverlapPolicy, missed: boolean, id: string): Item {
    const before = this.#last
    if (before !== undefined && overlap === 'skip') {
      return skip(at, 'overlap', `run ${this.#first ?? before} has not ended (overlap: skip)`)
    }
    const full = this.#full || (overlap === 'queue' && this.#held >= MAX_MISSED)
    if (before !== undefined && overlap !== 'allow' && full) {
      return skip(at, 'overlap', `${MAX_MISSED} runs of the schedule wait already (overlap: ${overlap})`)
    }
    this.#last = id
    if (before === undefined || overlap === 'allow') return { kind: 'run', at, missed }
    this.#held += 1
    const hold = `waits for run ${before}`
    if (overlap !== 'cancel-previous') return { kind: 'run', at, missed, hold }
    return { kind: 'run', at, missed, hold: `${hold}, which is cancelled`, cancels: true }
  }
}
