/** What `schedule` prints for people. */
import { table } from '../../cli/output.ts'
import { printable } from '../../cli/text.ts'
import { formatDuration } from '../../kernel/duration.ts'
import type { BackfillView, LastRun, ScheduleRow, ScheduleView } from '../api.ts'
import { exactDuration, iso, localTime } from './times.ts'

const MAX_WORDS = 60

export function scheduleListText(schedules: readonly ScheduleRow[], now: number): string {
  if (schedules.length === 0)
    return "No schedules. 'signalbox schedule create --help' shows how to make one.\n"
  const rows = schedules.map((row) => [
    row.name,
    row.job,
    printable(row.says).slice(0, MAX_WORDS),
    row.timeZone,
    nextText(row, now),
    row.last === undefined ? '-' : lastText(row.last, now),
  ])
  return table([['SCHEDULE', 'JOB', 'WHEN', 'ZONE', 'NEXT', 'LAST'], ...rows])
}

export function scheduleText(view: ScheduleView, now: number): string {
  const { timeZone, paused, last, trigger, notify } = view
  const duration = (ms: number | undefined): string | undefined =>
    ms === undefined ? undefined : exactDuration(ms)
  const facts: [string, string | undefined][] = [
    ['about', view.description],
    ['job', view.job],
    ['when', `${view.says} (${view.expression})`],
    ['time zone', timeZone],
    ['state', paused === undefined ? (view.enabled ? 'enabled' : 'disabled') : pausedText(paused, now)],
    ['problem', view.problem],
    ['next', nextText(view, now)],
    ['last run', last === undefined ? undefined : `${last.id}: ${lastText(last, now)}`],
    ['', last?.error],
    ['held runs', view.held === 0 ? undefined : String(view.held)],
    ['parameters', JSON.stringify(view.parameters)],
    ['from', view.startAt],
    ['until', view.endAt],
    ['missed times', missedText(view)],
    ['overlap', view.overlap],
    ['jitter', view.jitterMs === 0 ? undefined : exactDuration(view.jitterMs)],
    ['attempts', view.attempts === undefined ? undefined : String(view.attempts)],
    ['time-out', duration(view.timeoutMs)],
    ['worker lost', view.onLost],
    ['runs kept', duration(view.retentionMs)],
    ['notify', notify === undefined ? undefined : notifyText(notify)],
    ['fired by', triggerText(trigger)],
    ['changed', `${ago(view.updatedAt, now)} by ${view.updatedBy}, rev ${view.rev}`],
  ]
  const rows = facts.flatMap(([name, value]) =>
    value === undefined ? [] : [[`  ${name}`, printable(value)]],
  )
  return `${view.name}\n${table(rows)}${nextTimesText(view.next.map(Date.parse), timeZone, now)}`
}

/** The next times there and in UTC; nothing when there are none. */
export function nextTimesText(times: readonly number[], timeZone: string, now: number): string {
  if (times.length === 0) return ''
  const rows = times.map((at) => [
    ...(timeZone === 'UTC' ? [] : [localTime(at, timeZone)]),
    iso(at),
    untilText(at, now),
  ])
  const head = [...(timeZone === 'UTC' ? [] : [timeZone]), 'UTC', '']
  return `\n${table([head, ...rows].map(([first, ...rest]) => [`  ${first}`, ...rest]))}`
}

export function backfillText({ times, runs }: BackfillView): string {
  if (times.length === 0) return 'No times in that range.\n'
  if (runs.length === 0) return times.map((at) => `${iso(Date.parse(at))}\n`).join('')
  return runs
    .map(({ run, created }) => `${run.id}${created ? '' : ` (there already, ${run.state})`}\n`)
    .join('')
}

function nextText({ enabled, paused, nextAt, trigger }: ScheduleRow, now: number): string {
  if (paused !== undefined) return 'paused'
  if (!enabled) return 'disabled'
  if (nextAt === undefined) return 'never'
  if (trigger.kind === 'off') return 'nobody fires it'
  // Its rule at AWS is not as it should be; `show` says why.
  const rule = trigger.state === 'in_sync' ? '' : `, rule ${trigger.state}`
  return untilText(Date.parse(nextAt), now) + rule
}

function untilText(at: number, now: number): string {
  return at <= now ? 'now' : `in ${formatDuration(at - now)}`
}

function lastText({ state, endedAt, scheduledAt }: LastRun, now: number): string {
  const when = endedAt ?? scheduledAt
  return when === undefined ? state : `${state} ${ago(when, now)}`
}

function pausedText({ at, by, reason }: NonNullable<ScheduleRow['paused']>, now: number): string {
  return `paused ${ago(at, now)} by ${by}${reason === undefined ? '' : `: ${reason}`}`
}

function missedText({ missed, missedWindowMs, missedLimit }: ScheduleView): string {
  const window = `within ${exactDuration(missedWindowMs)}`
  if (missed === 'skip') return 'skip'
  return missed === 'once' ? `once, ${window}` : `all, ${window}, at most ${missedLimit}`
}

function notifyText({ channels, events }: NonNullable<ScheduleView['notify']>): string {
  if (channels.length === 0) return 'nobody'
  return `${channels.join(', ')}${events === undefined ? '' : ` on ${events.join(', ')}`}`
}

function triggerText({ kind, state, error }: ScheduleRow['trigger']): string {
  if (kind === 'off') return 'nobody here (schedules.trigger is off)'
  if (kind === 'embedded') return 'the server'
  return `${kind}, ${state.replaceAll('_', ' ')}${error === undefined ? '' : `: ${error}`}`
}

function ago(time: string, now: number): string {
  return `${formatDuration(Math.max(0, now - Date.parse(time)))} ago`
}
