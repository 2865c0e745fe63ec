/** What the commands under `schedule` have in common. */
import type { Command } from 'commander'
import type { SchedulesConnection, SchedulesContext } from '../../cli/schedules-context.ts'

export interface Flags {
  readonly url?: string
  readonly dataDir?: string
  readonly json?: true
}

/** A server knows who calls. */
export const BY = 'the command line'

/** Makes a command under `schedule`. */
export type MakeCommand = (usage: string, summary: string) => Command

export function whereOptions(command: Command, summary: string): Command {
  return command
    .description(summary)
    .option('--url <url>', 'the server (default: SIGNALBOX_URL)')
    .option(
      '--data-dir <directory>',
      'the server that owns this directory (default: SIGNALBOX_DATA_DIR, ./data)',
    )
    .option('--json', 'print JSON')
}

/** Connects for as long as `run` takes, and prints what it returns. */
export async function act(
  context: SchedulesContext,
  flags: Flags,
  run: (connection: SchedulesConnection) => Promise<string>,
): Promise<void> {
  const connection = await context.connect(flags)
  try {
    const text = await run(connection)
    if (text !== '') context.stdout.write(text)
  } finally {
    await connection.close()
  }
}

export function json(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}
