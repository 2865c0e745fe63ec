/**
 * Reads a queue's state for the rules: the control record with its beats, and as much of the line as decisions and
 * positions need.
 *
 * What was read of the line is used again as long as the control record shows that it still tells the truth: its version, since
 * every change of the line or the holders writes that record, or its `shape`, with which the known part of the line has
 * only lost what left through the window.
 *
 * Invariant: the control record and the line tell of the same moment. They are read one after the other, and an engine may show a
 * transaction that it is still applying: its control record already, its waiter records not yet. A commit that rests on
 * such a half would pass, since it expects the control record's version alone. So what does not fit together is read again.
 */
import { decimalKey, type Store, type StoredRecord } from '../ports/store.ts'
import type { Command, MemberFacts } from './commands.ts'
import { windowSize } from './line.ts'
import type { Observer } from './observer.ts'
import {
  compareInLine,
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

/** How much of the line is to be known: exact positions for all who wait here, or what a decision needs. */
export type Depth = 'positions' | 'decisions'

/**
 * The state as of now: `held` as far as that is still true.
 * @param trusting takes the records as they are, though they do not fit together: somebody changed them from outside
 * @returns undefined when they do not fit together, and are to be read again
 */
export async function loadState(
  store: Store,
  queue: string,
  record: StoredRecord | undefined,
  held: QueueState | undefined,
  { depth, trusting }: { readonly depth: Depth; readonly trusting: boolean },
): Promise<QueueState | undefined> {
  if (record === undefined) return emptyState
  const known = stillTrue(held, record)
  if (known !== undefined && isDeepEnough(known, depth)) return known
  const read =
    known === undefined ? await freshState(store, queue, record) : await extendLine(store, queue, known)
  return trusting || fits(record.value as unknown as Control, read) ? read : undefined
}

/** Is this line the one that the control record tells of, as far as can be seen? */
function fits(control: Control, { control: read, line, complete }: QueueState): boolean {
  if (read.window.length !== control.window.length) return false
  if (complete ? line.length !== control.waiting : line.length > control.waiting) return false
  return !line.some((e) => control.holders.some((h) => h.ticket === e.ticket))
}

/** Is as much of the line known as is needed? */
export function isDeepEnough({ control, line, complete }: QueueState, depth: Depth): boolean {
  const wanted = depth === 'positions' ? positionsDepth(control) : windowSize(control) + 4
  return complete || line.length >= wanted
}

/** What `held` says of the queue as this control record has it; undefined when the line must be read anew. */
function stillTrue(held: QueueState | undefined, record: StoredRecord): QueueState | undefined {
  if (held === undefined || held.version === record.version) return held
  const control = record.value as unknown as Control
  if (held.version === undefined || held.control.shape !== control.shape) return undefined
  const last = control.window.at(-1)
  if (last === undefined && control.waiting > 0) return undefined
  const behind = last === undefined ? [] : held.line.filter((e) => compareInLine(last, e) < 0)
  const line = [...control.window, ...behind]
  if (line.length > control.waiting) return undefined
  return { control, version: record.version, line, complete: line.length === control.waiting }
}

/**
 * Reads control and beats in one, and tells the observer what they show.
 * @param at monotonic now, read after the answer
 * @returns the control record
 */
export async function loadBeats(
  store: Store,
  queue: string,
  observer: Observer,
  at: () => number,
): Promise<StoredRecord | undefined> {
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
  if (first === undefined || first.key[1] !== from) return undefined
  watchState(observer, first.value as unknown as Control, at())
  const shown = new Set<number>()
  for (const { key, version } of records.slice(1)) {
    observer.saw(Number(key[1]), version, at())
    shown.add(Number(key[1]))
  }
  observer.missed(shown, at())
  return first
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
  if (member.posted !== undefined) return { member, waits: false }
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
  const window = end < 0 ? state.line : state.line.slice(0, end)
  // Whoever deleted waiters from outside did not count them.
  const waiting = state.complete ? state.line.length : Math.max(control.waiting, state.line.length)
  return { ...state, control: { ...control, window, waiting } }
}

/** Forgets what lies far behind the head, so that a long line costs no more than a short one. */
export function trimLine(state: QueueState): QueueState {
  const wanted = positionsDepth(state.control) + 2 * READ_AHEAD
  return state.line.length <= wanted
    ? state
    : { ...state, line: state.line.slice(0, wanted - READ_AHEAD), complete: false }
}

function positionsDepth(control: Control): number {
  return Math.max(EXACT_POSITIONS, control.permits + 1)
}

async function extendLine(store: Store, queue: string, state: QueueState): Promise<QueueState> {
  const wanted = positionsDepth(state.control)
  const last = state.line.at(-1)
  const partition = linePartition(queue)
  const limit = wanted + READ_AHEAD - state.line.length
  const page = await store.list(
    { partition, from: decimalKey(0) },
    last === undefined ? { limit } : { limit, after: lineKey(last.priority, last.ticket) },
  )
  const more = page.records
    .map((r) => entryOf(r.value as unknown as Waiter))
    // Who joined after the control record was read.
    .filter((e) => e.ticket <= state.control.tail)
  return { ...state, line: [...state.line, ...more], complete: page.next === undefined }
}

function entryOf({ id, ticket, priority, ttlMs, joinedAt }: Waiter): Entry {
  return { id, ticket, priority, ttlMs, joinedAt }
}
