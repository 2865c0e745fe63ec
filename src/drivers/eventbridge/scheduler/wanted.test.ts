import type { GetScheduleOutput } from '@aws-sdk/client-scheduler'
import { describe, expect, it } from 'vitest'
import type { TriggerRule } from '../../../ports/trigger.ts'
import { rule } from './testing/both.ts'
import { differences, wanted, type Destination } from './wanted.ts'

const now = Date.UTC(2026, 5, 1)
const to: Destination = {
  group: 'ours',
  namespace: 'ours',
  busArn: 'arn:aws:events:eu-west-1:123456789012:event-bus/default',
  roleArn: 'arn:aws:iam::123456789012:role/scheduler',
}

describe('what is wanted', () => {
  it('is the schedule in its own time zone, without a window, which puts an event that names it on the bus', () => {
    expect(wanted(rule('nightly', { description: 'Tidies up' }), to, now)).toEqual({
      Name: 'nightly',
      GroupName: 'ours',
      ScheduleExpression: 'cron(0 9 * * ? *)',
      ScheduleExpressionTimezone: 'Europe/Berlin',
      FlexibleTimeWindow: { Mode: 'OFF' },
      ActionAfterCompletion: 'NONE',
      State: 'ENABLED',
      Description: 'Tidies up',
      Target: {
        Arn: to.busArn,
        RoleArn: to.roleArn,
        EventBridgeParameters: { Source: 'signalbox', DetailType: 'Schedule due' },
        Input: '{"namespace":"ours","schedule":"nightly","time":"<aws.scheduler.scheduled-time>"}',
        RetryPolicy: { MaximumEventAgeInSeconds: 86_400, MaximumRetryAttempts: 185 },
      },
    })
  })

  it('has a start and an end that are to come, in whole seconds', () => {
    const want = wanted(
      rule('r', { startAt: '2026-07-01T02:00:00.750+02:00', endAt: '2026-08-01T00:00:00Z' }),
      to,
      now,
    )
    expect([want.StartDate, want.EndDate]).toEqual([new Date(Date.UTC(2026, 6)), new Date(Date.UTC(2026, 7))])
  })

  it('leaves out a start that has passed, which Scheduler would refuse', () => {
    const want = wanted(rule('r', { startAt: '2026-05-01T00:00:00Z' }), to, now)
    expect(want).not.toHaveProperty('StartDate')
    expect(want.State).toBe('ENABLED')
  })

  it('is disabled once its end has passed', () => {
    const want = wanted(rule('r', { endAt: '2026-05-31T23:59:59Z' }), to, now)
    expect(want).not.toHaveProperty('EndDate')
    expect(want.State).toBe('DISABLED')
  })

  it('leaves both out of a time that comes once, where Scheduler ignores them', () => {
    const once = rule('r', {
      expression: 'at(2026-07-01T09:00:30)',
      startAt: '2026-06-10T00:00:00Z',
      endAt: '2026-06-20T00:00:00Z',
    })
    const want = wanted(once, to, now)
    expect(want).not.toHaveProperty('StartDate')
    expect(want).not.toHaveProperty('EndDate')
    expect(want.State).toBe('ENABLED')
  })
})

describe('a rate', () => {
  const anchor = Date.UTC(2026, 4, 31, 23, 58, 30)
  const often = (more: Partial<TriggerRule> = {}): TriggerRule =>
    rule('r', { expression: 'rate(5 minutes)', anchor, ...more })
  const startOf = (wish: TriggerRule, at = now): string | undefined =>
    wanted(wish, to, at).StartDate?.toISOString().slice(11, 19)

  it('starts at its next time, since without a start it would fire whenever it is written', () => {
    expect(startOf(often())).toBe('00:03:30')
    expect(startOf(often(), anchor)).toBe('00:03:30')
    expect(startOf(often(), anchor - 500)).toBe('00:03:30')
    expect(startOf(often(), Date.UTC(2026, 5, 1, 0, 3, 29, 999))).toBe('00:03:30')
    expect(startOf(often(), Date.UTC(2026, 5, 1, 0, 3, 30))).toBe('00:08:30')
    expect(startOf(often({ expression: 'rate(1 day)' }))).toBe('23:58:30')
    expect(startOf(often({ expression: 'rate(2 hours)' }))).toBe('01:58:30')
  })

  it('starts where it is said to, if it counts from there, else at its first time after that', () => {
    const startAt = '2026-06-01T10:00:00Z'
    expect(startOf(often({ startAt, anchor: Date.parse(startAt) }))).toBe('10:00:00')
    expect(startOf(often({ startAt }))).toBe('10:03:30')
  })

  it('is disabled when its next time is not before its end', () => {
    expect(wanted(often({ endAt: '2026-06-01T00:03:31Z' }), to, now).State).toBe('ENABLED')
    const over = wanted(often({ endAt: '2026-06-01T00:03:30Z' }), to, now)
    expect([over.State, over.StartDate, over.EndDate]).toEqual(['DISABLED', undefined, undefined])
  })

  it('differs in nothing while it goes on at its times', () => {
    const made = wanted(often(), to, now)
    for (const later of [now, now + 7 * 60_000, now + 86_400_000]) {
      expect(differences(made, wanted(often(), to, later), later)).toEqual([])
    }
    const shifted = { ...made, StartDate: new Date(anchor + 60_000) }
    expect(differences(shifted, wanted(often(), to, now), now)).toHaveLength(1)
    expect(differences({ ...made, StartDate: undefined }, wanted(often(), to, now), now)).toHaveLength(1)
    const late = { ...made, StartDate: new Date(anchor + 3_000 * 60_000) }
    expect(differences(late, wanted(often(), to, now), now)).toHaveLength(1)
  })
})

describe('differences', () => {
  const want = wanted(rule('r', { description: 'Tidies up', endAt: '2026-08-01T00:00:00Z' }), to, now)
  const { Target, ...rest } = want

  it('are none with what was made of it', () => {
    const have: GetScheduleOutput = { ...rest, Target, Arn: 'arn', CreationDate: new Date(now) }
    expect(differences(have, want, now)).toEqual([])
  })

  it('are none with what AWS leaves out because it is the default', () => {
    const plain = wanted(rule('r', { timeZone: 'UTC' }), to, now)
    const { RetryPolicy: _, ...target } = plain.Target ?? { Arn: '', RoleArn: '' }
    const {
      ActionAfterCompletion: _action,
      ScheduleExpressionTimezone: _zone,
      State: _state,
      ...told
    } = plain
    expect(differences({ ...told, Target: target }, plain, now)).toEqual([])
  })

  it.each<[string, Partial<GetScheduleOutput>]>([
    ['the expression is rate(1 day) instead of cron(0 9 * * ? *)', { ScheduleExpression: 'rate(1 day)' }],
    ['the time zone is UTC instead of Europe/Berlin', { ScheduleExpressionTimezone: 'UTC' }],
    ['the state is DISABLED instead of ENABLED', { State: 'DISABLED' }],
    ['the description is not set instead of Tidies up', { Description: undefined }],
    ['the end is not set instead of 2026-08-01T00:00:00.000Z', { EndDate: undefined }],
    ['the start is 2026-07-01T00:00:00.000Z instead of not set', { StartDate: new Date(Date.UTC(2026, 6)) }],
    ['the flexible window is FLEXIBLE instead of OFF', { FlexibleTimeWindow: { Mode: 'FLEXIBLE' } }],
    ['the action after completion is DELETE instead of NONE', { ActionAfterCompletion: 'DELETE' }],
  ])('tell that %s', (phrase, change) => {
    expect(differences({ ...rest, Target, ...change }, want, now)).toEqual([phrase])
  })

  it.each(['Arn', 'RoleArn', 'Input', 'EventBridgeParameters', 'RetryPolicy'])(
    'tell of another %s of the target',
    (member) => {
      const others: Readonly<Record<string, unknown>> = {
        EventBridgeParameters: { Source: 'signalbox', DetailType: 'other' },
        RetryPolicy: { MaximumEventAgeInSeconds: 60, MaximumRetryAttempts: 185 },
      }
      const changed = { ...Target, [member]: others[member] ?? 'other' } as typeof Target
      expect(differences({ ...rest, Target: changed }, want, now)).toHaveLength(1)
    },
  )

  it('count a start and an end that have passed as what is wanted then', () => {
    const later = Date.UTC(2027, 0)
    const ended = wanted(
      rule('r', { startAt: '2026-06-10T00:00:00Z', endAt: '2026-08-01T00:00:00Z' }),
      to,
      later,
    )
    const made = wanted(
      rule('r', { startAt: '2026-06-10T00:00:00Z', endAt: '2026-08-01T00:00:00Z' }),
      to,
      now,
    )
    expect(differences(made, ended, later)).toEqual([])
    expect(differences(made, ended, now)).not.toEqual([])
  })
})
