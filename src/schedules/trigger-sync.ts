/**
 * Keeps an external trigger in step with the schedules: all of it at the start and now and then, one schedule soon after it
 * changed. A server is ready without it; what fails is tried again, with back-off, for ever.
 *
 * Invariants:
 * - of all servers on the store one at a time works on it (`trigger-turn.ts`), so the newest definition is what is put last;
 * - a schedule that changed is read when it is its turn, never before: changes are not overtaken, and many become one;
 * - once everything was removed by hand, nothing is put until somebody reconciles by hand.
 */
import { backoffDelay } from '../kernel/backoff.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { toSignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { auditChange, type AuditEntry } from '../ports/audit.ts'
import type { Change, Store } from '../ports/store.ts'
import type { Trigger, TriggerDrift, TriggerRule } from '../ports/trigger.ts'
import type { TriggerState } from './api.ts'
import type { Reconcile, ReconcileView, RemovedView, TriggerControl, TriggerStatus } from './trigger-api.ts'
import {
  readRemoved,
  readReport,
  writeRemoved,
  writeReport,
  type Removed,
  type Report,
} from './trigger-records.ts'
import { notInSync } from './trigger-report.ts'
import { inTurn } from './trigger-turn.ts'
import { iso } from './views.ts'

/** What happened, for metrics and logs. */
export type TriggerSyncEvent =
  | { readonly kind: 'reconciled'; readonly drift: readonly TriggerDrift[]; readonly tookMs: number }
  | { readonly kind: 'put' | 'removed'; readonly schedule: string }
  /** It is tried again. Without a schedule: a comparison. */
  | { readonly kind: 'failed'; readonly schedule?: string; readonly error: Error }

export interface TriggerSyncOptions {
  readonly trigger: Trigger
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  /** What is to be kept there. */
  readonly rules: () => Promise<readonly TriggerRule[]>
  readonly rule: (name: string) => Promise<TriggerRule | undefined>
  /** How often everything is compared; default 10 min. */
  readonly everyMs?: number
  /** Must not throw. */
  readonly onEvent?: (event: TriggerSyncEvent) => void
}

export interface TriggerSync extends TriggerControl {
  start(): void
  /** A definition was saved, deleted, paused or resumed. */
  changed(name: string): void
  /** For views. */
  stateOf(name: string): TriggerState
  /** What is under way is given up. */
  close(): Promise<void>
}

const EVERY_MS = 600_000
const BACKOFF = { baseMs: 5_000, maxMs: 300_000 }
/** One that was made this recently by another server is taken over. */
const RECENT = 0.8
/** Schedules that are put beside each other; how many calls go out at once is the driver's to say. */
const AT_ONCE = 8
const CLOSE_MS = 5_000

export function createTriggerSync(options: TriggerSyncOptions): TriggerSync {
  return new Sync(options)
}

class Sync implements TriggerSync {
  readonly #options: Required<TriggerSyncOptions>
  readonly #stopping = new AbortController()
  /** Names that changed, each with how often putting it has failed. */
  readonly #changed = new Map<string, number>()
  /** What this server did since the last comparison. */
  readonly #own = new Map<string, TriggerState>()
  #report: Report | undefined
  #removed: Removed | undefined
  /** Why the last comparison of this server failed as a whole. */
  #error: string | undefined
  /** Something changed that the loop has not begun to put. */
  #fresh = false
  #wake: () => void = () => {}
  #loops: Promise<unknown> = Promise.resolve()

  constructor(options: TriggerSyncOptions) {
    this.#options = { everyMs: EVERY_MS, onEvent: () => {}, ...options }
  }

  start(): void {
    this.#loops = Promise.allSettled([this.#compareForEver(), this.#putForEver()])
  }

  async close(): Promise<void> {
    this.#stopping.abort(new Error('the server stops'))
    // A call to AWS that nobody answers must not hold up the stop.
    const stopped = new AbortController()
    const patience = sleep(this.#options.clock, CLOSE_MS, stopped.signal).catch(() => undefined)
    await Promise.race([this.#loops, patience])
    stopped.abort()
    await this.#options.trigger.close()
  }

  changed(name: string): void {
    this.#changed.set(name, 0)
    this.#own.set(name, this.#state('pending'))
    this.#fresh = true
    this.#wake()
  }

  stateOf(name: string): TriggerState {
    const own = this.#own.get(name)
    if (own !== undefined) return own
    if (this.#removed !== undefined) return this.#state('pending', this.#removedText(this.#removed))
    const report = this.#report
    if (report === undefined) return this.#state('pending')
    const not = report.not[name]
    if (not !== undefined) return this.#state(not.state, not.error, report.at)
    const { error } = report
    return this.#state(error === undefined ? 'in_sync' : 'failed', error, report.at)
  }

  async status(): Promise<TriggerStatus> {
    const { store, trigger } = this.#options
    const [report, removed] = await Promise.all([readReport(store), readRemoved(store)])
    if (report !== undefined) this.#take(report)
    this.#removed = removed
    const error = report?.error ?? this.#error
    const schedules = { in_sync: 0, pending: 0, failed: 0, refused: 0 }
    for (const { name } of await this.#options.rules()) schedules[this.stateOf(name).state] += 1
    return {
      kind: trigger.kind,
      facts: { ...trigger.facts },
      ...(report === undefined ? {} : { checkedAt: iso(report.at) }),
      ...(error === undefined ? {} : { error }),
      ...(removed === undefined ? {} : { removed: { at: iso(removed.at), by: removed.by } }),
      drift: [...(report?.drift ?? [])],
      schedules,
    }
  }

  async reconcile(
    { dryRun = false, adopt = false }: Reconcile,
    { by }: { readonly by: string },
  ): Promise<ReconcileView> {
    const { trigger, rules, store } = this.#options
    const { signal } = this.#stopping
    if (dryRun) return { drift: [...(await trigger.reconcile(await rules(), { repair: false, signal }))] }
    const drift = await inTurn(this.#options, signal, async (held) => {
      await writeRemoved(store, undefined, () => this.#audit('reconcile', by, { adopt }))
      this.#removed = undefined
      return this.#compare(held, adopt)
    })
    return { drift: [...drift] }
  }

  remove({ by }: { readonly by: string }): Promise<RemovedView> {
    const { store, trigger } = this.#options
    return inTurn(this.#options, this.#stopping.signal, async () => {
      this.#removed = { at: store.now().ms, by }
      // First of all, so that nobody puts anything again in between.
      await writeRemoved(store, this.#removed, () => this.#audit('remove', by))
      this.#own.clear()
      this.#changed.clear()
      return { removed: [...(await trigger.removeAll())] }
    })
  }

  async #compareForEver(): Promise<void> {
    const { clock, random, everyMs, store, onEvent } = this.#options
    const { signal } = this.#stopping
    let failures = 0
    let first = true
    while (!signal.aborted) {
      try {
        const recent = first ? undefined : await this.#recentReport()
        if (recent === undefined) {
          const wrong = await inTurn(this.#options, signal, (held) => this.#compareUnlessRemoved(held))
          failures = wrong ? failures + 1 : 0
        }
        first = false
      } catch (error) {
        if (signal.aborted) return
        failures += 1
        const told = toSignalboxError(error)
        onEvent({ kind: 'failed', error: told })
        this.#error = told.message
        if (this.#report === undefined)
          this.#report = { at: store.now().ms, error: told.message, drift: [], not: {} }
      }
      const pause =
        failures === 0 ? everyMs * (0.9 + 0.2 * random.next()) : backoffDelay(BACKOFF, failures, random)
      await sleep(clock, pause, signal).catch(() => undefined)
    }
  }

  /** Another server's, which is as good as one of ours. */
  async #recentReport(): Promise<Report | undefined> {
    const { store, everyMs } = this.#options
    const report = await readReport(store)
    this.#removed = await readRemoved(store)
    if (report === undefined || store.now().ms - report.at > everyMs * RECENT) return undefined
    this.#take(report)
    return report
  }

  /** @returns is anything as it should not be, so that it is tried again soon? */
  async #compareUnlessRemoved(signal: AbortSignal): Promise<boolean> {
    this.#removed = await readRemoved(this.#options.store)
    if (this.#removed !== undefined) return false
    const drift = await this.#compare(signal, false)
    return drift.some(({ repaired, problem }) => !repaired && problem !== 'foreign')
  }

  async #compare(signal: AbortSignal, adopt: boolean): Promise<readonly TriggerDrift[]> {
    const { trigger, store, clock, rules, onEvent } = this.#options
    const startedAt = clock.monotonic()
    const wanted = await rules()
    const stillWanted = async (name: string): Promise<boolean> => {
      const rule = await this.#options.rule(name)
      return rule !== undefined && trigger.objection(rule) === undefined
    }
    const drift = await trigger.reconcile(wanted, { repair: true, adopt, stillWanted, signal })
    const report = { at: store.now().ms, drift, ...notInSync(trigger, wanted, drift) }
    await writeReport(store, report)
    this.#error = undefined
    this.#take(report)
    onEvent({ kind: 'reconciled', drift, tookMs: clock.monotonic() - startedAt })
    return drift
  }

  /** What this server did before is in it; what changed since is put after it. */
  #take(report: Report): void {
    if (report.at < (this.#report?.at ?? 0)) return
    this.#report = report
    for (const [name, { checkedAt }] of this.#own) {
      const before = checkedAt !== undefined && Date.parse(checkedAt) <= report.at
      if (before && !this.#changed.has(name)) this.#own.delete(name)
    }
  }

  async #putForEver(): Promise<void> {
    const { clock, random, onEvent } = this.#options
    const { signal } = this.#stopping
    let failures = 0
    while (!signal.aborted) {
      if (this.#changed.size === 0) await this.#untilChanged()
      this.#fresh = false
      try {
        if (this.#changed.size > 0) await inTurn(this.#options, signal, (held) => this.#putChanged(held))
        failures = Math.max(0, ...this.#changed.values())
      } catch (error) {
        if (signal.aborted) return
        failures += 1
        onEvent({ kind: 'failed', error: toSignalboxError(error) })
      }
      // Who changes something meanwhile need not wait for those that fail.
      if (failures > 0) await this.#untilChanged(sleepFor(clock, backoffDelay(BACKOFF, failures, random)))
    }
  }

  /** Each that had changed when this began, once. */
  async #putChanged(signal: AbortSignal): Promise<void> {
    this.#removed = await readRemoved(this.#options.store)
    if (this.#removed !== undefined) {
      this.#changed.clear()
      this.#own.clear()
      return
    }
    // What fails comes back into the map, and is not tried again in this round.
    const round = [...this.#changed]
    for (let from = 0; from < round.length; from += AT_ONCE) {
      signal.throwIfAborted()
      await Promise.all(round.slice(from, from + AT_ONCE).map(([name, tries]) => this.#putAgain(name, tries)))
    }
  }

  async #putAgain(name: string, tries: number): Promise<void> {
    this.#changed.delete(name)
    const error = await this.#putOne(name)
    // A change that came meanwhile counts anew.
    if (error?.facts.retryable === true && !this.#changed.has(name)) this.#changed.set(name, tries + 1)
  }

  async #putOne(name: string) {
    const { trigger, rule, onEvent, store } = this.#options
    try {
      const wanted = await rule(name)
      const objection = wanted === undefined ? undefined : trigger.objection(wanted)
      if (wanted === undefined || objection !== undefined) await trigger.remove(name)
      else await trigger.put(wanted)
      if (!this.#changed.has(name)) {
        if (wanted === undefined) this.#own.delete(name)
        else if (objection === undefined)
          this.#own.set(name, this.#state('in_sync', undefined, store.now().ms))
        else this.#own.set(name, this.#state('refused', objection, store.now().ms))
      }
      onEvent({ kind: wanted === undefined || objection !== undefined ? 'removed' : 'put', schedule: name })
      return undefined
    } catch (thrown) {
      const error = toSignalboxError(thrown)
      if (!this.#changed.has(name)) this.#own.set(name, this.#state('failed', error.message, store.now().ms))
      onEvent({ kind: 'failed', schedule: name, error })
      return error
    }
  }

  /** @param orFor ends the wait earlier */
  async #untilChanged(orFor?: Pause): Promise<void> {
    const { signal } = this.#stopping
    const woken = Promise.withResolvers<void>()
    const wake = (): void => woken.resolve()
    this.#wake = wake
    signal.addEventListener('abort', wake, { once: true })
    if (signal.aborted || this.#fresh) wake()
    await Promise.race([woken.promise, ...(orFor === undefined ? [] : [orFor.over])])
    orFor?.cancel()
    signal.removeEventListener('abort', wake)
  }

  #state(state: TriggerState['state'], error?: string, at?: number): TriggerState {
    return {
      kind: this.#options.trigger.kind,
      state,
      ...(error === undefined ? {} : { error }),
      ...(at === undefined ? {} : { checkedAt: iso(at) }),
    }
  }

  #audit(verb: string, actor: string, details?: AuditEntry['details']): Change {
    const { store, random, trigger } = this.#options
    const entry = { at: store.now().ms, actor, action: `schedules.trigger_${verb}`, target: trigger.kind }
    return auditChange(details === undefined ? entry : { ...entry, details }, random)
  }

  #removedText({ by, at }: Removed): string {
    return `everything was removed by ${by} at ${iso(at)}; 'signalbox schedule eventbridge reconcile' sets it up again`
  }
}

interface Pause {
  readonly over: Promise<void>
  readonly cancel: () => void
}

function sleepFor(clock: Clock, ms: number): Pause {
  const over = Promise.withResolvers<void>()
  const timer = clock.timer(ms, over.resolve)
  return { over: over.promise, cancel: () => timer.cancel() }
}
