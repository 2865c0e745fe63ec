import { describe, expect, it } from 'vitest'
import { parseDuration } from '../../kernel/duration.ts'
import { exactDuration, instantOf, iso, localTime } from './times.ts'

const NOW = Date.parse('2030-06-01T12:00:00Z')

describe('a time that people write', () => {
  it.each([
    ['2030-01-31T09:00:00Z', '2030-01-31T09:00:00Z'],
    ['2030-01-31T09:00+02:00', '2030-01-31T07:00:00Z'],
    ['2030-01-31', '2030-01-31T00:00:00Z'],
    [' 2028-02-29 ', '2028-02-29T00:00:00Z'],
    ['6h', '2030-06-01T06:00:00Z'],
    ['1h30m', '2030-06-01T10:30:00Z'],
  ])('%s', (text, instant) => expect(iso(instantOf(text, '--from', NOW))).toBe(instant))

  it.each(['', 'yesterday', '2030-01-31T09:00:00', '2030-02-30', '2030-13-01', '5', '6x', '6 h'])(
    "'%s' is refused in one line that names the flag",
    (text) => expect(() => instantOf(text, '--from', NOW)).toThrow(/^--from: '.*' is not a [^\n]*$/),
  )
})

it('shows an instant as the clocks of a zone do', () => {
  const at = Date.parse('2027-01-31T22:05:09Z')
  expect(localTime(at, 'UTC')).toBe('Sun 2027-01-31 22:05:09 +00:00')
  expect(localTime(at, 'Europe/Berlin')).toBe('Sun 2027-01-31 23:05:09 +01:00')
  expect(localTime(at, 'America/St_Johns')).toBe('Sun 2027-01-31 18:35:09 -03:30')
  expect(localTime(at, 'Australia/Lord_Howe')).toBe('Mon 2027-02-01 09:05:09 +11:00')
})

it.each([0, 1, 1_500, 60_000, 5_400_000, 129_600_000, 7 * 86_400_000, 86_400_001])(
  'writes %i ms so that it is read again as the same',
  (ms) => expect(parseDuration(exactDuration(ms), 'x')).toBe(ms),
)
