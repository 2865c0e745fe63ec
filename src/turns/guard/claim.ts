/**
 * What one holder of ours has to do with the guard: secure it before it may work, keep it standing while it works.
 *
 * ```
 *   no guard, or one about to lapse ──place──▶ unverified ──5 s, then a look: nobody alive──▶ verified ──▶ relied on
 *            ▲      (nobody alive)                 │                                            ▲            │
 *            └────────── somebody alive: delete ───┘         found verified: take it over ──────┘      refreshed
 * ```
 *
 * Each call of `secure` goes as far as it can without waiting; who calls it waits. Nothing goes on between calls.
 */
import { SignalboxError } from '../../kernel/error.ts'
import { lookAround, type Look } from './look.ts'
import {
  deleteGuard,
  guardKey,
  guardLife,
  asGuard,
  isReliedOn,
  LAPSE_MARGIN_MS,
  leftMs,
  LOOK_MS,
  readOurs,
  SETTLE_MS,
  workAfterBeat,
  writeGuard,
  type GuardContext,
  type Standing,
  type Written,
} from './record.ts'
import type { Strangers } from './strangers.ts'

export interface Holder {
  readonly queue: string
  readonly id: string
  readonly fence: number
  readonly ttlMs: number
}

export interface Waiting {
  readonly secured: false
  /** `jobs`: of the dynamo-q tool are waited for; `settling`: whether any is at work will be known soon. */
  readonly waitsFor: 'jobs' | 'settling'
  /** Monotonic ms before which another step finds nothing new. */
  readonly againAt: number
}

export type Progress = Waiting | { readonly secured: true }

const CHANCES = 4
/** After a step that failed, or met others at the guard again and again. */
const RETRY_MS = 500

export class Claim {
  readonly holder: Holder
  readonly #context: GuardContext
  readonly #strangers: Strangers
  /** The unverified guard that is known to have stood since then (monotonic ms). */
  #placed: { readonly placement: string; readonly since: number } | undefined
  #reliance: Written | undefined
  #lost: SignalboxError | undefined
  #progress: Waiting = { secured: false, waitsFor: 'settling', againAt: -Infinity }
  #step: Promise<void> | undefined
  #refresh: Promise<void> | undefined
  #leaving = false
  /** Monotonic ms since when it waits for jobs of the other tool. */
  waitingSince: number | undefined

  constructor(context: GuardContext, holder: Holder, strangers: Strangers) {
    this.#context = context
    this.holder = holder
    this.#strangers = strangers
  }

  get secured(): boolean {
    return this.#reliance !== undefined
  }

  /** How far the last step came. */
  get progress(): Progress {
    return this.secured ? { secured: true } : this.#progress
  }

  /** One step, or the one under way. @throws what the store throws; `turn_lost` */
  secure(): Promise<void> {
    this.#step ??= this.#advance().finally(() => (this.#step = undefined))
    return this.#step
  }

  /** Nothing new is placed from now on. */
  leave(): void {
    this.#leaving = true
  }

  /** The member is back after a `leave` that failed. */
  stay(): void {
    this.#leaving = false
  }

  /** Is the guard certain to stand for as long as a beat acknowledged now lets the holder work? */
  get covers(): boolean {
    return this.#leftMs() >= workAfterBeat(this.holder.ttlMs)
  }

  /** Refreshes the guard when a third of its life has passed, or joins a refresh under way. @throws `turn_lost`, what the store throws */
  async keep(): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost
    if (this.#leftMs() > (guardLife(this.holder.ttlMs) * 2) / 3) return
    this.#refresh ??= this.#renew().finally(() => (this.#refresh = undefined))
    await this.#refresh
  }

  async #advance(): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost
    const { clock } = this.#context
    let progress: Progress | undefined
    try {
      for (let chances = CHANCES; chances > 0 && progress === undefined; chances--) {
        if (this.#leaving) throw new SignalboxError('cancelled', 'the member leaves')
        const look = await lookAround(this.#context, this.holder.queue, this.#strangers)
        progress = await this.#decide(look)
      }
    } finally {
      if (progress?.secured !== true)
        this.#progress = progress ?? { ...this.#progress, againAt: clock.monotonic() + RETRY_MS }
    }
    const waits = this.#progress.waitsFor === 'jobs'
    this.waitingSince = waits ? (this.waitingSince ?? clock.monotonic()) : undefined
  }

  /** @returns undefined when the guard has changed since the look: look again */
  #decide(look: Look): Promise<Progress | undefined> {
    const { guard } = look
    if (guard === undefined || leftMs(guard.value, this.#context) < LAPSE_MARGIN_MS) return this.#place(look)
    return guard.value.verified ? this.#takeOver(look, guard) : this.#verify(look, guard)
  }

  async #place(look: Look): Promise<Progress | undefined> {
    const { random, clock } = this.#context
    this.#placed = undefined
    const { quietFrom } = this.#strangers
    if (look.anyAlive || look.sentAt < quietFrom) return this.#jobsGoFirst(look, quietFrom)
    const placement = random.id()
    const expect = look.guard === undefined ? 'absent' : { version: look.guard.version }
    const { id, fence } = this.holder
    const written = await this.#write(expect, { placement, verified: false, fence, by: id })
    if (written === undefined) return undefined
    if (this.#leaving) await deleteGuard(this.#context, this.holder.queue, written.version)
    this.#placed = { placement, since: clock.monotonic() }
    return { secured: false, waitsFor: 'settling', againAt: this.#placed.since + SETTLE_MS }
  }

  /** Whoever placed it, it is verified by whoever has known it long enough. */
  async #verify(look: Look, guard: Standing): Promise<Progress | undefined> {
    const { placement } = guard.value
    if (look.anyAlive) {
      this.#placed = undefined
      await deleteGuard(this.#context, this.holder.queue, guard.version)
      return this.#jobsGoFirst(look, this.#strangers.quietFrom)
    }
    if (this.#placed?.placement !== placement) this.#placed = { placement, since: look.seenAt }
    const ripeAt = SETTLE_MS + Math.max(this.#placed.since, this.#strangers.quietFrom)
    if (look.sentAt < ripeAt) return { secured: false, waitsFor: 'settling', againAt: ripeAt }
    return this.#rely(guard)
  }

  /** It has held the other tool's jobs back since it was verified, so none is at work; but one that waits goes first. */
  async #takeOver(look: Look, guard: Standing): Promise<Progress | undefined> {
    if (!look.anyWaiting) return this.#rely(guard)
    const { queue, id } = this.holder
    const ours = await readOurs(this.#context, queue)
    if (!isReliedOn(guard.value, ours, id)) await deleteGuard(this.#context, queue, guard.version)
    return this.#jobsGoFirst(look, this.#strangers.quietFrom)
  }

  /** The write tells who leaves meanwhile that somebody relies on it. */
  async #rely(guard: Standing): Promise<Progress | undefined> {
    const { id } = this.holder
    const fence = Math.max(guard.value.fence, this.holder.fence)
    const written = await this.#write(
      { version: guard.version },
      { ...guard.value, verified: true, fence, by: id },
    )
    if (written === undefined) return undefined
    this.#reliance = written
    return { secured: true }
  }

  #jobsGoFirst(look: Look, quietFrom: number): Progress {
    const next = look.seenAt + LOOK_MS
    const againAt = look.anyAlive ? next : Math.min(next, Math.max(quietFrom, look.seenAt))
    return { secured: false, waitsFor: 'jobs', againAt }
  }

  async #renew(): Promise<void> {
    const { store, clock } = this.#context
    const { queue, fence, id } = this.holder
    for (let chances = CHANCES; chances > 0; chances--) {
      const known = this.#reliance
      if (known !== undefined) {
        const written = await this.#write({ version: known.version }, { ...known.value, by: id })
        if (written !== undefined) {
          this.#reliance = written
          return
        }
      }
      // Another holder may have refreshed it; whatever it is, a verified guard that counts this holder in will do.
      const record = await store.get(guardKey(queue))
      const at = clock.monotonic()
      const value = record === undefined ? undefined : asGuard(record.value)
      if (record === undefined || value === undefined || !value.verified || value.fence < fence) {
        this.#lose(record === undefined ? 'is gone' : 'was replaced')
      }
      const safeUntil = at + leftMs(value, this.#context)
      this.#reliance = { version: record.version, value, safeUntil }
      if (this.covers && known !== undefined) return
    }
    throw new SignalboxError('throttled', `the guard of queue '${queue}' is too busy; ask again`)
  }

  #write(
    expect: Parameters<typeof writeGuard>[2],
    guard: Parameters<typeof writeGuard>[3],
  ): Promise<Written | undefined> {
    return writeGuard(this.#context, this.holder.queue, expect, guard, guardLife(this.holder.ttlMs))
  }

  /** By the monotonic clock or the engine's, whichever says less: one stands still while the machine sleeps, the other may jump. */
  #leftMs(): number {
    if (this.#reliance === undefined) return 0
    const { safeUntil, value } = this.#reliance
    return Math.min(safeUntil - this.#context.clock.monotonic(), leftMs(value, this.#context))
  }

  #lose(how: string): never {
    this.#lost = new SignalboxError(
      'turn_lost',
      `the guard of queue '${this.holder.queue}' against jobs of the dynamo-q tool ${how}, so one of them may be at work: stop the work and join again`,
    )
    throw this.#lost
  }
}
