/** Planted faults in grants, fences, tickets and the line. */
import type { Edit, Mutant } from './mutants.ts'

const rules = (find: string, replace: string): Edit => ({ file: 'src/turns/rules.ts', find, replace })
const line = (find: string, replace: string): Edit => ({ file: 'src/turns/line.ts', find, replace })
const commands = (find: string, replace: string): Edit => ({ file: 'src/turns/commands.ts', find, replace })

export const orderMutants: readonly Mutant[] = [
  {
    name: 'double-grant',
    fault: 'one more is granted than there are permits',
    edits: [
      rules(
        'this.#holders.length < this.#control.permits)',
        'this.#holders.length <= this.#control.permits)',
      ),
    ],
  },
  {
    name: 'reused-fence',
    fault: 'the fence is counted from the present holders',
    edits: [
      rules(
        'const fence = this.#control.fence + 1',
        'const fence = Math.max(0, ...this.#holders.map((h) => h.fence)) + 1',
      ),
    ],
  },
  {
    name: 'reused-ticket',
    fault: 'the ticket is counted from those who are there',
    edits: [
      rules(
        'const ticket = this.#control.tail + 1',
        'const ticket = Math.max(0, ...[...this.#holders, ...this.state.line].map((e) => e.ticket)) + 1',
      ),
    ],
  },
  {
    name: 'resurrecting-beat',
    fault: 'a beat brings back the beat record of a member that lost its turn',
    edits: [
      commands(
        "if (standing.state !== 'holding' || standing.grant.fence !== command.fence)",
        `if (standing.state === 'lost') {
        t.beat({ ...standing.member, fence: command.fence })
        return { kind: 'beaten' }
      }
      if (standing.state !== 'holding' || standing.grant.fence !== command.fence)`,
      ),
      rules(
        "if (alive) this.#putBeat(entry, fence ?? 0, 'present')",
        "this.#putBeat(entry, fence ?? 0, alive ? 'present' : 'absent')",
      ),
    ],
  },
  {
    name: 'skipped-waiter',
    fault: 'the next who is ready is granted when the first in line is not',
    edits: [
      rules(
        'if (!ready(first.id)) return true',
        `if (!ready(first.id)) {
        const next = this.#line.window.find((e) => ready(e.id))
        if (next === undefined || this.changes.size + 5 > this.#maxChanges) return true
        this.#grant(next)
        continue
      }`,
      ),
    ],
  },
  {
    name: 'priority-inversion',
    fault: 'a lower priority goes first',
    edits: [
      {
        file: 'src/turns/records.ts',
        find: 'return b.priority - a.priority || a.ticket - b.ticket',
        replace: 'return a.priority - b.priority || a.ticket - b.ticket',
      },
      {
        file: 'src/turns/records.ts',
        find: '(MAX_PRIORITY - priority) * TICKETS_PER_CLASS',
        replace: 'priority * TICKETS_PER_CLASS',
      },
    ],
  },
  {
    name: 'window-not-refilled',
    fault: 'nobody enters the window when one leaves it: a row of dead waiters is stuck',
    edits: [
      rules(
        'if (!this.#takeOut(entry)) return\n    this.#dropBeat(entry.ticket, beat)\n    this.#refill()',
        'if (!this.#takeOut(entry)) return\n    this.#dropBeat(entry.ticket, beat)',
      ),
    ],
  },
  {
    name: 'window-does-not-grow',
    fault: 'evictions do not double the window: each dead waiter of a row costs a TTL',
    edits: [line('2 ** Math.min(evictions, 6)', '2 ** Math.min(evictions, 0)')],
  },
  {
    name: 'new-ticket-for-the-evicted',
    fault: 'an evicted waiter that comes back goes to the end of the line',
    edits: [
      rules(
        'reinstate(member: Member): Entry {',
        `reinstate(member: Member): Entry {
    member = { ...member, ticket: this.#control.tail + 1 }
    this.#decide({ tail: member.ticket })`,
      ),
    ],
  },
  {
    name: 'back-at-the-end',
    fault: 'an eviction and a repeated join in one batch: the join takes a new ticket',
    edits: [rules('this.#members.set(entry.id, member)', '')],
  },
  {
    name: 'the-lost-come-back',
    fault: 'an evicted holder may go back to its old place',
    edits: [
      rules('if (member.end !== undefined)', "if (member.end !== undefined && member.end.as !== 'lost')"),
    ],
  },
  {
    name: 'release-without-fence',
    fault: 'a leave with any fence ends the hold',
    edits: [
      rules(
        "if (fence !== undefined && fence !== grant.fence) return 'gone'",
        "if (grant.fence === 0) return 'gone'",
      ),
    ],
  },
]
