/**
 * The `Consume` stream: frames in, a `Consumer`'s acts; its events, frames out.
 *
 * Invariants: frames that the client has not taken are at most about `BEHIND_BYTES`, less where there are many streams; a client that is
 * behind is neither given more nor listened to, so that memory is bounded whatever it does; whichever way the stream ends, the
 * consumer is closed.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Clock, Timer } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Consumer, ConsumerFrame } from '../consumer.ts'
import type { MessagesService } from '../service.ts'
import type { CallGuard } from './access.ts'
import { bytesOf } from '../weight.ts'
import { failureTo, messageTo, wantedAttributes } from './convert.ts'
import type { ConsumeRequest, ConsumeResponse } from './generated/signalbox/messages/v1/messages.ts'
import { statusOf } from './unary.ts'

type Call = ServerDuplexStream<ConsumeRequest, ConsumeResponse>

export interface ConsumersOptions {
  readonly service: MessagesService
  readonly clock: Clock
  readonly onTrouble?: (queue: string, error: SignalboxError) => void
  readonly guard?: Pick<CallGuard, 'watch'>
}

const BEHIND_BYTES = 1024 * 1024
/** Of all streams together, beyond a little for each. */
const ALL_BEHIND_BYTES = 64 * BEHIND_BYTES
const LEAST_BEHIND_BYTES = 64 * 1024
/** What a frame costs beside its bodies, and an id in it. */
const FRAME_BYTES = 256
const ID_BYTES = 8
const MAX_STREAMS = 1_000
/** A stream that nobody opens holds a place for so long. */
const OPENS_WITHIN_MS = 10_000

/** All streams of a process. */
export class Consumers {
  readonly #options: ConsumersOptions
  readonly #streams = new Set<ConsumeStream>()
  #draining = false

  constructor(options: ConsumersOptions) {
    this.#options = options
  }

  /** Messages with clients. */
  get held(): number {
    return [...this.#streams].reduce((sum, stream) => sum + stream.held, 0)
  }

  get open(): number {
    return this.#streams.size
  }

  readonly serve = (call: Call): void => {
    if (this.#streams.size >= MAX_STREAMS) {
      const what = `there are ${MAX_STREAMS} consumers already; close some, or start another sidecar`
      call.emit('error', statusOf(new SignalboxError('throttled', what)))
      return
    }
    if (this.#draining) {
      call.emit('error', statusOf(new SignalboxError('unavailable', 'this process is stopping')))
      return
    }
    const stream = new ConsumeStream(call, this.#options, () => behindBytes(this.#streams.size))
    this.#streams.add(stream)
    void stream.ended.then(() => this.#streams.delete(stream))
  }

  /** No more messages; each stream ends when its client has settled what it holds. */
  drain(): void {
    this.#draining = true
    for (const stream of this.#streams) stream.drain()
  }

  /** Ends every stream; resolves when what they held is back in its queue. */
  async close(): Promise<void> {
    await Promise.all([...this.#streams].map((stream) => stream.finish()))
  }
}

/** How far behind a client may be. @param streams how many there are */
export function behindBytes(streams: number): number {
  return Math.min(BEHIND_BYTES, Math.max(LEAST_BEHIND_BYTES, ALL_BEHIND_BYTES / streams))
}

class ConsumeStream {
  readonly ended: Promise<void>
  readonly #ended: () => void
  readonly #call: Call
  readonly #options: ConsumersOptions
  readonly #allowed: () => number
  #consumer: Consumer | undefined
  #opening = false
  #gone = false
  #draining = false
  #behind = 0
  #blocked = false
  #finishing: Promise<void> | undefined
  readonly #unopened: Timer

  /** @param allowed how far behind its client may be at present, bytes */
  constructor(call: Call, options: ConsumersOptions, allowed: () => number) {
    this.#call = call
    this.#options = options
    this.#allowed = allowed
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.#ended = resolve
    call.on('data', (request: ConsumeRequest) => this.#heard(request))
    call.on('end', () => void this.finish())
    call.on('cancelled', () => {
      this.#gone = true
      void this.finish()
    })
    call.on('error', () => (this.#gone = true))
    const unwatch = options.guard?.watch(call.metadata, (error) => void this.finish(error))
    void promise.then(unwatch)
    const late = `open: the first request did not come within ${OPENS_WITHIN_MS / 1_000} s`
    this.#unopened = options.clock.timer(
      OPENS_WITHIN_MS,
      () => void this.finish(new SignalboxError('invalid_argument', `${late}; send it at once`)),
    )
    void promise.then(() => this.#unopened.cancel())
  }

  get held(): number {
    return this.#consumer?.held ?? 0
  }

  drain(): void {
    this.#draining = true
    if (this.#consumer === undefined) void this.finish()
    else this.#consumer.drain()
  }

  /** Returns what is held, and ends the stream. @param error as which it ends */
  finish(error?: SignalboxError): Promise<void> {
    return (this.#finishing ??= this.#finish(error))
  }

  async #finish(error: SignalboxError | undefined): Promise<void> {
    await this.#consumer?.close()
    if (!this.#gone) {
      this.#gone = true
      if (error === undefined) this.#call.end()
      else this.#call.emit('error', statusOf(error))
    }
    this.#ended()
  }

  #heard(request: ConsumeRequest): void {
    if (this.#finishing !== undefined) return
    try {
      if (this.#consumer === undefined) this.#open(request)
      else this.#act(this.#consumer, request)
    } catch (error) {
      void this.finish(error as SignalboxError)
    }
  }

  #open(request: ConsumeRequest): void {
    const { open } = request
    if (open === undefined || this.#opening) {
      throw new SignalboxError(
        'invalid_argument',
        'open: the first request of the stream, and only it, opens',
      )
    }
    this.#opening = true
    this.#unopened.cancel()
    this.#call.pause()
    const { service, onTrouble } = this.#options
    const { credit, visibilityMs, maxHoldMs, attributeNames } = open
    const opened = async (): Promise<void> => {
      const queue = service.queueOf(open.queue)
      const { consumer, ...facts } = await service.consumer({
        queue,
        attributes: wantedAttributes(attributeNames),
        ...(credit === 0 ? {} : { credit }),
        ...(visibilityMs === undefined ? {} : { visibilityMs }),
        ...(maxHoldMs === undefined ? {} : { maxHoldMs }),
        emit: (frame) => this.#emit(frame),
        onEnd: (error) => void this.finish(error),
        onTrouble: (error) => onTrouble?.(queue, error),
      })
      if (this.#finishing !== undefined) return
      this.#consumer = consumer
      this.#write({ ...EMPTY, opened: { queue, ...facts } }, FRAME_BYTES)
      if (this.#draining) consumer.drain()
      else consumer.start()
      this.#act(consumer, { ...request, open: undefined })
      this.#call.resume()
    }
    opened().catch((error: unknown) => void this.finish(error as SignalboxError))
  }

  #act(consumer: Consumer, { open, ack, nack, extend, addCredit }: ConsumeRequest): void {
    if (open !== undefined) {
      throw new SignalboxError('invalid_argument', 'open: this stream is open already; use add_credit')
    }
    if (ack.length > 0) consumer.ack(ack)
    for (const { deliveryId, delayMs } of nack) consumer.nack(deliveryId, delayMs)
    for (const { deliveryId, visibilityMs } of extend) consumer.extend(deliveryId, visibilityMs)
    if (addCredit !== 0) consumer.addCredit(addCredit)
  }

  #emit(frame: ConsumerFrame): boolean {
    if (this.#gone) return true
    const { messages = [], acked = [], nacked = [], lost = [], extended, failed } = frame
    const bodies = messages.reduce((sum, { message }) => sum + bytesOf(message), 0)
    const bytes = FRAME_BYTES + bodies + (acked.length + nacked.length + lost.length) * ID_BYTES
    return this.#write(
      {
        messages: messages.map(({ id, message }) => ({ deliveryId: id, message: messageTo(message) })),
        acked: [...acked],
        nacked: [...nacked],
        lost: [...lost],
        extended: extended === undefined ? [] : [{ deliveryId: extended.id, deadlineMs: extended.deadline }],
        failed: failed === undefined ? [] : [{ deliveryId: failed.id, failure: failureTo(failed.error) }],
        draining: frame.draining === true,
      },
      bytes,
    )
  }

  /** @returns false when the client is behind */
  #write(response: ConsumeResponse, bytes: number): boolean {
    this.#behind += bytes
    this.#call.write(response, () => this.#written(bytes))
    if (this.#behind <= this.#allowed()) return true
    this.#blocked = true
    this.#call.pause()
    return false
  }

  #written(bytes: number): void {
    this.#behind -= bytes
    if (!this.#blocked || this.#behind > this.#allowed() || this.#finishing !== undefined) return
    this.#blocked = false
    this.#call.resume()
    this.#consumer?.resume()
  }
}

const EMPTY: ConsumeResponse = {
  messages: [],
  acked: [],
  nacked: [],
  lost: [],
  extended: [],
  failed: [],
  draining: false,
}
