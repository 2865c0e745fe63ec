/** A world for tests of jobs: an engine (the fake one, or the embedded one on a file), a store, a clock moved by hand, and what happened. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { memoryDatabase } from '../../drivers/memory/index.ts'
import { openSqlite, sqliteMessageQueue, sqliteStore } from '../../drivers/sqlite/index.ts'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { FakeQueue } from '../../messages/testing/fake-queue.ts'
import type { MessageQueue, ReceivedMessage } from '../../ports/message-queue.ts'
import type { Store } from '../../ports/store.ts'
import { createRunsService, type RunsService } from '../../runs/service.ts'
import { sendThrough } from '../../runs/wake-up.ts'
import type { JobsConnection, Worker, WorkerEvent } from '../api.ts'
import type { Job } from '../define.ts'
import { startWorker, type WorkerOptions } from '../worker.ts'

export const engines = ['fake', 'embedded'] as const
/** `counting`: the fake one, which counts every receive as SQS does. */
export type EngineKind = (typeof engines)[number] | 'counting'

export interface World {
  readonly clock: ManualClock
  readonly engine: MessageQueue
  readonly store: Store
  readonly via: JobsConnection
  readonly runs: RunsService
  readonly events: WorkerEvent[]
  /** Starts a worker whose events are gathered. */
  work(jobs: readonly Job<never>[], options?: WorkerOptions & { readonly deps?: unknown }): Promise<Worker>
  /** Lets everything happen that needs no time, until the condition holds. */
  until(condition: () => boolean): Promise<void>
  /** The outcomes so far, of jobs that ended. */
  outcomes(): string[]
  /** What is in a queue, received (and so hidden for a day's half). */
  take(queue: string): Promise<readonly ReceivedMessage[]>
}

const opened: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of opened.splice(0).toReversed()) await close()
})

export async function world(
  kind: EngineKind,
  options: { readonly keepsRuns?: boolean } = {},
): Promise<World> {
  const clock = new ManualClock()
  const { engine, store } = await open(kind, clock)
  const random = seededRandom(7)
  const runs = createRunsService({ store, clock, random, send: sendThrough(engine) })
  if (options.keepsRuns === true) {
    await runs.start()
    opened.push(async () => {
      const closed = runs.close()
      await clock.advance(5_000)
      await closed
    })
  }
  const via: JobsConnection = {
    engine,
    store,
    clock,
    random,
    ...(options.keepsRuns === true ? { runs } : {}),
  }
  const events: WorkerEvent[] = []
  return {
    clock,
    engine,
    store,
    via,
    runs,
    events,
    work: async (jobs, how = {}) => {
      const worker = await startWorker(jobs as never, { via, onEvent: (event) => events.push(event), ...how })
      opened.push(async () => {
        const closed = worker.close()
        for (let i = 0; i < 20; i++) await clock.advance(1_000)
        await closed
      })
      return worker
    },
    until: async (condition) => {
      for (let i = 0; i < 200 && !condition(); i++) await clock.settle()
      if (!condition()) throw new Error(`it does not come to that: ${condition.toString()}`)
    },
    outcomes: () => events.flatMap((event) => (event.type === 'ended' ? [event.outcome] : [])),
    take: (queue) => engine.receive(queue, { max: 10, visibilityMs: 12 * 3_600_000 }),
  }
}

async function open(
  kind: EngineKind,
  clock: ManualClock,
): Promise<{ readonly engine: MessageQueue; readonly store: Store }> {
  if (kind !== 'embedded') {
    const capabilities = { uncounted: kind === 'fake' }
    // The table of the cloud has a numeric range key.
    const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
    return { engine: new FakeQueue({ clock, capabilities }), store }
  }
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-jobs-'))
  const sqlite = await openSqlite({ directory, clock })
  const engine = sqliteMessageQueue(sqlite)
  const store = sqliteStore(sqlite)
  opened.push(async () => {
    await engine.close()
    await store.close()
    await sqlite.close()
    rmSync(directory, { recursive: true })
  })
  return { engine, store }
}
