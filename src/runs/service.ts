/**
 * The runs service: `RunsOperations` next to a store. Any number of services may work on one store. One that was started also does
 * what time alone does (sweeper.ts) and, with `send`, sends what others left over.
 */
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { auditChange, type AuditEntry } from '../ports/audit.ts'
import type { Change, Json, Store } from '../ports/store.ts'
import type { Claim, RunNow, RunsOperations } from './api.ts'
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
import { changesOf, changesOfAny } from './changes.ts'
import { checkInput } from './check-input.ts'
import { createRuns, makeRun, type CreatingContext } from './create.ts'
import { Dispatcher } from './dispatcher.ts'
import { jobView } from './job-views.ts'
import { GrowingKeys, TimedKeys } from './keys.ts'
import { listRuns, type ListRequest } from './lists.ts'
import { keptLines, readLines } from './log.ts'
import { Mailboxes, type Reply } from './mailboxes.ts'
import { watchOrders, readOrders, type OrderPage } from './orders.ts'
import { findRegistered, register, registered, type Registered } from './registry.ts'
import { bounded, boundedProgress, checkNewRun, checkWorker, newRunId, type NamedRun } from './new-run.ts'
import { liveRuns, type LiveRun } from './live-runs.ts'
import { plannedRun, type PlannedRun } from './plan.ts'
import type { Beside, Keys, Prepared } from './prepare.ts'
import { indexPartition, inputKey, resultKey, runKey, runPartition, type Stored } from './records.ts'
import { Rounds, type Retention } from './rounds.ts'
import type { Command } from './rules.ts'
import { rowOfRun, runViewOf } from './views.ts'
import {
  type JobManifest,
  type LogLine,
  type NewRun,
  type Outcome,
  type Progress,
  type RunState,
} from './vocabulary.ts'
import type { SendWakeUps } from './wake-up.ts'

export interface RunsServiceOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  /** Sends wake-ups (`sendThrough`). Without it they are left to another service on the same store. */
  readonly send?: SendWakeUps
  readonly retention?: Partial<Retention>
  /** How often what is due is looked for; default 2 s. */
  readonly sweepMs?: number
  /** What shall be committed with each change of a run's state, whoever makes it. */
  readonly beside?: Beside
  /** Called for what happened, after it is durable; for metrics and logs. Must not throw. */
  readonly onEvent?: (event: RunEvent) => void
}

export type RunEvent =
  | {
      readonly kind: 'state'
      readonly id: string
      readonly job: string
      readonly queue: string
      readonly schedule?: string
      /** Undefined: it was created. */
      readonly from: RunState | undefined
      readonly to: RunState
      readonly attempt: number
      readonly durationMs?: number
    }
  | { readonly kind: 'not_sent'; readonly queue: string; readonly wakeUps: number; readonly error: unknown }
  | { readonly kind: 'sweep_failed'; readonly error: unknown }

export interface RunsService extends RunsOperations {
  /**
   * A run that comes with somebody else's commit. Plan anew for each attempt; a commit that fails names `runKey(id)` if the
   * run is there already.
   * @throws SignalboxError as `create`
   */
  plan(run: NewRun): PlannedRun
  /** Lets a held run go. @returns false: it was not held, or there is none */
  release(id: string): Promise<boolean>
  /** Runs of a schedule that have not ended, the oldest first. @param limit 1–1,000 */
  liveOf(schedule: string, limit: number): Promise<readonly LiveRun[]>
  /** What workers last said about a job; undefined: none ever said anything. */
  findJob(name: string): Promise<JobManifest | undefined>
  list(request?: ListRequest): Promise<RunList>
  /** For workers at a distance: orders since `after`; waits for one until the signal aborts. */
  orders(worker: string, after?: string, wait?: AbortSignal): Promise<OrderPage>
  /** Hints that runs came into one of these states or left it, the first at once. */
  followList(states: readonly RunState[], signal: AbortSignal): AsyncIterable<void>
  /** Hints that a run or its log may have changed, the first at once. */
  follow(id: string, signal: AbortSignal): AsyncIterable<void>
  start(): Promise<void>
  /** What is under way is finished. */
  close(): Promise<void>
}

export function createRunsService(options: RunsServiceOptions): RunsService {
  return new StoreRuns(options)
}

/** Runs of a state that are counted, in a list of jobs and for one job. */
const COUNTED_IN_LIST = 100
const COUNTED = 1_000

class StoreRuns implements RunsService {
  readonly #options: RunsServiceOptions
  readonly #mailboxes: Mailboxes
  readonly #dispatcher: Dispatcher | undefined
  readonly #rounds: Rounds
  readonly #keys: Keys
  readonly #retention: Retention

  constructor(options: RunsServiceOptions) {
    const { store, clock, random, send, onEvent = () => undefined } = options
    this.#options = options
    this.#retention = { ageMs: 7 * 86_400_000, perJob: 10_000, ...options.retention }
    this.#keys = { places: new GrowingKeys(random), timed: new TimedKeys(random) }
    this.#dispatcher =
      send === undefined
        ? undefined
        : new Dispatcher({
            store,
            clock,
            timed: this.#keys.timed,
            send,
            failed: (queue, wakeUps, error) => onEvent({ kind: 'not_sent', queue, wakeUps, error }),
          })
    this.#mailboxes = new Mailboxes({
      store,
      clock,
      random,
      keys: this.#keys,
      beside: options.beside,
      heardSince: () => this.#rounds.heardSince,
      committed: (prepared, before) => {
        if (prepared.out !== undefined) this.#dispatcher?.take(prepared.out)
        const event = eventOf(before, prepared.stored)
        if (event !== undefined) onEvent(event)
      },
      recovered: () => this.#rounds.hearAnew(),
    })
    this.#rounds = new Rounds({
      store,
      clock,
      mailboxes: this.#mailboxes,
      dispatcher: this.#dispatcher,
      everyMs: options.sweepMs ?? 2_000,
      retention: this.#retention,
      failed: (error) => onEvent({ kind: 'sweep_failed', error }),
    })
  }

  async create(run: NewRun): Promise<CreatedRun> {
    const [created] = await this.createMany([run])
    if (created === undefined) throw new SignalboxError('internal', 'a run was created without an answer')
    return created
  }

  createMany(runs: readonly NewRun[]): Promise<readonly CreatedRun[]> {
    const named = runs.map((run) => this.#named(run))
    return createRuns(this.#creating, named)
  }

  plan(run: NewRun): PlannedRun {
    return plannedRun(this.#creating, this.#named(run))
  }

  async release(id: string): Promise<boolean> {
    const { answer } = await this.#submit(id, { kind: 'release' })
    return answer.kind === 'done' && answer.changed
  }

  liveOf(schedule: string, limit: number): Promise<readonly LiveRun[]> {
    return liveRuns(this.#options.store, schedule, limit)
  }

  async findJob(name: string): Promise<JobManifest | undefined> {
    return (await findRegistered(this.#options.store, name))?.manifest
  }

  async claim(id: string, { worker, leaseMs, nonce = this.#options.random.id() }: Claim): Promise<ClaimView> {
    checkWorker(worker)
    const { answer, stored } = await this.#submit(id, { kind: 'claim', worker, leaseMs, nonce })
    if (answer.kind === 'absent') return { claimed: false, why: 'not_found' }
    if (answer.kind === 'refused') {
      const { why, retryAfterMs } = answer
      return { claimed: false, why, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
    }
    if (answer.kind !== 'claimed' || stored === undefined) throw misfit(answer.kind)
    const { epoch, attempt } = answer
    return { claimed: true, epoch, attempt, run: rowOfRun(stored), input: await this.#input(stored) }
  }

  async beat(
    id: string,
    epoch: number,
    { leaseMs, progress }: { readonly leaseMs: number; readonly progress?: Progress },
  ): Promise<BeatAnswer> {
    const { answer } = await this.#submit(id, {
      kind: 'beat',
      epoch,
      leaseMs,
      ...(progress === undefined ? {} : { progress: boundedProgress(progress) }),
    })
    if (answer.kind !== 'held') return { held: false }
    return { held: true, ...(answer.cancel === undefined ? {} : { cancel: answer.cancel }) }
  }

  async finish(id: string, epoch: number, outcome: Outcome): Promise<FinishView> {
    const { answer, stored } = await this.#submit(id, { kind: 'finish', epoch, outcome: bounded(outcome) })
    const run = stored === undefined ? {} : { run: rowOfRun(stored) }
    if (answer.kind !== 'finished') return { accepted: false, ...run }
    const { retryAfterMs } = answer
    return { accepted: true, ...run, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  }

  async log(id: string, epoch: number, lines: readonly LogLine[], from?: number): Promise<void> {
    let first = from
    const commands = keptLines(lines).map((portion) => {
      const command = { kind: 'log', epoch, lines: portion, from: first } as const
      if (first !== undefined) first += portion.length
      return command
    })
    await Promise.all(commands.map((command) => this.#submit(id, command)))
  }

  watchCancel(worker: string, signal: AbortSignal): AsyncIterable<CancelOrder> {
    return watchOrders(this.#options, worker, signal)
  }

  async orders(worker: string, after?: string, wait?: AbortSignal): Promise<OrderPage> {
    const { store } = this.#options
    const page = await readOrders(store, worker, after)
    if (page.orders.length > 0 || wait === undefined) return page
    for await (const order of watchOrders(this.#options, worker, wait))
      return { orders: [order], next: page.next }
    return page
  }

  async cancel(id: string, cancel: { readonly reason?: string; readonly by: string }): Promise<RunView> {
    const reply = await this.#mailboxes.submit(id, {
      command: { kind: 'cancel', ...cancel },
      beside: () => [this.#audit('jobs.cancel', id, cancel)],
    })
    return this.#view(id, reply.stored)
  }

  async restart(id: string, { by }: { readonly by: string }): Promise<RunView> {
    const old = await this.#read(id)
    const { run } = old
    const input = await this.#input(old)
    const again: NamedRun = {
      id: newRunId(run.job, this.#options.store.now().ms, this.#options.random),
      job: run.job,
      queue: run.queue,
      input,
      attempts: run.attempts,
      onLost: run.onLost,
      retentionMs: run.retentionMs,
      source: 'restart',
      restartOf: id,
      ...(run.timeoutMs === undefined ? {} : { timeoutMs: run.timeoutMs }),
      ...(run.group === undefined ? {} : { group: run.group }),
      ...(run.schedule === undefined ? {} : { schedule: run.schedule }),
      ...(run.scheduledAt === undefined ? {} : { scheduledAt: run.scheduledAt }),
      ...(run.secrets === undefined ? {} : { secrets: [...run.secrets] }),
    }
    let made: Prepared | undefined
    const { answer } = await this.#mailboxes.submit(id, {
      command: { kind: 'restarted', as: again.id },
      beside: () => {
        made = makeRun(this.#creating, again, '')
        return [...made.changes, this.#audit('jobs.restart', id, { by, details: { run: again.id } })]
      },
    })
    if (answer.kind === 'absent') throw unknownRun(id)
    if (answer.kind === 'conflict') {
      throw new SignalboxError('conflict', `run '${id}' has not ended; cancel it first`)
    }
    if (made !== undefined) this.#mailboxes.adopt(made, undefined)
    return this.get(again.id)
  }

  async get(id: string): Promise<RunView> {
    return this.#view(id, await this.#read(id))
  }

  list(request: ListRequest = {}): Promise<RunList> {
    return listRuns(this.#options.store, request)
  }

  async readLog(
    id: string,
    page: { readonly after?: number; readonly limit?: number } = {},
  ): Promise<LogPage> {
    const { born } = await this.#read(id)
    return readLines(this.#options.store, { id, born }, page)
  }

  followList(states: readonly RunState[], signal: AbortSignal): AsyncIterable<void> {
    const partitions = states.map((state) => indexPartition({}, state))
    return changesOfAny(this.#options, partitions, signal)
  }

  follow(id: string, signal: AbortSignal): AsyncIterable<void> {
    return changesOf(this.#options, runPartition(id), signal)
  }

  async registerJobs(manifests: readonly JobManifest[], worker: string): Promise<void> {
    await Promise.all(manifests.map((manifest) => register(this.#options, manifest, worker)))
  }

  async listJobs(): Promise<readonly JobView[]> {
    const { store } = this.#options
    const all = await registered(store)
    return Promise.all(all.map((one) => jobView(store, one, COUNTED_IN_LIST)))
  }

  async getJob(name: string): Promise<JobView> {
    const { store } = this.#options
    return jobView(store, await this.#job(name), COUNTED)
  }

  async runNow(job: string, { input = {}, id, delayMs }: RunNow, by: string): Promise<CreatedRun> {
    const { manifest } = await this.#job(job)
    checkInput(manifest, input)
    const { queue, attempts, timeoutMs, onLost = 'retry', retentionMs, secrets } = manifest
    const run = this.#named({
      ...(id === undefined ? {} : { id: `${job}:${id}` }),
      job,
      queue,
      input,
      attempts,
      onLost,
      source: 'run_now',
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(retentionMs === undefined ? {} : { retentionMs }),
      ...(secrets === undefined ? {} : { secrets }),
      ...(delayMs === undefined ? {} : { delayMs }),
    })
    const beside = (): readonly Change[] => [this.#audit('jobs.run', run.id, { by })]
    const { answer, stored } = await this.#mailboxes.submit(run.id, {
      command: { kind: 'create', run, retentionMs: run.retentionMs ?? this.#retention.ageMs },
      mark: this.#options.random.id(),
      beside,
    })
    if (answer.kind !== 'done' || stored === undefined) throw misfit(answer.kind)
    return { run: rowOfRun(stored), created: answer.changed }
  }

  async start(): Promise<void> {
    this.#rounds.start()
  }

  async close(): Promise<void> {
    await this.#rounds.close()
    this.#mailboxes.close()
    await this.#dispatcher?.close()
  }

  /** What a new run gets beside what its creator says. */
  #named(run: NewRun): NamedRun {
    checkNewRun(run)
    const { store, random } = this.#options
    return { ...run, id: run.id ?? newRunId(run.job, store.now().ms, random) }
  }

  async #submit(id: string, command: Command): Promise<Reply> {
    return this.#mailboxes.submit(id, { command })
  }

  async #read(id: string): Promise<Stored> {
    const record = await this.#options.store.get(runKey(id))
    if (record === undefined) throw unknownRun(id)
    return record.value as unknown as Stored
  }

  async #view(id: string, stored: Stored | undefined): Promise<RunView> {
    if (stored === undefined) throw unknownRun(id)
    const input = await this.#input(stored)
    const { result } = stored
    if (result === undefined) return runViewOf(stored, { input })
    if (result !== 'apart') return runViewOf(stored, { input, result: result.json })
    const record = await this.#options.store.get(resultKey({ id, born: stored.born }))
    return runViewOf(stored, { input, result: record?.value ?? null })
  }

  async #input({ run, born, input }: Stored): Promise<Json> {
    if (input !== undefined) return input.json
    const record = await this.#options.store.get(inputKey({ id: run.id, born }))
    return record?.value ?? null
  }

  async #job(name: string): Promise<Registered> {
    const found = await findRegistered(this.#options.store, name)
    if (found !== undefined) return found
    throw new SignalboxError(
      'not_found',
      `there is no job '${name.slice(0, 64)}'; start a worker that runs it, 'signalbox job list' shows the known ones`,
    )
  }

  #audit(
    action: string,
    target: string,
    {
      by,
      reason,
      details,
    }: { readonly by: string; readonly reason?: string; readonly details?: AuditEntry['details'] },
  ): Change {
    const { store, random } = this.#options
    const entry = {
      at: store.now().ms,
      actor: by,
      action,
      target,
      ...(reason === undefined ? {} : { reason }),
      ...(details === undefined ? {} : { details }),
    }
    return auditChange(entry, random)
  }

  get #creating(): CreatingContext {
    const { store, random, beside } = this.#options
    const retentionMs = this.#retention.ageMs
    return { store, random, mailboxes: this.#mailboxes, keys: this.#keys, beside, retentionMs }
  }
}

function eventOf(before: Stored | undefined, { run }: Stored): RunEvent | undefined {
  const from = before?.run.state
  if (from === run.state && before?.run.epoch === run.epoch) return undefined
  const { id, job, queue, schedule, state: to, attempt, startedAt, endedAt } = run
  const durationMs = startedAt === undefined || endedAt === undefined ? undefined : endedAt - startedAt
  const took = durationMs === undefined ? {} : { durationMs: Math.max(0, durationMs) }
  const whose = schedule === undefined ? {} : { schedule }
  return { kind: 'state', id, job, queue, from, to, attempt, ...whose, ...took }
}

function unknownRun(id: string): SignalboxError {
  return new SignalboxError(
    'not_found',
    `there is no run '${id.slice(0, 165)}', or it is past its retention; 'signalbox runs list' shows those that are kept`,
  )
}

function misfit(kind: string): SignalboxError {
  return new SignalboxError('internal', `a run answered '${kind}' where that makes no sense`)
}
