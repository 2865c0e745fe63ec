/**
 * The fault simulator of one handle on a memory database: what may go wrong between a service and its engine, on
 * purpose, reproducibly from a seed, and counted.
 *
 * Invariants: a fault never breaks the port's contract (what throws `throttled` or `unavailable` was not applied);
 * a handle without faults draws no random number.
 */
import { sleep, type Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'

export type Operation = 'get' | 'list' | 'commit' | 'deleteRange'

/**
 * - `conflict`: a commit answers `{ ok: false, failed: 'unknown' }`; nothing applied
 * - `lostAfter`: applied, then `outcome_unknown` (reads: `unavailable`)
 * - `lostBefore`: not applied, but `outcome_unknown` all the same (reads: `unavailable`)
 * - `throttled`, `unavailable`: not applied
 * - `full`: no space left; writes answer `unavailable`, not applied
 */
export type Fault = 'conflict' | 'lostAfter' | 'lostBefore' | 'throttled' | 'unavailable' | 'full'

type Span = readonly [minMs: number, maxMs: number]

/** Probabilities from 0 to 1 per operation, tried in the order of this list, and delays on the handle's clock. */
export interface FaultPlan extends Partial<Record<Fault, number>> {
  /** Time from the call to its effect. */
  readonly delayBeforeMs?: Span
  /** Time from the effect to the answer. */
  readonly delayAfterMs?: Span
  /** Probability that a watch hint comes late, by `hintDelayMs`. */
  readonly hintDelayed?: number
  readonly hintDelayMs?: Span
}

export interface Cut {
  /** Calls fail after this long; without it they hang until `heal()`. */
  readonly failAfterMs?: number
  /** What a write that did not get out throws; default `outcome_unknown`. */
  readonly code?: 'unavailable' | 'outcome_unknown'
}

/** An operation stopped on its way by `Faults.hold`. */
export interface Hold {
  /** Resolves once an operation has stopped here. */
  readonly reached: Promise<void>
  release(): void
}

type Place = 'before' | 'after'
type Count = Fault | 'delay' | 'cut' | 'hintDelayed'

const ORDER = ['throttled', 'unavailable', 'full', 'conflict', 'lostBefore', 'lostAfter'] as const
const WRITES: readonly Operation[] = ['commit', 'deleteRange']

export class Faults {
  /** May be replaced at any time; operations under way keep what was drawn for them. */
  plan: FaultPlan
  /** Added to `now()`: assign to skew this handle's clock or to let it jump. */
  clockOffsetMs = 0
  /** What `now()` states as its uncertainty. */
  clockUncertaintyMs = 0
  /** Faults injected so far. */
  readonly injected: Record<Count, number> = {
    conflict: 0,
    lostAfter: 0,
    lostBefore: 0,
    throttled: 0,
    unavailable: 0,
    full: 0,
    delay: 0,
    cut: 0,
    hintDelayed: 0,
  }
  readonly #clock: Clock
  readonly #random: Random
  readonly #onHeal: () => void
  readonly #scripts = new Map<Operation, (Fault | 'none')[]>()
  readonly #holds: { op: Operation; place: Place; reach: () => void; released: Promise<void> }[] = []
  readonly #releases = new Set<() => void>()
  #cut: (Cut & { healed: AbortController }) | undefined
  #closed = false

  /** @param onHeal runs after each `heal()`: hints may have been missed. */
  constructor(clock: Clock, random: Random, plan: FaultPlan, onHeal: () => void) {
    this.#clock = clock
    this.#random = random
    this.plan = plan
    this.#onHeal = onHeal
  }

  /** Scripts the next operations of this kind, one entry each; `none` lets one pass. Goes before the plan. */
  next(op: Operation, ...script: (Fault | 'none')[]): void {
    for (const fault of script) {
      if (fault !== 'none' && !applies(fault, op)) {
        throw new SignalboxError('invalid_argument', `the fault ${fault} does not apply to ${op}`)
      }
    }
    this.#scripts.set(op, [...(this.#scripts.get(op) ?? []), ...script])
  }

  /** Stops the next operation of this kind before or after its effect, so that a test can act in between. */
  hold(op: Operation, place: Place): Hold {
    const reached = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    this.#holds.push({ op, place, reach: reached.resolve, released: released.promise })
    this.#releases.add(released.resolve)
    return { reached: reached.promise, release: released.resolve }
  }

  /** Cuts the handle off its database: requests do not get out, answers and hints do not come in. */
  cut(cut: Cut = {}): void {
    this.#cut = { ...cut, healed: this.#cut?.healed ?? new AbortController() }
  }

  /** Ends `cut()`. Calls that hang go on; watchers get the hints they may have missed. */
  heal(): void {
    const healed = this.#cut?.healed
    this.#cut = undefined
    healed?.abort()
    this.#onHeal()
  }

  get isCut(): boolean {
    return this.#cut !== undefined
  }

  /** The fault of one operation, drawn or scripted, before it starts. */
  draw(op: Operation): Fault | undefined {
    const scripted = this.#scripts.get(op)?.shift()
    if (scripted !== undefined) return scripted === 'none' ? undefined : scripted
    let drawn: Fault | undefined
    for (const fault of ORDER) {
      const probability = this.plan[fault] ?? 0
      if (probability > 0 && this.#random.next() < probability && applies(fault, op)) drawn ??= fault
    }
    return drawn
  }

  /** Counts the fault and makes its error. */
  error(fault: Exclude<Fault, 'conflict'>, op: Operation): SignalboxError {
    this.injected[fault] += 1
    const lost = fault === 'lostBefore' || fault === 'lostAfter'
    if (lost && WRITES.includes(op)) return unknown(`injected: the answer to the ${op} was lost`)
    const code = fault === 'throttled' ? 'throttled' : 'unavailable'
    return new SignalboxError(code, `injected: ${fault} (${op})`)
  }

  /** Does anything stop or delay this operation here? */
  onTheWay(op: Operation, place: Place): boolean {
    const span = place === 'before' ? this.plan.delayBeforeMs : this.plan.delayAfterMs
    return span !== undefined || this.isCut || this.#holds.some((h) => h.op === op && h.place === place)
  }

  /** The way to the engine (`before`) or back (`after`): delay, hold and cut, in this order. */
  async travel(op: Operation, place: Place): Promise<void> {
    const span = place === 'before' ? this.plan.delayBeforeMs : this.plan.delayAfterMs
    if (span !== undefined) {
      this.injected.delay += 1
      await sleep(this.#clock, this.#within(span))
    }
    const index = this.#holds.findIndex((h) => h.op === op && h.place === place)
    if (index >= 0) {
      const [held] = this.#holds.splice(index, 1)
      held?.reach()
      await held?.released
    }
    while (this.#cut !== undefined) await this.#wait(this.#cut, op, place)
  }

  /** Milliseconds by which the next hint is late; 0 for at once. */
  hintDelay(): number {
    const { hintDelayed = 0, hintDelayMs } = this.plan
    if (hintDelayed === 0 || hintDelayMs === undefined || this.#random.next() >= hintDelayed) return 0
    this.injected.hintDelayed += 1
    return this.#within(hintDelayMs)
  }

  /** Lets nothing hang any longer: holds go on, calls that a cut stops fail. */
  close(): void {
    this.#closed = true
    for (const release of this.#releases) release()
    this.#cut?.healed.abort()
  }

  async #wait(cut: Cut & { healed: AbortController }, op: Operation, place: Place): Promise<void> {
    const { signal } = cut.healed
    if (!signal.aborted) {
      this.injected.cut += 1
      await (cut.failAfterMs === undefined
        ? new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        : sleep(this.#clock, cut.failAfterMs, signal).catch(() => undefined))
    }
    // Healed by `heal()`; on a time-out or a close the call fails.
    if (signal.aborted && !this.#closed) return
    if (WRITES.includes(op) && (place === 'after' || (cut.code ?? 'outcome_unknown') === 'outcome_unknown')) {
      throw unknown(`injected: the connection was cut during the ${op}`)
    }
    throw new SignalboxError('unavailable', `injected: the connection is cut (${op})`)
  }

  #within([min, max]: Span): number {
    return min + this.#random.next() * (max - min)
  }
}

/** Does this fault make sense for this operation? */
function applies(fault: Fault, op: Operation): boolean {
  if (fault === 'conflict') return op === 'commit'
  if (fault === 'full') return WRITES.includes(op)
  return true
}

function unknown(message: string): SignalboxError {
  return new SignalboxError('outcome_unknown', message)
}
