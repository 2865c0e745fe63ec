/** The input of a run that is started by hand, against the JSON Schema of the job's manifest. */
import { z } from 'zod'
import { SignalboxError } from '../kernel/error.ts'
import type { Json } from '../ports/store.ts'
import type { JobManifest } from './vocabulary.ts'

const NAMED = 3

/**
 * A schema that cannot be read here (another dialect) judges nothing: the worker checks each input by its own.
 * @throws SignalboxError `invalid_argument`
 */
export function checkInput({ name, input: schema }: JobManifest, input: Json): void {
  const problem = schema === undefined ? undefined : problemOf(schema, input)
  if (problem === undefined) return
  throw new SignalboxError('invalid_argument', `input of job '${name}': ${problem}`, {
    details: { field: 'input' },
  })
}

function problemOf(schema: NonNullable<JobManifest['input']>, input: Json): string | undefined {
  let type: z.ZodType
  try {
    type = z.fromJSONSchema(schema)
  } catch {
    return undefined
  }
  const result = type.safeParse(input)
  if (result.success) return undefined
  return result.error.issues
    .slice(0, NAMED)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.join('.')}: ${message}`))
    .join('; ')
}
