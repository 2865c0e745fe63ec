/**
 * The times of a schedule: its expression in its time zone, between `startAt` (inclusive) and `endAt` (exclusive), and a rate from its
 * anchor. Pure. All times are whole seconds, in milliseconds since the epoch.
 */
import { keyHash } from '../ports/key-hash.ts'
import type { ScheduleDefinition } from './api.ts'
import { nextAfter } from './expression/next.ts'
import { parseExpression, type Expression } from './expression/parse.ts'

export interface Timing {
  readonly expression: Expression
  readonly timeZone: string
  readonly anchor: number
  readonly startAt: number | undefined
  readonly endAt: number | undefined
}

/** Later times than that are never. */
const LAST_TIME = Date.UTC(2200, 0, 1)
const FIRST_SPAN_MS = 3_600_000
const SPAN_GROWTH = 8

export type TimingDefinition = Pick<ScheduleDefinition, 'expression' | 'timeZone' | 'startAt' | 'endAt'>

/** @throws SignalboxError `invalid_argument` for an expression that is none */
export function timingOf(definition: TimingDefinition, anchor: number): Timing {
  const { expression, timeZone, startAt, endAt } = definition
  return {
    expression: parseExpression(expression),
    timeZone,
    anchor,
    startAt: startAt === undefined ? undefined : Date.parse(startAt),
    endAt: endAt === undefined ? undefined : Date.parse(endAt),
  }
}

/** From where a rate counts that is defined now: its start, or now. */
export function anchorFor({ startAt }: Pick<TimingDefinition, 'startAt'>, now: number): number {
  const start = startAt === undefined ? now : Math.max(now, Date.parse(startAt))
  return Math.ceil(start / 1_000) * 1_000
}

/** The first time after `after`; undefined: never. */
export function timeAfter(timing: Timing, after: number): number | undefined {
  const { expression, timeZone, anchor, startAt, endAt } = timing
  const from = startAt === undefined ? after : Math.max(after, startAt - 1)
  const time = nextAfter(expression, { after: from, timeZone, anchor })
  if (time === undefined || time > LAST_TIME) return undefined
  return endAt !== undefined && time >= endAt ? undefined : time
}

/**
 * The first time that a schedule fires by itself, seen from now. A rate begins one interval after it was made, except where `startAt`
 * says when it begins.
 */
export function firstTime(timing: Timing, now: number): number | undefined {
  const { expression, anchor, startAt } = timing
  const begins = startAt !== undefined && Math.ceil(startAt / 1_000) * 1_000 === anchor
  return timeAfter(timing, expression.kind === 'rate' && !begins ? Math.max(now, anchor) : now)
}

/** `count` times after `after`, fewer when there are no more. */
export function timesAfter(timing: Timing, after: number, count: number): number[] {
  const times: number[] = []
  for (let time = timeAfter(timing, after); time !== undefined && times.length < count;) {
    times.push(time)
    time = timeAfter(timing, time)
  }
  return times
}

/** The times in [from, to], ascending, at most `limit`. */
export function timesIn(timing: Timing, from: number, to: number, limit: number): number[] {
  const times: number[] = []
  for (let time = timeAfter(timing, from - 1); time !== undefined && time <= to;) {
    if (times.length === limit) break
    times.push(time)
    time = timeAfter(timing, time)
  }
  return times
}

/** The newest `count` times in [from, to], ascending. Does not visit all of a long range. */
export function newestTimes(timing: Timing, from: number, to: number, count: number): number[] {
  for (let span = FIRST_SPAN_MS; ; span *= SPAN_GROWTH) {
    const start = Math.max(from, to - span)
    const times = timesIn(timing, start, to, Infinity)
    if (times.length >= count || start === from) return count === 0 ? [] : times.slice(-count)
  }
}

/** How much later the run of a time starts: the same for the same time, spread evenly over times and schedules. */
export function jitterOf({ name, jitterMs }: ScheduleDefinition, at: number): number {
  return jitterMs === 0 ? 0 : keyHash(`${name}@${at}`) % (jitterMs + 1)
}

/** `2026-03-01T00:00:00Z` */
export function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
