/**
 * Counts what a client has handled and measures itself from the `warmUp`-th message to the last: by then code is compiled and
 * connections are open. Its parent hears of both moments, to ask other processes at the same time.
 */
import { usage } from '../support/usage.ts'

export interface Measured {
  readonly messages: number
  readonly seconds: number
  /** Microseconds of this process. */
  readonly cpu: number
}

export class Meter {
  readonly #warmUp: number
  readonly #until: number
  readonly #done = Promise.withResolvers<Measured>()
  #handled = 0
  #begun: { readonly handled: number; readonly at: number; readonly cpu: number } | undefined

  constructor(warmUp: number, messages: number) {
    this.#warmUp = warmUp
    this.#until = warmUp + messages
    if (warmUp === 0) this.#begin()
  }

  /** Messages yet to be handled. */
  get left(): number {
    return this.#until - this.#handled
  }

  get done(): Promise<Measured> {
    return this.#done.promise
  }

  handled(count: number): void {
    if (this.left <= 0) return
    this.#handled += count
    if (this.#begun === undefined && this.#handled >= this.#warmUp) this.#begin()
    if (this.left > 0 || this.#begun === undefined) return
    const { handled, at, cpu } = this.#begun
    const seconds = (performance.now() - at) / 1_000
    this.#done.resolve({ messages: this.#handled - handled, seconds, cpu: usage().cpu - cpu })
  }

  #begin(): void {
    process.send?.('begun')
    this.#begun = { handled: this.#handled, at: performance.now(), cpu: usage().cpu }
  }
}
