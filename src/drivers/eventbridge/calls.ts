/**
 * Calls to EventBridge and to its Scheduler: one at a time each with a deadline, repeated while the failure is one that passes.
 *
 * Invariants:
 * - every operation that is called here may be repeated: it replaces, it deletes, or its repetition is refused as existing;
 * - few at once, and after a refusal for too many calls longer and longer pauses: AWS allows 50 calls a second an account,
 *   which other programs share. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
 */
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep, type Clock } from '../../kernel/clock.ts'
import type { Random } from '../../kernel/id.ts'
import type { AwsFailure, Exchange, FailureKind } from '../shared/aws-failure.ts'
import { Deadline } from '../shared/deadline.ts'
import { Gate } from '../shared/gate.ts'
import { failureOf, translate } from './errors.ts'

export interface CallsOptions {
  /** The IAM prefix of the service: `events`, `scheduler`. */
  readonly prefix: string
  readonly endpoint: string | undefined
  readonly region: () => Promise<string>
  readonly clock: Clock
  readonly random: Random
  readonly requestTimeoutMs: number
  /** Told of each request as it goes out, by the name of its operation. */
  readonly onRequest: (operation: string) => void
}

/** One try of a call. */
export interface Try {
  readonly abortSignal: AbortSignal
  /** To be called when the request is signed and goes out. */
  readonly goesOut: () => void
}

export interface CallFacts {
  /** Name of the API operation: `PutRule`. */
  readonly operation: string
  /** The object, for messages: `rule 'nightly'`. */
  readonly what: string
  /** Does it change anything? */
  readonly effect: boolean
  readonly signal?: AbortSignal | undefined
}

const AT_ONCE = 4
const PREPARATION_MS = 30_000
const ATTEMPTS = 8
const BACKOFF = { baseMs: 400, maxMs: 15_000 }
const REPEATED: ReadonlySet<FailureKind> = new Set(['throttled', 'lost', 'unreachable', 'skewed'])
/** Who is not reached, or does not answer, is not asked as patiently as who is busy: the caller tries again later. */
const SILENT_ATTEMPTS = 3

export class Calls {
  readonly #options: CallsOptions
  readonly #gate = new Gate(AT_ONCE)

  constructor(options: CallsOptions) {
    this.#options = options
  }

  get clock(): Clock {
    return this.#options.clock
  }

  /**
   * @param send one try: a new command, handed to its client
   * @throws SignalboxError; the signal's reason once it aborts
   */
  async call<O>(facts: CallFacts, send: (attempt: Try) => Promise<O>): Promise<O> {
    for (let attempt = 0; ; attempt++) {
      facts.signal?.throwIfAborted()
      const outcome = await this.#exchange(facts.operation, send)
      if ('answer' in outcome) return outcome.answer
      const { failure } = outcome
      const attempts = failure.kind === 'throttled' ? ATTEMPTS : SILENT_ATTEMPTS
      if (!REPEATED.has(failure.kind) || attempt >= attempts - 1) throw await this.error(failure, facts)
      await this.pause(attempt, facts.signal)
    }
  }

  pause(attempt: number, signal?: AbortSignal): Promise<void> {
    const { clock, random } = this.#options
    return sleep(clock, backoffDelay(BACKOFF, attempt, random), signal)
  }

  async error(failure: AwsFailure, { operation, what, effect }: CallFacts): Promise<Error> {
    const { prefix, endpoint } = this.#options
    const region = await this.#options.region().catch(() => undefined)
    return translate(failure, { operation, what, effect, prefix, region, endpoint })
  }

  async #exchange<O>(
    operation: string,
    send: (attempt: Try) => Promise<O>,
  ): Promise<{ readonly answer: O } | { readonly failure: AwsFailure }> {
    const { clock, requestTimeoutMs, onRequest } = this.#options
    await this.#gate.enter()
    const exchange: Exchange = { sent: false }
    const deadline = new Deadline(clock, PREPARATION_MS)
    const goesOut = (): void => {
      deadline.signal.throwIfAborted()
      exchange.sent = true
      deadline.restart(requestTimeoutMs)
      onRequest(operation)
    }
    try {
      const sending = send({ abortSignal: deadline.signal, goesOut })
      return { answer: await Promise.race([sending, deadline.passed]) }
    } catch (error) {
      return { failure: failureOf(error, exchange) }
    } finally {
      deadline.end()
      this.#gate.leave()
    }
  }
}
