/**
 * What a command of the CLI gets from the process it runs in, so that a capability's commands can be written, and tested,
 * without one.
 *
 * A command throws a `SignalboxError` for a failure of its own, and the program prints it (`output.ts`); an exit code that
 * is not a failure's, such as that of a command it ran, goes to `setExitCode`.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import type { TurnsApi, TurnsOperations } from '../turns/api.ts'

/** What flags say about where the server is. */
export interface ConnectOptions {
  /** `--url` */
  readonly url?: string | undefined
  /** `--data-dir` */
  readonly dataDir?: string | undefined
}

export interface Connection {
  readonly turns: TurnsApi & TurnsOperations
  /** For people: which server this is. */
  readonly describe: string
  close(): Promise<void>
}

/** Where text goes: standard output or error. */
export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  on?(event: 'error', listener: (error: Error) => void): unknown
}

export interface CliContext {
  /** @throws SignalboxError `unavailable` with how to start a server, `invalid_argument` */
  connect(options: ConnectOptions): Promise<Connection>
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: Random
  /** The process is to end with this code once nothing is left to do. */
  setExitCode(code: number): void
}
