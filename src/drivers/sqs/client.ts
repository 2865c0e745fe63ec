/**
 * Requests to SQS: one exchange each, with a deadline, and what its answer tells of the engine's time.
 *
 * Invariants:
 * - the SDK repeats nothing: whoever repeats a request here knows whether it was applied, or may be applied twice. Only
 *   one that was refused for the clock it was signed with goes out again at once (the SDK corrects itself by the answer).
 * - a deadline counts from the moment a request goes out, not from when it queued for a connection or its pace.
 * - long polls have connections of their own, so that they never hold up the other requests.
 */
import type * as Sdk from '@aws-sdk/client-sqs'
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep, type Clock } from '../../kernel/clock.ts'
import type { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import type { AwsFailure, Exchange, FailureKind } from '../shared/aws-failure.ts'
import { Deadline } from '../shared/deadline.ts'
import { EngineTime } from '../shared/engine-time.ts'
import { Gate } from '../shared/gate.ts'
import { Direct, type HttpAnswer } from './direct.ts'
import { failureOf, translate, type Call } from './errors.ts'
import type { Pace } from './pace.ts'

/** A request as it goes out. */
export interface RequestFacts {
  /** Name of the API operation: `SendMessageBatch`. */
  readonly operation: string
  readonly queue: string
  /** Messages in it; 0 for a request that carries none, a receive among them. */
  readonly entries: number
}

export interface ClientOptions {
  readonly endpoint: string | undefined
  readonly clock: Clock
  readonly random: Random
  readonly requestTimeoutMs: number
  readonly onRequest: (request: RequestFacts) => void
}

export interface Answer<O> {
  readonly output: O
  /** Monotonic time that is surely not after the moment at which the engine did it, and as near as is known. */
  readonly doneAt: number
}

export type Outcome<O> = { readonly answer: Answer<O> } | { readonly failure: AwsFailure }

/** What the requests to one queue share. */
export interface Target {
  readonly queue: string
  readonly pace: Pace
}

export type Sqs = typeof Sdk
export type Command<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes> = InstanceType<
  typeof Sdk.$Command<I, O, Sdk.SQSClientResolvedConfig, Sdk.ServiceInputTypes, Sdk.ServiceOutputTypes>
>

const CALL_CONNECTIONS = 64
const POLL_CONNECTIONS = 192
/** Connections at most; more requests at once queue for them. */
export const MAX_CONNECTIONS = CALL_CONNECTIONS + POLL_CONNECTIONS
/** For region and credentials, which the SDK may have to fetch. */
const PREPARATION_MS = 30_000
const ATTEMPTS = 4
const BACKOFF = { baseMs: 100, maxMs: 2_000 }
const PASSING: ReadonlySet<FailureKind> = new Set(['throttled', 'lost', 'unreachable'])
/** Answers tell their time in whole seconds: half a second later, give or take half a second. */
const HALF_SECOND_MS = 500
/** How far the clocks of the engine's machines may differ, and how much later than the work an answer may be dated. */
const ENGINE_CLOCKS_MS = 50

/** Is this failure worth another try? */
export function isPassing({ kind }: AwsFailure): boolean {
  return PASSING.has(kind)
}

export class SqsClient {
  readonly sdk: Sqs
  readonly #client: Sdk.SQSClient
  readonly #options: ClientOptions
  readonly #calls = new Gate(CALL_CONNECTIONS)
  readonly #polls = new Gate(POLL_CONNECTIONS)
  readonly #time = new EngineTime(ENGINE_CLOCKS_MS)
  readonly #direct: Direct

  constructor(sdk: Sqs, client: Sdk.SQSClient, options: ClientOptions) {
    this.sdk = sdk
    this.#client = client
    this.#options = options
    this.#direct = new Direct(client, options.clock)
  }

  get clock(): Clock {
    return this.#options.clock
  }

  get random(): Random {
    return this.#options.random
  }

  /** @throws the SDK's error when it finds none */
  region(): Promise<string> {
    return this.#client.config.region()
  }

  async error(
    failure: AwsFailure,
    queue: string,
    operation: string,
    effect: boolean,
  ): Promise<SignalboxError> {
    return translate(failure, await this.call(queue, operation, effect))
  }

  /** What messages say of a call. */
  async call(queue: string, operation: string, effect: boolean): Promise<Call> {
    const region = await this.region().catch(() => undefined)
    return { operation, effect, queue, region, endpoint: this.#options.endpoint }
  }

  /** What may be done twice: repeated a few times, with back-off. @throws SignalboxError */
  async repeat<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes>(
    target: Target,
    operation: string,
    make: () => Command<I, O>,
    effect = false,
  ): Promise<O> {
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.exchange(target, operation, make)
      if ('answer' in outcome) return outcome.answer.output
      const { failure } = outcome
      // A purge in progress takes a minute.
      const hopeless = failure.name === 'PurgeQueueInProgress'
      if (hopeless || !isPassing(failure) || attempt === ATTEMPTS - 1) {
        throw await this.error(failure, target.queue, operation, effect)
      }
      await this.backOff(attempt)
    }
  }

  backOff(attempt: number): Promise<void> {
    return sleep(this.clock, backoffDelay(BACKOFF, attempt, this.random))
  }

  /**
   * One request, once (or twice, see above).
   * @param options `entries` of the batch; `waitMs` of a long poll, by which its deadline is later
   */
  async exchange<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes>(
    target: Target,
    operation: string,
    make: () => Command<I, O>,
    options: { readonly entries?: number; readonly waitMs?: number } = {},
  ): Promise<Outcome<O>> {
    const gate = (options.waitMs ?? 0) > 0 ? this.#polls : this.#calls
    const pacedAt = await target.pace.enter()
    await gate.enter()
    try {
      let outcome = await this.#once(target, operation, make(), options)
      if ('failure' in outcome && outcome.failure.kind === 'skewed') {
        outcome = await this.#once(target, operation, make(), options)
      }
      if ('failure' in outcome && outcome.failure.kind === 'throttled') target.pace.throttled(pacedAt)
      return outcome
    } finally {
      gate.leave()
    }
  }

  destroy(): void {
    this.#client.destroy()
  }

  async #once<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes>(
    { queue }: Target,
    operation: string,
    command: Command<I, O>,
    { entries = 0, waitMs = 0 }: { readonly entries?: number; readonly waitMs?: number },
  ): Promise<Outcome<O>> {
    const { clock, onRequest, requestTimeoutMs } = this.#options
    const exchange: Exchange = { sent: false }
    const deadline = new Deadline(clock, PREPARATION_MS)
    const { signal } = deadline
    let doneAt = clock.monotonic()
    /** The exchange itself: the request is signed, the answer not yet read. */
    const carry = async <R extends { readonly response: unknown }>(send: () => Promise<R>): Promise<R> => {
      signal.throwIfAborted()
      exchange.sent = true
      deadline.restart(requestTimeoutMs + waitMs)
      onRequest({ operation, queue, entries })
      const sentAt = clock.monotonic()
      doneAt = sentAt
      const result = await send()
      doneAt = this.#learn(sentAt, result.response)
      return result
    }
    const send = async (): Promise<O> => {
      const direct = await this.#direct.prepare(operation, command.input)
      let unread: HttpAnswer | undefined
      if (direct !== undefined) {
        const { response } = await carry(() => direct.send(signal))
        const answer = await direct.read(response)
        if ('output' in answer) return answer.output as O
        unread = answer.unread
      }
      command.middlewareStack.add(
        (next) => (args) => {
          if (unread !== undefined) return Promise.resolve({ response: unread, output: undefined as never })
          this.#direct.learn(args.request)
          return carry(() => next(args))
        },
        // The innermost place.
        { step: 'deserialize', priority: 'low', name: 'signalboxExchange' },
      )
      return this.#client.send(command, { abortSignal: signal })
    }
    try {
      const output = await Promise.race([send(), deadline.passed])
      return { answer: { output, doneAt } }
    } catch (error) {
      return { failure: failureOf(error, exchange) }
    } finally {
      deadline.end()
    }
  }

  /**
   * Learns the engine's time from an answer.
   * @returns the latest moment that is surely not after the engine's work: when the request went out or, after a long
   *   poll, when by its answer's date it was over.
   */
  #learn(sentAt: number, response: unknown): number {
    const headers = (response as { readonly headers?: Record<string, string> } | undefined)?.headers
    const date = Date.parse(headers?.['date'] ?? '')
    if (Number.isNaN(date)) return sentAt
    const now = this.#options.clock.monotonic()
    this.#time.learn(sentAt, now, date + HALF_SECOND_MS, HALF_SECOND_MS)
    const engine = this.#time.at(now)
    if (engine === undefined) return sentAt
    const datedAt = now + (date - ENGINE_CLOCKS_MS - engine.ms) - engine.uncertaintyMs
    return Math.min(now, Math.max(sentAt, datedAt))
  }
}
