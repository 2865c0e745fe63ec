/** `signalbox messages` against a real server: over HTTP, gRPC, TLS and the owner's socket. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newAuthority } from '../../test/support/certificates.ts'
import { systemClock } from '../kernel/clock.ts'
import { seededRandom } from '../kernel/id.ts'
import { configSchema } from '../server/config/schema.ts'
import { createLogger } from '../server/logger.ts'
import { startServer, type RunningServer } from '../server/serve.ts'
import { createClient } from '../client/client.ts'
import { run } from './program.ts'
import { startSidecar, type RunningSidecar } from './sidecar/run.ts'
import { sidecarSettings } from './sidecar/settings.ts'

let dir: string
let server: RunningServer
let token: string
let viewer: string
let sidecar: RunningSidecar
const silent = createLogger({ level: 'silent', format: 'json' }, false, { write: () => true })

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'signalbox-cli-messages-'))
  const authority = newAuthority()
  const { certificate, key } = authority.issue('server')
  writeFileSync(join(dir, 'ca.pem'), authority.certificate)
  writeFileSync(join(dir, 'cert.pem'), certificate)
  writeFileSync(join(dir, 'key.pem'), key)
  const config = {
    dataDir: join(dir, 'data'),
    server: {
      port: 0,
      auth: 'required',
      shutdownGrace: '0s',
      grpcTls: { certificate: join(dir, 'cert.pem'), key: join(dir, 'key.pem') },
    },
    messages: { queues: { orders: { deadLetter: { queue: 'orders-dead', maxReceives: 1 } } } },
  }
  const parts = { clock: systemClock, random: seededRandom(7), logger: silent }
  server = await startServer(configSchema.parse(config), { ...parts, command: 'signalbox serve' })
  const client = createClient({ ...parts, socketPath: join(dir, 'data/owner.sock') })
  const make = async (role: 'operator' | 'viewer'): Promise<string> =>
    (await client.access.createToken({ name: role, role })).secret
  token = await make('operator')
  viewer = await make('viewer')
  await client.close()
  const flags = { socket: 'side.sock', dataDir: 'data', queue: 'orders', grace: '0s' }
  sidecar = await startSidecar(sidecarSettings(flags, { env: {}, cwd: dir }), parts)
})
afterAll(async () => {
  await sidecar.close()
  await server.close()
  rmSync(dir, { recursive: true })
})

interface Ran {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

async function messages(line: string, env: Readonly<Record<string, string>> = {}, cwd = dir): Promise<Ran> {
  const printed = { stdout: '', stderr: '' }
  const exit = await run({
    argv: ['messages', ...line.split(' ')],
    env,
    cwd,
    stdout: { write: (text) => (printed.stdout += text) },
    stderr: { write: (text) => (printed.stderr += text) },
  })
  return { exit, ...printed }
}

describe('the same queue is reached', () => {
  const grpcs = (): string => `grpcs://${server.grpcAddress}`

  it.each([
    ['on the owner’s socket of ./data, without a token', '', () => ({})],
    ['on that of --data-dir', '--data-dir data', () => ({ SIGNALBOX_URL: 'http://127.0.0.1:1' })],
    ['on that of SIGNALBOX_DATA_DIR', '', () => ({ SIGNALBOX_DATA_DIR: join(dir, 'data') })],
    ['over HTTP', '', () => ({ SIGNALBOX_URL: server.url, SIGNALBOX_TOKEN: token })],
    ['over gRPC with TLS', '--tls-ca ca.pem', () => ({ SIGNALBOX_URL: grpcs(), SIGNALBOX_TOKEN: token })],
    ['on a sidecar’s socket', '--url unix:side.sock', () => ({})],
  ])('%s', async (_, flags, env) => {
    const at = (line: string): Promise<Ran> => messages(`${line} ${flags}`.trim(), env())
    expect(await at('send orders one two --attribute a=b')).toMatchObject({ exit: 0, stderr: '' })
    expect(JSON.parse((await at('stats orders --json')).stdout)).toMatchObject({ visible: 2, inFlight: 0 })
    expect((await at('peek orders')).stdout).toContain('visible  0')
    expect(await at('receive orders --max 10 --delete')).toEqual({
      exit: 0,
      stdout: 'one\ntwo\n',
      stderr: '',
    })
    expect(JSON.parse((await at('stats orders --json')).stdout)).toMatchObject({ visible: 0, inFlight: 0 })
    await at('send orders-dead gone')
    expect((await at('redrive orders-dead --to orders')).stdout).toBe('moved 1, left 0\n')
    expect(await at('purge orders --yes')).toMatchObject({ exit: 0, stdout: 'purged orders\n' })
    expect((await at('receive nonesuch')).stderr).toMatch(/^signalbox: there is no queue 'nonesuch'/)
  })
})

describe('what fails says why, in one line', () => {
  it.each([
    ['stats orders', () => ({ SIGNALBOX_URL: server.url }), 77, 'no credential came with the call'],
    [
      'send orders x --tls-ca ca.pem',
      () => ({ SIGNALBOX_URL: `grpcs://${server.grpcAddress}`, SIGNALBOX_TOKEN: viewer }),
      77,
      "token 'viewer' has the role viewer; this needs the role operator",
    ],
    [
      'stats orders --tls-ca ca.pem',
      () => ({ SIGNALBOX_URL: `grpcs://${server.grpcAddress}` }),
      77,
      'no credential came with the call',
    ],
    ['stats orders --url grpc://127.0.0.1:1', () => ({}), 69, 'nobody answers at 127.0.0.1:1 (ECONNREFUSED)'],
    ['stats orders --url unix:none.sock', () => ({}), 69, '(ENOENT)'],
    ['stats orders', () => ({ APP_PORT: '1' }), 69, 'nobody answers at 127.0.0.1:1 (ECONNREFUSED)'],
    [
      'stats orders --url grpc://x',
      () => ({}),
      64,
      "--url: 'grpc://x' is not an address; write for example grpc://127.0.0.1:50052",
    ],
    ['stats orders --url ftp://x', () => ({}), 64, 'is not an http:// or https:// URL'],
    [
      'stats orders --url grpc://127.0.0.1:1 --data-dir d',
      () => ({}),
      64,
      '--url and --data-dir: give one of them',
    ],
    [
      'stats orders --url http://127.0.0.1:1 --tls-ca ca.pem',
      () => ({}),
      64,
      '--tls-ca: is for grpcs:// addresses',
    ],
    ['stats orders --url grpcs://127.0.0.1:1 --tls-ca none.pem', () => ({}), 64, '--tls-ca: cannot read'],
    ['stats orders --data-dir elsewhere', () => ({}), 69, 'no server owns the data directory'],
  ])('%s', async (line, env, exit, problem) => {
    const ran = await messages(line, env())
    expect(ran).toMatchObject({ exit, stdout: '' })
    expect(ran.stderr).toContain(problem)
    expect(ran.stderr.trimEnd()).not.toContain('\n')
  })

  it('an explicit URL is stronger than APP_PORT', async () => {
    const env = { APP_PORT: '1', SIGNALBOX_URL: server.url, SIGNALBOX_TOKEN: token }
    expect(await messages('stats orders', env)).toMatchObject({ exit: 0 })
  })

  it('a certificate of another authority is not trusted', async () => {
    writeFileSync(join(dir, 'other.pem'), newAuthority().certificate)
    const env = { SIGNALBOX_URL: `grpcs://${server.grpcAddress}`, SIGNALBOX_TOKEN: token }
    const { exit, stderr } = await messages('stats orders --tls-ca other.pem', env)
    expect([exit, stderr]).toEqual([69, expect.stringContaining(server.grpcAddress ?? '')])
  })
})

it('an attached sidecar leaves the options of a queue as the server gave them', async () => {
  await messages('stats orders --url unix:side.sock')
  const answer = await fetch(`${server.url}/api/v1/messages/orders/options`, {
    headers: { authorization: `Bearer ${token}` },
  })
  expect(await answer.json()).toMatchObject({ deadLetter: { queue: 'orders-dead', maxReceives: 1 } })
})
