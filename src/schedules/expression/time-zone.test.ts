import { describe, expect, it } from 'vitest'
import { checkTimeZone, firstPass, offsetAt } from './time-zone.ts'

describe('checkTimeZone', () => {
  it.each([
    'UTC',
    'Europe/Berlin',
    'US/Pacific',
    'Asia/Kolkata',
    'Etc/GMT+2',
    'America/Argentina/San_Luis',
    'GMT',
  ])('knows %s', (name) => expect(checkTimeZone(name)).toBe(name))

  it('knows every zone that Node lists', () => {
    for (const name of Intl.supportedValuesOf('timeZone')) expect(checkTimeZone(name)).toBe(name)
  })

  it.each([
    'Mars/Olympus',
    '',
    'local',
    '+02:00',
    '-0500',
    'UTC+1',
    'IST',
    'bst',
    'PST',
    'SystemV/PST8',
    'Europe/Berlin\n',
  ])('refuses %j', (name) =>
    expect(() => checkTimeZone(name)).toThrow(/^time zone '.*' is not in the IANA database; write /),
  )

  it.each(['europe/berlin', 'utc', 'EUROPE/BERLIN'])('wants %s as the database writes it', (name) => {
    expect(() => checkTimeZone(name)).toThrow(/must be written (?:Europe\/Berlin|UTC)$/)
  })
})

describe('local time', () => {
  it('of zones ahead, behind, and by odd amounts', () => {
    const instant = Date.UTC(2026, 0, 1)
    expect(offsetAt('UTC', instant)).toBe(0)
    expect(offsetAt('America/New_York', instant)).toBe(-5 * 3_600_000)
    expect(offsetAt('Asia/Kathmandu', instant)).toBe(345 * 60_000)
    expect(offsetAt('Africa/Monrovia', 0)).toBe(-(44 * 60 + 30) * 1_000)
  })

  it('maps to its first instant, or to none', () => {
    // Berlin puts its clocks forward on 28 March 2027 and back on 31 October 2027, at 01:00Z.
    expect(firstPass('Europe/Berlin', Date.UTC(2027, 2, 28, 1, 59))).toBe(Date.UTC(2027, 2, 28, 0, 59))
    expect(firstPass('Europe/Berlin', Date.UTC(2027, 2, 28, 2, 0))).toBeUndefined()
    expect(firstPass('Europe/Berlin', Date.UTC(2027, 2, 28, 2, 59))).toBeUndefined()
    expect(firstPass('Europe/Berlin', Date.UTC(2027, 2, 28, 3, 0))).toBe(Date.UTC(2027, 2, 28, 1, 0))
    expect(firstPass('Europe/Berlin', Date.UTC(2027, 9, 31, 2, 0))).toBe(Date.UTC(2027, 9, 31, 0, 0))
    expect(firstPass('Europe/Berlin', Date.UTC(2027, 9, 31, 3, 0))).toBe(Date.UTC(2027, 9, 31, 2, 0))
  })
})
