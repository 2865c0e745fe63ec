/** What people see of messages to channels, and do with them. Changes come with their audit entry in one commit. */
import { attempt } from '../kernel/attempt.ts'
import type { Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError, toSignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { auditChange } from '../ports/audit.ts'
import type { Change, Store, StoredRecord } from '../ports/store.ts'
import type { DeliveryFilter } from './api.ts'
import type { Courier } from './courier.ts'
import { iso, textOf, typeOf, viewOf, type Event, type Links } from './event.ts'
import { moved } from './messages.ts'
import { GIVEN_UP, messageKey, msOf, outPartition, type Keys, type Message, type Out } from './records.ts'
import { channelNames } from './registry.ts'
import type { Channel } from './sending.ts'
import type { ChannelView, DeliveryList, DeliveryRow, DeliveryView, TestAnswer } from './vocabulary.ts'

export interface DeskOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly keys: Keys
  readonly channels: readonly Channel[]
  readonly couriers: ReadonlyMap<string, Courier>
  readonly links: Links
}

const DEFAULT_LIMIT = 50
const COUNTED = 1_000
const CHANCES = 10
const AT_ONCE = 50
const TEST_MS = 10_000

export class Desk {
  readonly #options: DeskOptions

  constructor(options: DeskOptions) {
    this.#options = options
  }

  async channels(): Promise<readonly ChannelView[]> {
    const { store, clock, channels, couriers } = this.#options
    const configured = new Map(channels.map((channel) => [channel.name, channel]))
    const names = new Set([...configured.keys(), ...(await channelNames(store))])
    const views = await Promise.all(
      [...names].map(async (name): Promise<ChannelView> => {
        const { records } = await store.list({ partition: outPartition(name) }, { limit: COUNTED })
        const { type, target } = configured.get(name) ?? {}
        const failing = couriers.get(name)?.failing
        return {
          name,
          ...(type === undefined || target === undefined ? {} : { type, target }),
          waiting: records.length,
          ...(failing === undefined
            ? {}
            : {
                failing: {
                  since: iso(failing.since),
                  error: failing.error,
                  nextTryAt: iso(store.now().ms + Math.max(0, failing.pausedUntil - clock.monotonic())),
                },
              }),
        }
      }),
    )
    return views
      .filter(({ type, waiting }) => type !== undefined || waiting > 0)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async list({
    state = 'pending',
    channel,
    limit = DEFAULT_LIMIT,
  }: DeliveryFilter = {}): Promise<DeliveryList> {
    const page = state === 'pending' ? await this.#waiting(channel) : await this.#givenUp()
    const left = [...page]
    const fitting: DeliveryRow[] = []
    while (left.length > 0 && fitting.length <= limit) {
      const found = await Promise.all(
        left.splice(0, AT_ONCE).map(({ value }) => this.#find((value as unknown as Out).id)),
      )
      const rows = found.flatMap((one) => (one === undefined ? [] : [rowOf(one.message)]))
      fitting.push(
        ...rows.filter((row) => row.state === state && (channel === undefined || row.channel === channel)),
      )
    }
    return { deliveries: fitting.slice(0, limit), more: fitting.length > limit }
  }

  async get(id: string): Promise<DeliveryView> {
    return this.#view((await this.#read(id)).message)
  }

  async retry(id: string, { by }: { readonly by: string }): Promise<DeliveryView> {
    const message = await this.#change(id, { by, action: 'notifications.retry' }, (before, now) => {
      const { givenUp: _, ...rest } = before
      return { ...rest, due: this.#options.keys.next(now), since: now, tries: 0 }
    })
    this.#options.couriers.get(message.channel)?.hope()
    return this.#view(message)
  }

  async discard(id: string, { by }: { readonly by: string }): Promise<void> {
    const { channel } = await this.#change(id, { by, action: 'notifications.discard' }, () => undefined)
    this.#options.couriers.get(channel)?.look() // something may have waited for it
  }

  async test(channel: string, { by }: { readonly by: string }): Promise<TestAnswer> {
    const { channels, store, clock, random } = this.#options
    const found = channels.find(({ name }) => name === channel)
    if (found === undefined) throw noChannel(channel)
    await store.commit([this.#audit('notifications.test', channel, by)])
    const began = clock.monotonic()
    const now = Math.floor(store.now().ms)
    const event: Event = { id: `evt_${random.id()}`, kind: 'test', at: now, job: 'test', by }
    const sent = await attempt({ clock, boundMs: TEST_MS }, (signal) => found.send(event, now, signal)).catch(
      (error: unknown) => ({ ok: false, error: toSignalboxError(error).message }) as const,
    )
    const ms = Math.round(clock.monotonic() - began)
    if (sent.ok) this.#options.couriers.get(channel)?.hope()
    return sent.ok ? { delivered: true, ms } : { delivered: false, error: sent.error, ms }
  }

  async #waiting(channel: string | undefined): Promise<readonly StoredRecord[]> {
    const { store } = this.#options
    const names = channel === undefined ? (await this.channels()).map(({ name }) => name) : [channel]
    const pages = await Promise.all(
      names.map((name) => store.list({ partition: outPartition(name) }, { limit: COUNTED })),
    )
    return pages.flatMap(({ records }) => records).sort((a, b) => (a.key[1] < b.key[1] ? -1 : 1))
  }

  async #givenUp(): Promise<readonly StoredRecord[]> {
    const { store } = this.#options
    return (await store.list({ partition: GIVEN_UP }, { limit: COUNTED, reverse: true })).records
  }

  /** @param change undefined: delete it */
  async #change(
    id: string,
    { by, action }: { readonly by: string; readonly action: string },
    change: (message: Message, now: number) => Message | undefined,
  ): Promise<Message> {
    const { store } = this.#options
    for (let chance = 0; chance < CHANCES; chance++) {
      const { message, version } = await this.#read(id)
      const after = change(message, Math.floor(store.now().ms))
      const changes = [...moved(message, after, version), this.#audit(action, id, by)]
      try {
        if ((await store.commit(changes)).ok) return after ?? message
      } catch (error) {
        if (!isSignalboxError(error, 'outcome_unknown')) throw error
        const present = await this.#find(id)
        const applied = after === undefined ? present === undefined : present?.message.due === after.due
        if (applied) return after ?? message
      }
    }
    throw new SignalboxError('throttled', `message '${id}' is changed by others at once; repeat the call`)
  }

  #audit(action: string, target: string, actor: string): Change {
    const { store, random } = this.#options
    return auditChange({ at: store.now().ms, actor, action, target }, random)
  }

  async #find(id: string): Promise<{ readonly message: Message; readonly version: string } | undefined> {
    const record = await this.#options.store.get(messageKey(id))
    return record && { message: record.value as unknown as Message, version: record.version }
  }

  async #read(id: string): Promise<{ readonly message: Message; readonly version: string }> {
    const found = await this.#find(id)
    if (found !== undefined) return found
    throw new SignalboxError(
      'not_found',
      `no message '${id.slice(0, 15)}' waits or was given up; 'signalbox notifications list' shows those that do`,
    )
  }

  #view(message: Message): DeliveryView {
    return { ...rowOf(message), body: viewOf(message.event, this.#options.links) }
  }
}

function rowOf({ id, channel, event, createdAt, tries, due, givenUp, lastError }: Message): DeliveryRow {
  return {
    id,
    event: event.id,
    channel,
    state: due === undefined ? 'given_up' : 'pending',
    type: typeOf(event),
    text: textOf(event),
    createdAt: iso(createdAt),
    tries,
    ...(due === undefined ? {} : { nextAt: iso(msOf(due)) }),
    ...(givenUp === undefined ? {} : { givenUpAt: iso(msOf(givenUp)) }),
    ...(lastError === undefined ? {} : { error: lastError }),
  }
}

function noChannel(name: string): SignalboxError {
  return new SignalboxError(
    'not_found',
    `there is no channel '${name.slice(0, 64)}'; 'signalbox notifications channels' shows those that are configured`,
  )
}
