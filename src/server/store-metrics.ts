/**
 * What the store did, as metrics. Of the embedded one, commits by transactions is how many commits share one fsync; of a cloud
 * store, the requests are what it costs.
 */
import { Counter, type Registry } from 'prom-client'

export interface StoreCounts {
  readonly commits: number
  readonly transactions: number
}

/** @param facts read when somebody asks for the metrics, so that commits cost nothing more */
export function storeMetrics(registry: Registry, facts: () => StoreCounts): void {
  const counter = (name: string, help: string, value: (counts: StoreCounts) => number): void => {
    const total: Counter = new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        total.reset()
        total.inc(value(facts()))
      },
    })
  }
  counter('signalbox_store_commits_total', 'Commits of the embedded store since the start.', (c) => c.commits)
  counter(
    'signalbox_store_transactions_total',
    'Durable transactions of the embedded store since the start; each costs one fsync.',
    (c) => c.transactions,
  )
}

/** @returns to be told of each request that goes out to a cloud store, by the name of its operation there */
export function storeRequests(registry: Registry): (operation: string) => void {
  const total = new Counter({
    name: 'signalbox_store_requests_total',
    help: 'Requests to the cloud store, by operation.',
    labelNames: ['operation'],
    registers: [registry],
  })
  return (operation) => total.inc({ operation })
}
