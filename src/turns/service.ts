/**
 * The turns service: `TurnsApi` next to a store. One `QueueActor` a queue in use; reading for people goes straight to the
 * store. Any number of services may work on one store.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { Elsewhere } from '../ports/elsewhere.ts'
import { decimalKey, type Key, type Store, type StoredRecord } from '../ports/store.ts'
import {
  DEFAULT_PRIORITY,
  DEFAULT_TTL_MS,
  type JoinRequest,
  type LeaveView,
  type MemberView,
  type QueueSummary,
  type QueueView,
  type Act,
  type EvictView,
  type HistoryView,
  type TurnsApi,
  type TurnsOperations,
} from './api.ts'
import { unknownQueue, type ActBy, type Command } from './commands.ts'
import { QueueActor, type Reply, type TurnEvent } from './queue-actor.ts'
import {
  controlKey,
  historyPartition,
  linePartition,
  memberKey,
  registryKey,
  registryPartition,
  type Control,
  type Labels,
  type Member,
  type PastHold,
  type Waiter,
} from './records.ts'
import { emptyState } from './queue-state.ts'
import { pastHoldView, queueView } from './views.ts'

export interface TurnsServiceOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  /**
   * This process serves its own members alone, and the store is where they meet those of other processes. Joins then give way to
   * each other (inbox.ts), and looks are few (pace.ts), for each of them is a request to the store.
   */
  readonly serverless?: boolean
  /** Other servers may serve the same queues on the same store; who looks on here (`onChange`) is then told of their changes too. */
  readonly shared?: boolean
  /** Called for everything that happened, after it is durable; for metrics and logs. Must not throw. */
  readonly onEvent?: (event: TurnEvent) => void
}

export interface TurnsService extends TurnsApi, TurnsOperations {
  /** Takes up queues that have members, so that the dead among them are noticed; gives everyone a fresh TTL. */
  start(): Promise<void>
  /** Calls `listener` with a queue's name whenever what people see of it changed. @returns stops it */
  onChange(listener: (queue: string) => void): () => void
  /** Answers all who wait with `unavailable`. Idempotent. */
  close(): Promise<void>
}

const PAGE = 1_000
/** A queue nobody used for this long gives up its memory. */
const IDLE_MS = 60_000

export function createTurnsService(options: TurnsServiceOptions): TurnsService {
  return new StoreTurns(options)
}

class StoreTurns implements TurnsService {
  readonly #options: TurnsServiceOptions
  readonly #actors = new Map<string, QueueActor>()
  readonly #registered = new Set<string>()
  readonly #listeners = new Set<(queue: string) => void>()
  readonly #elsewhere: Elsewhere | undefined
  /** Labels of holders last shown; a member's labels never change. */
  readonly #labels = new Map<string, Labels>()
  #sweep: Timer | undefined
  #closed = false

  constructor(options: TurnsServiceOptions) {
    this.#options = options
    if (options.shared === true) {
      const { clock, store } = options
      const changed = (queue: string): void => this.#changed(queue)
      this.#elsewhere = new Elsewhere({ clock, store, records: () => this.#controls(), changed })
    }
    this.#sweepLater()
  }

  async start(): Promise<void> {
    for (const queue of await this.#names()) {
      this.#registered.add(queue)
      const control = await this.#control(queue)
      if (control !== undefined && control.holders.length + control.window.length > 0) {
        await this.#actor(queue).submit({ kind: 'settle' })
      }
    }
  }

  onChange(listener: (queue: string) => void): () => void {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) this.#elsewhere?.start()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#elsewhere?.stop()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#sweep?.cancel()
    this.#elsewhere?.stop()
    for (const actor of this.#actors.values()) actor.close()
    this.#actors.clear()
  }

  async join(queue: string, request: JoinRequest, signal?: AbortSignal): Promise<MemberView> {
    const {
      id,
      permits,
      priority = DEFAULT_PRIORITY,
      ttlMs = DEFAULT_TTL_MS,
      labels = {},
      waitMs = 0,
    } = request
    const arrivedAt = this.#options.clock.monotonic()
    if (!this.#registered.has(queue)) await this.#register(queue)
    const wait = { waitMs, seenPosition: undefined, signal }
    const join = { id, permits, priority, ttlMs, labels }
    return this.#member(queue, { kind: 'join', id, join, wait }, arrivedAt)
  }

  wait(
    queue: string,
    id: string,
    request: { waitMs?: number; seenPosition?: number },
    signal?: AbortSignal,
  ): Promise<MemberView> {
    const wait = { waitMs: request.waitMs ?? 0, seenPosition: request.seenPosition, signal }
    return this.#member(queue, { kind: 'wait', id, wait })
  }

  async beat(queue: string, id: string, fence: number): Promise<{ elapsedMs: number }> {
    return (await this.#submit(queue, { kind: 'beat', id, fence })) as { elapsedMs: number }
  }

  async leave(queue: string, id: string, fence?: number): Promise<LeaveView> {
    return (await this.#submit(queue, { kind: 'leave', id, fence })) as LeaveView
  }

  async show(queue: string, options: { readonly limit?: number } = {}): Promise<QueueView> {
    const { store } = this.#options
    const record = await store.get(controlKey(queue))
    if (record === undefined) {
      throw unknownQueue(queue)
    }
    const control = record.value as unknown as Control
    const limit = Math.min(options.limit ?? 100, PAGE)
    const page = await store.list({ partition: linePartition(queue), from: decimalKey(0) }, { limit })
    const waiters = page.records.map((r) => r.value as unknown as Waiter)
    const labels = new Map<string, Labels>()
    for (const holder of control.holders) labels.set(holder.id, await this.#labelsOf(queue, holder.id))
    return queueView(queue, { ...emptyState, control }, waiters, page.next !== undefined, labels)
  }

  async list(
    options: { readonly limit?: number; readonly after?: string } = {},
  ): Promise<{ queues: QueueSummary[]; next?: string }> {
    const names = (await this.#names())
      .filter((name) => options.after === undefined || name > options.after)
      .sort()
    const limit = options.limit ?? 100
    const queues: QueueSummary[] = []
    for (const queue of names.slice(0, limit)) {
      const control = await this.#control(queue)
      if (control !== undefined) queues.push(summary(queue, control))
    }
    const last = names[limit - 1]
    return names.length > limit && last !== undefined ? { queues, next: last } : { queues }
  }

  async setState(queue: string, state: Control['state'], act: Act): Promise<{ changed: boolean }> {
    return (await this.#submit(queue, { kind: 'set', to: { state }, act: byWhom(act) })) as {
      changed: boolean
    }
  }

  async setPermits(queue: string, permits: number, act: Act): Promise<{ changed: boolean }> {
    if (!this.#registered.has(queue)) await this.#register(queue)
    return (await this.#submit(queue, { kind: 'set', to: { permits }, act: byWhom(act) })) as {
      changed: boolean
    }
  }

  async evict(queue: string, id: string, act: Act & { readonly force?: boolean }): Promise<EvictView> {
    return (await this.#submit(queue, {
      kind: 'remove',
      id,
      force: act.force === true,
      act: byWhom(act),
    })) as EvictView
  }

  async history(
    queue: string,
    options: { readonly limit?: number; readonly before?: number } = {},
  ): Promise<HistoryView> {
    const { limit = 50, before } = options
    if ((await this.#control(queue)) === undefined) throw unknownQueue(queue)
    const page = await this.#options.store.list(
      { partition: historyPartition(queue) },
      {
        limit: Math.min(limit, PAGE),
        reverse: true,
        ...(before === undefined ? {} : { after: decimalKey(before) }),
      },
    )
    const holds = page.records.map((r) => pastHoldView(r.value as unknown as PastHold))
    const last = holds.at(-1)
    return page.next === undefined || last === undefined ? { holds } : { holds, next: last.fence }
  }

  async #member(queue: string, command: Command, arrivedAt?: number): Promise<MemberView> {
    const view = (await this.#submit(queue, command, arrivedAt)) as MemberView
    if (view.holders.length === 0) return view
    // Far from the front the names of each new holder are not worth a request.
    const far = this.#options.serverless === true && command.kind === 'wait' && !view.inWindow
    const holders: MemberView['holders'] = []
    for (const holder of view.holders) {
      const labels = far ? this.#labels.get(holder.id) : await this.#labelsOf(queue, holder.id)
      holders.push({ ...holder, ...(labels === undefined ? {} : { labels }) })
    }
    return { ...view, holders }
  }

  #submit(queue: string, command: Command, arrivedAt?: number): Promise<Reply> {
    return this.#actor(queue).submit(command, arrivedAt)
  }

  #actor(queue: string): QueueActor {
    if (this.#closed) throw new SignalboxError('unavailable', 'the server is stopping; ask again')
    let actor = this.#actors.get(queue)
    if (actor === undefined) {
      const { store, clock, random, serverless = false, onEvent = () => {} } = this.#options
      const changed = (name: string): void => this.#changed(name)
      actor = new QueueActor(queue, { store, clock, random, serverless, emit: onEvent, changed })
      this.#actors.set(queue, actor)
    }
    return actor
  }

  #changed(queue: string): void {
    for (const listener of this.#listeners) listener(queue)
  }

  async #controls(): Promise<ReadonlyMap<string, Key>> {
    return new Map((await this.#names()).map((queue) => [queue, controlKey(queue)]))
  }

  async #control(queue: string): Promise<Control | undefined> {
    const record = await this.#options.store.get(controlKey(queue))
    return record?.value as unknown as Control | undefined
  }

  /** The queue's name goes into the registry before its first record; a name without records is not shown. */
  async #register(queue: string): Promise<void> {
    const { store } = this.#options
    for (let probe = 0, chances = 5; ;) {
      const key = registryKey(queue, probe)
      const found = await store.get(key)
      if (found === undefined) {
        try {
          const result = await store.commit([{ op: 'put', key, expect: 'absent', value: { queue } }])
          if (result.ok) break
        } catch (error) {
          if (!isSignalboxError(error, 'outcome_unknown') || --chances === 0) throw error
        }
      } else if ((found.value as { queue: string }).queue === queue) break
      else probe++
    }
    this.#registered.add(queue)
  }

  async #names(): Promise<string[]> {
    const names: string[] = []
    for (let after: string | undefined; ;) {
      const page = await this.#options.store.list(
        { partition: registryPartition },
        after === undefined ? { limit: PAGE } : { limit: PAGE, after },
      )
      for (const { value } of page.records) names.push((value as { queue: string }).queue)
      if (page.next === undefined) return names
      after = page.next
    }
  }

  async #labelsOf(queue: string, id: string): Promise<Labels> {
    const cached = this.#labels.get(id)
    if (cached !== undefined) return cached
    let record: StoredRecord | undefined
    try {
      record = await this.#options.store.get(memberKey(queue, id))
    } catch {
      return {} // display only: it must not fail an answer whose commit is done
    }
    const found = (record?.value as unknown as Member | undefined)?.labels ?? {}
    if (this.#labels.size > 10_000) this.#labels.clear()
    this.#labels.set(id, found)
    return found
  }

  #sweepLater(): void {
    const { clock } = this.#options
    this.#sweep = clock.timer(
      IDLE_MS,
      () => {
        const before = clock.monotonic() - IDLE_MS
        for (const [queue, actor] of this.#actors) {
          if (!actor.idle || actor.lastUsedAt > before) continue
          actor.close()
          this.#actors.delete(queue)
        }
        this.#sweepLater()
      },
      { unref: true },
    )
  }
}

function summary(queue: string, { permits, state, holders, waiting }: Control): QueueSummary {
  return { queue, permits, state, holding: holders.length, waiting }
}

function byWhom({ by = 'unknown', reason }: Act): ActBy {
  return { by, reason }
}
