/**
 * The keys of the configuration as a flat list, derived from the schema: what the loader, the flags of `serve`,
 * `config print` and the documentation all read.
 */
import { z } from 'zod'
import { configSchema, keyFacts } from './schema.ts'
import { readerFacts } from './values.ts'

export interface ConfigKey {
  /** As written in messages and on the documentation page: `server.port`. */
  readonly path: string
  /** Environment variables, the strongest first. */
  readonly env: readonly string[]
  readonly flag?: `--${string}`
  readonly meaning: string
  /** `port`, `duration`, … */
  readonly type: string
  /** `a number from 0 to 65535` */
  readonly write: string
  /** As one would write it in the file; absent for a key without default. */
  readonly defaultValue?: string | number | boolean
  /** How a value looks in the file, for a key without default. */
  readonly example?: string
  readonly secret: boolean
  /** Reads and checks one value. */
  readonly schema: z.ZodType
}

/** Every key, in the order of the schema. */
export const configKeys: readonly ConfigKey[] = [...keysOf(configSchema, [])]

/** Paths of the sections: `server`, `store.dynamodb`, … */
export const configSections: readonly string[] = [...sectionsOf(configSchema, [])]

/** `server.shutdownGrace` → `SIGNALBOX_SERVER_SHUTDOWN_GRACE` */
function envName(path: readonly string[]): string {
  return ['signalbox', ...path].map((part) => part.replaceAll(/[A-Z]/g, '_$&').toUpperCase()).join('_')
}

function* keysOf(schema: z.ZodType, path: readonly string[]): Generator<ConfigKey> {
  const inner = unwrapped(schema)
  if (inner instanceof z.ZodObject) {
    for (const [name, child] of Object.entries(inner.shape))
      yield* keysOf(child as z.ZodType, [...path, name])
    return
  }
  const facts = keyFacts.get(schema) ?? {}
  const fallback = schema instanceof z.ZodPrefault ? schema.def.defaultValue : undefined
  yield {
    path: path.join('.'),
    env: [envName(path), ...(facts.alsoEnv ?? [])],
    meaning: schema.description ?? '',
    ...readerFacts(schema),
    secret: facts.secret === true,
    schema,
    ...(facts.flag === undefined ? {} : { flag: facts.flag }),
    ...(fallback === undefined ? {} : { defaultValue: fallback as string | number | boolean }),
  }
}

function* sectionsOf(schema: z.ZodType, path: readonly string[]): Generator<string> {
  const inner = unwrapped(schema)
  if (!(inner instanceof z.ZodObject)) return
  if (path.length > 0) yield path.join('.')
  for (const [name, child] of Object.entries(inner.shape))
    yield* sectionsOf(child as z.ZodType, [...path, name])
}

function unwrapped(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodPrefault ? (schema.unwrap() as z.ZodType) : schema
}
