/** Runs in tests: services on one memory database, a manual clock, and queues that are lists. */
import { memoryDatabase, type MemoryDatabase, type MemoryStore } from '../../drivers/memory/index.ts'
import type { FaultPlan } from '../../drivers/memory/faults.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { seededRandom } from '../../kernel/id.ts'
import type { OutgoingMessage } from '../../ports/message-queue.ts'
import type { NewRun } from '../api.ts'
import { createRunsService, type RunEvent, type RunsService, type RunsServiceOptions } from '../service.ts'

export interface Sent extends OutgoingMessage {
  readonly queue: string
}

export interface World {
  readonly clock: ManualClock
  readonly database: MemoryDatabase
  readonly store: MemoryStore
  readonly runs: RunsService
  readonly sent: Sent[]
  readonly events: RunEvent[]
  /** Queues that take nothing at present. */
  readonly broken: Set<string>
  /** One more service on the same data. */
  service(options?: { readonly seed?: number; readonly faults?: FaultPlan } & Partial<RunsServiceOptions>): {
    readonly runs: RunsService
    readonly store: MemoryStore
  }
}

export function world(options: Partial<RunsServiceOptions> = {}): World {
  const clock = new ManualClock()
  const database = memoryDatabase()
  const sent: Sent[] = []
  const events: RunEvent[] = []
  const broken = new Set<string>()
  const service: World['service'] = ({ seed = 2, faults = {}, ...more } = {}) => {
    const random = seededRandom(seed)
    const store = database.connect({ clock, random, faults })
    const runs = createRunsService({
      store,
      clock,
      random,
      send: async (queue, messages) => {
        if (broken.has(queue)) throw new Error(`${queue} is broken`)
        sent.push(...messages.map((message) => ({ ...message, queue })))
        return messages.map(() => true)
      },
      onEvent: (event) => events.push(event),
      ...more,
    })
    return { runs, store }
  }
  const { runs, store } = service({ seed: 1, ...options })
  return { clock, database, store, runs, sent, events, broken, service }
}

export const aRun = (more: Partial<NewRun> = {}): NewRun => ({
  job: 'mail',
  queue: 'default',
  input: { to: 'a@example.org' },
  attempts: 3,
  onLost: 'retry',
  source: 'enqueue',
  ...more,
})
