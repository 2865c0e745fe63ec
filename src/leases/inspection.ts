/** The JSON API's picture of a provider and of its past (api-views.ts). Pure; nothing here decides anything. */
import {
  providerLabel,
  pullRequestOf,
  type LeaseHistoryView,
  type LeaseProviderView,
  type LeaseRequestView,
  type PastRequestView,
  type ProviderConfig,
  type ProviderName,
} from './api.ts'
import { briefFor, reasonFor, reasonForAll, told, type Reason } from './reasons.ts'
import type { StoredPast } from './records.ts'
import { isBelow, type Entry, type Header, type LeaseState } from './state.ts'
import { ascending, phaseOf, stackOf } from './views.ts'

type Seen = Pick<LeaseState, 'header' | 'entries'>

export function inspection(
  name: ProviderName,
  { header, entries }: Seen,
  now: number,
  config: ProviderConfig,
): LeaseProviderView {
  const seen = { header, entries }
  const { holder } = header
  const requests = [...entries.values()].sort(ascending).reverse()
  return {
    provider: providerLabel(name),
    now: iso(now),
    phase: phaseOf(header),
    batch: header.batch,
    ...reasonView(reasonForAll(seen, now, config), now),
    ...holderView(seen),
    stackedPullRequests: holder === undefined ? [] : stackOf(entries.values(), holder),
    requests: requests.map((entry) => requestView(seen, entry, now, config)),
    ...gateView(header, requests, now, config),
    ...failedView(header),
    lastFence: header.fence,
    updatedAt: iso(header.updatedAt),
    config,
  }
}

/** @param more are there older ones? */
export function historyPage(
  name: ProviderName,
  records: readonly StoredPast[],
  more: boolean,
): LeaseHistoryView {
  const configs: ProviderConfig[] = []
  const seen = new Map<string, number>()
  const requests = records.map(({ config, ...past }): PastRequestView => {
    const text = JSON.stringify(config)
    const index = seen.get(text) ?? configs.push(config) - 1
    seen.set(text, index)
    const { seq, joinedAt, grantedAt, endedAt, as, batch, fence } = past
    return {
      seq,
      ...factsOf(past),
      joinedAt: iso(joinedAt),
      ...(grantedAt === undefined ? {} : { grantedAt: iso(grantedAt) }),
      endedAt: iso(endedAt),
      ...(fence === undefined ? {} : { fence }),
      as,
      batch,
      config: index,
    }
  })
  const last = requests.at(-1)
  const provider = providerLabel(name)
  return { provider, requests, configs, ...(more && last !== undefined ? { next: last.seq } : {}) }
}

function holderView({ header: { holder }, entries }: Seen): Pick<LeaseProviderView, 'holder'> {
  const entry = entries.get(holder?.sha ?? '')
  if (holder === undefined || entry === undefined) return {}
  const { fence, grantedAt, expiresAt, renews, completed } = holder
  return {
    holder: {
      ...factsOf({ ...entry, priority: holder.priority }),
      fence,
      grantedAt: iso(grantedAt),
      expiresAt: iso(expiresAt),
      renews,
      ...(completed === undefined ? {} : { releasedAt: iso(completed.at) }),
    },
  }
}

function requestView(seen: Seen, entry: Entry, now: number, config: ProviderConfig): LeaseRequestView {
  return {
    ...factsOf(entry),
    state: stateOf(entry, seen.header),
    joinedAt: iso(entry.joinedAt),
    seenAt: iso(entry.seenAt),
    ...reasonView(reasonFor(seen, entry, now, config), now),
    brief: briefFor(seen, entry, config),
  }
}

function failedView({ failed }: Header): Pick<LeaseProviderView, 'failed'> {
  if (failed === undefined) return {}
  return { failed: { ...nameOf(failed), at: iso(failed.at), expired: failed.expired } }
}

function stateOf(entry: Entry, { holder }: Header): LeaseRequestView['state'] {
  if (holder?.sha === entry.sha) return holder.completed === undefined ? 'holding' : 'succeeded'
  return holder?.completed !== undefined && isBelow(entry, holder) ? 'completed' : 'waiting'
}

/** @param requests highest first */
function gateView(
  { holder, failed, stableSince, coolUntil }: Header,
  requests: readonly Entry[],
  now: number,
  config: ProviderConfig,
): Pick<LeaseProviderView, 'gate'> {
  const [top] = requests
  if (holder !== undefined || top === undefined) return {}
  const known = requests.length
  const windowEndsAt = stableSince + config.stabilizeMs
  const cooling = coolUntil !== undefined && now < coolUntil
  const waits = failed === undefined && known < config.expectedCount && now < windowEndsAt
  return {
    gate: {
      open: !cooling && !waits,
      known,
      expected: config.expectedCount,
      ...(waits ? { windowEndsAt: iso(windowEndsAt) } : {}),
      ...(cooling ? { coolDownEndsAt: iso(coolUntil) } : {}),
      callsLeft: Math.max(0, config.delayCount - top.polls),
    },
  }
}

function factsOf({ priority, ...named }: Pick<Entry, 'sha' | 'ref' | 'priority'>): {
  sha: string
  ref?: string
  pullRequest?: number
  priority: number
} {
  return { ...nameOf(named), priority }
}

function nameOf({ sha, ref }: Pick<Entry, 'sha' | 'ref'>): {
  sha: string
  ref?: string
  pullRequest?: number
} {
  const pullRequest = ref === undefined ? undefined : pullRequestOf(ref)
  return {
    sha,
    ...(ref === undefined ? {} : { ref }),
    ...(pullRequest === undefined ? {} : { pullRequest }),
  }
}

function reasonView(reason: Reason, now: number): Pick<LeaseProviderView, 'reason' | 'ticking'> {
  const { text, at } = reason
  return { reason: told(reason, now), ...(at === undefined ? {} : { ticking: { text, at: iso(at) } }) }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
