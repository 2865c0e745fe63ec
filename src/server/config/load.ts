/**
 * Builds the configuration in force from its four sources, in rising order: defaults, file, environment, flags.
 *
 * Invariants: every value given is checked, also one that a stronger source overrides; all problems are reported at
 * once, one line each, naming the source (file:line, variable or flag), the key, the value and the remedy.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { z } from 'zod'
import { SignalboxError } from '../../kernel/error.ts'
import { quoted } from '../quoted.ts'
import type { FileContents } from './file.ts'
import { configKeys, type ConfigKey } from './keys.ts'
import { configSchema, type Config } from './schema.ts'
import { AWS_SETTINGS, awsSettings } from './trigger-values.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** One value from one source. */
export interface Setting {
  /** Key, as `server.port`. */
  readonly path: string
  readonly raw: unknown
  /** `signalbox.yaml:7`, `SIGNALBOX_SERVER_PORT` or `--port`. */
  readonly where: string
  /** Where a part of a list or section stands, if that is known more exactly. */
  readonly whereIn?: (path: readonly PropertyKey[]) => string
}

export interface ConfigSources {
  /** Directory where `signalbox.yaml` is looked for. */
  readonly cwd: string
  readonly env: Environment
  /** Values of flags, by the key they set: `{ 'server.port': '9000' }`. */
  readonly flags?: Readonly<Record<string, unknown>>
  /** `--config`; must exist. */
  readonly file?: string | undefined
}

export interface LoadedConfig {
  readonly config: Config
  /** What was given for each key, in the order of the schema. */
  readonly entries: readonly EffectiveEntry[]
  /** Things that look like mistakes but stop nothing; one line each. */
  readonly warnings: readonly string[]
  /** The file that was read, if any. */
  readonly file?: string
}

export interface EffectiveEntry {
  readonly key: ConfigKey
  /** As written; the default if nobody gave a value. */
  readonly value: unknown
  /** `default`, or where the value was given. */
  readonly where: string
}

const awsSection = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text)
    } catch {
      context.addIssue('not JSON')
      return z.NEVER
    }
  })
  .pipe(z.partialRecord(z.enum(Object.keys(awsSettings)), z.string()))

const DEFAULT_FILE = 'signalbox.yaml'

/** Variables that others of our commands read, and those that Kubernetes makes for a service named `signalbox`. */
const OTHER_VARIABLES =
  /^SIGNALBOX_(?:URL|TOKEN|OIDC_AUDIENCE|CONFIG|FENCE|TURN|LEASE|LEASE_STATUS|LEASE_STACKED|QUEUE|BACKEND|QUEUE_TABLE|GCP_PROJECT|GCP_DATABASE|GUARD|PORT|PORT_.*|SERVICE_HOST|SERVICE_PORT.*)$/

/** @throws SignalboxError `config_invalid`, all problems in its message */
export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const problems: string[] = []
  const file = configFile(sources)
  const contents = file === undefined ? undefined : await readFile(sources, file)
  problems.push(...(contents?.problems ?? []))

  const given = new Map<string, Setting & { readonly value: unknown }>()
  const settings = [
    ...(contents?.settings ?? []),
    ...awsVariableSettings(sources.env, problems),
    ...environmentSettings(sources.env),
    ...flagSettings(sources),
  ]
  const chosen = (path: string): unknown => settings.findLast((setting) => setting.path === path)?.raw
  const aws = String(chosen('schedules.trigger')).startsWith('eventbridge')
  const engines = {
    store: chosen('store.engine'),
    messages: chosen('messages.engine'),
    schedules: aws ? 'eventBridge' : undefined,
  }
  for (const setting of settings) {
    if (isOfAnotherEngine(setting, engines)) continue
    const key = keyAt(setting.path)
    const result = key.schema.safeParse(setting.raw)
    if (result.success) given.set(key.path, { ...setting, value: result.data })
    else problems.push(...result.error.issues.map((issue) => partProblem(key, setting, issue)))
  }

  // Only values that stand on their own reach the rules that join several keys.
  const parsed = configSchema.safeParse(nested([...given.values()].map((s) => [s.path, s.raw])))
  for (const issue of parsed.error?.issues ?? []) {
    const key = keyAt(issue.path.join('.'))
    const setting = given.get(key.path) ?? { path: key.path, raw: key.defaultValue, where: 'default' }
    problems.push(problem(key, setting, issue.message))
  }
  if (problems.length > 0 || !parsed.success) throw new SignalboxError('config_invalid', problems.join('\n'))

  const entries = configKeys.map((key): EffectiveEntry => {
    const setting = given.get(key.path)
    return { key, value: setting?.raw ?? key.defaultValue, where: setting?.where ?? 'default' }
  })
  return {
    config: parsed.data,
    entries,
    warnings: unknownVariables(sources.env),
    ...(file === undefined ? {} : { file }),
  }
}

function configFile(sources: ConfigSources): string | undefined {
  const named = sources.file ?? nonEmpty(sources.env['SIGNALBOX_CONFIG'])
  if (named !== undefined) return named
  return existsSync(resolve(sources.cwd, DEFAULT_FILE)) ? DEFAULT_FILE : undefined
}

async function readFile(sources: ConfigSources, file: string): Promise<FileContents> {
  const { readConfigFile } = await import('./file.ts') // the YAML parser loads only when there is a file
  return readConfigFile(resolve(sources.cwd, file), file, sources.env)
}

function environmentSettings(env: Environment): Setting[] {
  return configKeys.flatMap(({ path, env: names }) => {
    const where = names.find((name) => nonEmpty(env[name]) !== undefined)
    return where === undefined ? [] : [{ path, raw: env[where], where }]
  })
}

/** One variable with all of `AwsEventBridgeSettings` as JSON; those of single entries are stronger. */
function awsVariableSettings(env: Environment, problems: string[]): Setting[] {
  const text = nonEmpty(env[AWS_SETTINGS])
  if (text === undefined) return []
  const read = awsSection.safeParse(text)
  if (!read.success) {
    problems.push(`${AWS_SETTINGS}: is not JSON of ${Object.keys(awsSettings).join(', ')}, each a text`)
    return []
  }
  return Object.entries(read.data).flatMap(([name, raw]) => {
    const path = awsSettings[name]
    return path === undefined ? [] : [{ path, raw, where: AWS_SETTINGS }]
  })
}

/** Variables of the clouds' own tools may stand in any environment; they count for the engine that is chosen. */
function isOfAnotherEngine({ path, where }: Setting, engines: Readonly<Record<string, unknown>>): boolean {
  const [section = '', of, key] = path.split('.')
  return (
    Object.hasOwn(engines, section) &&
    key !== undefined &&
    of !== engines[section] &&
    !where.startsWith('SIGNALBOX_') &&
    configVariables.has(where)
  )
}

const configVariables = new Set([AWS_SETTINGS, ...configKeys.flatMap((key) => key.env)])

function flagSettings(sources: ConfigSources): Setting[] {
  return Object.entries(sources.flags ?? {})
    .filter(([, raw]) => raw !== undefined)
    .map(([path, raw]) => ({ path, raw, where: keyAt(path).flag ?? path }))
}

function unknownVariables(env: Environment): string[] {
  const known = new Set(configKeys.flatMap((key) => key.env))
  return Object.keys(env)
    .filter((name) => name.startsWith('SIGNALBOX_') && !known.has(name) && !OTHER_VARIABLES.test(name))
    .map((name) => `${name}: no configuration key has this variable; it changes nothing`)
}

function problem(key: ConfigKey, setting: Setting, text: string): string {
  return `${setting.where}: ${key.path}: ${key.secret ? '(secret)' : quoted(setting.raw)} ${text}`
}

/** A problem with a value, or with a part of one that is a list or a section. */
function partProblem(key: ConfigKey, setting: Setting, issue: z.core.$ZodIssue): string {
  const { path, message } = issue
  if (path.length === 0) return problem(key, setting, message)
  const part = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`)).join('')
  const value: unknown = path.reduce<unknown>(
    (within, step) => (typeof within === 'object' && within !== null ? Reflect.get(within, step) : undefined),
    setting.raw,
  )
  const named: unknown = issue.code === 'custom' ? issue.params?.['shown'] : undefined
  const shown = key.secret ? '(secret)' : quoted(named ?? value)
  return `${setting.whereIn?.(path) ?? setting.where}: ${key.path}${part}: ${shown} ${message}`
}

function keyAt(path: string): ConfigKey {
  const key = configKeys.find((known) => known.path === path)
  if (key === undefined) throw new TypeError(`no configuration key ${path}`)
  return key
}

interface Nested {
  [name: string]: unknown
}

function nested(values: readonly (readonly [path: string, raw: unknown])[]): Nested {
  const root: Nested = {}
  for (const [path, raw] of values) {
    const steps = path.split('.')
    const last = steps.pop() ?? ''
    let section = root
    for (const step of steps) section = (section[step] ??= {}) as Nested
    section[last] = raw
  }
  return root
}

/** An empty variable counts as not set: that is what `NAME=${OTHER}` in a compose file gives when OTHER is not. */
function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text
}
