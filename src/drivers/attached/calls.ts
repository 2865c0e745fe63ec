/**
 * The requests of a client that wait for an answer, over as many connections as that takes.
 *
 * Invariants:
 * - a call is settled exactly once: by its answer, its deadline, or the end of its connection;
 * - a commit that was handed to a connection is never sent again; when its answer does not come its outcome is unknown;
 * - everything else is sent again on the next connection, until its deadline.
 */
import type { Clock, Timer } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Link } from './link.ts'
import { fromWire, type Answer, type Method } from './protocol.ts'

/** A deletion of many records takes its time at the owner: so many deadlines. */
const RETENTION_PATIENCE = 60

interface Call {
  readonly id: number
  readonly method: Method
  /** JSON text, made when the call was: later changes to its arguments do not count. */
  readonly frame: string
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
  timer: Timer | undefined
  /** Monotonic time at which it was handed to the present connection. */
  sentAt: number | undefined
}

export class Calls {
  readonly #clock: Clock
  readonly #deadlineMs: number
  readonly #socketPath: string
  readonly #calls = new Map<number, Call>()
  /** In the order of sending. */
  #unsent = new Set<Call>()
  #inFlight = 0
  #idle: PromiseWithResolvers<void> | undefined
  /** Why there is no connection, for messages. */
  reason = 'no connection yet'

  constructor(clock: Clock, deadlineMs: number, socketPath: string) {
    this.#socketPath = socketPath
    this.#clock = clock
    this.#deadlineMs = deadlineMs
  }

  get size(): number {
    return this.#calls.size
  }

  /** @param id never used before */
  add(id: number, method: Method, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const frame = JSON.stringify({ i: id, m: method, a: args })
      const call: Call = { id, method, frame, resolve, reject, timer: undefined, sentAt: undefined }
      this.#calls.set(id, call)
      this.#unsent.add(call)
      this.#arm(call)
    })
  }

  /** Hands calls to a connection while it has room. */
  sendTo(link: Link): void {
    for (const call of this.#unsent) {
      if (this.#inFlight >= link.hello.hello.inFlight || link.full) return
      this.#unsent.delete(call)
      this.#inFlight += 1
      call.sentAt = this.#clock.monotonic()
      if (call.method === 'deleteRange') this.#arm(call, RETENTION_PATIENCE)
      link.send(call.frame)
    }
  }

  /** @returns the monotonic time of the request, undefined when nobody waits for this answer (any more). */
  answer({ i, r, e, again }: Answer): number | undefined {
    const call = this.#calls.get(i)
    if (call?.sentAt === undefined) return undefined
    const { sentAt } = call
    if (again === 1) this.#requeue([call])
    else if (e === undefined) this.#settle(call)?.resolve(r)
    else this.#settle(call)?.reject(fromWire(e))
    return sentAt
  }

  /** The caller of this one gave up. */
  abandon(id: number, reason: unknown): void {
    const call = this.#calls.get(id)
    if (call !== undefined) this.#settle(call)?.reject(reason)
  }

  /** The connection ended: settles what may have been applied, keeps the rest for the next one. */
  disconnected(): void {
    const sent = [...this.#calls.values()].filter(({ sentAt }) => sentAt !== undefined)
    for (const call of sent) if (call.method === 'commit') this.#settle(call)?.reject(lost())
    this.#requeue(sent.filter(({ method }) => method !== 'commit'))
  }

  /** Rejects what was not sent; nothing will connect any more. */
  giveUp(): void {
    for (const call of this.#unsent) this.#settle(call)?.reject(this.#unreachable())
  }

  /** Resolves when nothing waits for an answer. */
  idle(): Promise<void> {
    this.#idle ??= Promise.withResolvers<void>()
    if (this.#calls.size === 0) this.#idle.resolve()
    return this.#idle.promise
  }

  #requeue(calls: readonly Call[]): void {
    for (const call of calls) {
      this.#inFlight -= 1
      call.sentAt = undefined
      if (call.method === 'deleteRange') this.#arm(call)
    }
    this.#unsent = new Set([...calls, ...this.#unsent])
  }

  #arm(call: Call, patience = 1): void {
    call.timer?.cancel()
    call.timer = this.#clock.timer(this.#deadlineMs * patience, () => {
      const late = call.method === 'commit' && call.sentAt !== undefined
      this.#settle(call)?.reject(late ? lost() : this.#unreachable())
    })
  }

  /** Takes the call off the books. @returns it, unless it was settled before. */
  #settle(call: Call): Call | undefined {
    if (!this.#calls.delete(call.id)) return undefined
    call.timer?.cancel()
    this.#unsent.delete(call)
    if (call.sentAt !== undefined) this.#inFlight -= 1
    if (this.#calls.size === 0) this.#idle?.resolve()
    return call
  }

  #unreachable(): SignalboxError {
    return new SignalboxError(
      'unavailable',
      `the owner of the store (${this.#socketPath}) does not answer: ${this.reason}`,
    )
  }
}

function lost(): SignalboxError {
  return new SignalboxError(
    'outcome_unknown',
    'the connection to the owner of the store broke before its answer',
  )
}
