/** `schedule pause`, `resume`, `run` and `backfill`. */
import { invalidInput, oneOf, wholeNumber } from '../../cli/inputs.ts'
import type { SchedulesContext } from '../../cli/schedules-context.ts'
import { jobOf } from '../../runs/api.ts'
import { MAX_BACKFILL, overlapPolicies, pauseBody, runScheduleBody, type Backfill } from '../api.ts'
import { act, BY, json, type Flags, type MakeCommand } from './command.ts'
import { scheduleArgument } from './names.ts'
import { parametersOf, type ParameterFlags } from './parameters.ts'
import { instantOf, iso } from './times.ts'
import { warnOfUnknown } from './unknown-parameters.ts'
import { backfillText } from './views.ts'

interface BackfillFlags extends Flags {
  readonly from: string
  readonly to?: string
  readonly limit?: string
  readonly overlap?: string
  readonly dryRun?: true
}

interface RunFlags extends Flags, ParameterFlags {
  readonly id?: string
}

export function operateCommands(command: MakeCommand, context: SchedulesContext): void {
  command('pause <schedule...>', 'Stop schedules from firing until they are resumed')
    .option('--reason <text>', 'why; shown to others, and in the audit log')
    .action(async (texts: string[], flags: Flags & { readonly reason?: string }) => {
      const names = texts.map(scheduleArgument)
      const reason = reasonOf(flags.reason)
      await act(context, flags, async ({ schedules }) => {
        const paused = []
        for (const name of names) paused.push(await schedules.pause(name, { by: BY, ...reason }))
        if (flags.json === true) return json({ schedules: paused })
        return paused.map(({ name }) => `${name}: paused\n`).join('')
      })
    })
  command('resume <schedule...>', 'Let schedules fire again, from their next time on').action(
    async (texts: string[], flags: Flags) => {
      const names = texts.map(scheduleArgument)
      await act(context, flags, async ({ schedules }) => {
        const resumed = []
        for (const name of names) resumed.push(await schedules.resume(name, { by: BY }))
        if (flags.json === true) return json({ schedules: resumed })
        return resumed.map(({ name, nextAt }) => `${name}: next ${timeText(nextAt)}\n`).join('')
      })
    },
  )
  command('run <schedule>', 'Run a schedule’s job now, beside its times')
    .option('--parameters <json>', 'instead of the schedule’s; those it does not name stay')
    .option('--param <name=value>', 'one parameter; may be given again', collect)
    .option('--id <id>', 'the run is named <job>:<id>; with an id that is there already nothing happens')
    .action((text: string, flags: RunFlags) => run(text, flags, context))
  command('backfill <schedule>', 'Run the times of a past range that have no run yet')
    .requiredOption(
      '--from <time>',
      'the first time: 2030-01-31T09:00:00Z, 2030-01-31, or 6h for so long ago',
    )
    .option('--to <time>', 'only times before then (default: now)')
    .option('--limit <number>', `refused when there are more (default: ${MAX_BACKFILL})`)
    .option('--overlap <policy>', `${overlapPolicies.join(', ')} (default: queue, one after the other)`)
    .option('--dry-run', 'only tell which times it would be')
    .action((text: string, flags: BackfillFlags) => backfill(text, flags, context))
}

async function run(text: string, flags: RunFlags, context: SchedulesContext): Promise<void> {
  const name = scheduleArgument(text)
  const parameters = parametersOf(flags)
  const { id } = flags
  if (!runScheduleBody.shape.id.safeParse(id).success) {
    throw invalidInput(
      '--id',
      `--id: '${id?.slice(0, 40)}' must be 1 to 100 characters of A-Z a-z 0-9 . _ : @ / -`,
    )
  }
  await act(context, flags, async ({ schedules, runs }) => {
    const request = {
      ...(parameters === undefined ? {} : { parameters }),
      ...(id === undefined ? {} : { id }),
    }
    const created = await schedules.run(name, request, { by: BY })
    await warnOfUnknown(context, flags, { runs }, { job: jobOf(created.run.id), given: parameters })
    if (flags.json === true) return json(created)
    return `${created.run.id}${created.created ? '' : ` (there already, ${created.run.state})`}\n`
  })
}

async function backfill(text: string, flags: BackfillFlags, context: SchedulesContext): Promise<void> {
  const name = scheduleArgument(text)
  const now = context.clock.now()
  const { limit, overlap, dryRun } = flags
  const from = instantOf(flags.from, '--from', now)
  const to = flags.to === undefined ? now : instantOf(flags.to, '--to', now)
  if (from >= to) throw invalidInput('--from', `--from: ${iso(from)} must be before --to (${iso(to)})`)
  const request: Backfill = {
    from: iso(from),
    to: iso(to),
    ...(limit === undefined
      ? {}
      : { limit: wholeNumber(limit, { flag: '--limit', min: 1, max: MAX_BACKFILL }) }),
    ...(overlap === undefined ? {} : { overlap: oneOf(overlapPolicies, overlap, '--overlap') }),
    ...(dryRun === undefined ? {} : { dryRun }),
  }
  await act(context, flags, async ({ schedules }) => {
    const done = await schedules.backfill(name, request, { by: BY })
    return flags.json === true ? json(done) : backfillText(done)
  })
}

function reasonOf(text: string | undefined): { readonly reason?: string } {
  const parsed = pauseBody.safeParse({ reason: text })
  if (parsed.success) return text === undefined ? {} : { reason: text.trim() }
  throw invalidInput('--reason', '--reason: empty or longer than 500 characters; say why in a few words')
}

function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value]
}

function timeText(time: string | undefined): string {
  return time === undefined ? 'never' : iso(Date.parse(time))
}
