/** What a run is, to the rules and in its record. All times are milliseconds since the epoch by the store's clock. */
import type { Json } from '../ports/store.ts'
import type { EndState, Outcome, Progress, RunError, RunSource, RunState } from './vocabulary.ts'

export interface Run {
  readonly id: string
  readonly job: string
  readonly queue: string
  readonly state: RunState
  readonly source: RunSource
  readonly createdAt: number
  /** Counts the changes. */
  readonly rev: number
  /** Grows with each claim. */
  readonly epoch: number
  /** Attempts begun, those that were given back not counted. */
  readonly attempt: number
  readonly attempts: number
  readonly onLost: 'retry' | 'fail'
  readonly timeoutMs?: number
  readonly group?: string
  readonly schedule?: string
  readonly scheduledAt?: number
  readonly restartOf?: string
  readonly restartedAs?: string
  readonly retentionMs: number
  readonly secrets?: readonly string[]
  /** Queued: not before. */
  readonly notBefore?: number
  /** Queued: not before it is released, for this reason. */
  readonly hold?: string
  /** Wake-ups decided on so far, and when the last one was. */
  readonly wakes: number
  readonly wokenAt: number
  /** Running: whose it is. */
  readonly claim?: Held
  /** How the last claim ended; tells a repeated `finish` from a late one. */
  readonly last?: { readonly epoch: number; readonly as: Outcome['kind'] | 'expired' }
  readonly startedAt?: number
  readonly endedAt?: number
  readonly worker?: string
  readonly cancel?: { readonly at: number; readonly by: string; readonly reason?: string }
  /** Why it was skipped or cancelled. */
  readonly reason?: string
  readonly progress?: Progress
  readonly error?: RunError
  readonly log?: LogState
  readonly timeline: readonly Step[]
}

export interface Held {
  readonly worker: string
  readonly nonce: string
  readonly leaseMs: number
  /** Taken for dead when silent until then. */
  readonly until: number
}

/** How much a run has logged. */
export interface LogState {
  readonly lines: number
  readonly bytes: number
  /** Nothing more is kept. */
  readonly full?: true
  /** Lines that the claim of this epoch has handed in, kept or not. */
  readonly epoch: number
  readonly given: number
}

export interface Step {
  readonly at: number
  readonly state: RunState
  readonly attempt: number
  readonly worker?: string
  readonly note?: string
}

/** A line as the log keeps it, cut to its bounds; `bytes` as JSON. */
export interface KeptLine {
  readonly at: number
  readonly level: number
  readonly text: string
  readonly fields?: { readonly [name: string]: Json }
  readonly bytes: number
}

export function hasEnded(state: RunState): state is EndState {
  return state !== 'queued' && state !== 'running'
}
