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
import { sleep, type Clock, type Timer } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { Change, Store, Version } from '../ports/store.ts'
import type { EvictView, LeaveView, MemberView } from './api.ts'
import { apply, type Applied, type Command, type MemberFacts } from './commands.ts'
import { Observer } from './observer.ts'
import { ReadyWaiters, type ReadyWaiter } from './ready-waiters.ts'
import { controlKey, type Grant } from './records.ts'
import { Transition } from './rules.ts'
import type { QueueState, Standing } from './queue-state.ts'
import { loadBeats, loadFacts, loadState, trimLine, watchState } from './state-loader.ts'
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
/** How often to look for other writers' changes where the store cannot push, and after a failed look. */
const LOOK_AGAIN_MS = 1_000

export class QueueActor {
  readonly queue: string
  readonly #context: ActorContext
  readonly #observer = new Observer()
  readonly #ready: ReadyWaiters
  readonly #closing = new AbortController()
  #pending: Pending[] = []
  #state: QueueState | undefined
  #running = false
  #recheck = false
  /** A commit of the present batch may have been applied. */
  #unknown = false
  #alarm: { readonly at: number; readonly timer: Timer } | undefined
  /** Monotonic ms of the last command. */
  lastUsedAt: number

  constructor(queue: string, context: ActorContext) {
    this.queue = queue
    this.#context = context
    this.#ready = new ReadyWaiters(context.clock)
    this.lastUsedAt = context.clock.monotonic()
    void this.#watch()
  }

  /** Nobody waits here or must be observed, and nothing is under way: the actor may be dropped. */
  get idle(): boolean {
    const quiet = !this.#running && this.#pending.length === 0 && this.#ready.size === 0
    return quiet && this.#observer.nextDue() === undefined
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
    this.#alarm?.timer.cancel()
    this.#ready.rejectAll(stopping())
    for (const { reject } of this.#pending.splice(0)) reject(stopping())
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#pending.length > 0) await this.#runBatch()
    this.#running = false
    // Should this look fail, the members that wait here look again by themselves.
    if (this.#recheck) this.#lookForOthers().catch(() => {})
  }

  async #runBatch(): Promise<void> {
    const { clock, random } = this.#context
    // The commands of one turn of the event loop belong in one batch.
    await Promise.resolve()
    const batch = this.#pending.splice(0, MAX_BATCH)
    this.#unknown = false
    try {
      for (let attempt = 0; ; attempt++) {
        if (attempt > 0) await sleep(clock, backoffDelay(RETRY, attempt - 1, random))
        if (await this.#attempt(batch, attempt)) return
      }
    } catch (error) {
      this.#state = undefined
      const told = this.#unknown ? stillUnknown(error) : error
      for (const { reject } of batch) reject(told)
    }
  }

  /** @returns false when the store decided against it, or its answer was lost, and it must be tried again */
  async #attempt(batch: Pending[], attempt: number): Promise<boolean> {
    const { store, clock } = this.#context
    const state = await this.#load()
    const facts = await Promise.all(batch.map(({ command }) => loadFacts(store, this.queue, state, command)))
    const decidedAt = clock.monotonic()
    const missing = (ticket: number): boolean => this.#observer.isMissing(ticket)
    const transition = new Transition(this.queue, state, store.now().ms, store.limits.changes - 1, missing)
    const applied = this.#apply(transition, batch, facts, decidedAt)
    // A grant whose answer was lost on the way, or that another server made for a member waiting here.
    const untold = this.#ready.size === 0 ? [] : state.control.holders.filter((h) => this.#ready.has(h.id))
    const rejoined = untold.filter(
      (h) => transition.changes.size + ROOM <= store.limits.changes && transition.beat(h),
    )
    const wanting = new Set(applied.map(wantedBy))
    const granted = transition.settle((id) => wanting.has(id) || this.#ready.has(id))
    const settled = granted && (rejoined.length === untold.length || rejoined.length === 0)
    transition.seal()
    const changes = transition.changes.toChanges()
    const versions = changes.length === 0 ? [] : await this.#commit(changes, attempt)
    if (versions === undefined) return false
    this.#adopt(transition, changes, versions)
    const grants = [...rejoined, ...transition.granted]
    this.#answer(batch, applied, grants, decidedAt)
    // Before the last grant is made, positions are not worth telling.
    if (settled) this.#tellMoved(decidedAt)
    if (transition.decided) this.#tell(applied, transition.granted)
    if (!settled) {
      this.#state = undefined
      this.#pending.unshift({
        command: { kind: 'settle' },
        arrivedAt: decidedAt,
        resolve: () => {},
        reject: () => {},
      })
    }
    return true
  }

  async #load(): Promise<QueueState> {
    const { store, clock } = this.#context
    const state = await loadState(store, this.queue, this.#state)
    if (this.#state === undefined || state.version !== this.#state.version) {
      await loadBeats(store, this.queue, this.#observer, () => clock.monotonic())
      this.#setAlarm()
    }
    this.#state = state
    return state
  }

  /** Applies as many commands as one commit takes; the others go back to the head of the mailbox. */
  #apply(transition: Transition, batch: Pending[], facts: readonly MemberFacts[], at: number): Applied[] {
    const { store, random } = this.#context
    const context = { queue: this.queue, observer: this.#observer, at, now: store.now().ms, random }
    const applied: Applied[] = []
    for (const [index, { command }] of batch.entries()) {
      if (index > 0 && transition.changes.size + ROOM > store.limits.changes) {
        this.#pending.unshift(...batch.splice(index))
        break
      }
      applied.push(apply(transition, command, facts[index] ?? { member: undefined, waits: false }, context))
    }
    return applied
  }

  async #commit(
    changes: readonly Change[],
    attempt: number,
  ): Promise<readonly (Version | undefined)[] | undefined> {
    try {
      const result = await this.#context.store.commit(changes)
      if (result.ok) return result.versions
      this.#again('conflict')
      if (attempt >= MAX_ATTEMPTS)
        throw new SignalboxError('throttled', `queue '${this.queue}' is too busy; ask again`)
    } catch (error) {
      const known =
        isSignalboxError(error) && (error.code === 'outcome_unknown' || error.code === 'throttled')
      if (!known || attempt >= MAX_ATTEMPTS) throw error
      if (error.code === 'outcome_unknown') this.#unknown = true
      this.#again(error.code === 'throttled' ? 'throttled' : 'outcome_unknown')
    }
    return undefined
  }

  #again(why: 'conflict' | 'outcome_unknown' | 'throttled'): void {
    this.#state = undefined
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
      if (op !== 'put' || key[0] !== partition || written === undefined) continue
      if (key[1] === control) version = written
      else this.#observer.saw(Number(key[1]), written, at)
    }
    this.#state = trimLine({ ...state, version })
    this.#setAlarm()
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
      if (result.kind === 'refused') reject(result.error)
      else if (result.kind === 'beaten') resolve({ elapsedMs: Math.max(0, decidedAt - arrivedAt) })
      else if (result.kind === 'left') {
        resolve({ outcome: result.outcome })
        this.#askAgain(result.id)
      } else if (result.kind === 'done') resolve(undefined)
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
      const waitMs = Math.min(wait.waitMs, view.pollMs)
      // A second request of the same member takes the first one's place, which may be a late copy of it.
      this.#ready.take(id)?.resolve(view)
      const waiter = { id, position, inWindow, signal: wait.signal, ...request }
      this.#ready.add(waiter, waitMs, (timedOut) => this.#resubmit(timedOut))
    }
  }

  /** Only who enters the window, and the first few, hear of it: what a release costs does not grow with the queue. */
  #tellMoved(decidedAt: number): void {
    if (this.#ready.size === 0 || this.#state === undefined) return
    for (const [index, entry] of this.#state.control.window.entries()) {
      const waiter: ReadyWaiter | undefined = this.#ready.get(entry.id)
      const near = index < TOLD_POSITIONS && waiter?.position !== index + 1
      if (waiter === undefined || !(near || !waiter.inWindow)) continue
      this.#ready.take(entry.id)
      waiter.resolve(this.#view(entry.id, { state: 'waiting', entry }, decidedAt - waiter.arrivedAt))
    }
  }

  #view(id: string, standing: Standing, elapsedMs: number): MemberView {
    if (this.#state === undefined)
      throw new SignalboxError('internal', 'a view was asked for before the state was loaded')
    return memberView(
      this.queue,
      this.#state,
      id,
      standing,
      this.#context.store.now().ms,
      Math.max(0, elapsedMs),
    )
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

  #setAlarm(): void {
    const due = this.#observer.nextDue()
    if (due === undefined || this.#closing.signal.aborted) {
      this.#alarm?.timer.cancel()
      this.#alarm = undefined
    } else if (this.#alarm === undefined || this.#alarm.at > due) {
      this.#alarmIn(due - this.#context.clock.monotonic(), due)
    }
  }

  #alarmIn(ms: number, at: number): void {
    this.#alarm?.timer.cancel()
    const { clock } = this.#context
    // Lateness counts from when the timer should fire, which may be later than when somebody fell due.
    const target = clock.monotonic() + Math.max(0, ms)
    const timer = clock.timer(Math.max(0, ms), () => void this.#lookForSilence(target), { unref: true })
    this.#alarm = { at, timer }
  }

  /** Somebody may have been silent for a whole TTL: look once more, then evict exactly what was seen. */
  async #lookForSilence(due: number): Promise<void> {
    const { store, clock } = this.#context
    this.#alarm = undefined
    try {
      const late = clock.monotonic() - due
      await loadBeats(store, this.queue, this.#observer, () => clock.monotonic())
      const now = clock.monotonic()
      // This process itself was stalled: beats may be waiting to be read.
      this.#observer.restart(late, now)
      const suspects = this.#observer.suspects(now)
      await Promise.all(suspects.map((suspect) => this.submit({ kind: 'evict', id: suspect.id, suspect })))
      this.#setAlarm()
    } catch {
      if (!this.#closing.signal.aborted) this.#alarmIn(LOOK_AGAIN_MS, clock.monotonic() + LOOK_AGAIN_MS)
    }
  }

  async #watch(): Promise<void> {
    const { store, clock } = this.#context
    const { signal } = this.#closing
    while (!signal.aborted) {
      try {
        if (store.watch === undefined) {
          await sleep(clock, LOOK_AGAIN_MS, signal)
          if (this.#ready.size > 0) await this.#lookForOthers()
        } else {
          for await (const _ of store.watch({ partition: controlKey(this.queue)[0] }, signal))
            await this.#lookForOthers()
          await sleep(clock, LOOK_AGAIN_MS, signal)
        }
      } catch {
        if (!signal.aborted) await sleep(clock, LOOK_AGAIN_MS, signal).catch(() => {})
      }
    }
  }

  /** Did somebody else write the control record? Then grant what can be granted to those who wait here. */
  async #lookForOthers(): Promise<void> {
    if (this.#running) {
      this.#recheck = true
      return
    }
    this.#recheck = false
    if (this.#state === undefined && this.#ready.size === 0) return
    const record = await this.#context.store.get(controlKey(this.queue))
    if (record?.version !== this.#state?.version && !this.#closing.signal.aborted)
      await this.submit({ kind: 'settle' })
  }
}

/** Whose turn may be granted in this commit because its request is in the batch. */
function wantedBy(applied: Applied): string | undefined {
  if (applied.kind !== 'member' || applied.standing.state !== 'waiting') return undefined
  return applied.wait.signal?.aborted === true ? undefined : applied.id
}

/** Once a commit of a batch has an unknown outcome, no later failure may say that nothing was applied. */
function stillUnknown(error: unknown): unknown {
  const claims = isSignalboxError(error, 'unavailable') || isSignalboxError(error, 'throttled')
  return claims ? new SignalboxError('outcome_unknown', error.message, { cause: error }) : error
}

function stopping(): SignalboxError {
  return new SignalboxError('unavailable', 'the server is stopping; ask again')
}
