/**
 * Message queues, in front of an engine: knows the queues of the configuration and makes them when they are first used, fills
 * in the queue that is meant when none is named, moves dead letters back, and tells what happens.
 */
import type { Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type {
  ChangeResult,
  DeleteResult,
  MessageQueue,
  OutgoingMessage,
  PeekOptions,
  PeekPage,
  QueueFacts,
  QueueOptions,
  QueueStats,
  ReceivedMessage,
  ReceiveOptions,
  SendResult,
  VisibilityChange,
} from '../ports/message-queue.ts'
import { Consumer, MAX_CREDIT, MIN_VISIBILITY_MS, type ConsumerOptions } from './consumer.ts'
import { giveBack } from './give-back.ts'
import { observed, type MessageObserver } from './observed.ts'
import { redrive, type RedriveAnswer, type RedriveRequest } from './redrive.ts'

export interface MessagesServiceOptions {
  readonly engine: MessageQueue
  readonly clock: Clock
  readonly random: Random
  /**
   * The queues of the configuration, by name; what a dead-letter policy names counts as named too. One without any options is
   * made if it is missing, and otherwise left as it is.
   */
  readonly queues?: Readonly<Record<string, QueueOptions>>
  /** The queue that is meant by an empty name. */
  readonly defaultQueue?: string
  readonly onEvent?: MessageObserver
}

/** What a consumer asks for; `queue` is already decided. */
export type ConsumeRequest = Pick<ConsumerOptions, 'attributes' | 'emit' | 'onEnd' | 'onTrouble'> & {
  readonly queue: string
  /** Default 10. */
  readonly credit?: number
  /** Default: the queue's. */
  readonly visibilityMs?: number
  readonly maxHoldMs?: number
}

/** A consumer that is ready to start. */
export interface OpenedConsumer {
  readonly consumer: Consumer
  readonly credit: number
  readonly visibilityMs: number
}

const DEFAULT_CREDIT = 10

export class MessagesService {
  readonly #options: MessagesServiceOptions
  readonly #engine: MessageQueue
  readonly #queues: ReadonlyMap<string, QueueOptions>
  readonly #declared = new Map<string, Promise<unknown>>()

  /** @throws SignalboxError `config_invalid` when dead-letter queues go round in a circle */
  constructor(options: MessagesServiceOptions) {
    const { engine, clock, onEvent } = options
    this.#options = options
    this.#engine = onEvent === undefined ? engine : observed(engine, clock, onEvent)
    this.#queues = withDeadLetters(options)
  }

  get limits(): MessageQueue['limits'] {
    return this.#engine.limits
  }

  get capabilities(): MessageQueue['capabilities'] {
    return this.#engine.capabilities
  }

  get canPeek(): boolean {
    return this.#engine.peek !== undefined
  }

  /** The queue that is meant. @throws SignalboxError `invalid_argument` when none is named and there is no default */
  queueOf(name: string): string {
    const queue = name === '' ? this.#options.defaultQueue : name
    if (queue !== undefined) return queue
    throw new SignalboxError('invalid_argument', 'queue: name one; there is no default queue here')
  }

  async send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly SendResult[]> {
    await this.#ready(queue)
    return this.#engine.send(queue, messages)
  }

  async receive(queue: string, options: ReceiveOptions): Promise<readonly ReceivedMessage[]> {
    await this.#ready(queue)
    return this.#engine.receive(queue, options)
  }

  async delete(queue: string, receipts: readonly string[]): Promise<readonly DeleteResult[]> {
    await this.#ready(queue)
    return this.#engine.delete(queue, receipts)
  }

  async changeVisibility(
    queue: string,
    changes: readonly VisibilityChange[],
  ): Promise<readonly ChangeResult[]> {
    await this.#ready(queue)
    return this.#engine.changeVisibility(queue, changes)
  }

  /** Returns messages that were received for a caller who has gone. Never rejects. @param uncounted as `VisibilityChange` has it */
  giveBack(queue: string, messages: readonly ReceivedMessage[], uncounted = false): Promise<void> {
    return giveBack({ engine: this.#engine, clock: this.#options.clock }, queue, messages, uncounted)
  }

  async describe(queue: string): Promise<QueueFacts> {
    await this.#ready(queue)
    return this.#engine.describeQueue(queue)
  }

  async stats(queue: string): Promise<QueueStats> {
    await this.#ready(queue)
    return this.#engine.stats(queue)
  }

  /** @throws SignalboxError `invalid_argument` where the engine cannot */
  async peek(queue: string, options: PeekOptions): Promise<PeekPage> {
    if (this.#engine.peek === undefined) {
      const what =
        'this engine cannot look at messages without receiving them; receive with a short visibility'
      throw new SignalboxError('invalid_argument', `peek: ${what}`, { details: { unsupported: true } })
    }
    await this.#ready(queue)
    return this.#engine.peek(queue, options)
  }

  async purge(queue: string): Promise<void> {
    await this.#ready(queue)
    return this.#engine.purge(queue)
  }

  async redrive(queue: string, request: RedriveRequest): Promise<RedriveAnswer> {
    await this.#ready(queue)
    if (request.to !== undefined) await this.#ready(request.to)
    return redrive({ engine: this.#engine, clock: this.#options.clock }, queue, request)
  }

  /** Those the engine has, and those of the configuration that nobody has used yet. In order. */
  async listQueues(): Promise<readonly string[]> {
    return [...new Set([...(await this.#engine.listQueues()), ...this.#queues.keys()])].toSorted()
  }

  /** As the engine's `declareQueue`; but a queue of the configuration keeps the options that it has there. */
  async declare(queue: string, options: QueueOptions): Promise<QueueFacts> {
    const configured = this.#queues.get(queue)
    if (configured !== undefined && Object.keys(configured).length > 0) return this.describe(queue)
    return this.#engine.declareQueue(queue, options)
  }

  /** Makes the queues of the configuration, or looks them up, as their first use would. */
  async declareAll(): Promise<void> {
    for (const queue of this.#queues.keys()) await this.#ready(queue)
  }

  /** @throws SignalboxError `invalid_argument`, `not_found`, `throttled`, `unavailable` */
  async consumer(request: ConsumeRequest): Promise<OpenedConsumer> {
    const { credit = DEFAULT_CREDIT, visibilityMs = (await this.describe(request.queue)).visibilityMs } =
      request
    await this.#ready(request.queue)
    if (!(Number.isInteger(credit) && credit >= 1 && credit <= MAX_CREDIT)) {
      throw new SignalboxError('invalid_argument', `credit must be 1 to ${MAX_CREDIT}, got ${credit}`)
    }
    if (!(visibilityMs >= MIN_VISIBILITY_MS && visibilityMs <= this.limits.visibilityMs)) {
      const range = `${MIN_VISIBILITY_MS} to ${this.limits.visibilityMs} milliseconds`
      throw new SignalboxError('invalid_argument', `visibility must be ${range}, got ${visibilityMs}`)
    }
    const { clock, random } = this.#options
    const consumer = new Consumer({ ...request, engine: this.#engine, clock, random, credit, visibilityMs })
    return { consumer, credit, visibilityMs }
  }

  #ready(queue: string): Promise<unknown> | undefined {
    const options = this.#queues.get(queue)
    if (options === undefined) return undefined
    let declared = this.#declared.get(queue)
    if (declared === undefined) {
      declared = this.#declare(queue, options).catch((error: unknown) => {
        this.#declared.delete(queue)
        throw error
      })
      this.#declared.set(queue, declared)
    }
    return declared
  }

  async #declare(queue: string, options: QueueOptions): Promise<void> {
    if (options.deadLetter !== undefined) await this.#ready(options.deadLetter.queue)
    // One that is only named keeps the options that others gave it.
    if (Object.keys(options).length === 0 && (await this.#isThere(queue))) return
    await this.#engine.declareQueue(queue, options)
  }

  async #isThere(queue: string): Promise<boolean> {
    if (this.capabilities.queues === 'existing') return false // declaring looks it up
    try {
      await this.#engine.describeQueue(queue)
      return true
    } catch (error) {
      if (isSignalboxError(error, 'not_found')) return false
      throw error
    }
  }
}

function withDeadLetters({ queues = {}, defaultQueue }: MessagesServiceOptions): Map<string, QueueOptions> {
  const all = new Map(Object.entries(queues))
  if (defaultQueue !== undefined && !all.has(defaultQueue)) all.set(defaultQueue, {})
  for (const { deadLetter } of all.values()) {
    if (deadLetter !== undefined && !all.has(deadLetter.queue)) all.set(deadLetter.queue, {})
  }
  for (const start of all.keys()) {
    let at: string | undefined = start
    for (let steps = 0; at !== undefined; steps++) {
      if (steps > all.size) {
        const what = `queue ${start}: its dead-letter queues go round in a circle; let one of them have none`
        throw new SignalboxError('config_invalid', what)
      }
      at = all.get(at)?.deadLetter?.queue
    }
  }
  return all
}
