/**
 * The network between one member and the servers: a `TurnsApi` whose requests and answers are lost, delayed and
 * duplicated, and whose connections break. What the member hears is held against the records before it hears it.
 */
import { SignalboxError } from '../../src/kernel/error.ts'
import { judgedApi, type Call, type MemberApi } from './judged-api.ts'
import type { Machine } from './machine.ts'
import type { Way } from './member.ts'
import type { Seat } from './server.ts'
import type { World } from './world.ts'

interface Exchange<T> {
  readonly id: string
  /** Sent twice: whoever refuses one copy cannot know what became of the other. */
  readonly duplicated: boolean
  readonly call: Call<T>
  readonly hangUp: AbortController
  readonly resolve: (value: T) => void
  readonly reject: (error: SignalboxError) => void
}

export class Network implements Way {
  readonly #world: World
  readonly #machine: Machine
  readonly #seats: readonly Seat[]
  readonly #open = new Set<AbortController>()
  /** By member id: true times since when requests of it stand at a server. */
  readonly #standing = new Map<string, Set<{ readonly since: number; readonly machine: Machine }>>()
  #seat: Seat

  constructor(world: World, machine: Machine, seats: readonly Seat[]) {
    this.#world = world
    this.#machine = machine
    this.#seats = seats
    this.#seat = this.#anySeat()
    this.api = judgedApi(world.judge, (...call) => this.#exchange(...call))
  }

  readonly api: MemberApi

  /** Since when (true ms) a request of this member has stood at a server that runs. */
  standingSince(id: string): number | undefined {
    let first: number | undefined
    for (const { since, machine } of this.#standing.get(id) ?? [])
      if (machine.state === 'running') first = Math.min(first ?? since, since)
    return first
  }

  /** The member's process is gone: its connections close, unless nobody notices. */
  drop(): void {
    for (const hangUp of this.#open) this.#hangUp(hangUp)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #exchange<T>(
    id: string,
    call: Call<T>,
    signal: AbortSignal | undefined,
    judge: (value: T, sentAt: number) => void,
  ): Promise<T> {
    const world = this.#world
    const sentAt = world.timeline.monotonic()
    const hangUp = new AbortController()
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const duplicated = world.chance(world.weather.duplicate)
    let over = false
    const end = (settle: () => void): void =>
      this.#machine.run(() => {
        if (over) return
        over = true
        this.#open.delete(hangUp)
        settle()
      })
    signal?.addEventListener(
      'abort',
      () => {
        if (over) return
        over = true
        this.#open.delete(hangUp)
        this.#hangUp(hangUp)
      },
      { once: true },
    )
    this.#open.add(hangUp)
    this.#send({
      id,
      duplicated,
      call,
      hangUp,
      resolve: (value) =>
        end(() => {
          judge(value, sentAt)
          resolve(value)
        }),
      reject: (refusal) => {
        const unsure = duplicated && (refusal.code === 'unavailable' || refusal.code === 'throttled')
        const error = unsure ? new SignalboxError('outcome_unknown', refusal.message) : refusal
        // Whoever has trouble asks elsewhere, as behind a balancer.
        if (world.chance(0.5)) this.#seat = this.#anySeat()
        end(() => reject(error))
      },
    })
    return promise
  }

  #send<T>(exchange: Exchange<T>): void {
    const world = this.#world
    const { weather, profile } = world
    if (world.chance(weather.lostRequest)) {
      world.count('request lost', this.#machine.name)
      if (world.chance(0.5)) this.#reset(exchange)
      return
    }
    let delay = world.between(1, 40)
    if (world.chance(weather.veryLate)) {
      world.count('request very late', this.#machine.name)
      delay = world.between(0.5, 2) * profile.ttlMs
    } else if (world.chance(weather.slow)) {
      world.count('request slow', this.#machine.name)
      delay = world.between(40, profile.ttlMs / 3)
    }
    // Some balancers send each request where they like.
    if (world.chance(0.2)) this.#seat = this.#anySeat()
    const seat = this.#seat
    world.later(delay, () => this.#deliver(seat, exchange))
    if (exchange.duplicated) {
      world.count('request duplicated', this.#machine.name)
      const nobody = { ...exchange, hangUp: new AbortController(), resolve: () => {}, reject: () => {} }
      world.later(delay + world.between(0, profile.ttlMs), () => this.#deliver(this.#anySeat(), nobody))
    }
  }

  #deliver<T>(seat: Seat, exchange: Exchange<T>): void {
    const world = this.#world
    const { server } = seat
    if (server === undefined) {
      world.count('server unreachable', this.#machine.name)
      world.later(world.between(1, 40), () =>
        exchange.reject(new SignalboxError('unavailable', 'simulated: nobody listens there')),
      )
      return
    }
    const { machine, turns, connections } = server
    const standing = { since: world.timeline.monotonic(), machine }
    const broken = (): void => {
      done()
      this.#reset(exchange)
    }
    const done = (): boolean => {
      this.#standing.get(exchange.id)?.delete(standing)
      return connections.delete(broken)
    }
    connections.add(broken)
    machine.run(() => {
      const here = this.#standing.get(exchange.id)
      if (here === undefined) this.#standing.set(exchange.id, new Set([standing]))
      else here.add(standing)
      exchange.call(turns, exchange.hangUp.signal).then(
        (value) => done() && this.#answer(exchange, () => exchange.resolve(value)),
        (error: unknown) => done() && this.#answer(exchange, () => exchange.reject(error as SignalboxError)),
      )
    })
  }

  #answer<T>(exchange: Exchange<T>, arrive: () => void): void {
    const world = this.#world
    const { weather, profile } = world
    if (world.chance(weather.lostAnswer)) {
      world.count('answer lost', this.#machine.name)
      if (world.chance(0.5)) this.#reset(exchange)
      return
    }
    let delay = world.between(1, 40)
    if (world.chance(weather.slow)) {
      world.count('answer slow', this.#machine.name)
      delay = world.between(40, profile.ttlMs / 2)
    }
    world.later(delay, arrive)
  }

  #reset<T>(exchange: Exchange<T>): void {
    this.#world.count('connection reset')
    this.#world.later(this.#world.between(1, 40), () =>
      exchange.reject(new SignalboxError('outcome_unknown', 'simulated: the connection was reset')),
    )
  }

  #hangUp(hangUp: AbortController): void {
    const world = this.#world
    if (world.chance(world.weather.hangUpUnnoticed)) world.count('hang-up unnoticed', this.#machine.name)
    else world.later(world.between(1, 40), () => hangUp.abort())
  }

  #anySeat(): Seat {
    return this.#seats[this.#world.below(this.#seats.length)] as Seat
  }
}
