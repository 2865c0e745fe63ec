import type { LightMyRequestResponse } from 'fastify'
import { Registry } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { memoryStore } from '../drivers/memory/index.ts'
import { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { queueName } from '../turns/api.ts'
import { buildApp, type AppOptions, type RouteFace, type SignalboxApp } from './app.ts'
import { createAuth } from './auth/auth.ts'
import { configSchema } from './config/schema.ts'
import type { Lifecycle } from './health.ts'
import { createLogger } from './logger.ts'
import { OpenStreams } from './open-streams.ts'

const joinSchema = {
  params: z.object({ queue: queueName }),
  body: z.object({
    id: z.string().min(3),
    ttlMs: z.number().int().min(1_000).max(9_000).optional(),
    mode: z.enum(['kill', 'warn']).optional(),
  }),
  response: { 200: z.object({ queue: z.string(), id: z.string() }) },
}

/** A capability as small as they come. */
const face: RouteFace = (app) => {
  const config = { access: { role: 'viewer', noun: 'turns' } } as const
  app.post('/api/v1/things/:queue/members', { config, schema: joinSchema }, ({ params, body }) => ({
    queue: params.queue,
    id: body.id,
  }))
  app.delete('/api/v1/things/:queue/members', { config, schema: { params: joinSchema.params } }, () => ({}))
  app.get(
    '/api/v1/things',
    { config, schema: { querystring: z.object({ limit: z.coerce.number().int().max(100).optional() }) } },
    ({ query }) => ({ limit: query.limit ?? 0 }),
  )
  app.get('/fail/:how', { config }, ({ params }) => {
    const { how } = params as { how: string }
    if (how === 'bug') throw new TypeError('the password is hunter2')
    if (how === 'stack') throw new SignalboxError('internal', 'row 17 is odd')
    throw new SignalboxError(how === 'throttled' ? 'throttled' : 'unavailable', `it is ${how}`, {
      details: { how },
    })
  })
}

interface World {
  readonly app: SignalboxApp
  readonly lifecycle: Lifecycle
  readonly clock: ManualClock
  readonly logged: Record<string, unknown>[]
}

async function world(
  options: Partial<AppOptions> & { readonly level?: 'debug' | 'info' } = {},
): Promise<World> {
  const { level = 'info', ...rest } = options
  const logged: Record<string, unknown>[] = []
  const out = { write: (line: string) => void logged.push(JSON.parse(line) as Record<string, unknown>) }
  const lifecycle: Lifecycle = { state: 'ready' }
  const clock = new ManualClock()
  const random = seededRandom(1)
  const store = memoryStore({ clock })
  const app = await buildApp({
    auth: createAuth({ store, clock, random, required: false, ownerName: 'ann' }),
    config: configSchema.parse({ server: { bodyLimitBytes: 2_048 } }),
    version: '1.2.3',
    lifecycle,
    checkStore: async () => undefined,
    faces: [face],
    logger: createLogger({ level, format: 'json' }, false, out),
    registry: new Registry(),
    clock,
    random,
    streams: new OpenStreams(),
    ...rest,
  })
  onTestFinished(() => app.close())
  return { app, lifecycle, clock, logged }
}

const members = '/api/v1/things/deploy/members'
const post = (app: SignalboxApp, payload: unknown, url = members): Promise<LightMyRequestResponse> =>
  app.inject({ method: 'POST', url, payload: payload as object })

/** Status, code and message of an error answer. */
function told(response: LightMyRequestResponse): [status: number, code: string, message: string] {
  const { error, requestId } = response.json<{
    error: { code: string; message: string }
    requestId: string
  }>()
  expect(requestId).toBe(response.headers['x-request-id'])
  expect(error.message).not.toContain('\n')
  return [response.statusCode, error.code, error.message]
}

describe('requests', () => {
  it('are validated, handled and answered in JSON', async () => {
    const { app } = await world()
    const response = await post(app, { id: 'abc', ttlMs: 1_000 })
    expect(response.statusCode).toBe(200)
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(response.json()).toEqual({ queue: 'deploy', id: 'abc' })
  })

  it('may have an encoded slash in a name', async () => {
    const { app } = await world()
    const response = await post(app, { id: 'abc' }, '/api/v1/things/a%2Fb%3Ac/members')
    expect(response.json()).toEqual({ queue: 'a/b:c', id: 'abc' })
  })

  it.each([
    [{ id: 'ab' }, "id: 'ab' must be at least 3 characters long"],
    [{}, 'id: missing; must be text'],
    [{ id: 'abc', ttlMs: 10 }, 'ttlMs: 10 must be at least 1000'],
    [{ id: 'abc', ttlMs: 10_000 }, 'ttlMs: 10000 must be at most 9000'],
    [{ id: 'abc', ttlMs: 1_000.5 }, 'ttlMs: 1000.5 must be a whole number'],
    [{ id: 'abc', ttlMs: '1s' }, "ttlMs: '1s' must be a number"],
    [{ id: 'abc', mode: 'maybe' }, "mode: 'maybe' must be one of kill, warn"],
    [{ id: 7, ttlMs: 1 }, 'id: 7 must be text; ttlMs: 1 must be at least 1000'],
    [[], 'body: [] must be a JSON object'],
    [{ id: 'a\n'.repeat(50), ttlMs: null }, 'ttlMs: null must be a number'],
  ])('that break a rule get one line: %j', async (payload, message) => {
    const { app } = await world()
    expect(told(await post(app, payload))).toEqual([400, 'invalid_argument', message])
  })

  it('without a body say so', async () => {
    const { app } = await world()
    const response = await app.inject({ method: 'POST', url: members })
    expect(told(response)).toEqual([400, 'invalid_argument', 'body: missing; must be a JSON object'])
  })

  it('with a bad name or query name the field', async () => {
    const { app } = await world()
    expect(told(await post(app, { id: 'abc' }, '/api/v1/things/a%20b/members'))).toEqual([
      400,
      'invalid_argument',
      "queue: 'a b' must be 1 to 128 characters of A-Z a-z 0-9 . _ / : @ -",
    ])
    expect(told(await app.inject('/api/v1/things?limit=many'))[2]).toBe("limit: 'many' must be a number")
    expect((await app.inject('/api/v1/things?limit=7')).json()).toEqual({ limit: 7 })
  })

  it('with an over-long name are bad arguments, not unknown paths', async () => {
    const { app } = await world()
    const [status, code, message] = told(
      await post(app, { id: 'abc' }, `/api/v1/things/${'q'.repeat(9_000)}/members`),
    )
    expect([status, code]).toEqual([400, 'invalid_argument'])
    expect(message.length).toBeLessThan(150)
  })

  it.each([
    ['{"id":', /^body: not valid JSON/],
    ['', /^body: empty/],
    ['{"__proto__": {}}', /^body: not valid JSON/],
  ])('with malformed JSON are refused: %j', async (payload, message) => {
    const { app } = await world()
    const headers = { 'content-type': 'application/json' }
    const response = await app.inject({ method: 'POST', url: members, payload, headers })
    const [status, code, text] = told(response)
    expect([status, code]).toEqual([400, 'invalid_argument'])
    expect(text).toMatch(message)
  })

  it('of another content type are refused', async () => {
    const { app } = await world()
    for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
      const headers = { 'content-type': type }
      const response = await app.inject({ method: 'POST', url: members, payload: 'id=abc', headers })
      expect(told(response)).toEqual([
        415,
        'invalid_argument',
        `content-type '${type}'; send application/json`,
      ])
    }
  })

  it('that are too large are refused with the limit', async () => {
    const { app } = await world()
    expect(told(await post(app, { id: 'a'.repeat(3_000) }))).toEqual([
      413,
      'payload_too_large',
      'body: larger than 2048 bytes (server.bodyLimitBytes)',
    ])
  })

  it('with broken percent-encoding are refused', async () => {
    const { app } = await world()
    expect(told(await app.inject('/api/v1/things/%zz/members'))).toEqual([
      400,
      'invalid_argument',
      'the path is not valid percent-encoding; write a plain % as %25',
    ])
  })

  it('keep a sane request id of the caller and replace another', async () => {
    const { app } = await world()
    const ask = async (id: string): Promise<unknown> =>
      (await app.inject({ url: '/healthz', headers: { 'x-request-id': id } })).headers['x-request-id']
    expect(await ask('run-42/1:a')).toBe('run-42/1:a')
    const replaced = [await ask('a b'), await ask('x'.repeat(129))]
    expect(replaced).toEqual([expect.stringMatching(/^\w+-1$/), expect.stringMatching(/^\w+-2$/)])
  })
})

describe('paths', () => {
  it('that do not exist are 404 in JSON', async () => {
    const { app } = await world()
    expect(told(await app.inject('/api/v2/x?y=1'))).toEqual([
      404,
      'not_found',
      '/api/v2/x: no such path; /docs lists them',
    ])
  })

  it('that exist under another method are 405 with Allow', async () => {
    const { app } = await world()
    const response = await app.inject({ method: 'PUT', url: '/api/v1/things/a%2Fb/members' })
    expect(told(response)).toEqual([
      405,
      'invalid_argument',
      'PUT /api/v1/things/a%2Fb/members: this path takes DELETE, POST',
    ])
    expect(response.headers.allow).toBe('DELETE, POST')
  })

  it('/ leads people to the console and tells programs where things are', async () => {
    const { app } = await world()
    const person = await app.inject({ url: '/', headers: { accept: 'text/html,*/*' } })
    expect([person.statusCode, person.headers.location]).toEqual([302, '/console'])
    const program = await app.inject({ url: '/', headers: { accept: '*/*' } })
    expect(program.json()).toMatchObject({ name: 'signalbox', version: '1.2.3', docs: '/docs' })
  })
})

describe('failures', () => {
  it('of the store ask to come back, with their details, and are logged as warnings', async () => {
    const { app, logged } = await world()
    const response = await app.inject('/fail/down')
    expect(told(response)).toEqual([503, 'unavailable', 'it is down'])
    expect(response.json()).toMatchObject({ error: { details: { how: 'down' } } })
    expect(response.headers['retry-after']).toBe('1')
    expect(logged).toEqual([
      expect.objectContaining({
        level: 'warn',
        requestId: response.headers['x-request-id'],
        status: 503,
        url: '/fail/down',
        msg: 'it is down',
      }),
    ])
  })

  it('by throttling ask to come back and are not logged', async () => {
    const { app, logged } = await world()
    const response = await app.inject('/fail/throttled')
    expect([...told(response), response.headers['retry-after']]).toEqual([
      429,
      'throttled',
      'it is throttled',
      '1',
    ])
    expect(logged).toEqual([])
  })

  it.each(['bug', 'stack'])(
    'that are defects (%s) tell the log everything and the caller nothing',
    async (how) => {
      const { app, logged } = await world()
      const response = await app.inject(`/fail/${how}`)
      expect(told(response)).toEqual([
        500,
        'internal',
        'internal error; the server logged it under this request id',
      ])
      expect(logged).toHaveLength(1)
      expect(logged[0]).toMatchObject({ level: 'error', requestId: response.headers['x-request-id'] })
      expect(JSON.stringify(logged[0])).toContain('app.test.ts')
    },
  )
})

describe('health', () => {
  const json = { accept: 'application/json' }

  it.each(['/healthz', '/readyz', '/k8s/liveness', '/k8s/readiness'])('is a plain OK at %s', async (url) => {
    const { app } = await world()
    const { statusCode, body, headers } = await app.inject(url)
    expect([statusCode, body, headers['content-type']]).toEqual([200, 'OK', 'text/plain; charset=utf-8'])
  })

  it('says who it is, to who asks for JSON', async () => {
    const { app } = await world()
    expect((await app.inject({ url: '/healthz', headers: json })).json()).toEqual({
      status: 'ok',
      name: 'signalbox',
      version: '1.2.3',
    })
    expect((await app.inject({ url: '/readyz', headers: json })).json()).toEqual({ status: 'ready' })
  })

  const notReady = (why: string): unknown => [500, { error: 'not ready', error_context: why }]
  const readiness = async ({ app }: World): Promise<unknown> => {
    const response = await app.inject('/readyz')
    return [response.statusCode, response.json()]
  }

  it('is ready only between start and stop', async () => {
    const { app, lifecycle, ...rest } = await world()
    for (const state of ['starting', 'stopping'] as const) {
      lifecycle.state = state
      const message = `the server is ${state}; repeat the call`
      expect(await readiness({ app, lifecycle, ...rest })).toEqual(notReady(message))
      const refused = await post(app, { id: 'abc' })
      expect(told(refused)).toEqual([503, 'unavailable', message])
      expect(refused.headers['retry-after']).toBe('1')
      expect((await app.inject('/healthz')).statusCode).toBe(200)
    }
  })

  it('is not ready while it drains, and serves on', async () => {
    const { app, lifecycle, ...rest } = await world()
    expect((await post(app, { id: 'abc' })).headers['connection']).not.toBe('close')
    lifecycle.state = 'draining'
    expect(await readiness({ app, lifecycle, ...rest })).toEqual(
      notReady('the server is draining; repeat the call'),
    )
    const answer = await post(app, { id: 'abc' })
    expect([answer.statusCode, answer.headers['connection']]).toEqual([200, 'close'])
  })

  it('is not ready while the store fails', async () => {
    const broken = await world({ checkStore: () => Promise.reject(new Error('disk is full')) })
    expect(await readiness(broken)).toEqual(notReady('the store does not work: disk is full'))
  })

  it('is not ready while the store does not answer', async () => {
    const silent = await world({ checkStore: () => new Promise(() => undefined) })
    const answer = readiness(silent)
    await silent.clock.settle()
    await silent.clock.advance(2_000)
    expect(await answer).toEqual(notReady('the store did not answer within 2000 ms'))
  })

  it('leaves no timer behind', async () => {
    const { app, clock } = await world()
    await app.inject('/readyz')
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('metrics', () => {
  it('count requests by method, route and status, and time them', async () => {
    const { app } = await world()
    await post(app, { id: 'abc' }, '/api/v1/things/a/members')
    await post(app, { id: 'abc' }, '/api/v1/things/b/members')
    await post(app, {}, '/api/v1/things/c/members')
    const { body, headers } = await app.inject('/metrics')
    expect(headers['content-type']).toContain('text/plain')
    const route = 'route="/api/v1/things/:queue/members"'
    expect(body).toContain(`signalbox_http_requests_total{method="POST",${route},status="200"} 2`)
    expect(body).toContain(`signalbox_http_requests_total{method="POST",${route},status="400"} 1`)
    expect(body).toContain(`signalbox_http_request_duration_seconds_count{method="POST",${route}} 3`)
    expect(body).toContain('process_cpu_seconds_total')
  })

  it('count unknown paths in one series', async () => {
    const { app } = await world()
    await app.inject('/wp-login.php')
    await app.inject('/.env')
    expect((await app.inject('/metrics')).body).toContain(
      'signalbox_http_requests_total{method="any",route="unmatched",status="404"} 2',
    )
  })

  it('can be switched off', async () => {
    const { app } = await world({ config: configSchema.parse({ metrics: { enabled: false } }) })
    expect((await app.inject('/metrics')).statusCode).toBe(404)
    expect((await post(app, { id: 'abc' })).statusCode).toBe(200)
  })
})

describe('the log', () => {
  it('has a line for each request at debug, none at info', async () => {
    const quiet = await world()
    await quiet.app.inject('/healthz')
    expect(quiet.logged).toEqual([])
    const { app, logged } = await world({ level: 'debug' })
    await app.inject({ url: '/healthz', headers: { 'x-request-id': 'me' } })
    const facts = {
      level: 'debug',
      msg: 'request',
      requestId: 'me',
      method: 'GET',
      url: '/healthz',
      status: 200,
    }
    expect(logged).toEqual([expect.objectContaining(facts)])
  })
})

describe('pages of other sites', () => {
  it('cannot change anything', async () => {
    const { app } = await world()
    const from = async (headers: Record<string, string>): Promise<number> =>
      (await app.inject({ method: 'POST', url: members, payload: { id: 'abc' }, headers })).statusCode
    expect(await from({ 'sec-fetch-site': 'cross-site' })).toBe(403)
    expect(await from({ 'sec-fetch-site': 'same-site' })).toBe(403)
    expect(await from({ origin: 'https://evil.example' })).toBe(403)
    expect(await from({ origin: 'null' })).toBe(403)
    expect(await from({ 'sec-fetch-site': 'same-origin', origin: 'http://localhost:80' })).toBe(200)
    expect(await from({ origin: 'http://localhost:80', host: 'localhost:80' })).toBe(200)
    expect(await from({})).toBe(200)
  })

  it('cannot reach a loopback server under a name of their own', async () => {
    const { app } = await world({
      config: configSchema.parse({ server: { publicUrl: 'https://box.example.org' } }),
    })
    const by = async (host: string): Promise<number> =>
      (await app.inject({ url: '/api/v1/things', headers: { host } })).statusCode
    expect(await by('evil.example:8080')).toBe(403)
    expect(await by('127.0.0.1.evil.example')).toBe(403)
    for (const host of ['127.0.0.1:8080', 'localhost', '[::1]:8080', 'LOCALHOST:1', 'box.example.org']) {
      expect([host, await by(host)]).toEqual([host, 200])
    }
  })

  it('do not matter to a server that listens beyond its machine, nor on the trusted socket', async () => {
    const open = await world({ config: configSchema.parse({ server: { host: '0.0.0.0', insecure: true } }) })
    const headers = { host: 'signalbox.internal' }
    expect((await open.app.inject({ url: '/api/v1/things', headers })).statusCode).toBe(200)
    const socket = await world({ trusted: () => true })
    expect((await socket.app.inject({ url: '/api/v1/things', headers })).statusCode).toBe(200)
  })
})

describe('security headers', () => {
  it('forbid everything for data and allow own scripts for pages', async () => {
    const { app } = await world()
    const data = await app.inject('/api/v1/things')
    expect(data.headers).toMatchObject({
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    })
    const page = await app.inject('/console')
    expect(page.headers['content-security-policy']).toContain("script-src 'self';")
    expect(page.headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY' })
  })
})

describe('documentation', () => {
  it('describes the routes of the capabilities as OpenAPI 3.1', async () => {
    const { app } = await world()
    const document = (await app.inject('/openapi.json')).json<{
      openapi: string
      info: { version: string }
      paths: Record<string, Record<string, { requestBody?: unknown; responses: unknown }>>
    }>()
    expect(document).toMatchObject({
      openapi: '3.1.0',
      info: { version: '1.2.3' },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    })
    expect(Object.keys(document.paths).sort()).toEqual([
      '/api/v1/things',
      '/api/v1/things/{queue}/members',
      '/fail/{how}',
    ])
    const join = document.paths['/api/v1/things/{queue}/members']?.['post']
    expect(JSON.stringify(join?.requestBody)).toContain('"minLength":3')
    expect(JSON.stringify(join?.responses)).toContain('"required":["queue","id"]')
    expect(JSON.stringify(join?.responses)).toContain('"default":{"description":"Any failure')
  })

  it('is shown under /docs, which may set styles inline but runs only own scripts', async () => {
    const { app } = await world()
    const page = await app.inject('/docs')
    expect(page.statusCode).toBe(200)
    expect(page.body).toContain('swagger-ui')
    const policy = page.headers['content-security-policy']
    expect(policy).toContain("style-src 'self' 'unsafe-inline'")
    expect(policy).toContain("script-src 'self';")
    const script = await app.inject('/docs/static/swagger-initializer.js')
    expect(script.statusCode).toBe(200)
    expect((await app.inject('/docs/json')).json()).toHaveProperty('openapi', '3.1.0')
  })
})

describe('the console', () => {
  it('is served from files, with revalidation', async () => {
    const { app } = await world()
    const page = await app.inject('/console')
    expect(page.headers['content-type']).toBe('text/html; charset=utf-8')
    const etag = String(page.headers.etag)
    const again = await app.inject({ url: '/console', headers: { 'if-none-match': etag } })
    expect([again.statusCode, again.body]).toEqual([304, ''])
    for (const [, path] of page.body.matchAll(/(?:src|href)="(\/console\/[^"]+)"/g)) {
      expect([path, (await app.inject(path ?? '')).statusCode]).toEqual([path, 200])
    }
  })

  it('has nothing inline and asks nobody else', async () => {
    const { app } = await world()
    const { body } = await app.inject('/console')
    expect(body).not.toMatch(/<style|style=|<script(?![^>]*src=)|\son\w+=|https?:\/\//)
  })
})
