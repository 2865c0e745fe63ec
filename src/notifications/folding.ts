/**
 * Which events a channel is told of singly, and which are counted: `(lane, event, now) → lane, events to send`. Pure.
 *
 * A lane is what one channel is told about one schedule or job. The first event of a kind goes at once and opens a window; what
 * comes of the same kind within it is counted, and told as one summary at its end, which opens the next one. A window in which
 * nothing was counted just ends. A recovery sends what was counted, then itself, and ends the window.
 *
 * Invariant: each event is sent singly or counted in exactly one summary that will be sent.
 */
import { summaryOf, type Event, type Repeats } from './event.ts'
import type { EventKind } from './vocabulary.ts'

export interface Lane {
  readonly channel: string
  readonly subject: string
  readonly window?: Window
  /** The newest message of this lane: what follows waits for it. */
  readonly last?: string
}

export interface Window {
  readonly until: number
  /** Told in this window, or in those that led to it. */
  readonly kinds: readonly EventKind[]
  readonly counted?: Counted
}

export interface Counted {
  readonly since: number
  readonly repeats: Repeats
  readonly newest: Event
}

export interface Folded {
  readonly lane: Lane
  /** In this order. */
  readonly send: readonly Event[]
  /** Something is counted now, and was not before: look again then. */
  readonly lookAt?: number
}

/** Clocks of servers differ by less. */
const SKEW_MS = 600_000

/** @param foldForMs how long a window is; 0: nothing is counted */
export function fold(lane: Lane, event: Event, now: number, foldForMs: number): Folded {
  if (event.kind === 'recovered') return { lane: without(lane), send: [...summaries(lane), event] }
  if (foldForMs === 0 || event.kind === 'repeated' || event.kind === 'test') return { lane, send: [event] }
  const window = standing(lane, now, foldForMs)
  if (window === undefined || !window.kinds.includes(event.kind)) {
    const kinds = [...(window?.kinds ?? []), event.kind]
    return { lane: { ...lane, window: { until: now + foldForMs, ...window, kinds } }, send: [event] }
  }
  const { counted } = window
  const repeats = { ...counted?.repeats, [event.kind]: (counted?.repeats[event.kind] ?? 0) + 1 }
  const until = isTooFar(window, now, foldForMs) ? now + foldForMs : window.until
  const since = counted?.since ?? event.at
  const next: Window = { ...window, until, counted: { since, repeats, newest: event } }
  return {
    lane: { ...lane, window: next },
    send: [],
    ...(counted === undefined || until < window.until ? { lookAt: until } : {}),
  }
}

/** Tells what was counted, if the window is over. */
export function endWindow(lane: Lane, now: number, foldForMs: number): Folded {
  const { window } = lane
  if (window?.counted === undefined) return { lane, send: [] }
  if (now < window.until) return { lane, send: [], lookAt: window.until }
  const next: Window = { until: now + foldForMs, kinds: window.kinds }
  return { lane: { ...lane, window: next }, send: summaries(lane) }
}

/** A window that is over counts no more, unless its summary is still to be sent. */
function standing({ window }: Lane, now: number, foldForMs: number): Window | undefined {
  if (window === undefined || window.counted !== undefined) return window
  return now < window.until && !isTooFar(window, now, foldForMs) ? window : undefined
}

/** It was opened by a clock that was set back since, or windows were longer: it would swallow repeats until then. */
function isTooFar({ until }: Window, now: number, foldForMs: number): boolean {
  return until > now + foldForMs + SKEW_MS
}

function summaries({ window }: Lane): Event[] {
  const counted = window?.counted
  return counted === undefined ? [] : [summaryOf(counted.newest, counted.since, counted.repeats)]
}

function without(lane: Lane): Lane {
  const { window: _, ...rest } = lane
  return rest
}
