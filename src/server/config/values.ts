/**
 * How one configuration value is read: from YAML, where it has a type already, or from the environment and flags,
 * where all is text. Each reader is a zod schema that knows how to say what it expects, so that the error message, the
 * documentation and the flag's placeholder come from one place.
 */
import { z } from 'zod'
import { formatDuration, parseDuration } from '../../kernel/duration.ts'

/** A duration of the configuration, written `25s` there. */
export interface Duration {
  readonly ms: number
}

interface ReaderFacts {
  /** One word for the documentation: `port`. */
  readonly type: string
  /** What to write, as a phrase that follows "write": `a number from 0 to 65535`. */
  readonly write: string
  /** What the documentation's example file shows for a key without default. */
  readonly example?: string
}

const readers = z.registry<ReaderFacts>()

/** What the reader of a key expects; looks through default and optional. */
export function readerFacts(schema: z.ZodType): ReaderFacts {
  for (let inner = schema; ; inner = inner.unwrap() as z.ZodType) {
    const facts = readers.get(inner)
    if (facts !== undefined) return facts
    if (!(inner instanceof z.ZodPrefault || inner instanceof z.ZodOptional)) {
      throw new TypeError('a configuration key must be made by a reader of values.ts')
    }
  }
}

/** @param read the value, or undefined when `raw` is not one. */
function reader<T>(facts: ReaderFacts, read: (raw: unknown) => T | undefined) {
  const article = /^[aeiou]/.test(facts.type) ? 'an' : 'a'
  const schema = z.unknown().transform((raw, context): T => {
    const value = read(raw)
    if (value !== undefined) return value
    context.addIssue({ code: 'custom', message: `is not ${article} ${facts.type}; write ${facts.write}` })
    return z.NEVER
  })
  return schema.register(readers, facts)
}

/** A list or section that is one key: each problem inside names its own place. Text, from the environment, is JSON. */
export const structure = <S extends z.ZodType>(facts: ReaderFacts, schema: S) =>
  z
    .unknown()
    .transform((raw, context): z.output<S> => {
      if (raw === null) return undefined as z.output<S> // a key with nothing behind it: not set
      const result = schema.safeParse(parsedText(raw))
      if (result.success) return result.data
      for (const issue of result.error.issues) {
        const inner = issue.code === 'custom' ? issue.message : structureProblem(issue, facts)
        const params = issue.code === 'custom' ? issue.params : undefined
        context.addIssue({ code: 'custom', path: [...issue.path], message: inner, params })
      }
      return z.NEVER
    })
    .register(readers, facts)

/** A word of its own kind. @param accept is this text, trimmed, one? @param example for a key without default */
export const named = (type: string, write: string, accept: (text: string) => boolean, example?: string) =>
  reader({ type, write, ...(example === undefined ? {} : { example }) }, (raw) => {
    const text = typeof raw === 'number' ? String(raw) : textIn(raw)
    return text !== undefined && accept(text) ? text : undefined
  })

function parsedText(raw: unknown): unknown {
  if (typeof raw !== 'string') return raw
  try {
    return JSON.parse(raw) as unknown
  } catch {
    return raw
  }
}

function structureProblem(issue: z.core.$ZodIssue, { type, write }: ReaderFacts): string {
  if (issue.code === 'unrecognized_keys')
    return `has the unknown key ${issue.keys.join(', ')}; write ${write}`
  return `is not a ${type}; write ${write}`
}

const integerIn = (raw: unknown, min: number, max: number): number | undefined => {
  const n = typeof raw === 'string' && /^\d{1,15}$/.test(raw.trim()) ? Number(raw) : raw
  return typeof n === 'number' && Number.isInteger(n) && n >= min && n <= max ? n : undefined
}

const textIn = (raw: unknown): string | undefined =>
  typeof raw === 'string' && raw.trim() !== '' ? raw.trim() : undefined

export const port = () =>
  reader({ type: 'port', write: 'a number from 0 to 65535' }, (raw) => integerIn(raw, 0, 65_535))

export const integer = (min: number, max: number) =>
  reader({ type: 'whole number', write: `a number from ${min} to ${max}` }, (raw) => integerIn(raw, min, max))

export const host = () =>
  reader({ type: 'host', write: 'an IP address or a host name, without port' }, (raw) => {
    const text = textIn(raw)?.replace(/^\[(.*)\]$/, '$1')
    return text !== undefined && /^[A-Za-z0-9._:%-]{1,253}$/.test(text) ? text : undefined
  })

export const path = () => reader({ type: 'path', write: 'the path of a directory' }, textIn)

export const toggle = () =>
  reader({ type: 'boolean', write: 'true or false' }, (raw) => {
    if (typeof raw === 'boolean') return raw
    if (typeof raw !== 'string') return undefined
    if (/^(true|yes|on|1)$/i.test(raw.trim())) return true
    return /^(false|no|off|0)$/i.test(raw.trim()) ? false : undefined
  })

export const choice = <const T extends readonly string[]>(type: string, options: T) =>
  reader(
    { type, write: options.length === 1 ? `${options[0]}` : `one of ${options.join(', ')}` },
    (raw): T[number] | undefined => options.find((option) => option === textIn(raw)),
  )

/** @param example for a key without default */
export const duration = (min: Duration, max: Duration, example?: string) =>
  reader(
    {
      type: 'duration',
      write: `for example 30s or 2m, from ${formatDuration(min.ms)} to ${formatDuration(max.ms)}`,
      ...(example === undefined ? {} : { example }),
    },
    (raw): Duration | undefined => {
      const text = typeof raw === 'number' ? String(raw) : textIn(raw)
      if (text === undefined) return undefined
      try {
        const ms = parseDuration(text, 'duration')
        return ms >= min.ms && ms <= max.ms ? { ms } : undefined
      } catch {
        return undefined // the caller reports it with file, line and key
      }
    },
  )

export const webAddress = () =>
  reader(
    { type: 'web address', write: 'for example https://signalbox.example.org, without path or password' },
    (raw) => {
      const url = URL.parse(textIn(raw) ?? '')
      if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') {
        return undefined
      }
      return url.pathname === '/' && url.search === '' && url.hash === '' ? url.origin : undefined
    },
  )
