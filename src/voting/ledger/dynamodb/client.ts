/**
 * Requests to the ledger's tables: one exchange each, with a deadline. The SDK repeats nothing; reads are repeated here, a write
 * that got no answer is `outcome_unknown`, to be read by whoever wrote it.
 */
import type * as Sdk from '@aws-sdk/client-dynamodb'
import {
  UNAUTHENTICATED,
  awsFailure,
  type AwsFailure,
  type Exchange,
} from '../../../drivers/shared/aws-failure.ts'
import { meaningOf } from '../../../drivers/shared/aws-meaning.ts'
import { Deadline } from '../../../drivers/shared/deadline.ts'
import { Gate } from '../../../drivers/shared/gate.ts'
import { backoffDelay } from '../../../kernel/backoff.ts'
import { sleep, type Clock } from '../../../kernel/clock.ts'
import { SignalboxError, type ErrorCode } from '../../../kernel/error.ts'
import type { Random } from '../../../kernel/id.ts'

export interface ClientOptions {
  readonly clock: Clock
  readonly random: Random
  readonly endpoint: string | undefined
  /** For messages: the tables. */
  readonly tables: string
  readonly requestTimeoutMs: number
}

/** Connections at most; more requests at once queue for them. */
export const MAX_CONNECTIONS = 64
/** For region and credentials, which the SDK may have to fetch. */
const PREPARATION_MS = 30_000
const READ_ATTEMPTS = 4
const READ_BACKOFF = { baseMs: 50, maxMs: 1_000 }
const PASSING: ReadonlySet<string> = new Set(['throttled', 'lost', 'unreachable', 'skewed'])

type Command<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes> = InstanceType<
  typeof Sdk.$Command<I, O, Sdk.DynamoDBClientResolvedConfig, Sdk.ServiceInputTypes, Sdk.ServiceOutputTypes>
>
type Outcome<O> = { readonly answer: O } | { readonly failure: AwsFailure }

export class LedgerClient {
  readonly #client: Sdk.DynamoDBClient
  readonly #options: ClientOptions
  readonly #gate = new Gate(MAX_CONNECTIONS)

  constructor(client: Sdk.DynamoDBClient, options: ClientOptions) {
    this.#client = client
    this.#options = options
  }

  /** @throws SignalboxError `unavailable`, `throttled`, `not_found`, `permission_denied`, … */
  async read<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes>(
    operation: string,
    make: () => Command<I, O>,
  ): Promise<O> {
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#exchange(make())
      if ('answer' in outcome) return outcome.answer
      const { failure } = outcome
      if (!PASSING.has(failure.kind) || attempt === READ_ATTEMPTS - 1)
        throw this.#error(failure, operation, false)
      await this.pause(attempt)
    }
  }

  /**
   * @returns undefined when applied; the engine's error when it refused for a reason that `expected` names
   * @throws SignalboxError for every other failure
   */
  async write<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes>(
    operation: string,
    make: () => Command<I, O>,
    expected: (name: string) => boolean,
  ): Promise<AwsFailure | undefined> {
    let outcome = await this.#exchange(make())
    if ('failure' in outcome && outcome.failure.kind === 'skewed') outcome = await this.#exchange(make())
    if ('answer' in outcome) return undefined
    const { failure } = outcome
    if (failure.kind === 'refused' && expected(failure.name)) return failure
    throw this.#error(failure, operation, true)
  }

  /** Waits before a further attempt. */
  pause(attempt: number): Promise<void> {
    return sleep(this.#options.clock, backoffDelay(READ_BACKOFF, attempt, this.#options.random))
  }

  destroy(): void {
    this.#client.destroy()
  }

  async #exchange<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes>(
    command: Command<I, O>,
  ): Promise<Outcome<O>> {
    await this.#gate.enter()
    const exchange: Exchange = { sent: false }
    const deadline = new Deadline(this.#options.clock, PREPARATION_MS)
    command.middlewareStack.add(
      (next) => (args) => {
        deadline.signal.throwIfAborted()
        exchange.sent = true
        deadline.restart(this.#options.requestTimeoutMs)
        return next(args)
      },
      { step: 'deserialize', priority: 'low', name: 'signalboxExchange' },
    )
    try {
      const sending = this.#client.send(command, { abortSignal: deadline.signal })
      return { answer: await Promise.race([sending, deadline.passed]) }
    } catch (error) {
      // An earlier request with the same token is still at work.
      return {
        failure: awsFailure(error, exchange, (name) =>
          name === 'TransactionInProgressException' ? 'lost' : undefined,
        ),
      }
    } finally {
      deadline.end()
      this.#gate.leave()
    }
  }

  #error(failure: AwsFailure, operation: string, effect: boolean): SignalboxError {
    const { endpoint, tables } = this.#options
    const what = `the DynamoDB tables ${tables}`
    const where = endpoint === undefined ? what : `${what} at ${endpoint}`
    const [code, text] = meaningOf(failure, { operation, effect, what, where }, () => refused(failure, where))
    return new SignalboxError(code, text, { cause: failure.error })
  }
}

function refused({ name, message }: AwsFailure, where: string): readonly [ErrorCode, string] {
  if (name === 'AccessDeniedException' || name === 'AccessDenied') {
    return [
      'permission_denied',
      `${where}: the AWS credentials may not do this; allow it in their IAM policy (${message})`,
    ]
  }
  if (UNAUTHENTICATED.has(name)) {
    return [
      'unauthenticated',
      `${where}: the AWS credentials are not accepted; renew them (${name}: ${message})`,
    ]
  }
  if (name === 'ResourceNotFoundException') {
    return [
      'not_found',
      `${where}: one of them, or its index, does not exist; create them as docs/voting.md says (${message})`,
    ]
  }
  if (name === 'ValidationException' && /start(ing)? ?key/i.test(message)) {
    return ['invalid_argument', 'cursor: is not one that this list gave; begin without one']
  }
  return ['internal', `${where} refused a request (${name}: ${message})`]
}
