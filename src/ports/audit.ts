/**
 * The audit log: who did what, and why. An entry is a record that is committed *with* the change it tells of, so neither
 * exists without the other. Capabilities add it to their commits; the server reads it.
 *
 * `signalbox:audit:<yyyy-mm-dd>` (UTC) → milliseconds · 100 + a number that keeps two of one millisecond apart.
 * Decimal keys, so that it fits every store.
 */
import type { Random } from '../kernel/id.ts'
import { decimalKey, type Change, type Json } from './store.ts'

export interface AuditEntry {
  /** Milliseconds since the epoch by the store's clock. */
  readonly at: number
  /** Who: the name of the token or the local user. */
  readonly actor: string
  /** What, as `<noun>.<verb>`: `turns.evict`, `tokens.create`. */
  readonly action: string
  /** On what: the queue, the token's name. */
  readonly target: string
  readonly reason?: string
  readonly details?: { readonly [fact: string]: Json }
}

/** Entries are kept this long. */
export const AUDIT_KEPT_MS = 90 * 24 * 3_600_000

export function auditPartition(at: number): string {
  return `signalbox:audit:${new Date(at).toISOString().slice(0, 10)}`
}

/** The change that records `entry`. A conflict on its key (two of one instant) goes away with another random number. */
export function auditChange(entry: AuditEntry, random: Random): Change {
  const key = decimalKey(Math.floor(entry.at) * 100 + Math.floor(random.next() * 100))
  const value = JSON.parse(JSON.stringify(entry)) as Json
  return {
    op: 'put',
    key: [auditPartition(entry.at), key],
    expect: 'absent',
    value,
    expiresAt: entry.at + AUDIT_KEPT_MS,
  }
}
