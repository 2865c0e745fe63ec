/**
 * Beside the reference: turns of ours and jobs of the dynamo-q tool on the same queue of the same table never run at once.
 * A decorator of `TurnsApi`: who is granted a turn is told so only when a *guard* (guard/record.ts) holds the other tool back.
 *
 * What a client of that tool does: it puts an entry, reads all entries in order (up to a few seconds out of date), and is at the
 * front, for good, once the first entry is its own. Before that it deletes leading entries whose `lastUpdated` is more than
 * 120 s old. Until it ends it beats every 10–24 s, which on DynamoDB puts its entry back should it be gone.
 *
 * Invariants:
 *  1. A member is told "holding", and a beat is acknowledged, only while a verified guard stands that is certain to outlast
 *     the work which that answer allows (`workAfterBeat`). What a holder does not hear it does not rely on.
 *  2. A guard is verified only by a look that was sent 5 s after the guard was known to stand, and that showed nobody alive.
 *     It stays verified, since it is only ever replaced and deleted on condition of its version; a new one starts unverified.
 *  3. A guard is deleted only as it was before the queue's holders were read, and only if none of them but the leaver had a
 *     fence it counts in. Relying on it raises that fence and changes the version, so one of the two fails.
 *  4. Nobody takes over or puts a guard while somebody of the other tool seems to wait: they go first.
 *
 * Why nobody of theirs is at work beside one of ours:
 * - *Read out of date, answers on their way.* A client at the front saw its own entry, and no guard. Each item it read may be a few
 *   seconds old, on its own: so it read within seconds of the guard's placing, and its entry stands at our look, 5 s later.
 *   Without the 5 s its entry could be newer than our look, and the guard it missed older.
 * - *A put on its way, or tried again.* It is in the table before its owner reads; then the guard is, too.
 * - *An entry that is gone while its owner works* (two of one second share one key; clocks far apart): the owner's next beat
 *   puts it back. Once an entry was seen to go we wait `QUIET_MS` more, so that our look finds it. Not covered: it went
 *   before our first look, less than 24 s ago; or on Firestore, where their beats put nothing back.
 * - *Their zombie deletion.* The guard's `lastUpdated` lies in the future while any of ours relies on it, and must be 120 s old: their clocks may
 *   be ahead of the engine's by 3 minutes (2 when refreshing fails to the last), and behind by anything.
 * - *Lost answers of ours* are followed by a look; what it shows counts from that look. A late write meets another version.
 * - *A crash of ours* leaves at worst a guard: unverified, it is verified anew, 5 s from the next look; verified, it has held them back
 *   without a gap; lapsed, it does not count. Dead entries of theirs go only as they were for 130 s by our monotonic clock.
 * - *Clocks.* A guard expires by engine time with its uncertainty on the safe side; our wall clock is not asked.
 *
 * Costs. A grant beside nobody: 5 s, 2 reads, 2 writes; its release: 2 reads, 1 write. A hand-over between ours: 1 read and 1 write to take
 * over, 2 reads to leave. A holder: 1 write each 40 s. Those who wait in our own line: nothing.
 */
import { sleep, type Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type {
  Act,
  EvictView,
  HistoryView,
  JoinRequest,
  LeaveView,
  MemberView,
  QueueView,
  TurnsApi,
  TurnsOperations,
  WaitRequest,
} from './api.ts'
import { Claim, type Progress } from './guard/claim.ts'
import { Recent } from './guard/recent.ts'
import { readOurs, type GuardContext } from './guard/record.ts'
import { Strangers } from './guard/strangers.ts'
import { tidy } from './guard/tidy.ts'
import { notYet } from './guard/waiting-view.ts'
import { isTransient } from '../kernel/attempt.ts'
import { beatInterval } from './timing.ts'

export interface BesideReferenceOptions extends GuardContext {
  readonly turns: TurnsApi & TurnsOperations
}

/** What one step at the guard may take before the caller is answered without it. */
const STEP_MS = 1_000
const TIDY_MS = 1_500
const REFRESH_MS = 2_000
/** What is forgotten beyond this is found out anew. */
const CLAIMS = 10_000
const QUEUES = 1_000
/** Names of our own partitions begin so; a queue of such a name would lie among them. */
const RESERVED = 'signalbox:'

/**
 * @example
 * const turns = besideReference({ turns: createTurnsService({ store, clock, random }), store, clock, random })
 */
export function besideReference(options: BesideReferenceOptions): TurnsApi & TurnsOperations {
  return new BesideReference(options)
}

class BesideReference implements TurnsApi, TurnsOperations {
  readonly #context: GuardContext
  readonly #turns: TurnsApi & TurnsOperations
  /** By queue and member id. */
  readonly #claims = new Recent<Claim>(CLAIMS)
  readonly #strangers = new Recent<Strangers>(QUEUES)

  constructor({ turns, store, clock, random }: BesideReferenceOptions) {
    this.#turns = turns
    this.#context = { store, clock, random }
  }

  async join(queue: string, request: JoinRequest, signal?: AbortSignal): Promise<MemberView> {
    if (queue.startsWith(RESERVED)) {
      throw new SignalboxError(
        'invalid_argument',
        `queue: '${queue}' begins with '${RESERVED}', which is kept for the records of Signalbox itself; use another name`,
      )
    }
    const { id, waitMs } = request
    const call = { queue, id, arrivedAt: this.#context.clock.monotonic(), waitMs, signal }
    const joined = await this.#turns.join(queue, request, signal)
    try {
      return await this.#admit(call, joined)
    } catch (error) {
      // The join itself is done: no failure from here on may say that nothing was applied.
      if (isTransient(error)) throw new SignalboxError('outcome_unknown', error.message, { cause: error })
      await this.leave(queue, id).catch(() => {})
      throw error
    }
  }

  async wait(queue: string, id: string, request: WaitRequest, signal?: AbortSignal): Promise<MemberView> {
    const call = { queue, id, arrivedAt: this.#context.clock.monotonic(), waitMs: request.waitMs, signal }
    return this.#admit(call, await this.#turns.wait(queue, id, request, signal))
  }

  async beat(queue: string, id: string, fence: number, signal?: AbortSignal): Promise<{ elapsedMs: number }> {
    const answer = await this.#turns.beat(queue, id, fence, signal)
    const claim = this.#claims.get(keyOf(queue, id)) ?? (await this.#adopt(queue, id, fence))
    await this.#keep(claim)
    return answer
  }

  async leave(queue: string, id: string, fence?: number, signal?: AbortSignal): Promise<LeaveView> {
    const claim = this.#claims.get(keyOf(queue, id))
    claim?.leave()
    const left = await this.#turns.leave(queue, id, fence, signal)
    if (claim === undefined && left.outcome !== 'released') return left
    this.#claims.delete(keyOf(queue, id))
    const tidied = tidy(this.#context, queue, id, this.#strangersOf(queue))
    await within(
      this.#context.clock,
      TIDY_MS,
      tidied.catch(() => {}),
    ) // what stays behind lapses
    return left
  }

  show(queue: string, options?: { readonly limit?: number }): Promise<QueueView> {
    return this.#turns.show(queue, options)
  }

  list(options?: Parameters<TurnsApi['list']>[0]): ReturnType<TurnsApi['list']> {
    return this.#turns.list(options)
  }

  setState(queue: string, state: 'open' | 'paused' | 'draining', act: Act): Promise<{ changed: boolean }> {
    return this.#turns.setState(queue, state, act)
  }

  setPermits(queue: string, permits: number, act: Act): Promise<{ changed: boolean }> {
    return this.#turns.setPermits(queue, permits, act)
  }

  evict(queue: string, id: string, act: Act & { readonly force?: boolean }): Promise<EvictView> {
    return this.#turns.evict(queue, id, act)
  }

  history(queue: string, options?: Parameters<TurnsOperations['history']>[1]): Promise<HistoryView> {
    return this.#turns.history(queue, options)
  }

  /** Passes on what was answered, but "holding" only when the guard is secured. */
  async #admit({ queue, id, arrivedAt, waitMs = 0, signal }: Call, view: MemberView): Promise<MemberView> {
    if (view.state !== 'holding' || view.fence === undefined) return view
    const { clock } = this.#context
    const answeredAt = clock.monotonic()
    const claim = this.#claimOf(view, view.fence)
    claim.stay()
    if (!claim.secured) {
      // Never longer than a beat: each request of the member is a beat for its grant.
      const until = arrivedAt + Math.min(waitMs, beatInterval(view.ttlMs))
      const progress = await this.#secure(claim, until, signal)
      if (!progress.secured) {
        const now = clock.monotonic()
        return notYet(view, progress, now - (claim.waitingSince ?? now), now - arrivedAt)
      }
    }
    // The beat behind an answer from before the wait is old by now, and the grant may be lost.
    const askedAt = clock.monotonic()
    if (askedAt - answeredAt >= STEP_MS) {
      const fresh = await this.#turns.wait(queue, id, { waitMs: 0 }, signal)
      view = { ...fresh, elapsedMs: fresh.elapsedMs + askedAt - arrivedAt }
    }
    if (view.state === 'holding') await this.#keep(claim)
    return view
  }

  /** Until the guard is secured, or `until` (monotonic ms). */
  async #secure(claim: Claim, until: number, signal: AbortSignal | undefined): Promise<Progress> {
    const { clock } = this.#context
    for (;;) {
      const { progress } = claim
      if (progress.secured) return progress
      const now = clock.monotonic()
      if (progress.againAt > now && until > now)
        await this.#sleep(Math.min(progress.againAt, until) - now, signal)
      if (progress.againAt > until) return progress
      try {
        await within(clock, Math.max(STEP_MS, until - clock.monotonic()), claim.secure())
      } catch (error) {
        if (!isTransient(error)) throw error
      }
      if (clock.monotonic() >= until) return claim.progress
    }
  }

  /** A beat is worth something only while the guard covers what it allows. @throws `turn_lost`, `unavailable` */
  async #keep(claim: Claim): Promise<void> {
    let failure: unknown
    try {
      await within(this.#context.clock, REFRESH_MS, claim.keep())
    } catch (error) {
      if (isSignalboxError(error, 'turn_lost')) throw error
      failure = error
    }
    if (claim.covers) return
    throw new SignalboxError(
      'unavailable',
      `the guard of queue '${claim.holder.queue}' against jobs of the dynamo-q tool could not be refreshed in time; ask again`,
      { cause: failure },
    )
  }

  /** A holder that another process was told of, or this one before it was started anew. */
  async #adopt(queue: string, id: string, fence: number): Promise<Claim> {
    const { holders } = await readOurs(this.#context, queue)
    const grant = holders.find((holder) => holder.id === id && holder.fence === fence)
    if (grant === undefined)
      throw new SignalboxError('unavailable', `queue '${queue}' changed meanwhile; ask again`)
    return this.#claimOf({ queue, id, ttlMs: grant.ttlMs }, fence)
  }

  #claimOf({ queue, id, ttlMs }: Pick<MemberView, 'queue' | 'id' | 'ttlMs'>, fence: number): Claim {
    const known = this.#claims.get(keyOf(queue, id))
    if (known?.holder.fence === fence) return known
    const claim = new Claim(this.#context, { queue, id, fence, ttlMs }, this.#strangersOf(queue))
    this.#claims.set(keyOf(queue, id), claim)
    return claim
  }

  #strangersOf(queue: string): Strangers {
    let strangers = this.#strangers.get(queue)
    if (strangers === undefined) this.#strangers.set(queue, (strangers = new Strangers()))
    return strangers
  }

  async #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await sleep(this.#context.clock, Math.max(0, ms), signal)
    } catch (cause) {
      throw new SignalboxError('cancelled', 'the caller hung up', { cause })
    }
  }
}

interface Call {
  readonly queue: string
  readonly id: string
  /** Monotonic ms. */
  readonly arrivedAt: number
  readonly waitMs: number | undefined
  readonly signal: AbortSignal | undefined
}

function keyOf(queue: string, id: string): string {
  return `${queue}\n${id}`
}

/** The outcome of a promise, or undefined if it takes longer; then it goes on unheard. */
function within<T>(clock: Clock, ms: number, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const timer = clock.timer(ms, () => resolve(undefined))
    promise.then(resolve, reject).finally(() => timer.cancel())
  })
}
