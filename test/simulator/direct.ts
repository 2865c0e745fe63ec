/**
 * A member without a server: a service of its own in its own process, over the store that it shares with the others. What
 * stands between it and them is the store's connection alone; half of the members get pushes over it.
 */
import { SignalboxError } from '../../src/kernel/error.ts'
import type { MemoryStore } from '../../src/drivers/memory/index.ts'
import type { Store } from '../../src/ports/store.ts'
import { createTurnsService, type TurnsService } from '../../src/turns/service.ts'
import type { Way } from './member.ts'
import { judgedApi, type Call, type MemberApi } from './judged-api.ts'
import type { Machine } from './machine.ts'
import { gated } from './server.ts'
import { addFaults, type World } from './world.ts'

export class Direct implements Way {
  readonly api: MemberApi
  readonly store: MemoryStore
  readonly #world: World
  readonly #machine: Machine
  readonly #turns: TurnsService
  readonly #open = new Map<string, Set<{ readonly since: number }>>()

  constructor(world: World, machine: Machine, pushed: boolean) {
    this.#world = world
    this.#machine = machine
    const { timeline, random, database, judge, storeFaults } = world
    this.store = database.connect({
      clock: timeline,
      random,
      faults: storeFaults,
      onCommit: (changes) => judge.ledger.committed(changes, machine),
    })
    const store = gated(machine, this.store)
    this.#turns = createTurnsService({
      store: pushed ? store : unpushed(store),
      clock: machine,
      random,
      serverless: true,
    })
    this.api = judgedApi(judge, (...call) => this.#ask(...call))
  }

  standingSince(id: string): number | undefined {
    const open = [...(this.#open.get(id) ?? [])].map(({ since }) => since)
    return this.#machine.state === 'running' && open.length > 0 ? Math.min(...open) : undefined
  }

  drop(): void {
    addFaults(this.#world, this.store)
    void this.store.close()
  }

  async close(): Promise<void> {
    addFaults(this.#world, this.store)
    await this.#turns.close()
    await this.store.close()
  }

  async #ask<T>(
    id: string,
    call: Call<T>,
    signal: AbortSignal | undefined,
    judge: (value: T, sentAt: number) => void,
  ): Promise<T> {
    const sentAt = this.#world.timeline.monotonic()
    const entry = { since: sentAt }
    const open = this.#open.get(id) ?? new Set()
    this.#open.set(id, open.add(entry))
    try {
      const value = await call(this.#turns, signal ?? new AbortController().signal)
      // What the member has given up on, it does not hear.
      if (signal?.aborted !== true) judge(value, sentAt)
      return value
    } catch (error) {
      if (!(error instanceof SignalboxError)) this.#world.judge.violated('errors have a code', String(error))
      throw error
    } finally {
      open.delete(entry)
    }
  }
}

/** As a store that cannot push. */
function unpushed(store: Store): Store {
  return {
    limits: store.limits,
    now: () => store.now(),
    get: (key) => store.get(key),
    list: (...call) => store.list(...call),
    commit: (changes) => store.commit(changes),
    deleteRange: (...call) => store.deleteRange(...call),
    close: () => store.close(),
  }
}
