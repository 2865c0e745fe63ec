/** Notifications in tests: services on one memory database, a manual clock, and receivers that are lists. */
import { memoryDatabase, type MemoryDatabase, type MemoryStore } from '../../drivers/memory/index.ts'
import type { FaultPlan } from '../../drivers/memory/faults.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { seededRandom } from '../../kernel/id.ts'
import type { Event } from '../event.ts'
import { noticeId, type Notice } from '../notice.ts'
import type { Sent } from '../sending.ts'
import {
  createNotificationsService,
  type NotificationsEvent,
  type NotificationsService,
  type NotificationsServiceOptions,
} from '../service.ts'

export interface World {
  readonly clock: ManualClock
  readonly database: MemoryDatabase
  readonly store: MemoryStore
  readonly notes: NotificationsService
  /** What each receiver took, in order. */
  readonly taken: Record<string, Event[]>
  /** What each receiver was asked to take. */
  readonly tried: { readonly channel: string; readonly id: string; readonly at: number }[]
  /** What receivers answer at present instead of taking it. */
  readonly refusing: Map<string, Partial<Sent & { readonly ok: false }> | 'silent'>
  readonly events: NotificationsEvent[]
  /** Commits what changes it makes, as the owner of the occurrence does. */
  readonly tell: (notice: Notice, service?: NotificationsService) => Promise<void>
  /** One more service on the same data. */
  readonly service: (
    options?: { readonly seed?: number; readonly faults?: FaultPlan } & Partial<NotificationsServiceOptions>,
  ) => {
    readonly notes: NotificationsService
    readonly store: MemoryStore
  }
}

export interface WorldOptions extends Partial<Omit<NotificationsServiceOptions, 'channels'>> {
  /** Names; default `ops`. */
  readonly channels?: readonly string[]
  /** Of each channel. */
  readonly tryMs?: number
}

export function world({ channels = ['ops'], tryMs, ...options }: WorldOptions = {}): World {
  const clock = new ManualClock()
  const database = memoryDatabase({ limits: { keys: 'decimal' } })
  const taken: World['taken'] = {}
  const tried: { channel: string; id: string; at: number }[] = []
  const refusing: World['refusing'] = new Map()
  const events: NotificationsEvent[] = []
  const channel = (name: string): NotificationsServiceOptions['channels'][number] => ({
    name,
    type: 'webhook',
    ...(tryMs === undefined ? {} : { tryMs }),
    target: `https://${name}.example.org/…`,
    async send(event, _, signal) {
      tried.push({ channel: name, id: event.id, at: clock.now() })
      const refusal = refusing.get(name)
      if (refusal === 'silent') {
        await new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(new Error('hung up'))),
        )
      } else if (refusal !== undefined)
        return { ok: false, error: 'answered 503', fault: 'channel', ...refusal }
      ;(taken[name] ??= []).push(event)
      return { ok: true }
    },
  })
  const service: World['service'] = ({ seed = 2, faults = {}, ...more } = {}) => {
    const random = seededRandom(seed)
    const store = database.connect({ clock, random, faults })
    const notes = createNotificationsService({
      store,
      clock,
      random,
      channels: channels.map(channel),
      rules: [{ channels: [...channels] }],
      onEvent: (event) => events.push(event),
      ...options,
      ...more,
    })
    return { notes, store }
  }
  const { notes, store } = service({ seed: 1 })
  return {
    clock,
    database,
    store,
    notes,
    taken,
    tried,
    refusing,
    events,
    service,
    async tell(one, from = notes) {
      for (;;) {
        const changes = from.changesFor(one)
        if (changes.length === 0 || (await store.commit(changes)).ok) return
      }
    },
  }
}

let count = 0
/** A run that failed, of the schedule `nightly` unless said otherwise. */
export function notice(more: Partial<Notice> = {}): Notice {
  count += 1
  const { kind = 'failed', at = Date.UTC(2026, 0, 1), job = 'report', ...rest } = more
  const run = rest.run ?? `report:${count}`
  return { id: noticeId(kind, run), kind, at, job, run, schedule: 'nightly', ...rest }
}

/** The same of a job without a schedule. */
export function ofJob(more: Partial<Notice> = {}): Notice {
  const { schedule: _, ...rest } = notice(more)
  return rest
}
