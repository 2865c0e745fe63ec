/** What the commands under `schedule` get: schedules are a server's, whatever SIGNALBOX_BACKEND says. */
import type { RunsApi } from '../runs/api.ts'
import type { SchedulesApi, TriggerControl } from '../schedules/api.ts'
import type { CliContext, ConnectOptions } from './context.ts'
import { cliContext, type Terminal } from './terminal.ts'

export interface SchedulesContext extends Omit<CliContext, 'connect'> {
  /** What relative paths start from. */
  readonly cwd: string
  /** @throws SignalboxError `unavailable` with how to start a server, `invalid_argument` */
  connect(options: Pick<ConnectOptions, 'url' | 'dataDir'>): Promise<SchedulesConnection>
}

export interface SchedulesConnection {
  readonly schedules: SchedulesApi
  readonly trigger: TriggerControl
  /** What is known of the jobs that schedules run. */
  readonly runs: Pick<RunsApi, 'getJob'>
  close(): Promise<void>
}

export function schedulesContext(terminal: Terminal, setExitCode: (code: number) => void): SchedulesContext {
  const context = cliContext(terminal, setExitCode)
  const { cwd } = terminal
  return {
    ...context,
    cwd,
    async connect(where) {
      const { client } = await (await import('./connect.ts')).connectClient(where, { ...context, cwd })
      const { schedules, trigger, runs } = client
      return { schedules, trigger, runs, close: () => client.close() }
    },
  }
}
