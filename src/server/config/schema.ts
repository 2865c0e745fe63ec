/**
 * The configuration: every key with its default, its meaning and its flag. This schema is the single source: the loader
 * checks by it, `signalbox serve` takes its flags from it, `signalbox config print` and docs/configuration.md show it.
 *
 * To add a key: one line here, made by a reader of `values.ts`; then `node tools/generate-docs.ts`.
 */
import { z } from 'zod'
import { choice, duration, host, integer, path, port, toggle, webAddress } from './values.ts'

interface KeyFacts {
  /** The flag of `signalbox serve` that sets this key. */
  readonly flag?: `--${string}`
  /** A further environment variable, weaker than the regular one. */
  readonly alsoEnv?: string
  /** Never shown: `config print` and messages mask the value. */
  readonly secret?: boolean
}

/** Facts about keys that zod has no place for. */
export const keyFacts = z.registry<KeyFacts>()

const SECOND = 1_000
const MIB = 1024 * 1024

const key = <S extends z.ZodType>(schema: S, meaning: string, facts: KeyFacts = {}): S => {
  const described = schema.describe(meaning)
  keyFacts.add(described, facts)
  return described
}

const server = z.strictObject({
  host: key(host().prefault('127.0.0.1'), 'Address to listen on.', { flag: '--host' }),
  port: key(
    port().prefault(8080),
    'TCP port of the HTTP API and the console; 0 takes any free one. `PORT` is honoured too.',
    { flag: '--port', alsoEnv: 'PORT' },
  ),
  publicUrl: key(
    webAddress().optional(),
    'Address under which people and clients reach this server, if a proxy stands before it.',
    { flag: '--public-url' },
  ),
  auth: key(
    choice('authentication mode', ['auto', 'required']).prefault('auto'),
    'Who must present a token: with `required` everybody but the owner of the data directory on its socket; with `auto` the same, except on a server that listens on this machine alone and has no public address.',
    { flag: '--auth' },
  ),
  insecure: key(
    toggle().prefault(false),
    'Listen beyond this machine although there is no token; with `auth: auto` nobody has to sign in. For networks that are protected otherwise.',
    { flag: '--insecure' },
  ),
  shutdownGrace: key(
    duration({ ms: 0 }, { ms: 3_600 * SECOND }).prefault('25s'),
    'After SIGTERM: how long calls in flight may take to finish.',
  ),
  requestTimeout: key(
    duration({ ms: SECOND }, { ms: 3_600 * SECOND }).prefault('30s'),
    'How long a client may take to send a request whole. Waiting for an answer is not limited by it.',
  ),
  bodyLimitBytes: key(integer(1_024, 64 * MIB).prefault(MIB), 'Largest request body.'),
})

/** The whole configuration, strict: an unknown key is refused. */
export const configSchema = z.strictObject({
  dataDir: key(
    path().prefault('./data'),
    'Directory of the embedded store; a relative one counts from the working directory.',
    { flag: '--data-dir' },
  ),
  server: server.prefault({}),
  store: z
    .strictObject({
      engine: key(choice('store engine', ['sqlite']).prefault('sqlite'), 'Where records are kept.'),
      groupCommit: key(
        toggle().prefault(true),
        'One durable transaction for all commits of one turn of the event loop. Off: one for each, several times slower.',
      ),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: key(
        choice('log level', ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).prefault('info'),
        'Least important level to log; `debug` adds one line a request.',
        { flag: '--log-level' },
      ),
      format: key(
        choice('log format', ['auto', 'json', 'text']).prefault('auto'),
        '`json` for machines, `text` for people, `auto` for text on a terminal and JSON elsewhere.',
        { flag: '--log-format' },
      ),
    })
    .prefault({}),
  metrics: z
    .strictObject({ enabled: key(toggle().prefault(true), 'Serve Prometheus metrics under `/metrics`.') })
    .prefault({}),
})

/** The configuration in force: every key has a value. */
export type Config = z.output<typeof configSchema>

/** Does this address stay on this machine? A name other than `localhost` counts as not. */
export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127(?:\.\d{1,3}){3}$/.test(address)
}
