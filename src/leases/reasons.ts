/**
 * "Why am I waiting", in a sentence. Pure. A sentence that names a time left is also given with `{left}` in its place and the
 * moment it counts to, so that a page can let it tick.
 */
import { pullRequestOf, type ProviderConfig } from './api.ts'
import { isBelow, type Entry, type Holder, type LeaseState } from './state.ts'

type Seen = Pick<LeaseState, 'header' | 'entries'>

export interface Reason {
  /** At most one `{left}`, which stands for the time left until `at`. */
  readonly text: string
  /** Milliseconds since the epoch. */
  readonly at?: number
}

/** The sentence as of `now`. */
export function told({ text, at }: Reason, now: number): string {
  return at === undefined ? text : text.replace('{left}', span(at - now))
}

/** What a request waits for, or what becomes of it. */
export function reasonFor(seen: Seen, entry: Entry, now: number, config: ProviderConfig): Reason {
  const { holder } = seen.header
  if (holder === undefined) return ungranted(seen, entry, now, config)
  const name = nameOf(seen, holder)
  if (holder.sha === entry.sha) return ofHolder(seen, holder)
  const below = isBelow(entry, holder)
  if (holder.completed !== undefined) {
    return below
      ? { text: `completed: ${name} succeeded and contains it; its next call is told so` }
      : { text: `${name} succeeded without containing it; it belongs to the next batch` }
  }
  const hold = `${name} (priority ${holder.priority}) holds the lease, for {left} more at most`
  return below
    ? { text: `${hold}; when that one succeeds, this is completed with it`, at: holder.expiresAt }
    : { text: `${hold}, and does not contain this`, at: holder.expiresAt }
}

/** The same for somebody who has read what everybody waits for. */
export function briefFor(seen: Seen, entry: Entry, { delayCount }: ProviderConfig): string {
  const { holder } = seen.header
  if (holder?.sha === entry.sha) {
    return holder.completed === undefined ? 'holds until it is released' : ofHolder(seen, holder).text
  }
  if (holder !== undefined) {
    const name = nameOf(seen, holder)
    if (holder.completed !== undefined) {
      return isBelow(entry, holder)
        ? 'completed; its next call is told so'
        : `not contained in ${name}; next batch`
    }
    return isBelow(entry, holder) ? `completed when ${name} succeeds` : `not contained in ${name}`
  }
  const top = highestOf(seen.entries.values()) ?? entry
  if (entry.priority === top.priority) {
    const shared = countOf(seen, ({ priority }) => priority === top.priority) > 1
    const left = delayCount - entry.polls
    const delayed = left > 0 ? `, after ${count(left, 'more call')}` : ''
    return `${shared ? 'shares the highest priority' : 'goes first'}${delayed}`
  }
  const higher = countOf(seen, ({ priority }) => priority > entry.priority)
  return higher === 1 ? `after ${nameOf(seen, top)}` : `after ${higher} of higher priority`
}

/** What everybody is waiting for. */
export function reasonForAll(seen: Seen, now: number, config: ProviderConfig): Reason {
  const { holder } = seen.header
  if (holder === undefined) return ungranted(seen, undefined, now, config)
  const name = nameOf(seen, holder)
  if (holder.completed === undefined) {
    return {
      text: `${name} (priority ${holder.priority}) holds the lease, for {left} more at most`,
      at: holder.expiresAt,
    }
  }
  const left = countOf(seen, (entry) => isBelow(entry, holder))
  const then =
    left === 0
      ? 'the next request begins a new batch'
      : `${count(left, 'request')} below it still to be told, then a new batch begins`
  return { text: `${name} succeeded; ${then}` }
}

function ofHolder({ entries }: Seen, holder: Holder): Reason {
  if (holder.completed === undefined) {
    return { text: 'holds the lease until it is released, for {left} more at most', at: holder.expiresAt }
  }
  const left = countOf({ entries }, (entry) => isBelow(entry, holder))
  return {
    text: left === 0 ? 'succeeded' : `succeeded; ${count(left, 'request')} below it still to be told`,
  }
}

/** Nobody holds. @param entry who asks; undefined: everybody */
function ungranted(seen: Seen, entry: Entry | undefined, now: number, config: ProviderConfig): Reason {
  const { header, entries } = seen
  const top = highestOf(entries.values())
  if (top === undefined) return { text: 'nobody waits' }
  const first = entry?.sha === top.sha
  const subject = first ? 'this' : nameOf(seen, top)
  if (header.coolUntil !== undefined && now < header.coolUntil) {
    const text = `the last holder was taken for dead; nobody is granted for {left}, then ${subject} goes first`
    return { text, at: header.coolUntil }
  }
  const who = describe(seen, entry, top, subject)
  if (header.failed !== undefined) {
    const { expired } = header.failed
    const failed = `${label(header.failed)} ${expired ? 'was taken for dead' : 'failed'}`
    return { text: `${failed}; ${who}; ${granted(top, config)}` }
  }
  const windowEnds = header.stableSince + config.stabilizeMs
  const missing = config.expectedCount - entries.size
  if (now < windowEnds && missing > 0) {
    const enough = `${count(config.expectedCount, 'request')} ${config.expectedCount === 1 ? 'is' : 'are'} known (now ${entries.size})`
    return {
      text: `${who}; it is granted when nothing new has come for {left} more, or ${enough}`,
      at: windowEnds,
    }
  }
  return { text: `${who}; ${granted(top, config)}` }
}

/** Who goes first, from the asker's point of view. */
function describe(seen: Seen, entry: Entry | undefined, top: Entry, subject: string): string {
  if (entry === undefined) return `${subject} has the highest priority (${top.priority})`
  if (entry.priority === top.priority) {
    const others = countOf(seen, ({ priority }) => priority === top.priority) - 1
    const shared =
      others === 0 ? '' : `, shared with ${count(others, 'other')}; whichever asks first goes first`
    return `this has the highest priority (${top.priority})${shared}`
  }
  const higher = countOf(seen, ({ priority }) => priority > entry.priority)
  const known = `${count(higher, 'request')} of higher priority ${higher === 1 ? 'is' : 'are'} known`
  return higher === 1
    ? `${known}, ${subject} (priority ${top.priority})`
    : `${known}, the highest ${subject} (priority ${top.priority})`
}

function granted(top: Entry, { delayCount }: ProviderConfig): string {
  const left = delayCount - top.polls
  return left > 0
    ? `it is granted after ${count(left, 'more call')} of its own`
    : 'it is granted at its next call'
}

function countOf({ entries }: Pick<Seen, 'entries'>, matches: (entry: Entry) => boolean): number {
  let found = 0
  for (const entry of entries.values()) if (matches(entry)) found += 1
  return found
}

function nameOf({ entries }: Seen, { sha }: Pick<Entry, 'sha'>): string {
  return label(entries.get(sha) ?? { sha })
}

function label({ sha, ref }: { readonly sha: string; readonly ref?: string }): string {
  const number = ref === undefined ? undefined : pullRequestOf(ref)
  return number === undefined ? `commit ${short(sha)}` : `#${number}`
}

/** The first of them to come, among equals. */
function highestOf(entries: Iterable<Entry>): Entry | undefined {
  let highest: Entry | undefined
  for (const entry of entries) {
    if (highest === undefined || entry.priority > highest.priority) highest = entry
  }
  return highest
}

function short(sha: string): string {
  return sha.slice(0, 12)
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** `40 s`, `3 min`, `5 h 59 min`. */
function span(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1_000))
  if (seconds < 120) return `${seconds} s`
  const minutes = Math.ceil(seconds / 60)
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
