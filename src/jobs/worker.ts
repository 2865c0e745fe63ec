/**
 * A worker: takes jobs out of queues, runs them within its concurrency and settles their messages.
 *
 *   queue ─▶ Feed ─▶ place ─▶ read ─▶ rate limit ─▶ claim ─▶ check input ─▶ run (or gather, then run the batch) ─▶ settle
 *
 * Invariants:
 * - at most `concurrency` jobs or batches run at a time; of what is received beyond that nothing waits longer than `BUFFER_MS`
 *   before it is returned for other workers; more than can run is received only while jobs are short;
 * - heartbeats (`Consumer`) keep the message of everything that is here, so that it is not delivered again while the worker lives;
 *   without them it is, after one visibility;
 * - what becomes of a message is decided in `rules.ts` and carried out in `settle.ts`; a message whose end cannot be carried
 *   out is delivered again.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import { sleep } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Duration, JobsConnection, Outcome, Worker, WorkerStats } from './api.ts'
import { parseDuration } from '../kernel/duration.ts'
import { connectionOf } from './connection.ts'
import type { Job } from './define.ts'
import { deadLetterOf, readyQueue, tooImpatient } from './queues.ts'
import { Deadlines } from './worker/deadlines.ts'
import { Feed, type FeedEvents } from './worker/feed.ts'
import { settingsOf, type WorkerOptions, type WorkerSettings } from './worker/options.ts'
import { announce } from './worker/manifests.ts'
import { Processing } from './worker/processing.ts'
import { Returns } from './worker/returns.ts'
import { isFifoName } from '../ports/message-checks.ts'

export type { WorkerOptions } from './worker/options.ts'

/** What is waiting for a place goes back after so long. */
const BUFFER_MS = 250
/** For each place so many are received ahead, at most; and no more than it works off in this time. */
const AHEAD = 8
const AHEAD_MS = 60
/** How long a place that became free waits until all queues could answer, so that their weights decide and not their speed. */
const CHOICE_MS = 10
/** A job that was told to stop is waited for so long. */
const STOP_MS = 2_000
/** Drained: what may still take longer than this, and than the grace, is told at once, so that it has the grace to stop in. */
const LONG_MS = 60_000

/** `deps` is required where a job wants some. */
type WithDeps<Deps> = unknown extends Deps
  ? [options?: WorkerOptions & { readonly deps?: unknown }]
  : [options: WorkerOptions & { readonly deps: Deps }]

/**
 * @example
 * const worker = await startWorker([recordVote], { concurrency: 16 })
 * process.once('SIGTERM', () => void worker.drain())
 * await worker.done
 * @throws SignalboxError `invalid_argument`, `config_invalid` (a queue without a dead-letter queue), `not_found` (a queue),
 *   `unavailable`
 */
export async function startWorker<Deps = unknown>(
  jobs: readonly Job<never, Deps>[],
  ...[options = {}]: WithDeps<Deps>
): Promise<Worker> {
  const settings = settingsOf(jobs, options)
  const connection = await connectionOf(options.via)
  const attempts = new Map<string, number>()
  for (const queue of settings.queues.keys()) {
    // A job may be enqueued to any queue, so each lets the most patient one have its attempts.
    attempts.set(queue, Math.max(1, ...[...settings.jobs.values()].map(({ retry }) => retry.attempts)))
  }
  const dead = new Map<string, string>()
  for (const [queue, most] of attempts) {
    const facts = await readyQueue(connection.engine, queue, most)
    dead.set(queue, deadLetterOf(facts))
    const error = tooImpatient(facts, most)
    if (error !== undefined) {
      settings.onEvent?.({ type: 'trouble', queue, what: 'its dead-letter policy is too impatient', error })
    }
  }
  const worker = new JobWorker(connection, settings, dead)
  worker.start()
  return worker
}

class JobWorker implements Worker {
  readonly done: Promise<void>
  readonly #settings: WorkerSettings
  readonly #clock: Clock
  readonly #feeds: readonly Feed[]
  readonly #deadlines: Deadlines
  readonly #processing: Processing
  readonly #end = Promise.withResolvers<void>()
  readonly #counts: Record<Outcome, number>
  #stopAnnouncing: () => void = () => undefined
  #state: 'open' | 'draining' = 'open'
  /** Places taken. */
  #busy = 0
  /** Jobs that had no place, in their order. */
  readonly #queued: (() => void)[] = []
  #ahead = 0
  #averageMs = 2 * AHEAD_MS
  #sweeper: Timer | undefined
  #choice: Timer | undefined
  #idle: (() => void) | undefined
  #drained: Promise<void> | undefined
  readonly #hurry = new AbortController()

  constructor(connection: JobsConnection, settings: WorkerSettings, dead: ReadonlyMap<string, string>) {
    const { clock, random, engine } = connection
    this.#settings = settings
    this.#clock = clock
    this.done = this.#end.promise
    this.done.catch(() => undefined) // whoever does not look at it need not handle it
    this.#counts = { ...NO_COUNTS }
    this.#deadlines = new Deadlines(clock)
    const trouble = (error: SignalboxError): void =>
      settings.onEvent?.({ type: 'trouble', queue: '', what: 'a return was not noted', error })
    const returns = Returns.of(connection, trouble)
    this.#processing = new Processing({
      returns,
      connection,
      settings,
      name: settings.name ?? `worker-${random.id().slice(0, 10)}`,
      deadlines: this.#deadlines,
      places: {
        take: () => this.#place(),
        free: () => this.#free(),
        pump: () => this.#pump(),
      },
      count: (outcome, tookMs) => this.#count(outcome, tookMs),
    })
    const events: FeedEvents = {
      received: () => this.#received(),
      ended: (error) => {
        if (error !== undefined) this.#failed(error)
      },
      trouble: (queue, what, error) => settings.onEvent?.({ type: 'trouble', queue, what, error }),
    }
    this.#feeds = [...settings.queues].map(
      ([queue, weight]) =>
        new Feed({
          engine,
          clock,
          random,
          visibilityMs: settings.visibilityMs,
          queue,
          fifo: isFifoName(queue),
          dead: dead.get(queue) ?? queue,
          weight,
          returns,
          credit: settings.concurrency * this.#batchSize(queue),
          events,
        }),
    )
  }

  start(): void {
    this.#stopAnnouncing = announce(this.#processing.parts)
    for (const feed of this.#feeds) feed.start()
  }

  get stats(): WorkerStats {
    const buffered = this.#feeds.reduce((sum, feed) => sum + feed.buffered, this.#processing.gathered)
    return { running: this.#deadlines.size, buffered, counts: { ...this.#counts } }
  }

  drain({ grace }: { readonly grace?: Duration } = {}): Promise<void> {
    const graceMs = grace === undefined ? this.#settings.graceMs : parseDuration(grace, 'grace')
    return (this.#drained ??= this.#drain(graceMs))
  }

  close(): Promise<void> {
    this.#hurry.abort(new SignalboxError('cancelled', 'the worker is closed'))
    return this.drain({ grace: '0s' })
  }

  async #drain(graceMs: number): Promise<void> {
    this.#state = 'draining'
    this.#settings.onEvent?.({ type: 'draining', running: this.#deadlines.size })
    this.#stopAnnouncing()
    this.#sweeper?.cancel()
    for (const feed of this.#feeds) {
      feed.drain()
      feed.giveBack(Infinity)
    }
    this.#processing.drain()
    for (const wake of this.#queued.splice(0)) {
      this.#busy += 1
      wake()
    }
    const long = this.#clock.monotonic() + Math.max(graceMs, LONG_MS)
    for (const running of this.#deadlines) if (running.deadline > long) running.stop('shutdown')
    await this.#settled(graceMs, this.#hurry.signal)
    for (const running of this.#deadlines) running.stop('shutdown')
    await this.#settled(STOP_MS)
    for (const running of this.#deadlines) running.abandon()
    await this.#settled(STOP_MS)
    await Promise.all(this.#feeds.map((feed) => feed.close()))
    this.#deadlines.close()
    this.#settings.onEvent?.({ type: 'stopped' })
    this.#end.resolve()
  }

  /** Until nothing is being worked on, or so long. */
  async #settled(ms: number, signal?: AbortSignal): Promise<void> {
    if (this.#working() === 0) return
    const over = new AbortController()
    const idle = new Promise<void>((resolve) => (this.#idle = resolve))
    const bound = sleep(
      this.#clock,
      ms,
      signal === undefined ? over.signal : AbortSignal.any([over.signal, signal]),
    )
    await Promise.race([idle, bound.catch(() => undefined)])
    over.abort()
  }

  #working(): number {
    return this.#feeds.reduce((sum, feed) => sum + feed.working, 0)
  }

  /** A queue cannot be received from any more. */
  #failed(error: SignalboxError): void {
    this.#settings.onEvent?.({ type: 'trouble', queue: '', what: 'the worker ends', error })
    this.#end.reject(error)
    void this.drain()
  }

  #received(): boolean {
    this.#pump()
    if (this.#state === 'open')
      this.#sweeper ??= this.#clock.timer(BUFFER_MS, () => this.#sweep(), { unref: true })
    return this.#wantsMore()
  }

  #wantsMore(): boolean {
    if (this.#state !== 'open') return false
    return this.#busy < this.#settings.concurrency || this.#buffered() < this.#ahead
  }

  #buffered(): number {
    let sum = 0
    for (const feed of this.#feeds) sum += feed.buffered
    return sum
  }

  /** Fills the places. */
  #pump(): void {
    if (this.#state === 'open') {
      while (this.#busy < this.#settings.concurrency) {
        const queued = this.#queued.shift()
        if (queued !== undefined) {
          this.#busy += 1
          queued()
          continue
        }
        const batch = this.#processing.nextBatch()
        const feed = batch === undefined && this.#mayChoose() ? this.#choose() : undefined
        const item = feed?.take()
        if (batch === undefined && item === undefined) break
        this.#busy += 1
        if (batch !== undefined) void this.#processing.runBatch(batch)
        else if (item !== undefined) void this.#processing.work(item)
      }
      if (this.#feeds.length > 1) this.#allow()
    }
    if (this.#idle !== undefined && this.#working() === 0) this.#idle()
  }

  /** The weights can only decide between queues that had the time to answer. */
  #mayChoose(): boolean {
    return this.#choice === undefined || this.#feeds.every(({ waiting }) => waiting)
  }

  /** Smooth weighted round robin: in proportion to their weights, evenly mixed. */
  #choose(): Feed | undefined {
    let chosen: Feed | undefined
    let total = 0
    for (const feed of this.#feeds) {
      if (!feed.waiting) continue
      feed.turn += feed.weight
      total += feed.weight
      if (chosen === undefined || feed.turn > chosen.turn) chosen = feed
    }
    if (chosen !== undefined) chosen.turn -= total
    return chosen
  }

  /** How much each queue may have here: what it has at work, and what the free places take. */
  #allow(): void {
    const free = this.#settings.concurrency - this.#busy
    for (const feed of this.#feeds)
      feed.allow(feed.working + free * this.#batchSize(feed.queue) + this.#ahead)
  }

  #free(): void {
    if (this.#feeds.length > 1 && this.#ahead === 0 && this.#busy === this.#settings.concurrency) {
      this.#choice ??= this.#clock.timer(CHOICE_MS, () => {
        this.#choice = undefined
        this.#pump()
      })
    }
    this.#busy -= 1
    this.#pump()
    if (this.#wantsMore()) for (const feed of this.#feeds) feed.resume()
  }

  /** A place for a job that gave its own up; at once, or when one is free. */
  #place(): Promise<void> {
    return new Promise((resolve) => {
      this.#queued.push(resolve)
      this.#pump()
    })
  }

  #sweep(): void {
    this.#sweeper = undefined
    if (this.#state !== 'open' || this.#buffered() === 0) return
    const before = this.#clock.monotonic() - BUFFER_MS
    if (this.#busy >= this.#settings.concurrency) this.#foresee(0)
    for (const feed of this.#feeds) feed.giveBack(before)
    if (this.#buffered() > 0)
      this.#sweeper = this.#clock.timer(BUFFER_MS, () => this.#sweep(), { unref: true })
  }

  #count(outcome: Outcome, tookMs: number): void {
    this.#counts[outcome] += 1
    this.#averageMs += (tookMs - this.#averageMs) / 16
    const ahead = Math.min(AHEAD, Math.floor(AHEAD_MS / Math.max(this.#averageMs, 1)))
    this.#foresee(ahead * this.#settings.concurrency)
  }

  /** Receives so many more than there are places. */
  #foresee(ahead: number): void {
    if (ahead === this.#ahead) return
    this.#ahead = ahead
    if (this.#feeds.length > 1) this.#allow()
    else
      for (const feed of this.#feeds)
        feed.allow(this.#settings.concurrency * this.#batchSize(feed.queue) + ahead)
  }

  /** How many messages one place takes. */
  #batchSize(queue: string): number {
    let most = 1
    for (const { batch, queue: of } of this.#settings.jobs.values()) {
      if (batch !== undefined && of === queue) most = Math.max(most, batch.max)
    }
    return most
  }
}

const NO_COUNTS: Record<Outcome, number> = {
  succeeded: 0,
  failed: 0,
  timed_out: 0,
  cancelled: 0,
  lost: 0,
  returned: 0,
  poison: 0,
  unknown_job: 0,
  stale: 0,
}
