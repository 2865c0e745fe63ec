/**
 * What the voting commands are told by flags and variables, checked. The variables are those of the reference; a flag is stronger.
 *
 * Which engines: `--engine`; else AWS (DynamoDB and SQS) when a variable names a region or an endpoint of it, unless a data directory
 * is named; else the embedded engines.
 */
import { resolve } from 'node:path'
import { parseDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { invalidInput, wholeNumber } from '../inputs.ts'
import type { Terminal } from '../terminal.ts'
import { metricsAddress } from '../worker/run.ts'

export interface EngineFlags {
  readonly engine?: string
  readonly dataDir?: string
  readonly logLevel?: string
}

export interface ApiFlags extends EngineFlags {
  readonly host?: string
  readonly port?: string
  readonly dev?: boolean
}

export interface WorkerFlags extends EngineFlags {
  readonly concurrency?: string
  readonly visibility?: string
  readonly metrics?: string
}

export type VotingEngine =
  | { readonly kind: 'embedded'; readonly directory: string }
  | {
      readonly kind: 'aws'
      readonly region: string | undefined
      readonly dynamodb: string | undefined
      readonly sqs: string | undefined
    }

export interface ApiSettings {
  readonly host: string
  readonly port: number
  readonly apiKey: string | undefined
  readonly origins: readonly string[]
  readonly requireActive: boolean
}

export interface WorkerSettings {
  readonly concurrency: number
  readonly visibilityMs: number
  readonly metrics: { readonly host: string; readonly port: number } | undefined
}

export type LogLevel = (typeof LEVELS)[number]

type Surroundings = Pick<Terminal, 'env' | 'cwd'>

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/
const MIN_VISIBILITY_MS = 1_000
const MAX_VISIBILITY_MS = 15 * 60_000

/** @throws SignalboxError `invalid_argument` */
export function votingEngine(flags: EngineFlags, { env, cwd }: Surroundings): VotingEngine {
  const [region, dynamodb, sqs] = ['AWS_REGION', 'DYNAMODB_ENDPOINT_URL', 'AWS_SQS_ENDPOINT_URL'].map(
    (name) => given(env, name),
  )
  const dataDir = flags.dataDir ?? given(env, 'SIGNALBOX_DATA_DIR')
  const inCloud =
    dataDir === undefined && (region !== undefined || dynamodb !== undefined || sqs !== undefined)
  const kind = flags.engine ?? (inCloud ? 'aws' : 'embedded')
  if (kind === 'aws') return { kind, region, dynamodb, sqs }
  if (kind === 'embedded') return { kind, directory: resolve(cwd, dataDir ?? 'data') }
  throw invalidInput('--engine', `--engine: '${kind.slice(0, 40)}' must be embedded or aws`)
}

/** @throws SignalboxError `invalid_argument`, `config_invalid` (no key) */
export function apiSettings(flags: ApiFlags, { env }: Surroundings): ApiSettings {
  const apiKey = given(env, 'API_KEY')
  const dev = flags.dev === true
  const host = flags.host ?? '127.0.0.1'
  if (apiKey === undefined && !dev) {
    throw new SignalboxError(
      'config_invalid',
      'API_KEY: not set; it is what creating and changing topics asks for. Set it, or give --dev to let everybody on this machine',
    )
  }
  if (apiKey === undefined && !LOOPBACK.test(host)) {
    throw invalidInput('--host', `--host: ${host} is not of this machine alone; with --dev set API_KEY too`)
  }
  return {
    host,
    port: wholeNumber(flags.port ?? given(env, 'PORT') ?? '8081', { flag: '--port', min: 0, max: 65_535 }),
    apiKey,
    origins: origins(given(env, 'API_CORS_ORIGINS') ?? ''),
    requireActive: flag(given(env, 'VOTES_REQUIRE_ACTIVE'), 'VOTES_REQUIRE_ACTIVE'),
  }
}

/** @throws SignalboxError `invalid_argument` */
export function workerSettings(flags: WorkerFlags): WorkerSettings {
  const visibilityMs = parseDuration(flags.visibility ?? '30s', '--visibility')
  if (visibilityMs < MIN_VISIBILITY_MS || visibilityMs > MAX_VISIBILITY_MS) {
    throw invalidInput('--visibility', `--visibility: '${flags.visibility}' must be 1s to 15m`)
  }
  return {
    concurrency: wholeNumber(flags.concurrency ?? '4', { flag: '--concurrency', min: 1, max: 64 }),
    visibilityMs,
    metrics: metricsAddress(flags.metrics ?? '0.0.0.0:9191'),
  }
}

/** @throws SignalboxError `invalid_argument` */
export function logLevel({ logLevel = 'info' }: EngineFlags): LogLevel {
  const level = LEVELS.find((each) => each === logLevel)
  if (level !== undefined) return level
  throw invalidInput(
    '--log-level',
    `--log-level: '${logLevel.slice(0, 40)}' must be one of ${LEVELS.join(', ')}`,
  )
}

function given(env: Surroundings['env'], name: string): string | undefined {
  const value = env[name]?.trim()
  return value === '' ? undefined : value
}

function flag(text: string | undefined, name: string): boolean {
  if (text === undefined || /^(0|false|no|off)$/i.test(text)) return false
  if (/^(1|true|yes|on)$/i.test(text)) return true
  throw invalidInput(name, `${name}: '${text.slice(0, 40)}' must be 1 or 0`)
}

function origins(text: string): readonly string[] {
  const all = text.split(',').map((each) => each.trim()).filter((each) => each !== '') // prettier-ignore
  return all.map((each) => {
    if (each === '*') return each
    const url = URL.canParse(each) ? new URL(each) : undefined
    if (url === undefined || url.origin === 'null') {
      throw invalidInput(
        'API_CORS_ORIGINS',
        `API_CORS_ORIGINS: '${each.slice(0, 80)}' must be an origin such as https://game.example`,
      )
    }
    return url.origin
  })
}
