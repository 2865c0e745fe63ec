import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openAttachedStore } from '../drivers/attached/index.ts'
import { systemClock, type Clock } from '../kernel/clock.ts'
import type { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { configSchema } from './config/schema.ts'
import { createLogger } from './logger.ts'
import { startServer, type RunningServer } from './serve.ts'

interface Started extends RunningServer {
  readonly dataDir: string
  readonly logged: Record<string, unknown>[]
}

function newDataDir(): string {
  const parent = mkdtempSync(join(tmpdir(), 'signalbox-serve-'))
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }))
  return join(parent, 'data')
}

async function start(
  options: {
    readonly dataDir?: string
    readonly port?: number
    readonly clock?: Clock
    readonly server?: object
  } = {},
): Promise<Started> {
  const { dataDir = newDataDir(), port = 0, clock = systemClock, server: keys = {} } = options
  const logged: Record<string, unknown>[] = []
  const out = { write: (line: string) => void logged.push(JSON.parse(line) as Record<string, unknown>) }
  const server = await startServer(configSchema.parse({ dataDir, server: { port, ...keys } }), {
    clock,
    random: seededRandom(7),
    logger: createLogger({ level: 'info', format: 'json' }, false, out),
    command: 'signalbox serve',
  })
  onTestFinished(() => server.close())
  return { ...server, dataDir, logged }
}

interface Answer {
  readonly status: number
  readonly body: unknown
}

/** One call, over TCP or over the owner's socket. */
function call(
  where: { readonly url: string } | { readonly socketPath: string },
  path: string,
  body?: object,
): Promise<Answer> {
  const target = 'url' in where ? { host: '127.0.0.1', port: new URL(where.url).port } : where
  return new Promise((resolve, reject) => {
    const options = {
      ...target,
      path,
      method: body === undefined ? 'GET' : 'POST',
      agent: false,
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...('url' in where ? {} : { host: 'owner' }),
      },
    }
    const request = httpRequest(options, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += String(chunk)))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as unknown }),
      )
    })
    request.on('error', reject)
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

const failure = async (attempt: Promise<unknown>): Promise<SignalboxError> =>
  attempt.then(
    () => Promise.reject(new Error('it started')),
    (error: unknown) => error as SignalboxError,
  )

const join1 = { id: 'member-0001' }

describe('a started server', () => {
  it('is ready, takes turns, and says so in one line', async () => {
    const server = await start()
    expect(await call(server, '/readyz')).toEqual({ status: 200, body: { status: 'ready' } })
    expect(await call(server, '/api/v1/turns/deploy/members', join1)).toMatchObject({
      status: 200,
      body: { state: 'holding', fence: 1 },
    })
    expect(server.logged).toEqual([
      {
        level: 'info',
        time: expect.any(String),
        url: server.url,
        console: `${server.url}/console`,
        grpc: server.grpcAddress,
        dataDir: server.dataDir,
        store: 'sqlite',
        messages: 'sqlite',
        startupMs: expect.any(Number),
        msg: expect.stringMatching(/^Signalbox \d+\.\d+\.\d+ is ready$/),
      },
    ])
  })

  it('serves the same API to its own user on the socket beside the data, and tells others where', async () => {
    const server = await start()
    const socketPath = join(server.dataDir, 'owner.sock')
    expect(statSync(socketPath).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(join(server.dataDir, 'owner.json'), 'utf8'))).toMatchObject({
      pid: process.pid,
      command: 'signalbox serve',
      url: server.url,
      socket: socketPath,
    })
    await call(server, '/api/v1/turns/deploy/members', join1)
    expect(await call({ socketPath }, '/api/v1/turns/deploy')).toMatchObject({
      status: 200,
      body: { queue: 'deploy', holders: [{ id: 'member-0001' }] },
    })
  })

  it('lends its store to processes that attach through the socket', async () => {
    const server = await start()
    const socketPath = join(server.dataDir, 'owner.sock')
    const store = await openAttachedStore({ socketPath, clock: systemClock, random: seededRandom(1) })
    onTestFinished(() => store.close())
    await call(server, '/api/v1/turns/deploy/members', join1)
    const committed = await store.commit([{ key: ['test', 'a'], expect: 'absent', op: 'put', value: 1 }])
    expect(committed).toMatchObject({ ok: true })
    expect(await store.get(['test', 'a'])).toMatchObject({ value: 1 })
    await server.close()
  })

  it('counts turns', async () => {
    const server = await start()
    await call(server, '/api/v1/turns/deploy/members', join1)
    const metrics = await fetch(`${server.url}/metrics`).then((response) => response.text())
    expect(metrics).toContain('signalbox_turns_events_total{event="granted"} 1')
    expect(metrics).toContain('signalbox_turns_wait_seconds_count 1')
  })

  it.each([
    ['NONSENSE\r\n\r\n', /^HTTP\/1\.1 400 .*"message":"this is not an HTTP request"/s],
    [
      `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
      /^HTTP\/1\.1 431 .*larger than 16 KiB/s,
    ],
  ])('answers what is not a request in the form of all errors', async (sent, answer) => {
    const server = await start()
    const peer = connect(server.address.port, '127.0.0.1')
    const received = text(peer)
    peer.write(sent)
    expect(await received).toMatch(answer)
  })

  it('describes every route', async () => {
    const server = await start()
    const { body } = await call(server, '/openapi.json')
    const { paths } = body as { paths: Record<string, Record<string, { operationId: string }>> }
    const operations = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    )
    const ids = Object.values(paths).flatMap((item) => Object.values(item).map((o) => o.operationId))
    expect(new Set(ids).size).toBe(operations.length)
    expect(operations.sort()).toEqual([
      'DELETE /api/v1/notifications/{id}',
      'DELETE /api/v1/schedules/{name}',
      'DELETE /api/v1/tokens/{id}',
      'DELETE /api/v1/turns/{queue}/members/{id}',
      'DELETE /{owner}/{repo}/{baseRef}',
      'GET /',
      'GET /api/v1/audit',
      'GET /api/v1/jobs',
      'GET /api/v1/jobs/{name}',
      'GET /api/v1/leases',
      'GET /api/v1/leases/{provider}',
      'GET /api/v1/leases/{provider}/history',
      'GET /api/v1/messages',
      'GET /api/v1/messages/{queue}',
      'GET /api/v1/messages/{queue}/options',
      'GET /api/v1/messages/{queue}/peek',
      'GET /api/v1/notification-channels',
      'GET /api/v1/notifications',
      'GET /api/v1/notifications/{id}',
      'GET /api/v1/runs',
      'GET /api/v1/runs/{id}',
      'GET /api/v1/runs/{id}/events',
      'GET /api/v1/runs/{id}/log',
      'GET /api/v1/schedules',
      'GET /api/v1/schedules-preview',
      'GET /api/v1/schedules/{name}',
      'GET /api/v1/tokens',
      'GET /api/v1/turns',
      'GET /api/v1/turns/{queue}',
      'GET /api/v1/turns/{queue}/history',
      'GET /{owner}/{repo}/{baseRef}',
      'PATCH /api/v1/schedules/{name}',
      'POST /api/v1/jobs',
      'POST /api/v1/jobs/{name}/runs',
      'POST /api/v1/leases/{provider}/clear',
      'POST /api/v1/messages/{queue}/delete',
      'POST /api/v1/messages/{queue}/purge',
      'POST /api/v1/messages/{queue}/receive',
      'POST /api/v1/messages/{queue}/redrive',
      'POST /api/v1/messages/{queue}/send',
      'POST /api/v1/messages/{queue}/visibility',
      'POST /api/v1/notification-channels/{channel}/test',
      'POST /api/v1/notifications/{id}/retry',
      'POST /api/v1/runs',
      'POST /api/v1/runs/orders',
      'POST /api/v1/runs/{id}/beat',
      'POST /api/v1/runs/{id}/cancel',
      'POST /api/v1/runs/{id}/claim',
      'POST /api/v1/runs/{id}/finish',
      'POST /api/v1/runs/{id}/log',
      'POST /api/v1/runs/{id}/restart',
      'POST /api/v1/schedules',
      'POST /api/v1/schedules/{name}/backfill',
      'POST /api/v1/schedules/{name}/pause',
      'POST /api/v1/schedules/{name}/resume',
      'POST /api/v1/schedules/{name}/run',
      'POST /api/v1/tokens',
      'POST /api/v1/turns/{queue}/drain',
      'POST /api/v1/turns/{queue}/members',
      'POST /api/v1/turns/{queue}/members/{id}/beat',
      'POST /api/v1/turns/{queue}/members/{id}/evict',
      'POST /api/v1/turns/{queue}/members/{id}/wait',
      'POST /api/v1/turns/{queue}/pause',
      'POST /api/v1/turns/{queue}/permits',
      'POST /api/v1/turns/{queue}/resume',
      'POST /{owner}/{repo}/{baseRef}/acquire',
      'POST /{owner}/{repo}/{baseRef}/release',
      'PUT /api/v1/messages/{queue}',
      'PUT /api/v1/schedules/{name}',
    ])
  })
})

describe('a stopping server', () => {
  it('wakes those who wait, ends streams, leaves only its data, and can be started again', async () => {
    const { dataDir, ...server } = await start()
    const members = '/api/v1/turns/deploy/members'
    await call(server, members, join1)
    const stream = await fetch(`${server.url}/api/v1/turns`, { headers: { accept: 'text/event-stream' } })
    const events = stream.text()
    const waiting = call(server, members, { id: 'member-0002', waitMs: 60_000 })
    await until(async () => {
      const { body } = await call(server, '/api/v1/turns/deploy')
      return (body as { waiters: unknown[] }).waiters.length === 1
    })

    await server.close()
    expect(await waiting).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } })
    expect(await events).toMatch(/^event: queues\ndata: /)
    expect(readdirSync(dataDir)).toEqual(['signalbox.db'])
    expect(server.logged.map((line) => line['msg']).slice(1)).toEqual(['stopping', 'stopped'])

    const again = await start({ dataDir })
    expect(await call(again, '/api/v1/turns/deploy')).toMatchObject({
      body: { holders: [{ id: 'member-0001' }], waiters: [{ id: 'member-0002' }] },
    })
  })

  it('answers calls that are still arriving, so that their callers know to ask again', async () => {
    const server = await start()
    const peer = await halfARequest(server)
    const closed = server.close()
    const answer = text(peer)
    peer.write('"}')
    expect(await answer).toMatch(/^HTTP\/1\.1 503 .*"code":"unavailable"/s)
    await closed
  })

  it('serves on for the drain delay, and sends everybody elsewhere', async () => {
    const clock = new ManualClock()
    const server = await start({ clock, server: { drainDelay: '10s' } })
    const closing = server.close()
    expect(await call(server, '/readyz')).toMatchObject({
      status: 500,
      body: { error: 'not ready', error_context: 'the server is draining; repeat the call' },
    })
    const answer = await fetch(`${server.url}/api/v1/turns`)
    expect([answer.status, answer.headers.get('connection')]).toEqual([200, 'close'])
    expect(await call(server, '/api/v1/turns/deploy/members', join1)).toMatchObject({ status: 200 })
    await clock.advance(10_000)
    await closing
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow()
    expect(server.logged.map((line) => line['msg']).slice(1)).toEqual(['draining', 'stopping', 'stopped'])
  })

  it('does not wait for connections on which nothing came', async () => {
    const clock = new ManualClock()
    const server = await start({ clock })
    const peer = connect(server.address.port, '127.0.0.1')
    await new Promise((resolve) => peer.once('connect', resolve))
    await call(server, '/healthz') // accepted after that one
    const stopped = { already: false }
    const closing = server.close().then(() => (stopped.already = true))
    for (let ms = 0; ms < 20_000 && !stopped.already; ms += 100) {
      await clock.advance(100)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(stopped.already).toBe(true)
    await closing
  })

  it('cuts those that do not finish within the grace', async () => {
    const clock = new ManualClock()
    const server = await start({ clock })
    const peer = await halfARequest(server)
    const answer = text(peer)
    let closed = false
    const closing = server.close().then(() => (closed = true))
    await clock.advance(24_900)
    expect(closed).toBe(false)
    await clock.advance(200)
    await closing
    expect(await answer).toBe('')
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('a start that fails', () => {
  it('because the port is taken names who has it, and leaves no directory', async () => {
    const first = await start()
    const dataDir = newDataDir()
    const error = await failure(start({ dataDir, port: first.address.port }))
    expect(error.code).toBe('address_in_use')
    expect(error.message).toMatch(
      /^port \d+ on 127\.0\.0\.1 is taken by Signalbox \d.*; stop it, or choose another: signalbox serve --port \d+$/,
    )
    expect(existsSync(dataDir)).toBe(false)
  })

  it('because the port is taken lets go of a directory that was there', async () => {
    const first = await start()
    const { dataDir, ...second } = await start()
    await second.close()
    expect((await failure(start({ dataDir, port: first.address.port }))).code).toBe('address_in_use')
    expect(readdirSync(dataDir)).toEqual(['signalbox.db'])
    await start({ dataDir })
  })

  it('because another process owns the directory names that one in one line', async () => {
    const first = await start()
    const clock = new ManualClock()
    const second = failure(start({ dataDir: first.dataDir, clock }))
    await clock.advance(5_000)
    const error = await second
    expect(error.code).toBe('store_owned')
    expect(error.message).toContain(`SIGNALBOX_URL=${first.url}`)
    expect(error.message).not.toContain('\n')
    expect(await call(first, '/readyz')).toMatchObject({ status: 200 })
  })
})

describe('listening beyond this machine', () => {
  const beyond = { host: '0.0.0.0' }
  const turns = '/api/v1/turns'

  it('is refused while there is no token, with the remedy, and leaves no directory', async () => {
    const dataDir = newDataDir()
    for (const server of [beyond, { ...beyond, auth: 'required' }, { host: '::' }]) {
      const error = await failure(start({ dataDir, server }))
      expect(error.code).toBe('config_invalid')
      expect(error.message).toContain(
        `'${server.host}' listens beyond this machine, and there is no token yet`,
      )
      expect(error.message).toContain(
        `signalbox token create --name admin --role admin --data-dir ${dataDir}`,
      )
      expect(existsSync(dataDir)).toBe(false)
    }
  })

  it('works once there is one, which then everybody needs, also from this machine', async () => {
    const { dataDir, ...first } = await start()
    const made = await call({ socketPath: join(dataDir, 'owner.sock') }, '/api/v1/tokens', {
      name: 'ci',
      role: 'viewer',
    })
    const { secret, token } = made.body as { secret: string; token: { createdBy: string } }
    expect(token.createdBy).toBe(userInfo().username)
    await first.close()
    expect((await failure(start({ server: beyond }))).code).toBe('config_invalid')
    const server = await start({ dataDir, server: beyond })
    expect(await call(server, turns)).toMatchObject({ status: 401 })
    expect((await call(server, '/healthz')).status).toBe(200)
    const headers = { authorization: `Bearer ${secret}` }
    expect((await fetch(`${server.url}${turns}`, { headers })).status).toBe(200)
    const socketPath = join(dataDir, 'owner.sock')
    expect(await call({ socketPath }, turns)).toMatchObject({ status: 200 })
    expect(await call({ socketPath }, '/api/v1/tokens')).toMatchObject({ body: { tokens: [{ name: 'ci' }] } })
  })

  it('does not count a token that is revoked', async () => {
    const { dataDir, ...first } = await start()
    const socketPath = join(dataDir, 'owner.sock')
    await call({ socketPath }, '/api/v1/tokens', { name: 'ci', role: 'viewer' })
    const revoked = await fetch(`${first.url}/api/v1/tokens/ci`, { method: 'DELETE' })
    expect(await revoked.json()).toMatchObject({ state: 'revoked' })
    await first.close()
    expect((await failure(start({ dataDir, server: beyond }))).code).toBe('config_invalid')
  })

  it('works without one when said on purpose, and then nobody has to sign in', async () => {
    const server = await start({ server: { ...beyond, insecure: true } })
    expect(await call(server, turns)).toMatchObject({ status: 200 })
  })
})

describe('a server that listens on this machine alone', () => {
  it.each([{ auth: 'required' }, { publicUrl: 'https://box.example.org' }])(
    'asks for tokens with %j, and its owner can make the first',
    async (keys) => {
      const server = await start({ server: keys })
      const url = `http://127.0.0.1:${server.address.port}`
      expect(await call({ url }, '/api/v1/turns')).toMatchObject({
        status: 401,
        body: { error: { code: 'unauthenticated' } },
      })
      const socketPath = join(server.dataDir, 'owner.sock')
      expect(await call({ socketPath }, '/api/v1/tokens', { name: 'a', role: 'admin' })).toMatchObject({
        status: 200,
      })
    },
  )
  it('does not otherwise', async () => {
    const { address } = await start({ server: { publicUrl: 'http://localhost:80' } })
    expect(await call({ url: `http://127.0.0.1:${address.port}` }, '/api/v1/turns')).toMatchObject({
      status: 200,
    })
  })
})

/** A connection on which the head of a request has arrived and its body has not. */
async function halfARequest(server: RunningServer): Promise<Socket> {
  const peer = connect(server.address.port, '127.0.0.1')
  const head = [
    'POST /api/v1/turns/deploy/members HTTP/1.1',
    'Host: localhost',
    'Content-Type: application/json',
  ]
  const body = `{"id":"${'m'.repeat(20)}`
  peer.write([...head, 'Expect: 100-continue', `Content-Length: ${body.length + 2}`, '', ''].join('\r\n'))
  await new Promise((resolve) => peer.once('data', resolve)) // 100 Continue: the server has it
  peer.write(body)
  return peer
}

/** All that a peer receives from now on. */
function text(peer: Socket): Promise<string> {
  return new Promise((resolve) => {
    let received = ''
    peer.on('data', (chunk) => (received += String(chunk)))
    peer.on('error', () => undefined)
    peer.on('close', () => resolve(received))
  })
}

/** Asks again until it is so; each question is a real call, which paces it. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}
