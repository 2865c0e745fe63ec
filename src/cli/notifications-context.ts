/** What the commands under `notifications` get: they are a server's, whatever SIGNALBOX_BACKEND says. */
import type { NotificationsApi } from '../notifications/api.ts'
import type { CliContext, ConnectOptions } from './context.ts'
import { cliContext, type Terminal } from './terminal.ts'

export interface NotificationsContext extends Omit<CliContext, 'connect'> {
  /** @throws SignalboxError `unavailable` with how to start a server, `invalid_argument` */
  connect(options: Pick<ConnectOptions, 'url' | 'dataDir'>): Promise<NotificationsConnection>
}

export interface NotificationsConnection {
  readonly notifications: NotificationsApi
  close(): Promise<void>
}

export function notificationsContext(
  terminal: Terminal,
  setExitCode: (code: number) => void,
): NotificationsContext {
  const context = cliContext(terminal, setExitCode)
  return {
    ...context,
    async connect(where) {
      const facts = { ...context, cwd: terminal.cwd }
      const { client } = await (await import('./connect.ts')).connectClient(where, facts)
      return { notifications: client.notifications, close: () => client.close() }
    },
  }
}
