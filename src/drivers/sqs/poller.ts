/**
 * Receives of one queue. Those that wait share long polls: an idle queue has one poll under way, whoever and how many
 * wait; while polls come back full there are more of them, up to what the callers want.
 *
 * Invariants:
 * - a poll that is under way is never cut off: SQS may already have taken messages for it, which would then stay hidden.
 *   When its callers have gone it serves those who come meanwhile; what it brings for nobody is given back at once.
 * - callers are served in the order they came, messages handed out in the order they arrived.
 * - a deadline is counted from a moment at which SQS surely had not yet taken the message.
 */
import { backoffDelay } from '../../kernel/backoff.ts'
import type { Timer } from '../../kernel/clock.ts'
import type { SignalboxError } from '../../kernel/error.ts'
import type { ReceivedMessage, ReceiveOptions } from '../../ports/message-queue.ts'
import { wallTime } from './batches.ts'
import { isPassing, type SqsClient, type Target } from './client.ts'
import { fromMessage, receiptOf, toSeconds, type RawMessage } from './wire.ts'

export interface PollerParts {
  readonly client: SqsClient
  readonly target: Target
  /** The queue's URL, once it is known. */
  readonly url: () => Promise<string>
  /** Makes messages visible again that nobody got. Never rejects. */
  readonly giveBack: (receipts: readonly string[]) => Promise<void>
}

/** A receive whose visibility is known. */
export interface Wish extends Pick<ReceiveOptions, 'attributes' | 'signal'> {
  readonly max: number
  readonly waitMs: number
  /** Whole seconds. */
  readonly visibility: number
}

interface Batch {
  readonly messages: readonly RawMessage[]
  /** Milliseconds since the epoch. */
  readonly deadline: number
}

interface Waiter {
  readonly wish: Wish
  /** Monotonic. */
  readonly endsAt: number
  readonly resolve: (messages: readonly ReceivedMessage[]) => void
  readonly reject: (reason: unknown) => void
  timer: Timer
}

interface Poll {
  readonly room: number
  readonly endsAt: number
}

const MAX_MESSAGES = 10
/** Long polls of one queue at once. */
const MAX_POLLS = 16
/** After so many failures in a row, whoever waits is told. */
const PATIENCE = 4
const BACKOFF = { baseMs: 100, maxMs: 5_000 }
/** A poll that ends within this time of a caller's wait decides what the caller gets. */
const ROUNDING_MS = 1_000
/** How much later than its wait the answer to a poll may come before its callers are told that there is nothing. */
const LATE_MS = 2_000

export class Poller {
  readonly #parts: PollerParts
  readonly #lanes = new Map<number, Lane>()
  readonly #underWay = new Set<Promise<unknown>>()
  #polls = 0
  #closed = false

  constructor(parts: PollerParts) {
    this.#parts = parts
  }

  /** @throws the signal's reason; SignalboxError as `MessageQueue.receive` */
  receive(wish: Wish): Promise<readonly ReceivedMessage[]> {
    if (this.#closed) return Promise.resolve([])
    if (wish.waitMs === 0) return this.#short(wish)
    let lane = this.#lanes.get(wish.visibility)
    if (lane === undefined) {
      lane = new Lane(this, this.#parts.client, wish.visibility)
      this.#lanes.set(wish.visibility, lane)
    }
    return lane.wait(wish)
  }

  /** Whoever waits is answered with nothing. Polls go on; what they bring is given back. */
  close(): void {
    this.#closed = true
    for (const lane of this.#lanes.values()) lane.end()
  }

  /** Settles when no poll is under way and all is given back. */
  async drained(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }

  /** May a lane start one more poll? */
  get free(): boolean {
    return !this.#closed && this.#polls < MAX_POLLS
  }

  /** A poll of a lane. */
  poll(room: number, seconds: number, visibility: number, done: (outcome: Received) => void): void {
    this.#polls += 1
    this.#track(
      this.#request(room, seconds, visibility).then((outcome) => {
        this.#polls -= 1
        done(outcome)
        this.#goOn(visibility)
      }),
    )
  }

  /** Lets all lanes start polls, the one that has just had its turn last. */
  #goOn(visibility: number): void {
    const served = this.#lanes.get(visibility)
    this.#lanes.delete(visibility)
    if (served !== undefined) this.#lanes.set(visibility, served)
    for (const [key, lane] of this.#lanes) {
      lane.pump()
      if (lane.idle) this.#lanes.delete(key)
    }
  }

  giveBack(messages: readonly RawMessage[], visibility: number): void {
    if (messages.length === 0 || visibility === 0) return
    this.#track(this.#parts.giveBack(messages.map(receiptOf)))
  }

  async #short(wish: Wish): Promise<readonly ReceivedMessage[]> {
    const { max, visibility, signal } = wish
    return new Promise((resolve, reject) => {
      let gone = false
      const leave = (): void => {
        gone = true
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', leave, { once: true })
      const attempt = async (): Promise<void> => {
        for (let failures = 1; ; failures++) {
          const outcome = await this.#request(max, 0, visibility)
          if (gone && 'batch' in outcome) this.giveBack(outcome.batch.messages, visibility)
          if (gone) return
          if ('error' in outcome && outcome.passing && failures < PATIENCE) {
            await this.#parts.client.backOff(failures - 1)
            if (!gone) continue
            return
          }
          signal?.removeEventListener('abort', leave)
          if ('error' in outcome) reject(outcome.error)
          else resolve(hand(outcome.batch.messages, outcome.batch.deadline, wish))
          return
        }
      }
      this.#track(attempt())
    })
  }

  async #request(room: number, seconds: number, visibility: number): Promise<Received> {
    const { client, target, url } = this.#parts
    try {
      const QueueUrl = await url()
      const outcome = await client.exchange(
        target,
        'ReceiveMessage',
        () =>
          new client.sdk.ReceiveMessageCommand({
            QueueUrl,
            MaxNumberOfMessages: room,
            WaitTimeSeconds: seconds,
            VisibilityTimeout: visibility,
            MessageAttributeNames: ['All'],
            MessageSystemAttributeNames: ['All'],
          }),
        { waitMs: seconds * 1_000 },
      )
      if ('failure' in outcome) {
        const error = await client.error(outcome.failure, target.queue, 'ReceiveMessage', true)
        return { error, passing: isPassing(outcome.failure) }
      }
      const { output, doneAt } = outcome.answer
      const deadline = wallTime(client, doneAt) + visibility * 1_000
      return { batch: { messages: output.Messages ?? [], deadline } }
    } catch (error) {
      return { error: error as SignalboxError, passing: false }
    }
  }

  #track(work: Promise<unknown>): void {
    this.#underWay.add(work)
    const done = (): unknown => this.#underWay.delete(work)
    work.then(done, done)
  }
}

type Received =
  | { readonly batch: Batch }
  | { readonly error: SignalboxError; /** Worth another try. */ readonly passing: boolean }

function hand(messages: readonly RawMessage[], deadline: number, wish: Wish): readonly ReceivedMessage[] {
  return messages.map((message) => fromMessage(message, deadline, wish.attributes))
}

/** Those who wait for messages with one visibility. */
class Lane {
  readonly #poller: Poller
  readonly #client: SqsClient
  readonly #visibility: number
  readonly #waiters: Waiter[] = []
  readonly #polls = new Set<Poll>()
  /** Polls at once: more while they come back full. */
  #width = 1
  #failures = 0
  #error: SignalboxError | undefined
  #pausedUntil = -Infinity

  constructor(poller: Poller, client: SqsClient, visibility: number) {
    this.#poller = poller
    this.#client = client
    this.#visibility = visibility
  }

  get idle(): boolean {
    return this.#waiters.length === 0 && this.#polls.size === 0
  }

  wait(wish: Wish): Promise<readonly ReceivedMessage[]> {
    const { clock } = this.#client
    const { signal } = wish
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#remove(waiter)
        reject(signal?.reason)
      }
      const left = <T>(settle: (value: T) => void): ((value: T) => void) => {
        return (value) => {
          waiter.timer.cancel()
          signal?.removeEventListener('abort', leave)
          settle(value)
        }
      }
      const endsAt = clock.monotonic() + wish.waitMs
      const waiter: Waiter = {
        wish,
        endsAt,
        resolve: left(resolve),
        reject: left(reject),
        timer: clock.timer(wish.waitMs, () => this.#over(waiter)),
      }
      signal?.addEventListener('abort', leave, { once: true })
      this.#waiters.push(waiter)
      this.pump()
    })
  }

  /** Starts the polls that are wanted and not yet under way. */
  pump(): void {
    const { clock } = this.#client
    if (clock.monotonic() < this.#pausedUntil) return
    let missing = this.#waiters.reduce((sum, { wish }) => sum + wish.max, 0)
    for (const { room } of this.#polls) missing -= room
    while (missing > 0 && this.#polls.size < this.#width && this.#poller.free) {
      const room = Math.min(missing, MAX_MESSAGES)
      missing -= room
      this.#start(room)
    }
  }

  end(): void {
    for (const waiter of this.#waiters.splice(0)) waiter.resolve([])
  }

  #start(room: number): void {
    // As long as the most patient ever waits: it, or another, will mostly come back before the poll ends.
    const seconds = toSeconds(Math.max(...this.#waiters.map(({ wish }) => wish.waitMs)))
    const poll = { room, endsAt: this.#client.clock.monotonic() + seconds * 1_000 }
    this.#polls.add(poll)
    this.#poller.poll(room, seconds, this.#visibility, (outcome) => {
      this.#polls.delete(poll)
      if ('batch' in outcome) this.#arrived(outcome.batch, room)
      else this.#failed(outcome.error, outcome.passing)
    })
  }

  #arrived({ messages, deadline }: Batch, room: number): void {
    this.#failures = 0
    this.#error = undefined
    this.#width = messages.length === room ? this.#width * 2 : Math.max(1, this.#width - 1)
    if (messages.length === 0) this.#width = 1
    this.#width = Math.min(this.#width, MAX_POLLS)
    let rest = messages
    while (rest.length > 0) {
      const waiter = this.#waiters.shift()
      if (waiter === undefined) break
      const { max } = waiter.wish
      waiter.resolve(hand(rest.slice(0, max), deadline, waiter.wish))
      rest = rest.slice(max)
    }
    this.#poller.giveBack(rest, this.#visibility)
    const now = this.#client.clock.monotonic()
    for (const waiter of this.#waiters.filter(({ endsAt }) => endsAt <= now)) this.#answer(waiter)
  }

  #failed(error: SignalboxError, passing: boolean): void {
    this.#width = 1
    this.#failures += 1
    if (!passing || this.#failures >= PATIENCE) {
      for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
    }
    if (!passing) return
    const { clock, random } = this.#client
    const pause = backoffDelay(BACKOFF, this.#failures - 1, random)
    this.#error = error
    this.#pausedUntil = clock.monotonic() + pause
    clock.timer(pause, () => this.pump())
  }

  /** A caller's wait is over, unless a poll that is about to end may still bring it something. */
  #over(waiter: Waiter): void {
    const { clock } = this.#client
    const now = clock.monotonic()
    const ending = [...this.#polls].some(({ endsAt }) => endsAt <= waiter.endsAt + ROUNDING_MS)
    if (!ending || now >= waiter.endsAt + ROUNDING_MS + LATE_MS) this.#answer(waiter)
    else waiter.timer = clock.timer(ROUNDING_MS + LATE_MS, () => this.#over(waiter))
  }

  #answer(waiter: Waiter): void {
    this.#remove(waiter)
    if (this.#error === undefined) waiter.resolve([])
    else waiter.reject(this.#error)
  }

  #remove(waiter: Waiter): void {
    waiter.timer.cancel()
    const at = this.#waiters.indexOf(waiter)
    if (at >= 0) this.#waiters.splice(at, 1)
  }
}
