/** What the rules work on: a queue's state, and where a member stands in it. */
import type { Version } from '../ports/store.ts'
import type { Control, Entry, Grant, Labels, Member } from './records.ts'

/** The known head of the line. `complete`: nobody waits behind it. The window is its first `control.window.length`. */
export interface QueueState {
  readonly control: Control
  /** Undefined before the first join. */
  readonly version: Version | undefined
  readonly line: readonly Entry[]
  readonly complete: boolean
}

export const emptyState: QueueState = {
  control: {
    permits: 1,
    tail: 0,
    fence: 0,
    holders: [],
    window: [],
    evictions: 0,
    waiting: 0,
    shape: 0,
    state: 'open',
  },
  version: undefined,
  line: [],
  complete: true,
}

export interface JoinCommand {
  readonly id: string
  readonly permits: number | undefined
  readonly priority: number
  readonly ttlMs: number
  readonly labels: Labels
}

/** Where a member stands. `known: false`: no such member, or its record has expired. */
export type Standing =
  | { readonly state: 'holding'; readonly grant: Grant }
  /** Holds the permit still, but an operator has ended it. */
  | { readonly state: 'ending'; readonly grant: Grant }
  | { readonly state: 'waiting'; readonly entry: Entry }
  /** Its join is in the inbox and has no ticket yet. */
  | { readonly state: 'posted'; readonly member: Member; readonly key: string }
  /** Evicted for silence: has its ticket still, and takes its old place when it comes back (`reinstate`). */
  | { readonly state: 'evicted'; readonly member: Member }
  | { readonly state: 'left'; readonly member: Member }
  | { readonly state: 'lost'; readonly member: Member }
  | { readonly state: 'unknown' }
