/** When expressions fire: compared with a minute-by-minute matcher over changes of clocks and leap years, and by example. */
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../kernel/id.ts'
import { matches, minutesOf, type Wall } from '../testing/oracle.ts'
import { RandomExpressions } from '../testing/random-expression.ts'
import { nextAfter, upcoming } from './next.ts'
import { parseExpression } from './parse.ts'

/** Fires in a stretch of time, at most so many. */
function fires(text: string, timeZone: string, from: number, to: number, most: number): number[] {
  const expression = parseExpression(text)
  const found: number[] = []
  let at = nextAfter(expression, { after: from, timeZone })
  while (at !== undefined && at < to && found.length < most) {
    found.push(at)
    at = nextAfter(expression, { after: at, timeZone })
  }
  return found
}

function next(text: string, after: string, timeZone = 'UTC', anchor?: string): string | undefined {
  const moment = {
    after: Date.parse(after),
    timeZone,
    anchor: anchor === undefined ? undefined : Date.parse(anchor),
  }
  const at = nextAfter(parseExpression(text), moment)
  return at === undefined ? undefined : new Date(at).toISOString().replace('.000Z', 'Z')
}

const stretches = [
  ['29 February', 'UTC', '2028-02-24T00:00Z', '2028-03-04T00:00Z'],
  ['the turn of a year', 'Asia/Kolkata', '2026-12-26T00:00Z', '2027-01-03T00:00Z'],
  ['an hour forward', 'America/New_York', '2026-03-05T00:00Z', '2026-03-12T00:00Z'],
  ['an hour back', 'America/New_York', '2026-10-29T00:00Z', '2026-11-04T00:00Z'],
  ['an hour forward', 'Europe/Berlin', '2027-03-25T00:00Z', '2027-04-02T00:00Z'],
  ['an hour back', 'Europe/Berlin', '2026-10-22T00:00Z', '2026-10-28T00:00Z'],
  ['half an hour back', 'Australia/Lord_Howe', '2026-04-01T00:00Z', '2026-04-08T00:00Z'],
  ['half an hour forward', 'Australia/Lord_Howe', '2026-10-01T00:00Z', '2026-10-07T00:00Z'],
  ['a quarter of an hour forward for good', 'Asia/Kathmandu', '1985-12-28T00:00Z', '1986-01-04T00:00Z'],
  ['a day skipped', 'Pacific/Apia', '2011-12-27T00:00Z', '2012-01-03T00:00Z'],
  ['a day skipped', 'Pacific/Kwajalein', '1993-08-18T00:00Z', '1993-08-24T00:00Z'],
  ['three hours back', 'Antarctica/Casey', '2010-03-02T00:00Z', '2010-03-08T00:00Z'],
] as const

describe('against the matcher of every minute', () => {
  it.each(stretches)('%s: %s from %s', (_, timeZone, fromText, toText) => {
    const random = seededRandom(Date.parse(fromText) / 60_000)
    const [from, to] = [Date.parse(fromText), Date.parse(toText)]
    const expressions = new RandomExpressions(random, [
      new Date(from).getUTCFullYear() - 2,
      new Date(to).getUTCFullYear() + 1,
    ])
    const minutes = minutesOf(timeZone, fromText, toText)
    const most = 400
    let compared = 0
    for (let round = 0; round < 25; round++) {
      const text = expressions.next()
      const wanted = minutes
        .filter(({ wall, repeated, instant }) => instant > from && !repeated && matches(text, wall))
        .map(({ instant }) => instant)
      expect(fires(text, timeZone, from, to, most), text).toEqual(wanted.slice(0, most))
      compared += wanted.length
      for (let probe = 0; probe < 10; probe++) {
        const after = from + Math.floor(random.next() * (to - from))
        const expected = wanted.find((instant) => instant > after)
        const at = nextAfter(parseExpression(text), { after, timeZone })
        if (expected !== undefined) expect(at, `${text} after ${after}`).toBe(expected)
        else expect(at ?? Infinity, `${text} after ${after}`).toBeGreaterThanOrEqual(to)
      }
    }
    expect(compared).toBeGreaterThan(500)
  })

  it('days of years around 2100, which has no 29 February', () => {
    const expressions = new RandomExpressions(seededRandom(8), [2086, 2110])
    const [from, to] = [Date.UTC(2087, 0, 1), Date.UTC(2110, 0, 1)]
    const days: (readonly [number, Wall])[] = []
    for (let instant = from; instant < to; instant += 86_400_000) {
      const [year = 0, month = 0, date = 0] = new Date(instant)
        .toISOString()
        .slice(0, 10)
        .split('-')
        .map(Number)
      days.push([instant, { year, month, date, hour: 0, minute: 0 }])
    }
    for (let round = 0; round < 50; round++) {
      const text = expressions.nextDaily()
      const wanted = days.filter(([instant, wall]) => instant > from && matches(text, wall))
      expect(fires(text, 'UTC', from, to, 300), text).toEqual(
        wanted.slice(0, 300).map(([instant]) => instant),
      )
    }
  })
})

it('goes forward, never to the same instant, in every time zone', () => {
  const random = seededRandom(5)
  const expressions = new RandomExpressions(random, [1990, 2060])
  const zones = Intl.supportedValuesOf('timeZone')
  for (const timeZone of zones) {
    const expression = parseExpression(expressions.next())
    let after = Date.UTC(1990) + Math.floor(random.next() * 2e12)
    for (let step = 0; step < 8; step++) {
      const at = nextAfter(expression, { after, timeZone })
      if (at === undefined) break
      expect(at).toBeGreaterThan(after)
      expect(nextAfter(expression, { after: at - 1, timeZone })).toBe(at)
      after = at
    }
  }
  expect(zones.length).toBeGreaterThan(300)
})

describe('changes of clocks', () => {
  it('is silent in the second pass, and also when asked from inside it', () => {
    // New York, 1 November 2026: 02:00 EDT (06:00Z) is 01:00 EST; 02:00 EST is 07:00Z.
    expect(next('cron(* * * * ? *)', '2026-11-01T05:59:00Z', 'America/New_York')).toBe('2026-11-01T07:00:00Z')
    expect(next('cron(* * * * ? *)', '2026-11-01T06:30:30Z', 'America/New_York')).toBe('2026-11-01T07:00:00Z')
    expect(next('cron(30 1 * * ? *)', '2026-11-01T05:30:00Z', 'America/New_York')).toBe(
      '2026-11-02T06:30:00Z',
    )
  })

  it('skips the day that Samoa skipped', () => {
    expect(next('cron(0 12 * * ? *)', '2011-12-29T22:00:00Z', 'Pacific/Apia')).toBe('2011-12-30T22:00:00Z')
    expect(next('cron(0 12 30 12 ? 2011)', '2011-12-01T00:00:00Z', 'Pacific/Apia')).toBeUndefined()
  })

  it('knows offsets with seconds', () => {
    expect(next('cron(0 0 * * ? *)', '1971-06-01T00:00:00Z', 'Africa/Monrovia')).toBe('1971-06-01T00:44:30Z')
  })
})

describe('at', () => {
  it('fires once, in its time zone, to the second', () => {
    const text = 'at(2026-11-20T13:00:05)'
    expect(next(text, '2026-01-01T00:00:00Z', 'Europe/Berlin')).toBe('2026-11-20T12:00:05Z')
    expect(next(text, '2026-11-20T12:00:04Z', 'Europe/Berlin')).toBe('2026-11-20T12:00:05Z')
    expect(next(text, '2026-11-20T12:00:05Z', 'Europe/Berlin')).toBeUndefined()
  })

  it('fires at the first pass, and never at a time that does not exist', () => {
    const newYork = 'America/New_York'
    expect(next('at(2026-11-01T01:30:00)', '2026-01-01T00:00:00Z', newYork)).toBe('2026-11-01T05:30:00Z')
    expect(next('at(2026-11-01T01:30:00)', '2026-11-01T05:45:00Z', newYork)).toBeUndefined()
    expect(next('at(2026-03-08T02:30:00)', '2026-01-01T00:00:00Z', newYork)).toBeUndefined()
  })

  it('may lie farther ahead than crons are looked for', () => {
    const moment = { after: Date.UTC(2026), timeZone: 'UTC' }
    expect(upcoming(parseExpression('at(2199-12-31T23:59:59)'), moment, 5)).toEqual([Date.UTC(2200) - 1_000])
  })
})

describe('rate', () => {
  it('counts from its anchor, whatever the clocks do', () => {
    const anchor = '2026-10-30T12:00:07Z'
    const day = (after: string): string | undefined => next('rate(1 day)', after, 'America/New_York', anchor)
    expect(day('2026-10-31T12:00:06Z')).toBe('2026-10-31T12:00:07Z')
    expect(day('2026-10-31T12:00:07Z')).toBe('2026-11-01T12:00:07Z')
    expect(day('2026-11-01T12:00:07Z')).toBe('2026-11-02T12:00:07Z')
  })

  it('fires first at an anchor that is still to come', () => {
    expect(next('rate(5 minutes)', '2026-01-01T00:00:00Z', 'UTC', '2026-02-01T00:00:00Z')).toBe(
      '2026-02-01T00:00:00Z',
    )
  })

  it('is refused without an anchor', () => {
    expect(() => next('rate(5 minutes)', '2026-01-01T00:00:00Z')).toThrow(/anchor/)
  })
})

describe('the end', () => {
  it('comes with the last year, or never came', () => {
    expect(next('cron(59 23 31 12 ? *)', '2199-12-31T23:58:59Z')).toBe('2199-12-31T23:59:00Z')
    expect(next('cron(59 23 31 12 ? *)', '2199-12-31T23:59:00Z')).toBeUndefined()
    expect(next('cron(0 0 30 2 ? *)', '2026-01-01T00:00:00Z')).toBeUndefined()
    expect(next('cron(0 0 1 1 ? 1999)', '2026-01-01T00:00:00Z')).toBeUndefined()
    expect(next('cron(0 0 1 1 ? *)', '1950-01-01T00:00:00Z')).toBe('1970-01-01T00:00:00Z')
  })

  it('is 30 years ahead for a list of what comes, but not for the next fire', () => {
    const moment = { after: Date.UTC(2026, 0, 1), timeZone: 'UTC' }
    const years = parseExpression('cron(0 0 1 1 ? 2030,2056,2057)')
    expect(upcoming(years, moment, 5)).toEqual([Date.UTC(2030), Date.UTC(2056)])
    expect(nextAfter(years, { ...moment, after: Date.UTC(2056) })).toBe(Date.UTC(2057))
    expect(upcoming(years, moment, 1)).toEqual([Date.UTC(2030)])
    expect(upcoming(years, moment, 0)).toEqual([])
  })
})
