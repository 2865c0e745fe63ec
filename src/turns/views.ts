/**
 * What members and people are told about a queue's state. Nothing here decides anything.
 */
import { SignalboxError } from '../kernel/error.ts'
import type { MemberView, PastHoldView, QueueView } from './api.ts'
import type { Control, Entry, Labels, Note, PastHold, Waiter } from './records.ts'
import type { QueueState, Standing } from './queue-state.ts'
import { beatInterval, deepPollInterval } from './timing.ts'

/** Positions beyond this are estimates. */
export const EXACT_POSITIONS = 100
const HOLDERS_TOLD = 3

/** @param elapsedMs from the arrival of the request to the moment of the decision */
export function memberView(
  queue: string,
  state: QueueState,
  id: string,
  standing: Standing,
  now: number,
  elapsedMs: number,
): MemberView {
  const { control } = state
  const common = { queue, id, permits: control.permits, elapsedMs, holders: [] }
  switch (standing.state) {
    case 'posted':
    case 'unknown':
      throw new SignalboxError('not_found', `queue '${queue}' has no member '${id}'; join first`)
    case 'left':
    case 'lost':
    case 'evicted': {
      const { member } = standing
      return {
        ...common,
        ...ended(member),
        state: standing.state === 'left' ? 'left' : 'lost',
        ...because(member.end?.note),
      }
    }
    case 'ending':
      return { ...common, ...ended(standing.grant), state: 'lost', ...because(standing.grant.ending) }
    case 'holding': {
      const { ticket, priority, ttlMs, fence } = standing.grant
      const pollMs = beatInterval(ttlMs)
      return {
        ...common,
        state: 'holding',
        ticket,
        priority,
        ttlMs,
        fence,
        position: 0,
        positionExact: true,
        inWindow: false,
        pollMs,
      }
    }
    case 'waiting': {
      const { ticket, priority, ttlMs } = standing.entry
      const { position, exact } = positionOf(state, standing.entry)
      const inWindow = position <= control.window.length
      const estimate = estimateWait(control, position, now)
      return {
        ...common,
        state: 'waiting',
        ticket,
        priority,
        ttlMs,
        position,
        positionExact: exact,
        inWindow,
        pollMs: inWindow ? beatInterval(ttlMs) : deepPollInterval(ttlMs),
        ...(estimate === undefined ? {} : { estimatedWaitMs: estimate }),
        ...(control.state === 'open' ? {} : { queueState: control.state, ...because(control.note) }),
        holders: control.holders
          .slice(0, HOLDERS_TOLD)
          .map((h) => ({ id: h.id, fence: h.fence, sinceMs: Math.max(0, now - h.grantedAt) })),
      }
    }
  }
}

function ended({
  ticket,
  priority,
  ttlMs,
}: Entry): Omit<MemberView, 'queue' | 'id' | 'permits' | 'elapsedMs' | 'holders' | 'state'> {
  return { ticket, priority, ttlMs, position: 0, positionExact: true, inWindow: false, pollMs: ttlMs }
}

function because(note: Note | undefined): { reason?: string } {
  return note === undefined ? {} : { reason: `${note.reason} (${note.by})` }
}

function noteView({ by, at, reason }: Note): { by: string; at: string; reason: string } {
  return { by, at: iso(at), reason }
}

export function pastHoldView({ note, ...hold }: PastHold): PastHoldView {
  const { joinedAt, grantedAt, endedAt } = hold
  return {
    id: hold.id,
    ticket: hold.ticket,
    fence: hold.fence,
    priority: hold.priority,
    joinedAt: iso(joinedAt),
    grantedAt: iso(grantedAt),
    endedAt: iso(endedAt),
    heldMs: Math.max(0, endedAt - grantedAt),
    as: hold.as,
    labels: hold.labels,
    ...(note === undefined ? {} : { note: noteView(note) }),
  }
}

/** 1 for the next in line. Beyond the known line: an estimate by tickets of the same priority. */
export function positionOf(state: QueueState, entry: Entry): { position: number; exact: boolean } {
  const index = state.line.findIndex((e) => e.ticket === entry.ticket)
  if (index >= 0) return { position: index + 1, exact: index < EXACT_POSITIONS }
  const last = state.line.at(-1)
  const behind = last === undefined ? 1 : Math.max(1, entry.ticket - last.ticket)
  return { position: state.line.length + behind, exact: false }
}

function estimateWait(control: Control, position: number, now: number): number | undefined {
  if (control.holdMs === undefined) return undefined
  const rounds = Math.ceil(position / control.permits)
  const oldest = control.holders[0]
  const done = oldest === undefined ? 0 : Math.min(control.holdMs, Math.max(0, now - oldest.grantedAt))
  return Math.max(0, Math.round(rounds * control.holdMs - done))
}

/** @param labels of the holders, by member id */
export function queueView(
  queue: string,
  state: QueueState,
  waiters: readonly Waiter[],
  moreWaiters: boolean,
  labels: ReadonlyMap<string, Labels>,
): QueueView {
  const { control } = state
  const window = new Set(control.window.map((e) => e.ticket))
  return {
    queue,
    permits: control.permits,
    state: control.state,
    ...(control.note === undefined ? {} : { note: noteView(control.note) }),
    holders: control.holders.map((h) => ({
      id: h.id,
      ticket: h.ticket,
      fence: h.fence,
      priority: h.priority,
      ttlMs: h.ttlMs,
      joinedAt: iso(h.joinedAt),
      grantedAt: iso(h.grantedAt),
      labels: labels.get(h.id) ?? {},
      ...(h.ending === undefined ? {} : { ending: noteView(h.ending) }),
    })),
    waiters: waiters.map((w, index) => ({
      id: w.id,
      ticket: w.ticket,
      priority: w.priority,
      position: index + 1,
      joinedAt: iso(w.joinedAt),
      ttlMs: w.ttlMs,
      inWindow: window.has(w.ticket),
      labels: w.labels,
    })),
    moreWaiters,
    lastTicket: control.tail,
    lastFence: control.fence,
    ...(control.holdMs === undefined ? {} : { averageHoldMs: control.holdMs }),
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
