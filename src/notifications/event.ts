/** What a receiver is told: made of a notice, of many that were counted, or of a streak that is over. */
import { noticeId, subjectOf, type Notice } from './notice.ts'
import type { EventKind, EventView } from './vocabulary.ts'

/** How often each kind was not told of singly. */
export type Repeats = { readonly [kind in EventKind]?: number }

export interface Event extends Omit<Notice, 'kind'> {
  readonly kind: EventKind | 'repeated' | 'test'
  /** Of a streak, or of what was counted. */
  readonly since?: number
  readonly repeats?: Repeats
}

/** Ends of one subject that were not successes, since the last one that was. */
export interface Streak {
  readonly subject: string
  readonly since: number
  readonly ends: number
}

export function eventOf(notice: Notice & { readonly kind: Exclude<Notice['kind'], 'succeeded'> }): Event {
  return notice
}

export function recoveryOf(notice: Notice, { since, ends }: Streak): Event {
  return { ...notice, kind: 'recovered', since, count: ends }
}

/** @param newest the last of those that were counted */
export function summaryOf(newest: Event, since: number, repeats: Repeats): Event {
  const { count: _, by: _by, ...facts } = newest
  const id = noticeId('repeated', subjectOf(newest), newest.id, since)
  return { ...facts, id, kind: 'repeated', since, repeats }
}

const DONE: Readonly<Record<EventKind, string>> = {
  failed: 'failed',
  cancelled: 'was cancelled',
  timed_out: 'timed out',
  lost: 'was lost',
  missed: 'missed',
  recovered: 'recovered',
}

/** What happened, in one line, of names and numbers alone: nothing in it was written by a job. */
export function textOf(event: Event): string {
  const who = event.schedule === undefined ? `Job ${event.job}` : `Schedule ${event.schedule}`
  const { kind, count = 1, since, repeats = {} } = event
  switch (kind) {
    case 'missed':
      return `${who} missed ${plural(count, 'time')}`
    case 'recovered':
      return `${who} recovered after ${plural(count, 'problem')}`
    case 'repeated': {
      const parts = Object.entries(repeats).map(
        ([one, times]) => `${DONE[one as EventKind]} ${plural(times, 'more time', 'more times')}`,
      )
      return `${who} ${parts.join(', ')} since ${iso(since ?? event.at)}`
    }
    case 'test':
      return 'This is a test of notifications'
    case 'failed':
    case 'cancelled':
    case 'timed_out':
    case 'lost':
      return `${who} ${DONE[kind]}`
  }
}

export interface Links {
  /** Where people and programs find the server. */
  readonly publicUrl?: string | undefined
}

export function viewOf(event: Event, { publicUrl }: Links): EventView {
  const { job, schedule, run, scheduledAt, attempt, error, reason, by, count, since, repeats } = event
  const optional = {
    schedule,
    run,
    scheduledAt: scheduledAt === undefined ? undefined : iso(scheduledAt),
    attempt,
    error,
    reason,
    by,
    count,
    since: since === undefined ? undefined : iso(since),
    repeats,
    url:
      run === undefined || publicUrl === undefined
        ? undefined
        : `${publicUrl}/api/v1/runs/${encodeURIComponent(run)}`,
  }
  const data: Omit<EventView['data'], 'text'> = Object.fromEntries(
    Object.entries({ job, ...optional }).filter(([, fact]) => fact !== undefined),
  )
  return { type: typeOf(event), timestamp: iso(event.at), data: { text: textOf(event), ...data } }
}

export function typeOf({ kind }: Pick<Event, 'kind'>): string {
  if (kind === 'test') return kind
  return `${kind === 'missed' ? 'schedule' : 'run'}.${kind}`
}

export function iso(ms: number): string {
  return new Date(ms).toISOString()
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
