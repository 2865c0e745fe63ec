/** What the schedules service needs and what it offers beside `SchedulesApi`: to the server, to external triggers, to notifications. */
import type { Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import type { Change, Store, Version } from '../ports/store.ts'
import type { TriggerEvent, TriggerRule } from '../ports/trigger.ts'
import type { NewRun, RunRow } from '../runs/api.ts'
import type {
  ScheduleDefinition,
  ScheduleFilter,
  ScheduleList,
  SchedulesApi,
  TriggerKind,
  TriggerState,
} from './api.ts'
import type { ListRequest } from './listing.ts'

/** A run that waits for its commit. */
export interface PlannedScheduledRun {
  readonly id: string
  readonly changes: readonly Change[]
  readonly run: RunRow
  /** After the commit succeeded. @param version of the first of the changes, if it is known */
  committed(version?: Version): void
}

/** A run of a schedule that has not ended. */
export interface LiveRun {
  readonly id: string
  readonly state: 'queued' | 'running'
  readonly held: boolean
  readonly scheduledAt?: number
  readonly source: NewRun['source']
}

/** What schedules need of the runs service; it lies on the same store. */
export interface RunsOfSchedules {
  /** The changes that create a run, for a commit of ours. @throws `invalid_argument`, `payload_too_large` */
  plan(run: NewRun): PlannedScheduledRun
  /** Lets a held run go; for others nothing happens. */
  release(id: string): Promise<unknown>
  /** Oldest first. */
  liveOf(schedule: string, limit: number): Promise<readonly LiveRun[]>
  cancel(id: string, cancel: { readonly reason?: string; readonly by: string }): Promise<unknown>
}

/** Times that nobody fired, and that were not made up for each. */
export interface ScheduleNotice {
  readonly kind: 'missed'
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly schedule: string
  readonly job: string
  /** The skipped run that records it. */
  readonly run: string
  /** The latest of the times. */
  readonly scheduledAt: number
  /** How many times; counted up to a bound. */
  readonly count: number
  readonly reason: string
}

/** What happened, after it is durable. */
export type ScheduleEvent =
  | {
      readonly kind: 'fired'
      readonly schedule: string
      readonly job: string
      readonly run: string
      /** How long after its time. */
      readonly lateMs: number
      /** It made up for a missed time. */
      readonly missed: boolean
      /** It waits for runs before it. */
      readonly held: boolean
    }
  | {
      readonly kind: 'skipped'
      readonly schedule: string
      readonly job: string
      readonly run: string
      readonly why: 'overlap' | 'problem'
      readonly reason: string
    }
  | {
      readonly kind: 'missed'
      readonly schedule: string
      readonly job: string
      readonly run: string
      readonly count: number
      readonly reason: string
    }
  | {
      readonly kind: 'backfilled'
      readonly schedule: string
      readonly job: string
      readonly run: string
      readonly held: boolean
    }
  /** It is tried again. Without a schedule: the look at what is due failed. */
  | { readonly kind: 'failed'; readonly schedule?: string; readonly error: unknown }

export interface SchedulesServiceOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly runs: RunsOfSchedules
  /** Who fires; `off`: nobody, but held runs are released. */
  readonly trigger: TriggerKind
  /** The longest sleep between two looks at what is due; default 1 s where the store is ours alone (it can `watch`), else 5 s. */
  readonly pollMs?: number
  /** Committed with the record of missed times: how notices get into their outbox. */
  readonly beside?: (notice: ScheduleNotice) => readonly Change[]
  /** Why the external trigger cannot keep a rule; what it objects to is refused when it is saved. */
  readonly objection?: (rule: TriggerRule) => string | undefined
  /** The channels that a definition may notify; what names another is refused when it is saved. Default: any. */
  readonly channels?: readonly string[]
  /** For views: how the external trigger keeps a schedule's rule. */
  readonly triggerStateOf?: (name: string) => TriggerState | undefined
  /** For metrics and logs. Must not throw. */
  readonly onEvent?: (event: ScheduleEvent) => void
  /** A definition was saved or deleted: the external trigger is to be told. Must not throw. */
  readonly onChange?: (name: string) => void
}

/** What became of the event of an external trigger. */
export interface Fired {
  /** The run of that time, if there is one. */
  readonly run?: RunRow
  readonly created: boolean
  /** Why none was created. */
  readonly why?: string
}

export interface ScheduleListRequest extends ScheduleFilter {
  /** Of which schedules the caller may know. */
  readonly visible?: (name: string) => boolean
}

export interface SchedulesService extends SchedulesApi {
  /** By name. `visible`: of which the caller may know. */
  list(filter?: ListRequest): Promise<ScheduleList>
  list(request?: ScheduleListRequest): Promise<ScheduleList>
  /**
   * An external trigger says that a schedule is due. The same time again finds the run that is there.
   * @throws `not_found` (the schedule), `unavailable`, `throttled`, …: the event is to be sent again
   */
  fire(event: TriggerEvent): Promise<Fired>
  /** What an external trigger has to keep. */
  rules(): Promise<readonly TriggerRule[]>
  /** Undefined: there is no such schedule any more. */
  rule(name: string): Promise<TriggerRule | undefined>
  /** Whom to notify instead of the server's rules. */
  notifyOf(schedule: string): Promise<ScheduleDefinition['notify']>
  /** Hints that schedules may have changed, the first at once. */
  follow(signal: AbortSignal): AsyncIterable<void>
  /** A run of the schedule has ended: those it held up are looked at now rather than with the next look. */
  runEnded(schedule: string): void
  /** Begins to fire. */
  start(): Promise<void>
  /** What is under way is finished. */
  close(): Promise<void>
}
