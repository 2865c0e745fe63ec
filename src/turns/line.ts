/**
 * The line of waiters as far as it is known, and the window at its head. Order only; what a change of it means for records
 * is up to the rules.
 *
 * Invariants: entries stand in line order; the window is a prefix of them; `complete` says that nobody stands behind them.
 */
import { compareInLine, type Control, type Entry } from './records.ts'

const MAX_WINDOW = 64

type Sizes = Pick<Control, 'permits' | 'evictions'>

/** How many the window is to hold: one more than there are permits, doubled by each eviction since the last grant. */
export function windowSize({ permits, evictions }: Sizes): number {
  return Math.max(permits + 1, Math.min(MAX_WINDOW, (permits + 1) * 2 ** Math.min(evictions, 6)))
}

/** What a window never exceeds, whoever steps into it. */
export function longestWindow({ permits }: Sizes): number {
  return Math.max(MAX_WINDOW, permits + 1)
}

export class Line {
  readonly #entries: Entry[]
  #window: number
  readonly complete: boolean

  constructor(entries: readonly Entry[], window: number, complete: boolean) {
    this.#entries = [...entries]
    this.#window = window
    this.complete = complete
  }

  get entries(): readonly Entry[] {
    return this.#entries
  }

  get window(): readonly Entry[] {
    return this.#entries.slice(0, this.#window)
  }

  get windowLength(): number {
    return this.#window
  }

  get first(): Entry | undefined {
    return this.#entries[0]
  }

  byId(id: string): Entry | undefined {
    return this.#entries.find((e) => e.id === id)
  }

  byTicket(ticket: number): Entry | undefined {
    return this.#entries.find((e) => e.ticket === ticket)
  }

  inWindow(ticket: number): boolean {
    const index = this.#entries.findIndex((e) => e.ticket === ticket)
    return index >= 0 && index < this.#window
  }

  /** Puts an entry in its place, if that is in the known part. @returns whether it landed within the window */
  insert(entry: Entry): boolean {
    let at = this.#entries.findIndex((other) => compareInLine(entry, other) < 0)
    if (at < 0) {
      if (!this.complete) return false // it stands behind the part that is known
      at = this.#entries.length
    }
    this.#entries.splice(at, 0, entry)
    if (at >= this.#window) return false
    this.#window++
    return true
  }

  /** Takes an entry out. @returns whether it stood in the window */
  remove(ticket: number): boolean {
    const at = this.#entries.findIndex((e) => e.ticket === ticket)
    if (at < 0) return false
    this.#entries.splice(at, 1)
    if (at >= this.#window) return false
    this.#window--
    return true
  }

  /** Lets the next one into the window. @returns undefined when nobody is known to stand behind it */
  widen(): Entry | undefined {
    const next = this.#entries[this.#window]
    if (next !== undefined) this.#window++
    return next
  }

  /** Puts the last one of the window out of it. */
  narrow(): Entry | undefined {
    if (this.#window === 0) return undefined
    this.#window--
    return this.#entries[this.#window]
  }
}
