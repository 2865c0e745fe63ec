/** `schedule create`, `update` and `delete`. */
import type { SchedulesContext } from '../../cli/schedules-context.ts'
import { act, BY, json, type Flags, type MakeCommand } from './command.ts'
import { definitionOf, definitionOptions, patchOf, type DefinitionFlags } from './definition-flags.ts'
import { scheduleArgument } from './names.ts'
import { warnOfUnknown } from './unknown-parameters.ts'
import { scheduleText } from './views.ts'

type SaveFlags = Flags & DefinitionFlags

const CREATE_HELP = `
Times are those of the time zone; a local time that daylight saving leaves out is skipped, one that it repeats fires once.

Examples:
  signalbox schedule create nightly --job report --cron '0 2 * * ? *' --time-zone Europe/Berlin
  signalbox schedule create poll --job fetch --rate '5 minutes' --param source=orders --missed skip
`

const UPDATE_HELP = `
What is not named stays. 'default' takes --attempts, --timeout, --on-lost, --retention, --start-at, --end-at and --notify away again.
--parameters and --param replace all parameters.
`

export function definitionCommands(command: MakeCommand, context: SchedulesContext): void {
  definitionOptions(command('create <schedule>', 'Create a schedule'))
    .addHelpText('after', CREATE_HELP)
    .action(async (text: string, flags: SaveFlags) => {
      const definition = definitionOf(scheduleArgument(text), flags, context.clock.now())
      await act(context, flags, async ({ schedules, runs }) => {
        const options = { by: BY, expect: 'absent', unknownJob: flags.unknownJob === true } as const
        const { schedule } = await schedules.put(definition, options)
        const { job } = schedule
        await warnOfUnknown(context, flags, { runs }, { job, given: definition.parameters })
        return flags.json === true ? json(schedule) : scheduleText(schedule, context.clock.now())
      })
    })
  definitionOptions(command('update <schedule>', 'Change a schedule'))
    .option('--enabled', 'it fires')
    .addHelpText('after', UPDATE_HELP)
    .action(async (text: string, flags: SaveFlags) => {
      const name = scheduleArgument(text)
      const patch = patchOf(flags, context.clock.now())
      await act(context, flags, async ({ schedules, runs }) => {
        const options = { by: BY, unknownJob: flags.unknownJob === true }
        const schedule = await schedules.update(name, patch, options)
        const { job } = schedule
        await warnOfUnknown(context, flags, { runs }, { job, given: patch.parameters })
        return flags.json === true ? json(schedule) : scheduleText(schedule, context.clock.now())
      })
    })
  command('delete <schedule...>', 'Delete schedules; their runs stay').action(
    async (texts: string[], flags: Flags) => {
      const names = texts.map(scheduleArgument)
      await act(context, flags, async ({ schedules }) => {
        for (const name of names) {
          await schedules.delete(name, { by: BY })
          if (flags.json !== true) context.stdout.write(`${name}: deleted\n`)
        }
        return flags.json === true ? json({ deleted: names }) : ''
      })
    },
  )
}
