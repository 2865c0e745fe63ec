/**
 * The rules of a turn queue, pure: a `Transition` takes the queue's state and a few facts, applies commands in order and
 * yields the next state with the changes that make it durable. No clock, no store, no randomness.
 *
 * Invariants (checked after every step by the tests):
 *  1. at most `permits` holders, unless `permits` was lowered under them;
 *  2. a fence is greater than every fence before it on this queue, tickets likewise;
 *  3. only the first in line is granted; a join never lands before a member of its priority or above it;
 *  4. a beat record exists exactly for holders and members of the window; the window is a prefix of the line;
 *  5. a member that ended (released, withdrawn, lost) never comes back.
 */
import { SignalboxError } from '../kernel/error.ts'
import type { Expect, Version } from '../ports/store.ts'
import type { LeaveView } from './api.ts'
import { ChangeSet } from './change-set.ts'
import {
  asJson,
  beatKey,
  compareInLine,
  controlKey,
  memberKey,
  MEMBER_KEPT_MS,
  waiterKey,
  type Beat,
  type Control,
  type Entry,
  type Grant,
  type Labels,
  type Member,
} from './records.ts'

/** The known head of the line. `complete`: nobody waits behind it. The window is its first `control.window.length`. */
export interface QueueState {
  readonly control: Control
  /** Undefined before the first join. */
  readonly version: Version | undefined
  readonly line: readonly Entry[]
  readonly complete: boolean
}

export const emptyState: QueueState = {
  control: { permits: 1, tail: 0, fence: 0, holders: [], window: [], evictions: 0, state: 'open' },
  version: undefined,
  line: [],
  complete: true,
}

export interface JoinCommand {
  readonly id: string
  readonly permits: number | undefined
  readonly priority: number
  readonly ttlMs: number
  readonly labels: Labels
}

/** Where a member stands. `known: false`: no such member, or its record has expired. */
export type Standing =
  | { readonly state: 'holding'; readonly grant: Grant }
  | { readonly state: 'waiting'; readonly entry: Entry }
  /** Evicted for silence: has its ticket still, and takes its old place when it comes back (`reinstate`). */
  | { readonly state: 'evicted'; readonly member: Member }
  | { readonly state: 'left'; readonly member: Member }
  | { readonly state: 'lost'; readonly member: Member }
  | { readonly state: 'unknown' }

const MAX_WINDOW = 64
/** How much of one hold's duration enters the moving average. */
const HOLD_WEIGHT = 0.2

export class Transition {
  readonly changes = new ChangeSet()
  readonly #queue: string
  readonly #before: QueueState
  readonly #now: number
  readonly #maxChanges: number
  readonly #beatMissing: (ticket: number) => boolean
  readonly #line: Entry[]
  readonly #holders: Grant[]
  readonly #granted: Grant[] = []
  /** What this transition already did to member records and to the line: the facts given with a command are older. */
  readonly #members = new Map<string, Member>()
  readonly #waits = new Map<string, boolean>()
  readonly #beaten = new Set<number>()
  #window: number
  #control: Control
  #complete: boolean
  #decided = false

  /**
   * @param now the store's time in milliseconds; used for display, averages and retention, never for a decision
   * @param maxChanges what a commit of the store takes; grants and the window stop growing before it
   * @param beatMissing a complete look found no beat record for this ticket: somebody deleted it from outside
   */
  constructor(
    queue: string,
    state: QueueState,
    now: number,
    maxChanges: number,
    beatMissing: (ticket: number) => boolean = () => false,
  ) {
    this.#queue = queue
    this.#maxChanges = maxChanges
    this.#beatMissing = beatMissing
    this.#before = state
    this.#now = now
    this.#control = state.control
    this.#line = [...state.line]
    this.#holders = [...state.control.holders]
    this.#window = state.control.window.length
    this.#complete = state.complete
  }

  /** Grants made by this transition. */
  get granted(): readonly Grant[] {
    return this.#granted
  }

  /** The control record will be written. */
  get decided(): boolean {
    return this.#decided
  }

  /** The state after the commands so far; `version` must be replaced by the one the commit returns. */
  get state(): QueueState {
    if (!this.#decided) return this.#before
    return {
      control: { ...this.#control, holders: this.#holders, window: this.#line.slice(0, this.#window) },
      version: this.#before.version,
      line: this.#line,
      complete: this.#complete,
    }
  }

  /** Adds the control record to the changes: written if anything was decided. Call once, before the commit. */
  seal(): void {
    if (!this.#decided) return
    const expect = this.#before.version === undefined ? 'absent' : { version: this.#before.version }
    this.changes.put(controlKey(this.#queue), expect, asJson(this.state.control))
  }

  /**
   * Where a member stands, from its record (undefined: none) and, for one beyond the known line, whether its waiter
   * record exists.
   */
  standing(id: string, member: Member | undefined, waits: boolean): Standing {
    const grant = this.#holders.find((g) => g.id === id)
    if (grant !== undefined) return { state: 'holding', grant }
    const entry = this.#line.find((e) => e.id === id)
    if (entry !== undefined) return { state: 'waiting', entry }
    member = this.#members.get(id) ?? member
    if (member === undefined) return { state: 'unknown' }
    if (member.end !== undefined)
      return member.end.as === 'lost' ? { state: 'lost', member } : { state: 'left', member }
    return (this.#waits.get(id) ?? waits)
      ? { state: 'waiting', entry: entryOf(member) }
      : { state: 'evicted', member }
  }

  /** An evicted waiter is back: same ticket, same place. */
  reinstate(member: Member): Entry {
    this.changes.put(memberKey(this.#queue, member.id), 'present', asJson(member))
    return this.#enlist(member)
  }

  /** @throws `conflict` for another number of permits, `queue_paused`; nothing is changed then. */
  join(command: JoinCommand): Entry {
    const fresh = this.#before.version === undefined && !this.#decided
    const permits = command.permits ?? (fresh ? 1 : this.#control.permits)
    if (!fresh && permits !== this.#control.permits) {
      throw new SignalboxError(
        'conflict',
        `permits: queue '${this.#queue}' has ${this.#control.permits}, the join asks for ${permits}; leave --permits out, or change the queue`,
        { details: { field: 'permits', permits: this.#control.permits } },
      )
    }
    if (this.#control.state !== 'open') {
      throw new SignalboxError(
        'queue_paused',
        `queue '${this.#queue}' is ${this.#control.state} and takes no new members; wait until it is resumed`,
      )
    }
    const ticket = this.#control.tail + 1
    this.#decide({ permits, tail: ticket })
    const member: Member = {
      id: command.id,
      ticket,
      priority: command.priority,
      ttlMs: command.ttlMs,
      joinedAt: this.#now,
      labels: command.labels,
    }
    this.#members.set(member.id, member)
    this.changes.put(memberKey(this.#queue, member.id), 'absent', asJson(member))
    return this.#enlist(member)
  }

  /** Proof of life, accepted from holders and from the window; others need none. */
  beat(entry: Entry & { readonly fence?: number }): boolean {
    const { fence, ticket } = entry
    const alive = fence === undefined ? this.inWindow(ticket) : this.#holders.some((g) => g.fence === fence)
    if (alive) this.#putBeat(entry, fence ?? 0, 'present')
    return alive
  }

  /** Is this waiter near enough to the front to have to beat? */
  inWindow(ticket: number): boolean {
    const index = this.#line.findIndex((e) => e.ticket === ticket)
    return index >= 0 && index < this.#window
  }

  /**
   * A member's own end. `standing` as given by `standing()`; an unknown member leaves a tombstone, so that a join which is
   * still on its way finds it.
   */
  leave(
    id: string,
    standing: Standing,
    member: Member | undefined,
    fence: number | undefined,
  ): LeaveView['outcome'] {
    const key = memberKey(this.#queue, id)
    if (standing.state === 'unknown') {
      if (fence === undefined) {
        const tombstone: Member = {
          id,
          ticket: 0,
          priority: 0,
          ttlMs: 0,
          joinedAt: this.#now,
          labels: {},
          end: { as: 'withdrawn', at: this.#now },
        }
        this.#members.set(id, tombstone)
        this.changes.put(key, 'absent', asJson(tombstone), this.#now + MEMBER_KEPT_MS)
      }
      return 'gone'
    }
    if (standing.state === 'left' || standing.state === 'lost') {
      const { end, ticket } = standing.member
      if (end?.as === 'released' && (fence === undefined || fence === end.fence)) return 'released'
      return end?.as === 'withdrawn' && fence === undefined && ticket > 0 ? 'withdrawn' : 'gone'
    }
    if (standing.state === 'evicted') {
      if (fence !== undefined) return 'gone'
      this.#end(standing.member, { as: 'withdrawn', at: this.#now })
      return 'withdrawn'
    }
    const current = member ?? {
      ...(standing.state === 'holding' ? standing.grant : standing.entry),
      labels: {},
    }
    if (standing.state === 'holding') {
      const { grant } = standing
      if (fence !== undefined && fence !== grant.fence) return 'gone'
      this.#dropHolder(grant, 'present')
      this.#averageHold(this.#now - grant.grantedAt)
      this.#end(current, { as: 'released', at: this.#now, fence: grant.fence })
      return 'released'
    }
    if (fence !== undefined) return 'gone'
    this.#dropWaiter(standing.entry, 'present')
    this.#end(current, { as: 'withdrawn', at: this.#now })
    return 'withdrawn'
  }

  /**
   * Ends a member that an observer saw silent for a whole TTL; nothing happens unless it still holds with that fence (0:
   * still stands in the window) and its beat still has that version when the commit is applied.
   */
  evict(ticket: number, fence: number, beat: Version | null, member: Member | undefined): boolean {
    if (this.#beaten.has(ticket)) return false
    const grant = this.#holders.find((g) => g.ticket === ticket && g.fence === fence)
    if (grant !== undefined) {
      this.#dropHolder(grant, beat === null ? 'absent' : { version: beat })
      this.#end(member ?? { ...grant, labels: {} }, { as: 'lost', at: this.#now, fence })
      return true
    }
    const entry =
      fence === 0 && this.inWindow(ticket) ? this.#line.find((e) => e.ticket === ticket) : undefined
    if (entry === undefined) return false
    this.#decide({ evictions: this.#control.evictions + 1 })
    this.#dropWaiter(entry, beat === null ? 'absent' : { version: beat })
    // No end: if it comes back within a day it takes its old place.
    if (member !== undefined) {
      this.changes.put(
        memberKey(this.#queue, entry.id),
        'present',
        asJson(member),
        this.#now + MEMBER_KEPT_MS,
      )
    }
    return true
  }

  /**
   * Grants while a permit is free and the first in line is ready to take it. Strictly in order: one that is not ready
   * is waited for (or evicted), never passed.
   * @returns false when it stopped early (a full commit, or the known line is used up), and another should go on
   */
  settle(ready: (id: string) => boolean): boolean {
    while (this.#control.state !== 'paused' && this.#holders.length < this.#control.permits) {
      const first = this.#line[0]
      if (first === undefined) return this.#complete
      if (!ready(first.id)) return true
      if (this.changes.size + 5 > this.#maxChanges) return false
      this.#grant(first)
    }
    return true
  }

  #grant(entry: Entry): void {
    const fence = this.#control.fence + 1
    this.#decide({ fence, evictions: 0 })
    if (this.#window === 0) this.#putBeat(entry, 0, 'absent')
    this.#line.shift()
    this.#window = Math.max(0, this.#window - 1)
    this.changes.delete(waiterKey(this.#queue, entry), 'present')
    const grant: Grant = { ...entry, fence, grantedAt: this.#now }
    this.#holders.push(grant)
    this.#granted.push(grant)
    this.#putBeat(grant, fence, 'present')
    this.#refill()
  }

  #enlist(member: Member): Entry {
    this.#decide({})
    const { end: _, ...waiter } = member
    const entry = entryOf(member)
    this.changes.put(waiterKey(this.#queue, entry), 'absent', asJson(waiter))
    this.#waits.set(member.id, true)
    let at = this.#line.findIndex((other) => compareInLine(entry, other) < 0)
    if (at < 0) {
      if (!this.#complete) return entry // it stands behind the part of the line that is known
      at = this.#line.length
    }
    this.#line.splice(at, 0, entry)
    if (at < this.#window) {
      this.#putBeat(entry, 0, 'absent')
      this.#window++
      if (this.#window > Math.max(MAX_WINDOW, this.#control.permits + 1)) {
        this.#window--
        const displaced = this.#line[this.#window]
        if (displaced !== undefined) this.#dropBeat(displaced.ticket, 'present')
      }
    }
    this.#refill()
    return entry
  }

  /** Extends the window to its size. Who enters it has a beat record from then on. */
  #refill(): void {
    const { permits, evictions } = this.#control
    const size = Math.max(permits + 1, Math.min(MAX_WINDOW, (permits + 1) * 2 ** Math.min(evictions, 6)))
    while (this.#window < size && this.changes.size + 3 <= this.#maxChanges) {
      const next = this.#line[this.#window]
      if (next === undefined) return
      this.#putBeat(next, 0, 'absent')
      this.#window++
    }
  }

  #putBeat(entry: Entry, fence: number, expect: 'present' | 'absent'): void {
    if (expect === 'present' && this.#beatMissing(entry.ticket)) {
      // Putting it back must not race an eviction, so it goes through the control record.
      this.#decide({})
      expect = 'absent'
    }
    this.#beaten.add(entry.ticket)
    const beat: Beat = { id: entry.id, fence, at: this.#now }
    this.changes.put(beatKey(this.#queue, entry.ticket), expect, asJson(beat))
  }

  #dropHolder(grant: Grant, beat: Expect): void {
    this.#decide({})
    this.#holders.splice(this.#holders.indexOf(grant), 1)
    this.#dropBeat(grant.ticket, beat)
  }

  #dropWaiter(entry: Entry, beat: Expect): void {
    this.#decide({})
    this.changes.delete(waiterKey(this.#queue, entry), 'present')
    this.#waits.set(entry.id, false)
    const at = this.#line.findIndex((other) => other.ticket === entry.ticket)
    if (at < 0) return
    this.#line.splice(at, 1)
    if (at >= this.#window) return
    this.#window--
    this.#dropBeat(entry.ticket, beat)
    this.#refill()
  }

  #dropBeat(ticket: number, expect: Expect): void {
    const key = beatKey(this.#queue, ticket)
    const missing = expect === 'present' && this.#beatMissing(ticket)
    if (missing || expect === 'absent') this.changes.check(key, 'absent')
    else this.changes.delete(key, expect)
  }

  #end(member: Member, end: NonNullable<Member['end']>): void {
    const ended: Member = { ...entryOf(member), labels: member.labels, end }
    this.#members.set(member.id, ended)
    this.changes.put(memberKey(this.#queue, member.id), 'present', asJson(ended), this.#now + MEMBER_KEPT_MS)
  }

  #averageHold(heldMs: number): void {
    const before = this.#control.holdMs
    const held = Math.max(0, heldMs)
    this.#decide({ holdMs: Math.round(before === undefined ? held : before + HOLD_WEIGHT * (held - before)) })
  }

  #decide(next: Partial<Control>): void {
    this.#decided = true
    this.#control = { ...this.#control, ...next }
  }
}

function entryOf({ id, ticket, priority, ttlMs, joinedAt }: Entry): Entry {
  return { id, ticket, priority, ttlMs, joinedAt }
}
