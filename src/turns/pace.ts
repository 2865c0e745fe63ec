/**
 * How often a service that serves its own members alone (no server between them and the store) looks at a queue. Every look is
 * a request that somebody pays for, so it comes the rarer the farther away the turn is: what a waiter costs does not
 * depend on the length of the line.
 *
 * - The head of the line looks once a second; the rest of the window beats, and looks as often as its turn may come.
 * - Deeper waiters only have to notice in time that they are in the window: from then on they have one TTL to beat in.
 * - Where the store pushes, what matters arrives by itself, and looks only make up for a push that was lost.
 */
import type { Control } from './records.ts'
import { beatInterval } from './timing.ts'

/** Where a waiter stands. */
export interface Place {
  /** 1 for the next in line. */
  readonly position: number
  readonly inWindow: boolean
  readonly ttlMs: number
}

type Facts = Pick<Control, 'permits' | 'holdMs' | 'state' | 'holders'>

const HEAD_LOOK_MS = 1_000
/** The head may go at any moment, and whoever follows it is the head then. */
const FRONT_LOOK_MS = 3_000
const PAUSED_LOOK_MS = 5_000
/** While nothing is known of past turns, one takes at least this long, and as long as the present one has taken. */
const ASSUMED_HOLD_MS = 2_000

/**
 * Milliseconds until the next look, beyond what a beat brings.
 * @param now by the store's clock, as the grants have it
 */
export function lookInterval(
  { position, inWindow, ttlMs }: Place,
  facts: Facts,
  { pushed, now }: { readonly pushed: boolean; readonly now: number },
): number {
  if (pushed) return inWindow ? beatInterval(ttlMs) : Math.min(120_000, 2 * ttlMs)
  const { permits } = facts
  // The first of the line, and as many as there are permits free, may go at any moment.
  const next = Math.max(1, permits - facts.holders.length)
  if (position <= next) return facts.state === 'paused' ? PAUSED_LOOK_MS : HEAD_LOOK_MS
  const turnInMs = ((position - next) * assumedHold(facts, now)) / permits
  const longest = inWindow ? Math.min(FRONT_LOOK_MS, beatInterval(ttlMs)) : longestLook(ttlMs)
  return Math.max(HEAD_LOOK_MS, Math.min(longest, turnInMs / 2))
}

function assumedHold({ holdMs, holders }: Facts, now: number): number {
  if (holdMs !== undefined) return holdMs
  const since = Math.min(now, ...holders.map((h) => h.grantedAt))
  return Math.max(ASSUMED_HOLD_MS, now - since)
}

/** Leaves a waiter that has just come into the window nearly half of its TTL to beat in. */
function longestLook(ttlMs: number): number {
  return Math.min(30_000, Math.floor((ttlMs * 5) / 9))
}
