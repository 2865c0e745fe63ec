/**
 * The observer of one queue: decides who has been silent for a whole TTL. It holds one monotonic start per (member, fence,
 * beat version), taken when an *answer* of the store showed that combination; any other combination starts anew, so
 * what it suspects was truly unchanged for the TTL as this machine measures it. It compares no wall clocks, and a
 * new observer (after a restart) gives everyone a fresh TTL.
 */
import type { Version } from '../ports/store.ts'
import { safetyMargin } from './timing.ts'

/** A member that must beat: a holder (its fence) or one in the window (fence 0). */
export interface Watched {
  readonly id: string
  readonly ticket: number
  readonly fence: number
  readonly ttlMs: number
}

export interface Suspect extends Watched {
  /** The beat record as it was for the whole TTL; null: there is none (somebody deleted it from outside). */
  readonly beat: Version | null
}

interface Seen {
  watched: Watched
  /** Undefined: not looked at yet. */
  beat: Version | null | undefined
  since: number
  /** When this process last beat for it. */
  wroteAt?: number
}

export class Observer {
  readonly #seen = new Map<number, Seen>()
  #shown = new Set<number>()

  /** Who must beat now, as an answer at `at` (monotonic ms) showed. Others are dropped. */
  watch(members: readonly Watched[], at: number): void {
    const stay = new Set<number>()
    for (const watched of members) {
      stay.add(watched.ticket)
      const seen = this.#seen.get(watched.ticket)
      if (seen === undefined || seen.watched.fence !== watched.fence) {
        this.#seen.set(watched.ticket, { watched, beat: undefined, since: at })
      } else seen.watched = watched
    }
    if (stay.size === this.#seen.size) return
    for (const ticket of this.#seen.keys()) if (!stay.has(ticket)) this.#seen.delete(ticket)
  }

  /** Members whose beat record a complete look at `at` did not show, `shown` being all it did. */
  missed(shown: ReadonlySet<number>, at: number): void {
    this.#shown = new Set(shown)
    for (const ticket of this.#seen.keys()) if (!shown.has(ticket)) this.saw(ticket, null, at)
  }

  /** The version of a member's beat record (null: absent), as an answer at `at` (monotonic ms) showed it. */
  saw(ticket: number, beat: Version | null, at: number): void {
    const seen = this.#seen.get(ticket)
    if (seen === undefined || seen.beat === beat) return
    seen.beat = beat
    seen.since = at
  }

  /** This process has put that beat record itself. */
  wrote(ticket: number, beat: Version, at: number): void {
    this.#shown.add(ticket)
    this.saw(ticket, beat, at)
    const seen = this.#seen.get(ticket)
    if (seen !== undefined) seen.wroteAt = at
  }

  /** This observer was stalled: the silence of those whose margin is shorter than that does not count yet. */
  restart(stalledMs: number, at: number): void {
    for (const seen of this.#seen.values()) if (stalledMs > safetyMargin(seen.watched.ttlMs)) seen.since = at
  }

  /** This process has deleted that beat record. */
  deleted(ticket: number): void {
    this.#shown.delete(ticket)
  }

  /** As far as is known there is a beat record of this ticket, whether anybody must beat there or not. */
  isShown(ticket: number): boolean {
    return this.#shown.has(ticket)
  }

  /** Looked for, and not there. */
  isMissing(ticket: number): boolean {
    return this.#seen.get(ticket)?.beat === null
  }

  /** When (monotonic ms) this process last beat for the member; undefined: not since it is watched. */
  wroteAt(ticket: number): number | undefined {
    return this.#seen.get(ticket)?.wroteAt
  }

  /** When the next member could become suspect; undefined when nobody must beat. */
  nextDue(): number | undefined {
    let due: number | undefined
    for (const { since, watched } of this.#seen.values()) {
      if (due === undefined || since + watched.ttlMs < due) due = since + watched.ttlMs
    }
    return due
  }

  /** Silent for a whole TTL at `at`. */
  suspects(at: number): Suspect[] {
    const found: Suspect[] = []
    for (const { since, watched, beat } of this.#seen.values()) {
      if (beat !== undefined && at - since >= watched.ttlMs) found.push({ ...watched, beat })
    }
    return found
  }
}
