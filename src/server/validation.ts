/**
 * Checks requests by their zod schemas and says what is wrong in one line: field, value, rule.
 */
import type { FastifySchemaCompiler } from 'fastify'
import type { z } from 'zod'
import { SignalboxError } from '../kernel/error.ts'
import { quoted } from './quoted.ts'

/** For `app.setValidatorCompiler`: parses with the route's zod schema. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema, httpPart }) =>
  (data: unknown) => {
    const result = schema.safeParse(data)
    if (result.success) return { value: result.data }
    return { error: validationProblem(result.error.issues, httpPart ?? 'body', data) }
  }

/** At most this many problems are named; the rest is likely to follow from them. */
const NAMED = 3

/** zod's issues about `data` as one `invalid_argument` of one line. */
export function validationProblem(
  issues: readonly z.core.$ZodIssue[],
  part: string,
  data: unknown,
): SignalboxError {
  const lines = issues.slice(0, NAMED).map((issue) => describe(issue, part, data))
  const more = issues.length > NAMED ? ` (and ${issues.length - NAMED} more)` : ''
  return new SignalboxError('invalid_argument', lines.join('; ') + more, {
    details: { field: issues[0]?.path.join('.') || part },
  })
}

function describe(issue: z.core.$ZodIssue, part: string, data: unknown): string {
  const field = issue.path.length === 0 ? part : issue.path.join('.')
  const value = valueAt(data, issue.path)
  if (issue.code === 'unrecognized_keys') return `${field}: unknown ${issue.keys.join(', ')}`
  if (value === undefined || (value === null && issue.path.length === 0))
    return `${field}: missing; ${rule(issue)}`
  return `${field}: ${quoted(value)} ${rule(issue)}`
}

function rule(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${typeNames[issue.expected] ?? issue.expected}`
    case 'too_small':
      return `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unit(issue.origin)}`
    case 'too_big':
      return `must be ${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unit(issue.origin)}`
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`
    case 'unrecognized_keys':
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
    case 'invalid_format':
    case 'custom':
      return issue.message
    default:
      return 'is not valid'
  }
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a JSON object',
  record: 'a JSON object',
}

function unit(origin: string): string {
  if (origin === 'string') return ' characters long'
  return origin === 'array' ? ' entries long' : ''
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, step) => (typeof value === 'object' && value !== null ? Reflect.get(value, step) : undefined),
    data,
  )
}
