/**
 * The notifications service: notices for the commits of others, and in the background of every server taking them (intake.ts) and
 * delivering what comes of them (courier.ts). Any number of services may work on one store. Without a channel it does nothing.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import type { Change, Store } from '../ports/store.ts'
import type { NotificationsApi } from './api.ts'
import { Courier, type CourierEvent } from './courier.ts'
import { Desk } from './desk.ts'
import type { Links } from './event.ts'
import { takeAll, type IntakeContext } from './intake.ts'
import type { Notice } from './notice.ts'
import { Keys, noticeChange } from './records.ts'
import { channelNames, noteChannels } from './registry.ts'
import type { OwnNotify } from './rules.ts'
import type { Channel } from './sending.ts'
import type { NotificationRule } from './vocabulary.ts'
import { isWanted, openStreaks, sayNothingWanted, sayWanted } from './wanted.ts'

export interface NotificationsServiceOptions extends Links {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly channels: readonly Channel[]
  readonly rules: readonly NotificationRule[]
  /** What a schedule says itself; undefined: the rules count. */
  readonly scheduleNotify?: (schedule: string) => Promise<OwnNotify | undefined>
  /** Repeats within this time are told as one; 0: each is told. Default 1 h. */
  readonly foldForMs?: number
  /** What could not be delivered for so long is given up. Default 3 days. */
  readonly giveUpAfterMs?: number
  /** How often what is new or due is looked for. Default 2 s. */
  readonly pollMs?: number
  /** For metrics and logs. Must not throw. */
  readonly onEvent?: (event: NotificationsEvent) => void
}

export type NotificationsEvent =
  | CourierEvent
  | { readonly kind: 'counted'; readonly channel: string }
  | { readonly kind: 'unknown_channel'; readonly channel: string; readonly about: string }

export interface NotificationsService extends NotificationsApi {
  /** What tells of this, for the commit of what happened; nothing if nobody wants to know. Call it anew for each attempt. */
  changesFor(notice: Notice): readonly Change[]
  start(): Promise<void>
  /** What is on its way may arrive for a moment. */
  close(): Promise<void>
}

const HOUR_MS = 3_600_000
const POLL_MS = 2_000
/** How often this server learns what others know. */
const LEARN_EVERY_MS = 60_000

export function createNotificationsService(options: NotificationsServiceOptions): NotificationsService {
  return new StoreNotifications(options)
}

class StoreNotifications implements NotificationsService {
  readonly #options: NotificationsServiceOptions
  readonly #keys: Keys
  readonly #onEvent: (event: NotificationsEvent) => void
  readonly #couriers = new Map<string, Courier>()
  /** Of channels that are not configured here any more. */
  readonly #left = new Map<string, Courier>()
  readonly #desk: Desk
  readonly #intake: IntakeContext
  /** Subjects whose streak is open, as far as this server knows. */
  #streaks = new Set<string>()
  #learntAt = Number.NEGATIVE_INFINITY
  #timer: Timer | undefined
  #round: Promise<void> | undefined
  #closed = false

  constructor(options: NotificationsServiceOptions) {
    this.#options = options
    const {
      store,
      clock,
      random,
      channels,
      rules,
      giveUpAfterMs = 72 * HOUR_MS,
      foldForMs = HOUR_MS,
    } = options
    const { scheduleNotify = async () => undefined, onEvent = () => undefined } = options
    this.#keys = new Keys(random)
    this.#onEvent = onEvent
    const couriers = { store, clock, random, keys: this.#keys, giveUpAfterMs, onEvent }
    for (const { name, send, tryMs } of channels)
      this.#couriers.set(name, new Courier(couriers, name, send, tryMs))
    this.#desk = new Desk({
      store,
      clock,
      random,
      keys: this.#keys,
      channels,
      couriers: this.#couriers,
      links: options,
    })
    this.#intake = {
      store,
      keys: this.#keys,
      rules,
      channels: new Set(channels.map(({ name }) => name)),
      foldForMs,
      laneKeptMs: giveUpAfterMs + HOUR_MS,
      scheduleNotify,
      taken: (subject, streak, messages) => {
        if (streak === 'open') this.#streaks.add(subject)
        if (streak === 'over') this.#streaks.delete(subject)
        for (const channel of new Set(messages.map((message) => message.channel)))
          this.#couriers.get(channel)?.look()
      },
      failed: (error) => onEvent({ kind: 'round_failed', error }),
      counted: (channel) => onEvent({ kind: 'counted', channel }),
      unknownChannel: (channel, about) => onEvent({ kind: 'unknown_channel', channel, about }),
    }
  }

  changesFor(notice: Notice): readonly Change[] {
    const { channels, rules } = this.#options
    if (channels.length === 0 || !isWanted(notice, rules, this.#streaks)) return []
    return [noticeChange(notice, this.#keys.next(this.#options.store.now().ms))]
  }

  channels: NotificationsApi['channels'] = () => this.#desk.channels()
  list: NotificationsApi['list'] = (filter) => this.#desk.list(filter)
  get: NotificationsApi['get'] = (id) => this.#desk.get(id)
  retry: NotificationsApi['retry'] = (id, options) => this.#desk.retry(id, options)
  discard: NotificationsApi['discard'] = (id, options) => this.#desk.discard(id, options)
  test: NotificationsApi['test'] = (channel, options) => this.#desk.test(channel, options)

  async start(): Promise<void> {
    if (this.#closed || this.#timer !== undefined) return
    const { channels, rules, store } = this.#options
    const none = channels.length === 0
    // Workers that start together with this server read it at once. What fails is done again with the first round.
    await (none ? sayNothingWanted(store) : sayWanted(store, rules)).catch((error: unknown) =>
      this.#onEvent({ kind: 'round_failed', error }),
    )
    if (!none) this.#next(0)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#round
    await Promise.all([...this.#couriers.values(), ...this.#left.values()].map((courier) => courier.close()))
  }

  #next(inMs: number): void {
    if (this.#closed) return
    const begin = (): void => {
      this.#round = this.#go().finally(() => this.#next(this.#options.pollMs ?? POLL_MS))
    }
    this.#timer = this.#options.clock.timer(inMs, begin, { unref: true })
  }

  async #go(): Promise<void> {
    try {
      if (this.#options.clock.monotonic() - this.#learntAt >= LEARN_EVERY_MS) await this.#learn()
      await takeAll(this.#intake)
    } catch (error) {
      this.#onEvent({ kind: 'round_failed', error })
    }
    for (const courier of this.#couriers.values()) courier.look()
  }

  /** What others know: streaks, and channels that are not configured here any more. */
  async #learn(): Promise<void> {
    const { store, clock, random, giveUpAfterMs = 72 * HOUR_MS } = this.#options
    if (this.#learntAt < 0) await noteChannels(store, [...this.#intake.channels])
    const context = { store, clock, random, keys: this.#keys, giveUpAfterMs, onEvent: this.#onEvent }
    for (const name of await channelNames(store)) {
      if (this.#couriers.has(name)) continue
      const courier = this.#left.get(name) ?? new Courier(context, name)
      this.#left.set(name, courier)
      courier.look()
    }
    this.#streaks = await openStreaks(store)
    await sayWanted(store, this.#options.rules)
    this.#learntAt = clock.monotonic()
  }
}
