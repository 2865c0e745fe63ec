/**
 * The typed HTTP client: what the CLI, the GitHub Actions and users in other processes speak to a server with, over TCP or
 * over the Unix socket of the process that owns a data directory.
 *
 * Invariants: every failure is a `SignalboxError` whose message names the address; a call is sent at most once; a long
 * poll is not cut before the time it asked for; `close` leaves no connection and no timer behind.
 */
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { LeasesApi, LeasesReading } from '../leases/api.ts'
import type { MessagesApi } from '../messages/api.ts'
import type { NotificationsApi } from '../notifications/api.ts'
import type { RunsOperations } from '../runs/api.ts'
import type { SchedulesApi, TriggerControl } from '../schedules/api.ts'
import type { TurnsApi, TurnsOperations } from '../turns/api.ts'
import { accessOver, type AccessApi } from './access.ts'
import { checkCredential, type Credential } from './credential.ts'
import { leasesOver } from './leases.ts'
import { messagesOver } from './messages.ts'
import { notificationsOver } from './notifications.ts'
import { runsOver } from './runs.ts'
import { triggerOver } from './schedule-trigger.ts'
import { schedulesOver } from './schedules.ts'
import { Transport } from './transport.ts'
import { turnsOver } from './turns.ts'

export interface ClientOptions extends Credential {
  /** The server, for example `http://127.0.0.1:8080`; a path is kept as a prefix. Required without `socketPath`. */
  readonly url?: string
  /** A Unix socket on which the server listens. */
  readonly socketPath?: string
  readonly clock: Clock
  readonly random: Random
}

export interface Client {
  readonly turns: TurnsApi & TurnsOperations
  /** Merge-queue leases; the original service answers too, with less in its answers. */
  readonly leases: LeasesApi & Pick<LeasesReading, 'history'>
  readonly messages: MessagesApi
  /** Runs of jobs, and the jobs that workers run. */
  readonly runs: RunsOperations
  /** Schedules of jobs. */
  readonly schedules: SchedulesApi
  /** Who fires them in the server's stead. */
  readonly trigger: TriggerControl
  /** What the server tells others, and whether they take it. */
  readonly notifications: NotificationsApi
  /** Tokens and the audit log, for admins. */
  readonly access: AccessApi
  /** What messages call the server. */
  readonly address: string
  /** Ends its connections; calls under way fail. */
  close(): Promise<void>
}

/**
 * @throws SignalboxError `invalid_argument` for an unusable URL or token; nothing is connected yet
 * @example
 * const client = createClient({ url: 'http://127.0.0.1:8080', clock: systemClock, random: systemRandom })
 * console.log(await client.turns.list())
 * await client.close()
 */
export function createClient(options: ClientOptions): Client {
  const transport = openTransport(options)
  return {
    turns: turnsOver(transport),
    leases: leasesOver(transport),
    messages: messagesOver(transport),
    runs: runsOver(transport, options),
    schedules: schedulesOver(transport),
    trigger: triggerOver(transport),
    notifications: notificationsOver(transport),
    access: accessOver(transport),
    address: transport.address,
    close: () => transport.close(),
  }
}

/** @throws SignalboxError `invalid_argument` for an unusable URL or token; nothing is connected yet */
export function openTransport(options: ClientOptions): Transport {
  const { url, socketPath, token, authorization, clock, random } = options
  if (url === undefined && socketPath === undefined) {
    throw new SignalboxError('invalid_argument', 'url: missing; give the server’s URL or its socket')
  }
  checkCredential(options)
  return new Transport({
    url: parseUrl(url ?? 'http://localhost'),
    clock,
    random,
    ...(socketPath === undefined ? {} : { socketPath }),
    ...(token === undefined ? {} : { token }),
    ...(authorization === undefined ? {} : { authorization }),
  })
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const refuse = (why: string): SignalboxError =>
    new SignalboxError('invalid_argument', `server URL ${why}; write for example http://127.0.0.1:8080`, {
      details: { field: 'url' },
    })
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw refuse(`'${text.slice(0, 60)}': is not an http:// or https:// URL`)
  }
  if (url.username !== '' || url.password !== '') {
    throw refuse('with a user name or password in it: put the credential into SIGNALBOX_TOKEN')
  }
  if (url.search !== '' || url.hash !== '') throw refuse(`'${text.slice(0, 60)}': must end before ? and #`)
  return url
}
