/** An expression in plain English, for people. It names no time zone: whoever shows it knows that. */
import type { Days } from './days.ts'
import type { CronExpression, Expression } from './parse.ts'

const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]
const ORDINALS = ['first', 'second', 'third', 'fourth', 'fifth']
/** So many times of day are listed one by one. */
const LISTED_TIMES = 6
const ALL_YEARS = 230

/** @example describe(parseExpression('cron(0 9 ? * MON-FRI *)')) // 'at 09:00, Monday to Friday' */
export function describe(expression: Expression): string {
  if (expression.kind === 'rate') {
    const { value, unit } = expression
    return value === 1 ? `every ${unit}` : `every ${value} ${unit}s`
  }
  if (expression.kind === 'at') {
    const iso = new Date(expression.local).toISOString()
    return `once, on ${iso.slice(0, 10)} at ${iso.slice(11, 19)}`
  }
  return [times(expression), dayWords(expression.days), monthWords(expression), yearWords(expression)]
    .filter((part) => part !== '')
    .join(', ')
}

function times({ minutes, hours }: CronExpression): string {
  if (minutes.length * hours.length <= LISTED_TIMES) {
    const all = hours.flatMap((hour) => minutes.map((minute) => `${pad(hour)}:${pad(minute)}`))
    return `at ${joined(all)}`
  }
  const when =
    hours.length === 24 ? '' : ` in ${hours.length === 1 ? 'the hour' : 'the hours'} ${hourWords(hours)}`
  if (minutes.length === 1) {
    const past = minutes[0] === 0 ? 'on the hour' : `at ${minutes[0] ?? 0} minutes past`
    return hours.length === 24 ? `every hour ${past}` : `${past}${when}`
  }
  return `${minuteWords(minutes)}${when}`
}

function minuteWords(minutes: readonly number[]): string {
  if (minutes.length === 60) return 'every minute'
  const step = evenStep(minutes)
  const [first = 0] = minutes
  if (step === undefined || first >= step || (minutes.at(-1) ?? 0) + step <= 59) {
    return `at minutes ${ranges(minutes, String)}`
  }
  const whole = 60 % step === 0
  if (whole && first === 0) return `every ${step} minutes`
  return `every ${step} minutes from minute ${first} of each hour`
}

function hourWords(hours: readonly number[]): string {
  return ranges(hours, pad)
}

/** The distance between neighbours, when there are three or more and it is always the same. */
function evenStep(values: readonly number[]): number | undefined {
  const [first = 0, second = 0] = values
  const step = second - first
  const even = values.every((value, at) => value === first + at * step)
  return values.length >= 3 && even ? step : undefined
}

function dayWords(days: Days): string {
  switch (days.by) {
    case 'date':
      if (days.dates.length === 31) return 'every day'
      return `on ${days.dates.length === 1 ? 'day' : 'days'} ${ranges(days.dates, String)} of the month`
    case 'weekday':
      return days.weekdays.length === 7 ? 'every day' : weekdayWords(days.weekdays)
    case 'last_date':
      return 'on the last day of the month'
    case 'last_workday':
      return 'on the last weekday (Monday to Friday) of the month'
    case 'nearest_workday':
      return `on the weekday (Monday to Friday) nearest to day ${days.date} of the month`
    case 'last_weekday':
      return `on the last ${weekdayName(days.weekday)} of the month`
    case 'nth_weekday':
      return `on the ${ORDINALS[days.nth - 1] ?? ''} ${weekdayName(days.weekday)} of the month`
  }
}

function weekdayWords(weekdays: readonly number[]): string {
  const words = ranges(weekdays, weekdayName)
  return weekdays.length === 1 ? `every ${words}` : words
}

function monthWords({ months }: CronExpression): string {
  return months.length === 12 ? '' : `in ${ranges(months, (month) => MONTHS[month - 1] ?? '')}`
}

function yearWords({ years }: CronExpression): string {
  return years.length === ALL_YEARS ? '' : `in ${ranges(years, String)}`
}

function weekdayName(weekday: number): string {
  return WEEKDAYS[weekday - 1] ?? ''
}

/** Ascending values as words; three or more in a row become a range. */
function ranges(values: readonly number[], word: (value: number) => string): string {
  const rows: number[][] = []
  for (const value of values) {
    const row = rows.at(-1)
    if (row?.at(-1) === value - 1) row.push(value)
    else rows.push([value])
  }
  const parts = rows.flatMap((row) =>
    row.length < 3 ? row.map(word) : [`${word(row[0] ?? 0)} to ${word(row.at(-1) ?? 0)}`],
  )
  return joined(parts)
}

function joined(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1) ?? ''}`
}

function pad(value: number): string {
  return String(value).padStart(2, '0')
}
