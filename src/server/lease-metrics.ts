/**
 * What happens to leases, as metrics and log lines: under the reference's names, so that its dashboards go on working, and
 * under ours beside them. Providers are labels; as `leases.anyRepository` lets callers make them, those beyond the first
 * `MAX_PROVIDERS` are counted together as `other`.
 */
import { Counter, Gauge, Histogram, type HistogramConfiguration, type Registry } from 'prom-client'
import { providerId, providerLabel, type ProviderName } from '../leases/api.ts'
import type { RequestObserver } from '../leases/http.ts'
import type { LeasesService, LeasesServiceOptions } from '../leases/service.ts'
import type { Logger } from './logger.ts'

/** Providers with series of their own. */
export const MAX_PROVIDERS = 1_000
const OTHER = 'other'

const PREFIX = 'aks_mq_lease_service_'
/** The reference's: a few pull requests are usual. */
const BATCH_BUCKETS = [1, 2, 3, 4, 5, 6, 7, 10, 15, 20]
const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30]
const WAIT_BUCKETS_S = [1, 5, 15, 60, 300, 900, 3_600, 14_400]

export interface LeaseMetrics {
  readonly onEvent: NonNullable<LeasesServiceOptions['onEvent']>
  readonly observer: RequestObserver
  /** The gauge of known requests is read from the service when somebody asks for the metrics. */
  watch(leases: Pick<LeasesService, 'waiting'>): void
}

export function leaseMetrics(registry: Registry, logger: Logger): LeaseMetrics {
  const registers = [registry]
  const labelOf = boundedLabels()
  const batchSize = leLast(registry, {
    name: `${PREFIX}provider_merged_batch_size`,
    help: 'Requests that one success has merged: the holder and those below it.',
    labelNames: ['provider_id'],
    buckets: BATCH_BUCKETS,
  })
  const events = new Counter({
    name: 'signalbox_leases_events_total',
    help: 'What happened to leases: joined, granted, succeeded, failed, completed, withdrawn, evicted, expired, cleared.',
    labelNames: ['event', 'provider'],
    registers,
  })
  const retries = new Counter({
    name: 'signalbox_leases_retries_total',
    help: 'Commits of lease providers that were repeated, by reason.',
    labelNames: ['why'],
    registers,
  })
  const waits = new Histogram({
    name: 'signalbox_leases_wait_seconds',
    help: 'Time from the first acquire to the grant.',
    buckets: WAIT_BUCKETS_S,
    registers,
  })
  return {
    observer: requestObserver(registry),
    onEvent(event) {
      if (event.kind === 'retried') {
        retries.inc({ why: event.why })
        return
      }
      const provider = labelOf(event.provider)
      events.inc({ event: event.kind, provider })
      if (event.kind === 'granted') waits.observe(event.waitedMs / 1_000)
      if (event.kind === 'succeeded') batchSize.observe({ provider_id: provider }, event.batchSize)
      const level = event.kind === 'expired' || event.kind === 'cleared' ? 'info' : 'debug'
      if (logger.isLevelEnabled(level)) {
        const { kind, provider: name, ...facts } = event
        logger[level]({ provider: providerLabel(name), ...facts }, `lease ${kind}`)
      }
    },
    watch: (leases) => knownRequests(registry, leases, labelOf),
  }
}

type LabelOf = (provider: ProviderName) => string

/** Who comes first keeps its label. */
function boundedLabels(): LabelOf {
  const labels = new Set<string>()
  return (provider) => {
    const id = providerId(provider)
    if (labels.has(id)) return id
    if (labels.size >= MAX_PROVIDERS) return OTHER
    labels.add(id)
    return id
  }
}

function knownRequests(registry: Registry, leases: Pick<LeasesService, 'waiting'>, labelOf: LabelOf): void {
  const gauge = (name: string, label: string): void => {
    const known: Gauge = new Gauge({
      name,
      help: 'Known lease requests, without those that are completed.',
      labelNames: [label],
      registers: [registry],
      collect() {
        known.reset()
        for (const { provider, requests } of leases.waiting())
          known.inc({ [label]: labelOf(provider) }, requests)
      },
    })
  }
  gauge(`${PREFIX}provider_lease_requests_total`, 'provider_id')
  gauge('signalbox_leases_known_requests', 'provider')
}

/** The reference's series of its own HTTP routes. Labels in alphabetical order, as its library prints them. */
function requestObserver(registry: Registry): RequestObserver {
  const registers = [registry]
  const labelNames = ['method', 'route_name', 'status_code']
  const total = new Counter({
    name: `${PREFIX}http_requests_total`,
    help: 'Requests to the lease routes, by status, method and route.',
    labelNames,
    registers,
  })
  const durations = leLast(registry, {
    name: `${PREFIX}http_request_duration_seconds`,
    help: 'Duration of requests to the lease routes.',
    labelNames,
    buckets: SECONDS,
  })
  const inProgress = new Gauge({
    name: `${PREFIX}requests_in_progress_total`,
    help: 'Requests to the lease routes that are being answered.',
    labelNames: ['method'],
    registers,
  })
  return {
    started: (method) => inProgress.inc({ method }),
    ended(method, route, status, seconds) {
      inProgress.dec({ method })
      const labels = { method, route_name: route, status_code: String(status) }
      total.inc(labels)
      durations.observe(labels, seconds)
    },
  }
}

/**
 * A histogram that prints `le` after its other labels, as the reference's library does; scripts match those lines. The
 * registry prints what `get` of a metric gives.
 */
function leLast(registry: Registry, configuration: HistogramConfiguration<string>): Histogram {
  const histogram = new Histogram({ ...configuration, registers: [] })
  const { name, help } = configuration
  const get = async (): Promise<object> => {
    const metric = await histogram.get()
    const values = metric.values.map((value) => {
      const { le, ...labels } = value.labels
      return { ...value, labels: le === undefined ? labels : { ...labels, le } }
    })
    return { ...metric, values }
  }
  registry.registerMetric({ name, help, get, reset: () => histogram.reset() } as unknown as Histogram)
  return histogram
}
