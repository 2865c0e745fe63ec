/**
 * The vocabulary of merge-queue leases, and `LeasesApi`: what the service offers next to a store.
 *
 * A *provider* (owner, repository, base ref) guards one shared resource. Merge groups are *requests*, known by the SHA
 * of their head, with a *priority*: how many commits they are ahead of the base. The highest contains the others, so it
 * takes the *lease*; when it succeeds, those strictly below it are *completed*; when it fails, the next highest tries. Each
 * grant carries a *fence*, a number that only ever grows per provider.
 */

import type { LeaseHistoryView, LeaseProviderView } from './api-views.ts'

export * from './api-views.ts'

/** Compared exactly, case included. */
export interface ProviderName {
  readonly owner: string
  readonly repo: string
  /** May contain slashes. */
  readonly baseRef: string
}

export interface ProviderConfig {
  /** How long the set of requests must stand still before the highest is granted. 0: at once. */
  readonly stabilizeMs: number
  /** A request whose client was silent for longer is forgotten. */
  readonly ttlMs: number
  /** This many known requests are granted without waiting for the window. */
  readonly expectedCount: number
  /** Eligible polls of the highest that are answered `pending` before the one that is granted. */
  readonly delayCount: number
  /** A holder that has not released after this long is taken for dead. */
  readonly maxLeaseMs: number
  /** After a holder was taken for dead: how long nobody is granted. */
  readonly coolDownMs: number
}

export interface AcquireRequest {
  readonly sha: string
  /** `gh-readonly-queue/<base>/pr-<number>-<hex>`, without `refs/heads/`. */
  readonly ref?: string | undefined
  /** 1 or more. */
  readonly priority: number
  /** The client re-posts acquire while it holds, and may be taken for dead after this long without. */
  readonly leaseMs?: number | undefined
}

export interface ReleaseRequest {
  readonly sha: string
  readonly ref?: string | undefined
  readonly priority: number
  readonly success: boolean
}

/** A 200 of the wire: existing clients take any other status than these for "done". */
export interface LeaseAnswer {
  readonly kind: 'lease'
  readonly status: 'pending' | 'acquired' | 'completed' | 'failure'
  readonly sha: string
  readonly ref?: string | undefined
  readonly priority: number
  readonly fence?: number | undefined
  /** Milliseconds since the epoch by the store's clock. */
  readonly expiresAt?: number | undefined
  /** How long the lease lasts from a grant or renewal: never longer than asked for. */
  readonly leaseMs?: number | undefined
  /** Pull requests that the holder contains, ascending by priority. Only when `acquired`. */
  readonly stacked?: readonly number[] | undefined
  /** Why it waits, for people. */
  readonly reason?: string | undefined
  readonly retryAfterMs?: number | undefined
}

/** `acquired`: a lease is held, or its batch is not settled yet. */
export interface Refusal {
  readonly kind: 'refused'
  readonly why: 'acquired' | 'not_acquired' | 'not_holder'
  readonly reason: string
  readonly retryAfterMs?: number | undefined
}

/** What a service next to a store knows of a request. */
export interface KnownRequest extends RequestReport {
  readonly joinedAt: number
  readonly seenAt: number
}

/** A provider as people see it: eviction and expiry applied as of now. */
export interface ProviderView extends ProviderReport {
  readonly config: ProviderConfig
  readonly holder?: KnownRequest & {
    readonly fence: number
    readonly grantedAt: number
    readonly expiresAt: number
  }
  readonly known: readonly KnownRequest[]
  readonly phase: Phase
  readonly lastFence: number
  readonly reason: string
}

/** The same as a server tells it: the original service knows less. */
export interface ProviderReport {
  readonly name: ProviderName
  readonly config: Partial<ProviderConfig>
  readonly updatedAt: number
  readonly holder?: HolderReport
  /** Pull requests that the holder contains, ascending by priority. */
  readonly stacked: readonly number[]
  /** Ascending by priority; the holder is among them. */
  readonly known: readonly RequestReport[]
  readonly phase?: Phase | undefined
  readonly failedSha?: string | undefined
  readonly lastFence?: number | undefined
  /** What everybody is waiting for, for people. */
  readonly reason?: string | undefined
}

export interface RequestReport {
  readonly sha: string
  readonly ref?: string | undefined
  readonly pullRequest?: number | undefined
  readonly priority: number
  readonly status: 'pending' | 'acquired' | 'completed'
  readonly joinedAt?: number | undefined
  readonly seenAt?: number | undefined
}

export interface HolderReport extends RequestReport {
  readonly fence?: number | undefined
  readonly grantedAt?: number | undefined
  readonly expiresAt?: number | undefined
}

/** `open`: gathering requests; `held`; `draining`: after a success; `failover`: after a failure. */
export type Phase = 'open' | 'held' | 'draining' | 'failover'

export interface ClearAct {
  readonly by: string
  /** For the audit log. */
  readonly reason?: string
}

/**
 * All calls may be repeated after a lost answer. Next to a store and over HTTP alike.
 * @throws SignalboxError `not_found` for a provider that is not configured; `unavailable`, `outcome_unknown`, `throttled`
 */
export interface LeasesApi {
  /** @param signal ends the call; what it did may be unknown */
  acquire(
    provider: ProviderName,
    request: AcquireRequest,
    signal?: AbortSignal,
  ): Promise<LeaseAnswer | Refusal>
  release(
    provider: ProviderName,
    request: ReleaseRequest,
    signal?: AbortSignal,
  ): Promise<LeaseAnswer | Refusal>
  show(provider: ProviderName): Promise<ProviderReport>
  /**
   * Forgets the holder and all requests; fences go on growing. Leaves an audit entry.
   * @param act who does it; a server knows who calls
   */
  clear(provider: ProviderName, act: ClearAct): Promise<ProviderReport>
  list(): Promise<readonly ProviderReport[]>
}

/** What only a service of ours tells: the JSON API beside the wire (`api-views.ts`). @throws SignalboxError `not_found` */
export interface LeasesReading {
  /** One provider with what each request waits for. */
  inspect(provider: ProviderName): Promise<LeaseProviderView>
  /** Requests that are over, by descending `seq`, from below `before`; 30 days are kept. */
  history(
    provider: ProviderName,
    options?: { readonly limit?: number; readonly before?: number },
  ): Promise<LeaseHistoryView>
}

/** `owner:repo:baseRef`: the key of the wire's list, and the label of metrics. */
export function providerId({ owner, repo, baseRef }: ProviderName): string {
  return `${owner}:${repo}:${baseRef}`
}

/** `owner/repo@baseRef`: for people, scopes of tokens (`leases:owner/*`) and the audit log. */
export function providerLabel({ owner, repo, baseRef }: ProviderName): string {
  return `${owner}/${repo}@${baseRef}`
}

/** The provider that `providerLabel` would call so; undefined when there is none. */
export function parseProviderLabel(text: string): ProviderName | undefined {
  const [, owner, repo, baseRef] = /^([^/]+)\/([^/@]+)@(.+)$/s.exec(text) ?? []
  return owner === undefined || repo === undefined || baseRef === undefined
    ? undefined
    : { owner, repo, baseRef }
}

const HEAD_REF = /^gh-readonly-queue\/.+\/pr-(\d+)-[0-9a-fA-F]+$/

/** The pull request of a merge queue's branch; undefined when the text is not one, or its number is beyond all numbers. */
export function pullRequestOf(ref: string): number | undefined {
  const number = Number(HEAD_REF.exec(ref)?.[1] ?? Number.NaN)
  return Number.isSafeInteger(number) ? number : undefined
}
