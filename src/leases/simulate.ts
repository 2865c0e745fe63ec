/**
 * What would have happened: a recorded history played again under another configuration, by the real rules (rules.ts) with
 * a clock of its own. Pure.
 *
 * A record tells when a request was let in, whether it held, how long and with what result. The rest is assumed, and each
 * result names its assumptions, for a number without them would mislead.
 */
import type { LeaseHistoryView, PastRequestView, ProviderConfig } from './api.ts'
import { step, type Answer, type Command } from './rules.ts'
import type { Moment } from './settle.ts'
import { emptyState, type LeaseState, type PastRequest } from './state.ts'
import { retryAfterMs } from './views.ts'

/** A request of the record. Times are milliseconds since the epoch. */
export interface Recorded extends PastRequest {
  readonly pullRequest?: number
  /** What was in force at its end. */
  readonly config: ProviderConfig
}

export interface SimulationInput {
  readonly requests: readonly Recorded[]
  /** What to try. */
  readonly config: ProviderConfig
  /** How often a waiting client asks. Default: as often as a server with this configuration tells it to. */
  readonly pollMs?: number | undefined
}

/** What became of one request: then as recorded, or in the simulation. */
export interface Fate {
  readonly as: PastRequest['as']
  /** From its first call to its grant or, without one, to its end. */
  readonly waitedMs: number
  readonly heldMs?: number
  readonly batch: number
}

export interface SimulatedRequest extends Pick<Recorded, 'seq' | 'sha' | 'pullRequest' | 'priority'> {
  readonly joinedAt: number
  readonly recorded: Fate
  readonly simulated: Fate
}

export interface Totals {
  /** Grants: how often the shared resource was used. */
  readonly holds: number
  /** Batches in which somebody held. */
  readonly batches: number
  readonly succeeded: number
  readonly completed: number
  /** Holders that failed, or were taken for dead. */
  readonly failed: number
  /** Requests that were forgotten for their silence. */
  readonly evicted: number
  readonly heldMs: number
  readonly medianWaitMs: number
  readonly p90WaitMs: number
}

export interface Simulation {
  readonly config: ProviderConfig
  readonly pollMs: number
  readonly requests: readonly SimulatedRequest[]
  readonly recorded: Totals
  readonly simulated: Totals
  readonly assumptions: readonly string[]
}

/** Where the record has no hold to learn from. */
const UNKNOWN_HOLD_MS = 5 * 60_000
/** A job of GitHub's ends after 6 hours unless it says otherwise. */
const PATIENCE_MS = 6 * 3_600_000
/** Outcomes of batches that are over are of no use here. */
const OUTCOMES_HELD = 200

/** The requests of pages of history, oldest first. */
export function recordedFrom(pages: readonly LeaseHistoryView[]): Recorded[] {
  const all = pages.flatMap(({ requests, configs }) =>
    requests.map((view): Recorded => recorded(view, configs[view.config])),
  )
  const bySeq = new Map(all.map((one) => [one.seq, one]))
  return [...bySeq.values()].sort((a, b) => a.seq - b.seq)
}

function recorded(view: PastRequestView, config: ProviderConfig | undefined): Recorded {
  const { joinedAt, grantedAt, endedAt, pullRequest, ref, fence, seq, sha, priority, as, batch } = view
  return {
    seq,
    sha,
    priority,
    as,
    batch,
    joinedAt: Date.parse(joinedAt),
    endedAt: Date.parse(endedAt),
    ...(ref === undefined ? {} : { ref }),
    ...(pullRequest === undefined ? {} : { pullRequest }),
    ...(fence === undefined ? {} : { fence }),
    ...(grantedAt === undefined ? {} : { grantedAt: Date.parse(grantedAt) }),
    config: config ?? NO_CONFIG,
  }
}

const NO_CONFIG: ProviderConfig = {
  stabilizeMs: 0,
  ttlMs: 30_000,
  expectedCount: 0,
  delayCount: 0,
  maxLeaseMs: 21_600_000,
  coolDownMs: 0,
}

export function simulate({ requests, config, pollMs = retryAfterMs(config) }: SimulationInput): Simulation {
  const typicalHoldMs = median(requests.flatMap(heldMs)) ?? UNKNOWN_HOLD_MS
  const world = new World(config, requests[0]?.joinedAt ?? 0)
  const clients = requests.map((one) => new Client(one, { pollMs, typicalHoldMs }))
  play(world, clients)
  const compared = requests.map((one): SimulatedRequest => {
    const { seq, sha, pullRequest, priority, joinedAt } = one
    const named = { seq, sha, ...(pullRequest === undefined ? {} : { pullRequest }), priority, joinedAt }
    return { ...named, recorded: fateOf(one, one), simulated: fateOf(one, endOf(world, one)) }
  })
  return {
    config,
    pollMs,
    requests: compared,
    recorded: totals(requests, compared.map((one) => one.recorded)), // prettier-ignore
    simulated: totals(world.ended, compared.map((one) => one.simulated)), // prettier-ignore
    assumptions: assumptions(requests, { pollMs, typicalHoldMs }),
  }
}

/** Nobody clears here: who was cleared leaves at that time, and is called so. */
function endOf(world: World, request: Recorded): PastRequest {
  const end = world.endOf(request)
  const left = end.as === 'withdrawn' || end.as === 'failure'
  return request.as === 'cleared' && left ? { ...end, as: 'cleared' } : end
}

/** Clients act in the order of time; few are active at once, so the next one is simply looked for. */
function play(world: World, clients: readonly Client[]): void {
  const coming = [...clients].sort((a, b) => a.at - b.at || a.request.seq - b.request.seq)
  const active: Client[] = []
  for (let arrived = 0; ;) {
    let next = active[0]
    for (const client of active) if (next === undefined || client.at < next.at) next = client
    const newcomer = coming[arrived]
    if (newcomer !== undefined && (next === undefined || newcomer.at <= next.at)) {
      arrived += 1
      active.push(newcomer)
      next = newcomer
    }
    if (next === undefined) break
    next.act(world)
    if (next.at === Number.POSITIVE_INFINITY) active.splice(active.indexOf(next), 1)
  }
  world.letTimePass()
}

/** One provider, with nothing but the rules. */
class World {
  readonly ended: PastRequest[] = []
  readonly #config: ProviderConfig
  #state: LeaseState
  #now: number

  constructor(config: ProviderConfig, start: number) {
    this.#config = config
    this.#state = emptyState(start)
    this.#now = start
  }

  call(command: Command, now: number): Answer | undefined {
    this.#now = Math.max(this.#now, now)
    const moment: Moment = { now: this.#now, heardSince: 0, slackMs: 0, seenEveryMs: 0 }
    const { state, answer, ended } = step(this.#state, command, moment, this.#config)
    this.ended.push(...ended)
    this.#state = state.outcomes.size > OUTCOMES_HELD ? withoutOldOutcomes(state) : state
    return answer
  }

  /** Who is still known is silent, and who holds is dead. */
  letTimePass(): void {
    const { ttlMs, maxLeaseMs } = this.#config
    for (const ms of [maxLeaseMs + 1, ttlMs + 1]) this.call({ kind: 'look' }, this.#now + ms)
  }

  /** How a request of the record ended here; the last time, if it was forgotten and came again. */
  endOf(request: Recorded): PastRequest {
    this.#lastEnds ??= new Map(this.ended.map((end) => [end.sha, end]))
    return this.#lastEnds.get(nameOf(request)) ?? neverLetIn(request)
  }
  #lastEnds: Map<string, PastRequest> | undefined
}

/** Refused until it gave up. */
function neverLetIn({ seq, sha, priority, joinedAt, endedAt, as }: Recorded): PastRequest {
  const left = as === 'withdrawn' || as === 'evicted' || as === 'cleared'
  const until = left ? endedAt : Math.max(endedAt, joinedAt + PATIENCE_MS)
  return { seq, sha, priority, joinedAt, endedAt: until, as: 'withdrawn', batch: 0 }
}

function withoutOldOutcomes(state: LeaseState): LeaseState {
  const current = [...state.outcomes].filter(([, { batch }]) => batch === state.header.batch)
  return { ...state, outcomes: new Map(current) }
}

interface Habits {
  readonly pollMs: number
  readonly typicalHoldMs: number
}

/** One request of the record, doing here what it did then as far as it gets to it. */
class Client {
  readonly request: Recorded
  readonly #habits: Habits
  readonly #sha: string
  #holding = false
  #success: boolean
  /** When it acts next; infinite: never again. */
  at: number

  constructor(request: Recorded, habits: Habits) {
    this.request = request
    this.#habits = habits
    this.#sha = nameOf(request)
    this.#success = request.as !== 'failure' && !(request.as === 'cleared' && request.fence !== undefined)
    this.at = request.joinedAt
  }

  act(world: World): void {
    if (this.#holding) this.#release(world, this.#success)
    else if (this.at >= this.#givesUpAt) this.#release(world, false)
    else if (this.at > this.#silentAfter) this.at = Number.POSITIVE_INFINITY
    else this.#ask(world)
  }

  #ask(world: World): void {
    const { priority } = this.request
    const answer = world.call({ kind: 'acquire', request: { sha: this.#sha, priority } }, this.at)
    const status = answer?.kind === 'lease' ? answer.status : 'refused'
    if (status === 'completed') this.at = Number.POSITIVE_INFINITY
    else if (status === 'acquired') this.#hold()
    else this.at = Math.min(this.at + this.#habits.pollMs, this.#givesUpAt)
  }

  #hold(): void {
    const { request } = this
    this.#holding = true
    const end = this.at + (heldMs(request)[0] ?? this.#habits.typicalHoldMs)
    const dies = request.as === 'expired' || end > this.#silentAfter
    const stopped = end > this.#leavesAt
    if (stopped) this.#success = false
    this.at = dies ? Number.POSITIVE_INFINITY : Math.min(end, Math.max(this.at, this.#leavesAt))
  }

  #release(world: World, success: boolean): void {
    const { priority } = this.request
    world.call({ kind: 'release', request: { sha: this.#sha, priority, success } }, this.at)
    this.at = Number.POSITIVE_INFINITY
  }

  /** Who gave up in the record gives up here at the same time. */
  get #leavesAt(): number {
    const { as, endedAt, fence } = this.request
    const left = as === 'withdrawn' || (as === 'cleared' && fence === undefined)
    return left ? endedAt : Number.POSITIVE_INFINITY
  }

  get #givesUpAt(): number {
    const { joinedAt, endedAt } = this.request
    return Math.min(this.#leavesAt, Math.max(endedAt, joinedAt + PATIENCE_MS))
  }

  get #silentAfter(): number {
    const { as, endedAt, joinedAt, config } = this.request
    return as === 'evicted' ? Math.max(joinedAt, endedAt - config.ttlMs) : Number.POSITIVE_INFINITY
  }
}

/** A commit may be asked for again later; each time is a request of its own. */
function nameOf({ sha, seq }: Recorded): string {
  return `${sha} ${seq}`
}

function fateOf({ joinedAt }: Recorded, end: PastRequest): Fate {
  const { as, batch, grantedAt, endedAt } = end
  const waitedMs = Math.max(0, (grantedAt ?? endedAt) - joinedAt)
  return { as, waitedMs, batch, ...(grantedAt === undefined ? {} : { heldMs: endedAt - grantedAt }) }
}

function heldMs({ grantedAt, endedAt, as }: PastRequest): number[] {
  return grantedAt === undefined || as === 'expired' ? [] : [Math.max(0, endedAt - grantedAt)]
}

function totals(ends: readonly PastRequest[], fates: readonly Fate[]): Totals {
  const holds = ends.filter(({ grantedAt }) => grantedAt !== undefined)
  const count = (...as: PastRequest['as'][]): number => ends.filter((end) => as.includes(end.as)).length
  // The waits of those who gave up say nothing.
  const waits = fates
    .filter(({ as, heldMs: held }) => as === 'completed' || held !== undefined)
    .map(({ waitedMs }) => waitedMs)
    .sort((a, b) => a - b)
  return {
    holds: holds.length,
    batches: new Set(holds.map(({ batch }) => batch)).size,
    succeeded: count('success'),
    completed: count('completed'),
    failed: count('failure', 'expired'),
    evicted: count('evicted'),
    heldMs: holds.reduce((sum, { grantedAt = 0, endedAt }) => sum + (endedAt - grantedAt), 0),
    medianWaitMs: median(waits) ?? 0,
    p90WaitMs: waits[Math.ceil(waits.length * 0.9) - 1] ?? 0,
  }
}

function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)]
}

function assumptions(requests: readonly Recorded[], { pollMs, typicalHoldMs }: Habits): string[] {
  const held = requests.filter(({ grantedAt }) => grantedAt !== undefined).length
  const gone = requests.filter(({ as, fence }) => fence === undefined && as !== 'completed').length
  const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`
  const source = held === 0 ? 'for the record has none' : `the median of ${held} recorded holds`
  return [
    `each request asks from the moment it was let in, every ${seconds(pollMs)}, and goes on asking when it is refused, for 6 hours (the limit of a GitHub job)`,
    'a hold lasts as long and ends as it did in the record; one that was taken for dead is never released',
    `${requests.length - held} of ${requests.length} requests never held; one that does here succeeds after ${seconds(typicalHoldMs)}, ${source}`,
    `${gone} requests that withdrew, fell silent or were cleared away do so here at the same time`,
    'GitHub builds the same groups with the same priorities, whatever becomes of them',
  ]
}
