/** The time a request may take: its signal aborts, and its promise rejects, when it is over. */
import type { Clock, Timer } from '../../kernel/clock.ts'

export class Deadline {
  readonly #clock: Clock
  readonly #controller = new AbortController()
  readonly #expired = Promise.withResolvers<never>()
  #timer: Timer

  constructor(clock: Clock, ms: number) {
    this.#clock = clock
    this.#expired.promise.catch(() => undefined)
    this.#timer = this.#start(ms)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Rejects when the time is over. */
  get passed(): Promise<never> {
    return this.#expired.promise
  }

  restart(ms: number): void {
    this.#timer.cancel()
    this.#timer = this.#start(ms)
  }

  end(): void {
    this.#timer.cancel()
  }

  #start(ms: number): Timer {
    return this.#clock.timer(ms, () => {
      const error = Object.assign(new Error(`no answer within ${ms} ms`), { name: 'TimeoutError' })
      this.#expired.reject(error)
      this.#controller.abort(error)
    })
  }
}
