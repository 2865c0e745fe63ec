/**
 * ID tokens of GitHub Actions as a credential: a job with the permission `id-token: write` asks GitHub for a token that
 * says who it is, made out to an audience (docs.github.com, "OpenID Connect reference", requesting the token). Nothing is
 * stored anywhere.
 *
 * Invariants:
 * - a token is shown until 60 s before its end at most; its life counts from before it was asked for, by the monotonic clock;
 * - one question at a time: callers that need a token at once share the answer;
 * - neither the token nor the job's right to ask for it is part of a message.
 */
import { backoffDelay, type Backoff } from '../kernel/backoff.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { parseJson } from './failure.ts'

type Env = Readonly<Record<string, string | undefined>>

export interface GithubOidcOptions {
  /** With the variables that the runner sets in each step. */
  readonly env: Env
  /** Whom the token is for, exactly as the server's configuration writes it. */
  readonly audience: string
  readonly clock: Clock
  readonly random: Random
  /** Told of each new token before it is used, for masking it in logs. */
  readonly onToken?: (token: string) => void
}

const URL_VARIABLE = 'ACTIONS_ID_TOKEN_REQUEST_URL'
const TOKEN_VARIABLE = 'ACTIONS_ID_TOKEN_REQUEST_TOKEN'
const REMEDY =
  "give the job 'permissions: id-token: write' (runs for pull requests from forks cannot have it), or a token of Signalbox"

const RESERVE_MS = 60_000
/** GitHub's own tokens live so long; for one that does not say. */
const USUAL_LIFE_MS = 300_000
/** All tries together end within the time that a client gives a call (`transport.ts`). */
const PATIENCE_MS = 2_500
const TRIES = 3
const BACKOFF: Backoff = { baseMs: 250, maxMs: 1_000 }

/** May this process ask for ID tokens? */
export function offersIdTokens(env: Env): boolean {
  return Boolean(env[URL_VARIABLE]) && Boolean(env[TOKEN_VARIABLE])
}

/**
 * A source of tokens for a client (`TokenSource`). Nothing is asked for before the first call.
 *
 * The source throws a SignalboxError: `unauthenticated` when GitHub gives this job no token, `unavailable` when it cannot
 * be asked.
 * @throws SignalboxError `unauthenticated` where the runner offers no ID tokens, with the permission that is missing
 */
export function githubIdTokens(
  options: GithubOidcOptions,
): (options?: { readonly renew?: boolean }) => Promise<string> {
  const { env, audience, clock, onToken } = options
  const address = env[URL_VARIABLE] ?? ''
  if (!offersIdTokens(env) || !URL.canParse(address)) {
    const missing = env[URL_VARIABLE] ? TOKEN_VARIABLE : URL_VARIABLE
    throw refused(`this job may not ask GitHub for an ID token (${missing} is not set)`)
  }
  const url = `${address}${address.includes('?') ? '&' : '?'}audience=${encodeURIComponent(audience)}`
  let had: { readonly token: string; readonly goodUntil: number } | undefined
  let asking: Promise<string> | undefined
  const renew = async (): Promise<string> => {
    const askedAt = clock.monotonic()
    const token = await persistently(() => ask(url, env[TOKEN_VARIABLE] ?? ''), options)
    onToken?.(token)
    had = { token, goodUntil: askedAt + lifeMs(token) - RESERVE_MS }
    return token
  }
  return async ({ renew: must = false } = {}) => {
    if (!must && had !== undefined && clock.monotonic() < had.goodUntil) return had.token
    asking ??= renew().finally(() => (asking = undefined))
    return asking
  }
}

/** What may be gone in a moment is asked again. */
async function persistently(
  call: () => Promise<string>,
  { clock, random }: Pick<GithubOidcOptions, 'clock' | 'random'>,
): Promise<string> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      if (attempt + 1 >= TRIES || !isSignalboxError(error, 'unavailable')) throw error
    }
    await sleep(clock, backoffDelay(BACKOFF, attempt, random))
  }
}

async function ask(url: string, right: string): Promise<string> {
  const { origin } = new URL(url)
  let status: number
  let text: string
  try {
    const answer = await fetch(url, {
      headers: { accept: 'application/json', authorization: `Bearer ${right}`, 'user-agent': 'signalbox' },
      redirect: 'error',
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    status = answer.status
    text = await answer.text()
  } catch (cause) {
    throw new SignalboxError('unavailable', `${origin}: GitHub could not be asked for an ID token`, { cause })
  }
  if (status === 200) return tokenIn(text, origin)
  if (status === 429 || status >= 500) {
    throw new SignalboxError(
      'unavailable',
      `${origin}: GitHub gives no ID token at the moment (status ${status})`,
    )
  }
  throw refused(`GitHub gives this job no ID token (status ${status})`)
}

/** `{"value": "<token>"}` */
function tokenIn(text: string, origin: string): string {
  const value = (parseJson(text) as { readonly value?: unknown } | null | undefined)?.value
  if (typeof value === 'string' && value !== '') return value
  throw new SignalboxError(
    'unavailable',
    `${origin}: GitHub answered without an ID token; check ${URL_VARIABLE}`,
  )
}

/** By the token's own times, so that it does not matter whether this machine's clock is right. */
function lifeMs(token: string): number {
  const [, payload = ''] = token.split('.')
  const claims = parseJson(Buffer.from(payload, 'base64url').toString()) as
    | { readonly exp?: unknown; readonly iat?: unknown }
    | null
    | undefined
  const { exp, iat } = claims ?? {}
  return typeof exp === 'number' && typeof iat === 'number' ? (exp - iat) * 1_000 : USUAL_LIFE_MS
}

function refused(what: string): SignalboxError {
  return new SignalboxError('unauthenticated', `${what}; ${REMEDY}`)
}
