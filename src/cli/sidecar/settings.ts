/** What `signalbox sidecar` is told by flags and variables, checked. A flag is stronger than a variable. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { checkQueue } from '../../ports/message-checks.ts'
import { portableMessageLimits, type QueueOptions } from '../../ports/message-queue.ts'
import { invalidInput, oneOf, wholeNumber } from '../inputs.ts'
import type { Terminal } from '../terminal.ts'

export interface SidecarFlags {
  readonly engine?: string
  readonly dataDir?: string
  readonly queue?: string
  readonly visibility?: string
  readonly deadLetter?: string
  readonly maxReceives?: string
  readonly region?: string
  readonly profile?: string
  readonly endpoint?: string
  readonly host?: string
  readonly port?: string
  readonly socket?: string
  readonly httpPort?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsClientCa?: string
  readonly insecure?: boolean
  readonly waitTime?: string
  readonly grace?: string
  readonly logLevel?: string
  readonly logBodies?: boolean
}

export interface SidecarSettings {
  readonly engine:
    | { readonly kind: 'sqlite'; readonly directory: string }
    | {
        readonly kind: 'sqs'
        readonly region: string | undefined
        readonly profile: string | undefined
        readonly endpoint: string | undefined
        readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined
      }
  readonly queue: string
  readonly queues: Readonly<Record<string, QueueOptions>>
  readonly host: string
  /** Where gRPC listens: `127.0.0.1:50051` or `unix:/path`. */
  readonly address: string
  readonly httpPort: number | undefined
  readonly tls:
    | { readonly certificate: Buffer; readonly key: Buffer; readonly clientAuthority?: Buffer }
    | undefined
  readonly waitMs: number
  readonly graceMs: number
  readonly logLevel: (typeof LEVELS)[number]
  readonly logBodies: boolean
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
const OF_SQLITE = [
  ['dataDir', '--data-dir'],
  ['visibility', '--visibility'],
  ['deadLetter', '--dead-letter'],
  ['maxReceives', '--max-receives'],
] as const
const OF_SQS = [
  ['region', '--region'],
  ['profile', '--profile'],
  ['endpoint', '--endpoint'],
] as const
const DEFAULT_QUEUE = 'sqs-sample-1'
const DEFAULT_PORT = 50_051

/** @throws SignalboxError `invalid_argument`, `config_invalid` */
export function sidecarSettings(
  flags: SidecarFlags,
  { env, cwd }: Pick<Terminal, 'env' | 'cwd'>,
): SidecarSettings {
  const given = (flag: string | undefined, ...variables: string[]): string | undefined =>
    flag ?? variables.map((name) => env[name]?.trim()).find((value) => value !== undefined && value !== '')
  const queue = given(flags.queue, 'APP_QUEUENAME') ?? DEFAULT_QUEUE
  const host = flags.host ?? '127.0.0.1'
  const port = number(given(flags.port, 'APP_PORT') ?? String(DEFAULT_PORT), '--port')
  const tls = tlsFiles(flags, cwd)
  if (!/^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(host)) refuseExposed(flags)
  return {
    engine: engine(flags, given, cwd),
    queue,
    queues: { [queue]: queueOptions(flags, queue) },
    host,
    address:
      flags.socket === undefined
        ? `${host.includes(':') ? `[${host}]` : host}:${port}`
        : `unix:${resolve(cwd, flags.socket)}`,
    httpPort: flags.httpPort === undefined ? undefined : number(flags.httpPort, '--http-port'),
    tls,
    waitMs: waitMs(flags.waitTime),
    graceMs: parseDuration(flags.grace ?? '25s', '--grace'),
    logLevel: oneOf(LEVELS, flags.logLevel ?? 'info', '--log-level'),
    logBodies: flags.logBodies === true,
  }
}

function engine(
  flags: SidecarFlags,
  given: (flag: string | undefined, ...variables: string[]) => string | undefined,
  cwd: string,
): SidecarSettings['engine'] {
  const chosen = oneOf(['sqlite', 'sqs'] as const, flags.engine ?? 'sqlite', '--engine')
  refuseForeign(flags)
  if (chosen === 'sqlite') {
    const directory = resolve(cwd, given(flags.dataDir, 'SIGNALBOX_DATA_DIR') ?? 'data')
    return { kind: 'sqlite', directory }
  }
  const accessKeyId = given(undefined, 'APP_AWS_ACCESS_KEY_ID')
  const secretAccessKey = given(undefined, 'APP_AWS_SECRET_ACCESS_KEY')
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    const what = 'set both or neither; without them the AWS SDK looks for credentials as everywhere'
    throw new SignalboxError('config_invalid', `APP_AWS_ACCESS_KEY_ID and APP_AWS_SECRET_ACCESS_KEY: ${what}`)
  }
  return {
    kind: 'sqs',
    region: given(flags.region, 'APP_REGION'),
    profile: given(flags.profile, 'APP_PROFILE'),
    endpoint: flags.endpoint,
    credentials:
      accessKeyId === undefined || secretAccessKey === undefined
        ? undefined
        : { accessKeyId, secretAccessKey },
  }
}

function queueOptions(flags: SidecarFlags, queue: string): QueueOptions {
  const { visibility, deadLetter, maxReceives } = flags
  if (maxReceives !== undefined && deadLetter === undefined) {
    throw invalidInput(
      '--max-receives',
      '--max-receives: says when a message goes to --dead-letter; give that too',
    )
  }
  const options = {
    ...(visibility === undefined ? {} : { visibilityMs: parseDuration(visibility, '--visibility') }),
    ...(deadLetter === undefined
      ? {}
      : {
          deadLetter: {
            queue: deadLetter,
            maxReceives: wholeNumber(maxReceives ?? '3', { flag: '--max-receives', min: 1, max: 1_000 }),
          },
        }),
  }
  // On SQS it may be an ARN or a URL, and its options are its own.
  if (flags.engine !== 'sqs') checkQueue(queue, options, portableMessageLimits)
  return options
}

/** A flag of the other engine would be without effect, and nobody would notice. */
function refuseForeign(flags: SidecarFlags): void {
  const sqs = flags.engine === 'sqs'
  const foreign = sqs ? OF_SQLITE : OF_SQS
  const found = foreign.find(([name]) => flags[name] !== undefined)
  if (found === undefined) return
  const [, flag] = found
  const what = sqs ? 'an SQS queue is set where it is made' : 'give --engine sqs too'
  throw invalidInput(flag, `${flag}: is of the engine ${sqs ? 'sqlite' : 'sqs'}; ${what}`)
}

function waitMs(text: string | undefined): number {
  const ms = text === undefined ? 0 : parseDuration(text, '--wait-time')
  if (ms <= portableMessageLimits.waitMs) return ms
  throw invalidInput('--wait-time', `--wait-time: '${text}' is more than 20s, the longest a receive waits`)
}

/** A socket is of this machine, and certificates are asked for on gRPC alone; HTTP is open to whoever reaches it. */
function refuseExposed({ host, insecure, tlsClientCa, socket, httpPort }: SidecarFlags): void {
  const guarded = (socket !== undefined || tlsClientCa !== undefined) && httpPort === undefined
  if (insecure === true || guarded) return
  const how = httpPort === undefined ? 'give --tls-client-ca' : 'leave --http-port away for --tls-client-ca'
  const what = `whoever reaches it may take messages; ${how}, or --insecure for a protected network`
  throw invalidInput('--host', `--host: ${host} is not of this machine alone, and ${what}`)
}

function tlsFiles({ tlsCert, tlsKey, tlsClientCa }: SidecarFlags, cwd: string): SidecarSettings['tls'] {
  if (tlsCert === undefined && tlsKey === undefined && tlsClientCa === undefined) return undefined
  if (tlsCert === undefined || tlsKey === undefined) {
    throw invalidInput('--tls-cert', '--tls-cert and --tls-key: give both, as PEM files')
  }
  return {
    certificate: read(tlsCert, '--tls-cert', cwd),
    key: read(tlsKey, '--tls-key', cwd),
    ...(tlsClientCa === undefined ? {} : { clientAuthority: read(tlsClientCa, '--tls-client-ca', cwd) }),
  }
}

function read(file: string, flag: string, cwd: string): Buffer {
  try {
    return readFileSync(resolve(cwd, file))
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new SignalboxError('config_invalid', `${flag}: cannot read ${file} (${code})`, { cause })
  }
}

function number(text: string, flag: string): number {
  return wholeNumber(text, { flag, min: 0, max: 65_535 })
}
