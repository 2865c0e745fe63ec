/**
 * How a turn queue lies in the store (../ports/store.ts). All keys are decimal, so that a table with a numeric range
 * key can hold them.
 *
 *   signalbox:q:<queue>        0        → Control: the queue's one point of decision
 *                              ticket   → Beat: exists exactly while the member holds or is in the window
 *   signalbox:w:<queue>        line key → Waiter: exists exactly while the member waits; key order is the line
 *   signalbox:i:<queue>        random   → Posted: a join that met contention, until somebody gives it its ticket
 *   signalbox:m:<queue>:<id>   0        → Member: from join until 24 h after its end; makes join and leave idempotent
 *   signalbox:h:<queue>        fence    → PastHold, for 30 days
 *   signalbox:queues           hash     → the queue's name (there is no scan)
 *
 * Every commit that grants, ends, enlists or evicts carries the control record with its expected version; a beat is
 * the only write that does not, beside the posting of a join (and its withdrawal), which decides nothing.
 */
import { createHash } from 'node:crypto'
import { decimalKey, type Json, type Key } from '../ports/store.ts'
import { MAX_PRIORITY } from './api.ts'

/** A member in line: what decisions need, nothing for display. */
export interface Entry {
  readonly id: string
  readonly ticket: number
  readonly priority: number
  readonly ttlMs: number
  /** Milliseconds since the epoch by the store's clock; display only. */
  readonly joinedAt: number
}

/** Who acted, when (the store's time) and why; for people. */
export interface Note {
  readonly by: string
  readonly at: number
  readonly reason: string
}

/** A recorded grant: the only thing that makes a member a holder. */
export interface Grant extends Entry {
  readonly fence: number
  readonly grantedAt: number
  /** An operator wants it to end: its beats are refused, its permit is free when it has left or was silent for a TTL. */
  readonly ending?: Note
}

export interface Control {
  readonly permits: number
  /** The last ticket given out. */
  readonly tail: number
  /** The last fence given out; never goes back. */
  readonly fence: number
  readonly holders: readonly Grant[]
  /** The first waiters, in order: those who beat and may be evicted. */
  readonly window: readonly Entry[]
  /** Waiters evicted since the last grant; each doubles the window. */
  readonly evictions: number
  /** How many wait. */
  readonly waiting: number
  /**
   * Counts the changes of the line other than joins at its end and departures from its window. While it stands still, a part
   * of the line once read tells all later ones, so that a waiter learns its position from this record alone.
   */
  readonly shape: number
  /** No waiter has a lower priority: a join with this one, or a lower one, goes to the end of the line. */
  readonly floor?: number
  readonly state: 'open' | 'paused' | 'draining'
  /** Why it is not open. */
  readonly note?: Note
  /** Moving average of hold durations, milliseconds. */
  readonly holdMs?: number
}

export interface Beat {
  readonly id: string
  readonly fence: number
  /** Milliseconds since the epoch by the store's clock; display only. */
  readonly at: number
}

export type Labels = Readonly<Record<string, string>>

export interface Waiter extends Entry {
  readonly labels: Labels
}

export interface Member extends Waiter {
  /** The join is posted under this key of the inbox and has no ticket yet. */
  readonly posted?: string
  readonly end?: {
    readonly as: 'released' | 'withdrawn' | 'lost'
    readonly at: number
    readonly fence?: number
    readonly note?: Note
  }
}

/** A join that waits for its ticket in the inbox. */
export interface Posted {
  readonly id: string
  readonly permits?: number
  readonly priority: number
  readonly ttlMs: number
  readonly labels: Labels
}

/** One hold that is over. `lost`: silent for a TTL; `evicted`: ended by an operator. */
export interface PastHold extends Entry {
  readonly fence: number
  readonly grantedAt: number
  readonly endedAt: number
  readonly as: 'released' | 'lost' | 'evicted'
  readonly labels: Labels
  readonly note?: Note
}

/** How long past holds are kept. */
export const HISTORY_KEPT_MS = 30 * 24 * 3_600_000

/** How long the record of an ended member keeps late repeats from doing harm. */
export const MEMBER_KEPT_MS = 24 * 3_600_000

/** How long a posted join may wait for its ticket; the member asks again long before. */
export const POSTED_KEPT_MS = 10 * 60_000

const TICKETS_PER_CLASS = 10 ** 13

export const controlKey = (queue: string): Key => [`signalbox:q:${queue}`, decimalKey(0)]
export const beatKey = (queue: string, ticket: number): Key => [`signalbox:q:${queue}`, decimalKey(ticket)]
export const memberKey = (queue: string, id: string): Key => [`signalbox:m:${queue}:${id}`, decimalKey(0)]
export const historyPartition = (queue: string): string => `signalbox:h:${queue}`
export const linePartition = (queue: string): string => `signalbox:w:${queue}`
export const inboxPartition = (queue: string): string => `signalbox:i:${queue}`

/** Higher priority first, then ticket order. */
export function lineKey(priority: number, ticket: number): string {
  return decimalKey((MAX_PRIORITY - priority) * TICKETS_PER_CLASS + ticket)
}

export const waiterKey = (
  queue: string,
  entry: { readonly priority: number; readonly ticket: number },
): Key => [linePartition(queue), lineKey(entry.priority, entry.ticket)]

/** Negative when `a` stands before `b` in line. */
export function compareInLine(a: Entry, b: Entry): number {
  return b.priority - a.priority || a.ticket - b.ticket
}

export const registryPartition = 'signalbox:queues'

/** The registry key of a queue name; `probe` counts up past another name with the same hash. */
export function registryKey(queue: string, probe = 0): Key {
  const hash = createHash('sha256').update(queue).digest().readUIntBE(0, 6) % 10 ** 14
  return [registryPartition, decimalKey(hash + probe)]
}

/** Records are plain JSON; interfaces lack the index signature that `Json` asks for. */
export function asJson(value: Control | Beat | Waiter | Member | PastHold | Posted): Json {
  return value as unknown as Json
}
