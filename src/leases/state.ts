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
  readonly failed?: { readonly sha: string; readonly at: number; readonly expired: boolean }
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

export interface LeaseState {
  readonly header: Header
  /** By SHA, in the order of their sequence numbers. */
  readonly entries: ReadonlyMap<string, Entry>
  /** By SHA, those that the present commands need. */
  readonly outcomes: ReadonlyMap<string, Outcome>
}

/** How long an outcome makes repeats harmless. */
export const OUTCOME_KEPT_MS = 24 * 3_600_000

export function emptyState(now: number): LeaseState {
  const header: Header = { fence: 0, seq: 0, from: 1, batch: 1, stableSince: now, updatedAt: now }
  return { header, entries: new Map(), outcomes: new Map() }
}

/** A state while rules are changing it; the one it began with stays as it was. */
export class Draft {
  header: Header
  #entries: ReadonlyMap<string, Entry>
  #outcomes: ReadonlyMap<string, Outcome>
  readonly #base: LeaseState
  /** Records changed so far, an upper bound. */
  writes = 0

  constructor(base: LeaseState) {
    this.#base = base
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
  }

  keep(sha: string, outcome: Outcome | undefined): void {
    if (outcome === undefined && !this.#outcomes.has(sha)) return
    const outcomes = new Map(this.#outcomes)
    if (outcome === undefined) outcomes.delete(sha)
    else outcomes.set(sha, outcome)
    this.#outcomes = outcomes
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
    if (this.#entries === this.#base.entries) this.#entries = new Map(this.#entries)
    return this.#entries as Map<string, Entry>
  }
}
