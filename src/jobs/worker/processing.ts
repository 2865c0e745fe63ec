/**
 * The way of one message through a worker, from its place to its end (`worker.ts` shows it whole).
 *
 * Invariant: whatever happens on the way, the item's end is told to its feed exactly once, and its place becomes free.
 */
import { isTransient } from '../../kernel/attempt.ts'
import { sleep } from '../../kernel/clock.ts'
import { SignalboxError, toSignalboxError } from '../../kernel/error.ts'
import type { JobsConnection, Outcome } from '../api.ts'
import type { JobDefinition } from '../define.ts'
import { decode, type Envelope } from '../envelope.ts'
import { checkInput, type Checked } from '../input.ts'
import { RateLimit } from '../rate-limit.ts'
import { afterFailure, afterUnknown, failureOf, type DeadReason, type Disposal } from '../rules.ts'
import { Attempt, errorOf, execute, type Ran } from './attempt.ts'
import { BatchRun } from './batch.ts'
import { CancelWatch } from './cancel-watch.ts'
import { RunClaim } from './claim.ts'
import type { AttemptContext } from './context.ts'
import type { Deadlines } from './deadlines.ts'
import type { Item } from './feed.ts'
import { Gather } from './gather.ts'
import type { WorkerSettings } from './options.ts'
import { compose } from '../middleware.ts'
import type { Returns } from './returns.ts'
import { settle, settleRun, type Ending, type SettleParts, type Subject } from './settle.ts'

export interface ProcessingParts {
  readonly connection: JobsConnection
  readonly settings: WorkerSettings
  /** The worker's. */
  readonly name: string
  readonly deadlines: Deadlines
  readonly returns: Returns | undefined
  readonly places: {
    /** Waits for a place. */
    take(): Promise<void>
    free(): void
    /** A batch is ready. */
    pump(): void
  }
  readonly count: (outcome: Outcome, tookMs: number) => void
}

/** Who gets a slot of a rate limit waits for it with the message in hand. */
const IN_HAND_MS = 1_000
/** What could not be begun is tried again. */
const AGAIN_MS = 5_000

export class Processing {
  readonly parts: ProcessingParts
  readonly #settle: SettleParts
  readonly #limits = new Map<string, RateLimit>()
  readonly #runs = new Map<string, (context: AttemptContext) => unknown>()
  readonly #gather: Gather<Attempt>
  readonly #draining = new AbortController()
  readonly #cancels: CancelWatch | undefined

  constructor(parts: ProcessingParts) {
    const { connection, settings, name } = parts
    this.parts = parts
    this.#gather = new Gather(connection.clock, () => parts.places.pump())
    this.#settle = { ...connection, onEvent: settings.onEvent, count: parts.count }
    this.#cancels = connection.runs && new CancelWatch(connection.runs, connection.clock, name)
    for (const definition of settings.jobs.values()) this.#prepare(definition)
  }

  /** Waiting for the rest of their batch. */
  get gathered(): number {
    return this.#gather.size
  }

  nextBatch(): readonly Attempt[] | undefined {
    return this.#gather.take()
  }

  /** What has not begun to run is returned. */
  drain(): void {
    this.#draining.abort(new SignalboxError('cancelled', 'the worker stops'))
    for (const attempt of this.#gather.takeAll()) void this.#finish(attempt, returned())
  }

  /** An item with a place; never rejects. */
  async work(item: Item): Promise<void> {
    try {
      const read = this.#read(item)
      const attempt = read instanceof Promise ? await read : read
      if (attempt !== undefined) {
        const { batch } = attempt.definition
        if (batch === undefined) await this.#run(attempt)
        else if (this.#draining.signal.aborted) await this.#finish(attempt, returned())
        else {
          this.#keep(attempt)
          this.#gather.add(`${attempt.queue} ${attempt.job}`, attempt, batch)
        }
      }
    } catch (thrown) {
      this.#trouble(item, 'a job could not be begun', thrown)
      // What will not pass costs attempts, so that it does not go round for ever.
      const verdict = isTransient(thrown) ? 'return' : 'retry'
      item.feed.end(item, { verdict, delayMs: AGAIN_MS })
    }
    this.parts.places.free()
  }

  /** A batch with a place; never rejects. */
  async runBatch(attempts: readonly Attempt[]): Promise<void> {
    const { connection, settings, deadlines } = this.parts
    // Some were lost or cancelled while they waited for the others.
    const over = attempts.filter(
      ({ item, claim, stopped }) => stopped !== undefined || (item.gone && claim === undefined),
    )
    const there = attempts.filter((attempt) => !over.includes(attempt))
    for (const attempt of over)
      await this.#finish(attempt, attempt.stopped === 'cancelled' ? cancelled() : lost())
    const first = there[0]
    if (first !== undefined) {
      const run = new BatchRun(there, {
        clock: connection.clock,
        deps: settings.deps,
        onEvent: settings.onEvent,
      })
      deadlines.add(run)
      for (const attempt of there) this.#started(attempt)
      const ran = await execute(run, () => run.start())
      deadlines.remove(run)
      await Promise.all(
        run.each(ran).map(async ([attempt, each]) => this.#finish(attempt, this.#endingOf(attempt, each))),
      )
    }
    this.parts.places.free()
  }

  #prepare({ name, rateLimit, run }: JobDefinition): void {
    const { connection, settings } = this.parts
    const { clock, store } = connection
    if (rateLimit !== undefined) {
      this.#limits.set(name, new RateLimit({ job: name, ...rateLimit, maxWaitMs: IN_HAND_MS, clock, store }))
    }
    if (run === undefined) return
    const code = (context: { readonly input: unknown }): unknown =>
      run(context.input as never, context as never)
    this.#runs.set(name, compose(settings.middleware, code))
  }

  /** @returns the attempt; nothing when the item has come to its end already */
  #read(item: Item): Attempt | undefined | Promise<Attempt | undefined> {
    const { settings } = this.parts
    const envelope = decode(item.message, settings.envelopes)
    if ('unreadable' in envelope) return this.#refuse(subject(item), 'unreadable', envelope.unreadable)
    const definition = settings.jobs.get(envelope.job)
    if (definition === undefined) return this.#unknown(item, envelope)
    const again = this.parts.returns !== undefined && item.message.receiveCount > 1
    if (envelope.run !== undefined || definition.rateLimit !== undefined || again) {
      return this.#admit(item, definition, envelope)
    }
    return this.#check(item, definition, envelope)
  }

  /** A job of which something has to be asked first: its rate limit, its run, its attempts. */
  async #admit(item: Item, definition: JobDefinition, envelope: Envelope): Promise<Attempt | undefined> {
    const limit = this.#limits.get(definition.name)
    const who = subject(item, definition.name, envelope.run ?? envelope.id)
    if (limit !== undefined && !(await this.#slot(limit, who))) return undefined
    if (envelope.run === undefined) {
      const attempt = await this.parts.returns?.attempt(item.message)
      return this.#check(item, definition, envelope, undefined, attempt)
    }
    const claim = await this.#claim(envelope.run)
    if (claim instanceof RunClaim) {
      const { input, attempt } = claim.view
      const id = claim.id.slice(definition.name.length + 1)
      return this.#check(item, definition, { id, input }, claim, attempt)
    }
    // Whatever makes the run queued again wakes a worker again.
    const { retryAfterMs } = claim
    const disposal: Disposal =
      retryAfterMs === undefined ? { verdict: 'ack' } : { verdict: 'return', delayMs: retryAfterMs }
    return this.#ended(who, { outcome: 'stale', disposal })
  }

  #claim(run: string): ReturnType<typeof RunClaim.open> {
    const { connection, settings, name } = this.parts
    const { runs, clock, random } = connection
    if (runs === undefined) {
      throw new SignalboxError('config_invalid', `run ${run}: this worker's connection has no run records`)
    }
    const trouble = (what: string, error: SignalboxError): void =>
      settings.onEvent?.({ type: 'trouble', queue: '', what: `run ${run}: ${what}`, error })
    return RunClaim.open({ runs, clock, random, worker: name, leaseMs: settings.visibilityMs, trouble }, run)
  }

  /** Waits in hand for a slot that is near, without a place. @returns false when the item has come to its end instead */
  async #slot(limit: RateLimit, who: Subject): Promise<boolean> {
    const { places, connection } = this.parts
    const slot = await limit.take()
    if ('againMs' in slot) {
      this.#ended(who, { outcome: 'returned', disposal: { verdict: 'return', delayMs: slot.againMs } })
      return false
    }
    if (slot.waitMs > 0) {
      places.free()
      await sleep(connection.clock, slot.waitMs, this.#draining.signal).catch(() => undefined)
      await places.take()
    }
    if (!this.#draining.signal.aborted) return true
    this.#ended(who, returned())
    return false
  }

  #check(
    item: Item,
    definition: JobDefinition,
    { id, input }: { readonly id: string; readonly input: unknown },
    claim?: RunClaim,
    attempt: number = item.message.receiveCount,
  ): Attempt | undefined | Promise<Attempt | undefined> {
    const { connection, settings } = this.parts
    const checked = checkInput(definition, input)
    const done = ({ value, problem }: Checked): Attempt | undefined | Promise<undefined> => {
      const { clock } = connection
      const { deps, onEvent } = settings
      const made = new Attempt({ item, definition, id, attempt, input: value, claim, clock, deps, onEvent })
      if (problem === undefined) return made
      if (claim === undefined) return this.#refuse(made, 'invalid_input', problem)
      return this.#finish(made, poison('invalid_input', problem))?.then(() => undefined)
    }
    return checked instanceof Promise ? checked.then(done) : done(checked)
  }

  async #run(attempt: Attempt): Promise<void> {
    const { deadlines } = this.parts
    const { item } = attempt
    if (item.gone && attempt.claim === undefined) {
      this.#ended(attempt, lost())
      return
    }
    this.#keep(attempt)
    this.#started(attempt)
    deadlines.add(attempt)
    const code = this.#runs.get(attempt.job)
    const ran = await execute(attempt, () => code?.(attempt.context()))
    deadlines.remove(attempt)
    const finished = this.#finish(attempt, this.#endingOf(attempt, ran))
    if (finished !== undefined) await finished
  }

  /** From now on it hears when it is lost or cancelled, and its claim is prolonged. */
  #keep(attempt: Attempt): void {
    const { item, claim } = attempt
    if (claim === undefined) item.onLost = () => attempt.stop('lost')
    else {
      item.onLost = () => undefined // its claim is what it holds
      this.#cancels?.add(claim.id, claim.view.epoch, (reason) => attempt.stop('cancelled', reason))
      claim.keep((reason, note) => attempt.stop(reason, note))
    }
  }

  #started(attempt: Attempt): void {
    const { connection, settings } = this.parts
    const { job, id, queue, sentAt } = attempt
    attempt.startedAt = connection.clock.monotonic()
    attempt.deadline = attempt.startedAt + attempt.definition.timeoutMs
    const waitedMs = Math.max(0, connection.clock.now() - sentAt)
    settings.onEvent?.({ type: 'started', queue, job, id, attempt: attempt.attempt, waitedMs })
  }

  #endingOf(attempt: Attempt, ran: Ran): Ending {
    const { definition, claim, item, stopped } = attempt
    const { retry } = definition
    if (item.gone && claim === undefined) return lost()
    if (ran.how === 'returned')
      return { outcome: 'succeeded', disposal: { verdict: 'ack' }, result: ran.value }
    if (stopped === 'lost') return lost()
    if (stopped === 'shutdown') return returned()
    const error = ran.how === 'threw' ? errorOf(ran.error) : undefined
    if (stopped === 'cancelled') return { outcome: 'cancelled', disposal: { verdict: 'ack' }, error }
    const { random } = this.parts.connection
    const failure = stopped === 'timed_out' || ran.how !== 'threw' ? NEUTRAL : failureOf(ran.error)
    const disposal = afterFailure(retry, attempt.attempt, failure, random)
    return {
      outcome: stopped === 'timed_out' ? 'timed_out' : 'failed',
      disposal,
      error: error ?? timedOut(attempt),
    }
  }

  /** @returns nothing when it is done already */
  #finish(attempt: Attempt, ending: Ending): Promise<void> | undefined {
    if (attempt.claim === undefined) return settle(this.#settle, attempt, ending)
    this.#cancels?.remove(attempt.claim.id)
    return settleRun(this.#settle, attempt, ending)
  }

  #ended(who: Subject, ending: Ending): undefined {
    void settle(this.#settle, { ...who, startedAt: this.parts.connection.clock.monotonic() }, ending)
    return undefined
  }

  #unknown(
    item: Item,
    { job, id, run }: { readonly job: string; readonly id?: string; readonly run?: string | undefined },
  ): undefined | Promise<undefined> {
    const { connection, settings } = this.parts
    const { clock, random } = connection
    const usual = afterUnknown(item.message, clock.now(), settings.unknownJobGraceMs, random)
    // A run's record stays queued, and wakes a worker again within the hour: its message is no letter to keep.
    const disposal: Disposal =
      run !== undefined && usual.verdict === 'dead_letter' ? { verdict: 'ack' } : usual
    const what = `this worker knows no job '${job.slice(0, 64)}'; deploy one that does, or redrive the message later`
    const error = new SignalboxError('not_found', what)
    const who = { ...subject(item, job.slice(0, 64), run ?? id), startedAt: clock.monotonic() }
    return settle(this.#settle, who, { outcome: 'unknown_job', disposal, error })?.then(() => undefined)
  }

  async #refuse(who: Subject, reason: DeadReason, problem: string): Promise<undefined> {
    const startedAt = this.parts.connection.clock.monotonic()
    const { item, job, id, attempt } = who
    await settle(this.#settle, { item, job, id, attempt, startedAt }, poison(reason, problem))
  }

  #trouble(item: Item, what: string, thrown: unknown): void {
    const { onEvent } = this.parts.settings
    onEvent?.({ type: 'trouble', queue: item.feed.queue, what, error: toSignalboxError(thrown) })
  }
}

const NEUTRAL = { permanent: false } as const

function subject(item: Item, job = '', id: string = item.message.messageId): Subject {
  return { item, job, id, attempt: item.message.receiveCount, startedAt: 0 }
}

function returned(): Ending {
  return { outcome: 'returned', disposal: { verdict: 'return', delayMs: 0 } }
}

function cancelled(): Ending {
  return { outcome: 'cancelled', disposal: { verdict: 'ack' } }
}

function lost(): Ending {
  return { outcome: 'lost', disposal: { verdict: 'nothing' } }
}

function poison(reason: DeadReason, problem: string): Ending {
  const error = new SignalboxError('invalid_argument', problem)
  return { outcome: 'poison', disposal: { verdict: 'dead_letter', reason }, error }
}

function timedOut({ job, definition }: Attempt): SignalboxError {
  return new SignalboxError(
    'cancelled',
    `job ${job}: it took longer than its timeout of ${definition.timeoutMs} ms`,
  )
}
