/**
 * From an OIDC token to who calls: which issuer of `auth.oidc` signed it, is it valid now and meant for this server, and which
 * rule admits it.
 *
 * Invariants: what has not been verified decides nothing but which issuer is asked; `iss` and `aud` are compared exactly, and
 * a token with several audiences is refused; only asymmetric algorithms count; a failure of any kind refuses the call. The
 * token is in no message, log or cache (its hash is).
 */
import { decodeJwt, decodeProtectedHeader, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import type { Clock } from '../../../kernel/clock.ts'
import { isSignalboxError, SignalboxError, toSignalboxError, type ErrorCode } from '../../../kernel/error.ts'
import type { Principal } from '../../../ports/access.ts'
import type { OidcIssuer } from '../../config/oidc-values.ts'
import { quoted } from '../../quoted.ts'
import { hashOf } from '../records.ts'
import { fetchJson, type FetchJson } from './fetch-json.ts'
import { IssuerKeys } from './issuer-keys.ts'
import { principalOf, shownRepository } from './principal.ts'
import { MAX_AGE_S, reasonOf, refused } from './refusals.ts'
import { firstMatch, type Claims } from './rules.ts'

/** How far the issuer's clock and ours may differ. */
const TOLERANCE_S = 30
/** GitHub's have about 2,000 characters; all headers of a request have at most 16 KiB. */
const MAX_CHARACTERS = 8_192
/** Tokens; then the memory starts anew. */
const REMEMBERED = 10_000

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

export type OidcEvent =
  /** Once for each token. `claims` say which run it belongs to. */
  | { readonly kind: 'accepted'; readonly name: string; readonly claims: Claims }
  | { readonly kind: 'refused'; readonly code: ErrorCode }
  /** The issuer was asked for its keys. */
  | { readonly kind: 'keys'; readonly issuer: string; readonly failure: string | undefined }

export interface OidcOptions {
  readonly issuers: readonly OidcIssuer[]
  readonly clock: Clock
  /** Default: over the network. */
  readonly fetchJson?: FetchJson
  readonly onEvent?: (event: OidcEvent) => void
  /** How many verified tokens are remembered; default 10,000. */
  readonly remembered?: number
}

export interface OidcVerifier {
  /**
   * Who presents this token?
   * @throws SignalboxError `unauthenticated` (not a valid token for this server), `permission_denied` (no rule admits it),
   *   `unavailable` (the issuer's keys cannot be read)
   */
  verify(token: string): Promise<Principal>
  /** Gives up what is being read from issuers. */
  close(): void
}

interface Verified {
  readonly principal: Principal
  readonly keys: IssuerKeys
  readonly generation: number
  /** Milliseconds since the epoch. */
  readonly from: number
  readonly until: number
}

export function createOidcVerifier(options: OidcOptions): OidcVerifier {
  return new IssuersVerifier(options)
}

class IssuersVerifier implements OidcVerifier {
  readonly #options: OidcOptions
  readonly #keys = new Map<string, IssuerKeys>()
  /** By the token's hash. */
  readonly #verified = new Map<string, Verified>()

  constructor(options: OidcOptions) {
    this.#options = options
    const { clock, onEvent } = options
    for (const { issuer } of options.issuers) {
      const onRead = (failure: string | undefined): void => onEvent?.({ kind: 'keys', issuer, failure })
      const keys = new IssuerKeys({ issuer, clock, fetchJson: options.fetchJson ?? fetchJson, onRead })
      this.#keys.set(issuer, keys)
    }
  }

  async verify(token: string): Promise<Principal> {
    if (token.length > MAX_CHARACTERS) throw refused(`has more than ${MAX_CHARACTERS} characters`)
    const hash = hashOf(token)
    const known = this.#verified.get(hash)
    if (known !== undefined && this.#stillCounts(known)) return known.principal
    this.#verified.delete(hash)
    try {
      const verified = await this.#verify(token)
      if (this.#verified.size >= (this.#options.remembered ?? REMEMBERED)) this.#verified.clear()
      this.#verified.set(hash, verified)
      return verified.principal
    } catch (error) {
      this.#options.onEvent?.({ kind: 'refused', code: toSignalboxError(error).code })
      throw error
    }
  }

  close(): void {
    for (const keys of this.#keys.values()) keys.close()
  }

  #stillCounts({ keys, generation, from, until }: Verified): boolean {
    const now = this.#options.clock.now()
    return keys.generation === generation && now >= from && now < until
  }

  async #verify(token: string): Promise<Verified> {
    const entry = this.#entryFor(unverified(token))
    const { issuer, audience, rules } = entry
    const keys = this.#keys.get(issuer)
    if (keys === undefined) throw new TypeError(`no keys for ${issuer}`)
    const { claims, generation } = await this.#verifiedClaims(token, entry, keys)
    const rule = firstMatch(rules, claims)
    if (rule === undefined) {
      throw new SignalboxError(
        'permission_denied',
        `no rule of auth.oidc for the audience ${audience} admits ${shownRepository(claims)}; add one to the server's configuration`,
      )
    }
    const principal = principalOf(issuer, claims, rule)
    this.#options.onEvent?.({ kind: 'accepted', name: principal.name, claims })
    return { principal, keys, generation, ...validity(claims) }
  }

  /** The entry that the token is for. Decides whom to ask, not whether the token is good. */
  #entryFor(claims: JWTPayload): OidcIssuer {
    const ours = this.#options.issuers.filter(({ issuer }) => issuer === claims.iss)
    if (ours.length === 0) throw refused(`comes from ${quoted(claims.iss)}, which is no issuer of auth.oidc`)
    const audiences = [claims.aud ?? []].flat()
    if (audiences.length > 1) throw refused('has several audiences; ask for one with this server’s alone')
    const entry = ours.find(({ audience }) => audience === audiences[0])
    if (entry !== undefined) return entry
    const wanted = ours.map(({ audience }) => audience).join(' or ')
    throw refused(`has the audience ${quoted(audiences[0])}; ask for one with the audience ${wanted}`)
  }

  async #verifiedClaims(
    token: string,
    { issuer, audience }: OidcIssuer,
    keys: IssuerKeys,
  ): Promise<{ readonly claims: Claims; readonly generation: number }> {
    let generation = 0
    const keyOf: JWTVerifyGetKey = async (header, jws) => {
      const found = await keys.find(header, jws)
      generation = found.generation
      return found.key
    }
    try {
      const { payload } = await jwtVerify(token, keyOf, {
        algorithms: ALGORITHMS,
        issuer,
        audience,
        currentDate: new Date(this.#options.clock.now()),
        clockTolerance: TOLERANCE_S,
        maxTokenAge: MAX_AGE_S,
        requiredClaims: ['exp'],
      })
      return { claims: payload, generation }
    } catch (error) {
      throw isSignalboxError(error) ? error : refused(reasonOf(error, issuer), error)
    }
  }
}

/** What the token says of itself, before anything is verified. */
function unverified(token: string): JWTPayload {
  try {
    const { alg, kid } = decodeProtectedHeader(token)
    if (typeof alg !== 'string' || !ALGORITHMS.includes(alg)) {
      throw refused(`is signed by ${quoted(alg)}; only asymmetric signatures such as RS256 and ES256 count`)
    }
    if (typeof kid !== 'string') throw refused('does not say with which key it is signed (kid)')
    return decodeJwt(token)
  } catch (error) {
    throw isSignalboxError(error) ? error : refused('is malformed', error)
  }
}

function validity(claims: Claims): Pick<Verified, 'from' | 'until'> {
  const seconds = (name: string, otherwise: number): number => {
    const value = claims[name]
    return typeof value === 'number' ? value : otherwise
  }
  const issued = seconds('iat', 0)
  const end = Math.min(seconds('exp', 0), issued + MAX_AGE_S)
  const start = Math.max(seconds('nbf', issued), issued)
  return { from: (start - TOLERANCE_S) * 1_000, until: (end + TOLERANCE_S) * 1_000 }
}
