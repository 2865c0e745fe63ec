/** Lease providers as the configuration lists them, each value that is not set taken from `leases.*`. */
import type { ProviderConfig } from '../leases/api.ts'
import type { ProviderSettings } from '../leases/service.ts'
import type { Config } from './config/schema.ts'

type LeaseKeys = Pick<Config, 'leases' | 'repositories'>

export function leaseProviders({ leases, repositories = [] }: LeaseKeys): ProviderSettings[] {
  const defaults = defaultProvider(leases)
  return repositories.map((entry) => ({
    name: { owner: entry.owner, repo: entry.name, baseRef: entry.base_ref },
    config: {
      stabilizeMs: inMs(entry.stabilize_duration_seconds) ?? defaults.stabilizeMs,
      ttlMs: inMs(entry.ttl_seconds) ?? defaults.ttlMs,
      expectedCount: entry.expected_request_count ?? defaults.expectedCount,
      delayCount: entry.delay_lease_assignment_by ?? defaults.delayCount,
      maxLeaseMs: inMs(entry.max_lease_seconds) ?? defaults.maxLeaseMs,
      coolDownMs: inMs(entry.cool_down_seconds) ?? defaults.coolDownMs,
    },
  }))
}

export function defaultProvider(leases: Config['leases']): ProviderConfig {
  return {
    stabilizeMs: leases.stabilisationWindow.ms,
    ttlMs: leases.ttl.ms,
    expectedCount: leases.expectedBuildCount,
    delayCount: 0,
    maxLeaseMs: leases.maxLease.ms,
    coolDownMs: leases.coolDown.ms,
  }
}

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000
}
