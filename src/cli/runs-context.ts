/** What the commands under `runs` and `job` get: runs are a server's, whatever SIGNALBOX_BACKEND says. */
import type { CliContext, ConnectOptions } from './context.ts'
import type { RunsOperations } from '../runs/api.ts'
import { cliContext, type Terminal } from './terminal.ts'

export interface RunsContext extends Omit<CliContext, 'connect'> {
  /** @throws SignalboxError `unavailable` with how to start a server, `invalid_argument` */
  connect(options: Pick<ConnectOptions, 'url' | 'dataDir'>): Promise<RunsConnection>
}

export interface RunsConnection {
  readonly runs: RunsOperations
  close(): Promise<void>
}

export function runsContext(terminal: Terminal, setExitCode: (code: number) => void): RunsContext {
  const context = cliContext(terminal, setExitCode)
  return {
    ...context,
    async connect(where) {
      const facts = { ...context, cwd: terminal.cwd }
      const { client } = await (await import('./connect.ts')).connectClient(where, facts)
      return { runs: client.runs, close: () => client.close() }
    },
  }
}
