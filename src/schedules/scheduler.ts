/**
 * The loop that looks at what is due. Any number of servers run it on one store; none leads.
 *
 * - A look reads the heads of the shards of `due`, so it costs what is due, not what there is.
 * - What is due is seen to in random order, so that servers that wake at the same second meet seldom, and many at once, so that a store
 *   that groups commits can.
 * - It sleeps until something is due, at most `pollMs`, for another server may have died over what it knew of.
 * - A schedule that cannot be seen to, or a shard that cannot be read, is tried again, later each time; it keeps none of the others waiting.
 */
import { backoffDelay } from '../kernel/backoff.ts'
import type { Timer } from '../kernel/clock.ts'
import { claim } from './claim.ts'
import type { Context } from './context.ts'
import type { HeldRuns } from './held.ts'
import { dueKey, dueKeyAt, duePartition, DUE_SHARDS, timeOfDue } from './records.ts'

export interface SchedulerOptions {
  readonly context: Context
  readonly held: HeldRuns
  readonly pollMs: number
  /** False: only held runs are looked after. */
  readonly fires: boolean
}

interface Due {
  readonly name: string
  readonly key: number
  readonly version: string
}

interface Rest {
  readonly until: number
  /** Times that it failed in a row. */
  readonly tries: number
  /** The record in `due` at which there was nothing to see to. */
  readonly idleAt?: number
}

/** What is not due is read only to know when the first of it will be. */
const HEAD = 4
const PAGE = 200
/** Names a look takes from one shard; the next one takes more. */
const MAX_TAKEN = 2_000
const AT_ONCE = 64
const BACKOFF = { baseMs: 1_000, maxMs: 60_000 }
const MAX_RESTING = 10_000
/** After a look that failed; twice as long after each more. */
const LOOK_AGAIN_MS = 100

export class Scheduler {
  readonly #options: SchedulerOptions
  #timer: Timer | undefined
  /** When the timer fires, by the store's clock. */
  #wakeAt = Infinity
  #looking: Promise<void> | undefined
  #lookAgain = false
  #closed = false
  #started = false
  #queue: Due[] = []
  /** Looks in a row that could not read all shards. */
  #failures = 0
  /** Shards hold more that is due than was taken. */
  #more = false
  /** Queued or being seen to. */
  readonly #busy = new Set<string>()
  readonly #running = new Set<Promise<void>>()
  /** What is left alone until some time (monotonic), and why. */
  readonly #resting = new Map<string, Rest>()
  #heldPolledAt = -Infinity
  #polling: Promise<void> | undefined

  constructor(options: SchedulerOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#started || this.#closed) return
    this.#started = true
    this.#look()
  }

  /** Waits for what is being seen to. */
  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    this.#queue = []
    await this.#looking
    await this.#polling
    await Promise.all(this.#running)
  }

  /** Something is due then. */
  expect(at: number): void {
    if (at < this.#wakeAt) this.#sleepUntil(at)
  }

  #now(): number {
    return this.#options.context.store.now().ms
  }

  #sleepUntil(at: number): void {
    if (this.#closed || !this.#started) return
    this.#timer?.cancel()
    this.#wakeAt = at
    // At least a little, so that no clock makes it spin.
    const ms = Math.max(1, Math.ceil(at - this.#now()))
    this.#timer = this.#options.context.clock.timer(ms, () => this.#look(), { unref: true })
  }

  #look(): void {
    if (this.#closed) return
    if (this.#looking !== undefined) {
      this.#lookAgain = true
      return
    }
    this.#wakeAt = Infinity
    this.#pollHeld()
    this.#looking = this.#lookOnce().finally(() => {
      this.#looking = undefined
      if (this.#lookAgain) {
        this.#lookAgain = false
        this.#look()
      }
    })
  }

  async #lookOnce(): Promise<void> {
    const { context, pollMs, fires } = this.#options
    this.#sleepUntil(this.#now() + pollMs)
    if (!fires) return
    const shards = Array.from({ length: DUE_SHARDS }, (_, shard) => this.#dueIn(shard))
    const looks = await Promise.allSettled(shards)
    // A shard that could not be read keeps none of the others waiting.
    const found = looks.filter((look) => look.status === 'fulfilled').map(({ value }) => value)
    this.#take(found.flatMap(({ due }) => due))
    for (const { nextAt } of found) if (nextAt !== undefined) this.expect(nextAt)
    const failed = looks.find((look) => look.status === 'rejected')
    this.#failures = failed === undefined ? 0 : this.#failures + 1
    if (failed === undefined || this.#closed) return
    this.expect(this.#now() + Math.min(pollMs, LOOK_AGAIN_MS * 2 ** Math.min(this.#failures, 10)))
    context.event({ kind: 'failed', error: failed.reason })
  }

  /** What is due in one shard and nobody here sees to, and when there will be more. */
  async #dueIn(shard: number): Promise<{ readonly due: readonly Due[]; readonly nextAt?: number }> {
    const { store, clock } = this.#options.context
    const end = dueKeyAt(this.#now(), 0) + dueKeyAt(1_000, 0)
    const due: Due[] = []
    let after: string | undefined
    let limit = HEAD
    do {
      const page = await store.list(
        { partition: duePartition(shard) },
        { limit, ...(after === undefined ? {} : { after }) },
      )
      limit = PAGE
      for (const { key, version, value } of page.records) {
        const { name } = value as { readonly name: string }
        const number = Number(key[1])
        if (number >= end) return { due, nextAt: timeOfDue(number) }
        const rest = this.#resting.get(name)
        const rests =
          rest !== undefined && rest.until > clock.monotonic() && (rest.idleAt ?? number) === number
        if (!this.#busy.has(name) && !rests) due.push({ name, key: number, version })
        if (due.length >= MAX_TAKEN) {
          this.#more = true
          return { due }
        }
      }
      after = page.next
    } while (after !== undefined && !this.#closed)
    return { due }
  }

  #take(due: readonly Due[]): void {
    if (this.#closed) return
    for (const one of due) {
      if (this.#busy.has(one.name)) continue
      this.#busy.add(one.name)
      this.#queue.push(one)
    }
    shuffle(this.#queue, () => this.#options.context.random.next())
    this.#pump()
  }

  #pump(): void {
    while (this.#running.size < AT_ONCE) {
      const next = this.#queue.pop()
      if (next === undefined) break
      const running = this.#seeTo(next).finally(() => {
        this.#running.delete(running)
        this.#busy.delete(next.name)
        this.#pump()
      })
      this.#running.add(running)
    }
    if (this.#more && this.#queue.length === 0 && !this.#closed) {
      this.#more = false
      this.#look()
    }
  }

  /** Never throws. */
  async #seeTo({ name, key, version }: Due): Promise<void> {
    const { context, pollMs } = this.#options
    const rest = this.#resting.get(name)
    try {
      const claimed = await claim(context, name)
      if (claimed.kind === 'moved') {
        this.#resting.delete(name)
        return
      }
      const stale = claimed.kind === 'gone' || claimed.due !== key
      // Another server saw to it first, mostly. A record that is found again is left over from nobody knows what.
      if (stale && rest?.idleAt === key) {
        await context.store.commit([{ op: 'delete', key: dueKey(name, key), expect: { version } }])
      }
      this.#rest(name, { until: pollMs, tries: 0, idleAt: key })
    } catch (error) {
      if (this.#closed) return
      const tries = (rest?.tries ?? 0) + 1
      const delayMs = BACKOFF.baseMs / 2 + backoffDelay(BACKOFF, tries - 1, context.random)
      this.#rest(name, { until: delayMs, tries })
      this.expect(this.#now() + delayMs)
      context.event({ kind: 'failed', schedule: name, error })
    }
  }

  /** @param rest `until`: for so long */
  #rest(name: string, rest: Rest): void {
    const now = this.#options.context.clock.monotonic()
    if (this.#resting.size >= MAX_RESTING) {
      for (const [old, { until }] of this.#resting) if (until <= now) this.#resting.delete(old)
    }
    this.#resting.set(name, { ...rest, until: now + rest.until })
  }

  #pollHeld(): void {
    const { context, held, pollMs } = this.#options
    const now = context.clock.monotonic()
    if (this.#polling !== undefined || now - this.#heldPolledAt < pollMs) return
    this.#heldPolledAt = now
    this.#polling = held
      .poll()
      .catch((error: unknown) => {
        if (!this.#closed) context.event({ kind: 'failed', error })
      })
      .finally(() => {
        this.#polling = undefined
      })
  }
}

function shuffle(list: Due[], random: () => number): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const [a, b] = [list[i] as Due, list[j] as Due]
    list[i] = b
    list[j] = a
  }
}
