/** What people and clients see of a provider's state. Pure. */
import {
  pullRequestOf,
  type KnownRequest,
  type Phase,
  type ProviderConfig,
  type ProviderName,
  type ProviderView,
} from './api.ts'
import { reasonFor, reasonForAll, told } from './reasons.ts'
import type { Entry, Header, Holder, LeaseState } from './state.ts'

type Seen = Pick<LeaseState, 'header' | 'entries'>

/** How often a waiting client should ask: often enough to stay known, seldom enough to be cheap. */
const RETRY = { leastMs: 1_000, mostMs: 10_000 }

export function retryAfterMs({ ttlMs }: ProviderConfig): number {
  const third = Math.floor(ttlMs / 3_000) * 1_000
  return Math.min(RETRY.mostMs, Math.max(RETRY.leastMs, third))
}

/** The highest does not sleep through the end of what it waits for. */
export function askAgainMs(seen: Seen, { priority }: Entry, now: number, config: ProviderConfig): number {
  const { header, entries } = seen
  const usual = retryAfterMs(config)
  const leftMs = Math.max(header.stableSince + config.stabilizeMs, header.coolUntil ?? 0) - now
  if (header.holder !== undefined || leftMs <= 0 || leftMs >= usual) return usual
  for (const other of entries.values()) if (other.priority > priority) return usual
  return Math.max(RETRY.leastMs, leftMs)
}

export function phaseOf({ holder, failed }: Header): Phase {
  if (holder !== undefined) return holder.completed === undefined ? 'held' : 'draining'
  return failed === undefined ? 'open' : 'failover'
}

/** Pull requests of the holder and of those up to its priority, ascending by priority. */
export function stackOf(
  entries: Iterable<Entry>,
  { sha, priority }: Pick<Holder, 'sha' | 'priority'>,
): number[] {
  const below = [...entries].filter((e) => e.priority <= priority || e.sha === sha).sort(ascending)
  return below.flatMap(({ ref }) => (ref === undefined ? [] : (pullRequestOf(ref) ?? [])))
}

export function providerView(
  name: ProviderName,
  { header, entries }: Seen,
  now: number,
  config: ProviderConfig,
): ProviderView {
  const { holder, failed } = header
  const known = [...entries.values()].sort(ascending).map((entry) => knownRequest(entry, header))
  const held = known.find(({ sha }) => sha === holder?.sha)
  return {
    name,
    config,
    updatedAt: header.updatedAt,
    ...(holder === undefined || held === undefined
      ? {}
      : {
          holder: {
            ...held,
            fence: holder.fence,
            grantedAt: holder.grantedAt,
            expiresAt: holder.expiresAt,
          },
        }),
    stacked: holder === undefined ? [] : stackOf(entries.values(), holder),
    known,
    phase: phaseOf(header),
    failedSha: failed?.sha,
    lastFence: header.fence,
    reason: waitingReason({ header, entries }, undefined, now, config),
  }
}

function knownRequest({ sha, ref, priority, joinedAt, seenAt }: Entry, { holder }: Header): KnownRequest {
  const holds = holder?.completed === undefined ? 'acquired' : 'completed'
  return {
    sha,
    ref,
    pullRequest: ref === undefined ? undefined : pullRequestOf(ref),
    priority,
    status: holder?.sha === sha ? holds : 'pending',
    joinedAt,
    seenAt,
  }
}

/** Why nobody new is granted right now, as one line. @param sha who asks */
export function waitingReason(
  seen: Seen,
  sha: string | undefined,
  now: number,
  config: ProviderConfig,
): string {
  const entry = seen.entries.get(sha ?? '')
  const reason = entry === undefined ? reasonForAll(seen, now, config) : reasonFor(seen, entry, now, config)
  return told(reason, now)
}

/** By priority, then in the order of arrival. */
export function ascending(a: Entry, b: Entry): number {
  return a.priority - b.priority || a.seq - b.seq
}
