/** What people and clients see of a provider's state. Pure. */
import {
  pullRequestOf,
  type KnownRequest,
  type Phase,
  type ProviderConfig,
  type ProviderName,
  type ProviderView,
} from './api.ts'
import type { Entry, Header, Holder, LeaseState } from './state.ts'

type Seen = Pick<LeaseState, 'header' | 'entries'>

/** How often a waiting client should ask: often enough to stay known, seldom enough to be cheap. */
const RETRY = { leastMs: 1_000, mostMs: 10_000 }

export function retryAfterMs({ ttlMs }: ProviderConfig): number {
  const third = Math.floor(ttlMs / 3_000) * 1_000
  return Math.min(RETRY.mostMs, Math.max(RETRY.leastMs, third))
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
  { header, entries }: Seen,
  sha: string | undefined,
  now: number,
  config: ProviderConfig,
): string {
  const { holder, failed, coolUntil } = header
  if (holder?.completed !== undefined) {
    return `commit ${holder.sha} succeeded; those below it are being told, then the next batch begins`
  }
  if (holder !== undefined) {
    return `commit ${holder.sha} (priority ${holder.priority}) holds the lease for ${seconds(now - holder.grantedAt)}`
  }
  if (coolUntil !== undefined && now < coolUntil) {
    return `the last holder was taken for dead; nobody is granted for another ${seconds(coolUntil - now)}`
  }
  let highest: Entry | undefined
  for (const entry of entries.values())
    if (highest === undefined || ascending(highest, entry) < 0) highest = entry
  if (highest === undefined) return 'nobody waits'
  const top = entries.get(sha ?? '')?.priority === highest.priority
  const next = top
    ? 'this is the highest priority'
    : `commit ${highest.sha} (priority ${highest.priority}) is next`
  if (failed !== undefined) {
    return `commit ${failed.sha} ${failed.expired ? 'was taken for dead' : 'failed'}; ${next}`
  }
  const left = config.stabilizeMs - (now - header.stableSince)
  const missing = config.expectedCount - entries.size
  if (left > 0 && missing > 0) {
    return `gathering requests: ${missing} more, or ${seconds(left)} without a new one; ${next}`
  }
  return top && config.delayCount > 0 ? `${next}; the grant is delayed by ${config.delayCount} polls` : next
}

/** By priority, then in the order of arrival. */
function ascending(a: Entry, b: Entry): number {
  return a.priority - b.priority || a.seq - b.seq
}

function seconds(ms: number): string {
  return `${Math.max(0, Math.ceil(ms / 1_000))} s`
}
