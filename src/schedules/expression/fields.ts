/**
 * The values of one field of a cron expression: numbers, names, lists, ranges and steps as AWS has them
 * (https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html).
 *
 * - `20-2` wraps past the end of the field; only years do not wrap.
 * - `5/15` is every 15th value from 5 to the end of the field. A step that leaves the field hits its start alone: `0/60` minutes
 *   is minute 0, as on AWS.
 */
import { quoted, refusal, type Part } from './refuse.ts'

export interface Field {
  readonly part: Part
  readonly min: number
  readonly max: number
  /** The most digits a number may have. */
  readonly digits: number
  /** Three-letter names of the values, the first that of `min`. */
  readonly names?: readonly string[]
}

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
const WEEKDAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']

export const minutesField: Field = { part: 'minutes', min: 0, max: 59, digits: 2 }
export const hoursField: Field = { part: 'hours', min: 0, max: 23, digits: 2 }
export const datesField: Field = { part: 'day-of-month', min: 1, max: 31, digits: 2 }
export const monthsField: Field = { part: 'month', min: 1, max: 12, digits: 2, names: MONTHS }
/** 1 is Sunday. */
export const weekdaysField: Field = { part: 'day-of-week', min: 1, max: 7, digits: 2, names: WEEKDAYS }
export const yearsField: Field = { part: 'year', min: 1970, max: 2199, digits: 4 }

/** @returns the values that the text means, each once, ascending; at least one. */
export function parseValues(field: Field, text: string): readonly number[] {
  const items = text.split(',')
  if (items.length > 1 && items.includes('*')) {
    throw refusal(field.part, text, "'*' already means every value; leave the others out")
  }
  const values = new Set<number>()
  for (const item of items) {
    if (item === '') throw refusal(field.part, text, 'a value is missing beside a comma')
    addItem(field, item, text, values)
  }
  return [...values].sort((a, b) => a - b)
}

function addItem(field: Field, item: string, text: string, values: Set<number>): void {
  const [range = '', step, ...moreSteps] = item.split('/')
  if (moreSteps.length > 0) throw refusal(field.part, text, "only one '/' may follow a value")
  const { from, to } = ends(field, range, text, step !== undefined)
  const size = field.max - field.min + 1
  const by = step === undefined ? 1 : stepOf(field, step, text)
  for (let value = from; value <= to; value += by) values.add(value > field.max ? value - size : value)
}

/** `to` lies beyond the field's end when the range wraps. */
function ends(
  field: Field,
  range: string,
  text: string,
  stepped: boolean,
): { readonly from: number; readonly to: number } {
  if (range === '*') return { from: field.min, to: field.max }
  const [first = '', last, ...more] = range.split('-')
  if (more.length > 0) throw refusal(field.part, text, "a range has two ends, one '-' between them")
  const from = parseValue(field, first, text)
  if (last === undefined) return { from, to: stepped ? field.max : from }
  const to = parseValue(field, last, text)
  if (to >= from) return { from, to }
  if (field.part === 'year') throw refusal(field.part, text, 'the range runs backwards')
  return { from, to: to + field.max - field.min + 1 }
}

function stepOf(field: Field, step: string, text: string): number {
  if (!/^\d{1,4}$/.test(step) || Number(step) < 1) {
    throw refusal(field.part, text, `the step after '/' must be a whole number from 1, not ${quoted(step)}`)
  }
  return Number(step)
}

/** One number or name. `text` is the whole field, for the message. */
export function parseValue(field: Field, value: string, text: string): number {
  const { part, min, max, names } = field
  if (/^\d+$/.test(value)) {
    const number = Number(value)
    if (value.length <= field.digits && number >= min && number <= max) return number
    throw refusal(part, text, `${quoted(value)} is not in ${min}-${max}`)
  }
  const named = names?.indexOf(value.toUpperCase()) ?? -1
  if (named >= 0) return min + named
  throw refusal(part, text, whyNoValue(field, value))
}

function whyNoValue({ min, max, names }: Field, value: string): string {
  if (value === '') return 'a value is missing'
  if (value === '?') return "'?' stands alone, and only in day-of-month or day-of-week"
  if (value === '*') return "'*' stands alone or before '/'"
  if (/^(?:\d*|L)W$/i.test(value)) return "'W' is for day-of-month, after one single day"
  if (/^L|\dL$/i.test(value))
    return "'L' is for day-of-month and day-of-week, and stands in no list, range or step"
  if (value.includes('#')) return "'#' is for day-of-week, and stands in no list, range or step"
  if (names === undefined) return `${quoted(value)} is not a number`
  const range = `${min}-${max} or ${names[0] ?? ''}-${names.at(-1) ?? ''}`
  return `${quoted(value)} is neither a number nor a three-letter name (${range})`
}
