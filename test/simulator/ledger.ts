/**
 * The referee of the records: sees each commit of any server the moment it takes effect, keeps its own copy of the queue,
 * and says which invariant a commit breaks. It uses the layout of the records (records.ts) and nothing of the rules.
 */
import { type Control, type Grant, type Member, type Waiter } from '../../src/turns/records.ts'
import type { Change } from '../../src/ports/store.ts'
import { Endings, type Committer, type LedgerOptions } from './endings.ts'
import { checkShape, inLine } from './shape.ts'
import { parseWrites, type Writes } from './writes.ts'

interface Known {
  readonly ticket: number
  readonly priority: number
  end?: NonNullable<Member['end']>
}

export class Ledger {
  readonly #o: LedgerOptions
  readonly endings: Endings
  readonly #waiting = new Map<string, Waiter>()
  /** The waiters in the order of line. */
  #order: Waiter[] = []
  readonly #beats = new Set<number>()
  /** True time of the last write of each beat record, kept when the record goes. */
  readonly #beatAt = new Map<number, number>()
  readonly #known = new Map<string, Known>()
  readonly #tickets = new Map<number, string>()
  readonly #grants = new Map<number, string>()
  /** By member id: the greatest ticket acknowledged to anybody before it asked to join. */
  readonly joinFloor = new Map<string, number>()
  control: Control | undefined
  granted = 0

  constructor(options: LedgerOptions) {
    this.#o = options
    this.endings = new Endings(options, this.#beatAt)
  }

  get line(): readonly Waiter[] {
    return this.#order
  }

  beatAt(ticket: number): number | undefined {
    return this.#beatAt.get(ticket)
  }

  known(id: string): Known | undefined {
    return this.#known.get(id)
  }

  holds(fence: number): boolean {
    return this.control?.holders.some((h) => h.fence === fence) === true
  }

  /** Whose grant a fence was; undefined: it was never given. */
  grantee(fence: number): string | undefined {
    return this.#grants.get(fence)
  }

  committed(changes: readonly Change[], by: Committer): void {
    const writes = parseWrites(this.#o.queue, changes, this.#waiting)
    if (writes.controlGone) this.#o.violated('the control record stays', 'it was deleted')
    const before = this.control
    const after = writes.control ?? before
    if (after === undefined) {
      // Somebody who had only posted its join left before there was a queue.
      for (const member of writes.members) this.#enter(member)
      return
    }
    const held = before?.holders ?? []
    if (writes.control === undefined) {
      const here = [...held, ...this.#order].find((h) => writes.members.some((m) => m.id === h.id && m.end))
      if (here !== undefined) this.#o.violated('an end carries the control record', here.id)
    }
    const grants = after.holders.filter((h) => !held.some((b) => b.fence === h.fence))
    const gone = held.filter((b) => !after.holders.some((h) => h.fence === b.fence))
    this.#checkControl(before, after, grants)
    for (const member of writes.members) this.#enter(member)
    for (const waiter of writes.waiters) this.#enlist(waiter, writes)
    for (const holder of gone) this.endings.holder(holder, writes, by)
    for (const waiter of writes.waitersGone) this.endings.waiter(waiter, grants, writes, by)
    this.control = after
    for (const ticket of writes.beatsGone) this.#beats.delete(ticket)
    for (const ticket of writes.beats) {
      this.#beats.add(ticket)
      this.#beatAt.set(ticket, this.#o.now())
    }
    if (writes.waiters.length + writes.waitersGone.length > 0) this.#sortLine()
    for (const grant of grants) this.#grant(grant)
    checkShape(writes, after, this.#order, this.#beats, this.#o.violated)
  }

  #checkControl(before: Control | undefined, after: Control, grants: readonly Grant[]): void {
    const { violated, permits } = this.#o
    if (after.holders.length > permits)
      violated('at most `permits` holders', `${after.holders.length} hold ${permits}`)
    if (after.permits !== permits) violated('permits stay', `${after.permits}, not ${permits}`)
    if (before !== undefined && (after.fence < before.fence || after.tail < before.tail))
      violated(
        'fences and tickets never go back',
        `${before.fence}/${before.tail} → ${after.fence}/${after.tail}`,
      )
    let last = before?.fence ?? 0
    for (const { fence, id } of grants.toSorted((a, b) => a.fence - b.fence)) {
      if (fence <= last) violated('fences strictly increase', `${id} got ${fence} after ${last}`)
      last = Math.max(last, fence)
    }
    if (last > after.fence)
      violated('fences strictly increase', `${last} was given, ${after.fence} is the last`)
  }

  #enter(member: Member): void {
    const { violated } = this.#o
    const known = this.#known.get(member.id)
    // It asks for a ticket, and has none yet.
    if (known === undefined && member.posted !== undefined) return
    if (known?.end !== undefined && member.end?.as !== known.end.as)
      violated('an ended member never comes back', `${member.id} was ${known.end.as}, is ${member.end?.as}`)
    if (known !== undefined && (known.ticket !== member.ticket || known.priority !== member.priority))
      violated('tickets never change', `${member.id}: ${known.ticket} → ${member.ticket}`)
    if (known === undefined && member.ticket > 0) {
      const other = this.#tickets.get(member.ticket)
      if (other !== undefined) violated('tickets are unique', `${member.ticket}: ${other}, ${member.id}`)
      this.#tickets.set(member.ticket, member.id)
      const floor = this.joinFloor.get(member.id)
      if (floor === undefined) violated('nobody joins unasked', member.id)
      else if (member.ticket <= floor)
        violated(
          'a join acknowledged before another began has the smaller ticket',
          `${member.ticket} ≤ ${floor}`,
        )
      this.#o.note(member.id, 'joins with ticket', member.ticket)
    }
    const { ticket, priority, end } = member
    this.#known.set(member.id, end === undefined ? { ticket, priority } : { ticket, priority, end })
  }

  #enlist(waiter: Waiter, writes: Writes): void {
    const known = this.#known.get(waiter.id)
    if (known === undefined || known.ticket !== waiter.ticket || known.priority !== waiter.priority)
      this.#o.violated(
        'tickets never change',
        `${waiter.id} waits with ${waiter.ticket}, not ${known?.ticket}`,
      )
    if (known?.end !== undefined && !writes.members.some((m) => m.id === waiter.id))
      this.#o.violated('an ended member never comes back', `${waiter.id} waits`)
  }

  #grant(grant: Grant): void {
    const known = this.#known.get(grant.id)
    const other = this.#grants.get(grant.fence)
    if (other !== undefined)
      this.#o.violated('fences strictly increase', `${grant.fence} was given to ${other}`)
    if (known === undefined || known.ticket !== grant.ticket || known.priority !== grant.priority)
      this.#o.violated('tickets never change', `${grant.id} holds with ${grant.ticket}, not ${known?.ticket}`)
    if (known?.end !== undefined) this.#o.violated('an ended member never comes back', `${grant.id} holds`)
    this.#grants.set(grant.fence, grant.id)
    this.granted++
    this.#o.note(grant.id, 'is granted fence', grant.fence)
    const first = this.#order[0]
    if (first !== undefined && inLine(first, grant) < 0)
      this.#o.violated(
        'grants in the order of line',
        `${first.id} (${first.ticket}) was passed by ${grant.ticket}`,
      )
  }

  #sortLine(): void {
    const keys = [...this.#waiting.keys()].sort()
    this.#order = keys.map((key) => this.#waiting.get(key) as Waiter)
    for (let i = 1; i < this.#order.length; i++)
      if (inLine(this.#order[i - 1] as Waiter, this.#order[i] as Waiter) >= 0)
        this.#o.violated('keys are in the order of line', `at ${i}`)
  }
}
