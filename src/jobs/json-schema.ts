/** The JSON Schema of a job's input, where its schema library offers one: for the form that people fill in, and for what may be checked early. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Json } from '../ports/store.ts'

export type JsonSchema = { readonly [key: string]: Json }

/** Standard JSON Schema (standardschema.dev/json-schema). */
interface WithJsonSchema {
  readonly jsonSchema?: { readonly input?: (options: { readonly target: string }) => unknown }
}

/** @returns nothing where the library offers none; `problem`: the schema has a type that JSON Schema cannot say */
export function jsonSchemaOf(schema: StandardSchemaV1): {
  readonly json?: JsonSchema
  readonly problem?: string
} {
  const { jsonSchema } = schema['~standard'] as WithJsonSchema
  try {
    const json = jsonSchema?.input?.({ target: 'draft-2020-12' }) as JsonSchema | undefined
    return json === undefined ? {} : { json }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}
