/**
 * What a worker does, for Prometheus: under names of our own, and under those of dramatiq's exporter, with its labels `queue_name` and
 * `actor_name`, so that existing dashboards go on working (https://dramatiq.io/advanced.html#prometheus-metrics). Names of jobs come from code, so they are
 * few; a message that names an unknown job counts as `unknown`.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Outcome, WorkerEvent } from '../../jobs/api.ts'

const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 900, 3_600]
/** Those of dramatiq's exporter. */
const MILLISECONDS = [5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000, 30_000, 60_000, 600_000, 900_000] // prettier-ignore
const FAILURES: ReadonlySet<Outcome> = new Set(['failed', 'timed_out', 'poison', 'unknown_job'])

/** @param known names of this worker's jobs */
export function workerMetrics(registry: Registry, known: ReadonlySet<string>): (event: WorkerEvent) => void {
  const ours = ownMetrics(registry)
  const theirs = dramatiqMetrics(registry)
  /** Some end without having begun: poison, and what is returned unseen. Several of one id may be at work at a time. */
  const begun = new Map<string, number>()
  return (event) => {
    if (event.type === 'trouble') ours.troubles.inc()
    if (event.type !== 'started' && event.type !== 'ended') return
    const job = known.has(event.job) ? event.job : 'unknown'
    const queue = event.queue
    const labels = { queue_name: queue, actor_name: job }
    const one = `${queue} ${event.job} ${event.id}`
    if (event.type === 'started') {
      begun.set(one, (begun.get(one) ?? 0) + 1)
      ours.running.inc({ queue, job })
      theirs.inProgress.inc(labels)
      ours.waited.observe({ queue, job }, event.waitedMs / 1_000)
      return
    }
    ours.runs.inc({ queue, job, outcome: event.outcome })
    if (event.verdict === 'retry') theirs.retries.inc(labels)
    if (event.verdict === 'dead_letter') theirs.rejects.inc(labels)
    if (FAILURES.has(event.outcome)) theirs.errors.inc(labels)
    const left = begun.get(one)
    if (left === undefined) return
    if (left > 1) begun.set(one, left - 1)
    else begun.delete(one)
    ours.running.dec({ queue, job })
    theirs.inProgress.dec(labels)
    theirs.total.inc(labels)
    ours.took.observe({ queue, job }, event.tookMs / 1_000)
    theirs.took.observe(labels, event.tookMs)
  }
}

function ownMetrics(registry: Registry) {
  const labelNames = ['queue', 'job'] as const
  const registers = [registry]
  return {
    runs: new Counter({
      name: 'signalbox_jobs_total',
      help: 'Jobs that came to an end in this worker, by outcome.',
      labelNames: [...labelNames, 'outcome'],
      registers,
    }),
    running: new Gauge({ name: 'signalbox_jobs_running', help: 'Jobs at work.', labelNames, registers }),
    waited: new Histogram({
      name: 'signalbox_jobs_wait_seconds',
      help: 'From the enqueueing of a job to the start of its run.',
      labelNames,
      buckets: SECONDS,
      registers,
    }),
    took: new Histogram({
      name: 'signalbox_jobs_duration_seconds',
      help: 'How long a run took.',
      labelNames,
      buckets: SECONDS,
      registers,
    }),
    troubles: new Counter({
      name: 'signalbox_jobs_troubles_total',
      help: 'Failures that the worker repeats: of receives, of settlements, of run records.',
      registers,
    }),
  }
}

function dramatiqMetrics(registry: Registry) {
  const labelNames = ['queue_name', 'actor_name'] as const
  const registers = [registry]
  const counter = (name: string, help: string) => new Counter({ name, help, labelNames, registers })
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames, registers })
  // Nothing delayed is ever held in memory here, so it stays without a value, as there before the first one.
  gauge('dramatiq_delayed_messages_inprogress', 'The number of delayed messages in memory.')
  return {
    total: counter('dramatiq_messages_total', 'The total number of messages processed.'),
    errors: counter('dramatiq_message_errors_total', 'The total number of errored messages.'),
    retries: counter('dramatiq_message_retries_total', 'The total number of retried messages.'),
    rejects: counter('dramatiq_message_rejects_total', 'The total number of dead-lettered messages.'),
    inProgress: gauge('dramatiq_messages_inprogress', 'The number of messages in progress.'),
    took: new Histogram({
      name: 'dramatiq_message_duration_milliseconds',
      help: 'The time spent processing messages.',
      labelNames,
      buckets: MILLISECONDS,
      registers,
    }),
  }
}
