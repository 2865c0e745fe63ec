/**
 * What servers want to hear of, for processes that change runs without being a server: workers on the store itself. A server with
 * channels keeps its rules in a record, one without takes it away; the others read it now and then.
 *
 *   signalbox:note:wanted  0 → Wanted; forgotten a week after the last server with channels
 */
import { sleep, type Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import { decimalKey, type Change, type Json, type Key, type Store } from '../ports/store.ts'
import type { Streak } from './event.ts'
import { isBad, subjectOf, type Notice } from './notice.ts'
import { Keys, noticeChange, STREAKS } from './records.ts'
import { allRecords } from './registry.ts'
import { channelsFor } from './rules.ts'
import type { NotificationRule } from './vocabulary.ts'

interface Wanted {
  readonly rules: readonly NotificationRule[]
  readonly saidAt: number
}

const WANTED: Key = ['signalbox:note:wanted', decimalKey(0)]
const DAY_MS = 86_400_000
const KEPT_MS = 7 * DAY_MS
const READ_EVERY_MS = 30_000

/**
 * What a schedule says itself is only known later; so all of its notices are wanted.
 * @param open subjects of which a success ends a streak
 */
export function isWanted(
  notice: Notice,
  rules: readonly NotificationRule[],
  open: ReadonlySet<string>,
): boolean {
  if (notice.schedule !== undefined) return true
  const { kind } = notice
  const recovers = channelsFor(rules, notice, 'recovered').length > 0
  if (kind === 'succeeded') return recovers && open.has(subjectOf(notice))
  return channelsFor(rules, notice, kind).length > 0 || (recovers && isBad(kind))
}

/** May be repeated; writes when the rules changed, and once a day. */
export async function sayWanted(store: Store, rules: readonly NotificationRule[]): Promise<void> {
  const now = Math.floor(store.now().ms)
  const record = await store.get(WANTED)
  const said = record?.value as unknown as Wanted | undefined
  const same = JSON.stringify(said?.rules) === JSON.stringify(rules)
  if (same && Math.abs(now - (said?.saidAt ?? 0)) < DAY_MS) return
  const value = JSON.parse(JSON.stringify({ rules, saidAt: now } satisfies Wanted)) as Json
  const expect = record === undefined ? 'absent' : { version: record.version }
  // Another server that says it at the same time says the same.
  await store.commit([{ op: 'put', key: WANTED, expect, value, expiresAt: now + KEPT_MS }])
}

/** Nobody is notified any more. */
export async function sayNothingWanted(store: Store): Promise<void> {
  const record = await store.get(WANTED)
  if (record === undefined) return
  await store.commit([{ op: 'delete', key: WANTED, expect: { version: record.version } }])
}

/** The subjects whose streak is open. */
export async function openStreaks(store: Store): Promise<Set<string>> {
  const open = new Set<string>()
  for await (const { value } of allRecords(store, STREAKS)) open.add((value as unknown as Streak).subject)
  return open
}

export interface NoticeWriterOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
}

/** Notices for the commits of a process that is no server. */
export class NoticeWriter {
  readonly #options: NoticeWriterOptions
  readonly #keys: Keys
  readonly #ended = new AbortController()
  #rules: readonly NotificationRule[] | undefined
  #open: ReadonlySet<string> = new Set()
  #reading: Promise<void> | undefined

  constructor(options: NoticeWriterOptions) {
    this.#options = options
    this.#keys = new Keys(options.random)
  }

  /** Does anybody want to hear of anything, as far as is known? */
  get isHeard(): boolean {
    return this.#rules !== undefined
  }

  /** Nothing if nobody wants to know. Call it anew for each attempt of a commit. */
  changesFor(notice: Notice): readonly Change[] {
    if (this.#rules === undefined || !isWanted(notice, this.#rules, this.#open)) return []
    return [noticeChange(notice, this.#keys.next(this.#options.store.now().ms))]
  }

  /** Reads what is wanted, and goes on doing so until it is closed. @throws what the store throws the first time */
  async start(): Promise<void> {
    await this.#read()
    this.#reading = this.#goOn()
  }

  async close(): Promise<void> {
    this.#ended.abort()
    await this.#reading
  }

  async #goOn(): Promise<void> {
    const { clock } = this.#options
    const { signal } = this.#ended
    while (!signal.aborted) {
      await sleep(clock, READ_EVERY_MS, signal).catch(() => undefined)
      // What was read last counts until the store answers again.
      if (!signal.aborted) await this.#read().catch(() => undefined)
    }
  }

  async #read(): Promise<void> {
    const { store } = this.#options
    const record = await store.get(WANTED)
    this.#rules = (record?.value as unknown as Wanted | undefined)?.rules
    this.#open = this.#rules === undefined ? new Set() : await openStreaks(store)
  }
}
