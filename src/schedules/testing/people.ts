/** Who is about in a simulation of schedules: people who edit, workers, a clock elsewhere that sends events. */
import { isTransient } from '../../kernel/attempt.ts'
import { sleep, type Clock } from '../../kernel/clock.ts'
import { isSignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import { JOB, type Replica, type World } from './world.ts'

const MINUTE_MS = 60_000
/** Some runs take longer than from one time to the next. */
const LONGEST_WORK_MS = 2 * MINUTE_MS

/** Chance, from one seed. */
export class Dice {
  readonly #clock: Clock
  readonly #random: Random

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** In [0, n). */
  below(n: number): number {
    return this.#random.next() * n
  }

  chance(p: number): boolean {
    return this.#random.next() < p
  }

  any<T>(all: readonly T[]): T | undefined {
    return all[Math.floor(this.below(all.length))]
  }

  id(): string {
    return this.#random.id()
  }

  async pause(maxMs: number): Promise<void> {
    await sleep(this.#clock, this.below(maxMs))
  }
}

export interface Around {
  readonly world: World
  readonly dice: Dice
  /** While it does, things go wrong. */
  readonly storms: () => boolean
  readonly objects: (problem: string) => void
}

export class People {
  readonly #around: Around
  #over = false
  #working = 0

  constructor(around: Around) {
    this.#around = around
  }

  /** Nobody works on anything. */
  get idle(): boolean {
    return this.#working === 0
  }

  goHome(): void {
    this.#over = true
  }

  /** Edits, pauses and resumes these schedules. */
  async edit(names: readonly string[]): Promise<void> {
    const { dice, storms } = this.#around
    const by = { by: 'ann' }
    while (storms()) {
      await dice.pause(3_000)
      if (!storms()) return
      const name = dice.any(names)
      if (name === undefined) continue
      const mood = dice.below(1)
      await this.#tried<unknown>(({ schedules }) => {
        if (mood < 0.3) return schedules.pause(name, by)
        if (mood < 0.6) return schedules.resume(name, by)
        if (mood < 0.9) return schedules.update(name, { description: `version ${mood}` }, by)
        return schedules.put({ name, job: JOB.name, expression: 'rate(1 minute)', overlap: 'allow' }, by)
      })
    }
  }

  /** A clock elsewhere, which is right: an event each minute for each schedule, or several, now and then none. */
  async sendEvents(schedules: readonly string[]): Promise<void> {
    const { world, dice, storms } = this.#around
    const { clock } = world
    for (;;) {
      await sleep(clock, MINUTE_MS - (clock.now() % MINUTE_MS))
      if (!storms()) return
      const minute = clock.now()
      for (const schedule of schedules) {
        const copies = dice.chance(0.05) ? 0 : dice.chance(0.3) ? 3 : 1
        for (let copy = 0; copy < copies; copy++) void this.#send(schedule, minute)
      }
    }
  }

  /** Until it is answered, as AWS does. */
  async #send(schedule: string, minute: number): Promise<void> {
    const { dice } = this.#around
    const id = dice.id()
    const time = minute + Math.floor(dice.below(20)) * 1_000
    await dice.pause(dice.chance(0.1) ? 2 * MINUTE_MS : 25_000)
    for (;;) {
      const answer = await this.#tried(({ schedules }) => schedules.fire({ schedule, time, id }))
      if (answer !== undefined) return
    }
  }

  /** Takes what is sent, twice now and then, and works on it for a while. */
  async work(): Promise<void> {
    const { world, dice, storms } = this.#around
    while (!this.#over) {
      await sleep(world.clock, 500)
      for (const id of world.queue.splice(0)) {
        void this.#workOn(id)
        if (storms() && dice.chance(0.05)) void this.#workOn(id)
      }
    }
  }

  async #workOn(id: string): Promise<void> {
    const { world, dice } = this.#around
    this.#working++
    const nonce = dice.id()
    while (!this.#over) {
      const claim = await this.#tried(({ runs }) => runs.claim(id, { worker: 'w1', leaseMs: 600_000, nonce }))
      if (claim === undefined || !claim.claimed) {
        const retryAfterMs = claim === undefined ? 1_000 : claim.retryAfterMs
        if (retryAfterMs === undefined) break
        await sleep(world.clock, retryAfterMs)
        continue
      }
      await dice.pause(dice.chance(0.2) ? LONGEST_WORK_MS : 10_000)
      const done = await this.#tried(({ runs }) => runs.finish(id, claim.epoch, { kind: 'succeeded' }))
      if (done !== undefined) break
    }
    this.#working--
  }

  /** On any server that lives; again while the answer is a failure that passes. */
  async #tried<T>(call: (replica: Replica) => Promise<T>): Promise<T | undefined> {
    const { world, dice, objects } = this.#around
    for (let chance = 0; chance < 20; chance++) {
      const replica = dice.any(world.replicas)
      try {
        if (replica !== undefined) return await call(replica)
      } catch (error) {
        if (isSignalboxError(error, 'conflict')) return undefined
        const lives = replica !== undefined && world.replicas.includes(replica)
        if (lives && !isTransient(error)) {
          objects(`a call failed: ${String(error)}`)
          return undefined
        }
      }
      await dice.pause(1_000)
    }
    return undefined
  }
}
