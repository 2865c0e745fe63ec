import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import http from 'node:http'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startOidcIssuer } from '../../test/support/oidc-issuer.ts'
import { systemClock, type Clock } from '../kernel/clock.ts'
import { seededRandom } from '../kernel/id.ts'
import { ownerSocketPath } from '../server/listen.ts'
import { connect } from './connect.ts'
import { refuseForeignSocket } from './owner-socket.ts'
import type { Connection, ConnectOptions } from './context.ts'

let dir: string
const cleanups: (() => unknown)[] = []
/** Where nothing listens. */
const NOWHERE = { host: '127.0.0.1', port: 1 }
/** Real time, a hundred times as fast: an owner that is away is not waited for. */
const clock: Clock = {
  ...systemClock,
  monotonic: () => systemClock.monotonic() * 100,
  timer: (ms, fire) => systemClock.timer(ms / 100, fire),
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'signalbox-connect-'))
  cleanups.push(() => rmSync(dir, { recursive: true, force: true }))
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function attach(
  options: ConnectOptions,
  env: Record<string, string> = {},
  fallback = NOWHERE,
  time = clock,
): Promise<Connection> {
  const facts = { cwd: dir, env, clock: time, random: seededRandom(1), fallback }
  const connection = await connect(options, facts)
  cleanups.push(() => connection.close())
  return connection
}

/** A server with one queue, whose name tells which server it is. */
async function serve(name: string, at?: string): Promise<{ url: string; port: number; tokens: unknown[] }> {
  const tokens: unknown[] = []
  const server = http.createServer((request, response) => {
    tokens.push(request.headers.authorization)
    const queue = { queue: name, permits: 1, state: 'open', holding: 0, waiting: 0 }
    const health = { status: 'ok', name: 'signalbox', version: '0.1.0' }
    response.end(JSON.stringify(request.url === '/healthz' ? health : { queues: [queue] }))
  })
  await listen(server, at)
  cleanups.push(() => server.closeAllConnections())
  const address = server.address()
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0
  return { url: `http://127.0.0.1:${port}`, port, tokens }
}

async function listen(server: Server, at?: string): Promise<void> {
  await new Promise<void>((done) =>
    at === undefined ? server.listen(0, '127.0.0.1', done) : server.listen(at, done),
  )
  cleanups.push(() => new Promise((done) => server.close(done)))
}

function dataDir(name: string): string {
  const path = join(dir, name)
  mkdirSync(path, { recursive: true })
  return path
}

const whoAnswers = async ({ turns }: Connection): Promise<string | undefined> =>
  (await turns.list()).queues[0]?.queue

describe('which server a command talks to', () => {
  test('a URL, from the flag before the environment, is used as it is', async () => {
    const [flag, env] = [await serve('flag'), await serve('env')]
    const connection = await attach({ url: flag.url }, { SIGNALBOX_URL: env.url })
    expect([await whoAnswers(connection), connection.describe]).toEqual(['flag', flag.url])
    expect(await whoAnswers(await attach({}, { SIGNALBOX_URL: env.url }))).toBe('env')
    const away = await attach({}, { SIGNALBOX_URL: 'http://127.0.0.1:1' })
    expect(away.describe).toBe('http://127.0.0.1:1')
  })

  test('a data directory means its owner, through the socket, named by flag or environment', async () => {
    const [one, two] = [dataDir('one'), dataDir('two')]
    await serve('one', ownerSocketPath(one))
    await serve('two', ownerSocketPath(two))
    const byFlag = await attach(
      { dataDir: one },
      { SIGNALBOX_DATA_DIR: two, SIGNALBOX_URL: 'http://127.0.0.1:1' },
    )
    expect([await whoAnswers(byFlag), byFlag.describe]).toEqual(['one', `the server that owns ${one}`])
    expect(await whoAnswers(await attach({}, { SIGNALBOX_DATA_DIR: two }))).toBe('two')
    expect(await whoAnswers(await attach({ dataDir: 'two' }))).toBe('two')
  })

  test('a directory whose path is too long for a socket works too', async () => {
    const long = dataDir('x'.repeat(150))
    await serve('long', ownerSocketPath(long))
    expect(await whoAnswers(await attach({ dataDir: long }))).toBe('long')
  })

  test('a socket in the temporary directory must be this user’s own, and a socket', async () => {
    const long = dataDir('y'.repeat(150))
    const path = ownerSocketPath(long)
    await serve('long', path)
    expect(() => refuseForeignSocket(path)).not.toThrow()
    expect(() => refuseForeignSocket(path, (process.getuid?.() ?? 0) + 1)).toThrow(
      `${path}: is not a socket of this user, so it may not be asked; run as`,
    )
    expect(() => refuseForeignSocket(join(dir, 'nothing'))).not.toThrow()
    const other = dataDir('z'.repeat(150))
    symlinkSync(path, ownerSocketPath(other))
    cleanups.push(() => rmSync(ownerSocketPath(other)))
    await expect(attach({ dataDir: other })).rejects.toMatchObject({ code: 'permission_denied' })
  })

  test('a named directory without an owner is an error, even if another server answers', async () => {
    const { port } = await serve('other')
    const named = dataDir('named')
    const fallback = { host: '127.0.0.1', port }
    const refused = expect(attach({ dataDir: named }, {}, fallback)).rejects
    await refused.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining(`--data-dir ${named}`) as string,
    })
    await expect(attach({}, { SIGNALBOX_DATA_DIR: named }, fallback)).rejects.toMatchObject({
      code: 'unavailable',
    })
  })

  test('a socket left behind by a dead owner is not an owner; one that comes back is found', async () => {
    const path = dataDir('restart')
    const socket = ownerSocketPath(path)
    const dead = createServer()
    await new Promise<void>((done) => dead.listen(socket, done))
    // Closing would remove the file; a killed process leaves it.
    renameSync(socket, `${socket}.kept`)
    await new Promise((done) => dead.close(done))
    renameSync(`${socket}.kept`, socket)
    await expect(attach({ dataDir: path })).rejects.toMatchObject({ code: 'unavailable' })

    const found = connect(
      { dataDir: path },
      { cwd: dir, env: {}, clock: systemClock, random: seededRandom(1) },
    )
    rmSync(socket)
    await serve('restarted', socket)
    const connection = await found
    cleanups.push(() => connection.close())
    expect(await whoAnswers(connection)).toBe('restarted')
  })

  test('nothing named: the owner of ./data', async () => {
    await serve('here', ownerSocketPath(dataDir('data')))
    expect(await whoAnswers(await attach({}))).toBe('here')
  })

  test('nothing named, no owner: the default address, if a Signalbox answers there', async () => {
    const { port, url } = await serve('default')
    const connection = await attach({}, {}, { host: '127.0.0.1', port })
    expect([await whoAnswers(connection), connection.describe]).toEqual(['default', url])
  })

  test('nothing there: one line that says how to start one', async () => {
    await expect(attach({})).rejects.toMatchObject({
      code: 'unavailable',
      message:
        "no server is running; start one with 'signalbox serve' (in a clone: npm start), or set SIGNALBOX_URL",
    })
  })

  test('something else there is not taken for a server', async () => {
    const other = createServer((socket) => socket.write('220 mail ready\r\n', () => socket.destroy()))
    await listen(other)
    const { port } = other.address() as { port: number }
    await expect(attach({}, {}, { host: '127.0.0.1', port })).rejects.toMatchObject({ code: 'unavailable' })
  })
})

describe('or which engine', () => {
  test('a server that was named goes before an engine in the environment', async () => {
    const { url } = await serve('named')
    expect(await whoAnswers(await attach({ url }, { SIGNALBOX_BACKEND: 'aws' }))).toBe('named')
    await serve('owner', ownerSocketPath(dataDir('mine')))
    expect(await whoAnswers(await attach({ dataDir: 'mine' }, { SIGNALBOX_BACKEND: 'gcp' }))).toBe('owner')
    const byFlag = await attach({ backend: 'server' }, { SIGNALBOX_BACKEND: 'aws', SIGNALBOX_URL: url })
    expect(await whoAnswers(byFlag)).toBe('named')
  })

  test('an engine that was chosen goes before every server that could be found', async () => {
    const { url, port } = await serve('found')
    await serve('owner', ownerSocketPath(dataDir('data')))
    const fallback = { host: '127.0.0.1', port }
    const env = { SIGNALBOX_URL: url, SIGNALBOX_DATA_DIR: 'data', AWS_REGION: 'eu-west-1' }
    for (const connection of [
      await attach({ backend: 'aws' }, env, fallback),
      await attach({}, { ...env, SIGNALBOX_BACKEND: 'dynamodb' }, fallback),
    ]) {
      expect(connection.describe).toBe('DynamoDB table github-actions-dynamo-q-queue (eu-west-1)')
      expect([connection.store?.limits.keys, connection.server]).toEqual(['decimal', undefined])
    }
  })
})

describe('what turn doctor asks', () => {
  test('how the server was found, and what it says to everybody', async () => {
    const { url } = await serve('a')
    const { settings, server } = await attach({ url }, { SIGNALBOX_TOKEN: 'secret' })
    expect(settings).toEqual([
      { name: 'server', value: url, from: '--url' },
      { name: 'token', value: '********', from: 'SIGNALBOX_TOKEN' },
    ])
    expect(await server?.hello()).toMatchObject({ version: '0.1.0', now: expect.any(Number) as number })
    const socket = ownerSocketPath(dataDir('owned'))
    await serve('owner', socket)
    const owner = await attach({}, { SIGNALBOX_DATA_DIR: 'owned' })
    expect(owner.settings).toEqual([
      { name: 'owner of', value: join(dir, 'owned'), from: 'SIGNALBOX_DATA_DIR' },
    ])
    expect(await owner.server?.hello()).toMatchObject({ version: '0.1.0' })
  })

  test('somebody else at the address, and nobody, are told apart', async () => {
    const other = http.createServer((_, response) => response.end('hello'))
    await listen(other)
    const { port } = other.address() as { port: number }
    const { server } = await attach({ url: `http://127.0.0.1:${port}/prefix/` })
    await expect(server?.hello()).rejects.toMatchObject({
      code: 'unavailable',
      message: `what answers at http://127.0.0.1:${port}/prefix is not Signalbox (status 200); check the address`,
    })
    const away = await attach({ url: 'http://127.0.0.1:1' })
    await expect(away.server?.hello()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/cannot connect \(ECONNREFUSED\)/) as string,
    })
  })
})

describe('inputs', () => {
  test('the token goes with every call', async () => {
    const { url, tokens } = await serve('a')
    await whoAnswers(await attach({ url }, { SIGNALBOX_TOKEN: 'secret\n' }))
    expect(tokens).toEqual(['Bearer secret'])
  })

  test('without a token, an ID token of GitHub for the named audience goes with every call; not to a socket', async () => {
    const issuer = await startOidcIssuer(() => clock.now())
    cleanups.push(() => issuer.close())
    const env = { ...issuer.jobEnv(), SIGNALBOX_OIDC_AUDIENCE: 'https://box.example' }
    const { url, tokens } = await serve('a')
    const connection = await attach({ url }, env, NOWHERE, systemClock)
    await whoAnswers(connection)
    await whoAnswers(connection)
    const [token] = tokens
    expect(tokens).toEqual([expect.stringMatching(/^Bearer eyJ/), token])
    expect(decodeJwt(String(token).slice('Bearer '.length)).aud).toBe('https://box.example')
    expect(connection.settings).toContainEqual({
      name: 'ID token of GitHub for',
      value: 'https://box.example',
      from: 'SIGNALBOX_OIDC_AUDIENCE',
    })
    await whoAnswers(await attach({ url }, { ...env, SIGNALBOX_TOKEN: 'secret' }))
    await whoAnswers(await attach({ url }, { ...env, SIGNALBOX_OIDC_AUDIENCE: ' ' }))
    expect(tokens.slice(2)).toEqual(['Bearer secret', undefined])
    const owned = dataDir('owned')
    const owner = await serve('owned', ownerSocketPath(owned))
    await whoAnswers(await attach({ dataDir: owned }, { SIGNALBOX_OIDC_AUDIENCE: 'https://box.example' }))
    expect(owner.tokens).toEqual([undefined])
  })

  test('an audience where the job may have no ID token is refused with the permission that is missing', async () => {
    const env = { SIGNALBOX_OIDC_AUDIENCE: 'https://box.example' }
    await expect(attach({ url: 'http://127.0.0.1:1' }, env)).rejects.toMatchObject({
      code: 'unauthenticated',
      message: expect.stringMatching(/permissions: id-token: write/) as string,
    })
  })

  test('empty variables count as unset', async () => {
    const { port } = await serve('default')
    const empty = { SIGNALBOX_URL: '', SIGNALBOX_DATA_DIR: ' ', SIGNALBOX_TOKEN: '' }
    expect(await whoAnswers(await attach({}, empty, { host: '127.0.0.1', port }))).toBe('default')
  })

  test.each([
    [{ url: 'http://a', dataDir: 'b' }, /give one of them/],
    [{ url: 'localhost:8080' }, /not an http/],
    [{ url: '' }, /not an http/],
  ])('%o is refused', async (options, message) => {
    await expect(attach(options)).rejects.toThrow(message)
  })
})
