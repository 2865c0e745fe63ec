import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { isSignalboxError } from '../../kernel/error.ts'
import { sidecarSettings, type SidecarFlags, type SidecarSettings } from './settings.ts'

const cwd = mkdtempSync(join(tmpdir(), 'signalbox-settings-'))
for (const name of ['cert.pem', 'key.pem', 'ca.pem']) writeFileSync(join(cwd, name), name)
afterAll(() => rmSync(cwd, { recursive: true, force: true }))

function settings(flags: SidecarFlags = {}, env: Record<string, string> = {}): SidecarSettings {
  return sidecarSettings(flags, { env, cwd })
}

/** The one line that says what is wrong. */
function problem(flags: SidecarFlags, env: Record<string, string> = {}): string {
  try {
    settings(flags, env)
  } catch (error) {
    if (isSignalboxError(error) && !error.message.includes('\n')) return error.message
    throw error
  }
  throw new Error('it was taken')
}

it('without any flag: the embedded engine, and the reference’s queue and port on loopback', () => {
  expect(settings()).toEqual({
    engine: { kind: 'sqlite', directory: join(cwd, 'data') },
    queue: 'sqs-sample-1',
    queues: { 'sqs-sample-1': {} },
    host: '127.0.0.1',
    address: '127.0.0.1:50051',
    httpPort: undefined,
    tls: undefined,
    waitMs: 0,
    graceMs: 25_000,
    logLevel: 'info',
    logBodies: false,
  })
})

const sqs = { engine: 'sqs' }

describe('each flag and each variable', () => {
  it.each<[string, SidecarFlags, Record<string, string>, object]>([
    ['--queue', { queue: 'orders' }, {}, { queue: 'orders', queues: { orders: {} } }],
    ['APP_QUEUENAME', {}, { APP_QUEUENAME: ' orders ' }, { queue: 'orders' }],
    ['--queue over APP_QUEUENAME', { queue: 'a' }, { APP_QUEUENAME: 'b' }, { queue: 'a' }],
    ['an empty APP_QUEUENAME', {}, { APP_QUEUENAME: '' }, { queue: 'sqs-sample-1' }],
    ['--port', { port: '0' }, {}, { address: '127.0.0.1:0' }],
    ['APP_PORT', {}, { APP_PORT: '50100' }, { address: '127.0.0.1:50100' }],
    ['--port over APP_PORT', { port: '1' }, { APP_PORT: '2' }, { address: '127.0.0.1:1' }],
    ['--host, IPv6', { host: '::1' }, {}, { address: '[::1]:50051' }],
    ['--socket', { socket: 'a.sock' }, {}, { address: `unix:${join(cwd, 'a.sock')}` }],
    ['--http-port', { httpPort: '8080' }, {}, { httpPort: 8_080 }],
    ['--data-dir', { dataDir: 'd' }, {}, { engine: { kind: 'sqlite', directory: join(cwd, 'd') } }],
    ['SIGNALBOX_DATA_DIR', {}, { SIGNALBOX_DATA_DIR: '/d' }, { engine: { kind: 'sqlite', directory: '/d' } }],
    [
      '--visibility, --dead-letter, --max-receives',
      { visibility: '2m', deadLetter: 'dead', maxReceives: '5', queue: 'orders' },
      {},
      { queues: { orders: { visibilityMs: 120_000, deadLetter: { queue: 'dead', maxReceives: 5 } } } },
    ],
    [
      '--dead-letter alone',
      { deadLetter: 'dead', queue: 'q' },
      {},
      { queues: { q: { deadLetter: { queue: 'dead', maxReceives: 3 } } } },
    ],
    ['--wait-time', { waitTime: '20s' }, {}, { waitMs: 20_000 }],
    ['--grace', { grace: '1m' }, {}, { graceMs: 60_000 }],
    [
      '--log-level, --log-bodies',
      { logLevel: 'debug', logBodies: true },
      {},
      { logLevel: 'debug', logBodies: true },
    ],
    [
      '--engine sqs with all of its own',
      { ...sqs, region: 'r', profile: 'p', endpoint: 'http://e' },
      { APP_REGION: 'x', APP_PROFILE: 'y' },
      { engine: { kind: 'sqs', region: 'r', profile: 'p', endpoint: 'http://e', credentials: undefined } },
    ],
    [
      'the reference’s variables',
      sqs,
      {
        APP_REGION: 'us-east-1',
        APP_PROFILE: 'p',
        APP_AWS_ACCESS_KEY_ID: 'i',
        APP_AWS_SECRET_ACCESS_KEY: 's',
      },
      {
        engine: {
          kind: 'sqs',
          region: 'us-east-1',
          profile: 'p',
          endpoint: undefined,
          credentials: { accessKeyId: 'i', secretAccessKey: 's' },
        },
      },
    ],
    [
      'a queue of SQS by its ARN',
      { ...sqs, queue: 'arn:aws:sqs:eu-west-1:123456789012:orders' },
      {},
      { queue: 'arn:aws:sqs:eu-west-1:123456789012:orders' },
    ],
    [
      '--tls-cert, --tls-key',
      { tlsCert: 'cert.pem', tlsKey: 'key.pem' },
      {},
      { tls: { certificate: Buffer.from('cert.pem'), key: Buffer.from('key.pem') } },
    ],
    [
      '--tls-client-ca',
      { tlsCert: 'cert.pem', tlsKey: 'key.pem', tlsClientCa: 'ca.pem' },
      {},
      { tls: { clientAuthority: Buffer.from('ca.pem') } },
    ],
  ])('%s', (_, flags, env, expected) => expect(settings(flags, env)).toMatchObject(expected))
})

describe('says in one line what is wrong with', () => {
  it.each<[string, SidecarFlags, string | RegExp]>([
    ['an engine that there is not', { engine: 'redis' }, /^--engine: 'redis' must be one of sqlite, sqs$/],
    ['a queue’s name', { queue: 'a b' }, /a queue name has 1 to 80 letters/],
    ['a port', { port: '65536' }, /^--port: '65536' must be a whole number from 0 to 65535$/],
    ['a port that is no number', { port: 'x' }, /^--port:/],
    ['the port for HTTP', { httpPort: '-1' }, /^--http-port:/],
    ['a duration', { visibility: 'soon' }, /^--visibility: 'soon' is not a duration/],
    ['a visibility beyond 12 hours', { visibility: '13h' }, /visibility/i],
    ['a dead-letter queue of another kind', { queue: 'a.fifo', deadLetter: 'b' }, /dead-letter/],
    ['--max-receives alone', { maxReceives: '3' }, /^--max-receives: .* --dead-letter/],
    ['--max-receives 0', { deadLetter: 'dead', maxReceives: '0' }, /^--max-receives: '0'/],
    ['a wait beyond 20 seconds', { waitTime: '30s' }, /^--wait-time: '30s' is more than 20s/],
    ['a grace', { grace: '-1s' }, /^--grace:/],
    ['a log level', { logLevel: 'loud' }, /^--log-level: 'loud' must be one of trace, debug/],
    ['half a certificate', { tlsCert: 'cert.pem' }, /give both/],
    ['a client authority without a certificate', { tlsClientCa: 'ca.pem' }, /give both/],
    [
      'a file that is not there',
      { tlsCert: 'no.pem', tlsKey: 'key.pem' },
      /^--tls-cert: cannot read no.pem \(ENOENT\)/,
    ],
    [
      'a region for the embedded engine',
      { region: 'r' },
      /^--region: is of the engine sqs; give --engine sqs too/,
    ],
    ['an endpoint for the embedded engine', { endpoint: 'http://e' }, /^--endpoint:/],
    [
      'a visibility for a queue of SQS',
      { ...sqs, visibility: '1m' },
      /^--visibility: is of the engine sqlite/,
    ],
    ['a dead-letter queue for one of SQS', { ...sqs, deadLetter: 'd' }, /^--dead-letter:/],
    ['a directory for SQS', { ...sqs, dataDir: 'd' }, /^--data-dir:/],
  ])('%s', (_, flags, expected) => expect(problem(flags)).toMatch(expected))

  it('half of the access keys', () => {
    const only = { APP_AWS_ACCESS_KEY_ID: 'i' }
    expect(problem(sqs, only)).toMatch(
      /^APP_AWS_ACCESS_KEY_ID and APP_AWS_SECRET_ACCESS_KEY: set both or neither/,
    )
  })
})
