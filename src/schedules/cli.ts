/**
 * `signalbox schedule …`: when jobs run, at a server.
 *
 * Invariants: every input is checked before the first call; results go to standard output; failures are thrown and printed by the
 * program as one line with the exit code of their error code.
 */
import { Command } from 'commander'
import type { SchedulesContext } from '../cli/schedules-context.ts'
import { whereOptions, type MakeCommand } from './cli/command.ts'
import { definitionCommands } from './cli/definitions.ts'
import { eventBridgeCommands } from './cli/eventbridge.ts'
import { fileCommands } from './cli/files.ts'
import { operateCommands } from './cli/operate.ts'
import { readCommands } from './cli/reading.ts'

export function scheduleCommands(context: SchedulesContext): Command {
  const schedule = new Command('schedule').description(
    'Say when jobs run: create, pause, preview and apply schedules',
  )
  const command: MakeCommand = (usage, summary) => whereOptions(schedule.command(usage), summary)
  readCommands(command, context)
  definitionCommands(command, context)
  operateCommands(command, context)
  fileCommands(command, context)
  eventBridgeCommands(schedule, context)
  return schedule
}
