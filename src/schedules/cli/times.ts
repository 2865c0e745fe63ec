/** Times and durations as the commands read and write them. */
import { invalidInput } from '../../cli/inputs.ts'
import { parseDuration } from '../../kernel/duration.ts'
import { offsetAt } from '../expression/time-zone.ts'

const TIME = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/
const MINUTE_MS = 60_000
const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', MINUTE_MS],
  ['s', 1_000],
] as const

/**
 * `2030-01-31T09:00:00Z`, with an offset, `2030-01-31` (its beginning in UTC), or `6h`: so long ago.
 * @returns milliseconds since the epoch
 * @throws SignalboxError `invalid_argument`
 */
export function instantOf(text: string, flag: string, now: number): number {
  const trimmed = text.trim()
  if (TIME.test(trimmed)) {
    const at = Date.parse(trimmed)
    if (Number.isFinite(at) && exists(trimmed)) return at
  } else if (/^\d[\d.a-z]*[a-z]$/.test(trimmed)) {
    return now - parseDuration(trimmed, flag)
  }
  throw invalidInput(
    flag,
    `${flag}: '${text.slice(0, 40)}' is not a time; write for example 2030-01-31T09:00:00Z, 2030-01-31, or 6h for so long ago`,
  )
}

/** Date.parse takes the 31st of February for March. */
function exists(text: string): boolean {
  const [, day = ''] = /^\d{4}-\d{2}-(\d{2})/.exec(text) ?? []
  return new Date(`${text.slice(0, 10)}T00:00:00Z`).getUTCDate() === Number(day)
}

/** `2030-01-31T09:00:00Z`, with the milliseconds if there are any. */
export function iso(instant: number): string {
  return new Date(instant).toISOString().replace('.000Z', 'Z')
}

/** `Thu 2030-01-31 09:00:00 +01:00` */
export function localTime(instant: number, timeZone: string): string {
  const offset = offsetAt(timeZone, instant)
  const local = new Date(instant + offset)
  const day = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][local.getUTCDay()]
  const minutes = Math.round(Math.abs(offset) / MINUTE_MS)
  const two = (value: number): string => String(value).padStart(2, '0')
  const shift = `${offset < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
  return `${day} ${local.toISOString().slice(0, 19).replace('T', ' ')} ${shift}`
}

/** In the largest unit that says it exactly, to be read again: `90m`, `36h`, `1500ms`. */
export function exactDuration(ms: number): string {
  for (const [unit, unitMs] of UNITS) if (ms > 0 && ms % unitMs === 0) return `${ms / unitMs}${unit}`
  return ms === 0 ? '0s' : `${ms}ms`
}
