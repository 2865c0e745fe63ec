/**
 * Reads a queue's state for the rules: the control record with its beats, and as much of the line as decisions and exact
 * positions need. A state already held is reused while the control record's version shows that it is current: every
 * change of the line or the holders writes that record.
 */
import { decimalKey, type Store, type StoredRecord } from '../ports/store.ts'
import type { Command, MemberFacts } from './commands.ts'
import type { Observer } from './observer.ts'
import {
  controlKey,
  linePartition,
  lineKey,
  memberKey,
  waiterKey,
  type Control,
  type Entry,
  type Member,
  type Waiter,
} from './records.ts'
import { emptyState, type QueueState } from './queue-state.ts'
import { EXACT_POSITIONS } from './views.ts'

/** Read past what is needed, so that the next turns need no read at all. */
const READ_AHEAD = 64
const PAGE = 1_000

/** The state as of now: `held` if that is still current. */
export async function loadState(
  store: Store,
  queue: string,
  held: QueueState | undefined,
): Promise<QueueState> {
  const record = await store.get(controlKey(queue))
  if (record === undefined) return emptyState
  const current = held !== undefined && held.version === record.version
  return current ? extendLine(store, queue, held) : freshState(store, queue, record)
}

/** Reads control and beats, and tells the observer what they show. @param at monotonic now, read after the answer */
export async function loadBeats(
  store: Store,
  queue: string,
  observer: Observer,
  at: () => number,
): Promise<void> {
  const [partition, from] = controlKey(queue)
  const records: StoredRecord[] = []
  for (let after: string | undefined; ;) {
    const page = await store.list(
      { partition, from },
      after === undefined ? { limit: PAGE } : { limit: PAGE, after },
    )
    records.push(...page.records)
    if (page.next === undefined) break
    after = page.next
  }
  const first = records[0]
  if (first === undefined || first.key[1] !== from) return
  watchState(observer, first.value as unknown as Control, at())
  const shown = new Set<number>()
  for (const { key, version } of records.slice(1)) {
    observer.saw(Number(key[1]), version, at())
    shown.add(Number(key[1]))
  }
  observer.missed(shown, at())
}

/** Tells the observer who must beat. */
export function watchState(observer: Observer, control: Control, at: number): void {
  observer.watch([...control.holders, ...control.window.map((e) => ({ ...e, fence: 0 }))], at)
}

/** What a command needs to know of its member besides the state. */
export async function loadFacts(
  store: Store,
  queue: string,
  state: QueueState,
  command: Command,
): Promise<MemberFacts> {
  if (command.kind === 'settle' || command.kind === 'set') return unknown
  const { id, kind } = command
  const listed = state.control.holders.some((h) => h.id === id) || state.line.some((e) => e.id === id)
  if (listed && (kind === 'wait' || kind === 'beat' || kind === 'join')) return unknown
  const record = await store.get(memberKey(queue, id))
  if (record === undefined) return unknown
  const member = record.value as unknown as Member
  if (listed || member.end !== undefined || state.complete) return { member, waits: false }
  return { member, waits: (await store.get(waiterKey(queue, member))) !== undefined }
}

const unknown: MemberFacts = { member: undefined, waits: false }

/** The line as the waiter records have it; the window keeps those of its members that stand at the line's head. */
async function freshState(store: Store, queue: string, record: StoredRecord): Promise<QueueState> {
  const control = record.value as unknown as Control
  const state = await extendLine(store, queue, {
    control,
    version: record.version,
    line: [],
    complete: false,
  })
  const inWindow = new Set(control.window.map((e) => e.ticket))
  const end = state.line.findIndex((e) => !inWindow.has(e.ticket))
  return { ...state, control: { ...control, window: end < 0 ? state.line : state.line.slice(0, end) } }
}

/** Forgets what lies far behind the head, so that a long line costs no more than a short one. */
export function trimLine(state: QueueState): QueueState {
  const wanted = Math.max(EXACT_POSITIONS, state.control.permits + 1) + 2 * READ_AHEAD
  return state.line.length <= wanted
    ? state
    : { ...state, line: state.line.slice(0, wanted - READ_AHEAD), complete: false }
}

async function extendLine(store: Store, queue: string, state: QueueState): Promise<QueueState> {
  const wanted = Math.max(EXACT_POSITIONS, state.control.permits + 1)
  if (state.complete || state.line.length >= wanted) return state
  const last = state.line.at(-1)
  const partition = linePartition(queue)
  const limit = wanted + READ_AHEAD - state.line.length
  const page = await store.list(
    { partition, from: decimalKey(0) },
    last === undefined ? { limit } : { limit, after: lineKey(last.priority, last.ticket) },
  )
  const more = page.records.map((r) => entryOf(r.value as unknown as Waiter))
  return { ...state, line: [...state.line, ...more], complete: page.next === undefined }
}

function entryOf({ id, ticket, priority, ttlMs, joinedAt }: Waiter): Entry {
  return { id, ticket, priority, ttlMs, joinedAt }
}
