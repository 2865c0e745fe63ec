/**
 * On a store that other servers share: what they change, for those who look on here (event streams). A hint only, like all
 * changes that people see; whoever waits for something waits on a mailbox, which looks for itself. Shared by all capabilities.
 *
 * While nobody looks on, nothing is read.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { Key, Store, Version } from './store.ts'

/** How long after a look the next one begins. */
const LOOK_AGAIN_MS = 2_000
/** Reads of one look that are under way at the same time. */
const AT_ONCE = 32

export interface ElsewhereOptions {
  readonly clock: Clock
  readonly store: Pick<Store, 'get'>
  /** For each name that people see, the record whose version changes with it. */
  readonly records: () => Promise<ReadonlyMap<string, Key>>
  readonly changed: (name: string) => void
}

export class Elsewhere {
  readonly #options: ElsewhereOptions
  #known: ReadonlyMap<string, Version> = new Map()
  #timer: Timer | undefined
  /** Counts starts and stops, so that a look that was under way then changes nothing. */
  #round = 0

  constructor(options: ElsewhereOptions) {
    this.#options = options
  }

  start(): void {
    this.#known = new Map()
    this.#lookLater(++this.#round)
  }

  stop(): void {
    this.#round++
    this.#timer?.cancel()
  }

  #lookLater(round: number): void {
    const look = async (): Promise<void> => {
      const found = await this.#look().catch(() => this.#known) // the next one will tell
      if (round !== this.#round) return
      for (const [name, version] of found) {
        if (this.#known.get(name) !== version) this.#options.changed(name)
      }
      this.#known = found
      this.#lookLater(round)
    }
    this.#timer = this.#options.clock.timer(LOOK_AGAIN_MS, () => void look(), { unref: true })
  }

  async #look(): Promise<ReadonlyMap<string, Version>> {
    const { store, records } = this.#options
    const versions = new Map<string, Version>()
    const all = [...(await records())]
    for (let first = 0; first < all.length; first += AT_ONCE) {
      const some = all.slice(first, first + AT_ONCE)
      const found = await Promise.all(some.map(([, key]) => store.get(key)))
      some.forEach(([name], index) => {
        const record = found[index]
        if (record !== undefined) versions.set(name, record.version)
      })
    }
    return versions
  }
}
