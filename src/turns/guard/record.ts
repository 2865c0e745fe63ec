/**
 * The guard: one record in the partition that bears the queue's bare name, where clients of the dynamo-q tool keep their
 * entries. Its key sorts before any of theirs, so a client that sees it is not at the front; and its expiry is their
 * `lastUpdated`, in the future, so that none takes it for dead. `../guard.ts` says what follows from that.
 */
import { decimalKey, type Expect, type Json, type Key, type Store, type Version } from '../../ports/store.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Random } from '../../kernel/id.ts'
import { controlKey, type Control, type Grant } from '../records.ts'
import { safetyMargin } from '../timing.ts'

/** A guard stands this long after each refresh (longer for a hold TTL above 70 s, see `guardLife`). */
const GUARD_LIFE_MS = 120_000
/** From here on nobody relies on a guard any more that is about to lapse. */
export const LAPSE_MARGIN_MS = 10_000
/** Longer than a read of theirs may be out of date, by far. */
export const SETTLE_MS = 5_000
/** Their longest pause between two heartbeats is 24 s; one more for its way. */
export const QUIET_MS = 25_000
/** They take an entry for dead after 120 s; ours is measured on another clock. */
export const DEAD_MS = 130_000
/** While their jobs are waited for. */
export const LOOK_MS = 5_000

export interface Guard {
  readonly kind: 'signalbox-guard'
  /** Random per placement; refreshing and taking over keep it. */
  readonly placement: string
  /** A look at least `SETTLE_MS` after it was known to stand showed none of their entries alive. */
  readonly verified: boolean
  /** The highest fence among those that rely on it, or placed it. */
  readonly fence: number
  /** The member that wrote it last; for people. */
  readonly by: string
  /** Engine time, milliseconds since the epoch, from which on it reads as absent. */
  readonly until: number
}

/** A guard as an answer of the store showed it. */
export interface Standing {
  readonly version: Version
  readonly value: Guard
}

export interface GuardContext {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
}

export const guardKey = (queue: string): Key => [queue, decimalKey(1)]

/** For how long after a beat the holder may go on working; a suspended machine's wall clock gives it half a margin more. */
export function workAfterBeat(ttlMs: number): number {
  return ttlMs - safetyMargin(ttlMs) / 2 + LAPSE_MARGIN_MS
}

/** So long that two thirds of it, what is left when a refresh falls due, are more than `workAfterBeat`. */
export function guardLife(ttlMs: number): number {
  return Math.max(GUARD_LIFE_MS, Math.ceil(ttlMs * 1.5) + 15_000)
}

/** Undefined: not a guard of ours. */
export function asGuard(value: Json): Guard | undefined {
  const guard = value as Partial<Guard> | null
  return typeof guard === 'object' && guard?.kind === 'signalbox-guard' ? (guard as Guard) : undefined
}

/** How long it still stands at least, by the engine's clock. */
export function leftMs({ until }: Guard, { store }: Pick<GuardContext, 'store'>): number {
  const { ms, uncertaintyMs } = store.now()
  return until - ms - uncertaintyMs
}

export interface Written extends Standing {
  /** Monotonic ms until which it stands at least. */
  readonly safeUntil: number
}

/**
 * Writes the guard with a whole life from now, or what was left of it if that is more.
 * @returns undefined when what was expected did not hold
 */
export async function writeGuard(
  { store, clock }: GuardContext,
  queue: string,
  expect: Expect,
  guard: Omit<Guard, 'kind' | 'until'> & { readonly until?: number },
  lifeMs: number,
): Promise<Written | undefined> {
  const sentAt = clock.monotonic()
  const { ms, uncertaintyMs } = store.now()
  const until = Math.max(guard.until ?? 0, Math.ceil(ms + uncertaintyMs + lifeMs))
  const value: Guard = { ...guard, kind: 'signalbox-guard', until }
  const change = { op: 'put', key: guardKey(queue), expect, value: { ...value }, expiresAt: until } as const
  const result = await store.commit([change])
  const version = result.ok ? result.versions[0] : undefined
  return version === undefined ? undefined : { version, value, safeUntil: sentAt + lifeMs }
}

/** @returns false when it has changed meanwhile */
export async function deleteGuard(
  { store }: GuardContext,
  queue: string,
  version: Version,
): Promise<boolean> {
  const result = await store.commit([{ op: 'delete', key: guardKey(queue), expect: { version } }])
  return result.ok
}

/** Who of ours holds and waits, from the queue's point of decision. */
export interface Ours {
  readonly holders: readonly Grant[]
  readonly waits: boolean
}

export async function readOurs({ store }: GuardContext, queue: string): Promise<Ours> {
  const record = await store.get(controlKey(queue))
  const control = record?.value as unknown as Control | undefined
  return { holders: control?.holders ?? [], waits: (control?.window.length ?? 0) > 0 }
}

/**
 * May a holder other than `id` rely on this guard? Whoever takes it over raises its fence to its own or above, and changes its
 * version; so a holder with a higher fence did not, as long as the version stays. `ours` must be read after the guard.
 */
export function isReliedOn({ verified, fence }: Guard, { holders }: Ours, id: string): boolean {
  return verified && holders.some((holder) => holder.id !== id && holder.fence <= fence)
}
