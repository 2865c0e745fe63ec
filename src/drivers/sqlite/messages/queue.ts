/**
 * The message-queue port on SQLite: its own tables on the store's connection, every change in the store's group commit.
 *
 * Invariants:
 * - one call is one closure of the group commit (a purge: several), so it happens whole or not at all, and nobody is
 *   answered before it is durable;
 * - a send wakes those who wait before its transaction, so that they receive in the same one;
 * - between calls no body is held in memory.
 */
import type { Clock } from '../../../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../../../kernel/error.ts'
import {
  checkChanges,
  checkQueue,
  checkReceipts,
  checkReceive,
  checkSend,
  checkWhole,
  queueNotFound,
  wantsAttribute,
} from '../../../ports/message-checks.ts'
import {
  portableMessageLimits,
  type ChangeResult,
  type DeleteResult,
  type MessageCapabilities,
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
} from '../../../ports/message-queue.ts'
import type { Database } from '../database.ts'
import type { GroupCommit } from '../group-commit.ts'
import { redrive } from './dead-letter.ts'
import { nextVisibleAt, page, statsOf } from './looks.ts'
import { Polls } from './polls.ts'
import { declare, Queues, type Queue } from './queues.ts'
import { parseReceipt, RecentDeletes, Tokens, type Receipt } from './receipts.ts'
import { receive, type Request, type Taken } from './receive.ts'
import { BATCH, removeExpired, removeFirst, startMessageSweeper } from './remove.ts'
import { sendBatch } from './send.ts'
import { changeHeld, deleteHeld } from './settle.ts'

const SALT = 'SELECT salt FROM message_file'
const REMEMBERED_DELETES = 10_000
const MAX_PEEK = 100
const MAX_REDRIVE = 1_000
const CURSOR = /^\d{1,16}$/
/** What a receive is expected to return in bytes before the first tells. */
const USUAL_ANSWER = 4_096

const DELETED: DeleteResult = { status: 'deleted' }
const LOST = { status: 'lost' } as const

/** Larger batches than the portable ones: whoever consumes in this process need not ask so often. */
const limits = { ...portableMessageLimits, batchEntries: 100, receiveMessages: 100 }

export class SqliteMessageQueue implements MessageQueue {
  readonly limits = limits
  readonly capabilities: MessageCapabilities = {
    queues: 'declared',
    resolutionMs: 1,
    stats: 'exact',
    receipts: 'exact',
    delivery: 'exact',
    uncounted: true,
  }
  readonly #database: Database
  readonly #group: GroupCommit<Database>
  readonly #clock: Clock
  readonly #queues: Queues
  readonly #salt: string
  readonly #polls: Polls
  readonly #tokens = new Tokens()
  readonly #deletes = new RecentDeletes(REMEMBERED_DELETES)
  /** What the latest receive of a queue returned, in bytes. */
  readonly #answers = new Map<Queue, number>()
  readonly #stopSweeping: () => void
  #closed: Promise<void> | undefined

  constructor(database: Database, group: GroupCommit<Database>, clock: Clock) {
    this.#database = database
    this.#group = group
    this.#clock = clock
    this.#queues = database.read(() => new Queues(database))
    this.#salt = database.read(() => (database.prepare(SALT).get() as unknown as [salt: string])[0])
    this.#polls = new Polls(clock, (queue) => nextVisibleAt(database, queue, clock.now()))
    this.#stopSweeping = startMessageSweeper(clock, group, this.#queues)
  }

  async declareQueue(name: string, options: QueueOptions = {}): Promise<QueueFacts> {
    this.#assertOpen()
    const facts = checkQueue(name, options, this.limits)
    const deadLetter = facts.deadLetter?.queue
    if (deadLetter !== undefined && this.#queues.find(deadLetter) === undefined) {
      throw queueNotFound(deadLetter, `declare it before queue ${name}, whose dead-letter queue it is`)
    }
    try {
      this.#queues.put(await this.#submit((db) => declare(db, facts), 1), facts)
    } catch (error) {
      if (isSignalboxError(error, 'outcome_unknown'))
        this.#database.read(() => this.#queues.load(this.#database))
      throw error
    }
    return facts
  }

  async describeQueue(name: string): Promise<QueueFacts> {
    this.#assertOpen()
    return this.#queues.get(name).facts
  }

  async listQueues(): Promise<readonly string[]> {
    this.#assertOpen()
    return this.#queues.names
  }

  async send(name: string, messages: readonly OutgoingMessage[]): Promise<readonly SendResult[]> {
    this.#assertOpen()
    const queue = this.#queues.get(name)
    const checked = checkSend(queue.facts, messages, this.limits)
    const delays = messages.flatMap(({ delayMs = queue.facts.delayMs }, i) =>
      checked[i]?.error === undefined ? [delayMs] : [],
    )
    const atOnce = delays.filter((delayMs) => delayMs === 0).length
    const bytes = checked.reduce((sum, entry) => sum + entry.bytes, 0)
    const batch = { queue, messages, checked, salt: this.#salt }
    const sent = this.#submit((db) => sendBatch(db, batch, this.#clock.now()), messages.length, bytes)
    const woken = this.#polls.wake(queue, atOnce)
    const results = await sent
    this.#polls.changed(queue, atOnce, woken)
    if (atOnce < delays.length) {
      this.#polls.hidden(queue, this.#clock.now() + Math.min(...delays.filter((delayMs) => delayMs > 0)))
    }
    return results
  }

  async receive(name: string, options: ReceiveOptions = {}): Promise<readonly ReceivedMessage[]> {
    this.#assertOpen()
    checkReceive(options, this.limits)
    const queue = this.#queues.get(name)
    const { signal, waitMs = 0 } = options
    signal?.throwIfAborted()
    const request = this.#request(queue, options)
    const end = this.#clock.monotonic() + waitMs
    for (;;) {
      const taken = await this.#take(request, signal)
      if (taken.messages.length > 0) return taken.messages
      if (taken.again) continue
      const left = end - this.#clock.monotonic()
      if (left <= 0) return []
      const again = await this.#polls.wait(queue, { epoch: taken.epoch, ms: left, max: request.max, signal })
      if (!again) return []
    }
  }

  async delete(name: string, receipts: readonly string[]): Promise<readonly DeleteResult[]> {
    this.#assertOpen()
    checkReceipts(receipts, this.limits)
    const queue = this.#queues.get(name)
    const parsed = receipts.map(parseReceipt)
    const deleted = await this.#submit(
      (db) => deleteHeld(db, queue, parsed, this.#clock.now()),
      receipts.length,
    )
    if (queue.facts.fifo) this.#polls.changed(queue, deleted.length)
    return parsed.map((receipt, i): DeleteResult => {
      if (receipt === undefined) return { status: 'failed', error: noReceipt() }
      if (deleted[i] === true) this.#deletes.add(receipt.token)
      return this.#deletes.has(receipt.token) ? DELETED : LOST
    })
  }

  async changeVisibility(
    name: string,
    changes: readonly VisibilityChange[],
  ): Promise<readonly ChangeResult[]> {
    this.#assertOpen()
    const errors = checkChanges(changes, this.limits)
    const queue = this.#queues.get(name)
    const receipts = changes.map(({ receipt }) => parseReceipt(receipt))
    const change = (db: Database, i: number, now: number): ChangeResult => {
      const { visibilityMs, nack, uncounted = false } = changes[i] as VisibilityChange
      const error = errors[i]
      if (error !== undefined) return { status: 'failed', error }
      const receipt: Receipt | undefined = receipts[i]
      if (receipt === undefined) return { status: 'failed', error: noReceipt() }
      const ends = nack === true || visibilityMs === 0
      const what = { receipt, visibilityMs: Math.ceil(visibilityMs), nack: ends, uncounted }
      return changeHeld(db, queue, what, now)
    }
    const results = await this.#submit((db) => {
      const now = this.#clock.now()
      return changes.map((_, i) => change(db, i, now))
    }, changes.length)
    this.#polls.changed(queue, results.length)
    for (const result of results) if (result.status === 'changed') this.#polls.hidden(queue, result.deadline)
    return results
  }

  async stats(name: string): Promise<QueueStats> {
    this.#assertOpen()
    const queue = this.#queues.get(name)
    // What is past its retention is not there, swept or not.
    while ((await this.#submit((db) => removeExpired(db, queue, this.#clock.now()), BATCH)) === BATCH);
    return this.#database.read(() => statsOf(this.#database, queue, this.#clock.now()))
  }

  async peek(name: string, options: PeekOptions = {}): Promise<PeekPage> {
    this.#assertOpen()
    const { limit = 10, after = '0' } = options
    checkWhole(limit, 1, MAX_PEEK, 'peek limit')
    const request = { queue: this.#queues.get(name), salt: this.#salt, limit, after: cursor(after) }
    return this.#database.read(() => page(this.#database, request, this.#clock.now()))
  }

  async purge(name: string): Promise<void> {
    this.#assertOpen()
    const queue = this.#queues.get(name)
    const upTo = await this.#submit((db) => db.nextSequence(), 0)
    while ((await this.#submit((db) => removeFirst(db, queue, upTo, this.#clock.now()), BATCH)) === BATCH) {
      this.#assertOpen()
    }
  }

  async redrive(name: string, options: RedriveOptions): Promise<RedriveResult> {
    this.#assertOpen()
    checkWhole(options.limit, 1, MAX_REDRIVE, 'redrive limit')
    if (options.after !== undefined) cursor(options.after)
    const queue = this.#queues.get(name)
    const to = options.to === undefined ? undefined : this.#queues.get(options.to)
    if (to !== undefined && (to === queue || to.facts.fifo !== queue.facts.fifo)) {
      throw invalid(
        `a redrive of ${name} goes to another queue of the same kind (FIFO or not), got ${to.name}`,
      )
    }
    const { targets, ...result } = await this.#submit(
      (db) => redrive(db, this.#queues, queue, options, this.#clock.now()),
      options.limit,
    )
    for (const target of targets) this.#polls.changed(target, result.moved)
    return result
  }

  close(): Promise<void> {
    this.#closed ??= this.#release()
    return this.#closed
  }

  async #release(): Promise<void> {
    this.#stopSweeping()
    this.#polls.close()
    // Submissions are answered in order, so this one's answer comes after all of ours.
    await this.#group.submit(() => undefined, 0, 0).catch(() => undefined)
  }

  #request(queue: Queue, { max = 1, visibilityMs, attributes }: ReceiveOptions): Request {
    const { facts } = queue
    return {
      queue,
      deadLetter: facts.deadLetter && this.#queues.find(facts.deadLetter.queue),
      max,
      visibilityMs: Math.ceil(visibilityMs ?? facts.visibilityMs),
      wants: (name) => wantsAttribute(attributes, name),
      salt: this.#salt,
      tokens: this.#tokens,
    }
  }

  /** One look. @throws the signal's reason once it is aborted; then nothing stays taken */
  async #take(
    request: Request,
    signal: AbortSignal | undefined,
  ): Promise<Taken & { readonly epoch: number }> {
    const { queue } = request
    let epoch = 0
    let taken: Taken
    try {
      taken = await this.#submit(
        (db) => {
          epoch = this.#polls.epoch(queue)
          if (signal?.aborted === true) return { messages: [], again: false, more: false, buried: false }
          return receive(db, request, this.#clock.now())
        },
        request.max,
        this.#answers.get(queue) ?? USUAL_ANSWER,
      )
    } catch (error) {
      this.#polls.wake(queue, 1)
      throw error
    }
    const { messages } = taken
    if (taken.buried && request.deadLetter !== undefined)
      this.#polls.changed(request.deadLetter, messages.length + 1)
    if (signal?.aborted === true) {
      await this.#giveBack(queue, messages)
      signal.throwIfAborted()
    }
    if (messages.length > 0) {
      this.#answers.set(
        queue,
        messages.reduce((sum, { body }) => sum + body.length, USUAL_ANSWER),
      )
      this.#polls.hidden(queue, messages[0]?.deadline ?? 0)
      if (taken.more) this.#polls.wake(queue, 1)
    }
    return { ...taken, epoch }
  }

  /** Nobody gets these messages: they are visible again, and whoever waits may have them. */
  async #giveBack(queue: Queue, messages: readonly ReceivedMessage[]): Promise<void> {
    if (messages.length === 0) {
      this.#polls.wake(queue, 1)
      return
    }
    const changes = messages.map(({ receipt }) => ({ receipt, visibilityMs: 0, nack: true, uncounted: true }))
    // What cannot be given back is visible again when its visibility ends.
    await this.changeVisibility(queue.name, changes).catch(() => undefined)
  }

  #submit<T>(run: (db: Database) => T, changes: number, bytes = 0): Promise<T> {
    return this.#group.submit(run, changes, bytes)
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new SignalboxError('unavailable', 'the message queues are closed')
  }
}

function cursor(text: string): number {
  if (CURSOR.test(text)) return Number(text)
  throw invalid(`after must be the next of the page before, got '${JSON.stringify(text).slice(1, 40)}'`)
}

function noReceipt(): SignalboxError {
  return invalid('this is no receipt of the embedded engine; use the one that came with the message')
}

function invalid(message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message)
}
