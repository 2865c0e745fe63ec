/** Collects the jobs of a batch: it is ready when it is full, or when its first has waited long enough. */
import type { Clock, Timer } from '../../kernel/clock.ts'

interface Gathering<T> {
  items: T[]
  timer: Timer | undefined
}

export class Gather<T> {
  readonly #clock: Clock
  readonly #onReady: () => void
  readonly #open = new Map<string, Gathering<T>>()
  #full: T[][] = []
  #count = 0

  constructor(clock: Clock, onReady: () => void) {
    this.#clock = clock
    this.#onReady = onReady
  }

  /** Gathered, and not taken yet. */
  get size(): number {
    return this.#count
  }

  /** @param key what may go together */
  add(key: string, item: T, { max, withinMs }: { readonly max: number; readonly withinMs: number }): void {
    let gathering = this.#open.get(key)
    if (gathering === undefined) {
      gathering = { items: [], timer: this.#clock.timer(withinMs, () => this.#close(key)) }
      this.#open.set(key, gathering)
    }
    gathering.items.push(item)
    this.#count += 1
    if (gathering.items.length >= max) this.#close(key)
  }

  /** The next batch that is ready. */
  take(): T[] | undefined {
    const batch = this.#full.shift()
    this.#count -= batch?.length ?? 0
    return batch
  }

  /** All that was gathered, ready or not. */
  takeAll(): T[] {
    for (const { timer } of this.#open.values()) timer?.cancel()
    const all = [...this.#full.flat(), ...[...this.#open.values()].flatMap(({ items }) => items)]
    this.#open.clear()
    this.#full = []
    this.#count = 0
    return all
  }

  #close(key: string): void {
    const gathering = this.#open.get(key)
    if (gathering === undefined) return
    gathering.timer?.cancel()
    this.#open.delete(key)
    this.#full.push(gathering.items)
    this.#onReady()
  }
}
