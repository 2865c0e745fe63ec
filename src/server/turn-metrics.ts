/**
 * What happens in turn queues, as metrics and log lines. Queues are not labels: their names are the callers' and without
 * bound.
 */
import { Counter, Histogram, type Registry } from 'prom-client'
import type { TurnsServiceOptions } from '../turns/service.ts'
import type { Logger } from './logger.ts'

type TurnObserver = NonNullable<TurnsServiceOptions['onEvent']>

const WAIT_BUCKETS_S = [0.01, 0.1, 1, 5, 15, 60, 300, 900, 3_600, 14_400]

/** For the service's `onEvent`. Evictions and lost turns are worth a line at `info`, the rest at `debug`. */
export function turnObserver(registry: Registry, logger: Logger): TurnObserver {
  const events = new Counter({
    name: 'signalbox_turns_events_total',
    help: 'What happened in turn queues: joined, granted, released, withdrawn, evicted, lost.',
    labelNames: ['event'],
    registers: [registry],
  })
  const retries = new Counter({
    name: 'signalbox_turns_retries_total',
    help: 'Commits of turn queues that were repeated, by reason.',
    labelNames: ['why'],
    registers: [registry],
  })
  const waits = new Histogram({
    name: 'signalbox_turns_wait_seconds',
    help: 'Time from joining to the grant.',
    buckets: WAIT_BUCKETS_S,
    registers: [registry],
  })
  return (event) => {
    if (event.kind === 'retried') {
      retries.inc({ why: event.why })
      return
    }
    events.inc({ event: event.kind })
    if (event.kind === 'granted') waits.observe(event.waitedMs / 1_000)
    const level = event.kind === 'evicted' || event.kind === 'lost' ? 'info' : 'debug'
    if (logger.isLevelEnabled(level)) logger[level]({ queue: event.queue }, `turn ${event.kind}`)
  }
}
