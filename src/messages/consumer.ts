/**
 * The heart of `Consume`, whatever carries it: receives as long as the client has credit, hands the messages over, keeps
 * them hidden while they are worked on (`holding.ts`) and returns them when the client goes.
 *
 * Invariants:
 * - delivered and unsettled are never more than the credit, which is refilled as soon as anything settles, so that a slow
 *   message holds up no other; nothing is received for a client that does not read (`emit` said false) until `resume`;
 * - what was received and not handed over when the consumer ends or drains is returned at once, as is, when it ends, all that is held;
 * - of an idle queue one receive waits at a time; more go out side by side only while answers come back full.
 */
import { isTransient } from '../kernel/attempt.ts'
import { backoffDelay } from '../kernel/backoff.ts'
import type { Clock, Timer } from '../kernel/clock.ts'
import { SignalboxError, toSignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { MessageQueue, ReceivedMessage, ReceiveOptions } from '../ports/message-queue.ts'
import { Holding } from './holding.ts'
import { giveBack } from './give-back.ts'
import { bytesOf } from './weight.ts'

export interface Delivery {
  readonly id: number
  readonly message: ReceivedMessage
}

/** What the client is to hear; what is absent is nothing. */
export interface ConsumerFrame {
  readonly messages?: readonly Delivery[]
  readonly acked?: readonly number[]
  readonly nacked?: readonly number[]
  readonly lost?: readonly number[]
  readonly extended?: { readonly id: number; readonly deadline: number }
  readonly failed?: { readonly id: number; readonly error: SignalboxError }
  readonly draining?: true
}

export interface ConsumerOptions {
  readonly engine: Pick<MessageQueue, 'receive' | 'delete' | 'changeVisibility' | 'limits' | 'capabilities'>
  readonly queue: string
  readonly clock: Clock
  readonly random: Random
  /** How many messages the client works on at a time; 1 to `MAX_CREDIT`. */
  readonly credit: number
  readonly visibilityMs: number
  /** How long heartbeats keep a message, counted from its delivery; 0: none. Default: as long as the engine allows. */
  readonly maxHoldMs?: number
  readonly attributes?: ReceiveOptions['attributes']
  /** @returns false when the client is behind: then only settlements follow until `resume` is called. */
  readonly emit: (frame: ConsumerFrame) => boolean
  /** It has ended by itself: drained, or with an error that will not pass. */
  readonly onEnd: (error?: SignalboxError) => void
  /** A receive failed and will be repeated. */
  readonly onTrouble?: (error: SignalboxError) => void
}

export const MAX_CREDIT = 1_000
export const MIN_VISIBILITY_MS = 1_000
/** Bodies handed over in one frame, and received side by side, at most about so many bytes. */
const FRAME_BYTES = 512 * 1024
const RECEIVED_BYTES = 4 * 1024 * 1024
const BACKOFF = { baseMs: 200, maxMs: 5_000 }

/** Where each request costs, batches wait longer for company; and it takes its time on a network, so more of them go side by side. */
const METERED = { lingerMs: 20, parallel: 16 }
const UNMETERED = { lingerMs: 2, parallel: 2 }

export class Consumer {
  readonly #options: ConsumerOptions
  readonly #pace: typeof METERED
  readonly #holding: Holding
  readonly #hangUp = new AbortController()
  #state: 'open' | 'draining' | 'closed' = 'open'
  #credit: number
  #ids = 0
  /** Receives under way, and messages asked for by them. */
  #receives = 0
  #asked = 0
  #parallel = 1
  #blocked = false
  #failures = 0
  #averageBytes = 1_024
  #pause: Timer | undefined
  #returning = new Set<Promise<void>>()
  #ended = false
  #closed: Promise<void> | undefined

  constructor(options: ConsumerOptions) {
    const { engine, queue, clock, visibilityMs } = options
    this.#options = options
    this.#credit = options.credit
    this.#pace = engine.capabilities.queues === 'existing' ? METERED : UNMETERED
    this.#holding = new Holding({
      engine,
      queue,
      clock,
      visibilityMs,
      maxHoldMs: options.maxHoldMs ?? engine.limits.visibilityMs,
      lingerMs: METERED.lingerMs,
      events: {
        acked: (acked) => this.#tell({ acked }),
        nacked: (nacked) => this.#tell({ nacked }),
        lost: (lost) => this.#tell({ lost }),
        extended: (id, deadline) => this.#tell({ extended: { id, deadline } }),
        failed: (id, error) => this.#tell({ failed: { id, error } }),
        freed: () => this.#freed(),
      },
    })
  }

  get held(): number {
    return this.#holding.held
  }

  start(): void {
    this.#receiveMore(true)
  }

  /** The client reads again. */
  resume(): void {
    this.#blocked = false
    this.#receiveMore(true)
  }

  /** @param more negative narrows; at least 1 is left, and never more than `MAX_CREDIT` */
  addCredit(more: number): void {
    this.#credit = Math.min(Math.max(this.#credit + more, 1), MAX_CREDIT)
    this.#receiveMore(false)
  }

  ack(ids: readonly number[]): void {
    this.#holding.ack(ids)
  }

  /**
   * @param uncounted this receive was no attempt, where the engine can take that back
   * @throws SignalboxError `invalid_argument`
   */
  nack(id: number, delayMs: number, uncounted = false): void {
    this.#holding.nack(id, this.#checked(delayMs, 'delay'), uncounted)
  }

  /** @throws SignalboxError `invalid_argument` */
  extend(id: number, visibilityMs: number): void {
    this.#holding.extend(id, this.#checked(visibilityMs, 'visibility'))
  }

  /** Receives no more; ends when the client has settled what it holds. */
  drain(): void {
    if (this.#state !== 'open') return
    this.#state = 'draining'
    this.#stopReceiving()
    this.#options.emit({ draining: true })
    this.#freed()
  }

  /** The client is gone: everything returns to the queue. Idempotent; resolves when it has. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#state = 'closed'
    this.#stopReceiving()
    await this.#holding.giveBack()
    await Promise.all(this.#returning)
  }

  #stopReceiving(): void {
    this.#pause?.cancel()
    this.#hangUp.abort(new SignalboxError('cancelled', 'the consumer has ended'))
  }

  #end(error?: SignalboxError): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#state === 'open') this.#state = 'draining'
    this.#options.onEnd(error)
  }

  #tell(frame: ConsumerFrame): void {
    if (!this.#options.emit(frame)) this.#blocked = true
  }

  #freed(): void {
    if (this.#state === 'open') this.#receiveMore(false)
    if (this.#state === 'draining' && this.#holding.size === 0 && this.#receives === 0) this.#end()
  }

  /** @param now whatever is free is asked for; otherwise a little is waited for more, so that receives are worth their request */
  #receiveMore(now: boolean): void {
    if (this.#state !== 'open' || this.#blocked || this.#receives >= this.#parallel) return
    const free = this.#free()
    if (free < 1) return
    if (!now && free < this.#worthwhile()) {
      this.#pause ??= this.#options.clock.timer(this.#pace.lingerMs, () => this.#unpause())
      return
    }
    if (this.#failures > 0 && this.#pause !== undefined) return
    this.#pause?.cancel()
    this.#pause = undefined
    void this.#receive(free)
    this.#receiveMore(false)
  }

  #unpause(): void {
    this.#pause = undefined
    this.#receiveMore(true)
  }

  #free(): number {
    const { size, held } = this.#holding
    // Acks that cannot be carried out at present must not pile up for ever.
    const room = Math.min(this.#credit - held, 2 * this.#credit + 100 - size) - this.#asked
    const light = Math.floor(RECEIVED_BYTES / this.#averageBytes / Math.max(1, this.#receives + 1))
    return Math.min(room, Math.max(1, light), this.#options.engine.limits.receiveMessages)
  }

  #worthwhile(): number {
    const { limits } = this.#options.engine
    const share = this.#pace === METERED ? this.#credit : Math.ceil(this.#credit / 2)
    return Math.min(limits.receiveMessages, share)
  }

  async #receive(max: number): Promise<void> {
    const { engine, queue, visibilityMs, attributes } = this.#options
    this.#receives += 1
    this.#asked += max
    let messages: readonly ReceivedMessage[] = []
    let error: SignalboxError | undefined
    try {
      messages = await engine.receive(queue, {
        max,
        visibilityMs,
        waitMs: engine.limits.waitMs,
        signal: this.#hangUp.signal,
        ...(attributes === undefined ? {} : { attributes }),
      })
    } catch (thrown) {
      error = toSignalboxError(thrown)
    }
    this.#receives -= 1
    this.#asked -= max
    if (this.#state !== 'open') this.#return(messages)
    else if (error !== undefined) this.#failed(error)
    else {
      this.#failures = 0
      this.#parallel = messages.length === max ? Math.min(this.#parallel + 1, this.#pace.parallel) : 1
      this.#deliver(messages)
    }
    if (error === undefined && this.#state === 'open') this.#receiveMore(messages.length === 0)
    else this.#freed()
  }

  #failed(error: SignalboxError): void {
    const { clock, random, onTrouble } = this.#options
    if (!isTransient(error)) {
      this.#end(error)
      return
    }
    onTrouble?.(error)
    this.#parallel = 1
    this.#pause?.cancel()
    const delayMs = backoffDelay(BACKOFF, this.#failures, random)
    this.#failures += 1
    this.#pause = clock.timer(delayMs, () => this.#unpause())
  }

  #deliver(messages: readonly ReceivedMessage[]): void {
    let frame: Delivery[] = []
    let bytes = 0
    for (const message of messages) {
      const weight = bytesOf(message)
      this.#averageBytes += (weight - this.#averageBytes) / 8
      if (frame.length > 0 && bytes + weight > FRAME_BYTES) {
        this.#tell({ messages: frame })
        frame = []
        bytes = 0
      }
      const id = (this.#ids += 1)
      this.#holding.add(id, message)
      frame.push({ id, message })
      bytes += weight
    }
    if (frame.length > 0) this.#tell({ messages: frame })
  }

  #return(messages: readonly ReceivedMessage[]): void {
    if (messages.length === 0) return
    const { engine, queue, clock } = this.#options
    const returned = giveBack({ engine, clock }, queue, messages, true).finally(() =>
      this.#returning.delete(returned),
    )
    this.#returning.add(returned)
  }

  #checked(ms: number, what: string): number {
    const max = this.#options.engine.limits.visibilityMs
    if (ms >= 0 && ms <= max) return ms
    throw new SignalboxError('invalid_argument', `${what}: ${ms} must be 0 to ${max} milliseconds`)
  }
}
