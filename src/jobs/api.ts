/**
 * What a job looks like to those who write, enqueue and watch it. The life of a job without a run record is that of its message:
 *
 *   enqueue ──▶ waiting ──▶ running ──▶ done (message deleted)
 *                  ▲           │ ├─ failed, timed out, its worker killed ──▶ waiting (an attempt less, after its back-off)
 *                  │           │ └─ no attempt left, or poison ──▶ dead-letter queue ──redrive──▶ waiting (all attempts again)
 *                  └───────────┴─ drained, limited by its rate: returned, not counted as an attempt
 *
 * A job runs at least once. What it does beside the message must bear a repetition: see `Effect`.
 */
import type { Clock } from '../kernel/clock.ts'
import type { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { MessageQueue } from '../ports/message-queue.ts'
import type { Change, Key, Store } from '../ports/store.ts'
import type { LogLine, Progress, RunsApi } from '../runs/api.ts'

/** A length of time as people write it: `500ms`, `30s`, `15m`, `12h`, `7d`. */
export type Duration = `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** Where jobs go and come from. Nothing here opens or closes it. */
export interface JobsConnection {
  readonly engine: MessageQueue
  /** Shared rate limits and `effect.once` need it. */
  readonly store?: Store
  /** Jobs with run records and unique jobs need it. */
  readonly runs?: RunsApi
  readonly clock: Clock
  readonly random: Random
}

export interface EnqueueOptions {
  /**
   * The key of the job's effects; 1–100 letters, digits and `._:@/-`. Of a job with `unique` (the default) the same id is
   * enqueued once, as long as its run record is kept. Default: made up.
   */
  readonly id?: string
  /** Not before so long from now. Without a run record at most 15 minutes, and not on FIFO queues. */
  readonly delay?: Duration
  /** On a FIFO queue: one after the other within a group. Default there: the job's name. Elsewhere without an order. */
  readonly group?: string
  /** Instead of the job's queue. */
  readonly queue?: string
  /** Instead of this process's connection. */
  readonly via?: JobsConnection
}

export interface EnqueueItem<Input> extends Pick<EnqueueOptions, 'id' | 'delay' | 'group'> {
  readonly input: Input
}

export interface Enqueued {
  readonly id: string
  readonly queue: string
  /** This id was enqueued before; nothing was added. */
  readonly duplicate: boolean
  readonly messageId?: string
  readonly runId?: string
}

/** Each entry of `enqueueMany` stands for itself. */
export type EnqueueResult =
  | ({ readonly status: 'enqueued' } & Enqueued)
  | { readonly status: 'failed'; readonly id: string; readonly error: SignalboxError }

/** Why a job's signal aborted: its reason is a `SignalboxError` whose `details.reason` this is. */
export type StopReason = 'timed_out' | 'cancelled' | 'lost' | 'shutdown'

export type LogLevel = LogLine['level']

/** Lines go to the run's record where there is one, and to the worker's events. */
export type JobLog = Readonly<Record<LogLevel, (text: string) => void>>

export type EffectResult =
  | { readonly status: 'done' | 'already_done' }
  /** Expectations of the changes themselves did not hold; nothing was changed. */
  | { readonly status: 'conflict'; readonly failed: readonly Key[] | 'unknown' }

/** The effect of a job, exactly once however often the job runs. */
export interface Effect {
  /** The same at every attempt: write it, in your own transaction, with a unique index, beside what the job does. */
  readonly key: string
  /**
   * Commits these changes together with a record of this job's id, all or nothing, unless that record is there already.
   * A lost answer is resolved by reading. The record is kept for `keepMs`, default 15 days (longer than any message lives).
   * @throws SignalboxError `invalid_argument` (limits; one change less than the store's), `throttled`, `unavailable`, `outcome_unknown`
   */
  once(
    store: Store,
    changes: readonly Change[],
    options?: { readonly keepMs?: number },
  ): Promise<EffectResult>
}

/** What is known of one job while it is being worked on. */
export interface JobFacts {
  readonly job: string
  /** The enqueued id: the same at every attempt. */
  readonly id: string
  readonly queue: string
  readonly group: string | undefined
  readonly runId: string | undefined
  /** 1 at first. Returns by a draining worker are not counted. */
  readonly attempt: number
  /** After how many it is dead-lettered. */
  readonly attempts: number
  /** Milliseconds since the epoch. */
  readonly sentAt: number
}

export interface JobContext<Deps = unknown> extends JobFacts {
  /** Aborts when the job should stop: its `reason` says why. */
  readonly signal: AbortSignal
  readonly log: JobLog
  /** Tells how far it is. Kept in the run's record, where there is one; the latest wins. */
  readonly progress: (progress: Progress) => void
  /** What `startWorker` was given. */
  readonly deps: Deps
  readonly effect: Effect
}

/** One job of a batch. */
export interface BatchItem<Input> extends JobFacts {
  readonly input: Input
  readonly effect: Effect
}

export interface BatchContext<Deps = unknown> {
  readonly job: string
  readonly queue: string
  readonly signal: AbortSignal
  readonly log: JobLog
  readonly deps: Deps
}

/** Of each job that came to an end in a worker, however. */
export type Outcome =
  | 'succeeded'
  | 'failed'
  | 'timed_out'
  | 'cancelled'
  | 'lost'
  | 'returned'
  | 'poison'
  | 'unknown_job'
  | 'stale'

/** What a worker tells of itself: for logs and metrics. Times in milliseconds. */
export type WorkerEvent =
  | {
      readonly type: 'started'
      readonly queue: string
      readonly job: string
      readonly id: string
      readonly attempt: number
      readonly waitedMs: number
    }
  | {
      readonly type: 'ended'
      readonly queue: string
      readonly job: string
      readonly id: string
      readonly attempt: number
      readonly outcome: Outcome
      readonly tookMs: number
      /** What becomes of the message. */
      readonly verdict: 'ack' | 'retry' | 'dead_letter' | 'return' | 'nothing'
      readonly delayMs?: number
      readonly error?: SignalboxError
    }
  | {
      readonly type: 'log'
      readonly job: string
      readonly id: string
      readonly level: LogLevel
      readonly text: string
    }
  /** Something failed that the worker repeats or can live with. */
  | {
      readonly type: 'trouble'
      readonly queue: string
      readonly what: string
      readonly error: SignalboxError
    }
  | { readonly type: 'draining'; readonly running: number }
  | { readonly type: 'stopped' }

export interface WorkerStats {
  readonly running: number
  /** Received, and waiting for a place or for their group. */
  readonly buffered: number
  readonly counts: Readonly<Record<Outcome, number>>
}

/** A worker at work. */
export interface Worker {
  /**
   * Takes no more jobs, waits for those at work for the grace period (default the worker's), then aborts their signals and
   * returns their messages, uncounted. Those that may still take longer than the grace, and than a minute, are told at once and have
   * the grace to stop in. Idempotent; resolves when nothing is held any more.
   */
  drain(options?: { readonly grace?: Duration }): Promise<void>
  /** As `drain` without grace. */
  close(): Promise<void>
  /** Resolves when the worker has ended; rejects when it ended by itself, with an error that will not pass. */
  readonly done: Promise<void>
  readonly stats: WorkerStats
}
