/** Secret fields of an input, which no view shows. */
import type { Json } from '../ports/store.ts'

export const MASK = '********'
const SUMMARY = 120

/** @param secrets names of fields; dots lead into objects and, by themselves, through lists */
export function masked(input: Json, secrets: readonly string[] = []): Json {
  return secrets.reduce((value, path) => maskAt(value, path.split('.')), input)
}

/** The beginning of the input, for lists; undefined when there is nothing to show. */
export function inputSummary(input: Json, secrets?: readonly string[]): string | undefined {
  if (input === null) return undefined
  const text = JSON.stringify(masked(input, secrets))
  return text.length > SUMMARY ? `${text.slice(0, SUMMARY)}…` : text
}

function maskAt(value: Json, path: readonly string[]): Json {
  const [name, ...rest] = path
  if (name === undefined) return MASK
  if (isList(value)) return value.map((one) => maskAt(one, path))
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return value
  return { ...value, [name]: maskAt(value[name] as Json, rest) }
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}
