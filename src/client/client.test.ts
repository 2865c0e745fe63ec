import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { isSignalboxError, type SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { createClient, type ClientOptions } from './client.ts'

const view = {
  queue: 'deploy',
  id: 'member-0001',
  state: 'holding',
  ticket: 1,
  priority: 50,
  permits: 1,
  ttlMs: 45_000,
  fence: 7,
  position: 0,
  positionExact: true,
  inWindow: false,
  pollMs: 10_000,
  holders: [],
  elapsedMs: 3,
}

interface Received {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: http.IncomingHttpHeaders
  readonly body: unknown
}
type Reply = (request: Received, response: http.ServerResponse, socket: net.Socket) => void

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function serve(reply: Reply, at: { path?: string } = {}) {
  const received: Received[] = []
  const server = http.createServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      const { method, url, headers } = request
      const seen = { method, url, headers, body: text === '' ? undefined : (JSON.parse(text) as unknown) }
      received.push(seen)
      reply(seen, response, request.socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(at.path ?? 0, () => resolve()))
  cleanups.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return { url: `http://127.0.0.1:${port}`, received, server }
}

function connect(options: Partial<ClientOptions>) {
  const clock = new ManualClock()
  const client = createClient({ clock, random: seededRandom(1), ...options })
  cleanups.push(() => client.close())
  return { clock, client, turns: client.turns }
}

const json =
  (status: number, body: unknown): Reply =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }

async function failureOf(call: Promise<unknown>): Promise<SignalboxError> {
  const error: unknown = await call.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  )
  if (!isSignalboxError(error)) throw error
  return error
}

describe('the wire', () => {
  test('each call is one request with the queue as one encoded segment', async () => {
    const { url, received } = await serve((request, response, socket) => {
      const answers: Record<string, unknown> = {
        '/beat': { elapsedMs: 1 },
        '?fence=7': { outcome: 'released' },
        '?limit=5&after=a%2Fb': { queues: [], next: 'c' },
      }
      const known = Object.keys(answers).find((end) => request.url?.endsWith(end))
      json(200, known === undefined ? view : answers[known])(request, response, socket)
    })
    const { turns } = connect({ url: `${url}/box/`, token: 'secret' })
    const queue = 'acme/web:prod@eu'
    expect(await turns.join(queue, { id: 'member-0001', permits: 2 })).toEqual(view)
    await turns.wait(queue, 'member-0001', { waitMs: 500, seenPosition: 2 })
    expect(await turns.beat(queue, 'member-0001', 7)).toEqual({ elapsedMs: 1 })
    expect(await turns.leave(queue, 'member-0001', 7)).toEqual({ outcome: 'released' })
    expect(await turns.list({ limit: 5, after: 'a/b' })).toEqual({ queues: [], next: 'c' })
    const at = '/box/api/v1/turns/acme%2Fweb%3Aprod%40eu'
    expect(received.map(({ method, url: path, body }) => [method, path, body])).toEqual([
      ['POST', `${at}/members`, { id: 'member-0001', permits: 2 }],
      ['POST', `${at}/members/member-0001/wait`, { waitMs: 500, seenPosition: 2 }],
      ['POST', `${at}/members/member-0001/beat`, { fence: 7 }],
      ['DELETE', `${at}/members/member-0001?fence=7`, undefined],
      ['GET', '/box/api/v1/turns?limit=5&after=a%2Fb', undefined],
    ])
    expect(received.every(({ headers }) => headers.authorization === 'Bearer secret')).toBe(true)
  })

  test('a Unix socket serves as well as a port', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'signalbox-client-'))
    cleanups.push(() => rmSync(dir, { recursive: true }))
    const socketPath = join(dir, 'owner.sock')
    await serve(json(200, { queues: [] }), { path: socketPath })
    const { turns, client } = connect({ socketPath })
    expect(await turns.list()).toEqual({ queues: [] })
    expect(client.address).toBe(socketPath)
  })

  test('without a token no credential is sent', async () => {
    const { url, received } = await serve(json(200, { queues: [] }))
    await connect({ url }).turns.list()
    expect(received[0]?.headers.authorization).toBeUndefined()
  })
})

describe('errors of the server', () => {
  test('keep code, message, details and request id', async () => {
    const error = {
      code: 'conflict',
      message: "permits: queue 'deploy' has 1",
      details: { field: 'permits' },
    }
    const { url } = await serve(json(409, { error, requestId: 'r-1' }))
    const failure = await failureOf(connect({ url }).turns.join('deploy', { id: 'member-0001' }))
    expect(failure.code).toBe('conflict')
    expect(failure.message).toBe(error.message)
    expect(failure.details).toEqual({ field: 'permits', requestId: 'r-1' })
  })

  test.each([
    [400, 'invalid_argument'],
    [404, 'not_found'],
    [410, 'turn_lost'],
    [418, 'invalid_argument'],
    [429, 'throttled'],
    [500, 'outcome_unknown'],
    [503, 'unavailable'],
  ])('a code of a later version with status %i counts as %s', async (status, code) => {
    const { url } = await serve(json(status, { error: { code: 'brand_new', message: 'm' }, requestId: 'r' }))
    expect((await failureOf(connect({ url }).turns.beat('deploy', 'member-0001', 1))).code).toBe(code)
  })
})

describe('answers that are not Signalbox’s', () => {
  test.each([
    [200, 'unavailable'],
    [302, 'unavailable'],
    [401, 'unauthenticated'],
    [403, 'permission_denied'],
    [404, 'unavailable'],
    [429, 'throttled'],
    [500, 'outcome_unknown'],
    [502, 'outcome_unknown'],
    [503, 'outcome_unknown'],
  ])('a page with status %i is %s for a write, and the message names the address', async (status, code) => {
    const { url } = await serve((_request, response) => response.writeHead(status).end('<h1>Jenkins</h1>'))
    const failure = await failureOf(connect({ url }).turns.beat('deploy', 'member-0001', 1))
    expect(failure.code).toBe(code)
    expect(failure.message).toContain(url)
  })

  test('a page with status 502 is only unavailable for a read', async () => {
    const { url } = await serve((_request, response) => response.writeHead(502).end())
    expect((await failureOf(connect({ url }).turns.list())).code).toBe('unavailable')
  })

  test('JSON of another shape is a defect that names the field', async () => {
    const { url } = await serve(json(200, { ...view, ticket: 'first' }))
    const failure = await failureOf(connect({ url }).turns.join('deploy', { id: 'member-0001' }))
    expect(failure.code).toBe('internal')
    expect(failure.message).toContain('ticket')
  })
})

describe('connections', () => {
  test('nobody listens: unavailable, with the address', async () => {
    const { url, server } = await serve(json(200, {}))
    await new Promise((resolve) => server.close(resolve))
    const failure = await failureOf(connect({ url }).turns.join('deploy', { id: 'member-0001' }))
    expect(failure.code).toBe('unavailable')
    expect(failure.message).toBe(
      `${url}: cannot connect (ECONNREFUSED); check that the server runs and its address`,
    )
  })

  test('a missing socket and a host that does not exist are unavailable', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'signalbox-client-'))
    cleanups.push(() => rmSync(dir, { recursive: true }))
    const socketPath = join(dir, 'owner.sock')
    expect((await failureOf(connect({ socketPath }).turns.list())).code).toBe('unavailable')
    const named = connect({ url: 'http://localhost.invalid:1' })
    expect((await failureOf(named.turns.beat('deploy', 'member-0001', 1))).code).toBe('unavailable')
  })

  test('a reset before the answer leaves a write’s outcome unknown, and a read unavailable', async () => {
    const { url } = await serve((_request, _response, socket) => socket.resetAndDestroy())
    const { turns } = connect({ url })
    const failure = await failureOf(turns.join('deploy', { id: 'member-0001' }))
    expect(failure.code).toBe('outcome_unknown')
    expect(failure.message).toContain(url)
    expect((await failureOf(turns.list())).code).toBe('unavailable')
  })

  test('an answer cut short leaves the outcome unknown', async () => {
    const { url } = await serve((_request, response, socket) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{"queue":"dep', () => socket.destroy())
    })
    expect((await failureOf(connect({ url }).turns.wait('deploy', 'member-0001', {}))).code).toBe(
      'outcome_unknown',
    )
  })

  test('a closed client fails its calls', async () => {
    const { url } = await serve(() => undefined)
    const { turns, client } = connect({ url })
    const call = failureOf(turns.beat('deploy', 'member-0001', 1))
    await client.close()
    expect((await call).code).toBe('outcome_unknown')
  })
})

describe('time', () => {
  test('a long poll lasts as long as it asked for, and ten seconds more', async () => {
    const asked = Promise.withResolvers<() => void>()
    const { url } = await serve((...exchange) => asked.resolve(() => json(200, view)(...exchange)))
    const { turns, clock } = connect({ url })
    const result = turns.wait('deploy', 'member-0001', { waitMs: 60_000 })
    const answer = await asked.promise
    await clock.advance(69_999)
    answer()
    expect(await result).toEqual(view)
    expect(clock.pendingTimers).toBe(0)
  })

  test('no answer, or half of one, leaves the outcome unknown after the limit', async () => {
    for (const head of [false, true]) {
      const asked = Promise.withResolvers<void>()
      const { url } = await serve((_request, response) => {
        if (head) response.writeHead(200).write('{"que')
        asked.resolve()
      })
      const { turns, clock } = connect({ url })
      const failure = failureOf(turns.beat('deploy', 'member-0001', 1))
      await asked.promise
      await clock.advance(10_000)
      expect((await failure).code).toBe('outcome_unknown')
      expect((await failure).message).toBe(`${url}: no answer within 10s`)
    }
  })

  test('the caller’s signal ends a call at once as cancelled', async () => {
    const asked = Promise.withResolvers<void>()
    const { url, received } = await serve(() => asked.resolve())
    const { turns, clock } = connect({ url })
    const caller = new AbortController()
    const failure = failureOf(turns.wait('deploy', 'member-0001', { waitMs: 30_000 }, caller.signal))
    await asked.promise
    caller.abort(new Error('Ctrl-C'))
    expect((await failure).code).toBe('cancelled')
    expect(clock.pendingTimers).toBe(0)
    expect((await failureOf(turns.beat('deploy', 'member-0001', 1, caller.signal))).code).toBe('cancelled')
    expect(received).toHaveLength(1)
  })
})

describe('inputs', () => {
  test.each([
    ['localhost:8080', /is not an http/],
    ['ftp://box', /is not an http/],
    ['', /is not an http/],
    ['http://ann:pw@box', /SIGNALBOX_TOKEN/],
    ['http://box?a=1', /must end before/],
  ])('the URL %j is refused before anything is sent', (url, message) => {
    expect(() => connect({ url })).toThrow(message)
  })

  test('a secret in a refused URL is not repeated', () => {
    expect(() => connect({ url: 'http://ann:hunter2@box' })).toThrow(/^(?!.*hunter2)/)
  })

  test.each(['', 'two words', 'line\n'])('the token %j is refused', (token) => {
    expect(() => connect({ url: 'http://box', token })).toThrow(/SIGNALBOX_TOKEN/)
  })
})
