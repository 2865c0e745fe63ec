/** The process a command line runs in, handed in so that tests run command lines without one. */
import { systemClock } from '../kernel/clock.ts'
import { systemRandom } from '../kernel/id.ts'
import type { CliContext, LeaseContext, MessagesContext, Output } from './context.ts'

export interface Terminal {
  /** Arguments from the command's name on: `['serve', '--port', '9000']`. */
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly stdout: Output
  readonly stderr: Output
}

/** The terminal of this process. */
export function processTerminal(): Terminal {
  return {
    argv: process.argv.slice(2),
    env: process.env,
    cwd: process.cwd(),
    stdout: process.stdout,
    stderr: process.stderr,
  }
}

/** What the commands of a capability get. The client is loaded when one connects. */
export function cliContext(terminal: Terminal, setExitCode: (code: number) => void): CliContext {
  const { stdout, stderr, env } = terminal
  const facts = { env, clock: systemClock, random: systemRandom }
  return {
    ...facts,
    stdout,
    stderr,
    setExitCode,
    connect: async (options) => (await import('./connect.ts')).connect(options, facts),
  }
}

/** What the commands under `lease` get. */
export function leaseContext(terminal: Terminal, setExitCode: (code: number) => void): LeaseContext {
  const context = cliContext(terminal, setExitCode)
  return {
    ...context,
    async connect(where) {
      const { client, describe } = await (await import('./connect.ts')).connectClient(where, context)
      return { leases: client.leases, describe, close: () => client.close() }
    },
  }
}

/** What the commands under `messages` get. */
export function messagesContext(terminal: Terminal, setExitCode: (code: number) => void): MessagesContext {
  const context = cliContext(terminal, setExitCode)
  return {
    ...context,
    async connect(where) {
      const { connectMessages } = await import('./connect-messages.ts')
      return connectMessages(where, { ...context, cwd: terminal.cwd })
    },
  }
}
