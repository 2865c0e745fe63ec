/** `schedule apply` and `schedule export`. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text as wholeText } from 'node:stream/consumers'
import { invalidInput } from '../../cli/inputs.ts'
import { printWarning } from '../../cli/output.ts'
import type { SchedulesContext } from '../../cli/schedules-context.ts'
import { act, BY, json, type Flags, type MakeCommand } from './command.ts'
import { apply, exported, type Applied } from './apply.ts'
import { readSchedules } from './file.ts'

interface ApplyFlags extends Flags {
  readonly prune?: true
  readonly dryRun?: true
  readonly unknownJob?: true
}

const APPLY_HELP = `
The file is YAML or JSON; - reads standard input. Durations may be written 90s, 6h, 7d:

  schedules:
    - name: nightly
      job: report
      expression: cron(0 2 * * ? *)
      timeZone: Europe/Berlin
      missed: all
      missedWindow: 6h
`

export function fileCommands(command: MakeCommand, context: SchedulesContext): void {
  command('apply <file>', 'Make schedules what a file says')
    .option('--prune', 'delete the schedules that the file does not name')
    .option('--dry-run', 'only tell what would change')
    .option('--unknown-job', 'save them although no worker has told of their job yet')
    .addHelpText('after', APPLY_HELP)
    .action(async (file: string, flags: ApplyFlags) => {
      const shown = file === '-' ? 'standard input' : file
      const wanted = await readSchedules(await textOf(file, context.cwd), shown)
      await act(context, flags, async (connection) => {
        const options = {
          prune: flags.prune === true,
          dryRun: flags.dryRun === true,
          unknownJob: flags.unknownJob === true,
          by: BY,
          now: context.clock.now(),
          warn: (text: string): void => {
            if (flags.json !== true) printWarning(text, context)
          },
        }
        const all: Applied[] = []
        await apply(connection, wanted, options, (one) => {
          all.push(one)
          if (flags.json !== true) context.stdout.write(appliedText(one, options.dryRun))
        })
        return flags.json === true ? json({ dryRun: options.dryRun, schedules: all }) : ''
      })
    })
  command('export', 'Print all schedules as a file for apply; secrets are masked').action(
    async (flags: Flags) => {
      await act(context, flags, async ({ schedules }) => {
        const content = { schedules: await exported(schedules) }
        if (flags.json === true) return json(content)
        const { stringify } = await import('yaml')
        return stringify(content, { lineWidth: 0 })
      })
    },
  )
}

function appliedText({ name, change }: Applied, dryRun: boolean): string {
  return `${name}: ${dryRun && change !== 'unchanged' ? `would be ${change}` : change}\n`
}

async function textOf(file: string, cwd: string): Promise<string> {
  try {
    return file === '-' ? await wholeText(process.stdin) : await readFile(resolve(cwd, file), 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable'
    const why = code === 'ENOENT' ? 'no such file' : `cannot be read (${code})`
    throw invalidInput('file', `${file}: ${why}`)
  }
}
