/**
 * Notifications on a server: the service on its store, the configured channels, the HTTP face, metrics and log lines; and what a
 * run's change of state is to them. Without channels nothing is written and nothing runs.
 */
import { Counter, Histogram, type Registry } from 'prom-client'
import type { Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import type { Links } from '../notifications/event.ts'
import { notificationsFace } from '../notifications/http.ts'
import { noticeId, type Notice } from '../notifications/notice.ts'
import type { OwnNotify } from '../notifications/rules.ts'
import type { Channel } from '../notifications/sending.ts'
import {
  createNotificationsService,
  type NotificationsEvent,
  type NotificationsService,
} from '../notifications/service.ts'
import type { Change, Store } from '../ports/store.ts'
import type { Run } from '../runs/state.ts'
import type { RouteFace } from './app.ts'
import type { ChannelConfig } from './config/notification-values.ts'
import type { Config } from './config/schema.ts'
import type { Logger } from './logger.ts'
import { emailSender } from './notifications/email.ts'
import { cut, noticeOf } from './notifications/notice-of.ts'
import { slackSender } from './notifications/slack.ts'
import { webhookSender } from './notifications/webhook.ts'

export interface ServerNotificationsOptions {
  readonly store: Store
  readonly config: { readonly notifications: Config['notifications'] } & {
    readonly server: Pick<Config['server'], 'publicUrl'>
  }
  /** Other servers may work on the store too. */
  readonly shared: boolean
  readonly clock: Clock
  readonly random: Random
  readonly registry: Registry
  readonly logger: Logger
}

export interface ServerNotifications {
  readonly notifications: NotificationsService
  readonly face: RouteFace
  /** For the commits of runs. */
  readonly besideRun: (before: Run | undefined, after: Run) => readonly Change[]
  /** For the commits of schedules. */
  readonly besideMissed: (missed: MissedTimes) => readonly Change[]
  /** Lets schedules say whom they notify; without it the rules alone count. */
  askSchedules(notifyOf: (schedule: string) => Promise<OwnNotify | undefined>): void
}

/** Times of a schedule that nobody could fire. */
export interface MissedTimes {
  readonly schedule: string
  readonly job: string
  readonly at: number
  /** The latest of them. */
  readonly scheduledAt?: number
  readonly count?: number
  readonly reason?: string
  /** The run that was recorded for them, or made up for them. */
  readonly run?: string
}

const POLL_MS = { own: 2_000, shared: 5_000 }
const AGE_BUCKETS_S = [1, 5, 30, 120, 600, 3_600, 21_600, 86_400, 259_200]
const WARN_EVERY_MS = 600_000
/** Mail servers greet, and look through a mail, for long; one that took it after we hung up would get it again and again. */
const EMAIL_TRY_MS = 40_000

/** @example const { notifications, face, besideRun } = openServerNotifications({ config, store, … }) */
export function openServerNotifications(options: ServerNotificationsOptions): ServerNotifications {
  const { store, shared, clock, random, registry, logger } = options
  const config = options.config.notifications
  const { publicUrl } = options.config.server
  let notifyOf: (schedule: string) => Promise<OwnNotify | undefined> = async () => undefined
  const channels = channelsOf(config, { publicUrl })
  const notifications = createNotificationsService({
    store,
    clock,
    random,
    channels,
    rules: config.rules ?? [],
    publicUrl,
    scheduleNotify: (schedule) => notifyOf(schedule),
    foldForMs: config.foldFor.ms,
    giveUpAfterMs: config.giveUpAfter.ms,
    pollMs: shared ? POLL_MS.shared : POLL_MS.own,
    onEvent: channels.length === 0 ? () => undefined : observer(registry, logger, clock),
  })
  return {
    notifications,
    face: notificationsFace({ notifications }),
    besideRun(before, after) {
      if (channels.length === 0) return [] // not even a notice is made, for every run passes here
      const notice = noticeOf(before, after)
      return notice === undefined ? [] : notifications.changesFor(notice)
    },
    besideMissed: (missed) => notifications.changesFor(missedNotice(missed)),
    askSchedules: (ask) => (notifyOf = ask),
  }
}

function missedNotice({ schedule, job, at, scheduledAt, count, reason, run }: MissedTimes): Notice {
  return {
    id: noticeId('missed', schedule, scheduledAt ?? at),
    kind: 'missed',
    at,
    schedule,
    job,
    ...(scheduledAt === undefined ? {} : { scheduledAt }),
    ...(count === undefined ? {} : { count }),
    ...(reason === undefined ? {} : { reason: cut(reason) }),
    ...(run === undefined ? {} : { run }),
  }
}

function channelsOf({ channels = {}, smtp }: Config['notifications'], links: Links): Channel[] {
  return Object.entries(channels).map(([name, channel]) => ({
    name,
    type: channel.type,
    target: targetOf(channel),
    send: senderOf(channel, smtp, links),
    ...(channel.type === 'email' ? { tryMs: EMAIL_TRY_MS } : {}),
  }))
}

function senderOf(
  channel: ChannelConfig,
  smtp: Config['notifications']['smtp'],
  links: Links,
): Channel['send'] {
  switch (channel.type) {
    case 'webhook':
      return webhookSender(channel, links)
    case 'slack':
      return slackSender(channel, links)
    case 'email':
      return emailSender(channel, { ...smtp, host: smtp.host ?? '' }, links) // the configuration demands a host
  }
}

/** Without what may be secret. */
function targetOf(channel: ChannelConfig): string {
  if (channel.type === 'email') return channel.to.join(', ')
  const { origin, pathname, search } = new URL(channel.url)
  return pathname === '/' && search === '' ? origin : `${origin}/…`
}

function observer(registry: Registry, logger: Logger, clock: Clock): (event: NotificationsEvent) => void {
  const counter = (what: string, help: string): Counter<'channel'> =>
    new Counter({
      name: `signalbox_notifications_${what}_total`,
      help,
      labelNames: ['channel'],
      registers: [registry],
    })
  const sent = counter('sent', 'Notifications that their receiver took.')
  const failed = counter('failed', 'Tries that failed; each is made again.')
  const folded = counter('folded', 'Events that are told of in a summary instead of singly.')
  const givenUp = counter('given_up', 'Notifications that are not tried any more.')
  const ages = new Histogram({
    name: 'signalbox_notifications_age_seconds',
    help: 'Time from the commit of a notification until its receiver took it.',
    labelNames: ['channel'],
    buckets: AGE_BUCKETS_S,
    registers: [registry],
  })
  const warned = new Map<string, number>()
  /** The same at most every ten minutes: some are said with every try. */
  const warn = (key: string, facts: object, text: string): void => {
    const now = clock.monotonic()
    if (now - (warned.get(key) ?? Number.NEGATIVE_INFINITY) < WARN_EVERY_MS) return
    warned.set(key, now)
    logger.warn(facts, text)
  }
  return (event) => {
    switch (event.kind) {
      case 'sent':
        sent.inc({ channel: event.channel })
        ages.observe({ channel: event.channel }, event.ageMs / 1_000)
        if (event.warning !== undefined)
          warn(
            `partly ${event.channel}`,
            { channel: event.channel },
            `notification sent, but ${event.warning}`,
          )
        return
      case 'not_sent': {
        const { channel, error, message } = event
        failed.inc({ channel })
        warn(
          `not_sent ${channel}`,
          { channel, error, tries: message.tries },
          'notification not sent; it is tried again',
        )
        return
      }
      case 'given_up': {
        const { channel, error, message } = event
        givenUp.inc({ channel })
        logger.error(
          { channel, error, message: message.id, event: message.event.id },
          'notification given up',
        )
        return
      }
      case 'counted':
        folded.inc({ channel: event.channel })
        return
      case 'unknown_channel': {
        const { channel, about } = event
        warn(`unknown ${channel} ${about}`, { channel }, `${about} notifies a channel that is not configured`)
        return
      }
      case 'round_failed':
        warn('round', { err: event.error }, 'notifications: a round failed; it is done again')
    }
  }
}
