/**
 * The service and its HTTP application without a socket or a queue: votes wait in a list until `work` counts them, as a worker
 * would.
 */
import { memoryStore, type MemoryStore } from '../../drivers/memory/index.ts'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import type { VoteInput } from '../api.ts'
import { VoteCounter, type Counted } from '../counting.ts'
import { votingApp, type App, type VotingAppOptions } from '../http/app.ts'
import type { VoteLedger } from '../ledger.ts'
import { recordLedger } from '../ledger/records.ts'
import { LiveResults } from '../live.ts'
import { VotingService } from '../service.ts'

export const API_KEY = 'test_key'

export interface Harness {
  readonly app: App
  readonly clock: ManualClock
  readonly store: MemoryStore
  readonly ledger: VoteLedger
  readonly live: LiveResults
  /** What waits to be counted. */
  readonly queue: VoteInput[]
  readonly failures: string[]
  /** Counts what waits. */
  work(): Promise<readonly Counted[]>
}

export async function harness(
  options: Partial<VotingAppOptions> & { readonly requireActive?: boolean } = {},
): Promise<Harness> {
  const clock = new ManualClock(Date.UTC(2021, 11, 28, 0, 48, 55, 871))
  const store = memoryStore({ clock })
  const ledger = recordLedger(store)
  const queue: VoteInput[] = []
  const failures: string[] = []
  const { requireActive = false } = options
  const voting = new VotingService({
    ledger,
    clock,
    requireActive,
    send: async (vote) => void queue.push(vote),
  })
  const live = new LiveResults({ clock, ledger, read: (id) => voting.getTopic(id, true) })
  const counter = new VoteCounter({ ledger, clock, random: seededRandom(1) })
  const app = await votingApp({
    voting,
    live,
    clock,
    version: '1.2.3',
    apiKey: API_KEY,
    origins: ['https://game.example'],
    healthy: async () => {},
    metrics: async () => ({ contentType: 'text/plain', text: 'votes 1\n' }),
    onFailure: (error) => failures.push(error.message),
    ...options,
  })
  return { app, clock, store, ledger, live, queue, failures, work: () => counter.count(queue.splice(0)) }
}
