/**
 * What servers on one store remember together of the external trigger.
 *
 *   signalbox:trigger   0  → the note of the key that was written last (without the key)
 *                       1  → Turn: who works on it
 *                       2  → Report: what the last comparison found
 *                       3  → Removed: everything there was removed by hand
 */
import { z } from 'zod'
import { decimalKey, type Change, type Json, type Key, type Store } from '../ports/store.ts'
import type { TriggerDrift } from '../ports/trigger.ts'

const keyOf = (n: number): Key => ['signalbox:trigger', decimalKey(n)]
export const TURN = keyOf(1)
const KEY_NOTE = keyOf(0)
const REPORT = keyOf(2)
const REMOVED = keyOf(3)

export interface Report {
  /** Milliseconds since the epoch, by the store's clock. */
  readonly at: number
  readonly error?: string
  /** The first of them. */
  readonly drift: readonly TriggerDrift[]
  /** Schedules that are not in sync; the first of them. */
  readonly not: Readonly<Record<string, NotInSync>>
}

export interface NotInSync {
  readonly state: 'failed' | 'refused'
  readonly error: string
}

export interface Removed {
  readonly at: number
  readonly by: string
}

const MAX_ENTRIES = 200
/** Of each text; the whole fits into one record also where all is wrong. */
const MAX_TEXT = 250

const keyNote = z.object({ salt: z.string(), mac: z.string(), changedAt: z.number().optional() })
type KeyNote = z.infer<typeof keyNote>

/** For a driver, which cannot read back the key it wrote. */
export function triggerKeyNotes(store: Store): {
  readonly get: () => Promise<{ salt: string; mac: string; changedAt?: number } | undefined>
  readonly put: (note: { salt: string; mac: string; changedAt?: number }) => Promise<void>
} {
  return {
    async get() {
      const found = keyNote.safeParse((await store.get(KEY_NOTE))?.value)
      if (!found.success) return undefined
      const { changedAt, ...note } = found.data
      return changedAt === undefined ? note : { ...note, changedAt }
    },
    put: ({ changedAt, ...note }: KeyNote) =>
      overwrite(store, KEY_NOTE, changedAt === undefined ? note : { ...note, changedAt }),
  }
}

export async function readReport(store: Store): Promise<Report | undefined> {
  return (await store.get(REPORT))?.value as unknown as Report | undefined
}

export function writeReport(store: Store, { at, error, drift, not }: Report): Promise<void> {
  const report = {
    at,
    ...(error === undefined ? {} : { error: cut(error) }),
    drift: drift.slice(0, MAX_ENTRIES).map((found) => ({
      ...found,
      detail: cut(found.detail),
      ...(found.error === undefined ? {} : { error: cut(found.error) }),
    })),
    not: Object.fromEntries(
      Object.entries(not)
        .slice(0, MAX_ENTRIES)
        .map(([name, { state, error: why }]) => [name, { state, error: cut(why) }]),
    ),
  }
  return overwrite(store, REPORT, report)
}

export async function readRemoved(store: Store): Promise<Removed | undefined> {
  return (await store.get(REMOVED))?.value as unknown as Removed | undefined
}

/**
 * Notes that everything was removed, or that this is over, in one commit with what tells who did it.
 * @param audit anew for each try
 */
export async function writeRemoved(
  store: Store,
  removed: Removed | undefined,
  audit: () => Change,
): Promise<void> {
  for (;;) {
    const there = await store.get(REMOVED)
    const expect = there === undefined ? 'absent' : { version: there.version }
    const changes: Change[] = [audit()]
    if (removed !== undefined) changes.push({ key: REMOVED, expect, op: 'put', value: { ...removed } })
    else if (there !== undefined) changes.push({ key: REMOVED, expect, op: 'delete' })
    if ((await store.commit(changes)).ok) return
  }
}

/** Whoever writes last is right: what is written is what was found just then. */
async function overwrite(store: Store, key: Key, value: Json): Promise<void> {
  for (;;) {
    const there = await store.get(key)
    const expect = there === undefined ? 'absent' : { version: there.version }
    if ((await store.commit([{ key, expect, op: 'put', value }])).ok) return
  }
}

function cut(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`
}
