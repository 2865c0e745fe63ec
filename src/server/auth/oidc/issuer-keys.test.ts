import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK } from 'jose'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  AUDIENCE,
  DISCOVERY,
  KEYS,
  newSigningKey,
  startOidcIssuer,
  type OidcIssuerServer,
} from '../../../../test/support/oidc-issuer.ts'
import { isSignalboxError } from '../../../kernel/error.ts'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import { configSchema } from '../../config/schema.ts'
import { fetchJson, type FetchJson } from './fetch-json.ts'
import { createOidcVerifier, type OidcEvent, type OidcVerifier } from './verifier.ts'

const SECOND = 1_000
const HOUR = 3_600 * SECOND

const weak = generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey

interface World {
  readonly clock: ManualClock
  readonly server: OidcIssuerServer
  readonly verifier: OidcVerifier
  readonly events: OidcEvent[]
  /** The name, or the refusal, of a token; default a fresh one. */
  readonly told: (token?: string) => Promise<string>
}

async function world(fetching: FetchJson = fetchJson): Promise<World> {
  const clock = new ManualClock()
  const server = await startOidcIssuer(() => clock.now())
  onTestFinished(() => server.close())
  const { auth } = configSchema.parse({
    auth: {
      oidc: [
        { issuer: server.issuer, audience: AUDIENCE, rules: [{ repository: 'octo-org/*', role: 'viewer' }] },
      ],
    },
  })
  const events: OidcEvent[] = []
  const verifier = createOidcVerifier({
    issuers: auth.oidc ?? [],
    clock,
    fetchJson: fetching,
    onEvent: (event) => events.push(event),
  })
  onTestFinished(() => verifier.close())
  let count = 0
  const told = async (token?: string): Promise<string> =>
    verifier.verify(token ?? (await server.token({ jti: `t${++count}` }))).then(
      () => 'accepted',
      (error: unknown) =>
        isSignalboxError(error) ? `${error.code}: ${error.message}` : `DEFECT ${String(error)}`,
    )
  return { clock, server, verifier, events, told }
}

/** Turns of the event loop until the keys were read this often: the requests cross a socket. */
async function readTimes({ events }: World, count: number): Promise<void> {
  while (events.filter(({ kind }) => kind === 'keys').length < count) {
    await new Promise((next) => void setImmediate(next))
  }
}

const reads = ({ server }: World): number => server.asked.filter((path) => path === KEYS).length

describe('the keys of an issuer', () => {
  it('are read once, however many tokens come at once', async () => {
    const made = await world()
    const answers = await Promise.all(Array.from({ length: 20 }, () => made.told()))
    expect(new Set(answers)).toEqual(new Set(['accepted']))
    expect(made.server.asked).toEqual([DISCOVERY, KEYS])
  })

  it('are read again for a new key, and the old one ends, also for tokens that were known', async () => {
    const made = await world()
    const before = await made.server.token()
    expect(await made.told(before)).toBe('accepted')
    await made.clock.advance(30 * SECOND)
    await made.server.rotate()
    expect(await made.told(before)).toBe('accepted')
    expect(await made.told()).toBe('accepted')
    expect(reads(made)).toBe(2)
    expect(await made.told(before)).toMatch(
      /^unauthenticated: the OIDC token is signed with a key that http.* does not list$/,
    )
  })

  it('are asked for at most once in 30 seconds, however many tokens name keys of their own', async () => {
    const made = await world()
    expect(await made.told()).toBe('accepted')
    const key = await newSigningKey()
    const forged = async (): Promise<string> => made.told(await made.server.token({}, { key }))
    for (let i = 0; i < 20; i++) expect(await forged()).toMatch(/^unauthenticated: .* does not list$/)
    expect(reads(made)).toBe(1)
    await made.clock.advance(30 * SECOND)
    await Promise.all(Array.from({ length: 20 }, forged))
    expect(reads(made)).toBe(2)
    await made.server.rotate()
    expect(await made.told()).toMatch(/does not list/)
    await made.clock.advance(30 * SECOND)
    expect(await made.told()).toBe('accepted')
  })

  it('that were read again and are the same leave known tokens known', async () => {
    const made = await world()
    const known = await made.server.token()
    await made.told(known)
    await made.clock.advance(30 * SECOND)
    await made.told(await made.server.token({}, { key: await newSigningKey() }))
    expect(reads(made)).toBe(2)
    const verify = vi.spyOn(crypto.subtle, 'verify')
    onTestFinished(() => verify.mockRestore())
    expect(await made.told(known)).toBe('accepted')
    expect(verify).not.toHaveBeenCalled()
  })

  it('are read again every hour, and nobody waits for that', async () => {
    const gate = Promise.withResolvers<void>()
    let held = false
    const made = await world(async (url, signal) => {
      if (held) await gate.promise
      return fetchJson(url, signal)
    })
    await made.told()
    await made.clock.advance(HOUR - 1)
    held = true
    expect(await made.told()).toBe('accepted')
    expect(made.clock.pendingTimers).toBe(0)
    await made.clock.advance(1)
    expect(await made.told()).toBe('accepted')
    expect(await made.told()).toBe('accepted')
    expect(reads(made)).toBe(1)
    gate.resolve()
    await readTimes(made, 2)
    expect(made.server.asked).toEqual([DISCOVERY, KEYS, DISCOVERY, KEYS])
  })
})

describe('an issuer that is down', () => {
  it('at the first use makes the call fail for now, naming it, and is asked again after five seconds', async () => {
    const made = await world()
    await made.server.down()
    const failed = new RegExp(
      `^unavailable: the keys of the OIDC issuer ${made.server.issuer} cannot be read: it cannot be reached \\(ECONNREFUSED\\); repeat the call$`,
    )
    expect(await made.told()).toMatch(failed)
    await made.server.up()
    await made.clock.advance(4_999)
    expect(await made.told()).toMatch(failed)
    await made.clock.advance(1)
    expect(await made.told()).toBe('accepted')
    expect(made.events.filter(({ kind }) => kind === 'keys')).toEqual([
      { kind: 'keys', issuer: made.server.issuer, failure: 'cannot be reached (ECONNREFUSED)' },
      { kind: 'keys', issuer: made.server.issuer, failure: undefined },
    ])
  })

  it('later is not missed for a day; a key that is not known is neither good nor bad meanwhile', async () => {
    const made = await world()
    expect(await made.told()).toBe('accepted')
    const unknown = await newSigningKey()
    await made.server.down()
    for (const wait of [HOUR, 12 * HOUR, 11 * HOUR - 1]) {
      await made.clock.advance(wait)
      expect(await made.told()).toBe('accepted')
      expect(await made.told(await made.server.token({}, { key: unknown }))).toMatch(
        /^unavailable: the keys of/,
      )
    }
    await made.clock.advance(1)
    expect(await made.told()).toMatch(/^unavailable: the keys of/)
    await made.server.up()
    await made.clock.advance(5 * SECOND)
    expect(await made.told()).toBe('accepted')
  })

  it('by not answering is given up after five seconds', async () => {
    const made = await world(() => new Promise<never>(() => {}))
    const answer = made.told(await made.server.token())
    let done = false
    void answer.then(() => (done = true))
    await made.clock.advance(4_999)
    expect(done).toBe(false)
    await made.clock.advance(1)
    expect(await answer).toMatch(/^unavailable: .* it did not answer within 5 s; repeat the call$/)
    expect(made.clock.pendingTimers).toBe(0)
  })

  it('does not keep a server from stopping', async () => {
    const made = await world(() => new Promise<never>(() => {}))
    const answer = made.told(await made.server.token())
    await made.clock.settle()
    expect(made.clock.pendingTimers).toBe(1)
    made.verifier.close()
    expect(await answer).toMatch(
      /^unavailable: .* it was not waited for, because this server stops; repeat the call$/,
    )
    expect(made.clock.pendingTimers).toBe(0)
  })
})

describe('an issuer that answers wrongly gives no keys:', () => {
  const keys = (list: unknown): string => JSON.stringify({ keys: list })
  const evil = { issuer: 'https://evil.example', jwks_uri: 'https://evil.example/keys' }
  it.each([
    { said: 'sent what is not JSON', path: DISCOVERY, body: 'not json' },
    { said: 'has no discovery document with issuer and jwks_uri', path: DISCOVERY, body: '[]' },
    { said: 'answered with status 503', path: DISCOVERY, body: '{}', status: 503 },
    { said: "calls itself 'https://evil.example'", path: DISCOVERY, body: JSON.stringify(evil) },
    { said: 'has no key set where', path: KEYS, body: keys('x') },
    { said: 'has no key set where its', path: KEYS, body: keys([{ kid: 'no kty' }]) },
    {
      said: 'has no key set where its discovery',
      path: KEYS,
      body: keys(Array.from({ length: 101 }, () => ({ kty: 'RSA' }))),
    },
    { said: 'sent more than 262144 bytes', path: KEYS, body: `${keys([])}${' '.repeat(300_000)}` },
  ])('it $said', async ({ said, path, body, status }) => {
    const made = await world()
    made.server.answerWith(path, body, status)
    const answer = await made.told()
    expect(answer).toMatch(/^unavailable: the keys of the OIDC issuer/)
    expect(answer).toContain(`cannot be read: it ${said}`)
  })

  it('keys that are elsewhere over plain http', async () => {
    const made = await world()
    const document = { issuer: made.server.issuer, jwks_uri: 'http://keys.example/k' }
    made.server.answerWith(DISCOVERY, JSON.stringify(document))
    expect(await made.told()).toContain("it has its keys at 'http://keys.example/k', which is not https")
  })

  it('keys on this machine, of an issuer that is elsewhere', async () => {
    const clock = new ManualClock()
    const github = 'https://token.actions.githubusercontent.com'
    const entry = { audience: AUDIENCE, rules: [{ repository: 'octo-org/*', role: 'viewer' }] }
    const { auth } = configSchema.parse({ auth: { oidc: [entry] } })
    const asked: string[] = []
    const verifier = createOidcVerifier({
      issuers: auth.oidc ?? [],
      clock,
      async fetchJson(url) {
        asked.push(url)
        return { issuer: github, jwks_uri: 'http://127.0.0.1:8001/keys' }
      },
    })
    const { server } = await world()
    await expect(verifier.verify(await server.token({ iss: github }))).rejects.toThrow('which is not https')
    expect(asked).toEqual([`${github}${DISCOVERY}`])
  })

  it('and follows no redirect', async () => {
    let followed = false
    const elsewhere = createServer((_, answer) => {
      followed = true
      answer.end('{}')
    })
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void elsewhere.close())
    const { port } = elsewhere.address() as AddressInfo
    const redirecting = createServer((_, answer) => {
      answer.writeHead(302, { location: `http://127.0.0.1:${port}/` }).end()
    })
    await new Promise<void>((resolve) => redirecting.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void redirecting.close())
    const url = `http://127.0.0.1:${(redirecting.address() as AddressInfo).port}/`
    await expect(fetchJson(url, new AbortController().signal)).rejects.toThrow()
    expect(followed).toBe(false)
  })

  it.each([
    ['a secret', () => ({ kty: 'oct', k: 'c2VjcmV0', alg: 'HS256' })],
    ['a private key', ({ key }: OidcIssuerServer) => exportJWK(key.privateKey)],
    ['a weak key', () => weak.export({ format: 'jwk' })],
    ['a key for encryption', ({ key }: OidcIssuerServer) => ({ ...key.jwk, use: 'enc' })],
    ['half a key', () => ({ kty: 'RSA', n: 'AQAB' })],
  ] as const)('%s', async (_, jwkOf) => {
    const made = await world()
    const { kid } = made.server.key
    made.server.answerWith(KEYS, keys([{ ...(await jwkOf(made.server)), kid }]))
    expect(await made.told()).toMatch(
      /^unauthenticated: the OIDC token (is signed with a key|cannot be verified)/,
    )
  })
})
