/** The voting service's numbers for Prometheus, beside those of every worker (also under dramatiq's names). */
import { Counter, type Registry } from 'prom-client'
import type { WorkerEvent } from '../../jobs/api.ts'
import type { Counted } from '../../voting/counting.ts'
import { recordVote } from '../../voting/worker.ts'
import { workerMetrics } from '../worker/metrics.ts'

export interface VotingMetrics {
  readonly accepted: () => void
  readonly counted: (status: Counted['status']) => void
  readonly onEvent: (event: WorkerEvent) => void
}

export function votingMetrics(registry: Registry): VotingMetrics {
  const accepted = new Counter({
    name: 'signalbox_votes_accepted_total',
    help: 'Votes taken from clients and queued.',
    registers: [registry],
  })
  const counted = new Counter({
    name: 'signalbox_votes_counted_total',
    help: 'Deliveries of votes: counted; repeated (counted before, nothing changed); conflict (its id stands for another vote).',
    labelNames: ['status'],
    registers: [registry],
  })
  const onEvent = workerMetrics(registry, new Set([recordVote.name]))
  return { accepted: () => accepted.inc(), counted: (status) => counted.inc({ status }), onEvent }
}
