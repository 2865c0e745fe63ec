/** What goes wrong with members and servers, and when: drawn as the history goes, until it is calm. */
import type { MemoryStore } from '../../src/drivers/memory/index.ts'
import { MAX_DRIFT } from './judge.ts'
import { Machine } from './machine.ts'
import { Direct } from './direct.ts'
import { Member, type Way } from './member.ts'
import { Network } from './network.ts'
import { Seat } from './server.ts'
import { calmWeather, type World } from './world.ts'

const MINUTES = 60_000

export class Chaos {
  readonly members: Member[] = []
  readonly seats: Seat[]
  readonly #world: World
  #toJoin: number
  #over = false

  constructor(world: World) {
    this.#world = world
    const { profile } = world
    this.seats = Array.from({ length: profile.servers }, (_, i) => new Seat(`s${i + 1}`, world))
    this.#toJoin = profile.members + profile.late
    for (let i = 0; i < profile.rush; i++) world.later(world.between(0, 1_000), () => this.#join())
    const pace = (profile.chaosMs * 0.8) / Math.max(1, profile.members - profile.rush)
    for (let i = profile.rush; i < profile.members; i++)
      world.later(world.between(0.2, 1) * pace * (i - profile.rush + 1), () => this.#join())
    this.#next()
    if (profile.massacre) world.later(profile.chaosMs * 0.95, () => this.#massacre())
    world.later(profile.chaosMs, () => this.#end())
    const settledMs = profile.chaosMs + 3 * profile.ttlMs
    for (let i = 0; i < profile.late; i++)
      world.later(settledMs + world.between(0, profile.ttlMs / 4), () => this.#join())
  }

  /** Everybody has joined who will, and faults have stopped. */
  get over(): boolean {
    return this.#over && this.#toJoin === 0
  }

  #join(): void {
    const world = this.#world
    const { profile, timeline, random } = world
    const name = `m${this.members.length + 1}`
    const rate = 1 + world.between(-MAX_DRIFT, MAX_DRIFT)
    const wallOffsetMs = world.between(-10, 10) * MINUTES
    const machine = new Machine(name, timeline, random, { rate, wallOffsetMs })
    const [least, most] = profile.workMs
    const member = new Member(world, machine, this.#way(machine), {
      priority: profile.priorities[world.below(profile.priorities.length)] as number,
      workMs: world.between(least, most),
      stubborn: world.chance(0.5),
      abandons: world.chance(0.03),
      sleeps: world.chance(0.4),
      waitTimeoutMs: world.chance(0.08) ? world.between(0, 3) * profile.ttlMs : undefined,
    })
    this.members.push(member)
    this.#toJoin--
    void member.live()
    // Ctrl-C at once: leaving meets a join that is still on its way.
    if (!this.#over && world.chance(0.08))
      world.later(world.between(1, world.chance(0.5) ? 300 : 2_000), () => this.#abort(member))
  }

  #next(): void {
    const world = this.#world
    world.later(world.between(0.2, 1.8) * world.profile.paceMs, () => {
      if (this.#over) return
      this.#act()
      this.#next()
    })
  }

  #act(): void {
    const world = this.#world
    const { size, ttlMs } = world.profile
    const roll = world.random.next()
    // A huge history has rows of dead waiters: one action befalls many.
    const victims = size === 'small' ? 1 : 1 + world.below(size === 'huge' ? 25 : 6)
    if (roll < 0.62) {
      for (let i = 0; i < victims; i++) {
        const living = this.members.filter((m) => m.living && m.state !== 'over')
        const holding = living.filter((m) => m.state === 'holding')
        const among = holding.length > 0 && world.chance(0.4) ? holding : living
        const member = among[world.below(among.length)]
        if (member !== undefined) this.#harm(member, roll / 0.62)
      }
      return
    }
    if (this.seats.length === 0) {
      const living = this.members.filter((m) => m.living && m.state !== 'over')
      const way = living[world.below(living.length)]?.way
      if (way instanceof Direct) this.#upset(way.store, roll)
      return
    }
    const seat = this.seats[world.below(this.seats.length)] as Seat
    const { server } = seat
    if (server === undefined) return
    if (roll < 0.78) {
      seat.stop(world.chance(0.3) ? 'closed' : 'killed')
      world.later(world.between(0.01, 0.6) * ttlMs, () => seat.start())
    } else if (roll < 0.86) {
      world.count('server frozen', server.machine.name)
      server.machine.freeze()
      world.later(world.between(0.05, world.chance(0.3) ? 2 : 0.5) * ttlMs, () => server.machine.resume())
    } else this.#upset(server.store, roll)
  }

  #upset(store: MemoryStore, roll: number): void {
    const world = this.#world
    if (roll < 0.94) this.#cut(store)
    else {
      world.count('store clock jumped')
      store.faults.clockOffsetMs = world.between(-10, 10) * MINUTES
    }
  }

  #way(machine: Machine): Way {
    const world = this.#world
    return this.seats.length > 0
      ? new Network(world, machine, this.seats)
      : new Direct(world, machine, world.chance(0.5))
  }

  #harm(member: Member, roll: number): void {
    const world = this.#world
    const { ttlMs } = world.profile
    const { machine } = member
    const { name } = machine
    if (roll < 0.2) {
      world.count('member killed', name)
      member.kill()
    } else if (roll < 0.5) {
      world.count('member frozen', name)
      machine.freeze()
      // Often about one TTL: that is where an eviction and a return meet.
      const ttls = world.chance(0.4) ? world.between(0.9, 1.2) : world.between(0.01, 3)
      world.later(ttls * ttlMs, () => machine.resume())
    } else if (roll < 0.72 && member.sleeps) {
      world.count('member suspended', name)
      machine.suspend()
      world.later(world.between(0.01, 2) * ttlMs, () => machine.resume())
    } else if (roll < 0.72) {
      world.count('wall clock jumped', name)
      machine.jump(world.between(-10, 10) * MINUTES)
      member.looked()
    } else if (roll < 0.86) {
      this.#abort(member)
    } else {
      world.count('stray request', name)
      if (member.id !== '' && machine.state === 'running') member.stray(100_000 + world.below(50))
    }
  }

  #abort(member: Member): void {
    if (member.state !== 'waiting') return
    this.#world.count('waiting aborted', member.machine.name)
    member.abort()
  }

  #massacre(): void {
    const last = new Set(this.#world.judge.ledger.line.slice(-5).map((waiter) => waiter.id))
    for (const member of this.members) {
      if (!member.living || member.state !== 'waiting' || last.has(member.id)) continue
      this.#world.count('member killed', member.machine.name)
      member.kill()
    }
  }

  #cut({ faults }: MemoryStore): void {
    const world = this.#world
    if (faults.isCut) return
    world.trace.note('STORE', 'cuts somebody off')
    faults.cut(world.chance(0.5) ? {} : { failAfterMs: world.between(50, 2_000) })
    world.later(world.between(0.02, 0.8) * world.profile.ttlMs, () => faults.heal())
  }

  /** Deaths and faults stop; whoever is frozen wakes up by itself. */
  #end(): void {
    const world = this.#world
    this.#over = true
    world.calmSince = world.timeline.monotonic()
    world.weather = calmWeather
    world.storeFaults = {}
    world.trace.note('CHAOS', 'is over')
    for (const seat of this.seats) {
      seat.server?.store.faults.heal()
      if (seat.server !== undefined) seat.server.store.faults.plan = {}
      seat.start()
    }
    for (const member of this.members) {
      member.machine.resume()
      if (!(member.way instanceof Direct)) continue
      member.way.store.faults.heal()
      member.way.store.faults.plan = {}
    }
    for (const seat of this.seats) seat.server?.machine.resume()
  }
}
