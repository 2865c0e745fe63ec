/**
 * The few numbers that make a turn safe, in one place; members, observers and documentation all take them from here.
 *
 * A holder stops at `send time of its last acknowledged claim or beat + TTL − margin`. An observer evicts only after it
 * has seen one and the same beat for a whole TTL, counted from an answer that came after that beat was stored. So
 * the holder's end comes at least `margin` before a successor's start, as long as two clocks' *rates* differ by less than
 * 15 % (margin / TTL, less what `elapsedMs` adds); their readings are never compared.
 */
import { DEFAULT_STOP_GRACE_MS, DEFAULT_TTL_MS } from './api.ts'

/** How often a member in the window, or a holder, beats: 10 s, or a sixth of a TTL below 45 s. */
export function beatInterval(ttlMs: number): number {
  return ttlMs >= DEFAULT_TTL_MS ? 10_000 : Math.floor(ttlMs / 6)
}

/** How long before its TTL a holder counts its turn as over: a fifth of it. */
export function safetyMargin(ttlMs: number): number {
  return Math.ceil(ttlMs / 5)
}

/** How often a waiter far from the front asks for its position: at most every 30 s, at least thrice a TTL. */
export function deepPollInterval(ttlMs: number): number {
  return Math.min(30_000, Math.floor(ttlMs / 3))
}

/** A TTL must leave room for three beats, the margin and the time a command gets to stop. */
export function ttlIsWorkable(ttlMs: number, stopGraceMs = DEFAULT_STOP_GRACE_MS): boolean {
  return ttlMs >= 3 * beatInterval(ttlMs) + safetyMargin(ttlMs) + stopGraceMs
}

/** The shortest TTL in whole milliseconds that works with this stop grace. */
export function minimumTtl(stopGraceMs = DEFAULT_STOP_GRACE_MS): number {
  // Below 45 s: ttl ≥ 3·ttl/6 + ttl/5 + grace  ⇔  0.3·ttl ≥ grace. From 45 s on: 0.8·ttl ≥ 30 s + grace.
  let ttlMs = Math.ceil(stopGraceMs / 0.3)
  if (ttlMs >= DEFAULT_TTL_MS) ttlMs = Math.max(DEFAULT_TTL_MS, Math.ceil((30_000 + stopGraceMs) / 0.8))
  while (!ttlIsWorkable(ttlMs, stopGraceMs)) ttlMs++
  return ttlMs
}
