/**
 * The requests of a client that wait for an answer, over as many connections as that takes.
 *
 * Invariants:
 * - a call is settled exactly once: by its answer, its deadline, or the end of its connection;
 * - a call that may be made only once is never sent again after it was handed to a connection, unless the owner says that it did
 *   nothing; when its answer does not come its outcome is unknown;
 * - everything else is sent again on the next connection, until its deadline;
 * - calls of a lane are sent in the order in which they were made, also after a break.
 */
import type { Clock, Timer } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Link } from './link.ts'
import { fromWire, type Answer } from './wire.ts'

export type Lane = 0 | 1

export interface NewCall {
  readonly method: string
  /** JSON text; as a function, made anew each time it is sent. */
  readonly args: string | (() => string)
  /** It may change something, so it is never repeated without need. */
  readonly once: boolean
  /** Calls of one lane do not wait for those of another. */
  readonly lane: Lane
  /** What it may take at the owner, beyond the deadline. */
  readonly extraMs?: () => number
}

interface Call extends NewCall {
  readonly id: number
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
  timer: Timer | undefined
  /** Monotonic time at which it was handed to the present connection. */
  sentAt: number | undefined
  /** Its caller gave up, and waits for the owner to know: how it ends then. */
  stopped: Ending | undefined
}

/** How a call ends whose caller gave up. */
export type Ending = { readonly result: unknown } | { readonly reason: unknown }

/** What an answer was for. */
export interface Answered {
  /** Monotonic time of the request. */
  readonly sentAt: number
  /** A caller has it now. */
  readonly taken: boolean
}

export class Calls {
  readonly #clock: Clock
  readonly #deadlineMs: number
  readonly #where: string
  readonly #calls = new Map<number, Call>()
  /** Of each lane, in the order of sending. */
  readonly #unsent: readonly [Set<Call>, Set<Call>] = [new Set(), new Set()]
  /** How many of each lane are with the present connection. */
  readonly #sent: [number, number] = [0, 0]
  #idle: PromiseWithResolvers<void> | undefined
  /** Why there is no connection, for messages. */
  reason = 'no connection yet'

  /** @param where what messages call the owner */
  constructor(clock: Clock, deadlineMs: number, where: string) {
    this.#where = where
    this.#clock = clock
    this.#deadlineMs = deadlineMs
  }

  get size(): number {
    return this.#calls.size
  }

  /** Calls that the present connection has not answered yet. */
  get inFlight(): number {
    return this.#sent[0] + this.#sent[1]
  }

  /** @param id larger than all before */
  add(id: number, call: NewCall): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const added: Call = {
        ...call,
        id,
        resolve,
        reject,
        timer: undefined,
        sentAt: undefined,
        stopped: undefined,
      }
      this.#calls.set(id, added)
      this.#unsent[added.lane].add(added)
      this.#arm(added, 0)
    })
  }

  /**
   * Hands calls to a connection while it has room.
   * @param room how many of each lane it may have
   */
  sendTo(link: Link, room: readonly number[]): void {
    this.#unsent.forEach((unsent, lane) => {
      for (const call of unsent) {
        if (this.#sent[call.lane] >= (room[lane] ?? 0) || link.full) return
        unsent.delete(call)
        this.#sent[call.lane] += 1
        call.sentAt = this.#clock.monotonic()
        if (call.extraMs !== undefined) this.#arm(call, call.extraMs())
        const args = typeof call.args === 'string' ? call.args : call.args()
        link.send(`{"i":${call.id},"m":"${call.method}","a":${args}}`)
      }
    })
  }

  /** @returns undefined when nobody waits for this answer (any more) */
  answer({ i, r, e, again, k }: Answer): Answered | undefined {
    const call = this.#calls.get(i)
    if (call?.sentAt === undefined) return undefined
    const { sentAt, stopped } = call
    if (stopped !== undefined) {
      // What it brings, nobody wants; the owner has yet to read that, and then answers once more.
      if (k !== 1) this.#end(call, stopped)
      return { sentAt, taken: false }
    }
    if (again === 1) this.#requeue([call])
    else if (e === undefined) this.#settle(call)?.resolve(r)
    else this.#settle(call)?.reject(fromWire(e))
    return { sentAt, taken: again !== 1 && e === undefined }
  }

  /** The caller of this one gave up, and does not wait for the owner. */
  abandon(id: number, reason: unknown): void {
    const call = this.#calls.get(id)
    if (call !== undefined) this.#settle(call)?.reject(reason)
  }

  /**
   * The caller of this one gives up: at once when it was not sent, else when the owner has answered that it knows.
   * @returns whether the owner is to be told
   */
  stop(id: number, ending: Ending): boolean {
    const call = this.#calls.get(id)
    if (call === undefined || call.stopped !== undefined) return false
    if (call.sentAt === undefined) {
      this.#end(call, ending)
      return false
    }
    call.stopped = ending
    this.#arm(call, 0)
    return true
  }

  /** The connection ended: settles what may have been applied, keeps the rest for the next one. */
  disconnected(): void {
    const sent = [...this.#calls.values()].filter(({ sentAt }) => sentAt !== undefined)
    for (const call of sent) {
      if (call.stopped !== undefined) this.#end(call, call.stopped)
      else if (call.once) this.#settle(call)?.reject(this.#lost())
    }
    this.#requeue(sent.filter(({ once, stopped }) => !once && stopped === undefined))
  }

  /** Rejects what was not sent; nothing will connect any more. */
  giveUp(): void {
    for (const unsent of this.#unsent)
      for (const call of unsent) this.#settle(call)?.reject(this.#unreachable())
  }

  /** Resolves when nothing waits for an answer. */
  idle(): Promise<void> {
    this.#idle ??= Promise.withResolvers<void>()
    if (this.#calls.size === 0) this.#idle.resolve()
    return this.#idle.promise
  }

  #requeue(calls: readonly Call[]): void {
    for (const call of calls) {
      this.#sent[call.lane] -= 1
      call.sentAt = undefined
      if (call.extraMs !== undefined) this.#arm(call, 0)
    }
    for (const unsent of this.#unsent) {
      const back = calls.filter(({ lane }) => this.#unsent[lane] === unsent)
      const all = [...back, ...unsent].toSorted((a, b) => a.id - b.id)
      unsent.clear()
      for (const call of all) unsent.add(call)
    }
  }

  #arm(call: Call, extraMs: number): void {
    call.timer?.cancel()
    call.timer = this.#clock.timer(this.#deadlineMs + extraMs, () => {
      const late = call.once && call.sentAt !== undefined
      if (call.stopped !== undefined) this.#end(call, call.stopped)
      else this.#settle(call)?.reject(late ? this.#lost() : this.#unreachable())
    })
  }

  #end(call: Call, ending: Ending): void {
    const settled = this.#settle(call)
    if ('result' in ending) settled?.resolve(ending.result)
    else settled?.reject(ending.reason)
  }

  /** Takes the call off the books. @returns it, unless it was settled before. */
  #settle(call: Call): Call | undefined {
    if (!this.#calls.delete(call.id)) return undefined
    call.timer?.cancel()
    this.#unsent[call.lane].delete(call)
    if (call.sentAt !== undefined) this.#sent[call.lane] -= 1
    if (this.#calls.size === 0) this.#idle?.resolve()
    return call
  }

  #unreachable(): SignalboxError {
    return new SignalboxError(
      'unavailable',
      `the owner of the data (${this.#where}) does not answer: ${this.reason}; if it does not come back, start it again`,
    )
  }

  #lost(): SignalboxError {
    return new SignalboxError(
      'outcome_unknown',
      `the connection to the owner of the data (${this.#where}) broke before its answer`,
    )
  }
}
