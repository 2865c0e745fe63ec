/**
 * The independent judge of a race: reads the log that the members themselves wrote (one JSON line an event, appended by each
 * process, times from the machine's monotonic clock) and knows nothing of the server. Run alone it prints a
 * verdict: `node test/races/judge.ts LOG PERMITS`.
 */
import { readFileSync } from 'node:fs'

export interface RaceEvent {
  readonly kind: 'ticket' | 'in' | 'out'
  readonly member: string
  /** Milliseconds of CLOCK_MONOTONIC. */
  readonly at: number
  readonly ticket: number
  readonly fence?: number
}

export interface Verdict {
  readonly members: number
  readonly grants: number
  readonly mostAtWork: number
  /** What is wrong, a sentence each; empty when all is well. */
  readonly complaints: readonly string[]
}

export function judge(events: readonly RaceEvent[], permits: number): Verdict {
  const complaints: string[] = []
  const tickets = new Map<string, Set<number>>()
  for (const { member, ticket } of events) tickets.set(member, (tickets.get(member) ?? new Set()).add(ticket))
  for (const [member, own] of tickets) {
    if (own.size > 1) complaints.push(`${member} had several tickets: ${[...own].join(', ')}`)
  }
  const all = [...tickets.values()].flatMap((own) => [...own])
  if (new Set(all).size < all.length) complaints.push('two members had the same ticket')

  const entries = events.filter((e) => e.kind === 'in').sort((a, b) => (a.fence ?? 0) - (b.fence ?? 0))
  const fences = entries.map((e) => e.fence ?? 0)
  if (new Set(fences).size < fences.length) complaints.push('a fence was given twice')
  for (const [index, entry] of entries.entries()) {
    const before = entries[index - 1]
    if (before !== undefined && before.ticket > entry.ticket) {
      complaints.push(`ticket ${entry.ticket} was granted after ticket ${before.ticket}`)
    }
    // With one permit, a higher fence also starts later.
    if (permits === 1 && before !== undefined && before.at > entry.at)
      complaints.push(`fence ${entry.fence ?? 0} started early`)
  }

  const steps = events
    .filter((e) => e.kind !== 'ticket')
    .sort((a, b) => a.at - b.at || (a.kind === 'out' ? -1 : 1))
  let atWork = 0
  let mostAtWork = 0
  for (const { kind } of steps) {
    atWork += kind === 'in' ? 1 : -1
    mostAtWork = Math.max(mostAtWork, atWork)
  }
  if (mostAtWork > permits) complaints.push(`${mostAtWork} were at work at once, ${permits} may`)
  return { members: tickets.size, grants: entries.length, mostAtWork, complaints }
}

export function readLog(file: string): RaceEvent[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as RaceEvent)
}

if (import.meta.main) {
  const [file = '', permits = '1'] = process.argv.slice(2)
  const verdict = judge(readLog(file), Number(permits))
  process.stdout.write(`${JSON.stringify(verdict, undefined, 2)}\n`)
  process.exitCode = verdict.complaints.length === 0 ? 0 : 1
}
