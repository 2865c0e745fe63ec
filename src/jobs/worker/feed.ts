/**
 * One queue of a worker: what was received from it and waits for a place, and what is being worked on.
 *
 * Invariants:
 * - of a group of a FIFO queue one message is worked on at a time, in their order; when one of them goes back, those behind it that
 *   were received already go back too, so that none of them overtakes it;
 * - what waits here longer than it should is returned, so that another worker may have it;
 * - what is done for other reasons than an attempt is returned uncounted.
 */
import { Consumer, MAX_CREDIT, type ConsumerFrame, type ConsumerOptions } from '../../messages/consumer.ts'
import type { SignalboxError } from '../../kernel/error.ts'
import type { ReceivedMessage } from '../../ports/message-queue.ts'
import type { Returns } from './returns.ts'

/** One received message. */
export interface Item {
  readonly feed: Feed
  readonly delivery: number
  readonly message: ReceivedMessage
  /** Monotonic. */
  readonly receivedAt: number
  /** The message is somebody else's now. */
  gone: boolean
  ended: boolean
  onLost: (() => void) | undefined
}

/** What becomes of an item's message. */
export type End =
  | { readonly verdict: 'ack' }
  | { readonly verdict: 'nothing' }
  | { readonly verdict: 'retry' | 'return'; readonly delayMs: number }

export interface FeedEvents {
  /** Something came, or something else ended. @returns whether more is wanted now */
  received(): boolean
  ended(error?: SignalboxError): void
  trouble(queue: string, what: string, error: SignalboxError): void
}

export interface FeedOptions extends Pick<ConsumerOptions, 'engine' | 'clock' | 'random' | 'visibilityMs'> {
  readonly queue: string
  readonly fifo: boolean
  /** Its dead-letter queue. */
  readonly dead: string
  readonly weight: number
  readonly credit: number
  /** Where the engine counts every receive. */
  readonly returns: Returns | undefined
  readonly events: FeedEvents
}

export class Feed {
  readonly queue: string
  readonly dead: string
  readonly weight: number
  /** Of the worker's choice between its feeds. */
  turn = 0
  /** Being worked on. */
  working = 0
  /** Received, and not being worked on. */
  buffered = 0
  readonly #options: FeedOptions
  readonly #consumer: Consumer
  readonly #items = new Map<number, Item>()
  #ready: Item[] = []
  #first = 0
  /** By group: those behind the one that is ready or being worked on. */
  readonly #groups = new Map<string, Item[]>()
  #credit: number
  #acks: number[] = []
  #blocked = false
  /** Notes under way, each of a message that goes back. */
  readonly #noting = new Set<Promise<void>>()

  constructor(options: FeedOptions) {
    this.#options = options
    this.queue = options.queue
    this.dead = options.dead
    this.weight = options.weight
    this.#credit = Math.min(options.credit, MAX_CREDIT)
    this.#consumer = new Consumer({
      ...options,
      credit: this.#credit,
      emit: (frame) => this.#hear(frame),
      onEnd: (error) => options.events.ended(error),
      onTrouble: (error) => options.events.trouble(this.queue, 'a receive failed', error),
    })
  }

  start(): void {
    this.#consumer.start()
  }

  /** Receives as much at a time as this allows. */
  allow(credit: number): void {
    const wanted = Math.min(Math.max(credit, 1), MAX_CREDIT)
    if (wanted === this.#credit) return
    const more = wanted - this.#credit
    this.#credit = wanted
    this.#consumer.addCredit(more)
  }

  /** More is wanted, if it was not. */
  resume(): void {
    if (!this.#blocked) return
    this.#blocked = false
    this.#consumer.resume()
  }

  get waiting(): boolean {
    return this.#first < this.#ready.length
  }

  /** The next that may be worked on. */
  take(): Item | undefined {
    while (this.#first < this.#ready.length) {
      const item = this.#ready[this.#first] as Item
      this.#first += 1
      if (this.#first === this.#ready.length) {
        this.#ready = []
        this.#first = 0
      }
      if (item.gone) {
        this.#next(item, false)
        continue
      }
      this.buffered -= 1
      this.working += 1
      item.onLost = () => undefined // until somebody works on it
      return item
    }
    return undefined
  }

  /** An item that was taken has come to its end; only the first counts. */
  end(item: Item, end: End): void {
    if (item.ended) return
    item.ended = true
    this.working -= 1
    this.#items.delete(item.delivery)
    if (!item.gone) this.#settle(item, end)
    this.#next(item, end.verdict === 'ack' && !item.gone)
  }

  /** Returns what has waited since before then (monotonic), uncounted. */
  giveBack(before: number): void {
    const kept: Item[] = []
    for (const item of this.#ready.slice(this.#first)) {
      if (item.gone) this.#next(item, false)
      else if (item.receivedAt > before) kept.push(item)
      else {
        this.#return(item)
        this.#next(item, false)
      }
    }
    this.#ready = kept
    this.#first = 0
    for (const [group, behind] of this.#groups) {
      const from = behind.findIndex((item) => item.receivedAt <= before)
      // Those behind it go too: they must not overtake it.
      if (from >= 0) this.#returnAll(this.#groups.get(group)?.splice(from) ?? [])
    }
  }

  drain(): void {
    this.#consumer.drain()
  }

  /** Resolves when all that was settled is carried out. */
  async close(): Promise<void> {
    this.#flush()
    await Promise.all(this.#noting)
    await this.#consumer.close()
  }

  #hear({ messages, lost, failed }: ConsumerFrame): boolean {
    const { events, clock } = this.#options
    if (messages !== undefined) {
      const receivedAt = clock.monotonic()
      for (const { id, message } of messages) {
        this.#accept({
          feed: this,
          delivery: id,
          message,
          receivedAt,
          gone: false,
          ended: false,
          onLost: undefined,
        })
      }
    }
    for (const id of lost ?? []) this.#lose(id)
    if (failed !== undefined) events.trouble(this.queue, 'an answer to its queue failed', failed.error)
    const wants = events.received()
    if (!wants) this.#blocked = true
    return wants
  }

  #accept(item: Item): void {
    this.#items.set(item.delivery, item)
    this.buffered += 1
    const group = this.#groupOf(item)
    const behind = group === undefined ? undefined : this.#groups.get(group)
    if (behind !== undefined) {
      behind.push(item)
      return
    }
    if (group !== undefined) this.#groups.set(group, [])
    this.#ready.push(item)
  }

  #lose(delivery: number): void {
    const item = this.#items.get(delivery)
    if (item === undefined) return
    this.#items.delete(delivery)
    item.gone = true
    if (item.onLost !== undefined) item.onLost()
    else if (!this.#isBehind(item)) this.buffered -= 1
  }

  /** Takes a lost one, and those behind it, out of their group. */
  #isBehind(item: Item): boolean {
    const group = this.#groupOf(item)
    const behind = group === undefined ? undefined : this.#groups.get(group)
    const at = behind?.indexOf(item) ?? -1
    if (behind === undefined || at < 0) return false
    this.buffered -= 1
    this.#returnAll(behind.splice(at).slice(1))
    return true
  }

  /** The next of its group, unless this one is to come first again. */
  #next(item: Item, done: boolean): void {
    const group = this.#groupOf(item)
    const behind = group === undefined ? undefined : this.#groups.get(group)
    if (group === undefined || behind === undefined) return
    const next = done ? behind.shift() : undefined
    if (next !== undefined) {
      this.#ready.push(next)
      return
    }
    this.#groups.delete(group)
    this.#returnAll(behind)
  }

  #returnAll(items: readonly Item[]): void {
    for (const item of items) this.#return(item)
  }

  #return(item: Item): void {
    this.buffered -= 1
    this.#items.delete(item.delivery)
    this.#uncounted(item, 0)
  }

  #uncounted({ delivery, message }: Item, delayMs: number): void {
    const { returns } = this.#options
    if (returns === undefined) {
      this.#consumer.nack(delivery, delayMs, true)
      return
    }
    const noted = returns.note(message).then(() => {
      this.#noting.delete(noted)
      this.#consumer.nack(delivery, delayMs, true)
    })
    this.#noting.add(noted)
  }

  #settle(item: Item, end: End): void {
    const { delivery } = item
    if (end.verdict === 'ack') {
      this.#acks.push(delivery)
      // What ends in the same turn is acknowledged together.
      if (this.#acks.length === 1) setImmediate(() => this.#flush())
    } else if (end.verdict !== 'nothing') {
      const delayMs = Math.min(end.delayMs, this.#options.engine.limits.visibilityMs)
      if (end.verdict === 'return') this.#uncounted(item, delayMs)
      else this.#consumer.nack(delivery, delayMs)
    }
  }

  #flush(): void {
    const acks = this.#acks
    this.#acks = []
    if (acks.length > 0) this.#consumer.ack(acks)
  }

  #groupOf({ message }: Item): string | undefined {
    return this.#options.fifo ? message.groupId : undefined
  }
}
