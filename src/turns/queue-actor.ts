/**
 * The mailbox of one queue: commands that arrive together are applied in order to one loaded state and committed
 * once; nobody is answered before the commit is durable. A conflict or a lost answer reloads and applies again, which
 * is safe because every command is idempotent by member id.
 *
 * Members that wait for their turn *stand ready* (`ReadyWaiters`): the transition that frees a permit grants it to the
 * first in line in the same commit, so a hand-off costs one write. Several actors on one store may serve one queue;
 * the control record's version decides between them.
 */
import { backoffDelay } from '../kernel/backoff.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { Change, Store, Version } from '../ports/store.ts'
import type { EvictView, LeaveView, MemberView } from './api.ts'
import { apply, type Applied, type Command, type MemberFacts } from './commands.ts'
import { postJoin } from './inbox.ts'
import { Observer } from './observer.ts'
import { QueueReader } from './queue-reader.ts'
import { QueueWatch } from './queue-watch.ts'
import { ReadyWaiters, type ReadyWaiter } from './ready-waiters.ts'
import { controlKey, type Grant, type Posted } from './records.ts'
import { Transition } from './rules.ts'
import type { Standing } from './queue-state.ts'
import { trimLine, watchState } from './state-loader.ts'
import { memberView } from './views.ts'

export type TurnEvent = { readonly queue: string } & (
  | { readonly kind: 'joined' | 'released' | 'withdrawn' | 'lost' | 'evicted' }
  | { readonly kind: 'granted'; readonly waitedMs: number }
  | { readonly kind: 'retried'; readonly why: 'conflict' | 'outcome_unknown' | 'throttled' }
)

export interface ActorContext {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  /** This process serves its own members alone: the store is where they meet those of others. */
  readonly serverless: boolean
  readonly emit: (event: TurnEvent) => void
  /** Something that people see has changed. */
  readonly changed: (queue: string) => void
}

export type Reply =
  | MemberView
  | LeaveView
  | EvictView
  | { readonly elapsedMs: number }
  | { readonly changed: boolean }
  | undefined

interface Pending {
  readonly command: Command
  readonly arrivedAt: number
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: unknown) => void
}

/** Commands looked at for one commit; how many fit is decided by the changes they make. */
const MAX_BATCH = 48
/** Room that any one command, the control record and one grant may need. */
const ROOM = 12
/** How many at the head of the line are told of each step forward; the others when they ask. */
const TOLD_POSITIONS = 5
const MAX_ATTEMPTS = 60
const RETRY = { baseMs: 5, maxMs: 500 }
/** Serverless, many members contend, and each attempt is a request of each of them. */
const SERVERLESS_RETRY = { baseMs: 10, maxMs: 3_000 }

export class QueueActor {
  readonly queue: string
  readonly #context: ActorContext
  readonly #observer = new Observer()
  readonly #ready: ReadyWaiters
  readonly #closing = new AbortController()
  #pending: Pending[] = []
  readonly #reader: QueueReader
  readonly #watch: QueueWatch
  #running = false
  /** A commit of the present batch may have been applied. */
  #unknown = false
  /** The last commit lost against another writer. */
  #contended = false
  /** Monotonic ms of the last command. */
  lastUsedAt: number

  constructor(queue: string, context: ActorContext) {
    this.queue = queue
    this.#context = context
    this.#ready = new ReadyWaiters(context.clock)
    this.lastUsedAt = context.clock.monotonic()
    const observer = this.#observer
    this.#reader = new QueueReader(queue, { ...context, observer, onLooked: () => this.#watch.looked() })
    this.#watch = new QueueWatch(queue, {
      ...context,
      observer,
      reader: this.#reader,
      ready: this.#ready,
      submit: (command) => this.submit(command),
      isBusy: () => this.#running,
    })
  }

  /** Nobody waits here or must be observed, and nothing is under way: the actor may be dropped. */
  get idle(): boolean {
    const quiet = !this.#running && this.#pending.length === 0 && this.#ready.size === 0
    // Without a server those who wait observe; who has left need not.
    return quiet && (this.#context.serverless || this.#observer.nextDue() === undefined)
  }

  /** @param arrivedAt monotonic ms of the request's arrival, when that was earlier than now */
  submit(command: Command, arrivedAt = this.#context.clock.monotonic()): Promise<Reply> {
    this.lastUsedAt = this.#context.clock.monotonic()
    return new Promise((resolve, reject) => {
      if (this.#closing.signal.aborted) {
        reject(stopping())
        return
      }
      this.#pending.push({ command, arrivedAt, resolve, reject })
      if (!this.#running) void this.#run()
    })
  }

  /** Answers those who wait with `unavailable`; they ask again when a server is back. */
  close(): void {
    this.#closing.abort()
    this.#watch.close()
    this.#ready.rejectAll(stopping())
    for (const { reject } of this.#pending.splice(0)) reject(stopping())
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#pending.length > 0) await this.#runBatch()
    this.#running = false
    this.#watch.afterBatch()
  }

  async #runBatch(): Promise<void> {
    const { clock, random, serverless } = this.#context
    const retry = serverless ? SERVERLESS_RETRY : RETRY
    // The commands of one turn of the event loop belong in one batch.
    await Promise.resolve()
    const batch = this.#pending.splice(0, MAX_BATCH)
    this.#unknown = false
    try {
      for (let attempt = 0; ; attempt++) {
        if (attempt > 0) {
          await sleep(clock, backoffDelay(retry, attempt - 1, random), hungUp(batch))
          await this.#letBeatsPass(batch)
        }
        if (await this.#attempt(batch, attempt)) return
      }
    } catch (error) {
      this.#reader.forget()
      const told = this.#unknown ? stillUnknown(error) : error
      for (const { reject } of batch) reject(told)
    }
  }

  /** Holders' beats contend with nobody: they do not wait for what does. */
  async #letBeatsPass(batch: Pending[]): Promise<void> {
    if (batch.every(isBeat)) return
    const beats = [...takeBeats(batch), ...takeBeats(this.#pending)]
    if (beats.length === 0) return
    try {
      if (await this.#attempt(beats, 0, true)) return
      this.#reader.forget()
      batch.push(...beats)
    } catch (error) {
      for (const { reject } of beats) reject(error)
    }
  }

  /**
   * @param beatsOnly nothing but these beats is to be written
   * @returns false when the store decided against it, or its answer was lost, and it must be tried again
   */
  async #attempt(batch: Pending[], attempt: number, beatsOnly = false): Promise<boolean> {
    const { store, clock } = this.#context
    const commands = batch.map(({ command }) => command)
    if (attempt > 0 && (await this.#reader.isPatient(commands, attempt))) return false
    const state = await this.#reader.load(commands, attempt)
    if (state === undefined) return false
    const facts = await this.#reader.facts(commands, state)
    const posted = await this.#reader.posted(facts, attempt)
    const decidedAt = clock.monotonic()
    const { queue } = this
    const beats = this.#observer
    const transition = new Transition(queue, state, store.now().ms, store.limits.changes - 1, {
      isMissing: (ticket) => beats.isMissing(ticket),
      isShown: (ticket) => beats.isShown(ticket),
    })
    const applied = this.#apply(transition, batch, facts, posted, decidedAt)
    const stale = applied.some(({ kind }) => kind === 'stale')
    if (stale && attempt >= MAX_ATTEMPTS)
      throw new SignalboxError('throttled', `queue '${queue}' is too busy; ask again`)
    // A final word must not rest on what was read before it was asked for.
    if (stale || (this.#reader.isReused && applied.some(isFinalNo))) {
      this.#reader.forget()
      return false
    }
    // A grant whose answer was lost on the way, or that another server made for a member waiting here.
    const untold =
      this.#ready.size === 0 || beatsOnly ? [] : state.control.holders.filter((h) => this.#ready.has(h.id))
    const rejoined = untold.filter(
      (h) => transition.changes.size + ROOM <= store.limits.changes && transition.beat(h),
    )
    const wanting = new Set(applied.map(wantedBy))
    const granted = beatsOnly || transition.settle((id) => wanting.has(id) || this.#ready.has(id))
    const settled = granted && (rejoined.length === untold.length || rejoined.length === 0)
    transition.seal()
    const changes = transition.changes.toChanges()
    const again = { attempt, decided: transition.decided }
    const versions = changes.length === 0 ? [] : await this.#commit(changes, again)
    if (versions === undefined) {
      if (this.#contended) await this.#post(batch, facts)
      return false
    }
    this.#adopt(transition, changes, versions)
    const grants = [...rejoined, ...transition.granted]
    this.#answer(batch, applied, grants, decidedAt)
    // Before the last grant is made, positions are not worth telling.
    if (settled) this.#tellMoved(decidedAt)
    if (transition.decided) this.#tell(applied, transition.granted)
    if (!settled) {
      this.#reader.forget()
      this.#pending.unshift({
        command: { kind: 'settle' },
        arrivedAt: decidedAt,
        resolve: () => {},
        reject: () => {},
      })
    }
    return true
  }

  /** Joins that met contention go to the inbox, where they contend with nobody. */
  async #post(batch: readonly Pending[], facts: readonly MemberFacts[]): Promise<void> {
    const { store, random, serverless } = this.#context
    if (!serverless) return
    for (const [index, { command }] of batch.entries()) {
      if (command.kind !== 'join' || facts[index]?.member !== undefined) continue
      // From here on somebody else may let it in.
      this.#unknown = true
      this.#reader.notePosted(command.id, await postJoin(store, this.queue, command.join, random))
    }
  }

  /** Applies as many commands as one commit takes; the others go back to the head of the mailbox. */
  #apply(
    transition: Transition,
    batch: Pending[],
    facts: readonly MemberFacts[],
    posted: ReadonlyMap<string, Posted>,
    at: number,
  ): Applied[] {
    const { store, random } = this.#context
    const fits = (): boolean => transition.changes.size + ROOM <= store.limits.changes
    const { queue } = this
    const context = { queue, observer: this.#observer, at, now: store.now().ms, random, posted, fits }
    const applied: Applied[] = []
    for (const [index, { command }] of batch.entries()) {
      if (index > 0 && !fits()) {
        this.#pending.unshift(...batch.splice(index))
        break
      }
      applied.push(apply(transition, command, facts[index] ?? { member: undefined, waits: false }, context))
    }
    return applied
  }

  async #commit(
    changes: readonly Change[],
    { attempt, decided }: { readonly attempt: number; readonly decided: boolean },
  ): Promise<readonly (Version | undefined)[] | undefined> {
    try {
      const result = await this.#context.store.commit(changes)
      this.#contended = !result.ok
      if (result.ok) return result.versions
      // What was known of the line is held against the next control record; reading it anew now would meet the winner's
      // transaction while it is being applied.
      this.#again('conflict', attempt > 0 || !decided)
      if (attempt >= MAX_ATTEMPTS)
        throw new SignalboxError('throttled', `queue '${this.queue}' is too busy; ask again`)
    } catch (error) {
      const known =
        isSignalboxError(error) && (error.code === 'outcome_unknown' || error.code === 'throttled')
      if (!known || attempt >= MAX_ATTEMPTS) throw error
      this.#contended = false
      if (error.code === 'outcome_unknown') this.#unknown = true
      this.#again(error.code === 'throttled' ? 'throttled' : 'outcome_unknown', true)
    }
    return undefined
  }

  #again(why: 'conflict' | 'outcome_unknown' | 'throttled', forget: boolean): void {
    if (forget) this.#reader.forget()
    this.#context.emit({ kind: 'retried', queue: this.queue, why })
  }

  #adopt(
    transition: Transition,
    changes: readonly Change[],
    versions: readonly (Version | undefined)[],
  ): void {
    const at = this.#context.clock.monotonic()
    const [partition, control] = controlKey(this.queue)
    const state = transition.state
    watchState(this.#observer, state.control, at)
    let { version } = state
    for (const [index, { key, op }] of changes.entries()) {
      const written = versions[index]
      if (op === 'delete' && key[0] === partition) this.#observer.deleted(Number(key[1]))
      if (op !== 'put' || key[0] !== partition || written === undefined) continue
      if (key[1] === control) version = written
      else this.#observer.wrote(Number(key[1]), written, at)
    }
    this.#reader.adopt(trimLine({ ...state, version }), transition.decided)
    this.#watch.setAlarm()
  }

  #answer(
    batch: readonly Pending[],
    applied: readonly Applied[],
    grants: readonly Grant[],
    decidedAt: number,
  ): void {
    const holding = new Map(grants.map((grant) => [grant.id, grant]))
    for (const [index, { arrivedAt, resolve, reject }] of batch.entries()) {
      const result = applied[index]
      if (result === undefined) continue
      if (result.kind === 'left') this.#reader.left(result.id)
      if (result.kind === 'refused') reject(result.error)
      else if (result.kind === 'beaten') resolve({ elapsedMs: Math.max(0, decidedAt - arrivedAt) })
      else if (result.kind === 'left') {
        resolve({ outcome: result.outcome })
        this.#askAgain(result.id)
      } else if (result.kind === 'done' || result.kind === 'stale') resolve(undefined)
      else if (result.kind === 'changed') resolve({ changed: result.changed })
      else if (result.kind === 'removed') {
        resolve({ outcome: result.outcome })
        if (result.outcome === 'evicted') this.#askAgain(result.id)
      } else {
        const grant = holding.get(result.id)
        const standing: Standing = grant === undefined ? result.standing : { state: 'holding', grant }
        this.#answerMember(result, standing, decidedAt, { arrivedAt, resolve, reject })
      }
    }
    for (const grant of grants) {
      const waiter = this.#ready.take(grant.id)
      waiter?.resolve(this.#view(grant.id, { state: 'holding', grant }, decidedAt - waiter.arrivedAt))
    }
  }

  /** A member that waits here is gone: let its request find that out. */
  #askAgain(id: string): void {
    const waiter = this.#ready.take(id)
    if (waiter !== undefined) this.#resubmit(waiter)
  }

  #resubmit({ id, arrivedAt, signal, resolve, reject }: ReadyWaiter): void {
    const wait = { waitMs: 0, seenPosition: undefined, signal }
    this.submit({ kind: 'wait', id, wait }, arrivedAt).then((reply) => resolve(reply as MemberView), reject)
  }

  /** Answers a join or wait, or keeps the member ready until something changes for it. */
  #answerMember(
    { id, wait }: Applied & { kind: 'member' },
    standing: Standing,
    decidedAt: number,
    request: Pick<Pending, 'arrivedAt' | 'resolve' | 'reject'>,
  ): void {
    const view = this.#view(id, standing, decidedAt - request.arrivedAt)
    const moved = wait.seenPosition !== undefined && wait.seenPosition !== view.position
    if (view.state !== 'waiting' || wait.waitMs === 0 || moved || this.#closing.signal.aborted) {
      request.resolve(view)
    } else if (wait.signal?.aborted === true) {
      request.reject(new SignalboxError('cancelled', 'the caller hung up'))
    } else {
      const { position, inWindow } = view
      const waitMs = Math.min(wait.waitMs, this.#watch.pace(view).openMs)
      // A second request of the same member takes the first one's place, which may be a late copy of it.
      this.#ready.take(id)?.resolve(view)
      const waiter = { id, position, inWindow, signal: wait.signal, ...request }
      this.#ready.add(waiter, waitMs, (timedOut) => this.#resubmit(timedOut))
    }
  }

  /** Only who enters the window, and the first few, hear of it: what a release costs does not grow with the queue. */
  #tellMoved(decidedAt: number): void {
    const { state } = this.#reader
    if (this.#ready.size === 0 || state === undefined) return
    for (const [index, entry] of state.control.window.entries()) {
      const waiter: ReadyWaiter | undefined = this.#ready.get(entry.id)
      const near = index < TOLD_POSITIONS && waiter?.position !== index + 1
      if (waiter === undefined || !(near || !waiter.inWindow)) continue
      this.#ready.take(entry.id)
      waiter.resolve(this.#view(entry.id, { state: 'waiting', entry }, decidedAt - waiter.arrivedAt))
    }
  }

  #view(id: string, standing: Standing, elapsedMs: number): MemberView {
    const { state } = this.#reader
    if (state === undefined)
      throw new SignalboxError('internal', 'a view was asked for before the state was loaded')
    const now = this.#context.store.now().ms
    const view = memberView(this.queue, state, id, standing, now, Math.max(0, elapsedMs))
    return { ...view, pollMs: this.#watch.pace(view).pollMs }
  }

  #tell(applied: readonly Applied[], granted: readonly Grant[]): void {
    const { emit, changed, store } = this.#context
    for (const result of applied) {
      if (result.kind === 'left' && result.outcome !== 'gone')
        emit({ kind: result.outcome, queue: this.queue })
      if (result.kind === 'removed' && result.outcome === 'evicted')
        emit({ kind: 'evicted', queue: this.queue })
      if ((result.kind === 'member' || result.kind === 'done') && result.happened !== undefined) {
        emit({ kind: result.happened, queue: this.queue })
      }
    }
    const now = store.now().ms
    for (const { joinedAt } of granted)
      emit({ kind: 'granted', queue: this.queue, waitedMs: Math.max(0, now - joinedAt) })
    changed(this.queue)
  }
}

/** What a look a moment later could contradict. */
function isFinalNo(applied: Applied): boolean {
  if (applied.kind === 'refused') return true
  if (applied.kind === 'changed') return !applied.changed
  return (applied.kind === 'left' || applied.kind === 'removed') && applied.outcome === 'gone'
}

/** Whose turn may be granted in this commit because its request is in the batch. */
function wantedBy(applied: Applied): string | undefined {
  if (applied.kind !== 'member' || applied.standing.state !== 'waiting') return undefined
  return applied.wait.signal?.aborted === true ? undefined : applied.id
}

/** Takes the beats out of a list of requests. */
function takeBeats(requests: Pending[]): Pending[] {
  const beats = requests.filter(isBeat)
  if (beats.length > 0) requests.splice(0, requests.length, ...requests.filter((r) => !isBeat(r)))
  return beats
}

function isBeat({ command }: Pending): boolean {
  return command.kind === 'beat'
}

/** Aborts when nobody waits for this batch any more: what the caller wants now, such as to leave, must not wait for it. */
function hungUp([first, ...more]: readonly Pending[]): AbortSignal | undefined {
  return first !== undefined && more.length === 0 && 'wait' in first.command
    ? first.command.wait.signal
    : undefined
}

/** Once a commit of a batch has an unknown outcome, no later failure may say that nothing was applied. */
function stillUnknown(error: unknown): unknown {
  const claims = isSignalboxError(error, 'unavailable') || isSignalboxError(error, 'throttled')
  return claims ? new SignalboxError('outcome_unknown', error.message, { cause: error }) : error
}

function stopping(): SignalboxError {
  return new SignalboxError('unavailable', 'the server is stopping; ask again')
}
