/** What a race leaves in its table, and who held, from the table's own records. */
import type { Arena, Item } from './place.ts'

/** A hold that is over, as the history has it. */
export interface Hold {
  readonly name: string
  readonly ticket: number
  readonly fence: number
  readonly as: string
  readonly grantedAt: number
  readonly endedAt: number
}

/** By fence. */
export async function holdsOf({ items }: Arena, queue: string): Promise<Hold[]> {
  const past = (await items()).filter(({ partition }) => partition === `signalbox:h:${queue}`)
  return past
    .map(({ value }) => value as unknown as Hold & { labels: { name?: string } })
    .map(({ labels, ticket, fence, as, grantedAt, endedAt }) => ({
      name: labels.name ?? '',
      ticket,
      fence,
      as,
      grantedAt,
      endedAt,
    }))
    .sort((a, b) => a.fence - b.fence)
}

/** What is wrong with these, a sentence each. @param excused lost their place for a time, and may come late */
export function judgeHolds(holds: readonly Hold[], excused: readonly string[] = []): string[] {
  const complaints: string[] = []
  const fences = holds.map(({ fence }) => fence)
  if (new Set(fences).size < fences.length) complaints.push('a fence was given twice')
  const inOrder = holds.filter(({ name }) => !excused.includes(name))
  for (const [i, { name, ticket }] of inOrder.entries()) {
    const before = inOrder[i - 1]
    if (before !== undefined && before.ticket > ticket) {
      complaints.push(`${name} (ticket ${ticket}) held after ${before.name} (ticket ${before.ticket})`)
    }
  }
  return complaints
}

/**
 * What a queue that nobody uses any more should not have: beats, waiters, posted joins, holders, guards. Members that were
 * killed while they waited may stay without an end.
 */
export async function leftovers({ items }: Arena, killed: readonly string[] = []): Promise<string[]> {
  return (await items()).flatMap((item) => (isFine(item, killed) ? [] : [describe(item)]))
}

function isFine({ partition, key, value = {} }: Item, killed: readonly string[]): boolean {
  const [, kind = 'not ours'] = /^signalbox:(\w+)(?::|$)/.exec(partition) ?? []
  switch (kind) {
    case 'queues':
    case 'h':
      return true
    case 'q':
      return (
        key === 0 &&
        [value['holders'], value['window']].every((list) => Array.isArray(list) && list.length === 0)
      )
    case 'm': {
      const name = (value['labels'] as { name?: string } | undefined)?.name ?? ''
      return value['end'] !== undefined || killed.includes(name)
    }
    default:
      return false
  }
}

function describe({ partition, key, value }: Item): string {
  return `${partition} ${key}: ${value === undefined ? 'not ours' : JSON.stringify(value)}`
}

/** The members that stand in line, in the inbox, or hold: their labels `name`. */
export function namesIn(items: readonly Item[]): Set<string> {
  const names = new Map<unknown, string>()
  const present = new Set<unknown>()
  for (const { partition, value = {} } of items) {
    const { id, labels, holders } = value as Partial<Person> & { readonly holders?: readonly Person[] }
    if (labels?.name !== undefined) names.set(id, labels.name)
    if (/^signalbox:[wiq]:/.test(partition) && id !== undefined) present.add(id)
    for (const holder of holders ?? []) present.add(holder.id)
  }
  return new Set([...present].flatMap((id) => names.get(id) ?? []))
}

interface Person {
  readonly id: string
  readonly labels?: { readonly name?: string }
}
