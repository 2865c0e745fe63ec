/**
 * The commands a queue's mailbox takes, and how each is applied to a transition. Pure, like the rules; what a command
 * decided becomes an answer only when the commit is durable.
 */
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { auditChange, type AuditEntry } from '../ports/audit.ts'
import type { EvictView, LeaveView } from './api.ts'
import type { Observer, Suspect } from './observer.ts'
import type { Control, Member, Posted } from './records.ts'
import type { Transition } from './rules.ts'
import type { JoinCommand, Standing } from './queue-state.ts'
import { beatInterval } from './timing.ts'

export interface WaitOptions {
  readonly waitMs: number
  readonly seenPosition: number | undefined
  readonly signal: AbortSignal | undefined
}

export type Command =
  | { readonly kind: 'join'; readonly id: string; readonly join: JoinCommand; readonly wait: WaitOptions }
  | { readonly kind: 'wait'; readonly id: string; readonly wait: WaitOptions }
  | { readonly kind: 'beat'; readonly id: string; readonly fence: number }
  | { readonly kind: 'leave'; readonly id: string; readonly fence: number | undefined }
  | { readonly kind: 'evict'; readonly id: string; readonly suspect: Suspect }
  /** An operator's change of the queue. */
  | {
      readonly kind: 'set'
      readonly to: { readonly state: Control['state'] } | { readonly permits: number }
      readonly act: ActBy
    }
  /** An operator's eviction. */
  | { readonly kind: 'remove'; readonly id: string; readonly force: boolean; readonly act: ActBy }
  /** Grants what can be granted; sent when something outside this mailbox changed. */
  | { readonly kind: 'settle' }

export interface ActBy {
  readonly by: string
  readonly reason: string
}

/** What the store says of a member that is neither holder nor in the known line. */
export interface MemberFacts {
  readonly member: Member | undefined
  /** Its waiter record exists. */
  readonly waits: boolean
}

export type Applied =
  | {
      readonly kind: 'member'
      readonly id: string
      readonly standing: Standing
      readonly wait: WaitOptions
      readonly happened?: 'joined'
    }
  | { readonly kind: 'beaten' }
  | { readonly kind: 'left'; readonly id: string; readonly outcome: LeaveView['outcome'] }
  | { readonly kind: 'done'; readonly happened?: 'lost' | 'evicted' }
  | { readonly kind: 'changed'; readonly changed: boolean }
  | { readonly kind: 'removed'; readonly id: string; readonly outcome: EvictView['outcome'] }
  | { readonly kind: 'refused'; readonly error: SignalboxError }
  /** What was read before it no longer fits together: read again. */
  | { readonly kind: 'stale' }

export interface ApplyContext {
  readonly queue: string
  readonly observer: Observer
  /** Monotonic ms. */
  readonly at: number
  /** The store's time, for notes and the audit log. */
  readonly now: number
  readonly random: Random
  /** Joins in the inbox, by key; read only if one of them is to be given its ticket. */
  readonly posted: ReadonlyMap<string, Posted>
  /** Whether the commit takes another command's changes. */
  readonly fits: () => boolean
}

/** Applies one command. A refusal changes nothing. */
export function apply(t: Transition, command: Command, facts: MemberFacts, context: ApplyContext): Applied {
  if (command.kind === 'settle') return { kind: 'done' }
  if (command.kind === 'set') return applySet(t, command, context)
  const standing = t.standing(command.id, facts.member, facts.waits)
  switch (command.kind) {
    case 'join':
      return applyJoin(t, command, standing, context)
    case 'wait':
      return applyWait(t, command.id, command.wait, standing, context)
    case 'beat':
      if (standing.state === 'unknown')
        return { kind: 'refused', error: unknownMember(context.queue, command.id) }
      if (standing.state !== 'holding' || standing.grant.fence !== command.fence)
        return { kind: 'refused', error: lost(context.queue, standing) }
      t.beat(standing.grant)
      return { kind: 'beaten' }
    case 'leave':
      return {
        kind: 'left',
        id: command.id,
        outcome: t.leave(command.id, standing, facts.member, command.fence),
      }
    case 'remove':
      return applyRemove(t, command, standing, facts.member, context)
    case 'evict': {
      const { ticket, fence, beat } = command.suspect
      if (!context.observer.suspects(context.at).some((s) => s.ticket === ticket && s.beat === beat))
        return { kind: 'done' }
      if (!t.evict(ticket, fence, beat, facts.member)) return { kind: 'done' }
      return { kind: 'done', happened: fence === 0 ? 'evicted' : 'lost' }
    }
  }
}

function applyJoin(
  t: Transition,
  command: Command & { kind: 'join' },
  standing: Standing,
  context: ApplyContext,
): Applied {
  if (standing.state !== 'unknown') {
    const over = standing.state === 'left' || standing.state === 'lost' || standing.state === 'ending'
    return over
      ? { kind: 'refused', error: lost(context.queue, standing) }
      : applyWait(t, command.id, command.wait, standing, context)
  }
  try {
    const entry = t.join(command.join)
    return {
      kind: 'member',
      id: command.id,
      standing: { state: 'waiting', entry },
      wait: command.wait,
      happened: 'joined',
    }
  } catch (error) {
    if (error instanceof SignalboxError) return { kind: 'refused', error }
    throw error
  }
}

/** An answer that says "holding" must rest on a beat of its own: the member counts its deadline from this request. */
function applyWait(
  t: Transition,
  id: string,
  wait: WaitOptions,
  standing: Standing,
  context: ApplyContext,
): Applied {
  switch (standing.state) {
    case 'unknown':
      return { kind: 'refused', error: unknownMember(context.queue, id) }
    case 'holding':
      t.beat(standing.grant)
      break
    case 'waiting': {
      const beatAt = context.observer.wroteAt(standing.entry.ticket)
      if (beatAt === undefined || context.at - beatAt >= beatInterval(standing.entry.ttlMs) / 2)
        t.beat(standing.entry)
      break
    }
    case 'posted':
      return applyPosted(t, id, wait, standing, context)
    case 'evicted':
      return { kind: 'member', id, standing: { state: 'waiting', entry: t.reinstate(standing.member) }, wait }
    case 'ending':
    case 'left':
    case 'lost':
      break
  }
  return { kind: 'member', id, standing, wait }
}

/** Gives a posted join its ticket, and with it as many others as fit into the commit. */
function applyPosted(
  t: Transition,
  id: string,
  wait: WaitOptions,
  standing: Standing & { state: 'posted' },
  { posted, fits }: ApplyContext,
): Applied {
  const own = posted.get(standing.key)
  if (own === undefined) return { kind: 'stale' }
  try {
    const entry = t.enlist(standing.key, own)
    for (const [key, other] of posted) {
      if (key !== standing.key && fits()) enlistOther(t, key, other)
    }
    return { kind: 'member', id, standing: { state: 'waiting', entry }, wait, happened: 'joined' }
  } catch (error) {
    if (!(error instanceof SignalboxError)) throw error
    t.leave(id, standing, undefined, undefined)
    return { kind: 'refused', error }
  }
}

/** A refusal is told to the one it concerns, by its own request. */
function enlistOther(t: Transition, key: string, other: Posted): void {
  try {
    t.enlist(key, other)
  } catch (error) {
    if (!(error instanceof SignalboxError)) throw error
  }
}

function applySet(t: Transition, { to, act }: Command & { kind: 'set' }, context: ApplyContext): Applied {
  const { queue, now } = context
  if (!t.exists && !('permits' in to)) return { kind: 'refused', error: unknownQueue(queue) }
  const changed = 'permits' in to ? t.setPermits(to.permits) : t.setState(to.state, { ...act, at: now })
  if (changed) audit(t, 'permits' in to ? 'set-permits' : verbs[to.state], queue, act, context, to)
  return { kind: 'changed', changed }
}

const verbs = { open: 'resume', paused: 'pause', draining: 'drain' } as const

function applyRemove(
  t: Transition,
  { id, force, act }: Command & { kind: 'remove' },
  standing: Standing,
  member: Member | undefined,
  context: ApplyContext,
): Applied {
  if (!t.exists) return { kind: 'refused', error: unknownQueue(context.queue) }
  const repeated = standing.state === 'ending' && !force
  const outcome = t.remove(standing, member, { ...act, at: context.now }, force)
  if (outcome !== 'gone' && !repeated) audit(t, 'evict', context.queue, act, context, { member: id, force })
  return { kind: 'removed', id, outcome }
}

function audit(
  t: Transition,
  verb: string,
  target: string,
  { by, reason }: ActBy,
  { now, random }: ApplyContext,
  details: NonNullable<AuditEntry['details']>,
): void {
  t.add(auditChange({ at: now, actor: by, action: `turns.${verb}`, target, reason, details }, random))
}

function lost(queue: string, standing: Standing): SignalboxError {
  const note =
    standing.state === 'ending'
      ? standing.grant.ending
      : standing.state === 'lost'
        ? standing.member.end?.note
        : undefined
  const why = note === undefined ? '' : ` (evicted by ${note.by}: ${note.reason})`
  return new SignalboxError(
    'turn_lost',
    `this member no longer holds queue '${queue}'${why}: stop the work and join again`,
  )
}

export function unknownQueue(queue: string): SignalboxError {
  return new SignalboxError(
    'not_found',
    `there is no turn queue '${queue}'; a queue exists from its first join on`,
  )
}

function unknownMember(queue: string, id: string): SignalboxError {
  return new SignalboxError('not_found', `queue '${queue}' has no member '${id}'; join first`)
}
