/** What is wrong with a definition, in one line and in the words of whoever wrote it: flags, or keys of a file. */
import type { z } from 'zod'
import { exactDuration } from './times.ts'

/** The first problem. @param nameOf what the writer calls a place in the definition, such as `notify`, `events`, `0` */
export function problemText(
  error: z.ZodError,
  data: unknown,
  nameOf: (path: readonly [string, ...string[]]) => string,
): string {
  const [issue] = error.issues
  if (issue === undefined) return 'is not valid'
  const [first, ...rest] = issue.path
  if (issue.code === 'unrecognized_keys' && first === undefined) {
    return `unknown ${issue.keys.map((key) => key.slice(0, 40)).join(', ')}`
  }
  if (first === undefined) return 'is not a list of keys and values'
  const key = String(first)
  const value = issue.path.reduce<unknown>(
    (within, step) => (typeof within === 'object' && within !== null ? Reflect.get(within, step) : undefined),
    data,
  )
  const shown = nameOf([key, ...rest.map(String)])
  if (value === undefined) return `${shown}: missing`
  return `${shown}: ${text(value, key)} ${rule(issue, key)}`
}

function rule(issue: z.core.$ZodIssue, key: string): string {
  const bound = (value: number | bigint): string =>
    key.endsWith('Ms') ? exactDuration(Number(value)) : String(value)
  const unit = (origin: string): string =>
    origin === 'string' ? ' characters long' : origin === 'array' ? ' entries long' : ''
  switch (issue.code) {
    case 'too_small':
      return `must be at least ${bound(issue.minimum)}${unit(issue.origin)}`
    case 'too_big':
      return `must be at most ${bound(issue.maximum)}${unit(issue.origin)}`
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`
    case 'invalid_type':
      return `must be ${TYPES[issue.expected] ?? issue.expected}`
    case 'unrecognized_keys':
      return `has the unknown ${issue.keys.join(', ')}`
    case 'invalid_format':
      return issue.format === 'datetime' ? 'must be a time such as 2030-01-31T09:00:00Z' : issue.message
    case 'not_multiple_of':
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
    case 'custom':
      return issue.message
    default:
      return 'is not valid'
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a section',
  record: 'a section',
}

function text(value: unknown, key: string): string {
  if (key.endsWith('Ms') && typeof value === 'number') return `'${exactDuration(value)}'`
  const written = typeof value === 'string' ? value : (JSON.stringify(value) ?? typeof value)
  const short = written.length > 40 ? `${written.slice(0, 37)}...` : written
  return `'${short.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')}'`
}
