/** A world for tests of the leases service: a memory store with faults, a clock moved by hand, any number of services on it. */
import { memoryDatabase, type FaultPlan, type MemoryStore } from '../../drivers/memory/index.ts'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import type { StoreLimits } from '../../ports/store.ts'
import type { LeaseAnswer, ProviderConfig, ProviderName, Refusal } from '../api.ts'
import type { ProviderEvent } from '../provider-actor.ts'
import { createLeasesService, type LeasesService } from '../service.ts'

export const provider: ProviderName = { owner: 'acme', repo: 'shop', baseRef: 'main' }

export const config: ProviderConfig = {
  stabilizeMs: 60_000,
  ttlMs: 40_000,
  expectedCount: 3,
  delayCount: 0,
  maxLeaseMs: 3_600_000,
  coolDownMs: 0,
}

export interface Seat {
  readonly leases: LeasesService
  readonly store: MemoryStore
  readonly events: ProviderEvent[]
  /** The status of an acquire's answer, with the fence of a grant; or why it was refused. */
  readonly acquire: (sha: string, priority: number, more?: { readonly leaseMs?: number }) => Promise<string>
  readonly release: (sha: string, priority?: number, success?: boolean) => Promise<string>
}

export interface World {
  readonly clock: ManualClock
  readonly open: (options?: { readonly shared?: boolean; readonly faults?: FaultPlan }) => Seat
}

export function world(changes: Partial<ProviderConfig> = {}, limits: Partial<StoreLimits> = {}): World {
  const clock = new ManualClock()
  const random = seededRandom(1)
  const database = memoryDatabase({ limits })
  return {
    clock,
    open({ shared = false, faults = {} } = {}) {
      const store = database.connect({ clock, random, faults })
      const events: ProviderEvent[] = []
      const providers = [{ name: provider, config: { ...config, ...changes } }]
      const onEvent = (event: ProviderEvent): void => void events.push(event)
      const leases = createLeasesService({ store, clock, random, providers, shared, onEvent })
      return {
        leases,
        store,
        events,
        acquire: async (sha, priority, more = {}) =>
          told(await leases.acquire(provider, { sha, priority, ...more })),
        release: async (sha, priority = 1, success = true) =>
          told(await leases.release(provider, { sha, priority, success })),
      }
    },
  }
}

function told(answer: LeaseAnswer | Refusal): string {
  if (answer.kind === 'refused') return answer.why
  return answer.status === 'acquired' ? `acquired ${answer.fence}` : answer.status
}
