import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { AUDIENCE, startOidcIssuer, type OidcIssuerServer } from '../../../../test/support/oidc-issuer.ts'
import { systemClock } from '../../../kernel/clock.ts'
import { seededRandom } from '../../../kernel/id.ts'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import { configSchema } from '../../config/schema.ts'
import { createLogger } from '../../logger.ts'
import { startServer } from '../../serve.ts'
import { appWorld, type AppWorld } from '../testing/world.ts'
import { createOidcVerifier } from './verifier.ts'

const rules = [
  { repository: 'octo-org/infra', repository_id: 9, role: 'admin' },
  { repository: 'octo-org/app', ref: 'refs/heads/main', role: 'operator', scopes: ['turns:app/*'] },
  { repository: 'octo-org/*', role: 'viewer' },
]
const infra = { repository: 'octo-org/infra', repository_id: '9' }

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
}

interface Started {
  readonly issuer: OidcIssuerServer
  readonly logged: Record<string, unknown>[]
  readonly call: (path: string, token?: string, body?: object) => Promise<Answer>
  readonly metrics: () => Promise<string>
}

/** A server as `signalbox serve` starts it, and an issuer, both on real sockets. */
async function started(server: object = {}): Promise<Started> {
  const issuer = await startOidcIssuer(() => systemClock.now())
  onTestFinished(() => issuer.close())
  const parent = mkdtempSync(join(tmpdir(), 'signalbox-oidc-'))
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }))
  const logged: Record<string, unknown>[] = []
  const out = { write: (line: string) => void logged.push(JSON.parse(line) as Record<string, unknown>) }
  const running = await startServer(
    configSchema.parse({
      dataDir: join(parent, 'data'),
      server: { port: 0, ...server },
      auth: { oidc: [{ issuer: issuer.issuer, audience: AUDIENCE, rules }] },
    }),
    {
      clock: systemClock,
      random: seededRandom(7),
      logger: createLogger({ level: 'info', format: 'json' }, false, out),
      command: 'signalbox serve',
    },
  )
  onTestFinished(() => running.close())
  const url = `http://127.0.0.1:${new URL(running.url).port}`
  return {
    issuer,
    logged,
    metrics: async () => (await fetch(`${url}/metrics`)).text(),
    async call(path, token, body) {
      const answer = await fetch(`${url}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
    },
  }
}

const member = { id: 'member-0001' }
const code = ({ status, body }: Answer): unknown[] => [
  status,
  (body['error'] as { code: string } | undefined)?.code,
]

describe('a server with auth.oidc', () => {
  it('lets a job do what its rule says, and nothing else', async () => {
    const { call, issuer } = await started()
    const [viewer, operator, admin] = [
      await issuer.token({ repository: 'octo-org/docs' }),
      await issuer.token(),
      await issuer.token(infra),
    ]
    expect(code(await call('/api/v1/turns', viewer))).toEqual([200, undefined])
    expect(code(await call('/api/v1/turns/app%2Feu/members', viewer, member))).toEqual([
      403,
      'permission_denied',
    ])

    expect(await call('/api/v1/turns/app%2Feu/members', operator, member)).toMatchObject({
      status: 200,
      body: { state: 'holding' },
    })
    const elsewhere = await call('/api/v1/turns/other/members', operator, member)
    expect(code(elsewhere)).toEqual([403, 'permission_denied'])
    expect(elsewhere.body).toMatchObject({
      error: {
        message: expect.stringMatching(
          /:octo-org\/app@refs\/heads\/main' has no scope for turns 'other'/,
        ) as string,
      },
    })
    expect(code(await call('/api/v1/tokens', operator))).toEqual([403, 'permission_denied'])

    expect(code(await call('/api/v1/tokens', admin))).toEqual([200, undefined])
    expect(code(await call('/api/v1/turns/other/members', admin, member))).toEqual([200, undefined])
  })

  it('names the job in the audit log, its run in the log, and counts; the token is in neither', async () => {
    const { call, issuer, logged, metrics } = await started()
    const token = await issuer.token(infra)
    await call('/api/v1/turns/q/members', token, member)
    expect(code(await call('/api/v1/turns/q/pause', token, { reason: 'maintenance' }))).toEqual([
      200,
      undefined,
    ])
    const name = `${new URL(issuer.issuer).host}:octo-org/infra@refs/heads/main`
    const audit = await call('/api/v1/audit', token)
    expect(audit.body['entries']).toMatchObject([
      { actor: name, action: 'turns.pause', reason: 'maintenance' },
    ])
    await call('/api/v1/turns', await issuer.token({ aud: 'https://elsewhere.example' }))
    await call('/api/v1/turns', await issuer.token({ repository: 'evil/app' }))
    expect(logged.filter(({ msg }) => msg === 'OIDC token accepted')).toEqual([
      {
        level: 'info',
        time: expect.any(String) as string,
        principal: name,
        run_id: '30433642',
        run_attempt: '2',
        workflow_ref: 'octo-org/app/.github/workflows/ci.yml@refs/heads/main',
        event_name: 'push',
        actor: 'octocat',
        msg: 'OIDC token accepted',
      },
    ])
    for (const secret of token.split('.')) expect(JSON.stringify(logged)).not.toContain(secret)
    expect((await metrics()).split('\n')).toEqual(
      expect.arrayContaining([
        'signalbox_oidc_tokens_total{outcome="accepted"} 1',
        'signalbox_oidc_tokens_total{outcome="unauthenticated"} 1',
        'signalbox_oidc_tokens_total{outcome="permission_denied"} 1',
        'signalbox_oidc_key_reads_total{outcome="ok"} 1',
      ]),
    )
  })

  it('refuses who comes without a token, or with one that is not good', async () => {
    const { call, issuer } = await started()
    expect(code(await call('/api/v1/turns'))).toEqual([401, 'unauthenticated'])
    expect(code(await call('/api/v1/turns', 'a.b.c'))).toEqual([401, 'unauthenticated'])
    expect(code(await call('/api/v1/turns', `sbx_${'0'.repeat(40)}`))).toEqual([401, 'unauthenticated'])
    expect(code(await call('/api/v1/turns', await issuer.token({ repository: 'octo-org-evil/x' })))).toEqual([
      403,
      'permission_denied',
    ])
    const expired = await issuer.token({}, { lifetimeS: -31 })
    expect(code(await call('/api/v1/turns', expired))).toEqual([401, 'unauthenticated'])
  })

  it('says 503 and logs a warning while the issuer has never been reached', async () => {
    const { call, issuer, logged } = await started()
    const token = await issuer.token()
    await issuer.down()
    const answer = await call('/api/v1/turns', token)
    expect(code(answer)).toEqual([503, 'unavailable'])
    expect(JSON.stringify(answer.body)).toContain(issuer.issuer)
    expect(logged).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        issuer: issuer.issuer,
        msg: 'the keys of an OIDC issuer cannot be read: it cannot be reached (ECONNREFUSED)',
      }),
    )
  })

  it('may listen beyond this machine although there is no other token', async () => {
    const { call, issuer } = await started({ host: '0.0.0.0' })
    expect(code(await call('/api/v1/turns'))).toEqual([401, 'unauthenticated'])
    expect(code(await call('/api/v1/turns', await issuer.token()))).toEqual([200, undefined])
  })
})

it('a server without auth.oidc refuses such tokens and says which setting is missing', async () => {
  const made = await appWorld()
  onTestFinished(() => made.close())
  const answer = await made.app.inject({
    url: '/api/v1/turns',
    headers: { authorization: 'Bearer a.b.c' },
  })
  expect([answer.statusCode, answer.json<{ error: { message: string } }>().error.message]).toEqual([
    401,
    expect.stringContaining('this is an OIDC token, and auth.oidc of the configuration names no issuer'),
  ])
})

interface StreamWorld extends AppWorld {
  readonly issuer: OidcIssuerServer
}

async function streamWorld(): Promise<StreamWorld> {
  const clock = new ManualClock()
  const issuer = await startOidcIssuer(() => clock.now())
  onTestFinished(() => issuer.close())
  const { auth } = configSchema.parse({
    auth: { oidc: [{ issuer: issuer.issuer, audience: AUDIENCE, rules }] },
  })
  const oidc = createOidcVerifier({ issuers: auth.oidc ?? [], clock })
  const made = await appWorld({ clock, oidc })
  onTestFinished(() => made.close())
  await made.app.listen({ port: 0, host: '127.0.0.1' })
  return { ...made, issuer }
}

interface Listening {
  readonly text: () => string
  readonly ended: Promise<void>
  readonly hasEnded: () => boolean
}

function listen({ app }: AppWorld, path: string, token: string): Promise<Listening> {
  const { port } = app.server.address() as AddressInfo
  const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}` }
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      let text = ''
      let over = false
      response.on('data', (chunk) => (text += String(chunk)))
      response.on('error', () => undefined)
      const ended = new Promise<void>((done) => void response.once('close', done)).then(
        () => void (over = true),
      )
      resolve({ text: () => text, ended, hasEnded: () => over })
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
  it('ends when its OIDC token does, and not before', async () => {
    const made = await streamWorld()
    const { text, ended, hasEnded } = await listen(made, '/api/v1/turns', await made.issuer.token())
    await until(() => text().includes('data: '))
    await made.clock.advance(328_000)
    expect(hasEnded()).toBe(false)
    await made.clock.advance(4_000)
    await ended
  })

  it('shows what the scopes of the rule cover', async () => {
    const made = await streamWorld()
    await made.turns.join('app/eu', { id: 'member-0001' })
    await made.turns.join('theirs', { id: 'member-0002' })
    const token = await made.issuer.token()
    const all = await listen(made, '/api/v1/turns', token)
    await until(() => all.text().includes('data: '))
    expect(all.text()).toContain('"queue":"app/eu"')
    expect(all.text()).not.toContain('theirs')
    const denied = await listen(made, '/api/v1/turns/theirs', token)
    await denied.ended
    expect(denied.text()).toContain('permission_denied')
    made.app.server.closeAllConnections()
  })
})
