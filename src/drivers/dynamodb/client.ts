/**
 * Requests to the engine: one exchange each, with a deadline, and what its answer tells of the engine's time.
 *
 * Invariants:
 * - the SDK repeats nothing. A conditional write that was applied, then repeated because its answer was lost, would be
 *   refused by its own effect; so a write goes out once, and a second time only when the first was certainly not applied
 *   because of the clock it was signed with (SigV4 takes five minutes of difference; the SDK corrects itself by the
 *   answer). Reads and idempotent deletes are repeated here, with back-off.
 * - a deadline counts from the moment a request goes out, not from when it queued for a connection.
 */
import type * as Sdk from '@aws-sdk/client-dynamodb'
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep, type Clock } from '../../kernel/clock.ts'
import type { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import type { Exchange, FailureKind } from '../shared/aws-failure.ts'
import { Deadline } from '../shared/deadline.ts'
import { EngineTime } from '../shared/engine-time.ts'
import { Gate } from '../shared/gate.ts'
import { translate, type Call } from './errors.ts'
import { failureOf, type Failure } from './failure.ts'
import type { Item, TableKeys } from './table.ts'

export interface ClientOptions {
  readonly table: string
  readonly keys: TableKeys
  readonly endpoint: string | undefined
  readonly clock: Clock
  readonly random: Random
  readonly requestTimeoutMs: number
  readonly onRequest: (operation: string) => void
}

/** Connections at most; more requests at once queue for them. */
export const MAX_CONNECTIONS = 64
/** For region and credentials, which the SDK may have to fetch. */
const PREPARATION_MS = 30_000
const READ_ATTEMPTS = 4
const READ_BACKOFF = { baseMs: 50, maxMs: 1_000 }
const PASSING: ReadonlySet<FailureKind> = new Set(['throttled', 'lost', 'unreachable', 'skewed'])
/** Answers tell their time in whole seconds: half a second later, give or take half a second. */
const HALF_SECOND_MS = 500
/** How far the clocks of the engine's machines may differ; they are kept to a few milliseconds. */
const ENGINE_CLOCKS_MS = 50

type Command<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes> = InstanceType<
  typeof Sdk.$Command<I, O, Sdk.DynamoDBClientResolvedConfig, Sdk.ServiceInputTypes, Sdk.ServiceOutputTypes>
>

type Outcome<O> = { readonly answer: O } | { readonly failure: Failure }

export class TableClient {
  readonly #sdk: typeof Sdk
  readonly #client: Sdk.DynamoDBClient
  readonly #options: ClientOptions
  readonly #time = new EngineTime(ENGINE_CLOCKS_MS)
  readonly #gate = new Gate(MAX_CONNECTIONS)
  #learning: Promise<unknown> | undefined

  constructor(sdk: typeof Sdk, client: Sdk.DynamoDBClient, options: ClientOptions) {
    this.#sdk = sdk
    this.#client = client
    this.#options = options
  }

  /** Always a linearisable read. */
  async getItem(key: Item): Promise<Item | undefined> {
    const input = { TableName: this.#options.table, Key: key, ConsistentRead: true }
    return (await this.#repeat('GetItem', () => new this.#sdk.GetItemCommand(input))).Item
  }

  /** Always a strongly consistent read. */
  query(
    query: Omit<Sdk.QueryCommandInput, 'TableName'>,
    signal?: AbortSignal,
  ): Promise<Sdk.QueryCommandOutput> {
    const input = { ...query, TableName: this.#options.table, ConsistentRead: true }
    return this.#repeat('Query', () => new this.#sdk.QueryCommand(input), signal)
  }

  /** Deletes whatever stands there. */
  async removeItem(key: Item, signal?: AbortSignal): Promise<void> {
    const input = { TableName: this.#options.table, Key: key }
    await this.#repeat('DeleteItem', () => new this.#sdk.DeleteItemCommand(input), signal)
  }

  /**
   * Conditional writes, all or none: one as itself, several as a transaction.
   * @returns undefined when applied; the failure when the engine refused it, for the caller to read.
   * @throws SignalboxError for every other failure.
   */
  async write(writes: readonly Sdk.TransactWriteItem[]): Promise<Failure | undefined> {
    const [operation, send] = this.#writer(writes)
    let outcome = await send()
    if ('failure' in outcome && outcome.failure.kind === 'skewed') outcome = await send()
    if ('answer' in outcome) return undefined
    if (outcome.failure.kind === 'refused') return outcome.failure
    throw await this.error(outcome.failure, operation, true)
  }

  async error(failure: Failure, operation: string, write: boolean): Promise<SignalboxError> {
    const { table, keys, endpoint } = this.#options
    const region = await this.#client.config.region().catch(() => undefined)
    return translate(failure, { operation, write, table, keys, endpoint, region } satisfies Call)
  }

  /** Engine time as far as answers have told it; undefined before the first. */
  time(): { readonly ms: number; readonly uncertaintyMs: number } | undefined {
    return this.#time.at(this.#options.clock.monotonic())
  }

  /** Asks the engine for its time, by reading an item, unless an answer has told it already. */
  async learnTime(key: Item): Promise<void> {
    if (this.time() !== undefined) return
    this.#learning ??= this.getItem(key).finally(() => (this.#learning = undefined))
    await this.#learning
  }

  destroy(): void {
    this.#client.destroy()
  }

  #writer(
    writes: readonly Sdk.TransactWriteItem[],
  ): [operation: string, send: () => Promise<Outcome<unknown>>] {
    const sdk = this.#sdk
    const [first] = writes
    if (writes.length === 1 && first?.Put !== undefined) {
      const put = first.Put
      return ['PutItem', () => this.#exchange('PutItem', new sdk.PutItemCommand(put))]
    }
    if (writes.length === 1 && first?.Delete !== undefined) {
      const remove = first.Delete
      return ['DeleteItem', () => this.#exchange('DeleteItem', new sdk.DeleteItemCommand(remove))]
    }
    const operation = 'TransactWriteItems'
    const input = { TransactItems: [...writes], ClientRequestToken: this.#options.random.id() }
    return [operation, () => this.#exchange(operation, new sdk.TransactWriteItemsCommand(input))]
  }

  /** What may be done twice. */
  async #repeat<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes>(
    operation: string,
    make: () => Command<I, O>,
    signal?: AbortSignal,
  ): Promise<O> {
    const { clock, random } = this.#options
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted()
      const outcome = await this.#exchange(operation, make())
      if ('answer' in outcome) return outcome.answer
      const { failure } = outcome
      if (!PASSING.has(failure.kind) || attempt === READ_ATTEMPTS - 1)
        throw await this.error(failure, operation, false)
      await sleep(clock, backoffDelay(READ_BACKOFF, attempt, random), signal)
    }
  }

  /** One request, once. */
  async #exchange<I extends Sdk.ServiceInputTypes, O extends Sdk.ServiceOutputTypes>(
    operation: string,
    command: Command<I, O>,
  ): Promise<Outcome<O>> {
    const { clock, onRequest, requestTimeoutMs } = this.#options
    await this.#gate.enter()
    const exchange: Exchange = { sent: false }
    const deadline = new Deadline(clock, PREPARATION_MS)
    command.middlewareStack.add(
      (next) => async (args) => {
        deadline.signal.throwIfAborted()
        exchange.sent = true
        deadline.restart(requestTimeoutMs)
        onRequest(operation)
        const sentAt = clock.monotonic()
        const result = await next(args)
        this.#learn(sentAt, result.response)
        return result
      },
      // The innermost place: the request is signed, the answer not yet read.
      { step: 'deserialize', priority: 'low', name: 'signalboxExchange' },
    )
    try {
      const sending = this.#client.send(command, { abortSignal: deadline.signal })
      return { answer: await Promise.race([sending, deadline.passed]) }
    } catch (error) {
      return { failure: failureOf(error, exchange) }
    } finally {
      deadline.end()
      this.#gate.leave()
    }
  }

  #learn(sentAt: number, response: unknown): void {
    const headers = (response as { readonly headers?: Record<string, string> } | undefined)?.headers
    const date = Date.parse(headers?.['date'] ?? '')
    if (Number.isNaN(date)) return
    this.#time.learn(sentAt, this.#options.clock.monotonic(), date + HALF_SECOND_MS, HALF_SECOND_MS)
  }
}
