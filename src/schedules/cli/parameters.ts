/** Parameters of a job on the command line: `--parameters '{…}'`, and `--param name=value` on top of it. */
import { invalidInput } from '../../cli/inputs.ts'
import type { Json } from '../../ports/store.ts'

export interface ParameterFlags {
  readonly parameters?: string
  readonly param?: readonly string[]
}

/** Undefined when none are given. @throws SignalboxError `invalid_argument` */
export function parametersOf({ parameters, param = [] }: ParameterFlags): Record<string, Json> | undefined {
  if (parameters === undefined && param.length === 0) return undefined
  const all = parameters === undefined ? {} : wholeOf(parameters)
  return Object.fromEntries([...Object.entries(all), ...param.map(oneOf)])
}

function wholeOf(text: string): Record<string, Json> {
  const value = jsonIn(text)
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, Json>
  throw invalidInput(
    '--parameters',
    `--parameters: '${text.slice(0, 40)}' is not a JSON object; write for example '{"by":5}'`,
  )
}

function oneOf(text: string): [name: string, value: Json] {
  const at = text.indexOf('=')
  if (at > 0) {
    const value = text.slice(at + 1)
    return [text.slice(0, at), jsonIn(value) ?? value]
  }
  throw invalidInput('--param', `--param: '${text.slice(0, 40)}' is not name=value; write for example by=5`)
}

/** Undefined when it is none. */
function jsonIn(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}
