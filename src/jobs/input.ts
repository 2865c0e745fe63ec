/** Inputs, checked by the job's schema as the worker will see them: what JSON makes of them. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { SignalboxError } from '../kernel/error.ts'
import type { JobDefinition } from './define.ts'
import { isSecret } from './secrets.ts'

export type Checked =
  | { readonly value: unknown; readonly problem?: undefined }
  | { readonly value?: undefined; readonly problem: string }

/** One line: which fields are wrong, and how. Some libraries repeat the value in their messages: not that of a secret. */
function problemOf(issues: readonly StandardSchemaV1.Issue[], secrets: readonly string[]): string {
  const shown = issues.slice(0, 3).map(({ message, path = [] }) => {
    const names = path.map((part) => String(typeof part === 'object' ? part.key : part))
    const said = isSecret(names, secrets) ? 'this secret is not what the schema wants' : message
    return names.length === 0 ? said : `${names.join('.')}: ${said}`
  })
  const more = issues.length - shown.length
  return `${shown.join('; ')}${more > 0 ? ` (and ${more} more)` : ''}`.replaceAll(/\s+/g, ' ')
}

/** @returns a promise only where the schema is asynchronous; what it throws is a problem too */
export function checkInput(
  { schema, secrets }: Pick<JobDefinition, 'schema' | 'secrets'>,
  value: unknown,
): Checked | Promise<Checked> {
  const checked = (result: StandardSchemaV1.Result<unknown>): Checked =>
    result.issues === undefined ? { value: result.value } : { problem: problemOf(result.issues, secrets) }
  try {
    const result = schema['~standard'].validate(value)
    return result instanceof Promise ? result.then(checked, thrown) : checked(result)
  } catch (error) {
    return thrown(error)
  }
}

function thrown(error: unknown): Checked {
  return { problem: `its schema failed: ${error instanceof Error ? error.message : String(error)}` }
}

/**
 * @returns the input as JSON text
 * @throws SignalboxError `invalid_argument` when it is not JSON, or not what the schema wants
 */
export function inputText(
  job: Pick<JobDefinition, 'name' | 'schema' | 'secrets'>,
  input: unknown,
  at = '',
): string | Promise<string> {
  const refuse = (problem: string): never => {
    throw new SignalboxError('invalid_argument', `job ${job.name}: input${at}: ${problem}`)
  }
  let text: string | undefined
  try {
    text = JSON.stringify(input)
  } catch (error) {
    refuse(error instanceof Error ? error.message : String(error))
  }
  if (text === undefined) return refuse(`${typeof input} is not JSON`)
  const json = text
  const checked = checkInput(job, JSON.parse(json))
  const done = ({ problem }: Checked): string => (problem === undefined ? json : refuse(problem))
  return checked instanceof Promise ? checked.then(done) : done(checked)
}
