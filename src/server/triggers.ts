/**
 * An external trigger on a server: the driver that the configuration names, what keeps it in step with the schedules, where it
 * calls, metrics and log lines. Without one nothing of this exists.
 */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { Store } from '../ports/store.ts'
import type { Trigger } from '../ports/trigger.ts'
import type { SchedulesService, SchedulesServiceOptions } from '../schedules/contract.ts'
import { triggerControlFace } from '../schedules/http-trigger-control.ts'
import { triggerFace, TRIGGER_PATH, type ReceivedEvent } from '../schedules/http-trigger.ts'
import { triggerKeyNotes } from '../schedules/trigger-records.ts'
import { createTriggerSync, type TriggerSyncEvent } from '../schedules/trigger-sync.ts'
import type { RouteFace } from './app.ts'
import type { Config } from './config/schema.ts'
import type { Logger } from './logger.ts'

type EventBridgeKeys = Config['schedules']['eventBridge']

export interface ServerTriggerOptions {
  readonly config: Pick<Config, 'schedules' | 'server'>
  readonly kind: Trigger['kind']
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly registry: Registry
  readonly logger: Logger
  /** In place of HTTP to AWS, and of its credentials, for tests. */
  readonly aws?: object
}

export interface ServerTrigger {
  /** For the schedules service, which is made with them. */
  readonly additions: Pick<SchedulesServiceOptions, 'objection' | 'triggerStateOf' | 'onChange'>
  /** Where it calls, and what operators may do with it. */
  faces(schedules: Pick<SchedulesService, 'fire'>): RouteFace[]
  /** Begins to keep it in step; the server does not wait for that. */
  start(schedules: Pick<SchedulesService, 'rules' | 'rule'>): void
  close(): Promise<void>
}

/** A wrong key is told at once, then at most so often. */
const REFUSALS_EVERY_MS = 60_000

/** @throws SignalboxError `config_invalid`: keys that are missing, an address that EventBridge cannot call */
export async function openServerTrigger(options: ServerTriggerOptions): Promise<ServerTrigger> {
  const { store, clock, random, registry, logger } = options
  const settings = settingsOf(options.config, options.kind)
  const trigger = await openDriver(options, settings)
  let schedules: Pick<SchedulesService, 'rules' | 'rule'> | undefined
  const sync = createTriggerSync({
    trigger,
    store,
    clock,
    random,
    rules: async () => (await schedules?.rules()) ?? [],
    rule: async (name) => schedules?.rule(name),
    onEvent: syncObserver(registry, logger, clock),
  })
  const received = receiveObserver(registry, logger, clock)
  const { authHeader: header, keys } = settings
  logger.info({ ...trigger.facts }, `schedules are fired by ${nameOf(trigger.kind)}`)
  return {
    additions: {
      objection: (rule) => trigger.objection(rule),
      triggerStateOf: (name) => sync.stateOf(name),
      onChange: (name) => sync.changed(name),
    },
    faces: (service) => [
      triggerFace({ schedules: service, clock, header, keys, onEvent: received }),
      triggerControlFace({ control: sync }),
    ],
    start(service) {
      schedules = service
      sync.start()
    },
    close: () => sync.close(),
  }
}

interface Settings {
  readonly apiKey: string
  readonly keys: readonly string[]
  readonly authHeader: string
  readonly roleArn: string
  readonly connectionName: string
  readonly destinationName: string
  readonly namespace: string
  readonly targetUrl: string
}

/** What must be there is; all that is missing is told at once. */
function settingsOf({ schedules, server }: ServerTriggerOptions['config'], kind: Trigger['kind']): Settings {
  const { eventBridge: keys } = schedules
  const url = keys.targetUrl ?? server.publicUrl
  const needed = {
    apiKey: keys.apiKey,
    targetRoleArn: keys.targetRoleArn,
    apiConnectionName: keys.apiConnectionName,
    apiDestinationName: keys.apiDestinationName,
    targetUrl: url,
  }
  const missing = Object.entries(needed).flatMap(([name, value]) => (value === undefined ? [name] : []))
  if (missing.length > 0) {
    const paths = missing.map((name) => `schedules.eventBridge.${name}`).join(', ')
    throw invalid(
      `schedules.trigger: '${kind}' needs ${paths}; set them ('signalbox schedule eventbridge init' prints what to set), or write embedded`,
    )
  }
  const text = (name: keyof typeof needed): string => needed[name] ?? ''
  return {
    apiKey: text('apiKey'),
    keys: [keys.apiKey, keys.previousApiKey].filter((key) => key !== undefined),
    authHeader: keys.authHeader,
    roleArn: text('targetRoleArn'),
    connectionName: text('apiConnectionName'),
    destinationName: text('apiDestinationName'),
    namespace: keys.namespace ?? text('apiConnectionName'),
    targetUrl: fullUrl(text('targetUrl'), keys),
  }
}

/** AWS calls by https only; an engine on this machine may do otherwise. */
function fullUrl(given: string, { endpoint }: EventBridgeKeys): string {
  const url = new URL(given)
  if (url.protocol !== 'https:' && endpoint === undefined) {
    throw invalid(
      `schedules.eventBridge.targetUrl: EventBridge calls https addresses only, got '${given}'; write the address of a proxy or tunnel in front of this server`,
    )
  }
  if (!url.pathname.endsWith(TRIGGER_PATH)) url.pathname = url.pathname.replace(/\/$/, '') + TRIGGER_PATH
  return url.href
}

async function openDriver(options: ServerTriggerOptions, settings: Settings): Promise<Trigger> {
  const { config, kind, store, clock, random, registry, aws } = options
  const { region, endpoint, namePrefix, schedulerRoleArn, schedulerEndpoint } = config.schedules.eventBridge
  const { apiKey, authHeader, roleArn, connectionName, destinationName, namespace, targetUrl } = settings
  const keyNotes = triggerKeyNotes(store)
  const requests = new Counter({
    name: 'signalbox_schedules_trigger_requests_total',
    help: 'Requests to the AWS service that fires schedules.',
    labelNames: ['operation'],
    registers: [registry],
  })
  const common = {
    region,
    endpoint,
    clock,
    random,
    onRequest: (operation: string) => requests.inc({ operation }),
    roleArn,
    shared: { namespace, connectionName, destinationName, targetUrl, authHeader, apiKey, keyNotes },
    ...aws,
  }
  if (kind === 'eventbridge') {
    const { openEventBridgeTrigger } = await import('../drivers/eventbridge/index.ts')
    return openEventBridgeTrigger({ ...common, ...(namePrefix === undefined ? {} : { namePrefix }) })
  }
  const { openEventBridgeScheduler } = await import('../drivers/eventbridge/scheduler/index.ts')
  return openEventBridgeScheduler({ ...common, schedulerEndpoint, schedulerRoleArn })
}

function syncObserver(registry: Registry, logger: Logger, clock: Clock): (event: TriggerSyncEvent) => void {
  const drift = new Counter({
    name: 'signalbox_schedules_trigger_drift_total',
    help: 'Objects at the external trigger that were not as they should be.',
    labelNames: ['problem', 'repaired'],
    registers: [registry],
  })
  const failures = new Counter({
    name: 'signalbox_schedules_trigger_failures_total',
    help: 'Attempts to compare the external trigger, or to put one schedule there, that failed; they are repeated.',
    registers: [registry],
  })
  const checked = new Gauge({
    name: 'signalbox_schedules_trigger_checked_timestamp_seconds',
    help: 'When this server compared the external trigger last.',
    registers: [registry],
  })
  return (event) => {
    switch (event.kind) {
      case 'reconciled':
        checked.set(clock.now() / 1_000)
        for (const { problem, repaired, object, name, detail, error } of event.drift) {
          drift.inc({ problem, repaired: String(repaired) })
          const facts = { object, name, problem, ...(error === undefined ? {} : { why: error }) }
          if (repaired) logger.info(facts, `external trigger: repaired (${detail})`)
          else logger.warn(facts, `external trigger: not as it should be (${detail})`)
        }
        logger.debug({ drift: event.drift.length, tookMs: event.tookMs }, 'external trigger compared')
        return
      case 'failed': {
        failures.inc()
        const { schedule, error } = event
        const what = schedule === undefined ? 'it could not be compared' : 'a schedule could not be put'
        logger.warn(
          { ...(schedule === undefined ? {} : { schedule }), err: error },
          `external trigger: ${what}; it is tried again`,
        )
        return
      }
      case 'put':
      case 'removed':
        logger.debug({ schedule: event.schedule }, `external trigger: ${event.kind}`)
    }
  }
}

function receiveObserver(registry: Registry, logger: Logger, clock: Clock): (event: ReceivedEvent) => void {
  const events = new Counter({
    name: 'signalbox_schedules_trigger_events_total',
    help: 'Calls of the external trigger: created a run, known (seen to before, or no run is due), refused (wrong key), invalid, unknown (no such schedule), unavailable (it is to call again).',
    labelNames: ['result'],
    registers: [registry],
  })
  let quietUntil = -Infinity
  let untold = 0
  return (event) => {
    events.inc({ result: event.kind })
    if (!('error' in event)) {
      const { schedule, run, why } = event
      const facts = { schedule, ...(run === undefined ? {} : { run }), ...(why === undefined ? {} : { why }) }
      logger.debug(facts, `external trigger called: ${event.kind}`)
      return
    }
    if (event.kind === 'unavailable') return // the answer 503 has its own line
    if (event.kind !== 'refused') {
      logger.warn(`external trigger called: ${event.error.message}`)
      return
    }
    untold += 1
    if (clock.monotonic() < quietUntil) return
    logger.warn({ calls: untold }, 'external trigger called with a wrong key')
    untold = 0
    quietUntil = clock.monotonic() + REFUSALS_EVERY_MS
  }
}

function nameOf(kind: Trigger['kind']): string {
  return kind === 'eventbridge' ? 'Amazon EventBridge' : 'Amazon EventBridge Scheduler'
}

function invalid(message: string): SignalboxError {
  return new SignalboxError('config_invalid', message, { details: { field: 'schedules.trigger' } })
}
