/**
 * The flags of `create` and `update`, and what they say of a definition. Everything here throws `invalid_argument` with one line,
 * or returns.
 */
import { Option, type Command } from 'commander'
import { invalidInput } from '../../cli/inputs.ts'
import { parseDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'
import {
  missedPolicies,
  notificationKinds,
  overlapPolicies,
  scheduleDefinition,
  schedulePatch,
  type ScheduleInput,
  type SchedulePatch,
} from '../api.ts'
import { parseExpression } from '../expression/parse.ts'
import { checkTimeZone } from '../expression/time-zone.ts'
import { parametersOf } from './parameters.ts'
import { problemText } from './problems.ts'
import { instantOf, iso } from './times.ts'

export interface DefinitionFlags {
  readonly job?: string
  readonly cron?: string
  readonly rate?: string
  readonly at?: string
  readonly expression?: string
  readonly timeZone?: string
  readonly parameters?: string
  readonly param?: readonly string[]
  readonly missed?: string
  readonly missedWindow?: string
  readonly missedLimit?: string
  readonly overlap?: string
  readonly jitter?: string
  readonly attempts?: string
  readonly timeout?: string
  readonly onLost?: string
  readonly retention?: string
  readonly startAt?: string
  readonly endAt?: string
  readonly notify?: string
  readonly notifyOn?: string
  readonly description?: string
  readonly enabled?: true
  readonly disabled?: true
  readonly unknownJob?: true
}

/** What takes an optional key away, so that its default counts again. */
const DEFAULT = 'default'
const NONE = 'none'

export function definitionOptions(command: Command): Command {
  return command
    .option('--job <job>', 'the job that it runs')
    .option('--cron <fields>', "minutes hours day-of-month month day-of-week year: '0 9 ? * MON-FRI *'")
    .option('--rate <value unit>', "such as '5 minutes'; counts from its creation")
    .option('--at <local time>', 'once, such as 2030-01-31T09:00:00')
    .option('--expression <expression>', 'the same whole: cron(…), rate(…) or at(…)')
    .option('--time-zone <zone>', 'IANA name, such as Europe/Berlin (default: UTC)')
    .option('--parameters <json>', 'the input of the job')
    .addOption(
      new Option(
        '--param <name=value>',
        'one parameter; a value that is JSON is taken so, others as text; may be given again',
      ).argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]),
    )
    .option('--missed <policy>', `times that nobody could fire: ${missedPolicies.join(', ')} (default: once)`)
    .option('--missed-window <duration>', 'missed times older than this are not made up for (default: 1d)')
    .option('--missed-limit <number>', 'with --missed all: at most so many (default: 100)')
    .option('--overlap <policy>', `when a run has not ended: ${overlapPolicies.join(', ')} (default: skip)`)
    .option('--jitter <duration>', 'start each run a while later, up to this much (default: 0s)')
    .option('--attempts <number>', 'of each run (default: those of the job)')
    .option('--timeout <duration>', 'of one attempt (default: that of the job)')
    .option('--on-lost <what>', 'when a worker dies: retry or fail (default: what the job says, else fail)')
    .option('--retention <duration>', 'how long its runs are kept after their end (default: that of the job)')
    .option('--start-at <time>', 'it does not fire before then, such as 2030-01-31T09:00:00Z')
    .option('--end-at <time>', 'it does not fire then or later')
    .option('--notify <channel,…>', 'whom to notify instead of the server’s rules; none: nobody')
    .option('--notify-on <event,…>', `of these alone: ${notificationKinds.join(', ')} (default: all)`)
    .option('--description <text>', 'for people')
    .option('--disabled', 'it does not fire')
    .option('--unknown-job', 'save it although no worker has told of its job yet')
}

/** @throws SignalboxError `invalid_argument` */
export function definitionOf(name: string, flags: DefinitionFlags, now: number): ScheduleInput {
  if (flags.job === undefined) throw invalidInput('--job', '--job: missing; name the job that it runs')
  const given = patchFields(flags, now)
  if (given['expression'] === undefined) {
    throw invalidInput('--cron', "give one of --cron, --rate, --at, --expression, such as --rate '5 minutes'")
  }
  const fields = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null))
  const definition = { name, ...fields }
  const parsed = scheduleDefinition.safeParse(definition)
  if (!parsed.success) throw refusal(problemText(parsed.error, definition, flagOf))
  return definition as ScheduleInput
}

/** @throws SignalboxError `invalid_argument` */
export function patchOf(flags: DefinitionFlags, now: number): SchedulePatch {
  const patch = patchFields(flags, now)
  if (Object.keys(patch).length === 0)
    throw refusal('nothing to change; say what, for example --time-zone UTC')
  const parsed = schedulePatch.safeParse(patch)
  if (!parsed.success) throw refusal(problemText(parsed.error, patch, flagOf))
  return parsed.data
}

function patchFields(flags: DefinitionFlags, now: number): Record<string, unknown> {
  const { timeZone, description } = flags
  const expression = expressionOf(flags)
  const enabled = enabledOf(flags)
  const time = (text: string, flag: string): string => iso(instantOf(text, flag, now))
  const fields: Record<string, unknown> = {
    job: flags.job,
    expression,
    timeZone: timeZone === undefined ? undefined : checkTimeZone(timeZone),
    enabled,
    description: description === '' ? null : description,
    parameters: parametersOf(flags),
    missed: flags.missed,
    missedWindowMs: ms(flags.missedWindow, '--missed-window'),
    missedLimit: number(flags.missedLimit, '--missed-limit'),
    overlap: flags.overlap,
    jitterMs: ms(flags.jitter, '--jitter'),
    attempts: optional(flags.attempts, '--attempts', number),
    timeoutMs: optional(flags.timeout, '--timeout', ms),
    onLost: optional(flags.onLost, '--on-lost', (text) => text),
    retentionMs: optional(flags.retention, '--retention', ms),
    startAt: optional(flags.startAt, '--start-at', time),
    endAt: optional(flags.endAt, '--end-at', time),
    notify: notifyOf(flags),
  }
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

/** The expression as it is kept, checked here. @throws SignalboxError `invalid_argument` */
export function expressionOf(
  flags: Pick<DefinitionFlags, 'cron' | 'rate' | 'at' | 'expression'>,
): string | undefined {
  const { cron, rate, at, expression } = flags
  const given = [cron, rate, at, expression].filter((text) => text !== undefined)
  if (given.length > 1) throw invalidInput('--cron', '--cron, --rate, --at, --expression: give one of them')
  const whole =
    expression ??
    (cron === undefined ? undefined : inForm('cron', cron)) ??
    (rate === undefined ? undefined : inForm('rate', rate)) ??
    (at === undefined ? undefined : inForm('at', at))
  if (whole !== undefined) parseExpression(whole)
  return whole
}

/** With or without the form's own name around it; a line of crontab goes to the parser as it is, which has a hint. */
function inForm(form: 'cron' | 'rate' | 'at', text: string): string {
  const body = text.trim()
  if (body.startsWith(`${form}(`)) return body
  return form === 'cron' && body.split(/\s+/).length === 5 ? body : `${form}(${body})`
}

function enabledOf({ enabled, disabled }: DefinitionFlags): boolean | undefined {
  if (enabled === true && disabled === true) throw refusal('--enabled and --disabled: give one of them')
  return enabled === true ? true : disabled === true ? false : undefined
}

function notifyOf({ notify, notifyOn }: DefinitionFlags): object | null | undefined {
  if (notify === undefined) {
    if (notifyOn === undefined) return undefined
    throw invalidInput('--notify', '--notify-on: needs --notify with the channels')
  }
  if (notify.trim() === DEFAULT) return null
  const events = notifyOn === undefined ? {} : { events: words(notifyOn).map(kindOf) }
  return { channels: notify.trim() === NONE ? [] : words(notify), ...events }
}

function kindOf(text: string): string {
  return text.replaceAll('-', '_')
}

function words(text: string): string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

/** A key that may be taken away again. */
function optional<T>(
  text: string | undefined,
  flag: string,
  read: (text: string, flag: string) => T,
): T | null | undefined {
  if (text === undefined) return undefined
  return text.trim() === DEFAULT || text.trim() === NONE ? null : read(text, flag)
}

function ms(text: string, flag: string): number
function ms(text: string | undefined, flag: string): number | undefined
function ms(text: string | undefined, flag: string): number | undefined {
  return text === undefined ? undefined : parseDuration(text, flag)
}

function number(text: string, flag: string): number
function number(text: string | undefined, flag: string): number | undefined
function number(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text.trim())) return Number(text)
  throw invalidInput(flag, `${flag}: '${text.slice(0, 40)}' must be a whole number`)
}

/** `missedWindowMs` → `--missed-window` */
function flagOf([key, inner]: readonly string[]): string {
  const name = inner === 'events' ? 'notifyOn' : (key ?? '').replace(/Ms$/, '')
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

function refusal(message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message)
}
