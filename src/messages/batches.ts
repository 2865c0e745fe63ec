/**
 * Collects entries and carries them out in batches: at once when `eager` are there, else when the first has waited
 * `lingerMs`. Batches may overlap; an entry is in one of them at a time, for it is removed when its batch goes out.
 */
import type { Clock, Timer } from '../kernel/clock.ts'

export interface BatchesOptions<T> {
  readonly clock: Clock
  readonly lingerMs: number
  /** So many go out at once. */
  readonly eager: number
  /** Entries of one batch at most. */
  readonly most: number
  /** Never rejects. */
  readonly carryOut: (entries: readonly T[]) => Promise<void>
}

export class Batches<T> {
  readonly #options: BatchesOptions<T>
  readonly #waiting = new Set<T>()
  #timer: Timer | undefined

  constructor(options: BatchesOptions<T>) {
    this.#options = options
  }

  add(entry: T): void {
    const { clock, lingerMs } = this.#options
    this.#waiting.add(entry)
    this.#timer ??= clock.timer(lingerMs, () => this.flush())
  }

  remove(entry: T): void {
    this.#waiting.delete(entry)
  }

  /** Carries out what waits, if it is worth a batch; what would begin another one goes on waiting. */
  flushFull(): void {
    const { eager, most } = this.#options
    const { size } = this.#waiting
    if (size >= eager) this.#carryOut(size > most ? size - (size % most) : size)
  }

  /** Carries out all that waits. */
  flush(): void {
    this.#carryOut(this.#waiting.size)
  }

  #carryOut(count: number): void {
    const { clock, lingerMs, most, carryOut } = this.#options
    const entries = [...this.#waiting].slice(0, count)
    for (const entry of entries) this.#waiting.delete(entry)
    this.#timer?.cancel()
    this.#timer = this.#waiting.size === 0 ? undefined : clock.timer(lingerMs, () => this.flush())
    for (let i = 0; i < entries.length; i += most) void carryOut(entries.slice(i, i + most))
  }
}
