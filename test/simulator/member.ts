/**
 * A member on a machine of its own: it opens a turn with the real session, lets a command work while the turn is held, and
 * releases. The command counts as at work until its supervisor must have ended it: whether the member's process is
 * frozen or dead makes no difference.
 */
import { isSignalboxError } from '../../src/kernel/error.ts'
import type { Random } from '../../src/kernel/id.ts'
import type { TurnsApi } from '../../src/turns/api.ts'
import { openTurn, type Turn } from '../../src/turns/session.ts'
import type { Work } from './judge.ts'
import type { Machine } from './machine.ts'
import type { MemberApi } from './judged-api.ts'
import { QUEUE, type World } from './world.ts'

/** How a member reaches the queue: over a network to servers, or next to the store. */
export interface Way {
  readonly api: MemberApi
  /** Since when (true ms) a request of this member has stood where it could be granted. */
  standingSince(id: string): number | undefined
  /** The member's process is gone. */
  drop(): void
  /** The member is through. */
  close(): Promise<void>
}

export interface Character {
  readonly priority: number
  readonly workMs: number
  /** Works on when it is asked to stop, until it is killed. */
  readonly stubborn: boolean
  /** Ends without a word: nobody can prove that its command is gone. */
  readonly abandons: boolean
  /**
   * Its machine may be suspended; then its wall clock is not stepped. A sleep is noticed by the wall clock running ahead,
   * so a step back during it would hide it: the one combination the session does not claim to withstand.
   */
  readonly sleeps: boolean
  readonly waitTimeoutMs: number | undefined
}

export class Member {
  readonly machine: Machine
  readonly #world: World
  readonly way: Way
  readonly #character: Character
  readonly #random: Random
  readonly #giveUp = new AbortController()
  #id = ''
  #work: (Work & { end: () => void }) | undefined
  state: 'waiting' | 'holding' | 'over' = 'waiting'

  constructor(world: World, machine: Machine, way: Way, character: Character) {
    this.#world = world
    this.machine = machine
    this.way = way
    this.#character = character
    this.#random = {
      next: () => world.random.next(),
      id: () => (this.#id = `${machine.name}-${world.random.id()}`),
    }
  }

  get id(): string {
    return this.#id
  }

  get living(): boolean {
    return this.machine.state !== 'dead'
  }

  get sleeps(): boolean {
    return this.#character.sleeps
  }

  async live(): Promise<void> {
    const { profile, judge, trace } = this.#world
    const { priority, waitTimeoutMs } = this.#character
    try {
      const turn = await openTurn({
        api: this.way.api as unknown as TurnsApi,
        clock: this.machine,
        random: this.#random,
        queue: QUEUE,
        permits: profile.permits,
        priority,
        ttlMs: profile.ttlMs,
        stopGraceMs: profile.stopGraceMs,
        waitTimeoutMs,
        // Servers may be away for long here; giving up early is not what is looked at.
        connectTimeoutMs: 3_600_000,
        signal: this.#giveUp.signal,
        onProgress: (progress) => {
          if ('error' in progress)
            trace.note(
              this.machine.name,
              `${progress.type}: ${progress.error.code}, ${progress.error.message}`,
            )
        },
      })
      this.state = 'holding'
      await this.#hold(turn)
    } catch (error) {
      const code = isSignalboxError(error) ? error.code : 'internal'
      const fine =
        (code === 'wait_timeout' && waitTimeoutMs !== undefined) ||
        (code === 'cancelled' && this.#giveUp.signal.aborted) ||
        // Only one that was granted its turn and did not take it up in time.
        (code === 'turn_lost' && !this.#world.settled)
      if (code === 'wait_timeout') this.#world.count('wait timed out', this.machine.name)
      judge.gaveUp(this.#id)
      if (!fine) judge.violated('nobody live is refused', `${this.#id}: ${String(error)}`)
    }
    this.state = 'over'
    await this.way.close()
    this.#world.trace.note(this.machine.name, 'is through')
  }

  /** Ctrl-C while it waits; ends a hold as well when that is what it came to. */
  abort(): void {
    this.machine.run(() => this.#giveUp.abort())
  }

  kill(): void {
    this.machine.kill()
    this.way.drop()
  }

  /** Its clocks were stepped: a supervisor that finds a deadline passed has ended the command for good. */
  looked(): void {
    if (this.#work?.atWork() === false) this.#work.end()
  }

  standingSince(): number | undefined {
    return this.way.standingSince(this.#id)
  }

  /** A buggy or hostile client with a fence that is not this member's. */
  stray(fence: number): void {
    const { api } = this.way
    const calls = [api.beat(QUEUE, this.#id, fence, undefined), api.leave(QUEUE, this.#id, fence, undefined)]
    for (const call of calls) call.catch(() => {})
  }

  async #hold(turn: Turn): Promise<void> {
    const { judge, trace } = this.#world
    trace.note(this.machine.name, 'holds fence', turn.fence)
    if (!turn.isHeld()) judge.violated('a turn is held when it is handed over', turn.id)
    const quiet = this.#world.settled
    const work = this.#begin(turn)
    await this.#done(turn)
    work.end()
    if (quiet && turn.lost.aborted)
      judge.violated('nobody live loses its turn', `${turn.id}, without any fault`)
    if (this.#character.abandons) {
      this.#world.count('hold abandoned', this.machine.name)
      turn.abandon()
      return
    }
    trace.note(this.machine.name, turn.lost.aborted ? 'has lost its turn' : 'ends its work')
    const outcome = await turn.release()
    judge.ended(turn, outcome)
    trace.note(this.machine.name, `release: ${outcome}`)
  }

  #begin(turn: Turn): Work & { end: () => void } {
    const { judge, profile } = this.#world
    const { machine } = this
    let limits = turn.limits()
    let ended = false
    const work = {
      id: turn.id,
      ticket: turn.ticket,
      fence: turn.fence,
      ttlMs: profile.ttlMs,
      atWork: () =>
        !ended &&
        machine.state !== 'suspended' &&
        machine.monotonic() < limits.at &&
        machine.now() < limits.wallAt,
      leftMs: () => (limits.at - machine.monotonic()) / machine.rate,
      end: () => {
        ended = true
        judge.stops(work)
      },
    }
    this.#work = work
    judge.works(work)
    turn.onDeadline((later) => {
      limits = later
      if (!ended) judge.works(work)
    })
    return work
  }

  /** Until the command has ended: by itself, when told to stop, or killed. */
  #done(turn: Turn): Promise<void> {
    const { workMs, stubborn } = this.#character
    return new Promise((resolve) => {
      const timer = this.machine.timer(workMs, resolve)
      const stop = (): void => {
        timer.cancel()
        resolve()
      }
      const signal = stubborn ? turn.lost : turn.stopping
      if (signal.aborted) stop()
      signal.addEventListener('abort', stop, { once: true })
    })
  }
}
