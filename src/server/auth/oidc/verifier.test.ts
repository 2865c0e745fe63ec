import { createHmac, createPublicKey } from 'node:crypto'
import { SignJWT } from 'jose'
import { afterAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  AUDIENCE,
  DISCOVERY,
  jobClaims,
  KEYS,
  newSigningKey,
  startOidcIssuer,
} from '../../../../test/support/oidc-issuer.ts'
import { isSignalboxError } from '../../../kernel/error.ts'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import { configSchema } from '../../config/schema.ts'
import { fetchJson, type FetchJson } from './fetch-json.ts'
import { createOidcVerifier, type OidcEvent, type OidcVerifier } from './verifier.ts'

const HOUR = 3_600_000

const rules = [{ repository: 'octo-org/app', role: 'operator', scopes: ['turns:app/*'] }]

let clock = new ManualClock()
const server = await startOidcIssuer(() => clock.now())
const { issuer } = server
afterAll(() => server.close())
beforeEach(() => {
  clock = new ManualClock()
})

interface World {
  readonly verifier: OidcVerifier
  readonly events: OidcEvent[]
  /** Addresses fetched, by path. */
  readonly fetched: string[]
}

/** A verifier as a server has it, with the configuration's own checks. */
function world(
  entries: readonly object[] = [{ issuer, audience: AUDIENCE, rules }],
  fetching: FetchJson = fetchJson,
): World {
  const { auth } = configSchema.parse({ auth: { oidc: entries } })
  const events: OidcEvent[] = []
  const fetched: string[] = []
  const verifier = createOidcVerifier({
    issuers: auth.oidc ?? [],
    clock,
    onEvent: (event) => events.push(event),
    fetchJson: (url, signal) => {
      fetched.push(new URL(url).pathname)
      return fetching(url, signal)
    },
  })
  onTestFinished(() => verifier.close())
  return { verifier, events, fetched }
}

/** Whom the token is taken for, or the refusal. */
async function told({ verifier }: World, token: string): Promise<string> {
  return verifier.verify(token).then(
    ({ name }) => name,
    (error: unknown) =>
      isSignalboxError(error) ? `${error.code}: ${error.message}` : `DEFECT ${String(error)}`,
  )
}

const accepted = 'github:octo-org/app@refs/heads/main'.replace('github', new URL(issuer).host)
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('a right token', () => {
  it('is whoever the rule says, and is named by repository and ref', async () => {
    const made = world()
    expect(await made.verifier.verify(await server.token())).toEqual({
      name: accepted,
      kind: 'oidc',
      role: 'operator',
      scopes: ['turns:app/*'],
    })
    expect(made.events).toEqual([
      { kind: 'keys', issuer, failure: undefined },
      { kind: 'accepted', name: accepted, claims: expect.objectContaining({ run_id: '30433642' }) as object },
    ])
  })

  it.each(['RS256', 'PS256', 'ES256', 'EdDSA'] as const)('may be signed by %s', async (alg) => {
    const own = await startOidcIssuer(() => clock.now())
    onTestFinished(() => own.close())
    await own.rotate(alg)
    const made = world([{ issuer: own.issuer, audience: AUDIENCE, rules }])
    expect(await told(made, await own.token())).toContain('octo-org/app')
  })

  it('of github.com is named github', async () => {
    const github = 'https://token.actions.githubusercontent.com'
    const documents: FetchJson = async (url) =>
      url.startsWith(`${github}/.well-known/openid`)
        ? { issuer: github, jwks_uri: `${github}${KEYS}` }
        : { keys: [server.key.jwk] }
    const made = world([{ audience: AUDIENCE, rules }], documents)
    expect(await told(made, await server.token({ iss: github }))).toBe('github:octo-org/app@refs/heads/main')
  })

  it('costs one check of its signature, however often it comes', async () => {
    const made = world()
    const token = await server.token()
    const verify = vi.spyOn(crypto.subtle, 'verify')
    onTestFinished(() => verify.mockRestore())
    for (let i = 0; i < 10; i++) expect(await told(made, token)).toBe(accepted)
    expect(verify).toHaveBeenCalledTimes(1)
    expect(await told(made, await server.token({ jti: 'another' }))).toBe(accepted)
    expect(verify).toHaveBeenCalledTimes(2)
    expect(made.fetched).toEqual([DISCOVERY, KEYS])
  })
})

it('the memory of known tokens is bounded', async () => {
  const { auth } = configSchema.parse({ auth: { oidc: [{ issuer, audience: AUDIENCE, rules }] } })
  const verifier = createOidcVerifier({ issuers: auth.oidc ?? [], clock, remembered: 2 })
  const tokens = await Promise.all([1, 2, 3].map((jti) => server.token({ jti: String(jti) })))
  const verify = vi.spyOn(crypto.subtle, 'verify')
  onTestFinished(() => verify.mockRestore())
  const checks: number[] = []
  for (const i of [0, 1, 0, 1, 2, 2, 0]) {
    await verifier.verify(tokens[i] ?? '')
    checks.push(verify.mock.calls.length)
  }
  expect(checks).toEqual([1, 2, 2, 2, 3, 3, 4])
})

describe('a token is refused', () => {
  const refusals: readonly [what: string, claims: Record<string, unknown>, said: RegExp][] = [
    [
      'of another issuer',
      { iss: 'https://evil.example' },
      /comes from 'https:\/\/evil.example', which is no issuer/,
    ],
    ['of no issuer', { iss: undefined }, /comes from nothing, which is no issuer/],
    ['whose issuer is a list', { iss: [issuer] }, /is no issuer/],
    ['of an issuer written otherwise', { iss: `${issuer}/` }, /is no issuer/],
    [
      'for another audience',
      { aud: 'https://github.com/octo-org' },
      /has the audience 'https:\/\/github.com\/octo-org'; ask for one with the audience https:\/\/signalbox.example.org$/,
    ],
    ['for an audience that begins like ours', { aud: `${AUDIENCE}.evil` }, /has the audience/],
    ['for several audiences', { aud: [AUDIENCE, 'https://other.example'] }, /has several audiences/],
    ['for no audience', { aud: undefined }, /has the audience nothing/],
    ['without an end', { exp: undefined }, /lacks the claim exp/],
    ['whose end is text', { exp: '9999999999' }, /has a malformed claim exp/],
    ['without a time of issue', { iat: undefined }, /lacks the claim iat/],
  ]
  it.each(refusals)('%s', async (_, claims, said) => {
    const answer = await told(world(), await server.token(claims))
    expect(answer).toMatch(/^unauthenticated: the OIDC token /)
    expect(answer).toMatch(said)
  })

  it('when it is expired, half a minute of difference between the clocks allowed', async () => {
    const [known, token] = [world(), await server.token()]
    await clock.advance(329_999)
    expect(await told(known, token)).toBe(accepted)
    await clock.advance(1)
    for (const made of [known, world()]) {
      expect(await told(made, token)).toBe(
        'unauthenticated: the OIDC token is expired; get a new one, they live for minutes',
      )
    }
  })

  it('when it is not valid yet, also if it was known before the clock was set back', async () => {
    const nbf = clock.now() / 1_000 + 31
    const [made, token] = [world(), await server.token({ nbf })]
    expect(await told(made, token)).toMatch(
      /^unauthenticated: the OIDC token is not valid yet; compare the clocks/,
    )
    await clock.advance(1_000)
    expect(await told(made, token)).toBe(accepted)
    clock.jump(-1_000)
    expect(await told(made, token)).toMatch(/not valid yet/)
    expect(await told(made, await server.token({ iat: nbf + 30, nbf: undefined }))).toMatch(/not valid yet/)
  })

  it('when it is old, whatever its end', async () => {
    const [made, token] = [world(), await server.token({}, { lifetimeS: 365 * 86_400 })]
    await clock.advance(HOUR + 30_000 - 1)
    expect(await told(made, token)).toBe(accepted)
    await clock.advance(1_001)
    expect(await told(made, token)).toBe(
      'unauthenticated: the OIDC token was issued more than 60 minutes ago; get a new one',
    )
  })

  it('with a signature of somebody else, also under the name of the issuer’s key', async () => {
    const key = await newSigningKey('RS256', server.key.kid)
    expect(await told(world(), await server.token({}, { key }))).toBe(
      'unauthenticated: the OIDC token has a signature that does not fit',
    )
  })

  it('whose claims were changed after it was signed', async () => {
    const [head, , signature] = (await server.token()).split('.')
    const [, body] = (await server.token({ repository: 'octo-org/app', actor: 'mallory' })).split('.')
    expect(await told(world(), `${head}.${body}.${signature}`)).toMatch(/signature that does not fit/)
  })

  it.each(['none', 'None', 'HS256', 'HS512', 'dir', undefined, 7])('with the algorithm %s', async (alg) => {
    const made = world()
    await told(made, await server.token()) // the keys are known
    const [, body] = (await server.token({ jti: 'x' })).split('.')
    const signed = `${part({ ...(alg === undefined ? {} : { alg }), kid: server.key.kid })}.${body}`
    const secret = createPublicKey({ key: server.key.jwk, format: 'jwk' }).export({
      type: 'spki',
      format: 'pem',
    })
    for (const signature of ['', createHmac('sha256', secret).update(signed).digest('base64url')]) {
      expect(await told(made, `${signed}.${signature}`)).toMatch(
        /^unauthenticated: the OIDC token is signed by .*; only asymmetric signatures/,
      )
    }
  })

  it('with the issuer’s key but another algorithm than the key is for', async () => {
    const [, body, signature] = (await server.token()).split('.')
    for (const alg of ['PS256', 'RS512', 'ES256']) {
      const token = `${part({ alg, kid: server.key.kid })}.${body}.${signature}`
      expect(await told(world(), token)).toMatch(/^unauthenticated: the OIDC token is signed with a key that/)
    }
  })

  it('that does not say which key, brings its own key, or demands what we do not know', async () => {
    const key = await newSigningKey()
    const [, body, signature] = (await server.token({}, { key })).split('.')
    const headers = [
      { alg: 'RS256' },
      { alg: 'RS256', jwk: key.jwk },
      { alg: 'RS256', kid: server.key.kid, jwk: key.jwk },
    ]
    for (const header of headers)
      expect(await told(world(), `${part(header)}.${body}.${signature}`)).toMatch(/^unauthenticated/)
    const unnamed = await new SignJWT(jobClaims(issuer, clock.now()))
      .setProtectedHeader({ alg: 'RS256' })
      .sign(server.key.privateKey)
    expect(await told(world(), unnamed)).toMatch(
      /^unauthenticated: .* does not say with which key it is signed/,
    )
    const crit = part({ alg: 'RS256', kid: server.key.kid, crit: ['x'], x: 1 })
    expect(await told(world(), `${crit}.${body}.${signature}`)).toMatch(/^unauthenticated/)
  })

  it('with more than 8,192 characters, before anything looks at it', async () => {
    const made = world()
    const token = await server.token({ pad: 'x'.repeat(8_192) })
    expect(await told(made, token)).toBe('unauthenticated: the OIDC token has more than 8192 characters')
    expect(made.fetched).toEqual([])
  })

  it.each([
    '..',
    'a.b.c',
    `${part({ alg: 'RS256', kid: 'k' })}..`,
    `${part({ alg: 'RS256', kid: 'k' })}.${part([])}.x`,
    'bnVsbA.bnVsbA.bnVsbA',
    '\u{1F600}.é.\n',
    `${Buffer.from('{"alg":').toString('base64url')}.e30.x`,
    `${part({ alg: 'RS256', kid: 'k' })}.${Buffer.from('[[[[').toString('base64url')}.x`,
  ])('that is garbage: %j', async (token) => {
    const made = world()
    expect(await told(made, token)).toMatch(
      /^unauthenticated: the OIDC token (is malformed|comes from nothing|is signed by)/,
    )
    expect(made.fetched).toEqual([])
  })

  it('without its text in the message, its cause or an event', async () => {
    const made = world()
    const token = await server.token({}, { key: await newSigningKey('RS256', server.key.kid) })
    const error: unknown = await made.verifier.verify(token).catch((thrown: unknown) => thrown)
    const told = JSON.stringify([String(error), String((error as Error).cause), made.events])
    for (const secret of token.split('.').slice(1)) expect(told).not.toContain(secret)
    expect(made.events.at(-1)).toEqual({ kind: 'refused', code: 'unauthenticated' })
  })
})

describe('rules', () => {
  it('that do not hold refuse with the repository and the setting, and nothing is remembered', async () => {
    const made = world()
    for (let i = 0; i < 2; i++) {
      expect(await told(made, await server.token({ repository: 'octo-org-evil/app' }))).toBe(
        "permission_denied: no rule of auth.oidc for the audience https://signalbox.example.org admits the repository octo-org-evil/app (ref refs/heads/main, workflow_ref octo-org/app/.github/workflows/ci.yml@refs/heads/main, event_name push); add one to the server's configuration",
      )
    }
    expect(await told(made, await server.token({ repository: undefined }))).toMatch(
      /^permission_denied: .*admits the repository repo:octo-org\/app:ref/,
    )
  })

  it('belong to their issuer and audience', async () => {
    const other = await startOidcIssuer(() => clock.now())
    onTestFinished(() => other.close())
    const [a, b] = ['https://a.example', 'https://b.example']
    const made = world([
      { issuer, audience: a, rules: [{ repository: 'octo-org/app', role: 'viewer' }] },
      { issuer, audience: b, rules: [{ repository: 'octo-org/app', role: 'operator' }] },
      { issuer: other.issuer, audience: a, rules: [{ repository: 'octo-org/app', role: 'admin' }] },
    ])
    const role = async (token: string): Promise<string> => (await made.verifier.verify(token)).role
    expect(await role(await server.token({ aud: a }))).toBe('viewer')
    expect(await role(await server.token({ aud: b }))).toBe('operator')
    expect(await role(await other.token({ aud: a }))).toBe('admin')
    expect(await told(made, await other.token({ aud: b }))).toMatch(
      /ask for one with the audience https:\/\/a\.example$/,
    )
    // Each issuer vouches for its own tokens alone.
    expect(await told(made, await other.token({ aud: a, iss: issuer }))).toMatch(/is signed with a key that/)
    expect(
      await told(
        made,
        await other.token({ aud: a, iss: issuer }, { key: { ...other.key, kid: server.key.kid } }),
      ),
    ).toMatch(/signature that does not fit/)
  })

  it('give names that are one bounded line, whatever the claims hold', async () => {
    const made = world()
    const name = await told(
      made,
      await server.token({ ref: `refs/heads/a\n\u202Eb\u001B[31m${'x'.repeat(500)}` }),
    )
    expect(name).toContain('@refs/heads/a??b?[31mx')
    expect(name).toHaveLength(200)
  })
})
