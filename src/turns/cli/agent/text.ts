/** What the commands of the agent print about one. */
import type { Clock } from '../../../kernel/clock.ts'
import type { AgentState } from '../../agent/state.ts'
import type { MemberView } from '../../api.ts'
import { waitingLine } from '../waiting-line.ts'

/** Is the turn held by this state, on both clocks? The agent itself may be frozen. */
export function isHolding({ state, heldUntil }: AgentState, clock: Clock): boolean {
  return (
    state === 'holding' &&
    heldUntil !== undefined &&
    clock.monotonic() < heldUntil.at &&
    clock.now() < heldUntil.wallAt
  )
}

/** `deploy: agent 3f9a2c1b (process 42) at 127.0.0.1:50051: waiting, position 2 of the line; …` */
export function describeAgent(state: AgentState, clock: Clock): string {
  const { queue, id, pid, address } = state
  return `${queue}: agent ${id} (process ${pid}) at ${address}: ${place(state, clock)}\n`
}

/** `waiting, position 2 of the line; held by …`, `holding, fence 7` */
export function place(state: AgentState, clock: Clock): string {
  if (state.state === 'ended') return `ended: ${state.end?.message ?? 'no reason is known'}`
  if (state.state === 'holding') {
    return `${isHolding(state, clock) ? 'holding' : 'not answering in time, was holding'}, fence ${state.fence}`
  }
  const { view, viewAt } = state
  if (state.state !== 'waiting' || view === undefined) return state.state
  return waitingLine(view, clock.monotonic() - (viewAt ?? clock.monotonic()))
}

/** As the last answer would read now. */
export function agedView({ view, viewAt }: AgentState, clock: Clock): MemberView | undefined {
  if (view === undefined || viewAt === undefined) return view
  const ms = Math.max(0, Math.round(clock.monotonic() - viewAt))
  const { estimatedWaitMs } = view
  return {
    ...view,
    holders: view.holders.map((holder) => ({ ...holder, sinceMs: holder.sinceMs + ms })),
    ...(estimatedWaitMs === undefined ? {} : { estimatedWaitMs: Math.max(0, estimatedWaitMs - ms) }),
  }
}

/** For programs: without what is only meant for the commands beside the agent. */
export function publicView(state: AgentState, clock: Clock): object {
  const { id, queue, pid, address, member, ticket, fence, startedAt, log, end, waitedMs } = state
  const position = state.state === 'holding' ? 0 : state.view?.position
  const facts = { ticket, position, fence, startedAt, log, end }
  return {
    id,
    queue,
    state: state.state,
    pid,
    address,
    member,
    ...facts,
    ...(state.state === 'holding' ? { isFront: isHolding(state, clock) } : {}),
    ...(waitedMs === undefined ? {} : { waitedMs: Math.round(waitedMs) }),
  }
}
