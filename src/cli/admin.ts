/** What the commands for admins (`token`, `audit`) have in common: how they reach the server. */
import type { Command } from 'commander'
import type { AccessApi } from '../client/access.ts'
import { systemClock } from '../kernel/clock.ts'
import { systemRandom } from '../kernel/id.ts'
import type { ConnectOptions } from './context.ts'
import type { Terminal } from './terminal.ts'

export interface AdminFlags extends ConnectOptions {
  readonly json?: true
}

export function adminOptions(command: Command): Command {
  return command
    .option('--json', 'print JSON')
    .option('--url <url>', 'the server (default: SIGNALBOX_URL)')
    .option(
      '--data-dir <directory>',
      'attach to the server that owns this directory (default: SIGNALBOX_DATA_DIR, ./data)',
    )
}

/** Connects, by the rule of all commands, for as long as `use` takes. */
export async function asAdmin<T>(
  { cwd, env }: Terminal,
  { url, dataDir }: ConnectOptions,
  use: (access: AccessApi) => Promise<T>,
): Promise<T> {
  const { connectClient } = await import('./connect.ts')
  const facts = { cwd, env, clock: systemClock, random: systemRandom }
  const { client } = await connectClient({ url, dataDir }, facts)
  try {
    return await use(client.access)
  } finally {
    await client.close()
  }
}
