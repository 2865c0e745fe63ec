/**
 * The commands a queue's mailbox takes, and how each is applied to a transition. Pure, like the rules; what a command
 * decided becomes an answer only when the commit is durable.
 */
import { SignalboxError } from '../kernel/error.ts'
import type { LeaveView } from './api.ts'
import type { Observer, Suspect } from './observer.ts'
import type { Member } from './records.ts'
import type { JoinCommand, Standing, Transition } from './rules.ts'
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
  /** Grants what can be granted; sent when something outside this mailbox changed. */
  | { readonly kind: 'settle' }

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
  | { readonly kind: 'left'; readonly outcome: LeaveView['outcome'] }
  | { readonly kind: 'done'; readonly happened?: 'lost' | 'evicted' }
  | { readonly kind: 'refused'; readonly error: SignalboxError }

export interface ApplyContext {
  readonly queue: string
  readonly observer: Observer
  /** Monotonic ms. */
  readonly at: number
}

/** Applies one command. A refusal changes nothing. */
export function apply(t: Transition, command: Command, facts: MemberFacts, context: ApplyContext): Applied {
  if (command.kind === 'settle') return { kind: 'done' }
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
        return { kind: 'refused', error: lost(context.queue) }
      t.beat(standing.grant)
      return { kind: 'beaten' }
    case 'leave':
      return { kind: 'left', outcome: t.leave(command.id, standing, facts.member, command.fence) }
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
    const over = standing.state === 'left' || standing.state === 'lost'
    return over
      ? { kind: 'refused', error: lost(context.queue) }
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
      const since = context.observer.since(standing.entry.ticket)
      if (since === undefined || context.at - since >= beatInterval(standing.entry.ttlMs) / 2)
        t.beat(standing.entry)
      break
    }
    case 'evicted':
      return { kind: 'member', id, standing: { state: 'waiting', entry: t.reinstate(standing.member) }, wait }
    case 'left':
    case 'lost':
      break
  }
  return { kind: 'member', id, standing, wait }
}

function lost(queue: string): SignalboxError {
  return new SignalboxError(
    'turn_lost',
    `this member no longer holds queue '${queue}': stop the work and join again`,
  )
}

function unknownMember(queue: string, id: string): SignalboxError {
  return new SignalboxError('not_found', `queue '${queue}' has no member '${id}'; join first`)
}
