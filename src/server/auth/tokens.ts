/**
 * Creates, lists and revokes tokens. Each change is one commit together with its audit entry.
 *
 * Invariants: a secret is in no record, no log and no list, and leaves once, with the answer to its creation; a name
 * belongs to at most one valid token; nobody creates a token that may do more than they may.
 */
import { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import { covers, includesRole, type Principal } from '../../ports/access.ts'
import { auditChange } from '../../ports/audit.ts'
import type { Change, Store, StoredRecord } from '../../ports/store.ts'
import { tokenId, type CreatedToken, type CreateToken, type TokenList, type TokenView } from './api.ts'
import {
  hashOf,
  idOf,
  nameKey,
  newSecret,
  putName,
  putToken,
  stateOf,
  tokenKey,
  tokenKeyPart,
  tokensPartition,
  viewOf,
  type NameRecord,
  type TokenRecord,
} from './records.ts'

export interface Tokens {
  /** @throws `conflict` (the name is taken), `invalid_argument`, `permission_denied` (more rights than the creator's) */
  create(request: CreateToken, by: Principal): Promise<CreatedToken>
  /** One page in the order of ids, with revoked and expired ones of the last 90 days. */
  list(options?: { readonly limit?: number; readonly after?: string }): Promise<TokenList>
  /** Revoking what is revoked changes nothing. @throws `not_found` */
  revoke(idOrName: string, by: Principal): Promise<TokenView>
  /** Is there a token with which somebody can sign in? */
  anyValid(): Promise<boolean>
}

export interface TokensOptions {
  readonly store: Store
  readonly random: Random
  /** Called when a token's record may have changed. */
  readonly changed: (hash: string) => void
  /** Names that stand for others in the audit log. */
  readonly reservedNames: readonly string[]
  /** What the names of others may begin with, such as `github:`. */
  readonly reservedPrefixes: readonly string[]
}

/** Commits that lose a race are made anew this often. */
const CHANCES = 10
const PAGE = 1_000

export function createTokens(options: TokensOptions): Tokens {
  return new StoreTokens(options)
}

class StoreTokens implements Tokens {
  readonly #options: TokensOptions

  constructor(options: TokensOptions) {
    this.#options = options
  }

  async create(request: CreateToken, by: Principal): Promise<CreatedToken> {
    const { store, random } = this.#options
    const { name, role, scopes = [], expiresInMs } = request
    this.#refuseReserved(name)
    refuseMoreRights(request, by)
    return retried(async () => {
      const now = store.now().ms
      const named = await store.get(nameKey(name))
      await this.#refuseTaken(name, named, now)
      const secret = newSecret()
      const hash = hashOf(secret)
      const record: TokenRecord = {
        id: idOf(hash),
        hash,
        name,
        role,
        scopes,
        createdAt: now,
        createdBy: by.name,
        ...(expiresInMs === undefined ? {} : { expiresAt: now + expiresInMs }),
      }
      const token = viewOf(record, now)
      const details = { id: token.id, role, scopes, expiresAt: token.expiresAt ?? 'never' }
      const { ok } = await store.commit([
        putToken(record, 'absent'),
        putName(record, named === undefined ? 'absent' : { version: named.version }),
        auditChange({ at: now, actor: by.name, action: 'tokens.create', target: name, details }, random),
      ])
      return ok ? { token, secret } : undefined
    })
  }

  async list(options: { readonly limit?: number; readonly after?: string } = {}): Promise<TokenList> {
    const { store } = this.#options
    const { limit = 100, after } = options
    const page = await store.list(
      { partition: tokensPartition },
      { limit, ...(after === undefined ? {} : { after: tokenKeyPart(after) }) },
    )
    const now = store.now().ms
    const tokens = page.records.map(({ value }) => viewOf(value as unknown as TokenRecord, now))
    const last = tokens.at(-1)
    return page.next === undefined || last === undefined ? { tokens } : { tokens, next: last.id }
  }

  async revoke(idOrName: string, by: Principal): Promise<TokenView> {
    const { store, random, changed } = this.#options
    return retried(async () => {
      const found = await this.#find(idOrName)
      if (found === undefined) {
        throw new SignalboxError(
          'not_found',
          `there is no token '${idOrName.slice(0, 64)}'; 'signalbox token list' shows them`,
        )
      }
      const record = found.value as unknown as TokenRecord
      const now = store.now().ms
      if (record.revokedAt !== undefined) return viewOf(record, now)
      const revoked: TokenRecord = { ...record, revokedAt: now }
      const { name, id, hash } = record
      const changes: Change[] = [
        putToken(revoked, { version: found.version }),
        auditChange(
          { at: now, actor: by.name, action: 'tokens.revoke', target: name, details: { id } },
          random,
        ),
      ]
      const named = await store.get(nameKey(name))
      if (named !== undefined && (named.value as unknown as NameRecord).hash === hash) {
        changes.push(putName(revoked, { version: named.version }))
      }
      try {
        return (await store.commit(changes)).ok ? viewOf(revoked, now) : undefined
      } finally {
        changed(hash) // also when the outcome is unknown
      }
    })
  }

  async anyValid(): Promise<boolean> {
    for (let after: string | undefined; ;) {
      const { tokens, next } = await this.list({ limit: PAGE, ...(after === undefined ? {} : { after }) })
      if (tokens.some(({ state }) => state === 'active')) return true
      if (next === undefined) return false
      after = next
    }
  }

  async #find(idOrName: string): Promise<StoredRecord | undefined> {
    const { store } = this.#options
    if (tokenId.safeParse(idOrName).success) {
      const found = await store.get(tokenKey(idOrName))
      return (found?.value as unknown as TokenRecord | undefined)?.id === idOrName ? found : undefined
    }
    const named = await store.get(nameKey(idOrName))
    return named && this.#named(named)
  }

  /** The token that a name stands for. */
  async #named({ value }: StoredRecord): Promise<StoredRecord | undefined> {
    const { hash } = value as unknown as NameRecord
    const found = await this.#options.store.get(tokenKey(hash))
    return (found?.value as unknown as TokenRecord | undefined)?.hash === hash ? found : undefined
  }

  async #refuseTaken(name: string, named: StoredRecord | undefined, now: number): Promise<void> {
    if (named === undefined) return
    const holder = await this.#named(named)
    if (holder === undefined || stateOf(holder.value as unknown as TokenRecord, now) !== 'active') return
    throw new SignalboxError(
      'conflict',
      `a valid token is named '${name}' already; revoke it first, or choose another name`,
      { details: { field: 'name' } },
    )
  }

  #refuseReserved(name: string): void {
    const { reservedNames, reservedPrefixes } = this.#options
    if (!reservedNames.includes(name) && !reservedPrefixes.some((prefix) => name.startsWith(prefix))) return
    throw new SignalboxError(
      'invalid_argument',
      `name: '${name}' stands for somebody else in the audit log; choose another`,
      { details: { field: 'name' } },
    )
  }
}

function refuseMoreRights({ role, scopes = [] }: CreateToken, by: Principal): void {
  if (includesRole(by.role, role) && covers(by.scopes, scopes)) return
  throw new SignalboxError(
    'permission_denied',
    `a token may do at most what its creator may; yours has the role ${by.role} and the scopes ${by.scopes.join(', ')}`,
  )
}

async function retried<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (let chance = 0; chance < CHANCES; chance++) {
    const done = await attempt()
    if (done !== undefined) return done
  }
  throw new SignalboxError('throttled', 'others changed the same token at the same time; repeat the call')
}
