/**
 * Schedules on a server: who fires them, the service on its store, the HTTP face, metrics and log lines.
 *
 * What fires here starts jobs, so it goes where jobs go: the embedded store with its message queues, or DynamoDB with Amazon SQS.
 * Elsewhere definitions can be looked at and saved, and nobody fires them.
 */
import { Counter, Histogram, type Registry } from 'prom-client'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { Store } from '../ports/store.ts'
import type { RunEvent, RunsService } from '../runs/service.ts'
import { hasEnded } from '../runs/state.ts'
import type { TriggerKind } from '../schedules/api.ts'
import type { ScheduleEvent, SchedulesServiceOptions } from '../schedules/contract.ts'
import { schedulesFace } from '../schedules/http.ts'
import { createSchedulesService, type SchedulesService } from '../schedules/service.ts'
import type { RouteFace } from './app.ts'
import type { Config } from './config/schema.ts'
import type { Logger } from './logger.ts'
import { messageEngineOf } from './messages.ts'

type ScheduleKeys = Pick<Config, 'schedules' | 'store' | 'messages'>

/** What an external trigger and notifications add; see `SchedulesServiceOptions`. */
type Additions = Pick<
  SchedulesServiceOptions,
  'beside' | 'channels' | 'objection' | 'triggerStateOf' | 'onChange'
>

export interface ServerSchedulesOptions extends Additions {
  readonly config: ScheduleKeys
  readonly store: Store
  /** Other servers may work on the store too. */
  readonly shared: boolean
  readonly runs: RunsService
  readonly clock: Clock
  readonly random: Random
  readonly registry: Registry
  readonly logger: Logger
}

export interface ServerSchedules {
  readonly schedules: SchedulesService
  readonly face: RouteFace
  /** For the `onEvent` of runs. */
  readonly onRun: (event: RunEvent) => void
  /** Begins to fire. After the runs. */
  readonly start: () => Promise<void>
  /** What is under way is finished. Before the runs. */
  readonly close: () => Promise<void>
}

const POLL_MS = { own: 1_000, shared: 5_000 }
const LATE_BUCKETS_S = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3_600]
/** Schedules that have metrics of their own; names are the callers'. */
const MAX_SCHEDULES = 200

/** @throws SignalboxError `config_invalid` for a trigger that the engines cannot go with */
export function triggerOf(config: ScheduleKeys): TriggerKind {
  const { trigger } = config.schedules
  if (trigger === 'off') return 'off'
  const store = config.store.engine
  const messages = messageEngineOf(config)
  const fits = (store === 'sqlite' && messages === 'sqlite') || (store === 'dynamodb' && messages === 'sqs')
  if (trigger === 'auto') return fits ? 'embedded' : 'off'
  if (fits) return trigger
  throw new SignalboxError(
    'config_invalid',
    `schedules.trigger: '${trigger}' needs store.engine sqlite with messages.engine sqlite, or dynamodb with sqs; got ${store} with ${messages}; change them, or write off`,
    { details: { field: 'schedules.trigger' } },
  )
}

/** @example const { schedules, face } = openServerSchedules({ config, store, shared, runs, clock, random, registry, logger }) */
export function openServerSchedules(options: ServerSchedulesOptions): ServerSchedules {
  const { config, store, shared, runs, clock, random, registry, logger } = options
  const { beside, channels, objection, triggerStateOf, onChange } = options
  const trigger = triggerOf(config)
  if (trigger === 'off') {
    const why =
      config.schedules.trigger === 'off' ? 'schedules.trigger is off' : 'jobs do not run on its engines'
    logger.info(`schedules: nobody fires them on this server (${why})`)
  }
  const schedules = createSchedulesService({
    store,
    clock,
    random,
    runs,
    trigger,
    pollMs: config.schedules.poll?.ms ?? (shared ? POLL_MS.shared : POLL_MS.own),
    onEvent: scheduleObserver(registry, logger),
    ...(beside === undefined ? {} : { beside }),
    ...(channels === undefined ? {} : { channels }),
    ...(objection === undefined ? {} : { objection }),
    ...(triggerStateOf === undefined ? {} : { triggerStateOf }),
    ...(onChange === undefined ? {} : { onChange }),
  })
  return {
    schedules,
    face: schedulesFace({ schedules, clock }),
    onRun(event) {
      if (event.kind !== 'state' || event.schedule === undefined) return
      if (hasEnded(event.to)) schedules.runEnded(event.schedule)
    },
    start: () => schedules.start(),
    close: () => schedules.close(),
  }
}

function scheduleObserver(registry: Registry, logger: Logger): (event: ScheduleEvent) => void {
  const counter = (name: string, help: string, ...labels: string[]): Counter =>
    new Counter({ name, help, labelNames: ['schedule', ...labels], registers: [registry] })
  const fired = counter('signalbox_schedules_fired_total', 'Runs that this server created for due times.')
  const skipped = counter(
    'signalbox_schedules_skipped_total',
    'Times that were recorded as skipped: overlap (a run had not ended), problem (the job or its parameters).',
    'why',
  )
  const missed = counter(
    'signalbox_schedules_missed_total',
    'Times that passed while nobody could fire them, and that were not made up for.',
  )
  const backfilled = counter(
    'signalbox_schedules_backfilled_total',
    'Runs that somebody asked for afterwards.',
  )
  const failures = new Counter({
    name: 'signalbox_schedules_failures_total',
    help: 'Attempts to fire that failed; they are repeated.',
    registers: [registry],
  })
  const late = new Histogram({
    name: 'signalbox_schedules_late_seconds',
    help: 'How long after its time a run was created; without those that make up for missed times.',
    buckets: LATE_BUCKETS_S,
    registers: [registry],
  })
  const named = new Set<string>()
  const labelOf = (schedule: string): string => {
    if (named.size < MAX_SCHEDULES) named.add(schedule)
    return named.has(schedule) ? schedule : 'other'
  }
  return (event) => {
    if (event.kind === 'failed') {
      failures.inc()
      logger.warn(
        { ...(event.schedule === undefined ? {} : { schedule: event.schedule }), err: event.error },
        'schedules: firing failed; it is tried again',
      )
      return
    }
    const { run } = event
    const schedule = labelOf(event.schedule)
    const facts = { schedule: event.schedule, run }
    switch (event.kind) {
      case 'fired':
        fired.inc({ schedule })
        if (!event.missed) late.observe(event.lateMs / 1_000)
        if (logger.isLevelEnabled('debug'))
          logger.debug(facts, event.held ? 'schedule fired; held' : 'schedule fired')
        return
      case 'backfilled':
        backfilled.inc({ schedule })
        return
      case 'skipped':
        skipped.inc({ schedule, why: event.why })
        logger[event.why === 'problem' ? 'warn' : 'info'](facts, `schedule skipped: ${event.reason}`)
        return
      case 'missed':
        missed.inc({ schedule }, event.count)
        logger.warn({ ...facts, count: event.count }, `schedule: ${event.reason}`)
    }
  }
}
