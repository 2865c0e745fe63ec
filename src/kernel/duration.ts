/**
 * Durations as people write them: `45s`, `2m`, `1h30m`, `500ms`, `7d`; a bare number is seconds.
 * In code a duration is a number of milliseconds whose name ends in `Ms`.
 */
import { SignalboxError } from './error.ts'

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g

/**
 * @param text the duration as written
 * @param field what the message calls the input, for example `--ttl`
 * @returns whole milliseconds
 * @throws SignalboxError `invalid_argument`
 */
export function parseDuration(text: string, field: string): number {
  const trimmed = text.trim()
  if (/^\d+(?:\.\d+)?$/.test(trimmed)) return checked(Number(trimmed) * 1_000, text, field)
  if (!WHOLE.test(trimmed)) throw malformed(text, field)
  let total = 0
  for (const [, amount, unit] of trimmed.matchAll(PART)) {
    total += Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS]
  }
  return checked(total, text, field)
}

function checked(ms: number, text: string, field: string): number {
  if (!Number.isSafeInteger(Math.round(ms))) throw malformed(text, field)
  return Math.round(ms)
}

function malformed(text: string, field: string): SignalboxError {
  return new SignalboxError(
    'invalid_argument',
    `${field}: '${text.slice(0, 40)}' is not a duration; write for example 45s, 2m or 1h30m`,
    { details: { field } },
  )
}

/** The two largest units, for people: `4m 5s`, `1h 30m`, `850ms`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`
  const seconds = Math.round(ms / 1_000)
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3_600), 'h'],
    [Math.floor((seconds % 3_600) / 60), 'm'],
    [seconds % 60, 's'],
  ]
  const first = parts.findIndex(([amount]) => amount > 0)
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount}${unit}`)
    .join(' ')
}
