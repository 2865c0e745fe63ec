/**
 * Members whose request is open here, ready to take the turn at once. Each is answered once: by the grant, by a change of
 * its position near the front, by its own time-out, or by its client hanging up.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { MemberView } from './api.ts'

export interface ReadyWaiter {
  readonly id: string
  /** Monotonic ms at which the request arrived. */
  readonly arrivedAt: number
  /** What its last answer would have said. */
  readonly position: number
  readonly inWindow: boolean
  /** Aborts when its client hangs up. */
  readonly signal: AbortSignal | undefined
  readonly resolve: (view: MemberView) => void
  readonly reject: (error: unknown) => void
}

interface Registered extends ReadyWaiter {
  readonly release: () => void
}

export class ReadyWaiters {
  readonly #clock: Clock
  readonly #byId = new Map<string, Registered>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#byId.size
  }

  get ids(): Iterable<string> {
    return this.#byId.keys()
  }

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  get(id: string): ReadyWaiter | undefined {
    return this.#byId.get(id)
  }

  /**
   * Takes the place of an earlier request of the same member, which the caller has answered.
   * @param waitMs until `onTimeout`
   */
  add(waiter: ReadyWaiter, waitMs: number, onTimeout: (waiter: ReadyWaiter) => void): void {
    const { signal } = waiter
    const onAbort = (): void => {
      if (this.#byId.get(waiter.id) !== registered) return
      this.take(waiter.id)
      waiter.reject(new SignalboxError('cancelled', 'the caller hung up'))
    }
    const timer: Timer = this.#clock.timer(waitMs, () => {
      if (this.#byId.get(waiter.id) !== registered) return
      this.take(waiter.id)
      onTimeout(waiter)
    })
    const release = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
    }
    const registered: Registered = { ...waiter, release }
    this.#byId.set(waiter.id, registered)
    signal?.addEventListener('abort', onAbort, { once: true })
  }

  /** Removes a waiter; whoever takes it answers it. */
  take(id: string): ReadyWaiter | undefined {
    const found = this.#byId.get(id)
    if (found === undefined) return undefined
    this.#byId.delete(id)
    found.release()
    return found
  }

  rejectAll(error: SignalboxError): void {
    for (const id of this.#byId.keys()) this.take(id)?.reject(error)
  }
}
