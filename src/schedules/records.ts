/**
 * How schedules lie in the store. Decimal keys, so that it fits every store.
 *
 *   signalbox:sch:<name>         0                  → Stored: the definition, and how far it has come
 *   signalbox:schs               hash(name)         → Row: what lists filter by; written with the definition only
 *   signalbox:sch:due:<0-15>     second · 10⁵ + n   → {name}: when it has to be looked at
 *   signalbox:sch:held:0         hash(name)         → {name}: runs of it wait; `gone`: of a schedule that was deleted, they are to be cancelled
 *   signalbox:sch:fires:<name>   second             → {run}: an external trigger's time that was seen to; kept 8 days
 *
 * Invariants:
 * - each of them changes only in a commit that expects the version of Stored (or its absence), so all that is decided about one
 *   schedule is decided in one order, whoever decides; the exception is a `gone` record, which nobody owns any more;
 * - `due` in Stored is the key of the schedule's one record there; `held` in Stored says that there is a record in held;
 * - `next` is the first time that nobody has decided about. It goes back only when the definition's timing changes, and never to a
 *   time that was decided (`settled`).
 */
import { keyHash } from '../ports/key-hash.ts'
import { decimalKey, type Change, type Json, type Key, type Store, type Version } from '../ports/store.ts'
import { shardOf, SHARDS } from '../runs/records.ts'
import type { ScheduleDefinition } from './api.ts'

/** Times are milliseconds since the epoch by the store's clock. */
export interface Stored {
  readonly definition: ScheduleDefinition
  readonly rev: number
  readonly createdAt: number
  readonly updatedAt: number
  /** Who changed the definition last. */
  readonly by: string
  readonly paused?: { readonly at: number; readonly by: string; readonly reason?: string }
  /** From where a rate counts; a whole second. */
  readonly anchor: number
  /** Absent: it never fires again, or is paused. */
  readonly next?: number
  /** The latest time that was decided about. */
  readonly settled?: number
  /** Times up to here belong to a row that is being made up for with several commits. */
  readonly makingUpTo?: number
  /** Its key in `due`. */
  readonly due?: number
  /** Fields of the parameters that no view shows, as the job said when they were saved. */
  readonly secrets?: readonly string[]
  readonly last?: { readonly run: string; readonly scheduledAt?: number }
  readonly held?: Held
  /** Random, of the commit that wrote this: tells, after a lost answer, whose it was. */
  readonly stamp: string
}

export interface Held {
  /** The run that was let go last. It is named before it is let go, so that of several servers all let go the same. */
  readonly current?: string
  /** Runs before this held one are cancelled. */
  readonly cancelFor?: string
}

export interface Loaded {
  readonly stored: Stored
  readonly version: Version
}

export interface Row extends Pick<
  ScheduleDefinition,
  'name' | 'job' | 'expression' | 'timeZone' | 'enabled' | 'description' | 'startAt' | 'endAt'
> {
  /** Of a rate: from where it counts. */
  readonly anchor?: number
}

export interface HeldRecord {
  readonly name: string
  readonly gone?: true
}

export const DUE_SHARDS = SHARDS
export const ROWS = 'signalbox:schs'
export const HELD = 'signalbox:sch:held:0'
const FIRE_KEPT_MS = 8 * 86_400_000
/** Schedules of one second that one shard tells apart. */
const KEYS_PER_SECOND = 100_000

export const scheduleKey = (name: string): Key => [`signalbox:sch:${name}`, decimalKey(0)]
export const rowKey = (name: string): Key => [ROWS, decimalKey(keyHash(name))]
export const heldKey = (name: string): Key => [HELD, decimalKey(keyHash(name))]
export const duePartition = (shard: number): string => `signalbox:sch:due:${shard}`
export const firesPartition = (name: string): string => `signalbox:sch:fires:${name}`

export function dueKey(name: string, key: number): Key {
  return [duePartition(shardOf(name)), decimalKey(key)]
}

/** @param at a whole second @param random [0, 1) */
export function dueKeyAt(at: number, random: number): number {
  return Math.floor(at / 1_000) * KEYS_PER_SECOND + Math.floor(random * KEYS_PER_SECOND)
}

/** The second that a key in `due` stands for, in milliseconds. */
export function timeOfDue(key: number): number {
  return Math.floor(key / KEYS_PER_SECOND) * 1_000
}

export function fireKey(name: string, at: number): Key {
  return [firesPartition(name), decimalKey(Math.floor(at / 1_000))]
}

export function fireChange(name: string, at: number, run: string, now: number): Change {
  const expiresAt = Math.max(now, at) + FIRE_KEPT_MS
  return { op: 'put', key: fireKey(name, at), expect: 'absent', value: { run }, expiresAt }
}

export async function load(store: Store, name: string): Promise<Loaded | undefined> {
  const record = await store.get(scheduleKey(name))
  return record && { stored: record.value as unknown as Stored, version: record.version }
}

/**
 * For a commit that failed before: if the schedule's record in `due` is gone, which no commit of ours does, the schedule is taken as
 * having none, so that the next change gives it one again.
 */
export async function loadAgain(store: Store, name: string, attempt: number): Promise<Loaded | undefined> {
  const loaded = await load(store, name)
  if (attempt < 2 || loaded?.stored.due === undefined) return loaded
  if ((await store.get(dueKey(name, loaded.stored.due))) !== undefined) return loaded
  const { due: _, ...stored } = loaded.stored
  return { ...loaded, stored }
}

export function rowOf(definition: ScheduleDefinition, anchor: number): Row {
  const { name, job, expression, timeZone, enabled, description, startAt, endAt } = definition
  return {
    name,
    job,
    expression,
    timeZone,
    enabled,
    ...(description === undefined ? {} : { description }),
    ...(startAt === undefined ? {} : { startAt }),
    ...(endAt === undefined ? {} : { endAt }),
    ...(/^\s*rate\b/i.test(expression) ? { anchor } : {}),
  }
}

export interface Writing {
  /** How long after its time a schedule is looked at. */
  readonly graceMs: number
  readonly random: { next(): number }
}

/** What makes one state of a schedule the next. The first change is Stored. */
export function transition(
  before: Loaded | undefined,
  after: Omit<Stored, 'due'>,
  { graceMs, random }: Writing,
): Change[] {
  const { name } = after.definition
  const was = before?.stored
  const lookAt = after.next === undefined ? undefined : after.next + graceMs
  const stays = was?.due !== undefined && lookAt === timeOfDue(was.due)
  const due = stays ? was.due : lookAt === undefined ? undefined : dueKeyAt(lookAt, random.next())
  const changes: Change[] = [
    {
      op: 'put',
      key: scheduleKey(name),
      expect: before === undefined ? 'absent' : { version: before.version },
      value: asJson(due === undefined ? after : { ...after, due }),
    },
  ]
  if (!stays) {
    if (was?.due !== undefined) changes.push(removal(dueKey(name, was.due)))
    if (due !== undefined) {
      changes.push({ op: 'put', key: dueKey(name, due), expect: 'absent', value: { name } })
    }
  }
  if (was?.held === undefined && after.held !== undefined) {
    changes.push({ op: 'put', key: heldKey(name), expect: 'absent', value: { name } })
  }
  if (was?.held !== undefined && after.held === undefined) changes.push(removal(heldKey(name)))
  return changes
}

/** A schedule that goes, with all that is kept for it; what is held of it is left to be cancelled. */
export function departure({ stored, version }: Loaded): Change[] {
  const { name } = stored.definition
  return [
    { op: 'delete', key: scheduleKey(name), expect: { version } },
    removal(rowKey(name)),
    ...(stored.due === undefined ? [] : [removal(dueKey(name, stored.due))]),
    ...(stored.held === undefined
      ? []
      : [{ op: 'put', key: heldKey(name), expect: 'present', value: { name, gone: true } } as const]),
  ]
}

function removal(key: Key): Change {
  return { op: 'delete', key, expect: 'present' }
}

/** Records are plain JSON; interfaces lack the index signature that `Json` asks for. What is undefined is left out. */
export function asJson(value: Stored | Omit<Stored, 'due'> | Row): Json {
  return JSON.parse(JSON.stringify(value)) as Json
}
