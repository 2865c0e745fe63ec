import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { leaseMetrics, MAX_PROVIDERS } from './lease-metrics.ts'
import { createLogger } from './logger.ts'

const name = (index: number) => ({ owner: 'octo', repo: `r${index}`, baseRef: 'main' })

it('providers have series of their own up to a number, and are counted together beyond', async () => {
  const registry = new Registry()
  const logger = createLogger({ level: 'silent', format: 'json' }, false, { write: () => true })
  const metrics = leaseMetrics(registry, logger)
  const all = Array.from({ length: MAX_PROVIDERS + 3 }, (_, index) => name(index))
  for (const provider of all) metrics.onEvent({ kind: 'succeeded', provider, sha: 'a', batchSize: 2 })
  metrics.onEvent({ kind: 'succeeded', provider: name(0), sha: 'b', batchSize: 2 })
  metrics.watch({ waiting: () => all.map((provider) => ({ provider, requests: 2 })) })
  const lines = (await registry.metrics()).split('\n')
  const events = lines.filter((line) => line.startsWith('signalbox_leases_events_total{'))
  expect(events).toHaveLength(MAX_PROVIDERS + 1)
  expect(events).toContain('signalbox_leases_events_total{event="succeeded",provider="octo:r0:main"} 2')
  expect(events).toContain('signalbox_leases_events_total{event="succeeded",provider="other"} 3')
  expect(lines).toContain('signalbox_leases_known_requests{provider="other"} 6')
  expect(lines).toContain('aks_mq_lease_service_provider_lease_requests_total{provider_id="octo:r0:main"} 2')
  expect(lines).toContain('aks_mq_lease_service_provider_merged_batch_size_count{provider_id="other"} 3')
})
