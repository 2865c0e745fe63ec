/**
 * Runs on a server: the service on its store, wake-ups through its message engine, the HTTP face, metrics and log lines. Without
 * message queues runs can be looked at and cancelled; their wake-ups wait in the outbox for a server that has them.
 */
import { Counter, Histogram, type Registry } from 'prom-client'
import type { Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import type { MessageQueue } from '../ports/message-queue.ts'
import type { Store } from '../ports/store.ts'
import { runsFace } from '../runs/http.ts'
import {
  createRunsService,
  type RunEvent,
  type RunsService,
  type RunsServiceOptions,
} from '../runs/service.ts'
import { hasEnded } from '../runs/state.ts'
import { sendThrough } from '../runs/wake-up.ts'
import type { RouteFace } from './app.ts'
import type { Config } from './config/schema.ts'
import type { Logger } from './logger.ts'

export interface ServerRunsOptions {
  readonly store: Store
  readonly config: Pick<Config['jobs'], 'keepRunsFor' | 'keepRuns'>
  /** Other servers may work on the store too. */
  readonly shared: boolean
  readonly engine: MessageQueue | undefined
  readonly clock: Clock
  readonly random: Random
  readonly registry: Registry
  readonly logger: Logger
  readonly beside?: RunsServiceOptions['beside']
  /** Told what happened, beside metrics and log. Must not throw. */
  readonly onEvent?: (event: RunEvent) => void
}

export interface ServerRuns {
  readonly runs: RunsService
  readonly face: RouteFace
}

/** What is due costs reads on a cloud store, whether anything is or not. */
const SWEEP_MS = { own: 2_000, shared: 5_000 }
const DURATION_BUCKETS_S = [0.01, 0.1, 1, 5, 15, 60, 300, 900, 3_600, 14_400]
/** Jobs that have metrics of their own; names are the callers'. */
const MAX_JOBS = 200

/** @example const { runs, face } = openServerRuns({ config: config.jobs, store, shared, engine, clock, random, registry, logger }) */
export function openServerRuns(options: ServerRunsOptions): ServerRuns {
  const { config, store, shared, engine, clock, random, registry, logger, onEvent, beside } = options
  const observe = runObserver(registry, logger)
  const runs = createRunsService({
    store,
    clock,
    random,
    ...(engine === undefined ? {} : { send: sendThrough(engine) }),
    retention: { ageMs: config.keepRunsFor.ms, perJob: config.keepRuns },
    sweepMs: shared ? SWEEP_MS.shared : SWEEP_MS.own,
    ...(beside === undefined ? {} : { beside }),
    onEvent(event) {
      observe(event)
      onEvent?.(event)
    },
  })
  return { runs, face: runsFace({ runs, clock }) }
}

function runObserver(registry: Registry, logger: Logger): (event: RunEvent) => void {
  const states = new Counter({
    name: 'signalbox_jobs_runs_total',
    help: 'Changes of state of kept runs that this server committed, by job and new state.',
    labelNames: ['job', 'state'],
    registers: [registry],
  })
  const durations = new Histogram({
    name: 'signalbox_jobs_run_seconds',
    help: 'Time from the start of the last attempt to the end of a kept run.',
    labelNames: ['job', 'state'],
    buckets: DURATION_BUCKETS_S,
    registers: [registry],
  })
  const jobs = new Set<string>()
  const labelOf = (job: string): string => {
    if (jobs.size < MAX_JOBS) jobs.add(job)
    return jobs.has(job) ? job : 'other'
  }
  return (event) => {
    if (event.kind === 'sweep_failed') {
      logger.warn({ err: event.error }, 'runs: a round failed; it is done again')
      return
    }
    if (event.kind === 'not_sent') {
      const { queue, wakeUps, error } = event
      logger.warn({ queue, wakeUps, err: error }, 'runs: wake-ups were not sent; they are tried again')
      return
    }
    const { id, to, attempt, durationMs } = event
    const job = labelOf(event.job)
    states.inc({ job, state: to })
    if (hasEnded(to) && durationMs !== undefined) durations.observe({ job, state: to }, durationMs / 1_000)
    if (to === 'lost') logger.warn({ run: id, attempt }, 'run lost: its worker was not heard of')
    else if (logger.isLevelEnabled('debug')) logger.debug({ run: id, attempt }, `run ${to}`)
  }
}
