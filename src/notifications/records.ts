/**
 * How notifications lie in the store. All keys are decimal, so that a table with a numeric range key can hold them.
 *
 *   signalbox:note:in:<0-3>        time → Notice, committed with what happened; or the end of a window
 *   signalbox:note:message         id   → Message: the point of decision; what is given up is kept for 30 days
 *   signalbox:note:out:<channel>   time → Out: when to try which message
 *   signalbox:note:given-up        time → Out: what is not tried any more
 *   signalbox:note:lane            hash → Lane: what a channel was told about one schedule or job (folding.ts)
 *   signalbox:note:streak          hash → Streak: ends since the last success
 *   signalbox:note:channel         hash → the name of each channel that was ever configured
 *   signalbox:note:wanted          0    → what servers want to hear of (wanted.ts)
 *
 * Times are milliseconds · 100 and a number that keeps those of one instant apart. All of one subject is in one partition of
 * `in`, so that it is taken in the order in which it was committed.
 */
import type { Random } from '../kernel/id.ts'
import { keyHash } from '../ports/key-hash.ts'
import { decimalKey, type Change, type Json, type Key } from '../ports/store.ts'
import type { Event, Streak } from './event.ts'
import type { Lane } from './folding.ts'
import { subjectOf, type Notice } from './notice.ts'

export const SHARDS = 4
const KEYS_PER_MS = 100
const DAY_MS = 86_400_000
/** By so much keys may run ahead in a burst. */
const MAX_AHEAD_MS = 2_000
/** A notice that nobody took for so long is forgotten: notifications are switched off. */
const NOTICE_KEPT_MS = 7 * DAY_MS
export const GIVEN_UP_KEPT_MS = 30 * DAY_MS
/** A streak is forgotten when the success that ends it does not come. */
const STREAK_KEPT_MS = 400 * DAY_MS

export interface WindowEnd {
  readonly kind: 'window_end'
  readonly channel: string
  readonly subject: string
}

export interface Message {
  readonly id: string
  readonly channel: string
  readonly event: Event
  readonly createdAt: number
  /** From when the time counts after which it is given up. */
  readonly since: number
  readonly tries: number
  /** Its key in `out`, or else in `given-up`. */
  readonly due?: number
  readonly givenUp?: number
  readonly lastError?: string
  /** Of the same lane; goes first. */
  readonly behind?: string
}

export interface Out {
  readonly id: string
  readonly since: number
}

export const inPartition = (subject: string): string => `signalbox:note:in:${keyHash(subject) % SHARDS}`
export const inPartitions: readonly string[] = Array.from(
  { length: SHARDS },
  (_, i) => `signalbox:note:in:${i}`,
)
export const outPartition = (channel: string): string => `signalbox:note:out:${channel}`
export const GIVEN_UP = 'signalbox:note:given-up'
export const STREAKS = 'signalbox:note:streak'
export const CHANNELS = 'signalbox:note:channel'
export const messageKey = (id: string): Key => ['signalbox:note:message', id]
export const outKey = (channel: string, at: number): Key => [outPartition(channel), decimalKey(at)]
export const givenUpKey = (at: number): Key => [GIVEN_UP, decimalKey(at)]
export const laneKey = (channel: string, subject: string): Key => [
  'signalbox:note:lane',
  decimalKey(keyHash(`${channel} ${subject}`)),
]
export const streakKey = (subject: string): Key => [STREAKS, decimalKey(keyHash(subject))]
export const channelKey = (name: string): Key => [CHANNELS, decimalKey(keyHash(name))]

/** The same event to the same channel is the same message. */
export const messageId = (event: Event, channel: string): string =>
  decimalKey(keyHash(`${event.id} ${channel}`))

/** The first key of this instant. */
export const keyAt = (ms: number): number => Math.floor(ms) * KEYS_PER_MS
export const msOf = (key: number): number => Math.floor(key / KEYS_PER_MS)

/** Keys that grow with each call, so that what was made later stands later. */
export class Keys {
  readonly #random: Random
  #last = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** For now. After a clock was set back they begin anew, for what lies in the future is not looked at. */
  next(ms: number): number {
    const own = this.at(ms)
    this.#last = this.#last - own > MAX_AHEAD_MS * KEYS_PER_MS ? own : Math.max(own, this.#last + 1)
    return this.#last
  }

  /** For another time. */
  at(ms: number): number {
    return keyAt(ms) + Math.floor(this.#random.next() * KEYS_PER_MS)
  }
}

export function noticeChange(notice: Notice, key: number): Change {
  return {
    op: 'put',
    key: [inPartition(subjectOf(notice)), decimalKey(key)],
    expect: 'absent',
    value: asJson(notice),
    expiresAt: msOf(key) + NOTICE_KEPT_MS,
  }
}

export function windowEndChange({ channel, subject }: Lane, key: number): Change {
  const value: WindowEnd = { kind: 'window_end', channel, subject }
  return { op: 'put', key: [inPartition(subject), decimalKey(key)], expect: 'absent', value: asJson(value) }
}

export function streakChange(streak: Streak, expect: Change['expect'], now: number): Change {
  const expiresAt = now + STREAK_KEPT_MS
  return { op: 'put', key: streakKey(streak.subject), expect, value: asJson(streak), expiresAt }
}

/** @param keptMs how long what follows may have to wait for the last message */
export function laneChange(lane: Lane, expect: Change['expect'], now: number, keptMs: number): Change {
  const expiresAt = Math.max(now, lane.window?.until ?? 0) + keptMs
  return { op: 'put', key: laneKey(lane.channel, lane.subject), expect, value: asJson(lane), expiresAt }
}

export function outChange({ id, channel, since }: Message, due: number): Change {
  return { op: 'put', key: outKey(channel, due), expect: 'absent', value: asJson({ id, since }) }
}

export function messageChange(message: Message, expect: Change['expect']): Change {
  const { givenUp } = message
  const kept = givenUp === undefined ? {} : { expiresAt: msOf(givenUp) + GIVEN_UP_KEPT_MS }
  return { op: 'put', key: messageKey(message.id), expect, value: asJson(message), ...kept }
}

/** Records are plain JSON; interfaces lack the index signature that `Json` asks for. */
export function asJson(value: Notice | WindowEnd | Message | Out | Lane | Streak): Json {
  return JSON.parse(JSON.stringify(value)) as Json
}
