/** Secret fields of an input: that there are such fields, and that no message tells what was in them. Pure. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Json } from '../ports/store.ts'
import { jsonSchemaOf, type JsonSchema } from './json-schema.ts'

/**
 * A misspelt secret would be shown.
 * @returns the first that the schema has no field for; undefined also where the schema cannot tell
 */
export function missingSecret(schema: StandardSchemaV1, secrets: readonly string[]): string | undefined {
  if (secrets.length === 0) return undefined
  const { json } = jsonSchemaOf(schema)
  return json && secrets.find((secret) => isMissing(json, secret.split('.')))
}

/** Is a field, by the path of a schema's issue, a secret, within one or around one? */
export function isSecret(path: readonly string[], secrets: readonly string[]): boolean {
  // A path leads through lists by numbers, a secret by itself.
  const names = path.filter((part) => !/^\d+$/.test(part))
  if (names.length === 0) return false
  return secrets.some((secret) =>
    secret.split('.').every((name, i) => i >= names.length || names[i] === name),
  )
}

function isMissing(schema: JsonSchema, [name, ...rest]: readonly string[]): boolean {
  const { items, properties, additionalProperties } = schema
  if (name === undefined) return false
  if (isSchema(items)) return isMissing(items, [name, ...rest])
  if (!isSchema(properties) || isOpen(schema) || (additionalProperties ?? false) !== false) return false
  if (!Object.hasOwn(properties, name)) return true
  const field = properties[name]
  return isSchema(field) && isMissing(field, rest)
}

/** Its fields may stand elsewhere too. */
function isOpen(schema: JsonSchema): boolean {
  return ['$ref', 'allOf', 'anyOf', 'oneOf', 'patternProperties', 'if'].some((key) => key in schema)
}

function isSchema(value: Json | undefined): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
