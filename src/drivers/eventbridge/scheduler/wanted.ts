/**
 * What a schedule at EventBridge Scheduler is to be, and how one that is there differs from it. Pure.
 *
 * Scheduler cannot call an API destination, so each schedule puts an event on the default bus, and one rule there passes them on
 * (bus-rule.ts). UpdateSchedule replaces wholly, so what is wanted is always told in full.
 * https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html
 */
import type { GetScheduleOutput, RetryPolicy, UpdateScheduleInput } from '@aws-sdk/client-scheduler'
import type { TriggerRule } from '../../../ports/trigger.ts'

/** Of the events on the bus. */
export const SOURCE = 'signalbox'
export const DETAIL_TYPE = 'Schedule due'

/** Where schedules go, and as whom. */
export interface Destination {
  /** The schedule group. */
  readonly group: string
  /** What our events carry, so that two installations in one account do not fire each other's schedules. */
  readonly namespace: string
  readonly busArn: string
  /** May put events on the bus; trusted by scheduler.amazonaws.com. */
  readonly roleArn: string
}

/** AWS retries a put event that failed so long and so often; the most it takes. */
const RETRY_POLICY = { MaximumEventAgeInSeconds: 86_400, MaximumRetryAttempts: 185 } as const
const UNIT_MS: Readonly<Record<string, number>> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 }
/** Scheduler refuses a StartDate that is longer ago than five minutes. */
const START_MARGIN_MS = 60_000

/**
 * The jitter is ours, so the window is off. A schedule that has fired for the last time stays there (`NONE`): deleted by AWS it
 * would look lost, and be made anew.
 * @param now milliseconds since the epoch; a start that has passed is not told, and a schedule that never fires again is disabled
 */
export function wanted(rule: TriggerRule, to: Destination, now: number): UpdateScheduleInput {
  const { name, expression, timeZone, description } = rule
  const end = rule.endAt === undefined ? Infinity : wholeSeconds(Date.parse(rule.endAt))
  const first = firstTime(rule, now)
  // Scheduler ignores both dates for a time that comes once.
  const once = expression.startsWith('at(')
  const ended = !once && end <= Math.max(now, first ?? 0)
  return {
    Name: name,
    GroupName: to.group,
    ScheduleExpression: expression,
    ScheduleExpressionTimezone: timeZone,
    FlexibleTimeWindow: { Mode: 'OFF' },
    ActionAfterCompletion: 'NONE',
    State: rule.enabled && !ended ? 'ENABLED' : 'DISABLED',
    ...(description === undefined || description === '' ? {} : { Description: description }),
    ...(once || ended || first === undefined ? {} : { StartDate: new Date(first) }),
    ...(once || ended || end === Infinity ? {} : { EndDate: new Date(end) }),
    Target: {
      Arn: to.busArn,
      RoleArn: to.roleArn,
      EventBridgeParameters: { Source: SOURCE, DetailType: DETAIL_TYPE },
      Input: detailOf(name, to.namespace),
      RetryPolicy: RETRY_POLICY,
    },
  }
}

/**
 * From when on it may fire; undefined: from now on. A rate without a start fires the moment it is written, and again whenever it is
 * changed; so it starts at its next time.
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#rate-based
 */
function firstTime({ expression, startAt, anchor = 0 }: TriggerRule, now: number): number | undefined {
  const start = startAt === undefined ? undefined : Date.parse(startAt)
  const intervalMs = intervalOf(expression)
  if (intervalMs === undefined) {
    return start === undefined || start <= now + START_MARGIN_MS ? undefined : wholeSeconds(start)
  }
  // One that is said to start where it counts from fires then; else the first time is an interval later.
  const begins = start !== undefined && Math.ceil(start / 1_000) * 1_000 === anchor
  const from = Math.max(start ?? 0, now + 1)
  return anchor + Math.max(begins ? 0 : 1, Math.ceil((from - anchor) / intervalMs)) * intervalMs
}

/** Of a rate; undefined for other expressions. */
function intervalOf(expression: string): number | undefined {
  const [, value, unit = ''] = /^rate\((\d+)\s+(minute|hour|day)s?\)$/.exec(expression) ?? []
  const unitMs = UNIT_MS[unit]
  return value === undefined || unitMs === undefined ? undefined : Number(value) * unitMs
}

/** Scheduler puts the time it was due in: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html */
function detailOf(schedule: string, namespace: string): string {
  return JSON.stringify({ namespace, schedule, time: '<aws.scheduler.scheduled-time>' })
}

/** Scheduler keeps no more. */
function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1_000) * 1_000
}

function said(date: Date | undefined): string {
  return date === undefined ? '' : new Date(wholeSeconds(date.getTime())).toISOString()
}

/** How what is there differs from what is wanted: one phrase each; none when all is as it should be. */
export function differences(
  have: GetScheduleOutput,
  want: UpdateScheduleInput,
  now: number,
): readonly string[] {
  const is: Record<string, string> = { ...facts(have, now), 'the start': startOf(have, want, now) }
  const shouldBe = { ...facts(want, now), 'the start': said(want.StartDate) }
  return Object.entries(shouldBe).flatMap(([name, value]) =>
    is[name] === value ? [] : [`${name} is ${is[name] || 'not set'} instead of ${value || 'not set'}`],
  )
}

/** What we decide about a schedule, but its start, by the words that people read; an end that has passed counts as in `wanted`. */
function facts(schedule: GetScheduleOutput | UpdateScheduleInput, now: number): Record<string, string> {
  const { Target: target, EndDate: end } = schedule
  const ended = end !== undefined && end.getTime() <= now
  return {
    'the expression': schedule.ScheduleExpression ?? '',
    'the time zone': schedule.ScheduleExpressionTimezone ?? 'UTC',
    'the state': ended ? 'DISABLED' : (schedule.State ?? 'ENABLED'),
    'the description': schedule.Description ?? '',
    'the end': ended ? '' : said(end),
    'the flexible window': schedule.FlexibleTimeWindow?.Mode ?? 'OFF',
    'the action after completion': schedule.ActionAfterCompletion ?? 'NONE',
    'the target': target?.Arn ?? '',
    'the role': target?.RoleArn ?? '',
    'the source of its events': target?.EventBridgeParameters?.Source ?? '',
    'the type of its events': target?.EventBridgeParameters?.DetailType ?? '',
    'the input': target?.Input ?? '',
    'the retry policy': retries(target?.RetryPolicy),
  }
}

/** A rate that started at one of its times goes on at them, which is as good as starting at the next one. */
function startOf({ StartDate: is }: GetScheduleOutput, want: UpdateScheduleInput, now: number): string {
  const { StartDate: shouldBe, ScheduleExpression = '' } = want
  const intervalMs = intervalOf(ScheduleExpression)
  if (is === undefined) return ''
  if (intervalMs === undefined) return is.getTime() > now + START_MARGIN_MS ? said(is) : ''
  const apart = wholeSeconds(shouldBe?.getTime() ?? NaN) - wholeSeconds(is.getTime())
  return shouldBe === undefined || (apart >= 0 && apart % intervalMs === 0) ? said(shouldBe) : said(is)
}

function retries(policy: RetryPolicy = {}): string {
  const { MaximumEventAgeInSeconds: age, MaximumRetryAttempts: attempts } = { ...RETRY_POLICY, ...policy }
  return `${attempts} times in ${age} s`
}
