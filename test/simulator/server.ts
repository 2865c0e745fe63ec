/**
 * Servers: each a machine with a turns service of its own over the one database. A place (`Seat`) in the fleet keeps its
 * name while servers die and are started there.
 */
import type { MemoryStore } from '../../src/drivers/memory/index.ts'
import type { Range, Store } from '../../src/ports/store.ts'
import { createTurnsService, type TurnsService } from '../../src/turns/service.ts'
import { MAX_DRIFT } from './judge.ts'
import { Machine } from './machine.ts'
import { addFaults, type World } from './world.ts'

export interface Server {
  readonly machine: Machine
  readonly store: MemoryStore
  readonly turns: TurnsService
  /** Open connections: each is told when the server goes away. */
  readonly connections: Set<() => void>
}

/** The store as a process sees it: answers reach it through its machine's gate. */
export function gated(machine: Machine, store: MemoryStore): Store {
  return {
    limits: store.limits,
    now: () => store.now(),
    get: (key) => machine.admit(store.get(key)),
    list: (range, options) => machine.admit(store.list(range, options)),
    commit: (changes) => machine.admit(store.commit(changes)),
    deleteRange: (range, options) => machine.admit(store.deleteRange(range, options)),
    close: () => machine.admit(store.close()),
    watch: (range: Range, signal: AbortSignal): AsyncIterable<void> => ({
      [Symbol.asyncIterator]: () => {
        const hints = store.watch(range, signal)[Symbol.asyncIterator]()
        return {
          next: () => machine.admit(hints.next()),
          return: () => hints.return?.() ?? Promise.resolve({ done: true, value: undefined }),
        }
      },
    }),
  }
}

export class Seat {
  readonly name: string
  readonly #world: World
  #starts = 0
  #closed = false
  /** Undefined while nobody listens there. */
  server: Server | undefined

  constructor(name: string, world: World) {
    this.name = name
    this.#world = world
    this.start()
  }

  start(): void {
    if (this.server !== undefined || this.#closed) return
    const { timeline, random, database, judge, trace, storeFaults } = this.#world
    const name = `${this.name}.${++this.#starts}`
    const rate = 1 + this.#world.between(-MAX_DRIFT, MAX_DRIFT)
    const machine = new Machine(name, timeline, random, { rate, wallOffsetMs: 0 })
    const store = database.connect({
      clock: timeline,
      random,
      faults: storeFaults,
      onCommit: (changes) => judge.ledger.committed(changes, machine),
    })
    const turns = createTurnsService({ store: gated(machine, store), clock: machine, random })
    this.server = { machine, store, turns, connections: new Set() }
    trace.note(name, 'server starts')
    this.#takeUp(this.server)
  }

  /** SIGTERM, or kill -9: what was on its way to the store still arrives there. */
  stop(how: 'closed' | 'killed'): void {
    const { server } = this
    if (server === undefined) return
    this.server = undefined
    this.#world.count(`server ${how}`, server.machine.name)
    this.#end(server, how)
  }

  /** The end of the history. @returns the server, to be looked at for timers it left */
  close(): Server | undefined {
    const { server } = this
    this.#closed = true
    this.server = undefined
    if (server !== undefined) this.#end(server, 'closed')
    return server
  }

  #end(server: Server, how: 'closed' | 'killed'): void {
    const { machine, store, turns, connections } = server
    addFaults(this.#world, store)
    if (how === 'closed') {
      machine.run(() => {
        void turns.close().then(() => this.#drain(server, 100))
      })
    } else {
      machine.kill()
      for (const reset of connections) reset()
      // The engine forgets the connection; nobody is left to hear of it.
      void store.close()
    }
  }

  /** As the real server does (serve.ts): the requests that are open are answered, then the store is closed. */
  #drain(server: Server, looks: number): void {
    if (server.connections.size === 0 || looks === 0) void server.store.close()
    else server.machine.timer(50, () => this.#drain(server, looks - 1))
  }

  #takeUp(server: Server): void {
    const { machine, turns } = server
    turns.start().catch(() => {
      if (this.server === server) machine.timer(500, () => this.#takeUp(server))
    })
  }
}
