/**
 * When an expression fires next.
 *
 * A cron expression and `at` are evaluated in floating local time and then mapped to instants: a local time that does not exist is
 * skipped, one that occurs twice fires once, at the first pass (so every-minute schedules are silent while the clock repeats an hour).
 * A rate fires at `anchor + k · interval`, whatever the clocks do.
 *
 * The search goes from year to month to day to time and visits nothing that does not match; it ends with the expression's last year,
 * 2199 at the latest.
 */
import { daysIn } from './days.ts'
import type { CronExpression, Expression, RateExpression } from './parse.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { firstPass, offsetAt } from './time-zone.ts'

export interface Moment {
  /** Milliseconds since 1970; what is found is strictly later. */
  readonly after: number
  /** IANA name, checked by `checkTimeZone`. */
  readonly timeZone: string
  /** From where a rate counts (milliseconds since 1970), usually when the schedule was created; its first fire. */
  readonly anchor?: number | undefined
}

const MINUTE_MS = 60_000
/** `upcoming` shows no fire of a cron expression that lies farther ahead. */
const HORIZON_YEARS = 30

/**
 * @returns milliseconds since 1970; undefined when it never fires again
 * @throws SignalboxError `invalid_argument` for a rate without an anchor
 */
export function nextAfter(expression: Expression, moment: Moment): number | undefined {
  if (expression.kind === 'rate') return nextOfRate(expression, moment)
  const { after, timeZone } = moment
  const locals =
    expression.kind === 'at' ? [expression.local] : localTimes(expression, after + offsetAt(timeZone, after))
  for (const local of locals) {
    const instant = firstPass(timeZone, local)
    if (instant !== undefined && instant > after) return instant
  }
  return undefined
}

/** The next fires, at most `count`; fewer when it is exhausted, or a cron expression has no more within 30 years. */
export function upcoming(expression: Expression, moment: Moment, count: number): readonly number[] {
  const fires: number[] = []
  const end = expression.kind === 'cron' ? yearsLater(moment.after, HORIZON_YEARS) : Infinity
  let after: number | undefined = moment.after
  while (fires.length < count) {
    after = nextAfter(expression, { ...moment, after })
    if (after === undefined || after > end) break
    fires.push(after)
  }
  return fires
}

function nextOfRate({ intervalMs }: RateExpression, { after, anchor }: Moment): number {
  if (anchor === undefined) {
    throw new SignalboxError('invalid_argument', 'anchor: a rate needs the time from which it counts', {
      details: { field: 'anchor' },
    })
  }
  return anchor + Math.max(0, Math.floor((after - anchor) / intervalMs) + 1) * intervalMs
}

/** The local times that match, from the minute of `from` on, ascending. */
function* localTimes(cron: CronExpression, from: number): Generator<number> {
  const start = Math.floor(from / MINUTE_MS) * MINUTE_MS
  for (const day of localDays(cron, start)) {
    for (const hour of cron.hours) {
      const hourStart = day + hour * 60 * MINUTE_MS
      if (hourStart + 59 * MINUTE_MS < start) continue
      for (const minute of cron.minutes) {
        const local = hourStart + minute * MINUTE_MS
        if (local >= start) yield local
      }
    }
  }
}

/** The local midnights of the days that match, from the day of `start` on. */
function* localDays(cron: CronExpression, start: number): Generator<number> {
  const date = new Date(start)
  const firstYear = date.getUTCFullYear()
  const firstMonth = date.getUTCMonth() + 1
  for (const year of cron.years) {
    if (year < firstYear) continue
    for (const month of cron.months) {
      if (year === firstYear && month < firstMonth) continue
      for (const day of daysIn(cron.days, year, month)) {
        const midnight = Date.UTC(year, month - 1, day)
        if (midnight + 24 * 60 * MINUTE_MS > start) yield midnight
      }
    }
  }
}

function yearsLater(instant: number, years: number): number {
  const date = new Date(instant)
  return date.setUTCFullYear(date.getUTCFullYear() + years)
}
