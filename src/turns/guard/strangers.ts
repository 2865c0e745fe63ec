/**
 * The entries of the dynamo-q tool's clients on one queue, as looks at them show: which of them live.
 *
 * Invariants: an entry is dead only when the answer of one look and the sending of a later one lie `DEAD_MS` apart by this
 * machine's monotonic clock and both showed the same version; so it was truly not written for that long. No wall
 * clock takes part in that. An entry never seen before counts as alive.
 */
import type { StoredRecord, Version } from '../../ports/store.ts'
import { DEAD_MS, QUIET_MS } from './record.ts'

interface Seen {
  version: Version
  /** Monotonic ms of the first answer that showed this version. */
  since: number
  /** It was seen to change. */
  beats: boolean
  /** By its own word, seconds since the epoch. */
  lastUpdated: number
  dead: boolean
}

/** Their clocks and ours may differ by a minute before an entry looks dead to the eye; see `waiting`. */
const FRESH_MS = 180_000

export class Strangers {
  readonly #seen = new Map<string, Seen>()
  #vanishedAt = -Infinity

  /** A complete look, asked for and answered at these times (monotonic ms). */
  saw(records: readonly StoredRecord[], sentAt: number, seenAt: number): void {
    const shown = new Set<string>()
    for (const { key, version, value } of records) {
      const [, id] = key
      shown.add(id)
      const before = this.#seen.get(id)
      if (before?.version === version) {
        before.dead = sentAt - before.since >= DEAD_MS
        continue
      }
      const beats = before !== undefined
      this.#seen.set(id, { version, since: seenAt, beats, lastUpdated: lastUpdatedOf(value), dead: false })
    }
    for (const [id, { dead }] of this.#seen) {
      if (shown.has(id)) continue
      this.#seen.delete(id)
      if (!dead) this.#vanishedAt = seenAt
    }
  }

  /** Any that is not known to be dead. */
  get anyAlive(): boolean {
    for (const { dead } of this.#seen.values()) if (!dead) return true
    return false
  }

  /**
   * Does one of them seem to wait for its turn? Decides who goes first, never whether it is safe to go: an entry that was not seen
   * to beat is taken at its word.
   * @param now engine time
   */
  anyWaiting(now: number): boolean {
    for (const { dead, beats, lastUpdated } of this.#seen.values()) {
      if (!dead && (beats || lastUpdated * 1_000 > now - FRESH_MS)) return true
    }
    return false
  }

  /** Entries proven dead, by key. */
  get dead(): (readonly [key: string, version: Version])[] {
    return [...this.#seen].filter(([, seen]) => seen.dead).map(([id, { version }]) => [id, version])
  }

  /**
   * Monotonic ms from which on an entry that another client of theirs destroyed would have been put back by the next
   * heartbeat of its owner, which may be at work.
   */
  get quietFrom(): number {
    return this.#vanishedAt + QUIET_MS
  }
}

function lastUpdatedOf(value: StoredRecord['value']): number {
  if (typeof value !== 'object' || value === null || !('lastUpdated' in value)) return 0
  return Number(value.lastUpdated) || 0
}
