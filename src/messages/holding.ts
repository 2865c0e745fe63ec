/**
 * What one consumer holds: keeps it hidden while the client works, and carries out what the client says.
 *
 *   held ──ack──▶ acked ──deleted──▶ gone           each may end as `lost`: the visibility ended,
 *    │ └──nack──▶ nacked ──changed──▶ gone          or somebody else has the message
 *    └─ beats and extensions: still held
 *
 * Invariants:
 * - a message has at most one visibility change under way; what is wanted meanwhile waits for its end, the latest wish wins,
 *   and a nack or return is never replaced by a heartbeat or an extension. So nothing overtakes a nack's delay;
 * - no heartbeat goes out for what was acked or nacked, nor one that would shorten the time that is left;
 * - what passes its deadline is reported lost at that moment, and is not touched any more;
 * - acks go out in batches: at ten, or when the first has waited `lingerMs`; so do changes.
 */
import { isTransient } from '../kernel/attempt.ts'
import type { Clock, Timer } from '../kernel/clock.ts'
import { toSignalboxError, type SignalboxError } from '../kernel/error.ts'
import type { ChangeResult, DeleteResult, MessageQueue, ReceivedMessage } from '../ports/message-queue.ts'
import { Batches } from './batches.ts'
import { giveBack } from './give-back.ts'

/** How the holder is told of what became of its messages, by delivery id. */
export interface HoldingEvents {
  acked(ids: readonly number[]): void
  nacked(ids: readonly number[]): void
  lost(ids: readonly number[]): void
  extended(id: number, deadline: number): void
  /** An ack, nack or extension that could not be carried out. */
  failed(id: number, error: SignalboxError): void
  /** There is room for more, or nothing is left. */
  freed(): void
}

export interface HoldingOptions {
  readonly engine: Pick<MessageQueue, 'delete' | 'changeVisibility' | 'limits' | 'capabilities'>
  readonly queue: string
  readonly clock: Clock
  /** What a heartbeat extends to, from its moment. */
  readonly visibilityMs: number
  /** Heartbeats go on so long, counted from the delivery; 0: none. */
  readonly maxHoldMs: number
  /** How long the first of a batch waits for others. */
  readonly lingerMs: number
  readonly events: HoldingEvents
}

interface Wish {
  readonly kind: 'beat' | 'extend' | 'nack'
  readonly visibilityMs: number
  readonly uncounted?: boolean
}

interface Held {
  readonly id: number
  readonly receipt: string
  state: 'held' | 'acked' | 'nacked'
  /** All times here are monotonic. */
  deadline: number
  beatAt: number
  readonly beatUntil: number
  wish: Wish | undefined
  changing: boolean
  /** The last change's failure, to be repeated. */
  attempts: number
}

/** Acks and changes go out at once when there are so many. */
const BATCH = 10
const RETRY_MS = 200
/** So often what fails is tried once the holder has gone, over some 6 s: its process may be waiting to end. */
const LAST_ATTEMPTS = 5

export class Holding {
  readonly #options: HoldingOptions
  readonly #all = new Map<number, Held>()
  readonly #acks: Batches<Held>
  readonly #changes: Batches<Held>
  #held = 0
  #timer: Timer | undefined
  #wakeAt = Infinity
  #ending = false
  #emptied: (() => void) | undefined

  constructor(options: HoldingOptions) {
    this.#options = options
    const { clock, lingerMs, engine } = options
    const batches = { clock, lingerMs, eager: BATCH, most: engine.limits.batchEntries }
    this.#acks = new Batches({ ...batches, carryOut: (entries) => this.#delete(entries) })
    this.#changes = new Batches({ ...batches, carryOut: (entries) => this.#change(entries) })
  }

  /** With the client, neither acked nor nacked. */
  get held(): number {
    return this.#held
  }

  /** Held, and those whose end is still being carried out. */
  get size(): number {
    return this.#all.size
  }

  add(id: number, message: Pick<ReceivedMessage, 'receipt' | 'deadline'>): void {
    const { clock, maxHoldMs } = this.#options
    const now = clock.monotonic()
    const held: Held = {
      id,
      receipt: message.receipt,
      state: 'held',
      deadline: now,
      beatAt: Infinity,
      beatUntil: now + maxHoldMs,
      wish: undefined,
      changing: false,
      attempts: 0,
    }
    this.#all.set(id, held)
    this.#held += 1
    this.#extendTo(held, message.deadline)
  }

  ack(ids: readonly number[]): void {
    this.#withHeld(ids, (held) => {
      this.#settle(held, 'acked')
      held.wish = undefined
      this.#changes.remove(held)
      this.#acks.add(held)
    })
    this.#acks.flushFull()
    this.#options.events.freed()
  }

  /** @param uncounted this receive was no attempt, where the engine can take that back */
  nack(id: number, delayMs: number, uncounted = false): void {
    this.#withHeld([id], (held) => {
      this.#settle(held, 'nacked')
      this.#want(held, { kind: 'nack', visibilityMs: delayMs, uncounted })
    })
    this.#options.events.freed()
  }

  extend(id: number, visibilityMs: number): void {
    this.#withHeld([id], (held) => this.#want(held, { kind: 'extend', visibilityMs }))
  }

  /** Gives back all that is held; resolves when that, and every ack and nack before it, is carried out or hopeless. */
  async giveBack(): Promise<void> {
    this.#ending = true
    for (const held of this.#all.values()) {
      if (held.state !== 'held') continue
      this.#settle(held, 'nacked')
      this.#want(held, { kind: 'nack', visibilityMs: 0 })
    }
    this.#changes.flush()
    this.#acks.flush()
    if (this.#all.size > 0) await new Promise<void>((done) => (this.#emptied = done))
    this.#timer?.cancel()
  }

  /** Does it for what is held; the rest is answered as lost. */
  #withHeld(ids: readonly number[], act: (held: Held) => void): void {
    const lost: number[] = []
    for (const id of ids) {
      const held = this.#all.get(id)
      if (held?.state === 'held') act(held)
      else lost.push(id)
    }
    if (lost.length > 0) this.#options.events.lost(lost)
  }

  #settle(held: Held, state: 'acked' | 'nacked'): void {
    held.state = state
    this.#held -= 1
  }

  #want(held: Held, wish: Wish): void {
    if (held.wish?.kind === 'nack') return
    held.wish = wish
    if (!held.changing) this.#changes.add(held)
    this.#changes.flushFull()
  }

  async #delete(entries: readonly Held[]): Promise<void> {
    const { engine, queue, events } = this.#options
    let results: readonly DeleteResult[]
    try {
      results = await engine.delete(
        queue,
        entries.map(({ receipt }) => receipt),
      )
    } catch (error) {
      const failed: DeleteResult = { status: 'failed', error: toSignalboxError(error) }
      results = entries.map(() => failed)
    }
    const acked: number[] = []
    const lost: number[] = []
    entries.forEach((held, i) => {
      const result = results[i]
      if (result?.status === 'failed') {
        this.#repeat(held, result.error, this.#acks)
        return
      }
      ;(result?.status === 'lost' ? lost : acked).push(held.id)
      this.#forget(held)
    })
    if (acked.length > 0) events.acked(acked)
    if (lost.length > 0) events.lost(lost)
    this.#left()
  }

  async #change(entries: readonly Held[]): Promise<void> {
    const { engine, queue } = this.#options
    const sent = entries.flatMap((held) => {
      const { wish } = held
      if (wish === undefined) return []
      held.wish = undefined
      held.changing = true
      return [{ held, wish }]
    })
    if (sent.length === 0) return
    let results: readonly ChangeResult[]
    try {
      const changes = sent.map(({ held, wish }) => ({
        receipt: held.receipt,
        visibilityMs: wish.visibilityMs,
        ...(wish.kind === 'nack' ? { nack: true } : {}),
        ...(wish.uncounted === true ? { uncounted: true } : {}),
      }))
      results = await engine.changeVisibility(queue, changes)
    } catch (error) {
      const failed: ChangeResult = { status: 'failed', error: toSignalboxError(error) }
      results = sent.map(() => failed)
    }
    sent.forEach(({ held, wish }, i) => this.#changed(held, wish, results[i] ?? { status: 'lost' }))
    this.#left()
  }

  #changed(held: Held, wish: Wish, result: ChangeResult): void {
    const { events } = this.#options
    held.changing = false
    if (held.state === 'acked') return
    if (!this.#all.has(held.id)) {
      // It was lost before the answer came, and now nobody would have it.
      if (result.status === 'changed') {
        const { deadline } = result
        void giveBack(this.#options, this.#options.queue, [{ receipt: held.receipt, deadline }])
      }
      return
    }
    if (result.status === 'failed') this.#changeFailed(held, wish, result.error)
    else if (wish.kind === 'nack') {
      this.#forget(held)
      if (result.status === 'changed') events.nacked([held.id])
      else events.lost([held.id])
    } else if (result.status === 'lost') this.#lose(held)
    else {
      held.attempts = 0
      this.#extendTo(held, result.deadline)
      if (wish.kind === 'extend') events.extended(held.id, result.deadline)
    }
    // What was wanted meanwhile.
    if (held.wish !== undefined && this.#all.has(held.id)) {
      this.#changes.add(held)
      if (held.state === 'nacked') this.#changes.flush()
    }
  }

  #changeFailed(held: Held, wish: Wish, error: SignalboxError): void {
    if (wish.kind === 'nack') {
      held.wish = wish
      this.#repeat(held, error, this.#changes)
    } else if (wish.kind === 'beat') {
      const { clock, visibilityMs } = this.#options
      // A refusal (the 12 hours are over) stays one; what is passing is tried again several times before the deadline.
      held.beatAt = isTransient(error) ? clock.monotonic() + visibilityMs / 12 : Infinity
      this.#wake(held.beatAt)
    } else {
      this.#options.events.failed(held.id, error)
      this.#planBeat(held) // one that came due meanwhile did not go out
    }
  }

  /** An ack or nack that failed is tried again as long as the message is ours and there is somebody to tell. */
  #repeat(held: Held, error: SignalboxError, batches: Batches<Held>): void {
    const { clock, events } = this.#options
    const delayMs = Math.min(RETRY_MS * 2 ** held.attempts, 5_000)
    held.attempts += 1
    const late =
      clock.monotonic() + delayMs >= held.deadline || (this.#ending && held.attempts > LAST_ATTEMPTS)
    if (isTransient(error) && !late) {
      clock.timer(delayMs, () => {
        batches.add(held)
        batches.flush()
      })
      return
    }
    this.#forget(held)
    events.failed(held.id, error)
  }

  #extendTo(held: Held, deadline: number): void {
    const { clock } = this.#options
    held.deadline = clock.monotonic() + (deadline - clock.now())
    this.#planBeat(held)
  }

  #planBeat(held: Held): void {
    const { clock, visibilityMs } = this.#options
    const early = held.deadline - (visibilityMs * 2) / 3
    held.beatAt = held.beatUntil > held.deadline ? Math.max(clock.monotonic(), early) : Infinity
    this.#wake(Math.min(held.beatAt, held.deadline))
  }

  /** Looks after everything at that moment, unless it does so earlier. */
  #wake(at: number): void {
    if (at >= this.#wakeAt) return
    this.#timer?.cancel()
    this.#wakeAt = at
    this.#timer = this.#options.clock.timer(at - this.#options.clock.monotonic(), () => this.#tick())
  }

  #tick(): void {
    const { clock, visibilityMs } = this.#options
    const now = clock.monotonic()
    /** Those nearly due go along, so that heartbeats fill batches. */
    const soon = now + visibilityMs / 12
    this.#wakeAt = Infinity
    let next = Infinity
    for (const held of this.#all.values()) {
      if (held.state !== 'held') continue
      if (held.deadline <= now) {
        this.#lose(held)
        continue
      }
      if (held.beatAt <= soon) this.#beat(held, now)
      next = Math.min(next, held.beatAt, held.deadline)
    }
    this.#changes.flush()
    if (next < Infinity) this.#wake(next)
    this.#left()
  }

  #beat(held: Held, now: number): void {
    const { visibilityMs, engine } = this.#options
    held.beatAt = Infinity // until the answer
    const until = Math.min(now + visibilityMs, held.beatUntil)
    if (until <= held.deadline || held.changing || held.wish !== undefined) return
    const { resolutionMs } = engine.capabilities
    const ms = Math.floor((until - now) / resolutionMs) * resolutionMs
    if (ms > 0) this.#want(held, { kind: 'beat', visibilityMs: ms })
  }

  #lose(held: Held): void {
    if (held.state === 'held') this.#held -= 1
    this.#forget(held)
    this.#options.events.lost([held.id])
  }

  #forget(held: Held): void {
    this.#all.delete(held.id)
    this.#changes.remove(held)
  }

  #left(): void {
    if (this.#all.size === 0) this.#emptied?.()
    this.#options.events.freed()
  }
}
