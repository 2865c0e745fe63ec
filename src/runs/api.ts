/**
 * What runs offer to workers and to people: the vocabulary and one interface, `RunsApi`, which the service implements next
 * to a store and the HTTP client at a distance.
 *
 * A *run* is one execution of a *job*. Its record is the truth; the message in a queue is only a wake-up. A worker *claims* a
 * queued run, which gives it the run's *epoch*; every later call of that worker carries the epoch, and is refused once an
 * expiry, another claim or an end came in between.
 *
 * A wake-up is acknowledged once `claim` refuses it, and once `finish` was answered, unless the answer holds `retryAfterMs`: then it is
 * given back for so long. For whatever makes a run queued again, a retry included, sends a new wake-up; only on a FIFO queue
 * the same one is used again, which keeps its group waiting.
 */
import type {
  BeatAnswer,
  CancelOrder,
  ClaimView,
  CreatedRun,
  FinishView,
  JobView,
  LogPage,
  RunList,
  RunView,
} from './api-views.ts'
import type { Json } from '../ports/store.ts'
import type { JobManifest, LogLine, NewRun, Outcome, Progress, RunState } from './vocabulary.ts'

export * from './api-views.ts'
export * from './vocabulary.ts'

/** What a worker says when it claims. */
export interface Claim {
  /** Who; cancels for its runs reach it under this name (`watchCancel`). */
  readonly worker: string
  /** How long it may be silent. */
  readonly leaseMs: number
  /** Random per claim. A claim repeated with the same one after a lost answer is answered as the first was. */
  readonly nonce?: string
}

export interface RunFilter {
  /** None: all. */
  readonly states?: readonly RunState[]
  readonly job?: string
  readonly schedule?: string
  /** Created from then on, and before then: milliseconds since the epoch. */
  readonly from?: number
  readonly to?: number
  /** In the id, queue, worker, error, reason or the beginning of the input; upper and lower case are the same. */
  readonly text?: string
  /** 1–1,000; default 50. */
  readonly limit?: number
  /** The `next` of the page before. */
  readonly after?: string
}

/** All calls may be repeated after a lost answer. @throws SignalboxError `throttled`, `unavailable`, `outcome_unknown`, … */
export interface RunsApi {
  /**
   * Records a run and wakes a worker. Repeating it with the id of a run that is kept changes nothing.
   * @throws `invalid_argument`, `payload_too_large` (the input)
   */
  create(run: NewRun): Promise<CreatedRun>
  /** The same for many; not atomic as a whole. */
  createMany(runs: readonly NewRun[]): Promise<readonly CreatedRun[]>

  /** Begins an attempt, if the run is queued and due. */
  claim(id: string, claim: Claim): Promise<ClaimView>
  /** Prolongs a claim: the run's worker lives. Every sixth of the lease. */
  beat(
    id: string,
    epoch: number,
    beat: { readonly leaseMs: number; readonly progress?: Progress },
  ): Promise<BeatAnswer>
  /** Ends the attempt. Repeating it is accepted again. */
  finish(id: string, epoch: number, outcome: Outcome): Promise<FinishView>
  /**
   * Adds lines to the log of a claim that is held; others are dropped without an error.
   * @param from how many lines this claim has logged before; makes a repetition harmless
   */
  log(id: string, epoch: number, lines: readonly LogLine[], from?: number): Promise<void>
  /** Orders to stop runs that this worker has claimed, as they come; ends when the signal aborts. Without it, beats tell. */
  watchCancel?(worker: string, signal: AbortSignal): AsyncIterable<CancelOrder>

  /** Ends a queued run at once and asks the worker of a running one; of one that has ended nothing changes. @throws `not_found` */
  cancel(id: string, cancel: { readonly reason?: string; readonly by: string }): Promise<RunView>
  /** A new run with the same input, linked to the old one. @throws `not_found`, `conflict` (it has not ended) */
  restart(id: string, restart: { readonly by: string }): Promise<RunView>
  /** @throws `not_found` */
  get(id: string): Promise<RunView>
  /** Newest first. */
  list(filter?: RunFilter): Promise<RunList>
  /** Lines in order, from after line number `after` (default 0). @throws `not_found` */
  readLog(id: string, page?: { readonly after?: number; readonly limit?: number }): Promise<LogPage>

  /** Says what jobs a worker runs; call it at its start and every minute. */
  registerJobs(manifests: readonly JobManifest[], worker: string): Promise<void>
  /** By name. */
  listJobs(): Promise<readonly JobView[]>
  /** @throws `not_found` */
  getJob(name: string): Promise<JobView>
}

/** A run that somebody starts by hand. */
export interface RunNow {
  /** Default {}. */
  readonly input?: Json
  /** After the colon of the run's id; makes a repetition safe. */
  readonly id?: string
  readonly delayMs?: number
}

/** What people do beside `RunsApi`, and what every implementation of ours has. */
export interface RunsOperations extends RunsApi {
  watchCancel(worker: string, signal: AbortSignal): AsyncIterable<CancelOrder>
  /**
   * Starts a run of a registered job. Leaves an audit entry.
   * @param by who does it; a server knows who calls
   * @throws `not_found`, `invalid_argument` (the input does not fit its schema)
   */
  runNow(job: string, request: RunNow, by: string): Promise<CreatedRun>
}
