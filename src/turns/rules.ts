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
import { decimalKey, type Change, type Expect, type Version } from '../ports/store.ts'
import type { LeaveView } from './api.ts'
import { ChangeSet } from './change-set.ts'
import { Line, longestWindow, windowSize } from './line.ts'
import type { JoinCommand, QueueState, Standing } from './queue-state.ts'
import {
  asJson,
  beatKey,
  compareInLine,
  controlKey,
  HISTORY_KEPT_MS,
  historyPartition,
  inboxPartition,
  memberKey,
  MEMBER_KEPT_MS,
  waiterKey,
  type Beat,
  type Control,
  type Entry,
  type Grant,
  type Member,
  type Note,
  type PastHold,
  type Posted,
} from './records.ts'

/** How much of one hold's duration enters the moving average. */
const HOLD_WEIGHT = 0.2

/** What the last complete look at the beat records showed, by ticket. */
export interface BeatsSeen {
  /** Somebody who must beat has no record. */
  readonly isMissing: (ticket: number) => boolean
  readonly isShown: (ticket: number) => boolean
}

export class Transition {
  readonly changes = new ChangeSet()
  readonly #queue: string
  readonly #before: QueueState
  readonly #now: number
  readonly #maxChanges: number
  readonly #beats: BeatsSeen
  readonly #line: Line
  readonly #holders: Grant[]
  readonly #granted: Grant[] = []
  /** What this transition already did to member records and to the line: the facts given with a command are older. */
  readonly #members = new Map<string, Member>()
  readonly #waits = new Map<string, boolean>()
  readonly #beaten = new Set<number>()
  /** Who left the line out of the window. */
  readonly #departed: Entry[] = []
  #control: Control
  #decided = false

  /**
   * @param now the store's time in milliseconds; used for display, averages and retention, never for a decision
   * @param maxChanges what a commit of the store takes; grants and the window stop growing before it
   * @param beats what the last complete look showed of beat records that should not be missing, or not be there
   */
  constructor(
    queue: string,
    state: QueueState,
    now: number,
    maxChanges: number,
    beats: BeatsSeen = { isMissing: () => false, isShown: () => false },
  ) {
    this.#queue = queue
    this.#maxChanges = maxChanges
    this.#beats = beats
    this.#before = state
    this.#now = now
    this.#control = state.control
    this.#line = new Line(state.line, state.control.window.length, state.complete)
    this.#holders = [...state.control.holders]
  }

  /** Grants made by this transition. */
  get granted(): readonly Grant[] {
    return this.#granted
  }

  /** The queue has, or will have, records. */
  get exists(): boolean {
    return this.#before.version !== undefined || this.#decided
  }

  /** The control record will be written. */
  get decided(): boolean {
    return this.#decided
  }

  /** The state after the commands so far; `version` must be replaced by the one the commit returns. */
  get state(): QueueState {
    if (!this.#decided) return this.#before
    return {
      control: { ...this.#control, holders: this.#holders, window: this.#line.window },
      version: this.#before.version,
      line: this.#line.entries,
      complete: this.#line.complete,
    }
  }

  /** Adds a change that belongs with what was decided, such as its audit record. */
  add(change: Change): void {
    if (change.op === 'put') this.changes.put(change.key, change.expect, change.value, change.expiresAt)
  }

  /** Adds the control record to the changes: written if anything was decided. Call once, before the commit. */
  seal(): void {
    if (!this.#decided) return
    const last = this.#line.window.at(-1)
    // Who reads the new window takes it that nobody up to its last member left without a trace in it.
    const untold = this.#departed.some((e) => last === undefined || compareInLine(e, last) > 0)
    if (untold && this.#control.waiting > 0) this.#reshape()
    const expect = this.#before.version === undefined ? 'absent' : { version: this.#before.version }
    this.changes.put(controlKey(this.#queue), expect, asJson(this.state.control))
  }

  /**
   * Where a member stands, from its record (undefined: none) and, for one beyond the known line, whether its waiter
   * record exists.
   */
  standing(id: string, member: Member | undefined, waits: boolean): Standing {
    const grant = this.#holders.find((g) => g.id === id)
    if (grant !== undefined) return { state: grant.ending === undefined ? 'holding' : 'ending', grant }
    const entry = this.#line.byId(id)
    if (entry !== undefined) return { state: 'waiting', entry }
    member = this.#members.get(id) ?? member
    if (member === undefined) return { state: 'unknown' }
    if (member.posted !== undefined) return { state: 'posted', member, key: member.posted }
    if (member.end !== undefined)
      return member.end.as === 'lost' ? { state: 'lost', member } : { state: 'left', member }
    return (this.#waits.get(id) ?? waits)
      ? { state: 'waiting', entry: entryOf(member) }
      : { state: 'evicted', member }
  }

  /** An evicted waiter is back: same ticket, same place. */
  reinstate(member: Member): Entry {
    this.changes.put(memberKey(this.#queue, member.id), 'present', asJson(member))
    return this.#enlist(member, false)
  }

  /** @throws `conflict` for another number of permits, `queue_paused`; nothing is changed then. */
  join(command: JoinCommand): Entry {
    const member = this.#admit(command)
    this.changes.put(memberKey(this.#queue, member.id), 'absent', asJson(member))
    return this.#enlist(member, this.#atEnd(member.priority))
  }

  /** A join from the inbox gets its ticket. @throws as `join` */
  enlist(key: string, posted: Posted): Entry {
    const member = this.#admit({ permits: undefined, ...posted })
    // Its withdrawal deletes the same record, so that only one of the two happens.
    this.changes.delete([inboxPartition(this.#queue), key], 'present')
    this.changes.put(memberKey(this.#queue, member.id), 'present', asJson(member))
    return this.#enlist(member, this.#atEnd(member.priority))
  }

  #admit(command: JoinCommand): Member {
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
    return member
  }

  /** Proof of life, accepted from holders and from the window; others need none. */
  beat(entry: Entry & { readonly fence?: number }): boolean {
    const { fence, ticket } = entry
    const alive =
      fence === undefined
        ? this.#line.inWindow(ticket)
        : this.#holders.some((g) => g.fence === fence && g.ending === undefined)
    if (alive) this.#putBeat(entry, fence ?? 0, 'present')
    return alive
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
    if (standing.state === 'posted') {
      if (fence !== undefined) return 'gone'
      this.changes.delete([inboxPartition(this.#queue), standing.key], 'present')
      this.#end(standing.member, { as: 'withdrawn', at: this.#now })
      return 'withdrawn'
    }
    if (standing.state === 'evicted') {
      if (fence !== undefined) return 'gone'
      this.#decide({}) // or another server could put it back into line meanwhile
      this.#end(standing.member, { as: 'withdrawn', at: this.#now })
      return 'withdrawn'
    }
    if (standing.state === 'waiting') {
      if (fence !== undefined) return 'gone'
      this.#dropWaiter(standing.entry, 'present')
      this.#end(member ?? unlabelled(standing.entry), { as: 'withdrawn', at: this.#now })
      return 'withdrawn'
    }
    const { grant } = standing
    if (fence !== undefined && fence !== grant.fence) return 'gone'
    const released = standing.state === 'holding'
    this.#endHold(grant, member, 'present', released ? 'released' : 'evicted', grant.ending)
    if (released) this.#averageHold(this.#now - grant.grantedAt)
    return released ? 'released' : 'gone'
  }

  /**
   * Ends a member that an observer saw silent for a whole TTL; nothing happens unless it still holds with that fence (0:
   * still stands in the window) and its beat still has that version when the commit is applied.
   */
  evict(ticket: number, fence: number, beat: Version | null, member: Member | undefined): boolean {
    if (this.#beaten.has(ticket)) return false
    const grant = this.#holders.find((g) => g.ticket === ticket && g.fence === fence)
    if (grant !== undefined) {
      const expect = beat === null ? 'absent' : { version: beat }
      this.#endHold(grant, member, expect, grant.ending === undefined ? 'lost' : 'evicted', grant.ending)
      return true
    }
    const entry = fence === 0 && this.#line.inWindow(ticket) ? this.#line.byTicket(ticket) : undefined
    if (entry === undefined) return false
    this.#decide({ evictions: this.#control.evictions + 1 })
    this.#dropWaiter(entry, beat === null ? 'absent' : { version: beat })
    // No end: if it comes back within a day it takes its old place.
    if (member !== undefined) {
      this.#members.set(entry.id, member)
      this.changes.put(
        memberKey(this.#queue, entry.id),
        'present',
        asJson(member),
        this.#now + MEMBER_KEPT_MS,
      )
    }
    return true
  }

  /** Opens, pauses (no joins, no grants) or drains (no joins) the queue. @returns whether that changed anything */
  setState(state: Control['state'], note: Note): boolean {
    if (this.#control.state === state) return false
    const { note: _, ...control } = this.#control
    this.#control = control
    this.#decide(state === 'open' ? { state } : { state, note })
    return true
  }

  /** Changes the number of permits; lowering it revokes nobody. @returns whether that changed anything */
  setPermits(permits: number): boolean {
    if (this.#before.version !== undefined && this.#control.permits === permits) return false
    this.#decide({ permits })
    this.#refill()
    return true
  }

  /**
   * An operator's eviction. A waiter goes at once. A holder's beats are refused from now on, so that it stops its work; its
   * permit is free when it has left, or was silent for a TTL. `force` frees it at once: then only the fence keeps late
   * writes of its work away.
   */
  remove(
    standing: Standing,
    member: Member | undefined,
    note: Note,
    force: boolean,
  ): 'evicted' | 'ending' | 'gone' {
    switch (standing.state) {
      case 'waiting':
        this.#dropWaiter(standing.entry, 'present')
        this.#end(member ?? unlabelled(standing.entry), { as: 'lost', at: this.#now, note })
        return 'evicted'
      case 'posted':
        this.changes.delete([inboxPartition(this.#queue), standing.key], 'present')
        this.#end(standing.member, { as: 'lost', at: this.#now, note })
        return 'evicted'
      case 'evicted':
        this.#decide({})
        this.#end(standing.member, { as: 'lost', at: this.#now, note })
        return 'evicted'
      case 'holding':
      case 'ending':
        if (force) this.#endHold(standing.grant, member, 'present', 'evicted', note)
        else if (standing.state === 'holding') this.#markEnding(standing.grant, note)
        return force ? 'evicted' : 'ending'
      case 'left':
      case 'lost':
      case 'unknown':
        return 'gone'
    }
  }

  /**
   * Grants while a permit is free and the first in line is ready to take it. Strictly in order: one that is not ready
   * is waited for (or evicted), never passed.
   * @returns false when it stopped early (a full commit, or the known line is used up), and another should go on
   */
  settle(ready: (id: string) => boolean): boolean {
    while (this.#control.state !== 'paused' && this.#holders.length < this.#control.permits) {
      const { first } = this.#line
      if (first === undefined) return this.#line.complete
      if (!ready(first.id)) return true
      if (this.changes.size + 5 > this.#maxChanges) return false
      this.#grant(first)
    }
    return true
  }

  #grant(entry: Entry): void {
    const fence = this.#control.fence + 1
    this.#decide({ fence, evictions: 0 })
    if (!this.#takeOut(entry)) this.#putBeat(entry, 0, 'absent')
    this.changes.delete(waiterKey(this.#queue, entry), 'present')
    const grant: Grant = { ...entry, fence, grantedAt: this.#now }
    this.#holders.push(grant)
    this.#granted.push(grant)
    this.#putBeat(grant, fence, 'present')
    this.#refill()
  }

  /** Does a newcomer of this priority certainly stand behind everybody? */
  #atEnd(priority: number): boolean {
    const { floor } = this.#control
    return floor === undefined || priority <= floor
  }

  /** Takes a waiter out of the line. @returns whether it stood in the window */
  #takeOut(entry: Entry): boolean {
    const inWindow = this.#line.remove(entry.ticket)
    this.#decide({ waiting: Math.max(0, this.#control.waiting - 1) })
    if (inWindow) this.#departed.push(entry)
    else this.#reshape()
    return inWindow
  }

  /** The line has changed in a way that the control record does not tell. */
  #reshape(): void {
    this.#decide({ shape: this.#control.shape + 1 })
  }

  #enlist(member: Member, atEnd: boolean): Entry {
    const { waiting, floor = 0 } = this.#control
    this.#decide({
      waiting: waiting + 1,
      floor: waiting === 0 ? member.priority : Math.min(floor, member.priority),
    })
    if (!atEnd) this.#reshape()
    const { end: _, ...waiter } = member
    const entry = entryOf(member)
    this.changes.put(waiterKey(this.#queue, entry), 'absent', asJson(waiter))
    this.#waits.set(member.id, true)
    if (this.#line.insert(entry)) {
      this.#putBeat(entry, 0, 'absent')
      const full = this.#line.windowLength > longestWindow(this.#control)
      const displaced = full ? this.#line.narrow() : undefined
      if (displaced !== undefined) {
        this.#reshape()
        this.#dropBeat(displaced.ticket, 'present')
      }
    }
    this.#refill()
    return entry
  }

  /** Extends the window to its size. Who enters it has a beat record from then on. */
  #refill(): void {
    const size = windowSize(this.#control)
    while (this.#line.windowLength < size && this.changes.size + 3 <= this.#maxChanges) {
      const next = this.#line.widen()
      if (next === undefined) return
      this.#putBeat(next, 0, 'absent')
    }
  }

  #putBeat(entry: Entry, fence: number, expect: 'present' | 'absent'): void {
    if (expect === 'present' && this.#beats.isMissing(entry.ticket)) {
      // Putting it back must not race an eviction, so it goes through the control record.
      this.#decide({})
      expect = 'absent'
    } else if (expect === 'absent' && this.#isStray(entry.ticket)) expect = 'present'
    this.#beaten.add(entry.ticket)
    const beat: Beat = { id: entry.id, fence, at: this.#now }
    this.changes.put(beatKey(this.#queue, entry.ticket), expect, asJson(beat))
  }

  /** A beat record that nobody should have: left by a program that got it wrong. It must not keep its member out. */
  #isStray(ticket: number): boolean {
    const { holders, window } = this.#before.control
    const expected = [...holders, ...window].some((e) => e.ticket === ticket)
    return !expected && this.#beats.isShown(ticket)
  }

  #endHold(
    grant: Grant,
    member: Member | undefined,
    beat: Expect,
    as: PastHold['as'],
    note: Note | undefined,
  ): void {
    this.#decide({})
    this.#holders.splice(this.#holders.indexOf(grant), 1)
    this.#dropBeat(grant.ticket, beat)
    const { fence, grantedAt } = grant
    const noted = note === undefined ? {} : { note }
    const ended = member ?? unlabelled(grant)
    this.#end(ended, { as: as === 'released' ? 'released' : 'lost', at: this.#now, fence, ...noted })
    const past: PastHold = {
      ...entryOf(grant),
      fence,
      grantedAt,
      endedAt: this.#now,
      as,
      labels: ended.labels,
      ...noted,
    }
    const key = [historyPartition(this.#queue), decimalKey(fence)] as const
    this.changes.put(key, 'absent', asJson(past), this.#now + HISTORY_KEPT_MS)
  }

  #markEnding(grant: Grant, ending: Note): void {
    this.#decide({})
    this.#holders[this.#holders.indexOf(grant)] = { ...grant, ending }
  }

  #dropWaiter(entry: Entry, beat: Expect): void {
    this.changes.delete(waiterKey(this.#queue, entry), 'present')
    this.#waits.set(entry.id, false)
    if (!this.#takeOut(entry)) return
    this.#dropBeat(entry.ticket, beat)
    this.#refill()
  }

  #dropBeat(ticket: number, expect: Expect): void {
    const key = beatKey(this.#queue, ticket)
    const missing = expect === 'present' && this.#beats.isMissing(ticket)
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

function unlabelled(entry: Entry): Member {
  return { ...entryOf(entry), labels: {} }
}
