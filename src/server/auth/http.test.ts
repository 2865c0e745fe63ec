import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { InjectOptions } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { appWorld, owner, type AppWorld } from './testing/world.ts'

async function world(): Promise<AppWorld> {
  const made = await appWorld()
  onTestFinished(() => made.close())
  return made
}

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
}

async function call({ app }: AppWorld, token: string, options: InjectOptions): Promise<Answer> {
  const response = await app.inject({ ...options, headers: { authorization: `Bearer ${token}` } })
  return { status: response.statusCode, body: response.json() }
}

const names = ({ body }: Answer): string[] =>
  (body['queues'] as { queue: string }[]).map(({ queue }) => queue)

describe('tokens over HTTP', () => {
  it('are created, used, listed without their secrets, and revoked', async () => {
    const made = await world()
    const admin = await made.token({ name: 'boss', role: 'admin' })
    const created = await call(made, admin, {
      method: 'POST',
      url: '/api/v1/tokens',
      payload: { name: 'org/repo', role: 'operator', scopes: ['turns:a'] },
    })
    expect(created).toMatchObject({ status: 200, body: { token: { name: 'org/repo', createdBy: 'boss' } } })
    const secret = created.body['secret'] as string
    const join = { method: 'POST', url: '/api/v1/turns/a/members', payload: { id: 'member-0001' } } as const
    expect(await call(made, secret, join)).toMatchObject({ status: 200, body: { state: 'holding' } })
    const list = await call(made, admin, { url: '/api/v1/tokens' })
    expect(list.body['tokens']).toHaveLength(2)
    expect(JSON.stringify(list.body)).not.toContain(secret.slice(4))
    const url = `/api/v1/tokens/${encodeURIComponent('org/repo')}`
    expect(await call(made, admin, { method: 'DELETE', url })).toMatchObject({ body: { state: 'revoked' } })
    expect(await call(made, secret, join)).toMatchObject({
      status: 401,
      body: {
        error: {
          code: 'unauthenticated',
          message: expect.stringMatching(/^the token is revoked;/) as string,
        },
      },
    })
  })

  it('are asked for strictly', async () => {
    const made = await world()
    const admin = await made.token({ role: 'admin' })
    const post = (payload: object): Promise<Answer> =>
      call(made, admin, { method: 'POST', url: '/api/v1/tokens', payload })
    expect(await post({ name: 'x', role: 'viewer', scope: 'turns:a' })).toMatchObject({
      status: 400,
      body: { error: { message: 'body: unknown scope' } },
    })
    expect(await post({ name: 'x', role: 'viewer', scopes: ['queue:a'] })).toMatchObject({
      status: 400,
      body: {
        error: { message: expect.stringMatching(/^scopes\.0: 'queue:a' is not a scope; write/) as string },
      },
    })
  })

  it('are refused to an admin whose scopes leave the server out', async () => {
    const made = await world()
    const scoped = await made.token({ role: 'admin', scopes: ['turns:*'] })
    const payload = { name: 'x', role: 'admin' }
    expect(await call(made, scoped, { method: 'POST', url: '/api/v1/tokens', payload })).toMatchObject({
      status: 403,
      body: { error: { code: 'permission_denied', details: { neededScope: 'server:*' } } },
    })
  })

  it('leave their traces in the audit log, newest first', async () => {
    const made = await world()
    const admin = await made.token({ name: 'boss', role: 'admin' })
    await made.clock.advance(1) // the order within one millisecond is nobody's
    await call(made, admin, {
      method: 'POST',
      url: '/api/v1/tokens',
      payload: { name: 'ci', role: 'viewer' },
    })
    await made.clock.advance(86_400_000)
    await call(made, admin, { method: 'DELETE', url: '/api/v1/tokens/ci' })
    const audit = (query: string): Promise<Answer> => call(made, admin, { url: `/api/v1/audit${query}` })
    const actions = ({ body }: Answer): string[] =>
      (body['entries'] as { actor: string; action: string; target: string }[]).map(
        ({ actor, action, target }) => `${actor} ${action} ${target}`,
      )
    const all = ['boss tokens.revoke ci', 'boss tokens.create ci', 'ann tokens.create boss']
    expect(actions(await audit(''))).toEqual(all)
    const first = await audit('?limit=2')
    expect(actions(first)).toEqual(all.slice(0, 2))
    expect(actions(await audit(`?limit=2&after=${String(first.body['next'])}`))).toEqual(all.slice(2))
    const today = new Date(made.clock.now()).toISOString()
    expect(actions(await audit(`?from=${today}`))).toEqual(all.slice(0, 1))
    expect(actions(await audit(`?to=${today}`))).toEqual(all.slice(1))
    expect((await audit('?from=yesterday')).status).toBe(400)
  })
})

describe('lists of queues', () => {
  it('hold what the scopes allow, and no page or cursor tells of others', async () => {
    const made = await world()
    for (const queue of ['a/1', 'a/2', 'a/3', 'b/1', 'b/2', 'c']) {
      await made.turns.join(queue, { id: `member-${queue.replace('/', '-')}0` })
    }
    const all = await made.token({ role: 'viewer' })
    const some = await made.token({ role: 'viewer', scopes: ['turns:a/*', 'turns:c'] })
    expect(names(await call(made, all, { url: '/api/v1/turns' }))).toHaveLength(6)
    expect(names(await call(made, some, { url: '/api/v1/turns' }))).toEqual(['a/1', 'a/2', 'a/3', 'c'])
    const first = await call(made, some, { url: '/api/v1/turns?limit=3' })
    expect([names(first), first.body['next']]).toEqual([['a/1', 'a/2', 'a/3'], 'a/3'])
    const second = await call(made, some, { url: '/api/v1/turns?limit=3&after=a/3' })
    expect([names(second), second.body['next']]).toEqual([['c'], undefined])
  })
})

interface Listening {
  /** All that arrived. */
  readonly text: () => string
  readonly ended: Promise<void>
}

async function listen({ app }: AppWorld, path: string, token: string): Promise<Listening> {
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}` }
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += String(chunk)))
      response.on('error', () => undefined)
      resolve({ text: () => text, ended: new Promise((done) => void response.once('close', done)) })
    })
    request.on('error', reject)
    request.end()
  })
}

/** Turns of the event loop until it is so: what is waited for crosses a socket. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((next) => void setImmediate(next))
}

describe('an event stream', () => {
  it.each(['/api/v1/turns', '/api/v1/turns/a'])(
    '%s ends when its token is revoked; others go on',
    async (path) => {
      const made = await world()
      await made.turns.join('a', { id: 'member-0001' })
      const [gone, stays] = [await made.token({ name: 'gone' }), await made.token({ name: 'stays' })]
      const streams = [await listen(made, path, gone), await listen(made, path, stays)] as const
      await until(() => streams.every(({ text }) => text().includes('data: ')))
      await made.auth.tokens.revoke('gone', owner)
      await streams[0].ended
      let other = false
      void streams[1].ended.then(() => (other = true))
      await made.clock.advance(20_000)
      expect(other).toBe(false)
      made.app.server.closeAllConnections()
      await streams[1].ended
    },
  )

  it('ends within seconds of its token’s expiry', async () => {
    const made = await world()
    const token = await made.token({ expiresInMs: 10_000 })
    const { text, ended } = await listen(made, '/api/v1/turns', token)
    await until(() => text().includes('data: '))
    await made.clock.advance(12_000)
    await ended
  })

  it('of all queues shows only those in scope, and does not stir for others', async () => {
    const made = await world()
    await made.turns.join('mine', { id: 'member-0001' })
    await made.turns.join('theirs', { id: 'member-0002' })
    const token = await made.token({ role: 'viewer', scopes: ['turns:mine'] })
    const { text } = await listen(made, '/api/v1/turns', token)
    await until(() => text().includes('data: '))
    const before = text()
    await made.turns.leave('theirs', 'member-0002')
    await made.clock.advance(1_000)
    await made.turns.leave('mine', 'member-0001')
    await made.clock.advance(1_000)
    await until(() => text().length > before.length)
    expect(text()).toContain('"queue":"mine"')
    expect(text()).not.toContain('theirs')
    expect(text().match(/^event: queues$/gm)).toHaveLength(2)
    made.app.server.closeAllConnections()
  })

  it('does not begin for a queue out of scope', async () => {
    const made = await world()
    await made.turns.join('theirs', { id: 'member-0002' })
    const token = await made.token({ role: 'viewer', scopes: ['turns:mine'] })
    const { text, ended } = await listen(made, '/api/v1/turns/theirs', token)
    await ended
    expect(text()).toContain('permission_denied')
  })
})
