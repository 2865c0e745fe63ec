/**
 * How tokens lie in the store, and what a secret is.
 *
 *   signalbox:tokens              the beginning of the hash → TokenRecord: authentication is one get, the list one range read
 *   signalbox:tokens:name:<name>  0 → NameRecord: keeps the name of a valid token unique, finds a token by it
 *
 * All keys are decimal, so that a table with a numeric range key can hold them: 48 bits of the secret's SHA-256. The record has
 * all of it, and only who presents that is let in; two tokens never share a key, since one is created where nothing is.
 *
 * A secret is `sbx_` and 200 random bits. Plain sha-256 is enough to keep it: there is nothing to guess in 200 random bits,
 * so a slow hash would protect nothing. And the comparison need not take constant time: what is compared is the hash of
 * what was sent, which an attacker cannot steer digit by digit.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Principal, Role } from '../../ports/access.ts'
import { decimalKey, type Change, type Json, type Key, type Version } from '../../ports/store.ts'
import type { TokenView } from './api.ts'

/** All times: milliseconds since the epoch by the store's clock. */
export interface TokenRecord {
  readonly id: string
  /** SHA-256 of the secret, hex. */
  readonly hash: string
  readonly name: string
  readonly role: Role
  readonly scopes: readonly string[]
  readonly createdAt: number
  readonly createdBy: string
  readonly expiresAt?: number
  readonly revokedAt?: number
  readonly lastUsedAt?: number
}

export interface NameRecord {
  readonly hash: string
}

export const tokensPartition = 'signalbox:tokens'
/** @param hash or its beginning, 12 digits at least, such as an id */
export const tokenKey = (hash: string): Key => [tokensPartition, tokenKeyPart(hash)]
export const tokenKeyPart = (hash: string): string => decimalKey(Number.parseInt(hash.slice(0, 12), 16))
export const nameKey = (name: string): Key => [`signalbox:tokens:name:${name}`, decimalKey(0)]

/** A token that is no longer valid stays in the list for as long as the audit log tells of it. */
const KEPT_MS = 90 * 86_400_000

const PREFIX = 'sbx_'
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const LENGTH = 40

/** Does the text have the form of a token? What has not is refused without a look into the store. */
export function isTokenText(text: string): boolean {
  return text.length === PREFIX.length + LENGTH && /^sbx_[0-9a-z]+$/.test(text)
}

/** From the system's generator, never from a seeded one. */
export function newSecret(): string {
  return PREFIX + Array.from(randomBytes(LENGTH), (byte) => ALPHABET[byte & 31]).join('')
}

export function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/** The id by which people speak of a token. */
export function idOf(hash: string): string {
  return hash.slice(0, 16)
}

export function stateOf({ revokedAt, expiresAt }: TokenRecord, now: number): TokenView['state'] {
  if (revokedAt !== undefined) return 'revoked'
  return expiresAt !== undefined && expiresAt <= now ? 'expired' : 'active'
}

export function principalOf({ name, role, scopes }: TokenRecord): Principal {
  return Object.freeze({ name, kind: 'token', role, scopes })
}

/** The write of a token's record, with its retention. */
export function putToken(record: TokenRecord, expect: Change['expect']): Change {
  const value = JSON.parse(JSON.stringify(record)) as Json
  return { op: 'put', key: tokenKey(record.hash), expect, value, ...keptUntil(record) }
}

/** The write of the name's record, which goes when its token's goes. */
export function putName(record: TokenRecord, expect: 'absent' | { version: Version }): Change {
  const { name, hash } = record
  return { op: 'put', key: nameKey(name), expect, value: { hash }, ...keptUntil(record) }
}

export function viewOf(record: TokenRecord, now: number): TokenView {
  const { id, name, role, scopes, createdAt, createdBy, expiresAt, revokedAt, lastUsedAt } = record
  return {
    id,
    name,
    role,
    scopes: [...scopes],
    state: stateOf(record, now),
    createdAt: iso(createdAt),
    createdBy,
    ...(expiresAt === undefined ? {} : { expiresAt: iso(expiresAt) }),
    ...(revokedAt === undefined ? {} : { revokedAt: iso(revokedAt) }),
    ...(lastUsedAt === undefined ? {} : { lastUsedAt: iso(lastUsedAt) }),
  }
}

function keptUntil({ revokedAt, expiresAt }: TokenRecord): { readonly expiresAt?: number } {
  const end = revokedAt ?? expiresAt
  return end === undefined ? {} : { expiresAt: end + KEPT_MS }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
