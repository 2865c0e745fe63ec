/**
 * The message-queue port at a distance: message queues of a server, over its HTTP API.
 *
 * Invariants:
 * - only what is known not to have been applied is repeated, with back-off, until its deadline; what may have been is
 *   `outcome_unknown`;
 * - a receive that is given up hangs up, whereupon the server gives its messages back; those that came nevertheless are given
 *   back here;
 * - deadlines are by this process's clock, whatever the server's says (`server-time.ts`).
 */
import type { z } from 'zod'
import { backoffDelay, type Backoff } from '../kernel/backoff.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import {
  checkChanges,
  checkQueue,
  checkReceipts,
  checkReceive,
  checkSend,
  checkWhole,
  messageQueuesView,
  queueFactsView,
  receiveView,
  visibilityView,
  type ChangeResult,
  type DeleteResult,
  type MessageCapabilities,
  type MessageLimits,
  type MessageQueue,
  type OutgoingMessage,
  type PeekOptions,
  type PeekPage,
  type QueueFacts,
  type QueueOptions,
  type QueueStats,
  type ReceivedMessage,
  type ReceiveOptions,
  type RedriveOptions,
  type RedriveResult,
  type SendResult,
  type VisibilityChange,
} from '../messages/api.ts'
import { openTransport, type ClientOptions } from './client.ts'
import { entry, fromView, given, toView } from './message-views.ts'
import { messagesOver } from './messages.ts'
import { ServerTime } from './server-time.ts'
import type { Call, Transport } from './transport.ts'

export interface RemoteMessagesOptions extends ClientOptions {
  /** How long a call that the server has not taken is repeated; default 10,000. */
  readonly deadlineMs?: number
}

const ROOT = '/api/v1/messages'
const DEADLINE_MS = 10_000
const BACKOFF: Backoff = { baseMs: 50, maxMs: 1_000 }
const MAX_PAGE = 100
const MAX_REDRIVE = 1_000

/**
 * The message queues of a server. Resolves once the server has told what its engine offers.
 * @example
 * const messages = await openRemoteMessages({ url: 'http://127.0.0.1:8080', token, clock: systemClock, random: systemRandom })
 * await messages.send('mail', [{ body: 'hello' }])
 * await messages.close()
 * @throws SignalboxError `invalid_argument` (URL, token), `unavailable`, `unauthenticated`, `permission_denied`
 */
export async function openRemoteMessages(options: RemoteMessagesOptions): Promise<MessageQueue> {
  const transport = openTransport(options)
  const time = new ServerTime(options.clock)
  const sentAt = options.clock.monotonic()
  try {
    const offer = await transport.call({ method: 'GET', path: ROOT, answer: messageQueuesView })
    time.learn(sentAt, offer.now)
    return new RemoteMessages(transport, { ...options, time, offer })
  } catch (error) {
    await transport.close()
    throw error
  }
}

interface Opened extends RemoteMessagesOptions {
  readonly time: ServerTime
  readonly offer: z.infer<typeof messageQueuesView>
}

class RemoteMessages implements MessageQueue {
  readonly limits: MessageLimits
  readonly capabilities: MessageCapabilities
  readonly #transport: Transport
  readonly #api: ReturnType<typeof messagesOver>
  readonly #clock: Clock
  readonly #random: Random
  readonly #time: ServerTime
  readonly #deadlineMs: number
  readonly #underWay = new Set<Promise<unknown>>()
  /** Ends receives that wait, and pauses. */
  readonly #closing = new AbortController()
  #closed: Promise<void> | undefined
  declare peek?: (queue: string, options?: PeekOptions) => Promise<PeekPage>

  constructor(transport: Transport, { clock, random, time, offer, deadlineMs = DEADLINE_MS }: Opened) {
    const { peek, ...capabilities } = offer.capabilities
    this.limits = offer.limits
    this.capabilities = capabilities
    this.#transport = transport
    this.#api = messagesOver(transport)
    this.#clock = clock
    this.#random = random
    this.#time = time
    this.#deadlineMs = deadlineMs
    if (peek) this.peek = (queue, options = {}) => this.#peek(queue, options)
  }

  async declareQueue(queue: string, options: QueueOptions = {}): Promise<QueueFacts> {
    this.#assertOpen()
    checkQueue(queue, options, this.limits)
    const { fifo: _, ...body } = options
    const facts = await this.#call({ method: 'PUT', path: path(queue), body, answer: queueFactsView })
    return given(facts)
  }

  async describeQueue(queue: string): Promise<QueueFacts> {
    this.#assertOpen()
    return given(await this.#call({ method: 'GET', path: path(queue, '/options'), answer: queueFactsView }))
  }

  async listQueues(): Promise<readonly string[]> {
    this.#assertOpen()
    return (await this.#call({ method: 'GET', path: ROOT, answer: messageQueuesView })).queues
  }

  async send(queue: string, messages: readonly OutgoingMessage[]): Promise<readonly SendResult[]> {
    this.#assertOpen()
    const checked = checkSend({ name: queue }, messages, this.limits)
    const right = messages.filter((_, i) => checked[i]?.error === undefined).map(toView)
    const view = right.length === 0 ? undefined : await this.#patient(() => this.#api.send(queue, right))
    const sent = (view?.results ?? []).map(entry).values()
    return checked.map(({ error }): SendResult => {
      if (error !== undefined) return { status: 'failed', error }
      const { value } = sent.next()
      return value ?? { status: 'failed', error: misunderstood() }
    })
  }

  async receive(queue: string, options: ReceiveOptions = {}): Promise<readonly ReceivedMessage[]> {
    this.#assertOpen()
    checkReceive(options, this.limits)
    const { signal, waitMs = 0, max = 1, visibilityMs, attributes } = options
    signal?.throwIfAborted()
    const body = { max, visibilityMs, ...(attributes === 'all' ? {} : { attributes }) }
    const end = this.#clock.monotonic() + waitMs
    const hangUp = new AbortController()
    const onAbort = (): void => {
      void afterArrivals().then(() => hangUp.abort())
    }
    const waits = waitMs > 0 ? [this.#closing.signal] : []
    const ends = [signal, ...waits].filter((each) => each !== undefined)
    for (const each of ends) each.addEventListener('abort', onAbort, { once: true })
    try {
      const received = await this.#patient(
        () =>
          this.#receive(
            queue,
            { ...body, waitMs: Math.max(0, end - this.#clock.monotonic()) },
            hangUp.signal,
          ),
        hangUp.signal,
      )
      if (!ends.some(({ aborted }) => aborted)) return received
      await this.#giveBack(queue, received)
    } catch (error) {
      if (!ends.some(({ aborted }) => aborted)) throw error
    } finally {
      for (const each of ends) each.removeEventListener('abort', onAbort)
    }
    signal?.throwIfAborted()
    return []
  }

  async delete(queue: string, receipts: readonly string[]): Promise<readonly DeleteResult[]> {
    this.#assertOpen()
    checkReceipts(receipts, this.limits)
    return (await this.#patient(() => this.#api.delete(queue, receipts))).results.map(entry)
  }

  async changeVisibility(
    queue: string,
    changes: readonly VisibilityChange[],
  ): Promise<readonly ChangeResult[]> {
    this.#assertOpen()
    const errors = checkChanges(changes, this.limits)
    const right = changes.filter((_, i) => errors[i] === undefined)
    const changed = (right.length === 0 ? [] : await this.#change(queue, right)).values()
    return errors.map((error): ChangeResult => {
      if (error !== undefined) return { status: 'failed', error }
      const { value } = changed.next()
      return value ?? { status: 'failed', error: misunderstood() }
    })
  }

  async stats(queue: string): Promise<QueueStats> {
    this.#assertOpen()
    const { exact: _, ...stats } = await this.#patient(() => this.#api.stats(queue))
    return given(stats)
  }

  async purge(queue: string): Promise<void> {
    this.#assertOpen()
    await this.#patient(() => this.#api.purge(queue))
  }

  async redrive(queue: string, options: RedriveOptions): Promise<RedriveResult> {
    this.#assertOpen()
    checkWhole(options.limit, 1, MAX_REDRIVE, 'redrive limit')
    return given(await this.#patient(() => this.#api.redrive(queue, options)))
  }

  close(): Promise<void> {
    this.#closed ??= this.#release()
    return this.#closed
  }

  async #release(): Promise<void> {
    this.#closing.abort()
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
    await this.#transport.close()
  }

  async #peek(queue: string, options: PeekOptions): Promise<PeekPage> {
    this.#assertOpen()
    if (options.limit !== undefined) checkWhole(options.limit, 1, MAX_PAGE, 'peek limit')
    const { messages, next } = await this.#patient(() => this.#api.peek(queue, options))
    return { messages: messages.map(fromView), ...(next === undefined ? {} : { next }) }
  }

  async #receive(queue: string, body: { waitMs: number }, signal: AbortSignal): Promise<ReceivedMessage[]> {
    const sentAt = this.#clock.monotonic()
    const { waitMs } = body
    const call = { method: 'POST', path: path(queue, '/receive'), body, waitMs, signal } as const
    const { messages, now } = await this.#transport.call({ ...call, answer: receiveView })
    this.#time.learn(sentAt, now)
    return messages.map((message) => ({
      ...fromView(message),
      deadline: this.#time.ours(message.deadline),
    }))
  }

  async #change(queue: string, changes: readonly VisibilityChange[]): Promise<ChangeResult[]> {
    let sentAt = 0
    const { results, now } = await this.#patient(() => {
      sentAt = this.#clock.monotonic()
      const call = { method: 'POST', path: path(queue, '/visibility'), body: { changes } } as const
      return this.#transport.call({ ...call, answer: visibilityView })
    })
    this.#time.learn(sentAt, now)
    return results
      .map(entry)
      .map((result) =>
        result.status === 'changed' ? { ...result, deadline: this.#time.ours(result.deadline) } : result,
      )
  }

  /** What cannot be returned is visible when its visibility ends. */
  async #giveBack(queue: string, messages: readonly ReceivedMessage[]): Promise<void> {
    if (messages.length === 0) return
    const changes = messages.map(({ receipt }) => ({ receipt, visibilityMs: 0, nack: true, uncounted: true }))
    await this.#change(queue, changes).catch(() => undefined)
  }

  #call<T>(call: Call<T>): Promise<T> {
    return this.#patient(() => this.#transport.call(call))
  }

  /** Repeats what was not applied, until the deadline. */
  async #patient<T>(run: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const answered = this.#repeated(run, signal)
    this.#underWay.add(answered)
    try {
      return await answered
    } finally {
      this.#underWay.delete(answered)
    }
  }

  async #repeated<T>(run: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const end = this.#clock.monotonic() + this.#deadlineMs
    for (let attempt = 0; ; attempt++) {
      try {
        return await run()
      } catch (error) {
        const pauseMs = backoffDelay(BACKOFF, attempt, this.#random)
        const late = this.#clock.monotonic() + pauseMs > end
        if (!isSignalboxError(error, 'unavailable') || late || this.#closed !== undefined) throw error
        await sleep(this.#clock, pauseMs, signal ?? this.#closing.signal)
      }
    }
  }

  #assertOpen(): void {
    if (this.#closed !== undefined)
      throw new SignalboxError('unavailable', 'this client of the message queues is closed')
  }
}

function path(queue: string, rest = ''): string {
  return `${ROOT}/${encodeURIComponent(queue)}${rest}`
}

/** An answer that has come by now is read first, to be given back: the server takes it for delivered. */
async function afterArrivals(): Promise<void> {
  for (let turns = 0; turns < 3; turns++) await new Promise((done) => setImmediate(done))
}

function misunderstood(): SignalboxError {
  return new SignalboxError('outcome_unknown', 'the server answered for fewer entries than it was sent')
}
