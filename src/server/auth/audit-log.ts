/**
 * Reads the audit log (ports/audit.ts), newest first, over as many days as it takes.
 *
 * A page's cursor is the key of its last entry. Keys are ordered by time across days, so it says where to go on by itself.
 */
import { AUDIT_KEPT_MS, auditPartition, type AuditEntry } from '../../ports/audit.ts'
import { decimalKey, type Store, type StoredRecord } from '../../ports/store.ts'
import type { AuditEntryView, AuditPage } from './api.ts'

/** Keys count hundredths of a millisecond. */
const KEYS_PER_MS = 100
const DAY_MS = 86_400_000
const MAX_PAGE = 1_000

export interface AuditRange {
  /** Milliseconds since the epoch, inclusive. */
  readonly from?: number
  /** Exclusive. */
  readonly to?: number
  /** 1–1,000; default 100. */
  readonly limit?: number
  /** The `next` of the page before. */
  readonly after?: string
}

export async function readAudit(store: Store, range: AuditRange = {}): Promise<AuditPage> {
  const { limit = 100 } = range
  const now = store.now().ms
  const first = Math.max(range.from ?? 0, now - AUDIT_KEPT_MS, 0)
  // Two servers' clocks may differ: without an end, what seems to come from the next minutes belongs to it.
  const end = Math.min(range.to ?? now + DAY_MS, now + DAY_MS)
  const from = decimalKey(Math.floor(first) * KEYS_PER_MS)
  const to = least(decimalKey(Math.floor(Math.max(end, 0)) * KEYS_PER_MS), range.after)
  if (from >= to) return { entries: [] }
  const records: StoredRecord[] = []
  for (let day = startOfDay(Number(to) / KEYS_PER_MS); day >= startOfDay(first); day -= DAY_MS) {
    for (let after: string | undefined; ;) {
      const page = await store.list(
        { partition: auditPartition(day), from, to },
        {
          limit: Math.min(limit + 1 - records.length, MAX_PAGE),
          reverse: true,
          ...(after === undefined ? {} : { after }),
        },
      )
      records.push(...page.records)
      after = page.next
      if (after === undefined || records.length > limit) break
    }
    if (records.length > limit) break
  }
  const entries = records.slice(0, limit).map(viewOf)
  const last = entries.at(-1)
  return records.length > limit && last !== undefined ? { entries, next: last.id } : { entries }
}

function viewOf({ key: [, id], value }: StoredRecord): AuditEntryView {
  const { at, ...entry } = value as unknown as AuditEntry
  const { actor, action, target, reason, details } = entry
  return {
    id,
    at: new Date(at).toISOString(),
    actor,
    action,
    target,
    ...(reason === undefined ? {} : { reason }),
    ...(details === undefined ? {} : { details: details as AuditEntryView['details'] }),
  }
}

function startOfDay(ms: number): number {
  return Math.floor(ms / DAY_MS) * DAY_MS
}

function least(a: string, b: string | undefined): string {
  return b !== undefined && b < a ? b : a
}
