/**
 * What makes a mailbox act without being asked: somebody has been silent for a whole TTL, another writer has changed the
 * queue, or it is time to look again.
 */
import { sleep, type Clock, type Timer } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import type { Store } from '../ports/store.ts'
import type { MemberView } from './api.ts'
import type { Command } from './commands.ts'
import { Lookout, spread } from './lookout.ts'
import type { Observer } from './observer.ts'
import { lookInterval, type Place } from './pace.ts'
import type { QueueReader } from './queue-reader.ts'
import type { QueueState } from './queue-state.ts'
import type { ReadyWaiters } from './ready-waiters.ts'
import { beatKey, controlKey } from './records.ts'
import { positionOf } from './views.ts'

export interface WatchContext {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly serverless: boolean
  readonly observer: Observer
  readonly reader: QueueReader
  readonly ready: ReadyWaiters
  readonly submit: (command: Command) => Promise<unknown>
  /** A batch is under way. */
  readonly isBusy: () => boolean
}

/** How often to look for other writers' changes where the store cannot push, and after a failed look. */
const LOOK_AGAIN_MS = 1_000
/** How long after each other the first waiters act on a silence, and how many take a place in that order. */
const RANK_MS = 300
const RANKS = 5

export class QueueWatch {
  readonly #queue: string
  readonly #context: WatchContext
  readonly #closing = new AbortController()
  readonly #lookout: Lookout | undefined
  /** Serverless: from 0 to 1, what keeps observers from acting all at once. */
  readonly #temper: number
  /** Silence is being looked into. */
  #isActing = false
  #alarm: { readonly at: number; readonly timer: Timer } | undefined
  /** Another writer was noticed while a batch was under way. */
  #recheck = false

  constructor(queue: string, context: WatchContext) {
    this.#queue = queue
    this.#context = context
    this.#temper = context.serverless ? context.random.next() : 0
    if (context.serverless) this.#lookout = new Lookout({ ...context, onHint: () => this.#look() })
    else void this.#watchOthers()
  }

  close(): void {
    this.#closing.abort()
    this.#lookout?.close()
    this.#alarm?.timer.cancel()
  }

  /** Control and beats have been read. */
  looked(): void {
    this.#lookout?.looked()
    this.setAlarm()
  }

  /** How often this member should ask, and how long its request may stay open meanwhile. */
  pace(view: MemberView): { readonly pollMs: number; readonly openMs: number } {
    const state = this.#context.reader.state
    if (this.#lookout === undefined || state === undefined || view.state !== 'waiting' || view.inWindow)
      return { pollMs: view.pollMs, openMs: view.pollMs }
    const pollMs = Math.floor(this.#interval(view, state, this.#lookout.pushed))
    return { pollMs, openMs: spread(pollMs, this.#context.random) }
  }

  /** All that was asked has been answered, or stands ready. */
  afterBatch(): void {
    this.#aim()
    // Should this look fail, the members that wait here look again by themselves.
    if (this.#recheck) this.#lookForOthers().catch(() => {})
  }

  setAlarm(): void {
    // It is set anew when what the last one found has been dealt with.
    if (this.#isActing) return
    const silent = this.#context.observer.nextDue()
    const due = silent === undefined ? undefined : silent + this.#patience()
    if (due === undefined || this.#closing.signal.aborted) {
      this.#alarm?.timer.cancel()
      this.#alarm = undefined
    } else if (this.#alarm === undefined || this.#alarm.at > due) {
      this.#alarmIn(due - this.#context.clock.monotonic(), due)
    }
  }

  /** Serverless: what to look out for, so that whoever waits here hears of its turn in time. */
  #aim(): void {
    const { state } = this.#context.reader
    if (this.#lookout === undefined || state === undefined || this.#closing.signal.aborted) return
    const first = this.#firstReady(state)
    if (first === undefined) {
      this.#lookout.rest()
      return
    }
    const { place, ticket } = first
    // Its beat record is made when a member comes into the window.
    const key = place.inWindow ? controlKey(this.#queue) : beatKey(this.#queue, ticket)
    const everyMs = (pushed: boolean): number =>
      place.inWindow ? this.#interval(place, state, pushed) : Infinity
    this.#lookout.aim({ key, everyMs })
  }

  /** Who stands foremost of those whose request is open here. */
  #firstReady(state: QueueState): { readonly place: Place; readonly ticket: number } | undefined {
    const { ready, reader } = this.#context
    let first: { readonly place: Place; readonly ticket: number } | undefined
    for (const id of ready.ids) {
      const entry = state.line.find((e) => e.id === id) ?? reader.behind(id)
      if (entry === undefined) continue
      const { position } = positionOf(state, entry)
      if (first !== undefined && position >= first.place.position) continue
      const inWindow = position <= state.control.window.length
      first = { place: { position, inWindow, ttlMs: entry.ttlMs }, ticket: entry.ticket }
    }
    return first
  }

  /** Serverless: reads the queue, and takes what can be taken. */
  #look(): void {
    if (this.#context.ready.size > 0) this.#context.submit({ kind: 'settle' }).catch(() => {})
  }

  /**
   * Serverless: how much longer than a TTL to watch somebody's silence. Everybody who waits observes; those near the front
   * act first, the others only if nobody there lives.
   */
  #patience(): number {
    const { state } = this.#context.reader
    if (this.#lookout === undefined || state === undefined) return 0
    const first = this.#firstReady(state)
    if (first === undefined) return (RANKS + this.#temper) * RANK_MS
    const { place } = first
    if (place.inWindow) return (Math.min(place.position - 1, RANKS) + this.#temper) * RANK_MS
    return this.#interval(place, state, this.#lookout.pushed) + 5_000 * this.#temper
  }

  #interval(place: Place, { control }: QueueState, pushed: boolean): number {
    return lookInterval(place, control, { pushed, now: this.#context.store.now().ms })
  }

  #alarmIn(ms: number, at: number): void {
    this.#alarm?.timer.cancel()
    const { clock } = this.#context
    // Lateness counts from when the timer should fire, which may be later than when somebody fell due.
    const target = clock.monotonic() + Math.max(0, ms)
    const timer = clock.timer(Math.max(0, ms), () => void this.#lookForSilence(target), { unref: true })
    this.#alarm = { at, timer }
  }

  /** Somebody may have been silent for a whole TTL: look once more, then evict exactly what was seen. */
  async #lookForSilence(due: number): Promise<void> {
    const { clock, observer, reader, submit } = this.#context
    this.#alarm = undefined
    const silent = observer.nextDue()
    if (silent === undefined || silent + this.#patience() > clock.monotonic()) {
      // All have been heard of since the alarm was set.
      this.setAlarm()
      return
    }
    this.#isActing = true
    let failed = false
    try {
      const late = clock.monotonic() - due
      await (this.#lookout === undefined ? reader.look() : submit({ kind: 'settle' }))
      const now = clock.monotonic()
      // This process itself was stalled: beats may be waiting to be read.
      observer.restart(late, now)
      const suspects = observer.suspects(now)
      await Promise.all(suspects.map((suspect) => submit({ kind: 'evict', id: suspect.id, suspect })))
    } catch {
      failed = true
    }
    this.#isActing = false
    if (!failed) this.setAlarm()
    else if (!this.#closing.signal.aborted) this.#alarmIn(LOOK_AGAIN_MS, clock.monotonic() + LOOK_AGAIN_MS)
  }

  async #watchOthers(): Promise<void> {
    const { store, clock, ready } = this.#context
    const { signal } = this.#closing
    // The context is complete once the mailbox is built.
    await Promise.resolve()
    while (!signal.aborted) {
      try {
        if (store.watch === undefined) {
          await sleep(clock, LOOK_AGAIN_MS, signal)
          if (ready.size > 0) await this.#lookForOthers()
        } else {
          for await (const _ of store.watch({ partition: controlKey(this.#queue)[0] }, signal))
            await this.#lookForOthers()
          await sleep(clock, LOOK_AGAIN_MS, signal)
        }
      } catch {
        if (!signal.aborted) await sleep(clock, LOOK_AGAIN_MS, signal).catch(() => {})
      }
    }
  }

  /** Did somebody else write the control record? Then grant what can be granted to those who wait here. */
  async #lookForOthers(): Promise<void> {
    const { store, reader, ready, submit, isBusy } = this.#context
    this.#recheck = isBusy()
    if (this.#recheck || (reader.state === undefined && ready.size === 0)) return
    const record = await store.get(controlKey(this.#queue))
    if (record?.version !== reader.state?.version && !this.#closing.signal.aborted)
      await submit({ kind: 'settle' })
  }
}
