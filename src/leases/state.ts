/** What the rules of leases work on: one provider's state, as it lies in the store. Times are milliseconds since the epoch. */

export interface Holder {
  readonly sha: string
  readonly fence: number
  /** As granted, or lower if it has said so since: who is strictly below is in its commits. */
  readonly priority: number
  readonly grantedAt: number
  readonly expiresAt: number
  /** How long a renewal lasts; a holder that never sent `lease_seconds` cannot renew. */
  readonly leaseMs: number
  readonly renews: boolean
  /** Set by its successful release: from then on the batch drains. */
  readonly completed?: { readonly at: number; readonly priority: number; readonly ref?: string }
}

export interface Header {
  /** The last fence granted; never goes back. */
  readonly fence: number
  /** The last sequence number given to a request; names its record. */
  readonly seq: number
  /** Requests with a lower number were cleared away. */
  readonly from: number
  /** Counts the batches: one ends when it is settled, or cleared. */
  readonly batch: number
  /** Start of the stabilisation window: the last new or changed request. */
  readonly stableSince: number
  readonly updatedAt: number
  readonly holder?: Holder
  /** The last holder of this batch failed; until the batch is settled newcomers are refused. */
  readonly failed?: {
    readonly sha: string
    readonly ref?: string
    readonly at: number
    readonly expired: boolean
  }
  /** Nobody is granted before this. */
  readonly coolUntil?: number
}

/** A known request. */
export interface Entry {
  readonly seq: number
  readonly sha: string
  readonly ref?: string
  readonly priority: number
  readonly joinedAt: number
  readonly seenAt: number
  /** Its eligible polls so far: the countdown of `delayCount`. */
  readonly polls: number
  /** The fence of the drain in which its priority fell below the holder's: those commits are not in that holder. */
  readonly spared?: number
}

/** What became of a SHA that is no longer known; kept for 24 h. */
export interface Outcome {
  readonly as: 'success' | 'failure' | 'completed' | 'withdrawn' | 'expired' | 'evicted'
  readonly at: number
  readonly batch: number
  readonly priority: number
  readonly ref?: string
  readonly fence?: number
}

/** One request that is over: what history keeps of it. */
export interface PastRequest {
  readonly seq: number
  readonly sha: string
  readonly ref?: string
  /** The last one. */
  readonly priority: number
  readonly joinedAt: number
  /** With its fence, of one that held the lease. */
  readonly grantedAt?: number
  readonly fence?: number
  /** Of a success: its release, though it stays known until its batch has drained. */
  readonly endedAt: number
  readonly as: Outcome['as'] | 'cleared'
  readonly batch: number
}

export interface LeaseState {
  readonly header: Header
  /** By SHA, in the order of their sequence numbers. */
  readonly entries: ReadonlyMap<string, Entry>
  /** By SHA, those that the present commands need. */
  readonly outcomes: ReadonlyMap<string, Outcome>
}

/** How long an outcome makes repeats harmless. */
export const OUTCOME_KEPT_MS = 24 * 3_600_000

/** Are its commits in the holder's? */
export function isBelow({ sha, priority, spared }: Entry, holder: Holder): boolean {
  return sha !== holder.sha && priority < holder.priority && spared !== holder.fence
}

export function emptyState(now: number): LeaseState {
  const header: Header = { fence: 0, seq: 0, from: 1, batch: 1, stableSince: now, updatedAt: now }
  return { header, entries: new Map(), outcomes: new Map() }
}

/** Do people see the same in both? A last-seen alone is no difference. */
export function looksAlike(a: LeaseState, b: LeaseState): boolean {
  if (a.header !== b.header || a.entries.size !== b.entries.size) return false
  for (const [sha, { seq, ref, priority, polls }] of a.entries) {
    const other = b.entries.get(sha)
    const same =
      other?.seq === seq && other.ref === ref && other.priority === priority && other.polls === polls
    if (!same) return false
  }
  return true
}

/** A state while rules are changing it; the one it began with stays as it was, unless its entries were said to be ours. */
export class Draft {
  header: Header
  #entries: ReadonlyMap<string, Entry>
  /** May they be changed where they are? Copying a thousand for each command of a batch costs a fifth of a poll. */
  #owned: boolean
  #outcomes: ReadonlyMap<string, Outcome>
  readonly #base: LeaseState
  /** Records changed so far, an upper bound. */
  writes = 0
  /** Requests that are over; each is noted once. */
  readonly ended: PastRequest[] = []

  constructor(base: LeaseState, ownsEntries = false) {
    this.#base = base
    this.#owned = ownsEntries
    this.header = base.header
    this.#entries = base.entries
    this.#outcomes = base.outcomes
  }

  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries
  }

  get outcomes(): ReadonlyMap<string, Outcome> {
    return this.#outcomes
  }

  set(entry: Entry): void {
    this.#ownEntries().set(entry.sha, entry)
  }

  remove(sha: string): void {
    if (this.#entries.has(sha)) this.#ownEntries().delete(sha)
  }

  removeAll(): void {
    this.#entries = new Map()
    this.#owned = true
  }

  keep(sha: string, outcome: Outcome | undefined): void {
    if (outcome === undefined && !this.#outcomes.has(sha)) return
    const outcomes = new Map(this.#outcomes)
    if (outcome === undefined) outcomes.delete(sha)
    else outcomes.set(sha, outcome)
    this.#outcomes = outcomes
    this.writes += 1
  }

  note(past: PastRequest): void {
    this.ended.push(past)
    this.writes += 1
  }

  /** The base itself when nothing changed. */
  done(): LeaseState {
    const { header } = this
    const same =
      header === this.#base.header &&
      this.#entries === this.#base.entries &&
      this.#outcomes === this.#base.outcomes
    return same ? this.#base : { header, entries: this.#entries, outcomes: this.#outcomes }
  }

  #ownEntries(): Map<string, Entry> {
    this.writes += 1
    if (!this.#owned) this.#entries = new Map(this.#entries)
    this.#owned = true
    return this.#entries as Map<string, Entry>
  }
}
