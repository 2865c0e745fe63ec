import http from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { isSignalboxError, type SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { createClient, type Client, type ClientOptions } from './client.ts'

interface Received {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: http.IncomingHttpHeaders
  readonly body: unknown
}
interface Reply {
  readonly status?: number
  readonly body?: unknown
  readonly text?: string
  readonly headers?: http.OutgoingHttpHeaders
}

const provider = { owner: 'acme', repo: 'shop', baseRef: 'release/1.2' }
const request = { sha: 'c3', ref: 'gh-readonly-queue/release/1.2/pr-3-abc', priority: 3 }
const flat = { head_sha: 'c3', priority: 3 }

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A server that gives these replies in turn, the last one for ever. */
async function at(
  replies: Reply | readonly Reply[],
  options: Partial<ClientOptions> = {},
): Promise<{ url: string; received: Received[]; client: Client }> {
  const received: Received[] = []
  const rest = Array.isArray(replies) ? [...(replies as Reply[])] : [replies as Reply]
  const server = http.createServer((incoming, response) => {
    let text = ''
    incoming.on('data', (chunk: Buffer) => (text += chunk.toString()))
    incoming.on('end', () => {
      const { method, url, headers } = incoming
      received.push({ method, url, headers, body: text === '' ? undefined : (JSON.parse(text) as unknown) })
      const {
        status = 200,
        body,
        text: raw,
        headers: more,
      } = (rest.length > 1 ? rest.shift() : rest[0]) ?? {}
      response.writeHead(status, { 'content-type': 'application/json', ...more })
      response.end(raw ?? JSON.stringify(body))
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const client = createClient({ url, clock: new ManualClock(), random: seededRandom(1), ...options })
  cleanups.push(async () => {
    await client.close()
    server.closeAllConnections()
    await new Promise((done) => server.close(done))
  })
  return { url, received, client }
}

const acquiring = async (reply: Reply) => (await at(reply)).client.leases.acquire(provider, request)
const releasing = async (reply: Reply) =>
  (await at(reply)).client.leases.release(provider, { ...request, success: false })

async function failureOf(call: Promise<unknown>): Promise<SignalboxError> {
  const error: unknown = await call.then(
    (value) => new Error(`it did not fail: ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  )
  if (!isSignalboxError(error)) throw error
  return error
}

describe('the wire', () => {
  test('the base ref is one encoded segment, and the body is the original’s', async () => {
    const { client, received } = await at([
      { body: { ...flat, status: 'acquired' } },
      { body: { ...flat, status: 'completed' } },
      { body: { ...flat, status: 'failure' } },
    ])
    const { leases } = client
    await leases.acquire(provider, { ...request, leaseMs: 90_500 })
    await leases.release(provider, { ...request, success: true })
    await leases.release(provider, { sha: 'c3', priority: 3, success: false })
    const path = '/acme/shop/release%2F1.2'
    const body = { head_sha: 'c3', head_ref: request.ref, priority: 3 }
    expect(received.map(({ method, url, body: sent }) => [method, url, sent])).toEqual([
      ['POST', `${path}/acquire`, { ...body, lease_seconds: 91 }],
      ['POST', `${path}/release`, { ...body, status: 'success' }],
      ['POST', `${path}/release`, { ...flat, status: 'failure' }],
    ])
    expect(received.every(({ headers }) => headers.accept === 'application/json')).toBe(true)
  })

  test.each([
    ['nested', { request: { ...flat, status: 'pending' }, stacked_pull_requests: null }],
    ['flat', { ...flat, status: 'pending' }],
    ['both', { request: { ...flat, status: 'pending' }, ...flat, status: 'pending', brand_new: 1 }],
  ])('reads the %s form', async (_, body) => {
    expect(await acquiring({ body })).toMatchObject({
      kind: 'lease',
      status: 'pending',
      sha: 'c3',
      ref: request.ref,
      priority: 3,
    })
  })

  test('reads what ours tells more', async () => {
    const body = {
      request: { ...flat, status: 'acquired' },
      stacked_pull_requests: [{ number: 1 }, { number: 3 }],
      fence: 12,
      expires_at: '2026-01-01T06:00:00.5Z',
      lease_seconds: 60,
    }
    expect(await acquiring({ body })).toEqual({
      kind: 'lease',
      status: 'acquired',
      ...request,
      fence: 12,
      expiresAt: Date.UTC(2026, 0, 1, 6, 0, 0, 500),
      leaseMs: 60_000,
      stacked: [1, 3],
    })
  })

  test('when to ask again: from the body, else from the header', async () => {
    const headers = { 'retry-after': '7' }
    const body = { ...flat, status: 'pending', reason: 'why' }
    expect(await acquiring({ body, headers })).toMatchObject({ reason: 'why', retryAfterMs: 7_000 })
    expect(await acquiring({ body: { ...body, retry_after: 2 }, headers })).toMatchObject({
      retryAfterMs: 2_000,
    })
    const date = await acquiring({ body, headers: { 'retry-after': 'Thu, 01 Jan 2026 00:00:00 GMT' } })
    expect(date.retryAfterMs).toBeUndefined()
  })

  test('the original’s word for a release with success', async () => {
    expect(await releasing({ body: { ...flat, status: 'success' } })).toMatchObject({ status: 'completed' })
  })
})

describe('what is no lease', () => {
  test.each([
    ['a page', { text: '<h1>Sign in</h1>' }],
    ['nothing', { text: '' }],
    ['a status that nobody knows', { body: { ...flat, status: 'aquired' } }],
    ['a status of the prototype', { body: { ...flat, status: 'constructor' } }],
    ['no status', { body: flat }],
    ['the status of a release', { body: { ...flat, status: 'success' } }],
    ['a failure', { body: { ...flat, status: 'failure' } }],
    ['another commit', { body: { head_sha: 'c9', status: 'acquired' } }],
    ['no commit', { body: { priority: 3, status: 'acquired', fence: 7 } }],
    ['no commit, nested', { body: { request: { priority: 3, status: 'acquired' } } }],
    ['a contradiction', { body: { ...flat, status: 'acquired', request: { ...flat, status: 'pending' } } }],
    ['a list', { body: [] }],
    ['null', { body: null }],
    ['a strange fence', { body: { ...flat, status: 'acquired', fence: 'seven' } }],
    ['a strange time', { body: { ...flat, status: 'acquired', expires_at: 'soon' } }],
  ])('%s with status 200 is not taken for a grant', async (_, reply) => {
    const failure = await failureOf(acquiring(reply))
    // Whoever answered so may have passed the call on.
    expect(failure).toMatchObject({ code: 'unavailable', details: { strange: true } })
    expect(failure.message).toMatch(/^http:.*not as Signalbox does; check the address$/)
  })

  test.each(['pending', 'acquired'])('a release answered %s is not taken for done', async (status) => {
    expect((await failureOf(releasing({ body: { ...flat, status } }))).code).toBe('unavailable')
  })

  test('nor is one that names no commit', async () => {
    expect((await failureOf(releasing({ body: { status: 'completed' } }))).code).toBe('unavailable')
  })

  test.each([
    [503, 'a page'],
    [302, 'a page'],
  ])('%i with %s was not passed on to a Signalbox', async (status, text) => {
    expect((await failureOf(acquiring({ status, text }))).details).toEqual({})
  })
})

describe('refusals', () => {
  const conflict = { error: "Couldn't acquire the lock", error_context: 'lease already acquired' }

  test('a conflict of acquire is an answer', async () => {
    expect(await acquiring({ status: 409, body: conflict })).toEqual({
      kind: 'refused',
      why: 'acquired',
      reason: 'lease already acquired',
    })
    const body = { ...conflict, reason: 'commit c9 holds it', retry_after: 5 }
    expect(await acquiring({ status: 409, body })).toMatchObject({
      reason: 'commit c9 holds it',
      retryAfterMs: 5_000,
    })
  })

  test.each([
    ['no lease acquired', 'not_acquired'],
    ['commit c3 does not hold the lease', 'not_holder'],
  ])('of release: %s', async (context, why) => {
    const body = { error: "Couldn't release the lock", error_context: context }
    expect(await releasing({ status: 400, body })).toMatchObject({ kind: 'refused', why, reason: context })
  })

  test.each([
    [
      400,
      [
        { failed_field: 'acquireRequest.HeadSHA', tag: 'required', value: '' },
        { failed_field: 'acquireRequest.Priority', tag: 'min', value: '1' },
      ],
      'the server refused the request: head_sha is missing; priority must be at least 1',
    ],
    [
      400,
      [{ failed_field: 'acquireRequest.HeadRef', tag: 'ghTempBranchRef', value: '' }],
      'the server refused the request: head_ref must be a branch of a merge queue: gh-readonly-queue/<base>/pr-<number>-<commit>',
    ],
    [
      400,
      [{ failed_field: 'acquireRequest.LeaseSeconds', tag: 'constructor', value: '' }],
      'the server refused the request: lease_seconds is not allowed (constructor)',
    ],
    [422, 'priority must be a whole number', 'Invalid: priority must be a whole number'],
    [405, undefined, 'Invalid'],
  ])('%i with %j is the caller’s mistake, in words', async (status, context, words) => {
    for (const call of [acquiring, status === 400 ? releasing : acquiring]) {
      const failure = await failureOf(call({ status, body: { error: 'Invalid', error_context: context } }))
      expect(failure).toMatchObject({ code: 'invalid_argument', message: `acme/shop@release/1.2: ${words}` })
    }
  })

  test('an unknown provider is named', async () => {
    const failure = await failureOf(acquiring({ status: 404, body: { error: 'unknown provider' } }))
    expect(failure.code).toBe('not_found')
    expect(failure.message).toMatch(/^acme\/shop@release\/1\.2: http:\S+ has no such lease provider; check/)
    expect(failure.details).toEqual({})
  })

  test('a 404 that is nobody’s of ours says that the address may be wrong', async () => {
    const failure = await failureOf(acquiring({ status: 404, text: 'default backend - 404' }))
    expect(failure).toMatchObject({ code: 'not_found', details: { foreign: true } })
    expect(failure.message).toContain('not as Signalbox does; check the address')
  })

  test.each([
    [401, { error: 'say who you are', error_context: 'unauthenticated' }, 'unauthenticated'],
    [403, { error: 'your role is viewer', error_context: 'permission_denied' }, 'permission_denied'],
    [503, { error: 'no space left', error_context: 'unavailable' }, 'unavailable'],
    [503, { error: 'slow down', error_context: 'throttled' }, 'throttled'],
    [503, { error: 'lost', error_context: 'outcome_unknown' }, 'outcome_unknown'],
    [500, { error: 'a defect', error_context: 'internal' }, 'internal'],
    [500, { error: "Couldn't build request context" }, 'outcome_unknown'],
    [503, { error: 'restarting' }, 'unavailable'],
    [409, 'a page', 'unavailable'],
    [401, 'a page', 'unauthenticated'],
    [502, 'a page', 'outcome_unknown'],
    [429, 'a page', 'throttled'],
    [302, 'a page', 'unavailable'],
    [409, { error: { code: 'store_owned', message: 'another process' } }, 'store_owned'],
  ])('%i %j is %s', async (status, body, code) => {
    const reply = typeof body === 'string' ? { status, text: body } : { status, body }
    const failure = await failureOf(acquiring({ ...reply, headers: { 'retry-after': '3' } }))
    expect(failure.code).toBe(code)
    expect(failure.details['retryAfterMs']).toBe(3_000)
    if (typeof body !== 'string' && typeof body.error === 'string')
      expect(failure.message).toContain(body.error)
  })
})

describe('looking', () => {
  const known = { head_sha: 'c3', head_ref: request.ref, priority: 3, status: 'acquired' }
  const whole = {
    last_updated_at: '2026-01-01T00:00:00Z',
    acquired: {
      request: known,
      stacked_pull_requests: [{ number: 3 }],
      fence: 7,
      acquired_at: '2026-01-01T00:00:01Z',
      expires_at: '2026-01-01T06:00:01Z',
    },
    known: [
      { ...known, head_sha: 'c1', priority: 1, status: 'pending', joined_at: '2026-01-01T00:00:00Z' },
      known,
    ],
    config: { stabilize_duration: 300, ttl: 30, expected_request_count: 4, delay_assignment_count: 0 },
    phase: 'held',
    last_fence: 7,
    reason: 'commit c3 holds it',
  }

  test('a provider', async () => {
    const { client, received } = await at({ body: whole })
    expect(await client.leases.show(provider)).toMatchObject({
      name: provider,
      config: { stabilizeMs: 300_000, ttlMs: 30_000, expectedCount: 4, delayCount: 0 },
      updatedAt: Date.UTC(2026, 0, 1),
      holder: { sha: 'c3', pullRequest: 3, fence: 7, expiresAt: Date.UTC(2026, 0, 1, 6, 0, 1) },
      stacked: [3],
      known: [
        { sha: 'c1', priority: 1, status: 'pending', joinedAt: Date.UTC(2026, 0, 1) },
        { sha: 'c3', priority: 3, status: 'acquired' },
      ],
      phase: 'held',
      lastFence: 7,
      reason: 'commit c3 holds it',
    })
    expect(received[0]).toMatchObject({ method: 'GET', url: '/acme/shop/release%2F1.2' })
  })

  test('all of them, a base ref with colons too', async () => {
    const empty = { last_updated_at: null, acquired: null, known: {} }
    const { client, received } = await at({ body: { 'acme:shop:main': whole, 'acme:shop:a:b': empty } })
    const [first, second] = await client.leases.list()
    expect(first).toMatchObject({ name: { owner: 'acme', repo: 'shop', baseRef: 'main' } })
    expect(second).toEqual({
      name: { owner: 'acme', repo: 'shop', baseRef: 'a:b' },
      config: {},
      updatedAt: 0,
      stacked: [],
      known: [],
    })
    expect(received[0]).toMatchObject({ method: 'GET', url: '/', headers: { accept: 'application/json' } })
  })

  test('requests by commit, as the first versions of the original had them', async () => {
    const byCommit = {
      c3: { head_sha: 'c3', priority: 3 },
      c1: { head_sha: 'c1', priority: 1, status: 'pending' },
    }
    const { client } = await at({ body: { last_updated_at: null, acquired: null, known: byCommit } })
    const { known: requests } = await client.leases.show(provider)
    expect(requests.map(({ sha, status }) => [sha, status])).toEqual([
      ['c1', 'pending'],
      ['c3', 'pending'],
    ])
  })

  test.each([
    { body: {} },
    { body: { known: [] } },
    { text: '<h1>Console</h1>' },
    { body: { known: 3, acquired: null } },
  ])('something else is not taken for a provider: %j', async (reply) => {
    const { client } = await at(reply)
    expect((await failureOf(client.leases.show(provider))).code).toBe('unavailable')
  })

  test('clearing names its reason where the server takes one, and is done in any case', async () => {
    const act = { by: 'ann', reason: 'stuck' }
    const ours = await at([{ body: { anything: 1 } }, { body: whole }])
    await ours.client.leases.clear(provider, act)
    expect(ours.received.map(({ method, url, body }) => [method, url, body])).toEqual([
      ['POST', '/api/v1/leases/acme%2Fshop%40release%2F1.2/clear', { reason: 'stuck' }],
      ['GET', '/acme/shop/release%2F1.2', undefined],
    ])
    const original = await at([{ status: 404, text: 'Cannot POST' }, { body: whole }])
    await original.client.leases.clear(provider, act)
    expect(original.received[1]).toMatchObject({ method: 'DELETE', url: '/acme/shop/release%2F1.2' })
    const denied = { error: { code: 'permission_denied', message: 'your role is viewer' } }
    const refused = await at({ status: 403, body: denied })
    expect((await failureOf(refused.client.leases.clear(provider, act))).code).toBe('permission_denied')
    expect(refused.received).toHaveLength(1)
  })
})

describe('credentials', () => {
  const pending = { body: { ...flat, status: 'pending' } }
  const unauthorized = { status: 401, body: { error: 'no' } }

  test('a whole header, as for users with a password', async () => {
    const { client, received } = await at(pending, { authorization: 'Basic YW5uOnNlY3JldA==' })
    await client.leases.acquire(provider, request)
    expect(received[0]?.headers.authorization).toBe('Basic YW5uOnNlY3JldA==')
  })

  test.each(['', 'Basic a\r\nX-Evil: 1', ' Basic a', 'Bearer geheimnisÄ'])(
    'the header %j is refused, unprinted',
    (authorization) => {
      const options = { url: 'http://box', clock: new ManualClock(), random: seededRandom(1) }
      expect(() => createClient({ ...options, authorization })).toThrow(
        /^authorization: (?!.*(?:Evil|geheimnis))/,
      )
      expect(() => createClient({ ...options, authorization: 'Basic a', token: 'b' })).toThrow(/contradict/)
    },
  )

  test('a source of tokens is asked for each call', async () => {
    let n = 0
    const { client, received } = await at(pending, { token: async () => `t${++n}` })
    await client.leases.acquire(provider, request)
    await client.turns.list().catch(() => undefined)
    expect(received.map(({ headers }) => headers.authorization)).toEqual(['Bearer t1', 'Bearer t2'])
  })

  test('after a 401 it is asked for a new one, and the call is repeated once', async () => {
    const asked: unknown[] = []
    const source = async (options?: { readonly renew?: boolean }): Promise<string> => {
      asked.push(options)
      return options?.renew === true ? 'new' : 'old'
    }
    const { client, received } = await at([unauthorized, pending], { token: source })
    expect(await client.leases.acquire(provider, request)).toMatchObject({ status: 'pending' })
    expect(asked).toEqual([undefined, { renew: true }])
    expect(received.map(({ headers }) => headers.authorization)).toEqual(['Bearer old', 'Bearer new'])
    expect(received[1]?.body).toEqual(received[0]?.body)

    const still = await at(unauthorized, { token: source })
    expect((await failureOf(still.client.leases.acquire(provider, request))).code).toBe('unauthenticated')
    expect(still.received).toHaveLength(2)
  })

  test('a fixed token is not tried twice', async () => {
    const { client, received } = await at(unauthorized, { token: 'fixed' })
    expect((await failureOf(client.leases.acquire(provider, request))).code).toBe('unauthenticated')
    expect(received).toHaveLength(1)
  })

  test('a source without a token: nothing is sent, and its reason is told', async () => {
    const source = async (): Promise<string> => {
      throw new Error('no permission id-token: write')
    }
    const { client, received } = await at(pending, { token: source })
    expect(await failureOf(client.leases.acquire(provider, request))).toMatchObject({
      code: 'unauthenticated',
      message: 'no token could be had: no permission id-token: write',
    })
    expect(received).toEqual([])
    const strange = await at(pending, { token: async () => 'two words' })
    expect((await failureOf(strange.client.leases.acquire(provider, request))).code).toBe('unauthenticated')
  })

  test('a source that never answers is within the call’s time', async () => {
    const clock = new ManualClock()
    const { client } = await at(pending, { clock, token: () => new Promise(() => undefined) })
    const failure = failureOf(client.leases.acquire(provider, request))
    await clock.advance(10_000)
    expect((await failure).code).toBe('outcome_unknown')
    const caller = new AbortController()
    const given = failureOf(client.leases.acquire(provider, request, caller.signal))
    await clock.settle()
    caller.abort()
    expect((await given).code).toBe('cancelled')
    expect(clock.pendingTimers).toBe(0)
  })
})
