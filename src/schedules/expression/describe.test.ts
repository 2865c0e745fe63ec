import { expect, it } from 'vitest'
import { seededRandom } from '../../kernel/id.ts'
import { RandomExpressions } from '../testing/random-expression.ts'
import { describe } from './describe.ts'
import { parseExpression } from './parse.ts'

it.each([
  ['rate(1 hour)', 'every hour'],
  ['rate(5 minutes)', 'every 5 minutes'],
  ['at(2026-11-20T13:00:00)', 'once, on 2026-11-20 at 13:00:00'],
  ['cron(* * * * ? *)', 'every minute, every day'],
  ['cron(0/15 * * * ? *)', 'every 15 minutes, every day'],
  ['cron(5/15 * * * ? *)', 'every 15 minutes from minute 5 of each hour, every day'],
  ['cron(*/7 * * * ? *)', 'every 7 minutes from minute 0 of each hour, every day'],
  ['cron(0 * * * ? *)', 'every hour on the hour, every day'],
  ['cron(20 * * * ? *)', 'every hour at 20 minutes past, every day'],
  ['cron(0 8-17 ? * MON-FRI *)', 'on the hour in the hours 08 to 17, Monday to Friday'],
  ['cron(0/5 9 ? * 2 *)', 'every 5 minutes in the hour 09, every Monday'],
  ['cron(1,2,3,30 0-8/2 * * ? *)', 'at minutes 1 to 3 and 30 in the hours 00, 02, 04, 06 and 08, every day'],
  ['cron(10-30/10 * * * ? *)', 'at minutes 10, 20 and 30, every day'],
  ['cron(15 12 * * ? *)', 'at 12:15, every day'],
  ['cron(0,30 8,20 1 * ? *)', 'at 08:00, 08:30, 20:00 and 20:30, on day 1 of the month'],
  ['cron(0 9 1,15 JAN,JUL ? *)', 'at 09:00, on days 1 and 15 of the month, in January and July'],
  ['cron(0 9 L * ? 2027-2030)', 'at 09:00, on the last day of the month, in 2027 to 2030'],
  ['cron(0 9 LW * ? *)', 'at 09:00, on the last weekday (Monday to Friday) of the month'],
  ['cron(0 9 15W * ? *)', 'at 09:00, on the weekday (Monday to Friday) nearest to day 15 of the month'],
  ['cron(0 9 ? * 6L *)', 'at 09:00, on the last Friday of the month'],
  ['cron(0 9 ? * 3#2 *)', 'at 09:00, on the second Tuesday of the month'],
  ['cron(0 9 ? 6-8 * *)', 'at 09:00, every day, in June to August'],
])('%s', (text, words) => {
  expect(describe(parseExpression(text))).toBe(words)
})

it('has words for every expression', () => {
  const expressions = new RandomExpressions(seededRandom(3), [2020, 2040])
  for (let round = 0; round < 500; round++) {
    const text = expressions.next()
    expect(describe(parseExpression(text)), text).toMatch(/^(?!.*(?:undefined|NaN|, ,|  )).{8,}$/)
  }
})
