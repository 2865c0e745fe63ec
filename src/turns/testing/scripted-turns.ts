/**
 * A `TurnsApi` for tests that does what it is told, call by call, and keeps a list of what it was asked. Nothing is
 * sent anywhere; delays are the manual clock's.
 */
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError, type ErrorCode } from '../../kernel/error.ts'
import type {
  EvictView,
  HistoryView,
  JoinRequest,
  LeaveView,
  MemberView,
  QueueView,
  TurnsApi,
  TurnsOperations,
  WaitRequest,
} from '../api.ts'

export type Operation = 'join' | 'wait' | 'beat' | 'leave'

export interface RecordedCall {
  readonly op: Operation
  /** Monotonic ms. */
  readonly at: number
  readonly queue: string
  readonly id: string
  readonly fence?: number | undefined
  readonly request?: JoinRequest | WaitRequest
}

/** What one call does. */
export type Behaviour = (signal: AbortSignal | undefined) => Promise<unknown>

export class ScriptedTurns implements TurnsApi, TurnsOperations {
  readonly calls: RecordedCall[] = []
  readonly queues: QueueView[] = []
  /** What operators asked for: the operation, the queue and the rest. */
  readonly acts: (readonly [string, string, ...unknown[]])[] = []
  past: HistoryView = { holds: [] }
  readonly #clock: Clock
  readonly #scripts: Record<Operation, Behaviour[]>

  constructor(clock: Clock) {
    this.#clock = clock
    this.#scripts = {
      join: [this.answer(member({ state: 'holding', fence: 7, position: 0 }))],
      wait: [this.hang()],
      beat: [this.answer({ elapsedMs: 0 })],
      leave: [this.answer({ outcome: 'released' })],
    }
  }

  async setState(...call: Parameters<TurnsOperations['setState']>): Promise<{ changed: boolean }> {
    this.acts.push(['setState', ...call])
    return { changed: true }
  }

  async setPermits(...call: Parameters<TurnsOperations['setPermits']>): Promise<{ changed: boolean }> {
    this.acts.push(['setPermits', ...call])
    return { changed: true }
  }

  async evict(...call: Parameters<TurnsOperations['evict']>): Promise<EvictView> {
    this.acts.push(['evict', ...call])
    return { outcome: 'ending' }
  }

  async history(...call: Parameters<TurnsOperations['history']>): Promise<HistoryView> {
    this.acts.push(['history', ...call])
    return this.past
  }

  /** The next calls of `op` behave like this, one after the other; the last goes on. */
  on(op: Operation, ...behaviours: readonly Behaviour[]): this {
    this.#scripts[op] = [...behaviours]
    return this
  }

  /** When calls of `op` were made, monotonic ms. */
  times(op: Operation): number[] {
    return this.calls.filter((call) => call.op === op).map(({ at }) => at)
  }

  answer(value: object, afterMs = 0): Behaviour {
    return this.#later(afterMs, (resolve) => resolve(value))
  }

  fail(code: ErrorCode, afterMs = 0): Behaviour {
    return this.#later(afterMs, (_, reject) => reject(new SignalboxError(code, `scripted ${code}`)))
  }

  /** Never answers, not even to its signal. */
  hang(): Behaviour {
    return () => new Promise(() => undefined)
  }

  join(queue: string, request: JoinRequest, signal?: AbortSignal): Promise<MemberView> {
    return this.#call({ op: 'join', queue, id: request.id, request }, signal)
  }

  wait(queue: string, id: string, request: WaitRequest, signal?: AbortSignal): Promise<MemberView> {
    return this.#call({ op: 'wait', queue, id, request }, signal)
  }

  beat(queue: string, id: string, fence: number, signal?: AbortSignal): Promise<{ elapsedMs: number }> {
    return this.#call({ op: 'beat', queue, id, fence }, signal)
  }

  leave(queue: string, id: string, fence?: number, signal?: AbortSignal): Promise<LeaveView> {
    return this.#call({ op: 'leave', queue, id, fence }, signal)
  }

  async show(queue: string): Promise<QueueView> {
    const view = this.queues.find((known) => known.queue === queue)
    if (view === undefined) throw new SignalboxError('not_found', `queue '${queue}': unknown`)
    return view
  }

  async list(_options?: Parameters<TurnsApi['list']>[0]): ReturnType<TurnsApi['list']> {
    const queues = this.queues.map(({ queue, permits, state, holders, waiters }) => ({
      queue,
      permits,
      state,
      holding: holders.length,
      waiting: waiters.length,
    }))
    return { queues }
  }

  #later(
    afterMs: number,
    settle: (resolve: (value: object) => void, reject: (error: Error) => void) => void,
  ): Behaviour {
    return () =>
      new Promise((resolve, reject) => {
        if (afterMs === 0) settle(resolve, reject)
        else this.#clock.timer(afterMs, () => settle(resolve, reject))
      })
  }

  async #call<T>(call: Omit<RecordedCall, 'at'>, signal: AbortSignal | undefined): Promise<T> {
    this.calls.push({ ...call, at: this.#clock.monotonic() })
    const script = this.#scripts[call.op]
    const behaviour = script.length > 1 ? script.shift() : script[0]
    if (behaviour === undefined) throw new Error(`no script for ${call.op}`)
    return (await behaviour(signal)) as T
  }
}

/** A member as an answer shows it: waiting at position 2 unless told otherwise. */
export function member(facts: Partial<MemberView> = {}): MemberView {
  return {
    queue: 'deploy',
    id: 'member-0001',
    state: 'waiting',
    ticket: 12,
    priority: 50,
    permits: 1,
    ttlMs: 45_000,
    position: 2,
    positionExact: true,
    inWindow: true,
    pollMs: 5_000,
    holders: [],
    elapsedMs: 0,
    ...facts,
  }
}
