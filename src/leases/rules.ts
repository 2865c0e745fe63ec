/**
 * The rules of merge-queue leases, pure: `(state, command, moment, config) → state + answer + events`. No clock, no
 * randomness, no store.
 *
 *              highest priority asks, and the window has passed
 *              or enough are known
 *   ┌─ open ────────────────────────────────────▶ held ──release: success──▶ draining
 *   │   ▲  ▲                                      ▲  │ release: failure,           │ every waiter strictly below has
 *   │   │  │           highest of the rest asks   │  ▼ or dead                     │ heard `completed`, or is gone
 *   │   │  └──────── nobody is left ◀───────── failover                           │
 *   │   └────────────────────────────────────────────────────────────────────────┘
 *   └─ newcomers are let in here only; elsewhere they are refused until the batch is settled
 *
 * Invariants
 * - at most one holder; a holder is a recorded grant with a fence greater than all before;
 * - `completed` is said only to a SHA whose priority was strictly below a successful holder's when that one released;
 * - every state is left by time alone: holders expire, the silent are forgotten (settle.ts), on each call;
 * - acquire and release may be repeated: what became of a SHA is kept for 24 hours;
 * - a command that is refused changes nothing but what time alone does;
 * - every request that ends is noted once, for history; of a clear, the holder always and the rest as far as there is room.
 */
import type { AcquireRequest, ClearAct, LeaseAnswer, ProviderConfig, Refusal, ReleaseRequest } from './api.ts'
import {
  dropHolder,
  endBatch,
  noteEnd,
  RESERVE,
  settle,
  type LeaseEvent,
  type Moment,
  type Scene,
} from './settle.ts'
import {
  Draft,
  isBelow,
  OUTCOME_KEPT_MS,
  type Entry,
  type Holder,
  type LeaseState,
  type Outcome,
  type PastRequest,
} from './state.ts'
import { askAgainMs, retryAfterMs, stackOf, waitingReason } from './views.ts'

export type Command =
  | { readonly kind: 'acquire'; readonly request: AcquireRequest }
  | { readonly kind: 'release'; readonly request: ReleaseRequest }
  | ({ readonly kind: 'clear' } & ClearAct)
  /** Nothing but what time does; for reading. */
  | { readonly kind: 'look' }

export type Answer = LeaseAnswer | Refusal | { readonly kind: 'done' }

export interface Step {
  readonly state: LeaseState
  /** Undefined: what time does alone filled the room; commit that, then apply the command again. */
  readonly answer: Answer | undefined
  readonly events: readonly LeaseEvent[]
  /** Requests that are over. */
  readonly ended: readonly PastRequest[]
  /** Records changed, an upper bound. */
  readonly writes: number
}

/** @param ownsEntries the state's entries are nobody else's: they may be changed where they are */
export function step(
  state: LeaseState,
  command: Command,
  moment: Moment,
  config: ProviderConfig,
  room = Number.POSITIVE_INFINITY,
  ownsEntries = false,
): Step {
  const events: LeaseEvent[] = []
  const draft = new Draft(state, ownsEntries)
  const scene: Scene = { draft, moment, config, events, room }
  const settled = settle(scene, command.kind === 'acquire' ? command.request.sha : undefined)
  const answer = settled ? applied(scene, command) : undefined
  return { state: draft.done(), answer, events, ended: draft.ended, writes: draft.writes }
}

function applied(scene: Scene, command: Command): Answer {
  switch (command.kind) {
    case 'acquire':
      return acquire(scene, command.request)
    case 'release':
      return release(scene, command.request)
    case 'clear':
      return clear(scene)
    case 'look':
      return { kind: 'done' }
  }
}

function acquire(scene: Scene, request: AcquireRequest): Answer {
  const { draft } = scene
  const { holder } = draft.header
  if (holder?.completed !== undefined && holder.sha === request.sha) {
    return echo(request, 'completed', { fence: holder.fence })
  }
  const known = draft.entries.get(request.sha)
  if (known !== undefined) update(scene, known, request)
  endDrainedBatch(scene)
  if (known === undefined) {
    const outcome = keptOutcome(scene, request.sha)
    if (outcome?.as === 'success' || outcome?.as === 'completed') return echo(request, 'completed')
    if (isClosed(draft) && !mayReturn(draft, outcome)) return refusedAcquire(scene)
    admit(scene, request, outcome)
  }
  return answerPoll(scene, request)
}

/** Steps 5 to 8 of the specification, for a request that is known by now. */
function answerPoll(scene: Scene, request: AcquireRequest): Answer {
  const { draft, moment, events } = scene
  const entry = draft.entries.get(request.sha) as Entry // just admitted or updated
  const { holder } = draft.header
  if (holder?.sha === entry.sha) return keepHolding(scene, holder, request)
  if (holder?.completed !== undefined && isBelow(entry, holder)) {
    const { batch } = draft.header
    noteEnd(scene, entry, 'completed')
    draft.remove(entry.sha)
    draft.keep(entry.sha, { as: 'completed', at: moment.now, batch, ...bare(request) })
    events.push({ kind: 'completed', sha: entry.sha })
    return echo(request, 'completed')
  }
  if (holder === undefined && isEligible(scene, entry)) {
    if (entry.polls >= scene.config.delayCount) return grant(scene, entry, request)
    draft.set({ ...entry, polls: entry.polls + 1 })
  }
  return echo(request, 'pending', {
    reason: waitingReason(draft, entry.sha, moment.now, scene.config),
    retryAfterMs: askAgainMs(draft, entry, moment.now, scene.config),
  })
}

function release(scene: Scene, request: ReleaseRequest): Answer {
  const { draft } = scene
  const { holder } = draft.header
  if (holder?.sha === request.sha) {
    if (holder.completed !== undefined) return completedAgain(request.sha, holder.completed, holder.fence)
    return request.success ? succeed(scene, holder, request) : fail(scene, holder, request)
  }
  const known = draft.entries.get(request.sha)
  if (known !== undefined)
    return request.success ? refusedRelease(scene, request) : withdraw(scene, request, known)
  const outcome = keptOutcome(scene, request.sha)
  switch (outcome?.as) {
    case 'success':
      return completedAgain(request.sha, outcome, outcome.fence)
    case 'completed':
      return echo(request, 'completed')
    case 'failure':
    case 'withdrawn':
      return echo({ ...request, ref: outcome.ref, priority: outcome.priority }, 'failure')
    case 'expired':
    case 'evicted':
    case undefined:
      return refusedRelease(scene, request)
  }
}

function clear(scene: Scene): Answer {
  const { draft, moment, events } = scene
  const { coolUntil: _over, ...rest } = draft.header
  noteCleared(scene)
  draft.removeAll()
  draft.header = { ...rest, from: rest.seq + 1, updatedAt: moment.now }
  endBatch(scene)
  events.push({ kind: 'cleared' })
  return { kind: 'done' }
}

function noteCleared(scene: Scene): void {
  const { header, entries } = scene.draft
  const held = entries.get(header.holder?.sha ?? '')
  // One that has succeeded was noted when it released.
  if (held !== undefined && header.holder?.completed === undefined) noteEnd(scene, held, 'cleared')
  for (const entry of entries.values()) {
    if (entry !== held && scene.draft.writes + RESERVE <= scene.room) noteEnd(scene, entry, 'cleared')
  }
}

/** Only while a batch is open may anybody come in. */
function isClosed({ header }: Draft): boolean {
  return header.holder !== undefined || header.failed !== undefined
}

/** One that was forgotten during this very batch was part of it. */
function mayReturn({ header }: Draft, outcome: Outcome | undefined): boolean {
  return outcome?.as === 'evicted' && outcome.batch === header.batch
}

function admit(scene: Scene, request: AcquireRequest, outcome: Outcome | undefined): void {
  const { draft, moment, events } = scene
  const { now } = moment
  const seq = draft.header.seq + 1
  const entry: Entry = { seq, ...bare(request), sha: request.sha, joinedAt: now, seenAt: now, polls: 0 }
  draft.set(outcome === undefined ? entry : sparedIfRaised(draft, entry, outcome.priority))
  draft.header = { ...draft.header, seq, stableSince: now, updatedAt: now }
  draft.keep(request.sha, undefined)
  events.push({ kind: 'joined', sha: request.sha })
}

function update(scene: Scene, known: Entry, request: AcquireRequest): void {
  const { draft, moment } = scene
  const { now, seenEveryMs } = moment
  const ref = request.ref ?? known.ref
  const changed = request.priority !== known.priority || ref !== known.ref
  const stale = now - known.seenAt >= Math.max(seenEveryMs, 1)
  if (!changed && !stale) return
  const entry = { ...known, ...(ref === undefined ? {} : { ref }), priority: request.priority, seenAt: now }
  draft.set(sparedIfRaised(draft, entry, known.priority))
  if (changed) draft.header = { ...draft.header, updatedAt: now, stableSince: now }
}

/** A priority that falls while the lease is held, or the batch drains, tells nothing: the base has moved, not the commits. */
function sparedIfRaised({ header: { holder } }: Draft, entry: Entry, before: number): Entry {
  if (holder === undefined || entry.sha === holder.sha) return entry
  if (before < holder.priority || entry.priority >= before) return entry
  return { ...entry, spared: holder.fence }
}

/** Whoever remains was not below the holder and belongs to the next batch. */
function endDrainedBatch(scene: Scene): void {
  const { header, entries } = scene.draft
  const { holder } = header
  if (holder?.completed === undefined) return
  for (const entry of entries.values()) if (isBelow(entry, holder)) return
  endBatch(scene)
}

/** Steps 7 and 8: may this request be granted, once its countdown is over? */
function isEligible({ draft, moment: { now }, config }: Scene, { priority }: Entry): boolean {
  const { header, entries } = draft
  if (header.coolUntil !== undefined && now < header.coolUntil) return false
  const stable = now - header.stableSince >= config.stabilizeMs
  if (!stable && entries.size < config.expectedCount && header.failed === undefined) return false
  for (const other of entries.values()) if (other.priority > priority) return false
  return true
}

function grant(scene: Scene, entry: Entry, request: AcquireRequest): Answer {
  const { draft, moment, config, events } = scene
  const { coolUntil: _over, ...rest } = draft.header
  const fence = rest.fence + 1
  const leaseMs = Math.min(request.leaseMs ?? config.maxLeaseMs, config.maxLeaseMs)
  const holder: Holder = {
    sha: entry.sha,
    fence,
    priority: entry.priority,
    grantedAt: moment.now,
    expiresAt: moment.now + leaseMs,
    leaseMs,
    renews: request.leaseMs !== undefined,
  }
  draft.header = { ...rest, fence, holder, updatedAt: moment.now }
  events.push({ kind: 'granted', sha: entry.sha, fence, waitedMs: moment.now - entry.joinedAt })
  return holding(scene, holder, request)
}

/** A repeat by the holder: the same grant; with `lease_seconds` also its renewal. */
function keepHolding(scene: Scene, holder: Holder, request: AcquireRequest): Answer {
  const { draft, moment, config } = scene
  let kept = holder
  if (request.priority < holder.priority) kept = { ...kept, priority: request.priority }
  if (request.leaseMs === undefined) {
    if (kept !== holder) draft.header = { ...draft.header, holder: kept }
    return holding(scene, kept, request)
  }
  const { now } = moment
  const leaseMs = Math.min(request.leaseMs, config.maxLeaseMs)
  // One that renews and gets less than before may not hear of it: it keeps what it was promised.
  const expiresAt = Math.max(now + leaseMs, holder.renews ? holder.expiresAt : 0)
  kept = { ...kept, leaseMs: expiresAt - now, renews: true, expiresAt }
  draft.header = { ...draft.header, holder: kept }
  return holding(scene, kept, request, leaseMs)
}

function holding(
  { draft }: Scene,
  holder: Holder,
  request: AcquireRequest,
  leaseMs = holder.leaseMs,
): Answer {
  return echo(request, 'acquired', {
    fence: holder.fence,
    expiresAt: holder.expiresAt,
    leaseMs,
    stacked: stackOf(draft.entries.values(), holder),
  })
}

function succeed(scene: Scene, holder: Holder, request: ReleaseRequest): Answer {
  const { draft, moment, events } = scene
  const { now } = moment
  const { fence } = holder
  const told = bare(request)
  const completed = { at: now, ...told }
  draft.keep(request.sha, { as: 'success', at: now, batch: draft.header.batch, fence, ...told })
  noteEnd(scene, draft.entries.get(request.sha) as Entry, 'success') // a holder is known
  draft.header = { ...draft.header, holder: { ...holder, completed }, updatedAt: now }
  const below = [...draft.entries.values()].filter((entry) => isBelow(entry, holder)).length
  events.push({ kind: 'succeeded', sha: request.sha, batchSize: 1 + below })
  return echo(request, 'completed', { fence })
}

function fail(scene: Scene, holder: Holder, request: ReleaseRequest): Answer {
  const { draft, moment, events } = scene
  const { batch } = draft.header
  draft.keep(request.sha, {
    as: 'failure',
    at: moment.now,
    batch,
    fence: holder.fence,
    ...bare(request),
  })
  draft.header = { ...draft.header, updatedAt: moment.now }
  noteEnd(scene, draft.entries.get(request.sha) as Entry, 'failure') // a holder is known
  dropHolder(scene, holder, false)
  events.push({ kind: 'failed', sha: request.sha })
  return echo(request, 'failure', { fence: holder.fence })
}

function withdraw(scene: Scene, request: ReleaseRequest, known: Entry): Answer {
  const { draft, moment, events } = scene
  const { batch } = draft.header
  noteEnd(scene, known, 'withdrawn')
  draft.remove(request.sha)
  draft.keep(request.sha, { as: 'withdrawn', at: moment.now, batch, ...bare(request) })
  draft.header = { ...draft.header, updatedAt: moment.now }
  settle(scene)
  events.push({ kind: 'withdrawn', sha: request.sha })
  return echo(request, 'failure')
}

function refusedAcquire({ draft, moment, config }: Scene): Refusal {
  const reason = waitingReason(draft, undefined, moment.now, config)
  return { kind: 'refused', why: 'acquired', reason, retryAfterMs: retryAfterMs(config) }
}

function refusedRelease({ draft, moment, config }: Scene, { sha }: ReleaseRequest): Refusal {
  const why = draft.header.holder === undefined ? 'not_acquired' : 'not_holder'
  return { kind: 'refused', why, reason: waitingReason(draft, sha, moment.now, config) }
}

function keptOutcome({ draft, moment }: Scene, sha: string): Outcome | undefined {
  const outcome = draft.outcomes.get(sha)
  return outcome === undefined || moment.now - outcome.at >= OUTCOME_KEPT_MS ? undefined : outcome
}

/** A repeated release hears what the first one heard. */
function completedAgain(
  sha: string,
  first: { readonly priority: number; readonly ref?: string },
  fence: number | undefined,
): LeaseAnswer {
  return echo({ sha, ref: first.ref, priority: first.priority }, 'completed', { fence })
}

function echo(
  {
    sha,
    ref,
    priority,
  }: { readonly sha: string; readonly ref?: string | undefined; readonly priority: number },
  status: LeaseAnswer['status'],
  more: Partial<LeaseAnswer> = {},
): LeaseAnswer {
  return { kind: 'lease', status, sha, ref, priority, ...more }
}

function bare({ ref, priority }: { readonly ref?: string | undefined; readonly priority: number }): {
  readonly priority: number
  readonly ref?: string
} {
  return ref === undefined ? { priority } : { priority, ref }
}
