/**
 * A world for tests of the turns service: a memory store with faults, a clock moved by hand, any number of services on the
 * one store, and a referee that reads the records after each step and complains when an invariant is broken.
 */
import { ManualClock } from '../../kernel/manual-clock.ts'
import { seededRandom } from '../../kernel/id.ts'
import { memoryDatabase, type FaultPlan, type MemoryStore } from '../../drivers/memory/index.ts'
import type { MemberView } from '../api.ts'
import { controlKey, linePartition, type Control, type Waiter } from '../records.ts'
import { createTurnsService, type TurnsService } from '../service.ts'
import type { TurnEvent } from '../queue-actor.ts'

export interface Seat {
  readonly turns: TurnsService
  readonly store: MemoryStore
  readonly events: TurnEvent[]
}

export interface World {
  readonly clock: ManualClock
  /** Opens another service, as another server process would. */
  open(faults?: FaultPlan): Seat
  /** Reads the records past all faults and checks the invariants of rules.ts. */
  check(queue: string): Promise<Control | undefined>
}

export function world(seed = 1): World {
  const clock = new ManualClock()
  const random = seededRandom(seed)
  const database = memoryDatabase()
  const referee = database.connect({ clock })
  const last = new Map<string, { fence: number; tail: number }>()
  return {
    clock,
    open(faults) {
      const store = database.connect({ clock, random, ...(faults === undefined ? {} : { faults }) })
      const events: TurnEvent[] = []
      const turns = createTurnsService({ store, clock, random, onEvent: (event) => events.push(event) })
      return { turns, store, events }
    },
    async check(queue) {
      const [partition, key] = controlKey(queue)
      const { records } = await referee.list({ partition }, { limit: 1_000 })
      const line = (await referee.list({ partition: linePartition(queue) }, { limit: 1_000 })).records
      const first = records[0]
      if (first === undefined) {
        if (line.length > 0) throw new Error('waiters without a queue')
        return undefined
      }
      if (first.key[1] !== key) throw new Error('beats without a control record')
      const control = first.value as unknown as Control
      const waiters = line.map((r) => r.value as unknown as Waiter)
      expectThat(
        control.holders.length <= control.permits,
        `${control.holders.length} hold ${control.permits} permits`,
      )
      const fences = control.holders.map((h) => h.fence)
      expectThat(new Set(fences).size === fences.length, `a fence was given twice: ${fences.join()}`)
      expectThat(Math.max(0, ...fences) <= control.fence, 'a holder has a fence that was never given')
      const before = last.get(queue) ?? { fence: 0, tail: 0 }
      expectThat(control.fence >= before.fence && control.tail >= before.tail, 'fence or ticket went back')
      last.set(queue, { fence: control.fence, tail: control.tail })
      control.window.forEach((e, i) =>
        expectThat(waiters[i]?.ticket === e.ticket, `window and line differ at ${i}`),
      )
      const must = [...control.holders, ...control.window].map((m) => m.ticket).sort((a, b) => a - b)
      const beats = records.slice(1).map((r) => Number(r.key[1]))
      expectThat(
        must.join() === beats.join(),
        `beats ${beats.join()} are not those of holders and window ${must.join()}`,
      )
      const wanted = Math.min(waiters.length, control.permits + 1)
      expectThat(control.window.length >= wanted, `the window has ${control.window.length} of ${wanted}`)
      expectThat(
        control.waiting === waiters.length,
        `${control.waiting} of ${waiters.length} waiters counted`,
      )
      const floor = Math.min(...waiters.map((w) => w.priority))
      expectThat(waiters.length === 0 || (control.floor ?? 0) <= floor, 'somebody waits below the floor')
      const both = control.holders.filter((h) => waiters.some((w) => w.id === h.id))
      expectThat(both.length === 0, 'a holder still waits')
      return control
    },
  }
}

function expectThat(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

let lastId = 0

/** A member id for tests: readable, unique. */
export function newId(name = 'member'): string {
  return `${name}-${String(++lastId).padStart(6, '0')}`
}

/** The answer of a promise that must be settled by now. */
export async function settled<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let outcome: { value: T } | { error: unknown } | undefined
  promise.then(
    (value) => (outcome = { value }),
    (error: unknown) => (outcome = { error }),
  )
  await clock.settle()
  if (outcome === undefined) throw new Error('still pending')
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

export function isPending(clock: ManualClock, promise: Promise<MemberView>): Promise<boolean> {
  return settled(clock, promise).then(
    () => false,
    (error: unknown) => error instanceof Error && error.message === 'still pending',
  )
}
