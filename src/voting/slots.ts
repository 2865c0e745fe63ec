/**
 * Names of which each is had by one at a time. The last one given back is taken first, so that a process that does little
 * uses few; which those are differs from process to process, so that they meet seldom.
 */
import type { Random } from '../kernel/id.ts'

interface Slot {
  readonly name: string
  /** Takes another name instead, if one is free. */
  swap(): void
  leave(): void
}

export class Slots {
  readonly #free: string[]
  readonly #waiting: ((name: string) => void)[] = []

  constructor(names: readonly string[], random: Random) {
    const drawn = names.map((name) => ({ name, order: random.next() }))
    this.#free = drawn.sort((a, b) => a.order - b.order).map(({ name }) => name)
  }

  /** Waits until one is free, in the order of the calls. */
  async take(): Promise<Slot> {
    let name = this.#free.pop() ?? (await new Promise<string>((resolve) => this.#waiting.push(resolve)))
    return {
      get name() {
        return name
      },
      swap: () => {
        const other = this.#free.shift()
        if (other === undefined) return
        this.#free.push(name)
        name = other
      },
      leave: () => {
        const next = this.#waiting.shift()
        if (next === undefined) this.#free.push(name)
        else next(name)
      },
    }
  }
}
