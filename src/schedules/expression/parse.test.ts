/** What the parser takes, and what it refuses with which field and reason. */
import { describe, expect, it } from 'vitest'
import { SignalboxError } from '../../kernel/error.ts'
import { parseExpression, type CronExpression } from './parse.ts'

function cron(text: string): CronExpression {
  const expression = parseExpression(text)
  if (expression.kind !== 'cron') throw new Error('not a cron expression')
  return expression
}

function refusalOf(text: string): SignalboxError {
  try {
    parseExpression(text)
  } catch (error) {
    if (error instanceof SignalboxError) return error
    throw error
  }
  throw new Error(`${text} was taken`)
}

describe('values', () => {
  it.each([
    ['0', [0]],
    ['05', [5]],
    ['5,1,5', [1, 5]],
    ['10-13', [10, 11, 12, 13]],
    ['7-7', [7]],
    ['58-1', [0, 1, 58, 59]],
    ['*/20', [0, 20, 40]],
    ['5/15', [5, 20, 35, 50]],
    ['0/60', [0]],
    ['15/65', [15]],
    ['10-20/5', [10, 15, 20]],
    ['50-10/10', [0, 10, 50]],
    ['55-10/7', [2, 9, 55]],
    ['0/30,7', [0, 7, 30]],
    ['*/40,*/25', [0, 25, 40, 50]],
  ])('minutes %s', (field, minutes) => {
    expect(cron(`cron(${field} 0 * * ? *)`).minutes).toEqual(minutes)
  })

  it.each([
    ['JAN', [1]],
    ['jan,Dec', [1, 12]],
    ['NOV-FEB', [1, 2, 11, 12]],
    ['OCT-2/2', [2, 10, 12]],
    ['FEB/5', [2, 7, 12]],
    ['1-12/3', [1, 4, 7, 10]],
  ])('month %s', (field, months) => {
    expect(cron(`cron(0 0 1 ${field} ? *)`).months).toEqual(months)
  })

  it.each([
    ['2030', [2030]],
    ['2198/1', [2198, 2199]],
    ['1970-1972,2199', [1970, 1971, 1972, 2199]],
    ['*/100', [1970, 2070, 2170]],
  ])('year %s', (field, years) => {
    expect(cron(`cron(0 0 1 1 ? ${field})`).years).toEqual(years)
  })

  it.each([
    ['L', { by: 'last_date' }],
    ['lw', { by: 'last_workday' }],
    ['15W', { by: 'nearest_workday', date: 15 }],
    ['1,15', { by: 'date', dates: [1, 15] }],
    ['30-2', { by: 'date', dates: [1, 2, 30, 31] }],
  ])('day-of-month %s', (field, days) => {
    expect(cron(`cron(0 0 ${field} * ? *)`).days).toEqual(days)
  })

  it.each([
    ['SUN', { by: 'weekday', weekdays: [1] }],
    ['FRI-MON', { by: 'weekday', weekdays: [1, 2, 6, 7] }],
    ['2-6/2', { by: 'weekday', weekdays: [2, 4, 6] }],
    ['L', { by: 'weekday', weekdays: [7] }],
    ['6L', { by: 'last_weekday', weekday: 6 }],
    ['friL', { by: 'last_weekday', weekday: 6 }],
    ['3#2', { by: 'nth_weekday', weekday: 3, nth: 2 }],
    ['TUE#5', { by: 'nth_weekday', weekday: 3, nth: 5 }],
  ])('day-of-week %s', (field, days) => {
    expect(cron(`cron(0 0 ? * ${field} *)`).days).toEqual(days)
  })

  it('fields may be apart by more than one blank', () => {
    expect(cron('cron(0  10\t* * ? *)').hours).toEqual([10])
  })

  it('takes 256 characters, and no more', () => {
    const minutes = '0,'.repeat(118)
    const longest = `cron(${minutes}0 0 1 1 ? 1970)`
    expect(longest).toHaveLength(256)
    expect(cron(longest).minutes).toEqual([0])
    expect(refusalOf(`cron(${minutes}00 0 1 1 ? 1970)`).message).toMatch(/257 characters; at most 256/)
  })
})

describe('rate and at', () => {
  it.each([
    ['rate(1 minute)', 'minute', 60_000],
    ['rate(5 minutes)', 'minute', 300_000],
    ['rate(1 hour)', 'hour', 3_600_000],
    ['rate(36 hours)', 'hour', 129_600_000],
    ['rate(1 day)', 'day', 86_400_000],
    ['rate(7 days)', 'day', 604_800_000],
  ])('%s', (text, unit, intervalMs) => {
    expect(parseExpression(text)).toMatchObject({ kind: 'rate', unit, intervalMs })
  })

  it('at is a local time', () => {
    expect(parseExpression('at(2028-02-29T23:59:58)')).toEqual({
      kind: 'at',
      local: Date.UTC(2028, 1, 29, 23, 59, 58),
    })
  })
})

/** Expression, the part that is named, and a word of the reason. */
const refused: readonly (readonly [string, string, RegExp])[] = [
  ['', 'expression', /must be cron/],
  ['cron', 'expression', /must be cron/],
  ['cron()', 'cron', /0 fields/],
  ['cron(0 10 * * ? *', 'expression', /must be cron/],
  [' cron(0 10 * * ? *)', 'expression', /must be cron/],
  ['cron(0 10 * * ? *) ', 'expression', /must be cron/],
  ['CRON(0 10 * * ? *)', 'expression', /must be cron/],
  ['cron (0 10 * * ? *)', 'expression', /must be cron/],
  ['every(5 minutes)', 'expression', /must be cron/],
  ['cron(0 10 * * ? *)\n', 'expression', /must be cron/],
  ['0 10 * * ? *', 'expression', /in this form: cron\(0 10 \* \* \? \*\)/],
  ['*/5 * * * *', 'expression', /in this form: cron\(\*\/5 \* \* \* \? \*\)/],
  ['0 9 * * 1-5', 'expression', /in this form: cron\(0 9 \? \* 2-6 \*\)/],
  ['0 9 * * 0,7', 'expression', /in this form: cron\(0 9 \? \* 1,1 \*\)/],
  ['0 9 1 * 1', 'expression', /at\(\.\.\.\)$/],
  ['@daily', 'expression', /at\(\.\.\.\)$/],
  ['cron( 0 10 * * ? *)', 'cron', /white space/],
  ['cron(0 10 * * ? * )', 'cron', /white space/],
  ['cron(0 10 * * ?)', 'cron', /5 fields instead of six.*year is missing/],
  ['cron(0 0 10 * * ? *)', 'cron', /7 fields/],
  ['cron(60 10 * * ? *)', 'minutes', /not in 0-59/],
  ['cron(-1 10 * * ? *)', 'minutes', /missing/],
  ['cron(001 10 * * ? *)', 'minutes', /not in 0-59/],
  ['cron(1.5 10 * * ? *)', 'minutes', /not a number/],
  ['cron(a 10 * * ? *)', 'minutes', /not a number/],
  ['cron(? 10 * * ? *)', 'minutes', /only in day-of-month or day-of-week/],
  ['cron(L 10 * * ? *)', 'minutes', /'L' is for/],
  ['cron(5W 10 * * ? *)', 'minutes', /'W' is for/],
  ['cron(5#1 10 * * ? *)', 'minutes', /'#' is for/],
  ['cron(, 10 * * ? *)', 'minutes', /beside a comma/],
  ['cron(5, 10 * * ? *)', 'minutes', /beside a comma/],
  ['cron(,5 10 * * ? *)', 'minutes', /beside a comma/],
  ['cron(5,,7 10 * * ? *)', 'minutes', /beside a comma/],
  ['cron(*,5 10 * * ? *)', 'minutes', /every value/],
  ['cron(5- 10 * * ? *)', 'minutes', /missing/],
  ['cron(- 10 * * ? *)', 'minutes', /missing/],
  ['cron(1-5-9 10 * * ? *)', 'minutes', /two ends/],
  ['cron(*-5 10 * * ? *)', 'minutes', /stands alone/],
  ['cron(5-* 10 * * ? *)', 'minutes', /stands alone/],
  ['cron(/5 10 * * ? *)', 'minutes', /missing/],
  ['cron(5/ 10 * * ? *)', 'minutes', /step/],
  ['cron(*/0 10 * * ? *)', 'minutes', /step/],
  ['cron(*/-5 10 * * ? *)', 'minutes', /step/],
  ['cron(*/1.5 10 * * ? *)', 'minutes', /step/],
  ['cron(*/5/5 10 * * ? *)', 'minutes', /only one/],
  ['cron(*5 10 * * ? *)', 'minutes', /not a number/],
  ['cron(** 10 * * ? *)', 'minutes', /not a number/],
  ['cron(50-60 10 * * ? *)', 'minutes', /'60' is not in 0-59/],
  ['cron(0 24 * * ? *)', 'hours', /not in 0-23/],
  ['cron(0 9-24 * * ? *)', 'hours', /not in 0-23/],
  ['cron(0 9am * * ? *)', 'hours', /not a number/],
  ['cron(0 MON * * ? *)', 'hours', /not a number/],
  ['cron(0 0 0 * ? *)', 'day-of-month', /not in 1-31/],
  ['cron(0 0 32 * ? *)', 'day-of-month', /not in 1-31/],
  ['cron(0 0 MON * ? *)', 'day-of-month', /not a number/],
  ['cron(0 0 3#1 * ? *)', 'day-of-month', /'#' is for/],
  ['cron(0 0 W * ? *)', 'day-of-month', /one single day/],
  ['cron(0 0 0W * ? *)', 'day-of-month', /not in 1-31/],
  ['cron(0 0 32W * ? *)', 'day-of-month', /not in 1-31/],
  ['cron(0 0 *W * ? *)', 'day-of-month', /one single day/],
  ['cron(0 0 1-5W * ? *)', 'day-of-month', /one single day/],
  ['cron(0 0 1W,15W * ? *)', 'day-of-month', /one single day/],
  ['cron(0 0 15W/2 * ? *)', 'day-of-month', /one single day/],
  ['cron(0 0 WL * ? *)', 'day-of-month', /one single day/],
  ['cron(0 0 15,L * ? *)', 'day-of-month', /stands alone/],
  ['cron(0 0 L-3 * ? *)', 'day-of-month', /stands alone/],
  ['cron(0 0 1-L * ? *)', 'day-of-month', /stands alone/],
  ['cron(0 0 3L * ? *)', 'day-of-month', /stands alone/],
  ['cron(0 0 1,? * ? *)', 'day-of-month', /stands alone/],
  ['cron(0 0 ?/2 * ? *)', 'day-of-month', /stands alone/],
  ['cron(0 0 * * * *)', 'day-of-month', /exactly one/],
  ['cron(0 0 1 * MON *)', 'day-of-month', /exactly one/],
  ['cron(0 0 ? * ? *)', 'day-of-month', /day-of-week is '\?' too/],
  ['cron(0 0 1 0 ? *)', 'month', /not in 1-12/],
  ['cron(0 0 1 13 ? *)', 'month', /not in 1-12/],
  ['cron(0 0 1 JANUARY ? *)', 'month', /three-letter name/],
  ['cron(0 0 1 MON ? *)', 'month', /three-letter name/],
  ['cron(0 0 1 L ? *)', 'month', /'L' is for/],
  ['cron(0 0 1 ? ? *)', 'month', /only in day-of-month/],
  ['cron(0 0 ? * 0 *)', 'day-of-week', /not in 1-7/],
  ['cron(0 0 ? * 8 *)', 'day-of-week', /not in 1-7/],
  ['cron(0 0 ? * MONDAY *)', 'day-of-week', /three-letter name/],
  ['cron(0 0 ? * JAN *)', 'day-of-week', /three-letter name/],
  ['cron(0 0 ? * 3W *)', 'day-of-week', /'W' is for/],
  ['cron(0 0 ? * 8L *)', 'day-of-week', /not in 1-7/],
  ['cron(0 0 ? * 2L,6L *)', 'day-of-week', /'L' is for/],
  ['cron(0 0 ? * 2-6L *)', 'day-of-week', /'L' is for/],
  ['cron(0 0 ? * L,2 *)', 'day-of-week', /'L' is for/],
  ['cron(0 0 ? * L-2 *)', 'day-of-week', /'L' is for/],
  ['cron(0 0 ? * LW *)', 'day-of-week', /'W' is for/],
  ['cron(0 0 ? * 3# *)', 'day-of-week', /1 to 5/],
  ['cron(0 0 ? * #1 *)', 'day-of-week', /missing/],
  ['cron(0 0 ? * 3#0 *)', 'day-of-week', /1 to 5/],
  ['cron(0 0 ? * 3#6 *)', 'day-of-week', /1 to 5/],
  ['cron(0 0 ? * 8#1 *)', 'day-of-week', /not in 1-7/],
  ['cron(0 0 ? * 3#1,6#3 *)', 'day-of-week', /only one/],
  ['cron(0 0 ? * 3#1,5 *)', 'day-of-week', /only one/],
  ['cron(0 0 ? * 3#1#2 *)', 'day-of-week', /only one/],
  ['cron(0 0 ? * 2-3#1 *)', 'day-of-week', /no list, range/],
  ['cron(0 0 1 1 ? 1969)', 'year', /not in 1970-2199/],
  ['cron(0 0 1 1 ? 2200)', 'year', /not in 1970-2199/],
  ['cron(0 0 1 1 ? 02030)', 'year', /not in 1970-2199/],
  ['cron(0 0 1 1 ? 2030-2028)', 'year', /backwards/],
  ['cron(0 0 1 1 ? ?)', 'year', /only in day-of-month/],
  ['rate()', 'rate', /positive whole number/],
  ['rate(5)', 'rate', /positive whole number/],
  ['rate(minutes)', 'rate', /positive whole number/],
  ['rate(5minutes)', 'rate', /white space/],
  ['rate(5 minutes )', 'rate', /positive whole number/],
  ['rate(0 minutes)', 'rate', /positive/],
  ['rate(-5 minutes)', 'rate', /positive/],
  ['rate(1.5 hours)', 'rate', /whole number/],
  ['rate(5 Minutes)', 'rate', /positive whole number/],
  ['rate(30 seconds)', 'rate', /unit must be/],
  ['rate(1 week)', 'rate', /unit must be/],
  ['rate(1 minutes)', 'rate', /must be 'minute'/],
  ['rate(1 hours)', 'rate', /must be 'hour'/],
  ['rate(5 minute)', 'rate', /must be 'minutes'/],
  ['rate(2 day)', 'rate', /must be 'days'/],
  ['rate(999999999999999 days)', 'rate', /too large/],
  ['at()', 'at', /yyyy-mm-dd/],
  ['at(2026-11-20)', 'at', /yyyy-mm-dd/],
  ['at(2026-11-20T13:00)', 'at', /yyyy-mm-dd/],
  ['at(2026-11-20 13:00:00)', 'at', /yyyy-mm-dd/],
  ['at(2026-11-20T13:00:00Z)', 'at', /without a time zone/],
  ['at(2026-11-20T13:00:00.000)', 'at', /yyyy-mm-dd/],
  ['at(2026-00-20T13:00:00)', 'at', /no such date/],
  ['at(2026-13-20T13:00:00)', 'at', /no such date/],
  ['at(2026-11-00T13:00:00)', 'at', /no such date/],
  ['at(2026-02-29T13:00:00)', 'at', /no such date/],
  ['at(2026-11-31T13:00:00)', 'at', /no such date/],
  ['at(2026-11-20T24:00:00)', 'at', /no such time/],
  ['at(2026-11-20T13:60:00)', 'at', /no such time/],
  ['at(2026-11-20T13:00:60)', 'at', /no such time/],
  ['at(1969-12-31T23:59:59)', 'at', /1970-2199/],
  ['at(2200-01-01T00:00:00)', 'at', /1970-2199/],
]

describe('refusals', () => {
  it.each(refused)('%s', (text, part, reason) => {
    const error = refusalOf(text)
    expect(error.code).toBe('invalid_argument')
    expect(error.details).toEqual({ field: 'expression', part })
    expect(error.message).toMatch(reason)
    if (part !== 'expression') expect(error.message).toContain(part)
    expect(error.message).not.toMatch(/[\n\r]/)
  })

  it('are one short, printable line whatever was written', () => {
    const error = refusalOf(`cron(\u001b[31m${'é'.repeat(200)} 0 * * ? *)`)
    expect(error.message).toMatch(/^[\x20-\x7e]{1,300}$/)
  })

  it('suggest only what is taken', () => {
    for (const text of ['*/5 * * * *', '0 9 * * 1-5', '0 9 * * 0,7', '0 10 * * ? *', '0 0 1 1 *']) {
      const [, hint = ''] = /in this form: (.*)$/.exec(refusalOf(text).message) ?? []
      expect(parseExpression(hint).kind).toBe('cron')
    }
  })
})
