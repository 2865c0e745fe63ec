/**
 * The mailbox of one provider: commands that arrive together are applied in order to one loaded state and committed
 * once; nobody is answered before the commit is durable. A conflict or a lost answer reloads and applies again, which
 * is safe because every command is idempotent by SHA. Several actors on one store may serve one provider; the header's
 * version decides between them.
 */
import { backoffDelay } from '../kernel/backoff.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { auditChange } from '../ports/audit.ts'
import { decimalKey, type Change, type Store } from '../ports/store.ts'
import {
  providerLabel,
  type LeaseProviderView,
  type ProviderConfig,
  type ProviderName,
  type ProviderView,
} from './api.ts'
import { inspection } from './inspection.ts'
import { ProviderStore, type Prepared } from './provider-store.ts'
import { asJson, HISTORY_KEPT_MS, historyPartition } from './records.ts'
import { step, type Answer, type Command } from './rules.ts'
import type { LeaseEvent, Moment } from './settle.ts'
import type { LeaseState, PastRequest } from './state.ts'
import { providerView } from './views.ts'

export interface ActorContext {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  /** Other processes may serve this provider too. */
  readonly shared: boolean
  /** The store's time when this process began to listen. */
  readonly startedAt: number
  readonly emit: (event: ProviderEvent) => void
  /** After each commit: from which state to which. */
  readonly changed: (provider: ProviderName, from: LeaseState, to: LeaseState) => void
}

export type ProviderEvent = { readonly provider: ProviderName } & (
  | LeaseEvent
  | { readonly kind: 'retried'; readonly why: 'conflict' | 'outcome_unknown' | 'throttled' }
)

/** What a command is answered with: its answer, and the provider as it is then. */
export interface Reply {
  readonly answer: Answer
  readonly view: () => ProviderView
  readonly inspect: () => LeaseProviderView
}

interface Pending {
  readonly command: Command
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: unknown) => void
}

interface Tried {
  readonly state: LeaseState
  readonly answers: readonly Answer[]
  readonly events: readonly LeaseEvent[]
  /** Written beside the state: the audit entry, the history. */
  readonly beside: readonly Change[]
  readonly cleared: boolean
}

/** Commands looked at for one commit. */
const MAX_BATCH = 48
/** Records that one command may change. */
const ROOM = 8
const MAX_ATTEMPTS = 40
const RETRY = { baseMs: 5, maxMs: 500 }
/** The wall clock may differ from the monotonic one by this much from one call to the next, before it counts as set. */
const JUMP_MS = 2_000
const FORGIVE_TTLS = 4

export class ProviderActor {
  readonly name: ProviderName
  readonly #config: ProviderConfig
  readonly #context: ActorContext
  readonly #records: ProviderStore
  #pending: Pending[] = []
  #running = false
  #closed = false
  #heardSince: number
  /** Both clocks at the last call. */
  #clocks: { readonly wall: number; readonly mono: number } | undefined
  #kept: Moment['kept']
  /** Monotonic ms of the last jump for which everybody's silence was forgiven. */
  #forgivenAt = Number.NEGATIVE_INFINITY
  /** Store times of the first and the last call that failed since one succeeded. */
  #outage: { readonly from: number; readonly to: number } | undefined
  /** A commit of the present batch may have been applied. */
  #unknown = false
  #commits = 0
  readonly #id: string

  constructor(name: ProviderName, config: ProviderConfig, context: ActorContext) {
    this.name = name
    this.#config = config
    this.#context = context
    this.#records = new ProviderStore(context.store, name, context.shared)
    this.#heardSince = context.startedAt
    this.#id = context.random.id()
  }

  submit(command: Command): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(stopping())
        return
      }
      this.#pending.push({ command, resolve, reject })
      if (!this.#running) void this.#run()
    })
  }

  /** Known requests without those whose work is done, as far as this process knows. */
  waiting(): number {
    const state = this.#records.known
    if (state === undefined) return 0
    const { header, entries } = step(state, { kind: 'look' }, this.#moment(), this.#config).state
    return entries.size - (header.holder?.completed === undefined ? 0 : 1)
  }

  close(): void {
    this.#closed = true
    for (const { reject } of this.#pending.splice(0)) reject(stopping())
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#pending.length > 0) await this.#runBatch()
    this.#running = false
  }

  async #runBatch(): Promise<void> {
    const { clock, random } = this.#context
    // The commands of one turn of the event loop belong in one batch.
    await Promise.resolve()
    const batch = this.#pending.splice(0, MAX_BATCH)
    this.#unknown = false
    try {
      for (let attempt = 0; ; attempt++) {
        if (attempt > 1) await sleep(clock, backoffDelay(RETRY, attempt - 2, random))
        if (await this.#attempt(batch, attempt).catch((error: unknown) => this.#passing(error, attempt)))
          return
      }
    } catch (error) {
      this.#records.forget()
      const now = this.#context.store.now().ms
      this.#outage = { from: this.#outage?.from ?? now, to: now }
      const told = this.#unknown ? stillUnknown(error) : error
      for (const { reject } of batch) reject(told)
    }
  }

  /** @returns false when the store decided against it, or its answer was lost, and it must be tried again */
  async #attempt(batch: Pending[], attempt: number): Promise<boolean> {
    const loaded = await this.#records.load()
    const before = { ...loaded, outcomes: await this.#records.outcomes(shasToLookUp(batch, loaded)) }
    this.#working()
    const moment = this.#moment()
    const { state, answers, events, beside, cleared } = this.#apply(before, batch, moment)
    const view = (): ProviderView => providerView(this.name, state, moment.now, this.#config)
    const inspect = (): LeaseProviderView => inspection(this.name, state, moment.now, this.#config)
    if (isReading(batch)) {
      // What time did is shown, and written with the next command: reading works also when writing does not.
      answers.forEach((answer, index) => batch[index]?.resolve({ answer, view, inspect }))
      return true
    }
    if (state !== before || cleared) {
      const stamp = `${this.#id}-${++this.#commits}`
      const prepared = await this.#records.prepare(before, state, stamp, moment.now)
      const done = await this.#commit({ ...prepared, changes: [...prepared.changes, ...beside] }, attempt)
      if (!done) return false
    }
    for (const event of events) this.#context.emit({ provider: this.name, ...event })
    if (state !== before) this.#context.changed(this.name, before, state)
    answers.forEach((answer, index) => batch[index]?.resolve({ answer, view, inspect }))
    // What did not fit goes on at once.
    this.#pending.unshift(...batch.slice(answers.length))
    if (cleared) await this.#records.sweep().catch(() => undefined)
    return true
  }

  /** Applies as many commands as one commit takes. */
  #apply(before: LeaseState, batch: readonly Pending[], moment: Moment): Tried {
    const { store, random } = this.#context
    let state = before
    let room = isReading(batch) ? Number.POSITIVE_INFINITY : store.limits.changes - 2
    const answers: Answer[] = []
    const events: LeaseEvent[] = []
    const beside: Change[] = []
    let cleared = false
    for (const { command } of batch) {
      if (room < ROOM * 2) break
      const ownsEntries = state.entries !== before.entries
      const next = step(state, command, moment, this.#config, room, ownsEntries)
      state = next.state
      room -= next.writes
      events.push(...next.events)
      beside.push(...next.ended.map((past) => this.#historyChange(past)))
      if (next.answer === undefined) break
      answers.push(next.answer)
      if (command.kind !== 'clear') continue
      const target = providerLabel(this.name)
      const because = command.reason === undefined ? {} : { reason: command.reason }
      const entry = { at: moment.now, actor: command.by, action: 'leases.clear', target, ...because }
      beside.push(auditChange(entry, random))
      cleared = true
      break // one audit entry a commit: two of one instant might get the same key
    }
    return { state, answers, events, beside, cleared }
  }

  #historyChange(past: PastRequest): Change {
    const key = [historyPartition(this.name), decimalKey(past.seq)] as const
    const value = asJson({ ...past, config: this.#config })
    return { op: 'put', key, expect: 'absent', value, expiresAt: past.endedAt + HISTORY_KEPT_MS }
  }

  /** @returns false when it must be tried again */
  async #commit(prepared: Prepared, attempt: number): Promise<boolean> {
    try {
      const result = await this.#context.store.commit(prepared.changes)
      if (result.ok) {
        this.#records.adopt(prepared, result.versions)
        return true
      }
      this.#again('conflict')
      if (attempt >= MAX_ATTEMPTS) {
        throw new SignalboxError(
          'throttled',
          `lease provider ${providerLabel(this.name)} is too busy; ask again`,
        )
      }
    } catch (error) {
      if (!isSignalboxError(error, 'outcome_unknown') || attempt >= MAX_ATTEMPTS) throw error
      if (await this.#wasApplied(prepared)) return true
      this.#again('outcome_unknown')
    }
    return false
  }

  /** @returns false for a refusal that was not applied and may be gone the next time */
  #passing(error: unknown, attempt: number): false {
    if (!isSignalboxError(error, 'throttled') || attempt >= MAX_ATTEMPTS) throw error
    this.#again('throttled')
    return false
  }

  /** After a lost answer: the header says whose commit was the last. */
  async #wasApplied({ stamp }: Prepared): Promise<boolean> {
    this.#unknown = true
    this.#records.forget()
    await this.#records.load()
    if (this.#records.stamp !== stamp) return false
    this.#unknown = false
    return true
  }

  #again(why: 'conflict' | 'outcome_unknown' | 'throttled'): void {
    this.#records.forget()
    this.#context.emit({ kind: 'retried', provider: this.name, why })
  }

  /** An outage in which nobody could be heard is nobody's silence. */
  #working(): void {
    if (this.#outage === undefined) return
    const { from, to } = this.#outage
    if (to - from > this.#config.ttlMs / 4) this.#heardSince = Math.max(this.#heardSince, to)
    this.#outage = undefined
  }

  #moment(): Moment {
    const { store, shared } = this.#context
    const { ms, uncertaintyMs } = store.now()
    const now = Math.floor(ms)
    this.#noteJump(now)
    // The clock was set back: from now on, silence counts by the new one.
    this.#heardSince = Math.min(this.#heardSince, now)
    return {
      now,
      heardSince: this.#heardSince,
      kept: this.#kept,
      slackMs: shared ? Math.ceil(2 * uncertaintyMs) : 0,
      seenEveryMs: shared ? Math.floor(this.#config.ttlMs / 4) : 0,
    }
  }

  /**
   * A clock that is set, or a machine that slept, takes nobody's time away: the monotonic clock tells. A holder keeps what was
   * left of its lease, because it may still be at work; who waits is not silent.
   */
  #noteJump(wall: number): void {
    const mono = this.#context.clock.monotonic()
    const last = this.#clocks
    this.#clocks = { wall, mono }
    const jumpMs = last === undefined ? 0 : wall - last.wall - (mono - last.mono)
    if (Math.abs(jumpMs) < JUMP_MS) return
    const holder = this.#records.known?.header.holder
    const before = this.#kept?.fence === holder?.fence ? this.#kept?.until : undefined
    if (jumpMs > 0) this.#forgive(wall, mono, jumpMs)
    if (holder === undefined || (jumpMs < 0 && before === undefined)) this.#kept = undefined
    else this.#kept = { fence: holder.fence, until: Math.max(before ?? 0, holder.expiresAt) + jumpMs }
  }

  /** A clock that flaps must not keep the dead alive: only one jump in a while forgives silence, others move it by their length. */
  #forgive(wall: number, mono: number, jumpMs: number): void {
    if (mono - this.#forgivenAt > FORGIVE_TTLS * this.#config.ttlMs) {
      this.#forgivenAt = mono
      this.#heardSince = wall
    } else this.#heardSince = Math.min(wall, this.#heardSince + jumpMs)
  }
}

function isReading(batch: readonly Pending[]): boolean {
  return batch.every(({ command }) => command.kind === 'look')
}

/** A known request has no outcome yet, unless it is the holder that has succeeded. */
function shasToLookUp(batch: readonly Pending[], { entries, header }: LeaseState): string[] {
  return batch.flatMap(({ command }) => {
    if (command.kind !== 'acquire' && command.kind !== 'release') return []
    const { sha } = command.request
    return entries.has(sha) && header.holder?.sha !== sha ? [] : [sha]
  })
}

function stillUnknown(cause: unknown): SignalboxError {
  return new SignalboxError(
    'outcome_unknown',
    'the store does not say whether the call was applied; repeat it',
    { cause },
  )
}

function stopping(): SignalboxError {
  return new SignalboxError('unavailable', 'the server is stopping; ask again')
}
