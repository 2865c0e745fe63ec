/**
 * What message queues do, for Prometheus. Queues are not labels: their names are the callers' and without bound. Engine requests per
 * message is `signalbox_messages_engine_requests_total` over `signalbox_messages_total{event="deleted"}`; on SQS, whose driver gathers many
 * calls into a request, what is paid for is `signalbox_messages_sqs_requests_total`.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { MessageObserver } from '../observed.ts'

const AGE_BUCKETS_S = [0.01, 0.1, 1, 5, 30, 60, 300, 1_800, 3_600, 21_600, 86_400]

/** @param inFlight how many messages are with clients at this moment */
export function messageMetrics(registry: Registry, inFlight: () => number): MessageObserver {
  const registers = [registry]
  const requests = new Counter({
    name: 'signalbox_messages_engine_requests_total',
    help: 'Calls of the message engine, by kind and outcome.',
    labelNames: ['call', 'outcome'],
    registers,
  })
  const messages = new Counter({
    name: 'signalbox_messages_total',
    help: 'Messages, by what became of them: sent, received, redelivered (received before), deleted, returned, lost.',
    labelNames: ['event'],
    registers,
  })
  const ages = new Histogram({
    name: 'signalbox_messages_age_seconds',
    help: 'Age of the oldest message of each receive, since its send.',
    buckets: AGE_BUCKETS_S,
    registers,
  })
  const gauge = new Gauge({
    name: 'signalbox_messages_in_flight',
    help: 'Messages with clients of this process.',
    registers: [],
    collect() {
      this.set(inFlight())
    },
  })
  registry.registerMetric(gauge)
  for (const event of ['sent', 'received', 'redelivered', 'deleted', 'returned', 'lost']) {
    messages.inc({ event }, 0)
  }
  return (event) => {
    if (event.kind === 'request') {
      requests.inc({ call: event.call, outcome: event.error ?? 'ok' })
      return
    }
    messages.inc({ event: event.kind }, event.count)
    if (event.kind !== 'received') return
    if (event.again > 0) messages.inc({ event: 'redelivered' }, event.again)
    ages.observe(event.ageMs / 1_000)
  }
}

/** @returns to be told of each request to SQS as it goes out */
export function sqsRequestMetric(registry: Registry): (request: { readonly operation: string }) => void {
  const requests = new Counter({
    name: 'signalbox_messages_sqs_requests_total',
    help: 'Requests to SQS as they go out, repeated ones included, by operation: what is billed.',
    labelNames: ['operation'],
    registers: [registry],
  })
  return ({ operation }) => requests.inc({ operation })
}
