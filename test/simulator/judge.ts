/**
 * The referee of a history: holds what members are told and believe against the records (ledger.ts), and remembers the
 * first invariant that was broken.
 */
import type { LeaveView, MemberView } from '../../src/turns/api.ts'
import { Ledger } from './ledger.ts'
import type { Timeline } from './timeline.ts'
import type { Trace } from './trace.ts'

export interface Violation {
  readonly invariant: string
  readonly detail: string
  /** True milliseconds. */
  readonly at: number
}

/** The command of a member that holds a turn. */
export interface Work {
  readonly id: string
  readonly ticket: number
  readonly fence: number
  readonly ttlMs: number
  /** Whether it may still be running, by its own machine's clocks. */
  atWork(): boolean
  /** True milliseconds until its deadline. */
  leftMs(): number
}

/** Rates of clocks differ by at most this much from true time, either way. */
export const MAX_DRIFT = 0.03

export class Judge {
  readonly ledger: Ledger
  readonly #timeline: Timeline
  readonly #permits: number
  readonly #trace: Trace
  readonly #work = new Set<Work>()
  /** Members that were told that they left. */
  readonly #left = new Set<string>()
  /** Members that know their ticket. */
  readonly told = new Set<string>()
  #highestAcknowledged = 0
  #readySince: { readonly id: string; readonly at: number } | undefined
  violation: Violation | undefined

  constructor(queue: string, permits: number, timeline: Timeline, trace: Trace) {
    this.#timeline = timeline
    this.#permits = permits
    this.#trace = trace
    this.ledger = new Ledger({
      queue,
      permits,
      now: () => timeline.monotonic(),
      violated: (invariant, detail) => this.violated(invariant, detail),
      note: (who, what, number) => trace.note(who, what, number),
    })
  }

  violated(invariant: string, detail: string): void {
    if (this.violation !== undefined) return
    this.violation = { invariant, detail, at: this.#timeline.monotonic() }
    this.#trace.note('JUDGE', `${invariant}: ${detail}`)
  }

  /** After each event. */
  check(): void {
    let working = 0
    for (const work of this.#work) {
      if (!work.atWork()) continue
      working++
      if (!this.ledger.holds(work.fence))
        this.violated('only a recorded holder is at work', `${work.id} works with fence ${work.fence}`)
    }
    if (working > this.#permits)
      this.violated('at most `permits` at work', `${working} work with ${this.#permits} permits`)
  }

  joinBegins(id: string): void {
    if (!this.ledger.joinFloor.has(id)) this.ledger.joinFloor.set(id, this.#highestAcknowledged)
  }

  /** A member received this answer to a request it sent at `sentAt`, true time. */
  heard(view: MemberView, sentAt: number): void {
    this.told.add(view.id)
    this.#highestAcknowledged = Math.max(this.#highestAcknowledged, view.ticket)
    if (this.ledger.known(view.id)?.ticket !== view.ticket)
      this.violated('an acknowledged join is stored', `${view.id}: ticket ${view.ticket}`)
    if (view.state !== 'holding') return
    const fence = view.fence ?? 0
    if (this.ledger.grantee(fence) !== view.id)
      this.violated('an acknowledged grant is stored', `${view.id} was told that it holds with ${fence}`)
    // The server's clock may be fast: what it calls elapsed may be a little more than what has passed.
    this.#proven(view.id, view.ticket, sentAt + view.elapsedMs / (1 + MAX_DRIFT))
  }

  /** The answer to a beat. */
  beaten(id: string, sentAt: number): void {
    const known = this.ledger.known(id)
    if (known !== undefined) this.#proven(id, known.ticket, sentAt)
  }

  leaveBegins(id: string, fence: number | undefined): void {
    const asked = this.ledger.endings.leavesAsked.get(id)
    if (asked === undefined) this.ledger.endings.leavesAsked.set(id, new Set([fence]))
    else asked.add(fence)
  }

  /** The answer to a leave. */
  left(id: string, fence: number | undefined, { outcome }: LeaveView): void {
    const { ledger } = this
    const end = ledger.known(id)?.end
    if (end?.as === 'released' && (fence === undefined || end.fence === fence) && outcome !== 'released')
      this.violated('leave is idempotent', `${id} released ${end.fence}, and is told '${outcome}'`)
    if (outcome !== 'gone' && end === undefined)
      this.violated('an acknowledged release is stored', `${id} is told '${outcome}'`)
    if (fence !== undefined && ledger.grantee(fence) === id && ledger.holds(fence))
      this.violated('an acknowledged release is stored', `${id} holds ${fence} after '${outcome}'`)
    if (fence === undefined) this.#left.add(id)
    this.checkLeft()
  }

  /** What `Turn.release` came to. */
  ended({ id, fence }: { readonly id: string; readonly fence: number }, outcome: LeaveView['outcome']): void {
    if (outcome === 'released' && this.ledger.known(id)?.end?.as !== 'released')
      this.violated(
        'an acknowledged release is stored',
        `${id} released ${fence}, and the records do not know`,
      )
  }

  /** A member's wait ended before it held its turn. */
  gaveUp(id: string): void {
    const known = this.ledger.known(id)
    if (known !== undefined && known.end === undefined && !this.ledger.endings.leavesAsked.has(id))
      this.violated('who gives up leaves the queue first', id)
  }

  /** Those who were told that they left are not in the queue. */
  checkLeft(): void {
    const { control, line } = this.ledger
    const here = [...(control?.holders ?? []), ...line].find((m) => this.#left.has(m.id))
    if (here !== undefined) this.violated('who left never comes back', here.id)
  }

  /** A member starts to work, or its deadline moved. */
  works(work: Work): void {
    this.#work.add(work)
    const beatAt = this.ledger.beatAt(work.ticket) ?? Number.NaN
    // Whoever saw the last beat, on the fastest clock, evicts no sooner than this.
    const safe = beatAt + work.ttlMs / (1 + MAX_DRIFT) - this.#timeline.monotonic()
    if (!(work.leftMs() <= safe))
      this.violated(
        'the deadline lies before the earliest eviction',
        `${work.id}: ${work.leftMs()} ms, safe: ${safe}`,
      )
    this.check()
  }

  stops(work: Work): void {
    this.#work.delete(work)
  }

  /**
   * Without faults: is a permit free although the first in line stands ready?
   * @param standingSince true time since when the open request of a member has stood at a running server
   * @param withinMs how long that may last
   */
  checkHandOff(standingSince: (id: string) => number | undefined, withinMs: number): void {
    const { control, line } = this.ledger
    const first = line[0]
    const free = control !== undefined && control.holders.length < control.permits
    const since = free && first !== undefined ? standingSince(first.id) : undefined
    const now = this.#timeline.monotonic()
    if (since === undefined || first === undefined) this.#readySince = undefined
    else if (this.#readySince?.id !== first.id) this.#readySince = { id: first.id, at: now }
    else if (now - Math.max(since, this.#readySince.at) > withinMs)
      this.violated('a free permit is handed on at once', `${first.id} stands ready since ${since}`)
  }

  /** An answer that says "you hold" rests on a beat stored after the moment from which the member counts. */
  #proven(id: string, ticket: number, from: number): void {
    const beatAt = this.ledger.beatAt(ticket) ?? Number.NaN
    if (!(beatAt >= from - 1))
      this.violated(
        'every proof of a hold rests on a stored beat',
        `${id}: beat at ${beatAt}, counts from ${from}`,
      )
  }
}
