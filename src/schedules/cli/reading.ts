/** `schedule list`, `show` and `next`. */
import { invalidInput, wholeNumber } from '../../cli/inputs.ts'
import type { SchedulesContext } from '../../cli/schedules-context.ts'
import { jobName } from '../../runs/api.ts'
import type { ScheduleFilter, ScheduleRow } from '../api.ts'
import { act, json, type Flags, type MakeCommand } from './command.ts'
import { expressionOf, type DefinitionFlags } from './definition-flags.ts'
import { scheduleArgument } from './names.ts'
import { nextOf, nextTimes, upcomingJson, upcomingText } from './next.ts'
import { instantOf } from './times.ts'
import { scheduleListText, scheduleText } from './views.ts'

interface ListFlags extends Flags {
  readonly job?: string
  readonly enabled?: true
  readonly disabled?: true
  readonly text?: string
  readonly limit?: string
}

interface NextFlags extends Flags, Pick<DefinitionFlags, 'cron' | 'rate' | 'at'> {
  readonly timeZone?: string
  readonly count?: string
  readonly from?: string
}

const DEFAULT_LIMIT = 50
const PAGE = 500
const NEXT = 5

export function readCommands(command: MakeCommand, context: SchedulesContext): void {
  command('list', 'List schedules by name')
    .option('--job <job>', 'only of this job')
    .option('--enabled', 'only those that fire')
    .option('--disabled', 'only those that are disabled or paused')
    .option('--text <text>', 'only with this text in name, job, description or expression')
    .option('--limit <number>', `at most so many schedules (default: ${DEFAULT_LIMIT})`)
    .action((flags: ListFlags) => list(flags, context))
  command('show <schedule>', 'Show one schedule').action(async (text: string, flags: Flags) => {
    const name = scheduleArgument(text)
    await act(context, flags, async ({ schedules }) => {
      const view = await schedules.get(name)
      return flags.json === true ? json(view) : scheduleText(view, context.clock.now())
    })
  })
  command('next [schedule-or-expression]', 'Say what an expression means and when it fires next')
    .option('--cron <fields>', "minutes hours day-of-month month day-of-week year: '0 9 ? * MON-FRI *'")
    .option('--rate <value unit>', "such as '5 minutes'; counts from now")
    .option('--at <local time>', 'such as 2030-01-31T09:00:00')
    .option('--time-zone <zone>', 'IANA name, such as Europe/Berlin (default: UTC)')
    .option('--count <number>', `so many times (default: ${NEXT})`)
    .option('--from <time>', 'only later times (default: now)')
    .action((text: string | undefined, flags: NextFlags) => next(text, flags, context))
}

async function list(flags: ListFlags, context: SchedulesContext): Promise<void> {
  const filter = filterOf(flags)
  const limit = wholeNumber(flags.limit ?? String(DEFAULT_LIMIT), { flag: '--limit', min: 1, max: 1_000_000 })
  await act(context, flags, async ({ schedules }) => {
    const found: ScheduleRow[] = []
    for (let after: string | undefined; ;) {
      const page = await schedules.list({
        ...filter,
        limit: Math.min(PAGE, limit - found.length),
        ...(after === undefined ? {} : { after }),
      })
      found.push(...page.schedules)
      after = page.next
      if (after !== undefined && found.length < limit) continue
      const more = after === undefined ? {} : { next: after }
      if (flags.json === true) return json({ schedules: found, total: page.total, ...more })
      const rest = after === undefined ? '' : `${page.total - found.length} more; --limit shows them\n`
      return scheduleListText(found, context.clock.now()) + rest
    }
  })
}

function filterOf({ job, enabled, disabled, text }: ListFlags): ScheduleFilter {
  if (enabled === true && disabled === true) {
    throw invalidInput('--enabled', '--enabled and --disabled: give one of them')
  }
  if (job !== undefined && !jobName.safeParse(job).success) {
    throw invalidInput('--job', `--job: '${job.slice(0, 80)}' is not the name of a job`)
  }
  return {
    ...(job === undefined ? {} : { job }),
    ...(enabled === true ? { enabled: true } : disabled === true ? { enabled: false } : {}),
    ...(text === undefined ? {} : { text }),
  }
}

async function next(text: string | undefined, flags: NextFlags, context: SchedulesContext): Promise<void> {
  const now = context.clock.now()
  const count = wholeNumber(flags.count ?? String(NEXT), { flag: '--count', min: 1, max: 100 })
  const after = flags.from === undefined ? now : instantOf(flags.from, '--from', now)
  const written = text === undefined || /[()\s]/.test(text) ? text : undefined
  const expression = expressionOf({ ...flags, ...(written === undefined ? {} : { expression: written }) })
  if (expression !== undefined) {
    if (text !== written) throw invalidInput('schedule', 'give a schedule, or an expression, not both')
    const found = nextTimes({ expression, timeZone: flags.timeZone ?? 'UTC', count, after })
    context.stdout.write(flags.json === true ? json(upcomingJson(found)) : upcomingText(found, now))
    return
  }
  if (text === undefined) {
    throw invalidInput('schedule', "name a schedule, or give an expression such as 'rate(5 minutes)'")
  }
  const name = scheduleArgument(text)
  if (flags.timeZone !== undefined) throw invalidInput('--time-zone', '--time-zone: a schedule has its own')
  await act(context, flags, async ({ schedules }) => {
    const view = await schedules.get(name)
    const found = nextOf(view, { count, after })
    if (flags.json === true) return json(upcomingJson(found))
    const off = view.paused !== undefined ? 'It is paused.\n' : view.enabled ? '' : 'It is disabled.\n'
    return off + upcomingText(found, now)
  })
}
