import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isSignalboxError, type SignalboxError } from '../../kernel/error.ts'
import { loadConfig, type ConfigSources, type LoadedConfig } from './load.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'signalbox-config-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

const write = (text: string, name = 'signalbox.yaml'): void => writeFileSync(join(cwd, name), text)

const load = (sources: Partial<ConfigSources> = {}): Promise<LoadedConfig> =>
  loadConfig({ cwd, env: {}, ...sources })

/** The problems that loading reports, one a line. */
async function problems(sources: Partial<ConfigSources> = {}): Promise<string[]> {
  const error: unknown = await load(sources).then(
    () => new Error('loading succeeded'),
    (thrown: unknown) => thrown,
  )
  if (!isSignalboxError(error, 'config_invalid')) throw error
  return error.message.split('\n')
}

const whereOf = (loaded: LoadedConfig, path: string): string | undefined =>
  loaded.entries.find((entry) => entry.key.path === path)?.where

describe('variables of other tools', () => {
  const env = {
    FIRESTORE_EMULATOR_HOST: 'localhost',
    DYNAMODB_ENDPOINT_URL: 'x',
    GOOGLE_CLOUD_PROJECT: 'a/b',
  }

  it('do not matter to an engine that was not chosen', async () => {
    expect((await load({ env })).config.store.firestore).toEqual({
      database: '(default)',
      collection: 'signalbox',
    })
  })

  it('are checked for the one that was', async () => {
    const found = await problems({ env: { ...env, SIGNALBOX_STORE_ENGINE: 'firestore' } })
    expect(found.map((line) => line.split(':', 1)[0])).toEqual([
      'GOOGLE_CLOUD_PROJECT',
      'FIRESTORE_EMULATOR_HOST',
    ])
  })

  it('may not smuggle in a password', async () => {
    const found = await problems({
      env: { SIGNALBOX_STORE_ENGINE: 'dynamodb', DYNAMODB_ENDPOINT_URL: 'http://u:secret@host' },
    })
    expect(found).toHaveLength(1)
    expect(found[0]).toContain('URL without a user')
  })
})

describe('precedence', () => {
  it('needs no file: every key has a default', async () => {
    const { config, entries, warnings, file } = await load()
    expect(config).toEqual({
      dataDir: './data',
      server: {
        host: '127.0.0.1',
        port: 8080,
        grpcPort: 'auto',
        grpcTls: {},
        auth: 'auto',
        insecure: false,
        drainDelay: { ms: 0 },
        shutdownGrace: { ms: 25_000 },
        requestTimeout: { ms: 30_000 },
        bodyLimitBytes: 1_048_576,
      },
      store: {
        engine: 'sqlite',
        groupCommit: true,
        dynamodb: { table: 'signalbox' },
        firestore: { database: '(default)', collection: 'signalbox' },
      },
      log: { level: 'info', format: 'auto' },
      leases: {
        stabilisationWindow: { ms: 300_000 },
        ttl: { ms: 30_000 },
        expectedBuildCount: 4,
        maxLease: { ms: 21_600_000 },
        coolDown: { ms: 0 },
        anyRepository: false,
      },
      messages: { engine: 'auto', defaultQueue: 'default', queues: undefined, sqs: {} },
      jobs: {
        concurrency: 16,
        processes: 1,
        grace: { ms: 25_000 },
        keepRunsFor: { ms: 604_800_000 },
        keepRuns: 10_000,
      },
      schedules: { trigger: 'auto', eventBridge: { authHeader: 'X-Aws-Event-Bridge-Api-Key' } },
      notifications: {
        foldFor: { ms: 3_600_000 },
        giveUpAfter: { ms: 259_200_000 },
        smtp: { port: 587, tls: 'starttls' },
      },
      repositories: undefined,
      auth: { basic: undefined },
      metrics: { enabled: true },
    })
    expect(new Set(entries.map((entry) => entry.where))).toEqual(new Set(['default']))
    expect(warnings).toEqual([])
    expect(file).toBeUndefined()
  })

  it('rises from file over environment to flags, and says where each value came from', async () => {
    write('server:\n  port: 1001\n  requestTimeout: 10s\nlog:\n  level: warn\n')
    const loaded = await load({
      env: { SIGNALBOX_SERVER_PORT: '1002', SIGNALBOX_LOG_LEVEL: 'error' },
      flags: { 'log.level': 'debug' },
    })
    expect(loaded.config.server.port).toBe(1002)
    expect(loaded.config.server.requestTimeout).toEqual({ ms: 10_000 })
    expect(loaded.config.log.level).toBe('debug')
    expect(whereOf(loaded, 'server.requestTimeout')).toBe('signalbox.yaml:3')
    expect(whereOf(loaded, 'server.port')).toBe('SIGNALBOX_SERVER_PORT')
    expect(whereOf(loaded, 'log.level')).toBe('--log-level')
    expect(whereOf(loaded, 'dataDir')).toBe('default')
  })

  it('lets PORT set the port, and SIGNALBOX_SERVER_PORT win over it', async () => {
    expect((await load({ env: { PORT: '3000' } })).config.server.port).toBe(3000)
    const both = await load({ env: { PORT: '3000', SIGNALBOX_SERVER_PORT: '3001' } })
    expect(both.config.server.port).toBe(3001)
  })

  it('takes an empty variable as not set', async () => {
    const { config } = await load({ env: { SIGNALBOX_LOG_LEVEL: '', SIGNALBOX_CONFIG: ' ', PORT: '' } })
    expect(config.log.level).toBe('info')
    expect(config.server.port).toBe(8080)
  })

  it('reaches every key through its variable', async () => {
    const { config } = await load({
      env: {
        SIGNALBOX_DATA_DIR: '/srv/box',
        SIGNALBOX_SERVER_HOST: '[::1]',
        SIGNALBOX_SERVER_PUBLIC_URL: 'https://box.example.org/',
        SIGNALBOX_SERVER_SHUTDOWN_GRACE: '1m30s',
        SIGNALBOX_SERVER_BODY_LIMIT_BYTES: '2048',
        SIGNALBOX_STORE_GROUP_COMMIT: 'off',
        SIGNALBOX_METRICS_ENABLED: 'false',
      },
    })
    expect(config).toMatchObject({
      dataDir: '/srv/box',
      server: {
        host: '::1',
        publicUrl: 'https://box.example.org',
        shutdownGrace: { ms: 90_000 },
        bodyLimitBytes: 2048,
      },
      store: { groupCommit: false },
      metrics: { enabled: false },
    })
  })
})

describe('keys of the cloud stores', () => {
  it('stand in sections of their section', async () => {
    write('store:\n  engine: dynamodb\n  dynamodb:\n    table: box\n    region: eu-west-1\n')
    const loaded = await load({ flags: { 'store.engine': 'firestore' } })
    expect(loaded.config.store).toMatchObject({
      engine: 'firestore',
      dynamodb: { table: 'box', region: 'eu-west-1' },
    })
    expect(whereOf(loaded, 'store.dynamodb.table')).toBe('signalbox.yaml:4')
  })

  it('come from variables of their own before those that other tools read too', async () => {
    const env = {
      SIGNALBOX_STORE_DYNAMODB_REGION: 'eu-west-1',
      AWS_REGION: 'us-east-1',
      AWS_DEFAULT_REGION: 'us-east-2',
      GOOGLE_CLOUD_PROJECT: 'project-1',
      FIRESTORE_EMULATOR_HOST: '127.0.0.1:8080',
    }
    const stored = async (engine: 'dynamodb' | 'firestore', more: object = {}) =>
      (await load({ env: { ...env, ...more, SIGNALBOX_STORE_ENGINE: engine } })).config.store
    expect((await stored('dynamodb')).dynamodb.region).toBe('eu-west-1')
    expect((await stored('dynamodb', { SIGNALBOX_STORE_DYNAMODB_REGION: '' })).dynamodb.region).toBe(
      'us-east-1',
    )
    expect((await stored('firestore')).firestore).toMatchObject({
      project: 'project-1',
      emulatorHost: '127.0.0.1:8080',
    })
  })

  it('are checked, and an unknown one is told its neighbours', async () => {
    write('store:\n  dynamodb:\n    table: a/b\n    tabel: x\n  firestore: box\n')
    expect(await problems()).toEqual([
      'signalbox.yaml:4: store.dynamodb.tabel: unknown key; store.dynamodb has table, region, endpoint',
      "signalbox.yaml:5: store.firestore: is not a section; write its keys below it, each as 'key: value'",
      "signalbox.yaml:3: store.dynamodb.table: 'a/b' is not a DynamoDB table; write 3 to 255 characters of A-Z a-z 0-9 _ . -",
    ])
    write('store:\n  table: x\n')
    expect(await problems()).toEqual([
      'signalbox.yaml:2: store.table: unknown key; store has engine, groupCommit, dynamodb, firestore',
    ])
  })
})

describe('the file', () => {
  it('is the one named by --config, else by SIGNALBOX_CONFIG', async () => {
    write('log: { level: warn }', 'a.yaml')
    write('log: { level: error }', 'b.yaml')
    const env = { SIGNALBOX_CONFIG: 'b.yaml' }
    expect((await load({ env })).config.log.level).toBe('error')
    expect(await load({ env, file: 'a.yaml' })).toMatchObject({
      config: { log: { level: 'warn' } },
      file: 'a.yaml',
    })
  })

  it('must exist when it is named', async () => {
    expect(await problems({ file: 'no.yaml' })).toEqual([
      'no.yaml: no such file; name a readable file with --config or SIGNALBOX_CONFIG',
    ])
    mkdirSync(join(cwd, 'folder'))
    expect(await problems({ env: { SIGNALBOX_CONFIG: 'folder' } })).toEqual([
      'folder: cannot be read (EISDIR); name a readable file with --config or SIGNALBOX_CONFIG',
    ])
  })

  it('may be empty, have empty sections, and use anchors', async () => {
    write('')
    expect((await load()).config.server.port).toBe(8080)
    write('server:\nlog: &quiet\n  level: warn\n')
    expect((await load()).config).toMatchObject({ server: { port: 8080 }, log: { level: 'warn' } })
    write('dataDir: &dir /srv\nserver:\n  host: ::1\nlog: { level: warn }\n')
    expect((await load()).config.dataDir).toBe('/srv')
  })

  it('is refused as a whole when it is not YAML or says a key twice', async () => {
    write('server:\n  port: 1\n  port: 2\n')
    expect((await problems())[0]).toMatch(/^signalbox\.yaml:3: not valid YAML: Map keys must be unique/)
    write('server: [\n')
    expect((await problems())[0]).toMatch(/^signalbox\.yaml:\d: not valid YAML: /)
    write('dataDir: [*nowhere]\n')
    expect((await problems())[0]).toMatch(/^signalbox\.yaml:1: (dataDir|not valid YAML): .*nowhere/)
    write('just text\n')
    expect(await problems()).toEqual([
      "signalbox.yaml:1: the file: is not a section; write its keys below it, each as 'key: value'",
    ])
  })

  it('fills in placeholders, with defaults, inside text, and a plain $ for $$', async () => {
    write(['dataDir: ${ROOT}/box-${STAGE:-dev}$$', 'server:', '  port: ${BOX_PORT:-9000}'].join('\n'))
    const { config } = await load({ env: { ROOT: '/srv', STAGE: '' } })
    expect(config.dataDir).toBe('/srv/box-dev$')
    expect(config.server.port).toBe(9000)
  })

  it('names a placeholder that is not set or is malformed', async () => {
    write('dataDir: ${NOWHERE}\nlog:\n  level: ${a b}\n  format: ${open\n')
    expect(await problems()).toEqual([
      'signalbox.yaml:1: dataDir: ${NOWHERE} is not set; set the variable NOWHERE or write ${NOWHERE:-default}',
      "signalbox.yaml:3: log.level: '${a b}' is not a placeholder; write ${NAME} or ${NAME:-default}, or $$ for a plain $",
      "signalbox.yaml:4: log.format: '${open' is not a placeholder; write ${NAME} or ${NAME:-default}, or $$ for a plain $",
    ])
  })
})

describe('problems', () => {
  it('name file and line, key, value and remedy', async () => {
    write('log:\n  level: info\nserver:\n  port: abc\n')
    expect(await problems()).toEqual([
      "signalbox.yaml:4: server.port: 'abc' is not a port; write a number from 0 to 65535",
    ])
  })

  it('name the variable or the flag', async () => {
    expect(await problems({ env: { SIGNALBOX_SERVER_PORT: '70000' } })).toEqual([
      "SIGNALBOX_SERVER_PORT: server.port: '70000' is not a port; write a number from 0 to 65535",
    ])
    expect(await problems({ env: { PORT: '-1' } })).toEqual([
      "PORT: server.port: '-1' is not a port; write a number from 0 to 65535",
    ])
    expect(await problems({ flags: { 'log.level': 'loud' } })).toEqual([
      "--log-level: log.level: 'loud' is not a log level; write one of trace, debug, info, warn, error, fatal, silent",
    ])
  })

  it('are listed all at once', async () => {
    write('server:\n  port: 99999\n  host: "a b"\nstore:\n  engine: redis\n')
    expect(await problems({ env: { SIGNALBOX_METRICS_ENABLED: 'maybe' } })).toEqual([
      'signalbox.yaml:2: server.port: 99999 is not a port; write a number from 0 to 65535',
      "signalbox.yaml:3: server.host: 'a b' is not a host; write an IP address or a host name, without port",
      "signalbox.yaml:5: store.engine: 'redis' is not a store engine; write one of sqlite, dynamodb, firestore",
      "SIGNALBOX_METRICS_ENABLED: metrics.enabled: 'maybe' is not a boolean; write true or false",
    ])
  })

  it('are found in a value that a stronger source overrides, too', async () => {
    write('server: { port: abc }')
    expect(await problems({ flags: { 'server.port': '1' } })).toHaveLength(1)
  })

  it.each([
    [
      'server: { shutdownGrace: soon }',
      "'soon' is not a duration; write for example 30s or 2m, from 0ms to 1h",
    ],
    ['server: { shutdownGrace: 2h }', "'2h' is not a duration; write for example 30s or 2m, from 0ms to 1h"],
    ['server: { shutdownGrace: [1] }', '[1] is not a duration; write for example 30s or 2m, from 0ms to 1h'],
    ['server: { bodyLimitBytes: 1.5 }', '1.5 is not a whole number; write a number from 1024 to 67108864'],
    ['server: { port: }', 'null is not a port; write a number from 0 to 65535'],
    [
      'server: { publicUrl: ftp://x }',
      "'ftp://x' is not a web address; write for example https://signalbox.example.org, without path or password",
    ],
    [
      'server: { publicUrl: "https://u:p@x" }',
      "'https://u:p@x' is not a web address; write for example https://signalbox.example.org, without path or password",
    ],
    ['dataDir: ""', "'' is not a path; write the path of a directory"],
  ])('%s', async (text, expected) => {
    write(text)
    expect((await problems())[0]).toMatch(/^signalbox\.yaml:1: [A-Za-z.]+: /)
    expect((await problems())[0]?.replace(/^[^ ]+ [^ ]+ /, '')).toBe(expected)
  })

  it('refuse unknown keys and say which there are', async () => {
    write('port: 1\nserver:\n  prot: 1\nlog: loud\nthings: {}\n')
    expect(await problems()).toEqual([
      'signalbox.yaml:1: port: unknown key; did you mean server.port or notifications.smtp.port?',
      'signalbox.yaml:3: server.prot: unknown key; server has host, port, grpcPort, grpcTls, publicUrl, auth, insecure, drainDelay, shutdownGrace, requestTimeout, bodyLimitBytes',
      "signalbox.yaml:4: log: is not a section; write its keys below it, each as 'key: value'",
      'signalbox.yaml:5: things: unknown key; there are dataDir, repositories, server, store, log, leases, messages, jobs, schedules, notifications, auth, metrics',
    ])
  })

  it('carry the exit code of a configuration error', async () => {
    const error = await load({ file: 'no.yaml' }).catch((thrown: unknown) => thrown)
    expect((error as SignalboxError).facts.exit).toBe(78)
  })
})

describe('authentication', () => {
  it('is automatic or required', async () => {
    const { config } = await load({ flags: { 'server.auth': 'required' } })
    expect(config.server.auth).toBe('required')
    expect(await problems({ flags: { 'server.auth': 'off' } })).toEqual([
      "--auth: server.auth: 'off' is not an authentication mode; write one of auto, required",
    ])
  })
})

describe('variables', () => {
  it('that match no key are warned about', async () => {
    const { warnings } = await load({ env: { SIGNALBOX_SERVER_PROT: '1', OTHER: 'x' } })
    expect(warnings).toEqual([
      'SIGNALBOX_SERVER_PROT: no configuration key has this variable; it changes nothing',
    ])
  })

  it('of our clients and of Kubernetes services are not', async () => {
    const names =
      'URL TOKEN CONFIG FENCE TURN QUEUE PORT PORT_8080_TCP_ADDR SERVICE_HOST SERVICE_PORT_HTTP'.split(' ')
    write('', 'x.yaml')
    const env = Object.fromEntries(names.map((name) => [`SIGNALBOX_${name}`, 'x.yaml']))
    expect((await load({ env })).warnings).toEqual([])
  })
})
