/**
 * What does work on a server: runs of jobs, the schedules that start them, and notifications about both; and who tells whom. Runs tell
 * their changes of state to schedules (which may hold runs back until others have ended) and, in the same commits, to notifications.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import type { MessageQueue } from '../ports/message-queue.ts'
import type { Store } from '../ports/store.ts'
import type { Registry } from 'prom-client'
import type { RouteFace } from './app.ts'
import type { Config } from './config/schema.ts'
import type { Logger } from './logger.ts'
import { openServerNotifications } from './notifications.ts'
import { openServerRuns } from './runs.ts'
import { openServerSchedules, triggerOf } from './schedules.ts'
import { openServerTrigger } from './triggers.ts'

export interface ServerWorkOptions {
  readonly config: Config
  readonly store: Store
  /** Other servers may work on the store too. */
  readonly shared: boolean
  /** Where wake-ups of runs are sent. */
  readonly engine: MessageQueue | undefined
  readonly clock: Clock
  readonly random: Random
  readonly registry: Registry
  readonly logger: Logger
}

export interface ServerWork {
  readonly faces: readonly RouteFace[]
  start(): Promise<void>
  /** Takes up nothing new; what is under way is finished. Idempotent. */
  close(): Promise<void>
}

/** @example const work = await openServerWork({ config, store, shared, engine, clock, random, registry, logger }) */
export async function openServerWork(options: ServerWorkOptions): Promise<ServerWork> {
  const { config } = options
  const kind = triggerOf(config)
  const notices = openServerNotifications(options)
  const { runs, face } = openServerRuns({
    ...options,
    config: config.jobs,
    beside: notices.besideRun,
    onEvent: (event) => schedules.onRun(event),
  })
  const embedded = kind === 'embedded' || kind === 'off'
  const trigger = embedded ? undefined : await openServerTrigger({ ...options, kind })
  const schedules = openServerSchedules({
    ...options,
    runs,
    beside: notices.besideMissed,
    channels: Object.keys(config.notifications.channels ?? {}),
    ...trigger?.additions,
  })
  notices.askSchedules((name) => schedules.schedules.notifyOf(name))

  const close = async (): Promise<void> => {
    await trigger?.close()
    await schedules.close()
    await runs.close()
    await notices.notifications.close()
  }
  let closed: Promise<void> | undefined
  return {
    faces: [face, schedules.face, notices.face, ...(trigger?.faces(schedules.schedules) ?? [])],
    async start() {
      await runs.start()
      await schedules.start()
      trigger?.start(schedules.schedules)
      await notices.notifications.start()
    },
    close: () => (closed ??= close()),
  }
}
