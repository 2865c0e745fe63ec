/**
 * How a provider lies in the store (../ports/store.ts). All keys are decimal, so that a table with a numeric range key can
 * hold them: a request is named by its sequence number, an outcome by a hash of its SHA.
 *
 *   signalbox:l:<provider>   0     → StoredHeader: the provider's one point of decision
 *                            seq   → Entry: exists exactly while the request is known
 *   signalbox:lx:<provider>  hash  → Kept: outcomes of the SHAs with this hash, for 24 h
 *   signalbox:lh:<provider>  seq   → StoredPast: a request that is over, for 30 days; written with its end
 *   signalbox:leases         hash  → names of providers that no configuration lists (there is no scan)
 *
 * Every commit carries the header with its expected version; so two servers on one store may serve the same provider, and
 * what was read after the header is true when the commit succeeds.
 */
import { createHash } from 'node:crypto'
import { keyHash } from '../ports/key-hash.ts'
import { decimalKey, type Json, type Key } from '../ports/store.ts'
import { providerId, type ProviderConfig, type ProviderName } from './api.ts'
import type { Entry, Header, Outcome, PastRequest } from './state.ts'

export interface StoredHeader extends Header {
  /** Written anew with each commit: after a lost answer it tells whether it was ours. */
  readonly stamp: string
}

/** Outcomes whose SHAs share a hash; nearly always one. */
export interface Kept {
  readonly outcomes: readonly (Outcome & { readonly sha: string })[]
}

export interface StoredPast extends PastRequest {
  /** What was in force at its end. */
  readonly config: ProviderConfig
}

/** How long past requests are kept. */
export const HISTORY_KEPT_MS = 30 * 24 * 3_600_000

export interface Registered {
  readonly providers: readonly ProviderName[]
}

const READABLE = /^[\x21-\x7e]{1,150}$/

/** Names that do not fit a key are hashed; `#` begins no owner's name. */
function keyName(provider: ProviderName): string {
  const id = providerId(provider)
  if (READABLE.test(id) && !id.startsWith('#')) return id
  return `#${createHash('sha256').update(id).digest('base64url')}`
}

export const partitionOf = (provider: ProviderName): string => `signalbox:l:${keyName(provider)}`
export const headerKey = (provider: ProviderName): Key => [partitionOf(provider), decimalKey(0)]
export const entryKey = (provider: ProviderName, seq: number): Key => [partitionOf(provider), decimalKey(seq)]
export const outcomeKey = (provider: ProviderName, sha: string): Key => [
  `signalbox:lx:${keyName(provider)}`,
  decimalKey(keyHash(sha)),
]

export const historyPartition = (provider: ProviderName): string => `signalbox:lh:${keyName(provider)}`

export const registryPartition = 'signalbox:leases'
export const registryKey = (provider: ProviderName): Key => [
  registryPartition,
  decimalKey(keyHash(providerId(provider))),
]

/** Records are plain JSON; interfaces lack the index signature that `Json` asks for. */
export function asJson(value: StoredHeader | Entry | Kept | StoredPast | Registered): Json {
  return value as unknown as Json
}
