/**
 * Schedule expressions in the grammar of AWS: `cron(minutes hours day-of-month month day-of-week year)`, `rate(value unit)` and
 * `at(yyyy-mm-ddThh:mm:ss)`. One strict parser: what it takes means on AWS what it means here, and what it does not take is refused
 * with the field and the reason.
 *
 * An expression is plain data; when it fires is told by next.ts, in words by describe.ts.
 */
import { parseDays, type Days } from './days.ts'
import { hoursField, minutesField, monthsField, parseValues, yearsField } from './fields.ts'
import { refusal } from './refuse.ts'
import { unixHint } from './unix.ts'

/** Values ascend, each once. Months are 1 to 12. */
export interface CronExpression {
  readonly kind: 'cron'
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly days: Days
  readonly months: readonly number[]
  readonly years: readonly number[]
}

export type RateUnit = 'minute' | 'hour' | 'day'

export interface RateExpression {
  readonly kind: 'rate'
  readonly value: number
  readonly unit: RateUnit
  readonly intervalMs: number
}

export interface AtExpression {
  readonly kind: 'at'
  /** Floating local time: milliseconds since 1970 as if the local clock showed UTC. */
  readonly local: number
}

export type Expression = CronExpression | RateExpression | AtExpression

/** The longest expression that AWS takes, in characters. */
const MAX_LENGTH = 256
const UNIT_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const
/** The largest number of milliseconds that a date can have. */
const MAX_INTERVAL_MS = 8.64e15

/**
 * @example parseExpression('cron(0 9 ? * MON-FRI *)')
 * @throws SignalboxError `invalid_argument`; `details.part` is the field
 */
export function parseExpression(text: string): Expression {
  if (text.length > MAX_LENGTH) {
    throw refusal('expression', text, `${text.length} characters; at most ${MAX_LENGTH} are allowed`)
  }
  const [, kind, body = ''] = /^(cron|rate|at)\((.*)\)$/.exec(text) ?? []
  if (kind === 'cron') return parseCron(body)
  if (kind === 'rate') return parseRate(body)
  if (kind === 'at') return parseAt(body)
  const hint = unixHint(text)
  throw refusal(
    'expression',
    text,
    `must be cron(...), rate(...) or at(...)${hint === undefined ? '' : `; in this form: ${hint}`}`,
  )
}

function parseCron(body: string): CronExpression {
  if (/^\s|\s$/.test(body)) throw refusal('cron', body, 'white space stands only between the fields')
  const fields = body.split(/[ \t]+/)
  if (fields.length !== 6) {
    const found = body === '' ? 0 : fields.length
    const hint = found === 5 ? "; after five fields the year is missing ('*' is every year)" : ''
    const names = 'minutes hours day-of-month month day-of-week year'
    throw refusal('cron', body, `has ${found} field${found === 1 ? '' : 's'} instead of six: ${names}${hint}`)
  }
  const [minutes = '', hours = '', dates = '', months = '', weekdays = '', years = ''] = fields
  return {
    kind: 'cron',
    minutes: parseValues(minutesField, minutes),
    hours: parseValues(hoursField, hours),
    days: parseDays(dates, weekdays),
    months: parseValues(monthsField, months),
    years: parseValues(yearsField, years),
  }
}

function parseRate(body: string): RateExpression {
  const [, number, word = ''] = /^(\d+)[ \t]+([a-z]+)$/.exec(body) ?? []
  if (number === undefined) {
    throw refusal(
      'rate',
      body,
      'must be a positive whole number, white space and a unit, as in rate(5 minutes)',
    )
  }
  const value = Number(number)
  if (value === 0) throw refusal('rate', body, 'the value must be positive')
  const unit = (['minute', 'hour', 'day'] as const).find((unit) => word === unit || word === `${unit}s`)
  if (unit === undefined) {
    throw refusal('rate', body, 'the unit must be minute, minutes, hour, hours, day or days')
  }
  const wanted = value === 1 ? unit : `${unit}s`
  if (word !== wanted) throw refusal('rate', body, `after ${value} the unit must be '${wanted}'`)
  const intervalMs = value * UNIT_MS[unit]
  if (intervalMs > MAX_INTERVAL_MS) throw refusal('rate', body, 'the value is too large')
  return { kind: 'rate', value, unit, intervalMs }
}

function parseAt(body: string): AtExpression {
  const found = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)$/.exec(body)
  if (found === null) throw refusal('at', body, 'must be yyyy-mm-ddThh:mm:ss, without a time zone')
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found.slice(1).map(Number)
  if (year < yearsField.min || year > yearsField.max) {
    throw refusal('at', body, `the year is not in ${yearsField.min}-${yearsField.max}`)
  }
  if (month < 1 || month > 12 || day < 1 || day > new Date(Date.UTC(year, month, 0)).getUTCDate()) {
    throw refusal('at', body, 'there is no such date')
  }
  if (hour > 23 || minute > 59 || second > 59) throw refusal('at', body, 'there is no such time of day')
  return { kind: 'at', local: Date.UTC(year, month - 1, day, hour, minute, second) }
}
