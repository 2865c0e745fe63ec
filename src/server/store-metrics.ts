/** What the embedded store did, as metrics: commits by transactions is how many commits share one fsync. */
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
