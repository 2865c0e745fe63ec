/**
 * Which days of a month a cron expression means: the two day fields, of which exactly one is `?`, and their wildcards
 * `L`, `W`, `LW`, `nL` and `n#k`. Dates are of the proleptic Gregorian calendar; a weekday is 1 (Sunday) to 7 (Saturday).
 */
import { datesField, parseValue, parseValues, weekdaysField } from './fields.ts'
import { refusal } from './refuse.ts'

export type Days =
  | { readonly by: 'date'; readonly dates: readonly number[] }
  | { readonly by: 'weekday'; readonly weekdays: readonly number[] }
  /** `L`: the last day of the month. */
  | { readonly by: 'last_date' }
  /** `LW`: the last Monday to Friday of the month. */
  | { readonly by: 'last_workday' }
  /** `15W`: the Monday to Friday nearest to that date, in the same month; none when the month has no such date. */
  | { readonly by: 'nearest_workday'; readonly date: number }
  /** `6L`: the last Friday of the month. */
  | { readonly by: 'last_weekday'; readonly weekday: number }
  /** `3#2`: the second Tuesday of the month; none when the month has no such day. */
  | { readonly by: 'nth_weekday'; readonly weekday: number; readonly nth: number }

const SUNDAY = 1
const SATURDAY = 7

export function parseDays(dates: string, weekdays: string): Days {
  if (dates === '?' && weekdays === '?') {
    throw refusal('day-of-month', dates, "day-of-week is '?' too; give one of them a value")
  }
  if (weekdays === '?') return parseDates(dates)
  if (dates === '?') return parseWeekdays(weekdays)
  throw refusal('day-of-month', dates, "exactly one of day-of-month and day-of-week must be '?'")
}

function parseDates(text: string): Days {
  const upper = text.toUpperCase()
  if (upper === 'L') return { by: 'last_date' }
  if (upper === 'LW') return { by: 'last_workday' }
  if (/^\d+W$/.test(upper)) {
    return { by: 'nearest_workday', date: parseValue(datesField, upper.slice(0, -1), text) }
  }
  if (upper.includes('W')) throw refusal('day-of-month', text, "'W' follows one single day, as in 15W, or L")
  if (upper.includes('L')) {
    throw refusal('day-of-month', text, "'L' stands alone or before W; it cannot be combined with other days")
  }
  return { by: 'date', dates: parseValues(datesField, text) }
}

function parseWeekdays(text: string): Days {
  if (text.toUpperCase() === 'L') return { by: 'weekday', weekdays: [SATURDAY] }
  if (/^[a-z\d]+L$/i.test(text)) {
    return { by: 'last_weekday', weekday: parseValue(weekdaysField, text.slice(0, -1), text) }
  }
  if (text.includes('#')) return parseNth(text)
  return { by: 'weekday', weekdays: parseValues(weekdaysField, text) }
}

function parseNth(text: string): Days {
  if (/[,/-]/.test(text)) {
    throw refusal('day-of-week', text, "'#' stands in no list, range or step; only one is allowed")
  }
  const [weekday = '', nth = '', ...more] = text.split('#')
  if (more.length > 0) throw refusal('day-of-week', text, "only one '#' is allowed")
  if (!/^[1-5]$/.test(nth)) throw refusal('day-of-week', text, "the number after '#' must be 1 to 5")
  return { by: 'nth_weekday', weekday: parseValue(weekdaysField, weekday, text), nth: Number(nth) }
}

/** @param month 1 to 12. @returns the dates of that month that are meant, ascending. */
export function daysIn(days: Days, year: number, month: number): readonly number[] {
  const last = new Date(Date.UTC(year, month, 0)).getUTCDate()
  /** The weekday of the 1st. */
  const first = new Date(Date.UTC(year, month - 1, 1)).getUTCDay() + 1
  const weekdayOf = (date: number): number => ((first - 1 + date - 1) % 7) + 1
  /** The first date of the month that is this weekday. */
  const earliest = (weekday: number): number => ((weekday - first + 7) % 7) + 1
  switch (days.by) {
    case 'date':
      return days.dates.filter((date) => date <= last)
    case 'weekday':
      return Array.from({ length: last }, (_, at) => at + 1).filter((date) =>
        days.weekdays.includes(weekdayOf(date)),
      )
    case 'last_date':
      return [last]
    case 'last_workday':
      return [nearestWorkday(last, last, weekdayOf(last))]
    case 'nearest_workday':
      return days.date > last ? [] : [nearestWorkday(days.date, last, weekdayOf(days.date))]
    case 'last_weekday': {
      const date = earliest(days.weekday) + 28
      return [date <= last ? date : date - 7]
    }
    case 'nth_weekday': {
      const date = earliest(days.weekday) + 7 * (days.nth - 1)
      return date <= last ? [date] : []
    }
  }
}

function nearestWorkday(date: number, last: number, weekday: number): number {
  if (weekday === SATURDAY) return date === 1 ? 3 : date - 1
  if (weekday === SUNDAY) return date === last ? date - 2 : date + 1
  return date
}
