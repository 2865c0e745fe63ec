import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startOidcIssuer, type OidcIssuerServer } from '../../test/support/oidc-issuer.ts'
import type { Timer } from '../kernel/clock.ts'
import type { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { githubIdTokens, offersIdTokens } from './github-oidc.ts'

const audience = 'https://box.example/a?b&c'

/** Waits for nothing. */
class ImpatientClock extends ManualClock {
  override timer(_ms: number, fire: () => void): Timer {
    queueMicrotask(fire)
    return { cancel: () => undefined }
  }
}

type Source = ReturnType<typeof githubIdTokens>

function sourceOf(
  env: Readonly<Record<string, string>>,
  clock: ManualClock = new ImpatientClock(),
  told: string[] = [],
): Source {
  return githubIdTokens({
    env,
    audience,
    clock,
    random: seededRandom(1),
    onToken: (token) => told.push(token),
  })
}

async function issuerFor(clock: ManualClock): Promise<OidcIssuerServer> {
  const issuer = await startOidcIssuer(() => clock.now())
  onTestFinished(() => issuer.close())
  return issuer
}

/** Stands in for GitHub where it misbehaves. */
async function github(reply: RequestListener): Promise<Readonly<Record<string, string>>> {
  const server = createServer(reply)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => void server.close())
  return {
    ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/x?y=1`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'the-right',
  }
}

const failure = (call: Promise<unknown>): Promise<SignalboxError> =>
  call.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: unknown) => error as SignalboxError,
  )

describe('a token', () => {
  it('is asked for with the audience, told for masking, and shown until 60 s before its end', async () => {
    const clock = new ManualClock()
    const issuer = await issuerFor(clock)
    const told: string[] = []
    const source = sourceOf(issuer.jobEnv({ repository: 'acme/shop' }), clock, told)
    expect(issuer.asked).toEqual([])
    const first = await source()
    expect(decodeJwt(first)).toMatchObject({ aud: audience, repository: 'acme/shop' })
    expect(issuer.asked).toEqual(['/id-token?api-version=2.0&audience=https%3A%2F%2Fbox.example%2Fa%3Fb%26c'])
    await clock.advance(239_000)
    expect(await source()).toBe(first)
    await clock.advance(1_000)
    const second = await source()
    expect(decodeJwt(second).iat).toBe((decodeJwt(first).iat ?? 0) + 240)
    expect(told).toEqual([first, second])
    expect(clock.pendingTimers).toBe(0)
  })

  it('does not outlive its time because this machine’s clock is wrong', async () => {
    const clock = new ManualClock()
    const issuer = await issuerFor(clock)
    const source = sourceOf(issuer.jobEnv(), clock)
    await source()
    clock.jump(-86_400_000)
    await clock.advance(240_000)
    await source()
    expect(issuer.asked).toHaveLength(2)
  })

  it('is renewed on demand', async () => {
    const clock = new ManualClock()
    const issuer = await issuerFor(clock)
    const source = sourceOf(issuer.jobEnv(), clock)
    await source()
    await source({ renew: true })
    expect(issuer.asked).toHaveLength(2)
  })

  it('is asked for once by callers that need it at once', async () => {
    const clock = new ManualClock()
    const issuer = await issuerFor(clock)
    const source = sourceOf(issuer.jobEnv(), clock)
    const [one, two] = await Promise.all([source(), source()])
    expect(one).toBe(two)
    expect(issuer.asked).toHaveLength(1)
  })
})

describe('GitHub', () => {
  it('is asked again when it cannot answer at the moment', async () => {
    const statuses = [502, 429]
    const env = await github((request, response) => {
      expect(request.headers.authorization).toBe('Bearer the-right')
      const status = statuses.shift() ?? 200
      response.writeHead(status).end(status === 200 ? '{"value":"a.b.c"}' : 'busy')
    })
    expect(await sourceOf(env)()).toBe('a.b.c')
  })

  it('is given up after three tries, and asked anew by the next call', async () => {
    let asked = 0
    const env = await github((_request, response) => {
      asked += 1
      response.writeHead(asked > 3 ? 200 : 503).end('{"value":"a.b.c"}')
    })
    const source = sourceOf(env)
    const error = await failure(source())
    expect([error.code, asked]).toEqual(['unavailable', 3])
    expect(error.message).toMatch(/^http:\/\/127\.0\.0\.1:\d+: GitHub gives no ID token .*503/)
    expect(await source()).toBe('a.b.c')
  })

  it.each([
    [401, 'no', 'unauthenticated', /id-token: write/],
    [403, 'no', 'unauthenticated', /status 403.*id-token: write/],
    [200, '{"value":""}', 'unavailable', /without an ID token/],
    [200, '<html>', 'unavailable', /without an ID token/],
    [302, '', 'unavailable', /could not be asked/],
  ])('answers %i %s: %s', async (status, body, code, message) => {
    let asked = 0
    const env = await github((_request, response) => {
      asked += 1
      response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end(body)
    })
    const error = await failure(sourceOf(env)())
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
    expect(error.message).not.toMatch(/the-right|\n/)
    expect(asked).toBe(code === 'unauthenticated' ? 1 : 3)
  })

  it.each([{}, { ACTIONS_ID_TOKEN_REQUEST_URL: 'https://x/?a' }, { ACTIONS_ID_TOKEN_REQUEST_URL: '' }])(
    'offers none with %j, which names the permission',
    (env) => {
      expect(offersIdTokens(env)).toBe(false)
      expect(() => sourceOf(env)).toThrow(/ACTIONS_ID_TOKEN_REQUEST_\w+ is not set.*id-token: write/)
    },
  )
})
