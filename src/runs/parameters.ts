/** The parameters of a job, read out of the JSON Schema of its input: what a form asks for, and what `job show` prints. Pure. */
import type { Json } from '../ports/store.ts'
import type { JobManifest } from './vocabulary.ts'

export interface Parameter {
  readonly name: string
  /** In words: `integer`, `eu or us`, `list of string`; `any` where the schema does not say. */
  readonly type: string
  readonly required: boolean
  readonly secret: boolean
  readonly description?: string
  /** Of one that is not required, if it has one and is no secret. */
  readonly default?: Json
}

type Schema = Readonly<Record<string, Json>>

/** Choices that are named one by one. */
const NAMED = 8

/** @returns undefined when the input is not known to be an object with fields of its own */
export function parametersOf({
  input,
  secrets = [],
}: Pick<JobManifest, 'input' | 'secrets'>): Parameter[] | undefined {
  const properties = input?.['properties']
  if (!isSchema(properties)) return undefined
  const required = input?.['required']
  return Object.entries(properties).map(([name, field]) => {
    const schema = isSchema(field) ? field : {}
    const { description, default: usual } = schema
    const secret = secrets.some((path) => path === name || path.startsWith(`${name}.`))
    return {
      name,
      type: typeOf(schema),
      required: Array.isArray(required) && required.includes(name),
      secret,
      ...(typeof description === 'string' ? { description } : {}),
      ...(usual === undefined || secret ? {} : { default: usual }),
    }
  })
}

function typeOf(schema: Schema): string {
  const { type, enum: choices, const: only, anyOf, oneOf, format, items } = schema
  if (only !== undefined) return said(only)
  if (Array.isArray(choices)) return oneOfThese(choices.map(said))
  const kinds = anyOf ?? oneOf
  if (Array.isArray(kinds)) {
    return oneOfThese([...new Set(kinds.map((each) => (isSchema(each) ? typeOf(each) : 'any')))])
  }
  if (type === 'array') return `list of ${isSchema(items) ? typeOf(items) : 'any'}`
  if (Array.isArray(type)) return oneOfThese(type.map(said))
  if (typeof type !== 'string') return 'any'
  return type === 'string' && typeof format === 'string' ? format : type
}

function oneOfThese(names: readonly string[]): string {
  const more = names.length - NAMED
  return `${names.slice(0, NAMED).join(' or ')}${more > 0 ? ` or ${more} more` : ''}`
}

function said(value: Json): string {
  return typeof value === 'string' && value !== '' ? value : JSON.stringify(value)
}

function isSchema(value: Json | undefined): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
