/**
 * A world for tests of the guard: one memory database, the dynamo-q tool's view of the queue's bare partition, and processes
 * of ours, each a turns service beside the reference with a store handle of its own. Engine time is the manual clock.
 */
import { memoryDatabase, type FaultPlan, type MemoryStore } from '../../../drivers/memory/index.ts'
import { seededRandom } from '../../../kernel/id.ts'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import type { Change } from '../../../ports/store.ts'
import type { TurnsApi, TurnsOperations } from '../../api.ts'
import { besideReference } from '../../guard.ts'
import { asGuard, guardKey, type Guard } from '../record.ts'
import { createTurnsService } from '../../service.ts'
import { settled } from '../../testing/world.ts'

export const QUEUE = 'deploy'

export interface BesideProcess {
  readonly turns: TurnsApi & TurnsOperations
  readonly store: MemoryStore
}

export interface BesideWorld {
  readonly clock: ManualClock
  readonly database: ReturnType<typeof memoryDatabase>
  /** Reads and writes without faults, for the test itself. */
  readonly referee: MemoryStore
  open(faults?: FaultPlan): BesideProcess
  guard(): Promise<Guard | undefined>
  /** The promise's answer after moving the clock by `ms`. */
  after<T>(ms: number, promise: Promise<T>): Promise<T>
}

/** @param onCommit told of each commit of every process */
export function besideWorld(onCommit: (changes: readonly Change[]) => void = () => {}): BesideWorld {
  const clock = new ManualClock()
  const random = seededRandom(1)
  const database = memoryDatabase()
  const referee = database.connect({ clock, onCommit: (changes) => onCommit(changes) })
  return {
    clock,
    database,
    referee,
    open(faults) {
      const store = database.connect({ clock, random, onCommit, ...(faults === undefined ? {} : { faults }) })
      const inner = createTurnsService({ store, clock, random })
      return { store, turns: besideReference({ turns: inner, store, clock, random }) }
    },
    async guard() {
      const record = await referee.get(guardKey(QUEUE))
      return record === undefined ? undefined : asGuard(record.value)
    },
    async after(ms, promise) {
      promise.catch(() => {}) // it is looked at below
      await clock.advance(ms)
      return settled(clock, promise)
    },
  }
}
