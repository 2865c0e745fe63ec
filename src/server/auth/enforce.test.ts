/**
 * Every route of the application, taken from its own table, so that a route added later is covered by being added: × role
 * × scope × kind of credential.
 */
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { roles, type Role } from '../../ports/access.ts'
import type { GuardedRoute } from './enforce.ts'
import { appWorld, type AppWorld } from './testing/world.ts'

const QUEUE = 'a/b:c@d'
const world = await appWorld()
afterAll(() => world.close())
const routes = world.app.guardedRoutes

interface Asked {
  readonly status: number
  readonly code: string | undefined
  readonly headers: Readonly<Record<string, unknown>>
}

async function ask(
  { app }: AppWorld,
  route: Pick<GuardedRoute, 'method' | 'url'>,
  token?: string,
  queue = QUEUE,
): Promise<Asked> {
  const url = route.url.replace(':queue', encodeURIComponent(queue)).replace(':id', 'member-0001')
  const response = await app.inject({
    method: route.method as 'GET',
    url,
    ...(route.method === 'POST' || route.method === 'PUT' ? { payload: {} } : {}),
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  })
  const { error } = route.method === 'HEAD' ? {} : response.json<{ error?: { code: string } }>()
  return { status: response.statusCode, code: error?.code, headers: response.headers }
}

/** Did the call pass the gate? What the handler makes of it is another question. */
const passed = ({ status }: Asked): boolean => status !== 401 && status !== 403

const shown = (route: GuardedRoute): string => `${route.method} ${route.url}`
const secrets = new Map<string, Promise<string>>()
function secretOf(role: Role, scope?: string): Promise<string> {
  const key = `${role} ${scope}`
  let secret = secrets.get(key)
  if (secret === undefined)
    secrets.set(key, (secret = world.token({ role, ...(scope === undefined ? {} : { scopes: [scope] }) })))
  return secret
}

describe('the table of routes', () => {
  it('has those of all faces, and their HEAD twins', () => {
    const all = routes.map(shown)
    expect(all).toContain('POST /api/v1/turns/:queue/members')
    expect(all).toContain('DELETE /api/v1/tokens/:id')
    expect(all).toContain('HEAD /api/v1/turns')
    expect(all).toContain('POST /api/v1/messages/:queue/receive')
    expect(all).toContain('POST /api/v1/runs/:id/claim')
    expect(all).toContain('PATCH /api/v1/schedules/:name')
    expect(routes.length).toBeGreaterThan(12)
  })

  it('has no write that a viewer may make', () => {
    const writes = routes.filter(({ method }) => method !== 'GET' && method !== 'HEAD')
    expect(writes.filter(({ access }) => access.role === 'viewer').map(shown)).toEqual([])
  })
})

describe.each(routes.map((route) => [shown(route), route] as const))('%s', (_, route) => {
  const { access } = route
  const isRead = route.method === 'GET' || route.method === 'HEAD'

  it('asks for a token', async () => {
    const { status, headers } = await ask(world, route)
    expect([status, headers['www-authenticate']]).toEqual([401, 'Bearer'])
    const bad = await ask(world, route, `sbx_${'0'.repeat(40)}`)
    expect([bad.status, bad.headers['www-authenticate']]).toEqual([401, 'Bearer'])
  })

  it.each(roles)('%s without scopes', async (role) => {
    const answer = await ask(world, route, await secretOf(role))
    expect(passed(answer)).toBe(roles.indexOf(role) >= roles.indexOf(access.role))
    if (role === 'viewer' && !isRead) expect(answer).toMatchObject({ status: 403, code: 'permission_denied' })
  })

  it.each([
    [`turns:${QUEUE}`, access.noun === 'turns'],
    ['turns:*', access.noun === 'turns'],
    ['turns:a/*', access.noun === 'turns'],
    ['turns:*:c@d', access.noun === 'turns'],
    ['turns:a', access.noun === 'turns' && access.filtered === true],
    ['turns:a%2Fb:c@d', access.noun === 'turns' && access.filtered === true],
    [`messages:${QUEUE}`, access.noun === 'messages'],
    ['messages:*', access.noun === 'messages'],
    ['messages:a', access.noun === 'messages' && access.filtered === true],
    ['leases:*', access.noun === 'leases'],
    ['jobs:*', access.noun === 'jobs'],
    // Runs are named by their jobs; only lists, and calls that name their runs in the body, pass another scope.
    ['jobs:another', access.noun === 'jobs' && access.filtered === true],
    ['schedules:*', access.noun === 'schedules'],
    ['schedules:another', access.noun === 'schedules' && access.filtered === true],
    ['server:*', access.noun === 'server'],
  ])('admin with the scope %s', async (scope, allowed) => {
    expect(passed(await ask(world, route, await secretOf('admin', scope)))).toBe(allowed)
  })
})

const named = routes.filter(({ access }) => access.param === 'queue')
it.each(named.map((route) => [shown(route), route] as const))(
  '%s judges the name that the handler gets, however it is written',
  async (_, route) => {
    const secret = await secretOf('operator', `${route.access.noun}:a`)
    const asked = async (name: string): Promise<boolean> => {
      const url = route.url.replace(':queue', name).replace(':id', 'member-0001')
      return passed(await ask(world, { ...route, url }, secret))
    }
    for (const name of ['a', '%61']) expect([name, await asked(name)]).toEqual([name, true])
    for (const name of ['b', 'a%2Fb', 'a%252Fb', 'A', 'a%00', '%2e%2e%2fa', 'a%20']) {
      expect([name, await asked(name)]).toEqual([name, false])
    }
  },
)

describe('the queues of messages that a call names beside its own', () => {
  const asked = async (method: 'PUT' | 'POST', url: string, payload: object): Promise<number> => {
    const authorization = `Bearer ${await secretOf('operator', 'messages:mine*')}`
    return (await world.app.inject({ method, url, payload, headers: { authorization } })).statusCode
  }

  it('are judged too', async () => {
    await world.desk.service.declare('mine-dead', {})
    const dead = (queue: string) => ({ deadLetter: { queue, maxReceives: 3 } })
    expect(await asked('PUT', '/api/v1/messages/mine', dead('other'))).toBe(403)
    expect(await asked('PUT', '/api/v1/messages/mine', dead('mine-dead'))).toBe(200)
    expect(await asked('POST', '/api/v1/messages/mine-dead/redrive', { to: 'other' })).toBe(403)
    expect(await asked('POST', '/api/v1/messages/mine-dead/redrive', { to: 'mine' })).toBe(200)
    const from = (deadLetterSource: string): object => ({ messages: [{ body: 'a', deadLetterSource }] })
    expect(await asked('POST', '/api/v1/messages/mine-dead/send', from('other'))).toBe(403)
    expect(await asked('POST', '/api/v1/messages/mine-dead/send', from('mine'))).toBe(200)
  })

  it('are not listed to who may not see them', async () => {
    await world.desk.service.declare('hidden', {})
    const authorization = `Bearer ${await secretOf('viewer', 'messages:mine*')}`
    const listed = await world.app.inject({ url: '/api/v1/messages', headers: { authorization } })
    const { queues } = listed.json<{ queues: string[] }>()
    expect(queues).toContain('mine')
    expect(queues).not.toContain('hidden')
  })
})

describe('what needs no token', () => {
  it.each([
    '/',
    '/healthz',
    '/readyz',
    '/metrics',
    '/openapi.json',
    '/docs',
    '/console',
    '/console/console.js',
  ])('%s', async (url) => {
    const { statusCode } = await world.app.inject({ url, headers: { authorization: 'Bearer nonsense' } })
    expect([url, statusCode]).toEqual([url, 200])
  })

  it('includes no unknown path, which stays unknown', async () => {
    expect((await world.app.inject('/api/v1/nothing')).statusCode).toBe(404)
    expect((await world.app.inject({ method: 'PUT', url: '/api/v1/turns' })).statusCode).toBe(405)
  })
})

describe('a route without a declaration', () => {
  it.each(['/api/v1/x', '/api', '/internal', '/metrics/more', '/console/a/b'])(
    '%s ends the start',
    async (url) => {
      const face = (app: { get(url: string, handler: () => object): unknown }): void =>
        void app.get(url, () => ({}))
      await expect(appWorld({ faces: [face] })).rejects.toThrow(`${url} declares no access; add config:`)
    },
  )

  it('so does one whose declaration names a parameter that its path lacks', async () => {
    await expect(
      appWorld({
        faces: [
          (app) => {
            const config = { access: { role: 'viewer', noun: 'turns', param: 'queue' } } as const
            app.get('/api/v1/x/:name', { config }, () => ({}))
          },
        ],
      }),
    ).rejects.toThrow("declares access by 'queue', which its path does not have")
  })
})

describe('without a token', () => {
  it('everything works where nobody has to sign in, and on the owner’s socket', async () => {
    for (const [options, name] of [
      [{ required: false }, 'anonymous'],
      [{ required: true, viaSocket: true }, 'ann'],
    ] as const) {
      const open = await appWorld(options)
      onTestFinished(() => open.close())
      for (const route of routes) expect(passed(await ask(open, route))).toBe(true)
      const payload = { name: 'ci', role: 'viewer' }
      const { token } = (await open.app.inject({ method: 'POST', url: '/api/v1/tokens', payload })).json<{
        token: { createdBy: string }
      }>()
      expect(token.createdBy).toBe(name)
      expect((await ask(open, { method: 'GET', url: '/api/v1/turns' }, 'sbx_bad')).status).toBe(401)
    }
  })
})
