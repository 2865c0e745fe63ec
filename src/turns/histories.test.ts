/**
 * Random histories: members that join, work, die, freeze and come back, on two servers over a store that loses, delays and
 * refuses. After each step the records are checked (testing/world.ts), and what the *members* believe: never more
 * of them at work than there are permits, each judged by its own deadline. A failing seed is printed; run it alone with
 * SIGNALBOX_SEED=n.
 */
import { describe, expect, it } from 'vitest'
import { seededRandom, type Random } from '../kernel/id.ts'
import type { FaultPlan } from '../drivers/memory/index.ts'
import type { MemberView } from './api.ts'
import { newId, world, type Seat, type World } from './testing/world.ts'
import { beatInterval, safetyMargin } from './timing.ts'

const Q = 'deploy'
const TTL = 20_000
const FAULTS: FaultPlan = {
  conflict: 0.05,
  lostAfter: 0.08,
  lostBefore: 0.05,
  throttled: 0.05,
  unavailable: 0.04,
  delayBeforeMs: [0, 400],
  delayAfterMs: [0, 400],
  hintDelayed: 0.2,
  hintDelayMs: [10, 2_000],
}

interface Player {
  readonly id: string
  /** Stops for good at some point, or only for a while. */
  dead: boolean
  asking: boolean
  ticket: number
  fence: number | undefined
  /** Own monotonic deadline of the hold. */
  deadline: number
  nextAt: number
  over: boolean
}

class History {
  readonly #world: World
  readonly #random: Random
  readonly #permits: number
  #seats: Seat[]
  readonly #players: Player[] = []
  /** Tickets in the order of their fences, as members learnt them. */
  readonly granted: { fence: number; ticket: number }[] = []
  calm = false

  constructor(seed: number) {
    this.#world = world(seed)
    this.#random = seededRandom(seed * 7_919)
    this.#permits = 1 + Math.floor(this.#random.next() * 3)
    this.#seats = [this.#open(), this.#open()]
  }

  async play(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      await this.#step()
      await this.#world.clock.advance(Math.floor(this.#random.next() * 1_500))
      await this.#check()
    }
    // Faults and deaths stop: everybody who lives gets through.
    this.calm = true
    for (const seat of this.#seats) seat.store.faults.plan = {}
    for (let i = 0; i < 900 && this.#players.some((p) => !p.over && !p.dead); i++) {
      for (const player of this.#players) this.#act(player)
      await this.#world.clock.advance(1_000)
      await this.#check()
    }
    const stuck = this.#players.filter((p) => !p.over && !p.dead)
    expect(stuck.map((p) => p.id)).toEqual([])
    const fences = this.granted.map((g) => g.fence)
    expect(new Set(fences).size).toBe(fences.length)
  }

  #open(): Seat {
    const seat = this.#world.open(FAULTS)
    return seat
  }

  async #step(): Promise<void> {
    const roll = this.#random.next()
    if (roll < 0.25 && this.#players.length < 24) {
      const id = newId()
      this.#players.push({
        id,
        dead: false,
        asking: false,
        ticket: 0,
        fence: undefined,
        deadline: 0,
        nextAt: 0,
        over: false,
      })
    } else if (roll < 0.29) {
      const player = this.#players[Math.floor(this.#random.next() * this.#players.length)]
      if (player !== undefined) player.dead = true
    } else if (roll < 0.31) {
      const index = Math.floor(this.#random.next() * this.#seats.length)
      await this.#seats[index]!.turns.close() // its members' calls fail, they go on at the new one
      this.#seats[index] = this.#open()
      void this.#seats[index].turns.start().catch(() => {})
    }
    for (const player of this.#players) this.#act(player)
  }

  /** What a member does when it is its time: ask, beat or release. */
  #act(player: Player): void {
    const now = this.#world.clock.monotonic()
    if (player.dead || player.over || player.asking || now < player.nextAt) return
    player.asking = true
    const { turns } = this.#seats[Math.floor(this.#random.next() * this.#seats.length)]!
    const sentAt = now
    const again = (): void => {
      player.asking = false
      player.nextAt = this.#world.clock.monotonic() + 500
    }
    if (player.fence === undefined) {
      const call =
        player.ticket === 0
          ? turns.join(Q, { id: player.id, permits: this.#permits, ttlMs: TTL, waitMs: 5_000 })
          : turns.wait(Q, player.id, { waitMs: 5_000 })
      call.then((view) => this.#told(player, view, sentAt), again).finally(again)
    } else if (this.#random.next() < 0.3 || now >= player.deadline) {
      player.deadline = 0 // it stopped its work before it says so
      turns
        .leave(Q, player.id, player.fence)
        .then(() => (player.over = true), again)
        .finally(again)
    } else {
      turns
        .beat(Q, player.id, player.fence)
        .then(
          () => (player.deadline = player.deadline === 0 ? 0 : sentAt + TTL - safetyMargin(TTL)),
          () => {},
        )
        .finally(() => {
          again()
          player.nextAt = this.#world.clock.monotonic() + beatInterval(TTL)
        })
    }
  }

  #told(player: Player, view: MemberView, sentAt: number): void {
    player.ticket = view.ticket
    if (view.state === 'lost' || view.state === 'left') player.over = true
    if (view.state !== 'holding' || view.fence === undefined) return
    const deadline = sentAt + view.elapsedMs + TTL - safetyMargin(TTL)
    if (deadline <= this.#world.clock.monotonic()) return
    player.deadline = deadline
    player.fence = view.fence
    if (!this.granted.some((g) => g.fence === view.fence))
      this.granted.push({ fence: view.fence, ticket: view.ticket })
  }

  async #check(): Promise<void> {
    await this.#world.check(Q)
    const now = this.#world.clock.monotonic()
    const working = this.#players.filter(
      (p) => !p.dead && p.fence !== undefined && !p.over && now < p.deadline,
    )
    expect(working.length, 'members at work').toBeLessThanOrEqual(this.#permits)
  }

  injected(): Record<string, number> {
    const total: Record<string, number> = {}
    for (const { store } of this.#seats) {
      for (const [kind, n] of Object.entries(store.faults.injected)) total[kind] = (total[kind] ?? 0) + n
    }
    return total
  }
}

describe('random histories', () => {
  const only = Number(process.env['SIGNALBOX_SEED'] ?? 0)
  const seeds = only > 0 ? [only] : Array.from({ length: 150 }, (_, i) => i + 1)

  it(`keep every invariant (${seeds.length} seeds)`, { timeout: 240_000 }, async () => {
    const injected: Record<string, number> = {}
    let grants = 0
    for (const seed of seeds) {
      const history = new History(seed)
      try {
        await history.play(80)
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
      }
      grants += history.granted.length
      for (const [kind, n] of Object.entries(history.injected())) injected[kind] = (injected[kind] ?? 0) + n
    }
    console.log(`${seeds.length} histories, ${grants} grants, faults injected: ${JSON.stringify(injected)}`)
    expect(grants).toBeGreaterThan(seeds.length)
    if (only === 0)
      for (const kind of [
        'conflict',
        'lostAfter',
        'lostBefore',
        'throttled',
        'unavailable',
        'delay',
        'hintDelayed',
      ])
        expect(injected[kind]).toBeGreaterThan(0)
  })
})
