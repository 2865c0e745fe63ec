/** What must hold of a queue's records as they lie in the store. */
import type { Control, Entry } from '../../src/turns/records.ts'
import type { Writes } from './writes.ts'

export function checkShape(
  writes: Writes,
  { holders, window, permits }: Control,
  line: readonly Entry[],
  beats: ReadonlySet<number>,
  violated: (invariant: string, detail: string) => void,
): void {
  if (writes.control === undefined && writes.waiters.length + writes.waitersGone.length > 0)
    violated('the line changes with the control record', 'a waiter was written alone')
  const must = new Set([...holders, ...window].map((m) => m.ticket))
  if (must.size !== holders.length + window.length) violated('a holder does not wait', [...must].join())
  for (const ticket of beats)
    if (!must.has(ticket)) violated('no beat outlives its turn', `a beat of ticket ${ticket}`)
  for (const ticket of must) if (!beats.has(ticket)) violated('who must beat has a beat', `${ticket}`)
  if (writes.control === undefined) return
  for (const [i, { ticket }] of window.entries())
    if (line[i]?.ticket !== ticket) violated('the window is the head of the line', `at ${i}: ${ticket}`)
  const wanted = Math.min(line.length, permits + 1)
  if (window.length < wanted) violated('the window is filled', `${window.length} of ${wanted}`)
  if (holders.some((h) => line.some((w) => w.id === h.id))) violated('a holder does not wait', 'one does')
}

/** Higher priority first, then ticket order: written here once more on purpose. */
export function inLine(a: Entry, b: Entry): number {
  return a.priority === b.priority ? a.ticket - b.ticket : b.priority - a.priority
}
