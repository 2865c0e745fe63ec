/**
 * One queue: where it is, what is known of it, and its calls.
 *
 * Invariant: a nacked or returned receipt is over from the moment of the call: whatever else this process does with it
 * is `lost`, although SQS would still take it.
 */
import type { QueueAttributeName } from '@aws-sdk/client-sqs'
import { SignalboxError, toSignalboxError } from '../../kernel/error.ts'
import { checkChanges, checkReceipts, checkSend } from '../../ports/message-checks.ts'
import {
  portableMessageLimits as limits,
  type ChangeResult,
  type DeleteResult,
  type FailedEntry,
  type OutgoingMessage,
  type QueueFacts,
  type QueueStats,
  type ReceivedMessage,
  type ReceiveOptions,
  type SendResult,
  type VisibilityChange,
} from '../../ports/message-queue.ts'
import type { QueueAddress } from './address.ts'
import { QueueBatches } from './batches.ts'
import type { SqsClient, Target } from './client.ts'
import { Pace } from './pace.ts'
import { Poller } from './poller.ts'
import { toFacts, toSeconds } from './wire.ts'

/** The queue's own visibility is asked for again so often, while receives need it. */
const FACTS_MS = 15 * 60_000
/** Ended receipts that are remembered. */
const ENDED = 4_096
const COUNTS = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesNotVisible',
  'ApproximateNumberOfMessagesDelayed',
] as const

export class SqsQueue {
  readonly #client: SqsClient
  readonly #address: QueueAddress
  readonly #target: Target
  readonly #batches: QueueBatches
  readonly #poller: Poller
  readonly #ended = new Set<string>()
  #url: Promise<string> | undefined
  #facts: { readonly asked: Promise<QueueFacts>; readonly at: number } | undefined

  constructor(client: SqsClient, address: QueueAddress) {
    this.#client = client
    this.#address = address
    this.#target = { queue: address.given, pace: new Pace(client.clock) }
    const url = (): Promise<string> => this.url()
    this.#batches = new QueueBatches(client, this.#target, address.name, url)
    const giveBack = (receipts: readonly string[]): Promise<void> => this.#giveBack(receipts)
    this.#poller = new Poller({ client, target: this.#target, url, giveBack })
  }

  /** Asked for once. @throws SignalboxError `not_found` … */
  url(): Promise<string> {
    this.#url ??= this.#lookUp().catch((error: unknown) => {
      this.#url = undefined
      throw error
    })
    return this.#url
  }

  /** As the engine tells it now. */
  async describe(): Promise<QueueFacts> {
    const asked = this.#attributes(['All']).then((all) => toFacts(this.#address.given, all))
    const facts = { asked, at: this.#client.clock.monotonic() }
    this.#facts = facts
    asked.catch(() => {
      if (this.#facts === facts) this.#facts = undefined
    })
    return asked
  }

  async stats(): Promise<QueueStats> {
    const counts = await this.#attributes(COUNTS)
    const [visible = 0, inFlight = 0, delayed = 0] = COUNTS.map((name) => Number(counts[name] ?? 0))
    return { visible, inFlight, delayed }
  }

  async purge(): Promise<void> {
    const QueueUrl = await this.url()
    const make = () => new this.#client.sdk.PurgeQueueCommand({ QueueUrl })
    await this.#client.repeat(this.#target, 'PurgeQueue', make, true)
  }

  async send(messages: readonly OutgoingMessage[]): Promise<readonly SendResult[]> {
    const checked = checkSend({ name: this.#address.name }, messages, limits)
    // The caller may change its objects while these wait.
    const kept = messages.map((message) => ({ ...message }))
    return this.#entries(
      checked.map(({ error }) => error),
      (i) => this.#batches.send(kept[i] as OutgoingMessage),
    )
  }

  async delete(receipts: readonly string[]): Promise<readonly DeleteResult[]> {
    checkReceipts(receipts, limits)
    const kept = [...receipts]
    return this.#entries<DeleteResult>(
      Array.from(kept, () => undefined),
      async (i) => {
        const receipt = kept[i] ?? ''
        return this.#ended.has(receipt) ? { status: 'lost' } : this.#batches.delete(receipt)
      },
    )
  }

  async changeVisibility(changes: readonly VisibilityChange[]): Promise<readonly ChangeResult[]> {
    const errors = checkChanges(changes, limits)
    const kept = changes.map((change) => ({ ...change }))
    return this.#entries(errors, (i) => this.#change(kept[i] as VisibilityChange))
  }

  async receive(options: ReceiveOptions): Promise<readonly ReceivedMessage[]> {
    const { max = 1, waitMs = 0, visibilityMs, attributes, signal } = options
    signal?.throwIfAborted()
    const visibility = toSeconds(visibilityMs ?? (await aborts(this.#visibilityMs(), signal)))
    await aborts(this.url(), signal)
    return this.#poller.receive({
      max,
      waitMs,
      visibility,
      ...(attributes === undefined ? {} : { attributes }),
      ...(signal === undefined ? {} : { signal }),
    })
  }

  /** Whoever waits for messages is answered with none. */
  endReceives(): void {
    this.#poller.close()
  }

  drained(): Promise<void> {
    return this.#poller.drained()
  }

  async #change({ receipt, visibilityMs, nack = false }: VisibilityChange): Promise<ChangeResult> {
    if (this.#ended.has(receipt)) return { status: 'lost' }
    const ends = nack || visibilityMs === 0
    if (ends) this.#end(receipt)
    try {
      const change = { receipt, seconds: toSeconds(visibilityMs), extends: !ends }
      const result = await this.#batches.change(change)
      if (ends && result.status === 'failed') this.#ended.delete(receipt)
      return result
    } catch (error) {
      // Not applied, or not known to be: the caller may say it again.
      if (ends) this.#ended.delete(receipt)
      throw error
    }
  }

  async #giveBack(receipts: readonly string[]): Promise<void> {
    // What cannot be given back is visible again when its visibility ends.
    await Promise.allSettled(receipts.map((receipt) => this.#change({ receipt, visibilityMs: 0 })))
  }

  #end(receipt: string): void {
    this.#ended.add(receipt)
    if (this.#ended.size <= ENDED) return
    const [oldest = ''] = this.#ended
    this.#ended.delete(oldest)
  }

  /**
   * The entries that are right, each by itself.
   * @throws SignalboxError when all of them failed together
   */
  async #entries<R>(
    errors: readonly (SignalboxError | undefined)[],
    apply: (i: number) => Promise<R>,
  ): Promise<readonly (R | FailedEntry)[]> {
    const valid = errors.flatMap((error, i) => (error === undefined ? [i] : []))
    const outcomes = new Map<number, PromiseSettledResult<R>>()
    const settled = await Promise.allSettled(valid.map(apply))
    for (const [at, i] of valid.entries()) outcomes.set(i, settled[at] as PromiseSettledResult<R>)
    const [first] = settled
    if (first?.status === 'rejected' && settled.every(({ status }) => status === 'rejected')) {
      throw first.reason as SignalboxError
    }
    return errors.map((error, i) => {
      const outcome = outcomes.get(i)
      if (error !== undefined) return { status: 'failed', error }
      if (outcome?.status === 'fulfilled') return outcome.value
      return { status: 'failed', error: toSignalboxError(outcome?.reason) }
    })
  }

  async #visibilityMs(): Promise<number> {
    const known = this.#facts
    const fresh = known !== undefined && this.#client.clock.monotonic() - known.at < FACTS_MS
    return (await (fresh ? known.asked : this.describe())).visibilityMs
  }

  async #attributes(names: readonly QueueAttributeName[]): Promise<Partial<Record<string, string>>> {
    const QueueUrl = await this.url()
    const input = { QueueUrl, AttributeNames: [...names] }
    const make = () => new this.#client.sdk.GetQueueAttributesCommand(input)
    const { Attributes = {} } = await this.#client.repeat(this.#target, 'GetQueueAttributes', make)
    return Attributes
  }

  async #lookUp(): Promise<string> {
    const { url, name: QueueName, owner, region, given } = this.#address
    if (region !== undefined) await this.#checkRegion(region)
    if (url !== undefined) return url
    const input = { QueueName, ...(owner === undefined ? {} : { QueueOwnerAWSAccountId: owner }) }
    const make = () => new this.#client.sdk.GetQueueUrlCommand(input)
    const { QueueUrl } = await this.#client.repeat(this.#target, 'GetQueueUrl', make)
    if (QueueUrl !== undefined) return QueueUrl
    throw new SignalboxError('internal', `SQS did not tell the URL of the queue '${given}'`)
  }

  async #checkRegion(region: string): Promise<void> {
    const own = await this.#client.region().catch(() => region)
    if (own === region) return
    throw new SignalboxError(
      'config_invalid',
      `the queue '${this.#address.given}' is in ${region}, but the region is ${own}; set the region to ${region}`,
    )
  }
}

/** @throws the signal's reason once it aborts */
async function aborts<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
