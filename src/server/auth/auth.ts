/**
 * Who calls, and may they: the one place that HTTP, event streams and gRPC ask.
 *
 * Invariants: a credential that is presented is checked, wherever it comes from, and decides who the caller is; without one
 * a caller is the owner (on the owner's socket), `anonymous` (where nobody has to sign in) or nobody. A failure of the
 * store refuses the call. Revoking works at once on this server, on others within `FRESH_MS`.
 */
import type { Clock, Timer } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import { includesRole, inScope, scopeProblem, type Access, type Principal } from '../../ports/access.ts'
import type { Store } from '../../ports/store.ts'
import { quoted } from '../quoted.ts'
import { basicAuth, type BasicUsers } from './basic.ts'
import { LastUse } from './last-use.ts'
import { TokenLookup, type FoundToken } from './lookup.ts'
import { hashOf, isTokenText, stateOf } from './records.ts'
import { createTokens, type Tokens } from './tokens.ts'

/** Streams are looked at this often. */
const RECHECK_MS = 2_000

export interface AuthOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  /** Must everybody who does not come through the owner's socket present a token? */
  readonly required: boolean
  /** Whom callers on the owner's socket are: the operating system's name of the user who runs the server. */
  readonly ownerName: string
  /** `auth.basic.users`: who may use leases by name and password. */
  readonly basicUsers?: BasicUsers
  /** What the names of callers with an OIDC token begin with, beside `github:`. */
  readonly oidcPrefixes?: readonly string[]
  /** `auth.oidc`: says who presents such a token (`oidc/verifier.ts`). */
  readonly oidc?: { verify(token: string): Promise<Principal> } | undefined
}

export interface Auth {
  readonly tokens: Tokens
  /**
   * Who calls.
   * @param bearerToken what came as `Authorization: Bearer …` (`bearerOf`)
   * @param peerIsLocal does the call come through the owner's socket? A loopback address does not count.
   * @throws SignalboxError `unauthenticated`; `permission_denied` for an OIDC token that no rule admits; `unavailable` of the
   *   store or of an OIDC issuer
   */
  authenticate(bearerToken: string | undefined, peerIsLocal: boolean): Promise<Principal>
  /**
   * The user of an `Authorization: Basic …` header; undefined when it is none, or there are no such users.
   * @throws SignalboxError `unauthenticated` for a wrong name or password
   */
  basicUser?(header: string | undefined): Principal | undefined
  /** Calls `ended` once the token is no longer valid, and again every two seconds until stopped. @returns stops it */
  whileValid(bearerToken: string, ended: () => void): () => void
  /** Finishes what is being written. */
  close(): Promise<void>
}

/** May they? @throws SignalboxError `permission_denied`, naming the role or the scope that is needed */
export function authorize(principal: Principal, access: Access, resource?: string): void {
  const who = `${principal.kind === 'token' ? 'token ' : ''}${quoted(principal.name)}`
  if (!includesRole(principal.role, access.role)) {
    throw new SignalboxError(
      'permission_denied',
      `${who} has the role ${principal.role}; this needs the role ${access.role}`,
      { details: { neededRole: access.role } },
    )
  }
  if (inScope(principal, access, resource)) return
  const name = access.filtered === true || access.param === undefined ? '*' : (resource ?? '*')
  const scope = `${access.noun}:${name}`
  const sayable = scopeProblem(scope) === undefined
  throw new SignalboxError(
    'permission_denied',
    `${who} has no scope for ${access.noun} ${quoted(name)}; this needs one that covers it${sayable ? `, such as ${scope}` : ''}`,
    sayable ? { details: { neededScope: scope } } : {},
  )
}

/**
 * The token of an `Authorization` header; undefined when there is no header.
 * @throws SignalboxError `unauthenticated` for another scheme
 */
export function bearerOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  const [, token] = /^bearer +([^ ]+) *$/i.exec(header) ?? []
  if (token === undefined) throw refused("the Authorization header is not 'Bearer' and one token")
  return token
}

export function createAuth(options: AuthOptions): Auth {
  const { store, clock, random, required, basicUsers = {} } = options
  const owner: Principal = { name: options.ownerName, kind: 'local', role: 'admin', scopes: [] }
  const anonymous: Principal = { name: 'anonymous', kind: 'anonymous', role: 'admin', scopes: [] }
  const lookup = new TokenLookup(store, clock)
  const lastUse = new LastUse(store, (hash) => lookup.forget(hash))
  const watched = new Set<() => void>()
  let timer: Timer | undefined

  const check = async (bearerToken: string): Promise<FoundToken> => {
    if (!isTokenText(bearerToken)) throw refused('this is not a token of Signalbox, which begins with sbx_')
    const token = await lookup.find(hashOf(bearerToken))
    if (token === undefined) throw refused('the token is unknown here')
    const state = stateOf(token.record, store.now().ms)
    if (state !== 'active') throw refused(`the token is ${state}`)
    return token
  }
  const oidcPrincipal = async (token: string): Promise<Principal> => {
    if (options.oidc !== undefined) return options.oidc.verify(token)
    throw refused('this is an OIDC token, and auth.oidc of the configuration names no issuer')
  }
  const recheck = (): void => {
    for (const look of watched) look()
  }
  const recheckLater = (): void => {
    const tick = (): void => {
      recheck()
      recheckLater()
    }
    timer = watched.size === 0 ? undefined : clock.timer(RECHECK_MS, tick, { unref: true })
  }
  const changed = (hash: string): void => {
    lookup.forget(hash)
    recheck()
  }

  const tokens = createTokens({
    store,
    random,
    changed,
    reservedNames: [owner.name, anonymous.name, ...Object.keys(basicUsers)],
    reservedPrefixes: ['github:', ...(options.oidcPrefixes ?? [])],
  })

  return {
    tokens,
    async authenticate(bearerToken, peerIsLocal) {
      if (bearerToken !== undefined) {
        if (isJwt(bearerToken)) return oidcPrincipal(bearerToken)
        const token = await check(bearerToken)
        lastUse.note(token, store.now().ms)
        return token.principal
      }
      if (peerIsLocal) return owner
      if (required) throw refused('no credential came with the call')
      return anonymous
    },
    ...(Object.keys(basicUsers).length === 0 ? {} : { basicUser: basicAuth(basicUsers) }),
    whileValid(bearerToken, ended) {
      const look = (): void => {
        const checked: Promise<unknown> = isJwt(bearerToken) ? oidcPrincipal(bearerToken) : check(bearerToken)
        checked.catch(() => {
          if (watched.has(look)) ended()
        })
      }
      watched.add(look)
      if (timer === undefined) recheckLater()
      return () => {
        watched.delete(look)
        if (watched.size > 0) return
        timer?.cancel()
        timer = undefined
      }
    },
    close() {
      watched.clear()
      timer?.cancel()
      return lastUse.settled()
    },
  }
}

/** Three parts between dots, as no token of ours has: a JSON Web Token. */
function isJwt(bearerToken: string): boolean {
  return bearerToken.split('.', 4).length === 3
}

function refused(what: string): SignalboxError {
  return new SignalboxError(
    'unauthenticated',
    `${what}; send 'Authorization: Bearer sbx_…' (SIGNALBOX_TOKEN)`,
  )
}
