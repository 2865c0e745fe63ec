/** How members may end: by their own wish, or evicted after a whole TTL of silence that the server saw itself. */
import type { Entry, Grant, Waiter } from '../../src/turns/records.ts'
import type { Writes } from './writes.ts'

/** The server that committed. */
export interface Committer {
  readonly name: string
  readonly rate: number
  /** Milliseconds it has lived, on its own clock. */
  readonly age: number
}

export interface LedgerOptions {
  readonly queue: string
  readonly permits: number
  /** True milliseconds. */
  readonly now: () => number
  readonly violated: (invariant: string, detail: string) => void
  readonly note: (who: string, what: string, number?: number) => void
}

export class Endings {
  readonly #o: LedgerOptions
  /** By ticket: true time of the last write of its beat record. */
  readonly #beatAt: ReadonlyMap<number, number>
  /** By member id: what it asked to leave (undefined: whatever it has), without which nobody else may end it. */
  readonly leavesAsked = new Map<string, Set<number | undefined>>()
  evictions = 0

  constructor(options: LedgerOptions, beatAt: ReadonlyMap<number, number>) {
    this.#o = options
    this.#beatAt = beatAt
  }

  /** A holder went: released by its own wish, or evicted after a whole TTL of silence. */
  holder(holder: Grant, writes: Writes, by: Committer): void {
    const end = writes.members.find((m) => m.id === holder.id)?.end
    if (end?.as === 'released') {
      const asked = this.leavesAsked.get(holder.id)
      if (asked?.has(undefined) !== true && asked?.has(holder.fence) !== true)
        this.#o.violated(
          'only its holder releases a turn',
          `${holder.id} never asked to release ${holder.fence}`,
        )
      this.#o.note(holder.id, 'releases fence', holder.fence)
    } else if (end?.as === 'lost') this.#silent(holder, by, `loses fence ${holder.fence}`)
    else this.#o.violated('no hold is lost', `${holder.id} is no longer among the holders`)
  }

  waiter(waiter: Waiter, grants: readonly Grant[], writes: Writes, by: Committer): void {
    if (grants.some((g) => g.id === waiter.id)) return
    const end = writes.members.find((m) => m.id === waiter.id)?.end
    if (end?.as === 'withdrawn') {
      if (this.leavesAsked.get(waiter.id)?.has(undefined) !== true)
        this.#o.violated('nobody live is skipped', `${waiter.id} was withdrawn without asking`)
      this.#o.note(waiter.id, 'withdraws')
    } else if (end === undefined) this.#silent(waiter, by, 'is evicted from the line')
    else this.#o.violated('nobody live is skipped', `a waiter ended as ${end.as}`)
  }

  #silent(member: Entry, by: Committer, what: string): void {
    this.evictions++
    const beatAt = this.#beatAt.get(member.ticket) ?? Number.NaN
    const silent = (this.#o.now() - beatAt) * by.rate
    this.#o.note(member.id, `${what}; silent for ms`, Math.round(silent))
    // A hundredth of a millisecond for rounding.
    if (!(silent >= member.ttlMs - 0.01))
      this.#o.violated(
        'eviction only after a whole TTL of silence',
        `${member.id}: ${silent} of ${member.ttlMs} ms`,
      )
    if (by.age < member.ttlMs - 0.01)
      this.#o.violated(
        'a new server gives a whole TTL of grace',
        `${by.name} evicts at an age of ${by.age} ms`,
      )
  }
}
