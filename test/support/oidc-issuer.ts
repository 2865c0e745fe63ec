/**
 * An OIDC issuer on loopback as GitHub's is one: a discovery document, a key set, and tokens as jobs of GitHub Actions get
 * them, also by asking as a job does. It can rotate its keys, go down, and sign what no honest issuer would.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose'

type Algorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA'

export interface SigningKey {
  readonly alg: Algorithm
  readonly kid: string
  readonly privateKey: CryptoKey
  /** As the key set lists it. */
  readonly jwk: JWK
}

export interface TokenOptions {
  /** Default: the issuer's newest key. */
  readonly key?: SigningKey
  /** Seconds from issue to end; default 300, as GitHub's. */
  readonly lifetimeS?: number
}

export interface OidcIssuerServer {
  /** What `iss` says, and where the documents are. */
  readonly issuer: string
  /** Requests so far, by path. */
  readonly asked: readonly string[]
  /** A signed token. Claims given replace those of a job of `octo-org/app` on `main`; `undefined` removes one. */
  token(claims?: Readonly<Record<string, unknown>>, options?: TokenOptions): Promise<string>
  /** What the runner puts into each step's environment, so that a job can ask for a token with these claims. */
  jobEnv(claims?: Readonly<Record<string, unknown>>): Readonly<Record<string, string>>
  /** A new key, which signs from now on and is listed instead of the others. */
  rotate(alg?: Algorithm): Promise<SigningKey>
  readonly key: SigningKey
  /** What it answers to the path, instead of the truth. */
  answerWith(path: string, body: string, status?: number): void
  /** Refuses connections until `up`. */
  down(): Promise<void>
  up(): Promise<void>
  close(): Promise<void>
}

export const DISCOVERY = '/.well-known/openid-configuration'
export const KEYS = '/.well-known/jwks'
const ID_TOKENS = '/id-token'
export const AUDIENCE = 'https://signalbox.example.org'

let keysMade = 0

/** A key that no issuer lists yet. */
export async function newSigningKey(
  alg: Algorithm = 'RS256',
  kid = `key-${++keysMade}`,
): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  return { alg, kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

/** @param now milliseconds since the epoch, by the clock of the server under test */
export async function startOidcIssuer(now: () => number): Promise<OidcIssuerServer> {
  let key = await newSigningKey()
  const asked: string[] = []
  const lies = new Map<string, { readonly body: string; readonly status: number }>()
  let issuer = ''
  let port = 0
  const truth = (path: string): object | undefined => {
    if (path === DISCOVERY)
      return { issuer, jwks_uri: `${issuer}${KEYS}`, id_token_signing_alg_values_supported: ['RS256'] }
    return path === KEYS ? { keys: [key.jwk] } : undefined
  }
  const jobs = new Map<string, Readonly<Record<string, unknown>>>()
  const sign = (claims: Readonly<Record<string, unknown>>, options: TokenOptions = {}): Promise<string> =>
    signed({ ...jobClaims(issuer, now(), options), ...claims }, options.key ?? key)
  /** `GET …?…&audience=…` with the job's own right as bearer. */
  const idToken = async (url: string, authorization = ''): Promise<object | undefined> => {
    const claims = jobs.get(authorization.replace(/^Bearer /, ''))
    const audience = new URL(url, issuer).searchParams.get('audience')
    if (claims === undefined) return undefined
    return { value: await sign({ ...(audience === null ? {} : { aud: audience }), ...claims }) }
  }
  const reply = async ({ url = '/', headers }: IncomingMessage, answer: ServerResponse): Promise<void> => {
    asked.push(url)
    const lie = lies.get(url)
    const told = url.startsWith(ID_TOKENS) ? await idToken(url, headers.authorization) : truth(url)
    const body = lie?.body ?? JSON.stringify(told)
    answer.writeHead(lie?.status ?? (body === undefined ? 404 : 200), { 'content-type': 'application/json' })
    answer.end(body ?? '{}')
  }
  const newServer = (): Server => createServer((request, answer) => void reply(request, answer))
  let server = newServer()
  const listen = async (): Promise<void> => {
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
    issuer = `http://127.0.0.1:${port}`
  }
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  await listen()

  return {
    issuer,
    asked,
    get key() {
      return key
    },
    token: (claims = {}, options = {}) => sign(claims, options),
    jobEnv(claims = {}) {
      const right = `right-of-job-${jobs.size + 1}`
      jobs.set(right, claims)
      return {
        ACTIONS_ID_TOKEN_REQUEST_URL: `${issuer}${ID_TOKENS}?api-version=2.0`,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: right,
      }
    },
    async rotate(alg) {
      key = await newSigningKey(alg)
      return key
    },
    answerWith: (path, body, status = 200) => void lies.set(path, { body, status }),
    down: stop,
    async up() {
      server = newServer()
      await listen()
    },
    close: stop,
  }
}

/** The claims of a token of GitHub Actions, as its documentation lists them. */
export function jobClaims(
  issuer: string,
  nowMs: number,
  { lifetimeS = 300 }: TokenOptions = {},
): Record<string, unknown> {
  const iat = Math.floor(nowMs / 1_000)
  return {
    iss: issuer,
    aud: AUDIENCE,
    sub: 'repo:octo-org/app:ref:refs/heads/main',
    jti: 'example-id',
    iat,
    nbf: iat - 300,
    exp: iat + lifetimeS,
    repository: 'octo-org/app',
    repository_id: '74',
    repository_owner: 'octo-org',
    repository_owner_id: '65',
    ref: 'refs/heads/main',
    ref_type: 'branch',
    event_name: 'push',
    workflow: 'ci',
    workflow_ref: 'octo-org/app/.github/workflows/ci.yml@refs/heads/main',
    run_id: '30433642',
    run_attempt: '2',
    actor: 'octocat',
  }
}

function signed(
  claims: Readonly<Record<string, unknown>>,
  { alg, kid, privateKey }: SigningKey,
): Promise<string> {
  return new SignJWT({ ...claims }).setProtectedHeader({ alg, kid, typ: 'JWT' }).sign(privateKey)
}
