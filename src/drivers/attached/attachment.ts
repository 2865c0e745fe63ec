/**
 * An attached process's side, whatever it asks its owner for: calls over one connection at a time.
 *
 * Invariants:
 * - it connects when there is something to ask (or to watch), again after every break with back-off, and never takes over;
 * - `outcome_unknown` only where a request may have reached the owner and the answer did not come back (`calls.ts`);
 * - an answer that wants it (`k`) is confirmed once a caller has it, and handed back when nobody takes it.
 */
import { backoffDelay, type Backoff } from '../../kernel/backoff.ts'
import { sleep, type Clock } from '../../kernel/clock.ts'
import { SignalboxError, toSignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import { Calls, type Ending, type NewCall } from './calls.ts'
import { dial, type Link } from './link.ts'
import type { Answer, Hello, Hint, Protocol, Request } from './wire.ts'

export interface AttachedOptions {
  /** The owner's socket, `<data>/owner.sock`. */
  readonly socketPath: string
  readonly clock: Clock
  /** Jitter of the pauses between attempts to connect. */
  readonly random: Random
  /** How long a call, and opening, may take to reach the owner; default 10,000. */
  readonly deadlineMs?: number
}

/** What a port does with its attachment. */
export interface AttachmentEvents<H extends object> {
  /** There is a new connection, and nothing was sent yet. @param sentAt monotonic time at which it was asked for */
  onHello(hello: Hello<H>, sentAt: number): void
  /** A call was answered. @param sentAt monotonic time of its request */
  onAnswer?(answer: Answer, sentAt: number): void
  /** What answers no call. */
  onOther?(frame: Answer | Hint): void
  /** Does something beside calls need a connection? */
  wanted?(): boolean
}

const DEADLINE_MS = 10_000
/** How long one attempt to connect may take. */
const DIAL_MS = 5_000
const BACKOFF: Backoff = { baseMs: 20, maxMs: 1_000 }
/** Of a request, beside its arguments. */
const FRAME_BYTES = 256
/** A UTF-16 unit's share in UTF-8, at most. */
const MAX_BYTES_A_CHARACTER = 3

export class Attachment<H extends object> {
  readonly #options: AttachedOptions
  readonly #protocol: Protocol<H>
  readonly #events: AttachmentEvents<H>
  readonly #clock: Clock
  readonly #deadlineMs: number
  readonly #calls: Calls
  readonly #ending = new AbortController()
  #link: Link<H> | undefined
  /** The latest. */
  #hello: H | undefined
  /** The owner is going: it answers what it has, and takes nothing more on this connection. */
  #draining = false
  #connecting = false
  /** Attempts to connect since the owner last answered. */
  #attempt = 0
  #lastId = 0
  /** Answers that callers have and the owner does not know of. */
  #taken: number[] = []
  #closed: Promise<void> | undefined

  constructor(options: AttachedOptions, protocol: Protocol<H>, events: AttachmentEvents<H>) {
    this.#options = options
    this.#protocol = protocol
    this.#events = events
    this.#clock = options.clock
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS
    this.#calls = new Calls(options.clock, this.#deadlineMs, options.socketPath)
  }

  get closed(): boolean {
    return this.#closed !== undefined
  }

  /** Never used before. */
  nextId(): number {
    return ++this.#lastId
  }

  /**
   * Asks the owner, as soon as there is one.
   * @param id of `nextId()`
   * @throws SignalboxError what the owner throws; `unavailable`, `outcome_unknown`
   */
  call(call: NewCall, id: number = this.nextId()): Promise<unknown> {
    this.#assertFits(typeof call.args === 'string' ? call.args : call.args())
    const answered = this.#calls.add(id, call)
    this.pump()
    return answered
  }

  /** Moves on whatever waits: over the connection, or towards one. */
  pump(): void {
    const link = this.#link
    if (link === undefined) void this.#connect()
    else if (!this.#draining) this.#calls.sendTo(link, this.#protocol.room(link.hello.hello))
  }

  /** Says what has no answer, if there is anybody to say it to and it does not begin anything. */
  tell(request: Request): void {
    this.#link?.send(JSON.stringify(request))
  }

  /** As `tell`, for what begins something: not to an owner that is going. */
  begin(request: Request): void {
    if (!this.#draining) this.tell(request)
  }

  /** The caller gave up this call, and does not wait for the owner to know. */
  abandon(id: number, reason: unknown): void {
    this.#calls.abandon(id, reason)
  }

  /** The caller gives up this call: it ends so once the owner knows, or never will. */
  stop(id: number, ending: Ending): void {
    if (this.#calls.stop(id, ending)) this.tell({ i: id, m: 'stop', a: [] })
  }

  /** Lets calls under way end, then leaves. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#release()
    return this.#closed
  }

  async #release(): Promise<void> {
    if (this.#link === undefined) this.#calls.giveUp()
    await this.#calls.idle()
    const link = this.#link
    if (link !== undefined) {
      const patience = this.#clock.timer(this.#deadlineMs, () => link.close())
      await this.#finish(link)
      patience.cancel()
      link.close()
    }
    this.#ending.abort()
  }

  /** Dials until there is a connection, or nobody wants one any more; never throws. */
  async #connect(): Promise<void> {
    if (this.#connecting) return
    this.#connecting = true
    const { signal } = this.#ending
    while (this.#link === undefined && this.#closed === undefined && this.#wanted()) {
      try {
        if (this.#attempt > 0) await sleep(this.#clock, this.#pause(), signal)
        this.#attempt += 1
        await this.#dial(signal)
      } catch (error) {
        this.#calls.reason = toSignalboxError(error).message
      }
    }
    this.#connecting = false
  }

  #wanted(): boolean {
    return this.#calls.size > 0 || this.#events.wanted?.() === true
  }

  async #dial(signal: AbortSignal): Promise<void> {
    const { socketPath } = this.#options
    const sentAt = this.#clock.monotonic()
    // Set once the connection ended, which may be before we get to see it.
    const state: { link?: Link<H>; ended: boolean } = { ended: false }
    const timeoutMs = Math.min(DIAL_MS, this.#deadlineMs)
    this.#draining = false
    const link = await dial(
      { protocol: this.#protocol, socketPath, clock: this.#clock, timeoutMs, signal },
      {
        onFrame: (frame) => this.#receive(frame),
        onBye: () => this.#drain(),
        onDrain: () => this.pump(),
        onEnd: () => {
          state.ended = true
          if (this.#link !== undefined && this.#link === state.link) this.#disconnected()
        },
      },
    )
    state.link = link
    if (state.ended) throw new SignalboxError('unavailable', 'it hung up')
    if (this.#closed !== undefined) {
      link.close()
      return
    }
    this.#link = link
    this.#hello = link.hello.hello
    this.#events.onHello(link.hello, sentAt)
    if (this.#draining) this.#drain()
    this.pump()
  }

  #receive(frame: Answer | Hint): void {
    this.#attempt = 0
    const answered = 'h' in frame ? undefined : this.#calls.answer(frame)
    if (answered === undefined || 'h' in frame) {
      if ('k' in frame) this.tell({ i: frame.i, m: 'stop', a: [] })
      this.#events.onOther?.(frame)
      return
    }
    if (frame.k === 1 && answered.taken) this.#confirm(frame.i)
    this.#events.onAnswer?.(frame, answered.sentAt)
    if (frame.again === 1 || this.#draining) this.#drain()
    this.pump()
  }

  /** Tells the owner that a caller has this answer, together with others of this turn. */
  #confirm(id: number): void {
    this.#taken.push(id)
    if (this.#taken.length === 1) queueMicrotask(() => this.#tellTaken())
  }

  #tellTaken(): void {
    const taken = this.#taken
    if (taken.length === 0) return
    this.#taken = []
    this.tell({ i: 0, m: 'got', a: taken })
  }

  /** The owner is going: our side ends as soon as nothing waits for an answer on it. */
  #drain(): void {
    this.#draining = true
    const link = this.#link
    if (link !== undefined && this.#calls.inFlight === 0) void this.#finish(link)
  }

  #finish(link: Link<H>): Promise<void> {
    this.#tellTaken()
    return link.finish()
  }

  #disconnected(): void {
    this.#link = undefined
    this.#draining = false
    this.#taken = []
    this.#calls.reason = 'the connection broke'
    this.#calls.disconnected()
    if (this.#closed === undefined) void this.#connect()
    else this.#calls.giveUp()
  }

  #pause(): number {
    return backoffDelay(BACKOFF, this.#attempt, this.#options.random)
  }

  /** @throws SignalboxError `payload_too_large`: the owner would end the connection, and all calls on it */
  #assertFits(args: string): void {
    if (this.#hello === undefined) return
    const max = this.#protocol.maxRequestBytes(this.#hello) - FRAME_BYTES
    if (args.length * MAX_BYTES_A_CHARACTER <= max || Buffer.byteLength(args) <= max) return
    throw new SignalboxError('payload_too_large', `a call may have ${max} bytes; ask for less at once`)
  }
}
