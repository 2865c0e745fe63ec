import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SignalboxError } from '../../kernel/error.ts'
import type { TopicView, VoteView } from '../api.ts'
import { API_KEY, harness, type Harness } from '../testing/harness.ts'

let service: Harness
beforeEach(async () => (service = await harness()))
afterEach(() => service.app.close())

type Payload = Record<string, unknown>

const post = (url: string, payload: Payload | string, headers: Record<string, string> = {}) =>
  service.app.inject({
    method: 'POST',
    url,
    payload,
    headers: { 'content-type': 'application/json', ...headers },
  })
const put = (id: string, payload: Payload) =>
  service.app.inject({ method: 'PUT', url: `/topics/${id}`, payload, headers: { 'x-api-key': API_KEY } })
const get = (url: string) => service.app.inject(url)

async function topic(...choices: string[]): Promise<TopicView> {
  const payload = {
    title: 'Lunch?',
    choices: choices.map((description) => ({ description })),
    api_key: API_KEY,
  }
  const answer = await post('/topics', payload)
  expect(answer.statusCode).toBe(201)
  return answer.json()
}

async function vote(to: TopicView, index: number, more: Payload = {}, headers?: Record<string, string>) {
  return post('/votes', { topic_id: to.id, choice_id: to.choices[index]?.id, ...more }, headers)
}

async function counts(id: string): Promise<(number | null)[]> {
  return (await get(`/topics/${id}?include_votes=true`)).json<TopicView>().choices.map(({ votes }) => votes)
}

describe('who may write topics', () => {
  const body = { title: 'x' }

  it('is whoever has the key: in the body, in X-API-Key, or as a bearer token', async () => {
    expect((await post('/topics', { ...body, api_key: API_KEY })).statusCode).toBe(201)
    expect((await post('/topics', body, { 'x-api-key': API_KEY })).statusCode).toBe(201)
    expect((await post('/topics', body, { authorization: `Bearer ${API_KEY}` })).statusCode).toBe(201)
    expect((await post('/topics', body, { authorization: `bearer  ${API_KEY}` })).statusCode).toBe(201)
  })

  it.each([
    ['no key', {}, {}],
    ['another key', { api_key: 'test_kez' }, {}],
    ['an empty key', { api_key: '' }, { 'x-api-key': '' }],
    ['a key that is no text', { api_key: 7 }, {}],
    ['basic credentials', {}, { authorization: `Basic ${API_KEY}` }],
  ])('is nobody with %s, whatever else is wrong', async (_, more, headers) => {
    for (const payload of [
      { ...body, ...more },
      { nonsense: true, ...more },
    ]) {
      const answer = await post('/topics', payload, headers)
      expect([answer.statusCode, answer.json()]).toEqual([401, { detail: 'Not authenticated' }])
    }
    const answer = await service.app.inject({ method: 'PUT', url: '/topics/x', payload: body, headers })
    expect(answer.statusCode).toBe(401)
    expect(await service.ledger.listTopics({ limit: 1 })).toEqual({ entries: [] })
  })

  it('is everybody in development', async () => {
    const open = await harness({ apiKey: undefined })
    expect((await open.app.inject({ method: 'POST', url: '/topics', payload: body })).statusCode).toBe(201)
    await open.app.close()
  })

  it('keeps the key out of what is stored', async () => {
    const made = await topic('a')
    expect(JSON.stringify(await service.ledger.getTopic(made.id))).not.toContain(API_KEY)
  })
})

describe('a topic', () => {
  it('needs a title; is active, with no choices, unless said otherwise', async () => {
    const made = (await post('/topics', { title: ' T ', api_key: API_KEY })).json<TopicView>()
    expect(made).toMatchObject({ title: 'T', is_active: true, choices: [] })
    const nulls = await post('/topics', { title: 'T', is_active: null, choices: null, api_key: API_KEY })
    expect(nulls.json()).toMatchObject({ is_active: true, choices: [] })
    const answer = await post('/topics', { is_active: true, api_key: API_KEY })
    expect(answer.statusCode).toBe(422)
    expect(answer.json()).toEqual({
      detail: [{ loc: ['body', 'title'], msg: expect.any(String) as string, type: 'invalid_type' }],
      body: { is_active: true, api_key: '***' },
    })
  })

  it('never repeats the key, wherever it stands', async () => {
    const wrong = [{ title: 7 }, { title: 'x', choices: [{ api_key: API_KEY }] }]
    for (const payload of wrong) {
      const answer = await post('/topics', { ...payload, api_key: API_KEY })
      expect(answer.statusCode).toBe(422)
      expect(answer.body).not.toContain(API_KEY)
    }
    const cut = await post('/topics', `{"api_key": "${API_KEY}", "title": `)
    expect([cut.statusCode, cut.json<{ body: unknown }>().body]).toEqual([422, null])
    expect(cut.body).not.toContain(API_KEY)
  })

  it('keeps the votes of a choice that is taken out, and shows them when its id returns', async () => {
    const made = await topic('a', 'b')
    const [a, b] = made.choices
    await vote(made, 0)
    await service.work()
    expect((await put(made.id, { title: 'x', choices: [{ id: b?.id, description: 'b' }] })).statusCode).toBe(
      200,
    )
    expect(await counts(made.id)).toEqual([0])
    expect((await vote(made, 0)).statusCode).toBe(422)
    const both = [{ id: b?.id, description: 'b' }, { id: a?.id, description: 'A' }] // prettier-ignore
    expect((await put(made.id, { title: 'x', choices: both })).statusCode).toBe(200)
    expect(await counts(made.id)).toEqual([0, 1])
  })

  it('takes back a choice that another program took out, as long as it has votes', async () => {
    const made = await topic('a')
    const shard = { topic_id: made.id, shard: '0', fold: 1, counts: { former: 3 }, version: undefined }
    await service.ledger.commit({ votes: [], shards: [shard] })
    expect(
      (await put(made.id, { title: 'x', choices: [{ id: 'former', description: 'f' }] })).statusCode,
    ).toBe(200)
    expect(await counts(made.id)).toEqual([3])
  })

  it('refuses a choice id it never had, or one that is there twice, and stays as it is', async () => {
    const made = await topic('a')
    const id = made.choices[0]?.id
    const unknown = await put(made.id, {
      title: 'x',
      choices: [{ description: 'n' }, { id: 'nope', description: 'b' }],
    })
    expect(unknown.statusCode).toBe(422)
    expect(unknown.json()).toMatchObject({
      detail: [{ loc: ['body', 'choices', 1, 'id'] }],
      body: { title: 'x' },
    })
    const twice = await put(made.id, { title: 'x', choices: [{ id, description: 'a' }, { id, description: 'b' }] }) // prettier-ignore
    expect(twice.statusCode).toBe(422)
    expect((await get(`/topics/${made.id}`)).json()).toEqual(made)
  })

  it('is bumped at every replacement, also within a millisecond', async () => {
    const made = await topic('a')
    const seen = [made.last_upd]
    for (let i = 0; i < 3; i++) {
      await put(made.id, { title: `x${i}` })
      seen.push((await get(`/topics/${made.id}`)).json<TopicView>().last_upd)
    }
    expect(seen).toEqual([...new Set(seen)].sort())
  })

  it('that nobody made is 404', async () => {
    for (const id of ['nope', 'tally%23x', 'a'.repeat(90), '%F0%9F%A5%90']) {
      expect((await get(`/topics/${id}`)).statusCode).toBe(404)
      expect((await put(id, { title: 'x' })).statusCode).toBe(404)
    }
  })

  it('loses no choice when two replace it at once', async () => {
    const made = await topic('a')
    const results = await Promise.all(
      ['x', 'y', 'z'].map((title) => put(made.id, { title, choices: [{ description: title }] })),
    )
    expect(results.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200])
    expect((await service.ledger.getTopic(made.id))?.retired.length).toBe(3)
  })
})

describe('lists', () => {
  it('have pages of 100, newest first, with a cursor and a link to the next', async () => {
    for (let i = 0; i < 230; i++) await topic()
    const sizes: number[] = []
    const ids: string[] = []
    let url: string | undefined = '/topics?include_votes=true'
    while (url !== undefined) {
      const answer = await get(url)
      const page = answer.json<TopicView[]>()
      sizes.push(page.length)
      ids.push(...page.map(({ id }) => id))
      url = /^<(.*)>; rel="next"$/.exec(String(answer.headers['link'] ?? ''))?.[1]
      expect(answer.headers['x-next-cursor'] === undefined).toBe(url === undefined)
      if (url !== undefined) expect(url).toContain('include_votes=true')
    }
    expect(sizes).toEqual([100, 100, 30])
    expect(new Set(ids).size).toBe(230)
  })

  it('of votes are newest first and need a topic', async () => {
    const made = await topic('a')
    for (let i = 0; i < 5; i++) await vote(made, 0, { id: `v${i}` })
    await service.work()
    const first = await get(`/votes?topic_id=${made.id}&limit=3`)
    const cursor = String(first.headers['x-next-cursor'])
    const second = await get(`/votes?topic_id=${made.id}&limit=3&cursor=${encodeURIComponent(cursor)}`)
    const ids = [first, second].flatMap((page) => page.json<VoteView[]>().map(({ id }) => id))
    expect(ids).toEqual(['v4', 'v3', 'v2', 'v1', 'v0'])
    expect((await get('/votes?topic_id=nope')).statusCode).toBe(404)
    expect((await get('/votes')).statusCode).toBe(422)
  })

  it.each(['limit=0', 'limit=101', 'limit=x', 'cursor=%00', 'include_votes=maybe'])(
    'refuse %s',
    async (query) => {
      const answer = await get(`/topics?${query}`)
      expect(answer.statusCode).toBe(422)
      expect(answer.json()).toMatchObject({ detail: [{ loc: ['query', query.split('=')[0]] }], body: null })
    },
  )
})

describe('a vote', () => {
  it('needs a topic that is there and a choice of it', async () => {
    const made = await topic('a')
    const other = await topic('b')
    expect((await post('/votes', { topic_id: 'nope', choice_id: 'x' })).statusCode).toBe(404)
    const wrong = { topic_id: made.id, choice_id: other.choices[0]?.id }
    const answer = await post('/votes', wrong)
    expect([answer.statusCode, answer.json()]).toMatchObject([
      422,
      { detail: [{ loc: ['body', 'choice_id'] }], body: wrong },
    ])
    expect(service.queue).toEqual([])
  })

  it('with an id, or an idempotency key, may be sent again and counts once', async () => {
    const made = await topic('a', 'b')
    for (let i = 0; i < 3; i++) await vote(made, 0, { id: 'mine' })
    const keyed = await Promise.all([1, 2, 3].map(() => vote(made, 1, {}, { 'idempotency-key': 'my key' })))
    expect(new Set(keyed.map((answer) => answer.json<VoteView>().id)).size).toBe(1)
    expect((await vote(made, 0, {}, { 'idempotency-key': 'other' })).json<VoteView>().id).not.toBe(
      keyed[0]?.json<VoteView>().id,
    )
    await service.work()
    expect(await counts(made.id)).toEqual([2, 1])
  })

  it('the same key on another topic is another vote', async () => {
    const [one, two] = [await topic('a'), await topic('a')]
    await vote(one, 0, {}, { 'idempotency-key': 'k' })
    await vote(two, 0, {}, { 'idempotency-key': 'k' })
    await service.work()
    expect([await counts(one.id), await counts(two.id)]).toEqual([[1], [1]])
  })

  it('is taken on an inactive topic, unless that is forbidden', async () => {
    const made = await topic('a')
    await put(made.id, {
      title: 'x',
      is_active: false,
      choices: [{ id: made.choices[0]?.id, description: 'a' }],
    })
    expect((await vote(made, 0)).statusCode).toBe(202)
    const strict = await harness({ requireActive: true })
    const payload = { title: 'x', is_active: false, choices: [{ description: 'a' }], api_key: API_KEY }
    const closed = (await strict.app.inject({ method: 'POST', url: '/topics', payload })).json<TopicView>()
    const body = { topic_id: closed.id, choice_id: closed.choices[0]?.id }
    const answer = await strict.app.inject({ method: 'POST', url: '/votes', payload: body })
    expect(answer.statusCode).toBe(409)
    await strict.app.close()
  })

  it('for a choice that was added a moment ago is taken at once', async () => {
    const made = await topic('a')
    await vote(made, 0)
    const before = await service.ledger.getTopic(made.id)
    // Another process replaces the topic.
    const next = { ...before!, last_upd: '2030-01-01T00:00:00.000000', choices: [...before!.choices, { id: 'n', description: 'n' }] } // prettier-ignore
    await service.ledger.replaceTopic(next, before!.last_upd)
    expect((await post('/votes', { topic_id: made.id, choice_id: 'n' })).statusCode).toBe(202)
  })

  it('that nobody cast is 404 and not kept by any cache', async () => {
    for (const id of ['nope', 'tally%230', '%2e%2e%2f', 'x'.repeat(80)]) {
      const answer = await get(`/votes/${id}`)
      expect([answer.statusCode, answer.headers['cache-control']]).toEqual([404, 'no-store'])
    }
  })

  it('is not acknowledged when it could not be queued', async () => {
    const made = await topic('a')
    service.queue.push = () => {
      throw new SignalboxError('unavailable', 'no queue')
    }
    const answer = await vote(made, 0)
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1'])
    expect(service.failures).toEqual(['no queue'])
  })
})

describe('an engine that refuses', () => {
  it.each(['unauthenticated', 'permission_denied', 'not_found', 'conflict', 'config_invalid'] as const)(
    'with %s is trouble of the service, which its log has and no client is told',
    async (code) => {
      const made = await topic('a')
      service.queue.push = () => {
        throw new SignalboxError(code, 'arn:aws:iam::123456789012:user/x may not')
      }
      const answer = await vote(made, 0)
      expect(answer.statusCode).toBeGreaterThanOrEqual(500)
      expect(answer.body).not.toContain('arn:')
      expect(service.failures).toEqual(['arn:aws:iam::123456789012:user/x may not'])
    },
  )

  it('whose answer was lost names the vote, which is sent again as the same one', async () => {
    const made = await topic('a')
    const { push } = service.queue
    service.queue.push = (sent) => {
      push.call(service.queue, sent)
      throw new SignalboxError('outcome_unknown', 'no answer')
    }
    const answer = await vote(made, 0)
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1'])
    service.queue.push = push
    const { id } = answer.json<{ id: string }>()
    expect(service.queue.map((sent) => sent.id)).toEqual([id])
    const again = await post('/votes', { topic_id: made.id, choice_id: made.choices[0]?.id, id })
    expect(again.json()).toMatchObject({ id })
  })

  it('that is asked too much says so, and for how long', async () => {
    const made = await topic('a')
    service.queue.push = () => {
      throw new SignalboxError('throttled', 'too much')
    }
    const answer = await vote(made, 0)
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([429, '1'])
  })
})

describe('what else may come', () => {
  it.each([
    ['no JSON', '{', 422],
    ['nothing', '', 422],
    ['null', 'null', 422],
    ['a list', '[]', 422],
    ['text', '"x"', 422],
    ['a poisoned prototype', '{"__proto__": {"x": 1}, "topic_id": "a", "choice_id": "b"}', 422],
    ['ids of another kind', '{"topic_id": {"$ne": 1}, "choice_id": []}', 422],
    ['ids with control characters', '{"topic_id": "a\\u0000", "choice_id": "b"}', 422],
    ['very long ids', JSON.stringify({ topic_id: 'x'.repeat(10_000), choice_id: 'y' }), 422],
    ['a giant body', JSON.stringify({ topic_id: 'x'.repeat(300_000) }), 413],
    ['deep nesting', '['.repeat(50_000) + ']'.repeat(50_000), 422],
  ])('%s is refused', async (_, payload, status) => {
    const answer = await post('/votes', payload)
    expect(answer.statusCode).toBe(status)
    expect(answer.json()).toHaveProperty('detail')
    expect(service.queue).toEqual([])
    expect(service.failures).toEqual([])
  })

  it('only JSON is read', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
    ]) {
      const answer = await post('/votes', 'topic_id=a', { 'content-type': type })
      expect(answer.statusCode).toBe(415)
    }
  })

  it('no route and no method that is not there', async () => {
    expect((await get('/nope')).json()).toEqual({ detail: 'Not found' })
    expect((await service.app.inject({ method: 'DELETE', url: '/topics/x' })).statusCode).toBe(404)
  })

  it('an error of ours tells nothing of itself', async () => {
    const made = await topic('a')
    service.queue.push = () => {
      throw new TypeError('secret detail')
    }
    const answer = await vote(made, 0)
    expect([answer.statusCode, answer.json()]).toEqual([
      500,
      { detail: 'Internal server error', id: expect.any(String) },
    ])
    expect(service.failures).toEqual(['secret detail'])
  })
})

describe('around it', () => {
  it('describes itself as OpenAPI 3.1, with every call', async () => {
    const document = (await get('/openapi.json')).json<{
      openapi: string
      paths: Record<string, Record<string, { requestBody?: unknown }>>
      components: { schemas: Record<string, unknown> }
    }>()
    expect(document.openapi).toBe('3.1.0')
    const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    )
    expect(calls.sort()).toEqual([
      'get /topics',
      'get /topics/{id}',
      'get /votes',
      'get /votes/{id}',
      'post /topics',
      'post /votes',
      'put /topics/{id}',
    ])
    expect(JSON.stringify(document.paths['/topics']?.['post']?.requestBody)).toContain('CreateTopicInput')
    expect(document.components.schemas['CreateTopicInput']).toMatchObject({ required: ['title'] })
  })

  it('has a page to try it', async () => {
    const page = await get('/docs/')
    expect([page.statusCode, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    expect(page.headers['content-security-policy']).toContain("script-src 'self'")
    expect((await get('/docs/json')).json()).toHaveProperty('openapi', '3.1.0')
  })

  it('lets the named sites call, and no other', async () => {
    const ask = (origin: string) =>
      service.app.inject({
        method: 'OPTIONS',
        url: '/votes',
        headers: { origin, 'access-control-request-method': 'POST' },
      })
    expect((await ask('https://game.example')).headers['access-control-allow-origin']).toBe(
      'https://game.example',
    )
    expect((await ask('https://evil.example')).headers['access-control-allow-origin']).toBeUndefined()
    const listed = await service.app.inject({ url: '/topics', headers: { origin: 'https://game.example' } })
    expect(listed.headers['access-control-expose-headers']).toBe('link, x-next-cursor')
    const everybody = await harness({ origins: ['*'] })
    const open = await everybody.app.inject({ url: '/topics', headers: { origin: 'https://any.example' } })
    expect(open.headers['access-control-allow-origin']).toBe('*')
    await everybody.app.close()
  })

  it('tells its health and its numbers', async () => {
    for (const url of ['/healthz', '/readyz']) expect((await get(url)).json()).toEqual({ status: 'ok' })
    expect((await get('/metrics')).body).toBe('votes 1\n')
    const sick = await harness({ healthy: () => Promise.reject(new Error('no table')) })
    const answer = await sick.app.inject('/healthz')
    expect([answer.statusCode, answer.json()]).toEqual([503, { status: 'unavailable' }])
    expect(sick.failures).toEqual(['no table'])
    await sick.app.close()
  })

  it('serves the page with a strict policy', async () => {
    for (const [url, type] of [
      ['/', 'text/html'],
      ['/page/app.js', 'text/javascript'],
      ['/page/style.css', 'text/css'],
      ['/page/icon.svg', 'image/svg+xml'],
    ] as const) {
      const answer = await get(url)
      expect([answer.statusCode, String(answer.headers['content-type']).split(';')[0]]).toEqual([200, type])
      expect(answer.headers['content-security-policy']).toContain("script-src 'self'")
      expect(answer.headers['content-security-policy']).not.toContain('unsafe')
      expect(answer.headers['x-content-type-options']).toBe('nosniff')
    }
    const page = (await get('/')).body
    expect(page).not.toMatch(/ style=|<script>|<style| on\w+=/)
  })

  it('observes each answer by its route', async () => {
    const seen: string[] = []
    const observed = await harness({
      observe: (method, route) => (_, reply) => seen.push(`${method} ${route} ${reply.statusCode}`),
    })
    await observed.app.inject('/votes/x')
    await observed.app.inject('/topics')
    expect(seen).toEqual(['GET /votes/:id 404', 'GET /topics 200'])
    await observed.app.close()
  })
})
