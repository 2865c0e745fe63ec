import { describe, expect, it } from 'vitest'
import { isSignalboxError } from '../../../kernel/error.ts'
import type { TriggerDrift } from '../../../ports/trigger.ts'
import { loadSchedulerSdk } from './client.ts'
import { both, NAMESPACE, rule, SCHEDULER_ROLE, type Both } from './testing/both.ts'

const look = { repair: false }
const repair = { repair: true }
const nine = Date.UTC(2026, 5, 2, 7)

/** Everything is there, with these schedules; what was called is forgotten. */
async function ready(world: Both, ...names: readonly string[]): Promise<void> {
  await world.play(
    world.trigger.reconcile(
      names.map((name) => rule(name)),
      repair,
    ),
  )
  world.scheduler.operations()
  world.eventbridge.writes()
}

function short(drift: readonly TriggerDrift[]): string[] {
  return drift.map(({ object, name, problem, repaired }) =>
    [object, name, problem, repaired ? 'repaired' : 'left'].join(' '),
  )
}

async function codeOf(what: Promise<unknown>): Promise<string> {
  const error: unknown = await what.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return isSignalboxError(error) ? error.code : String(error)
}

describe('the first start', () => {
  it('makes connection, destination, rule, group and schedules; the second writes nothing', async () => {
    const world = await both()
    const rules = [rule('nightly'), rule('once', { expression: 'at(2026-07-01T09:00:00)' })]
    const drift = await world.play(world.trigger.reconcile(rules, repair))
    expect(short(drift)).toEqual([
      `connection ${NAMESPACE} missing repaired`,
      'destination P-test-RunJob-ApiDestination missing repaired',
      `bus_rule ${NAMESPACE} missing repaired`,
      `group ${NAMESPACE} missing repaired`,
      'rule nightly missing repaired',
      'rule once missing repaired',
    ])
    expect(world.scheduler.writes()).toEqual(['CreateScheduleGroup', 'CreateSchedule', 'CreateSchedule'])
    expect(world.eventbridge.writes()).toEqual([
      'CreateConnection',
      'CreateApiDestination',
      'PutRule',
      'PutTargets',
    ])
    const second = await world.another()
    expect(await world.play(second.reconcile(rules, repair))).toEqual([])
    expect([world.scheduler.writes(), world.eventbridge.writes()]).toEqual([[], []])
  })

  it('only looks when nothing is to be repaired', async () => {
    const world = await both()
    const drift = await world.play(world.trigger.reconcile([rule('nightly')], look))
    expect(drift.map(({ object, problem, repaired, error }) => [object, problem, repaired, error])).toEqual(
      ['connection', 'destination', 'bus_rule', 'group', 'rule'].map((object) => [
        object,
        'missing',
        false,
        undefined,
      ]),
    )
    expect([world.scheduler.writes(), world.eventbridge.writes()]).toEqual([[], []])
  })

  it('gives the group our tag, and schedules the role that may put events', async () => {
    const world = await both()
    await ready(world, 'nightly')
    expect(world.scheduler.groupTags(NAMESPACE)).toEqual([{ Key: 'signalbox', Value: NAMESPACE }])
    expect(world.scheduler.schedule(NAMESPACE, 'nightly')).toMatchObject({
      ScheduleExpressionTimezone: 'Europe/Berlin',
      FlexibleTimeWindow: { Mode: 'OFF' },
      Target: {
        Arn: 'arn:aws:events:eu-west-1:123456789012:event-bus/default',
        RoleArn: SCHEDULER_ROLE,
      },
    })
  })
})

describe('a schedule that is due', () => {
  it('calls us with the key, its name and the time it was due', async () => {
    const world = await both()
    await ready(world, 'nightly')
    expect(world.scheduler.due(NAMESPACE, 'nightly', nine)).toBe(true)
    await world.clock.settle()
    const [call, ...others] = world.calls
    expect(others).toEqual([])
    expect(call?.url).toBe('https://signalbox.example.org/api/v1/triggers/eventbridge')
    expect(call?.headers['X-Aws-Event-Bridge-Api-Key']).toBe('the-key')
    const id = expect.stringMatching(/^[\w-]+$/) as unknown
    expect(JSON.parse(call?.body ?? '')).toEqual({ schedule: 'nightly', time: '2026-06-02T07:00:00Z', id })
  })

  it('does not call us when it is disabled, or another installation’s', async () => {
    const world = await both()
    await ready(world, 'nightly')
    const target = {
      ...world.scheduler.schedule(NAMESPACE, 'nightly')?.Target,
      Input: '{"namespace":"theirs"}',
    }
    world.scheduler.addGroup('theirs')
    world.scheduler.tamper('theirs', 'nightly', { Target: target as never })
    expect(world.scheduler.due('theirs', 'nightly', nine)).toBe(true)
    await world.play(world.trigger.put(rule('nightly', { enabled: false })))
    expect(world.scheduler.due(NAMESPACE, 'nightly', nine)).toBe(false)
    await world.clock.settle()
    expect(world.calls).toEqual([])
  })
})

it('fires no rate because it was made or changed', async () => {
  const world = await both()
  const rate = rule('r', { expression: 'rate(5 minutes)', anchor: world.clock.now() })
  await world.play(world.trigger.reconcile([rate], repair))
  await world.play(world.trigger.put({ ...rate, description: 'changed' }))
  await world.play(world.trigger.put({ ...rate, enabled: false }))
  await world.play(world.trigger.put(rate))
  await world.clock.settle()
  expect(world.calls).toEqual([])
  expect(world.scheduler.due(NAMESPACE, 'r', world.clock.now())).toBe(false)
  expect(world.scheduler.due(NAMESPACE, 'r', world.clock.now() + 5 * 60_000)).toBe(true)
})

describe('put and remove', () => {
  it('make, change wholly, leave and delete a schedule', async () => {
    const world = await both()
    await ready(world)
    const noted = rule('r', { description: 'Tidies up', endAt: '2026-08-01T00:00:00Z' })
    await world.play(world.trigger.put(noted))
    await world.play(world.trigger.put(noted))
    expect(world.scheduler.writes()).toEqual(['CreateSchedule'])
    await world.play(world.trigger.put(rule('r', { expression: 'rate(5 minutes)' })))
    expect(world.scheduler.writes()).toEqual(['UpdateSchedule'])
    const there = world.scheduler.schedule(NAMESPACE, 'r')
    expect([there?.ScheduleExpression, there?.Description, there?.EndDate]).toEqual([
      'rate(5 minutes)',
      undefined,
      undefined,
    ])
    await world.play(world.trigger.remove('r'))
    await world.play(world.trigger.remove('r'))
    expect(world.scheduler.names(NAMESPACE)).toEqual([])
  })

  it.each(['CreateSchedule', 'UpdateSchedule'])('look again after a lost answer of %s', async (operation) => {
    const world = await both()
    await ready(world, ...(operation === 'UpdateSchedule' ? ['r'] : []))
    world.scheduler.lose(operation)
    await world.play(world.trigger.put(rule('r', { expression: 'rate(5 minutes)' })))
    expect(world.scheduler.schedule(NAMESPACE, 'r')?.ScheduleExpression).toBe('rate(5 minutes)')
  })

  it('agree with another replica that makes, or deletes, the schedule at the same moment', async () => {
    const world = await both()
    await ready(world, 'b')
    world.scheduler.before('CreateSchedule', () => world.scheduler.tamper(NAMESPACE, 'a', {}))
    await world.play(world.trigger.put(rule('a')))
    expect(world.scheduler.schedule(NAMESPACE, 'a')?.ScheduleExpression).toBe('cron(0 9 * * ? *)')
    const gone = world.scheduler.refusal('ResourceNotFoundException', 'gone', 404)
    world.scheduler.before('UpdateSchedule', () => {
      world.scheduler.drop(NAMESPACE, 'b')
      throw gone
    })
    await world.play(world.trigger.put(rule('b', { enabled: false })))
    expect(world.scheduler.schedule(NAMESPACE, 'b')?.State).toBe('DISABLED')
  })

  it('write nothing into a group that is not ours', async () => {
    const world = await both()
    world.scheduler.addGroup(NAMESPACE, [{ Key: 'signalbox', Value: 'theirs' }])
    expect(await codeOf(world.play(world.trigger.put(rule('r'))))).toBe('unavailable')
    await world.play(world.trigger.remove('r'))
    expect(world.scheduler.writes()).toEqual([])
  })

  it('wait while there are too many calls', async () => {
    const world = await both()
    await ready(world)
    const busy = world.scheduler.refusal('ThrottlingException', 'Rate exceeded', 429)
    const happens = (): never => {
      throw busy
    }
    world.scheduler.before('CreateSchedule', happens, happens, happens)
    await world.play(world.trigger.put(rule('r')))
    expect(world.scheduler.names(NAMESPACE)).toEqual(['r'])
  })

  it('refuse a time zone whose name is longer than Scheduler takes', async () => {
    const world = await both()
    const odd = rule('r', { timeZone: `Europe/${'x'.repeat(50)}` })
    expect(world.trigger.objection(odd)).toMatch(/50 characters/)
    expect(world.trigger.objection(rule('r', { expression: 'at(2026-07-01T09:00:00)' }))).toBeUndefined()
    expect(await codeOf(world.trigger.put(odd))).toBe('invalid_argument')
  })
})

describe('drift', () => {
  it('is repaired where a schedule was changed, disabled or deleted by hand, or is superfluous', async () => {
    const world = await both()
    await ready(world, 'a', 'b', 'c', 'd')
    world.scheduler.tamper(NAMESPACE, 'a', { ScheduleExpression: 'rate(1 day)' })
    world.scheduler.tamper(NAMESPACE, 'b', { State: 'DISABLED' })
    world.scheduler.drop(NAMESPACE, 'c')
    const drift = await world.play(
      world.trigger.reconcile(
        ['a', 'b', 'c'].map((name) => rule(name)),
        repair,
      ),
    )
    expect(short(drift)).toEqual([
      'rule a changed repaired',
      'rule b changed repaired',
      'rule c missing repaired',
      'rule d superfluous repaired',
    ])
    expect(drift[0]?.detail).toBe('the expression is rate(1 day) instead of cron(0 9 * * ? *)')
    expect(world.scheduler.names(NAMESPACE).toSorted()).toEqual(['a', 'b', 'c'])
    world.scheduler.operations()
    expect(
      await world.play(
        world.trigger.reconcile(
          ['a', 'b', 'c'].map((name) => rule(name)),
          repair,
        ),
      ),
    ).toEqual([])
    expect(world.scheduler.writes()).toEqual([])
  })

  it('leaves a schedule that has been made since the list of rules was', async () => {
    const world = await both()
    await ready(world, 'a', 'b')
    const stillWanted = (name: string): Promise<boolean> => Promise.resolve(name === 'b')
    const drift = await world.play(world.trigger.reconcile([], { repair: true, stillWanted }))
    expect(short(drift)).toEqual(['rule a superfluous repaired'])
    expect(world.scheduler.names(NAMESPACE)).toEqual(['b'])
  })

  it('leaves a schedule of which it cannot be told whether it is wanted', async () => {
    const world = await both()
    await ready(world, 'a')
    const stillWanted = (): Promise<boolean> => Promise.reject(new Error('the store is away'))
    const [drift] = await world.play(world.trigger.reconcile([], { repair: true, stillWanted }))
    expect([drift?.repaired, drift?.error]).toEqual([false, 'the store is away'])
    expect(world.scheduler.names(NAMESPACE)).toEqual(['a'])
  })

  it('of one schedule does not keep the others from being repaired', async () => {
    const world = await both()
    await ready(world)
    const refused = world.scheduler.refusal('ValidationException', 'Invalid Schedule Expression.')
    world.scheduler.before('CreateSchedule', () => {
      throw refused
    })
    const drift = await world.play(world.trigger.reconcile([rule('a'), rule('b')], repair))
    expect(short(drift)).toEqual(['rule a missing left', 'rule b missing repaired'])
    expect(drift[0]?.schedule).toBe('a')
    expect(drift[0]?.error).toMatch(/schedule 'a'.*Invalid Schedule Expression/)
  })

  it('tells what may not be done, by its action', async () => {
    const world = await both()
    await ready(world)
    const message = 'User: u is not authorized to perform: iam:PassRole on resource: r'
    const denied = world.scheduler.refusal('AccessDeniedException', message, 403)
    world.scheduler.before('CreateSchedule', () => {
      throw denied
    })
    const [drift] = await world.play(world.trigger.reconcile([rule('a')], repair))
    expect(drift?.error).toMatch(/may not perform iam:PassRole; allow it in their IAM policy/)
  })

  it('of the group: one without our tag is left alone, until it is adopted', async () => {
    const world = await both()
    world.scheduler.addGroup(NAMESPACE)
    const drift = await world.play(world.trigger.reconcile([rule('a')], repair))
    expect(short(drift).slice(-2)).toEqual([`group ${NAMESPACE} foreign left`, 'rule a missing left'])
    expect(world.scheduler.writes()).toEqual([])
    const adopted = await world.play(world.trigger.reconcile([rule('a')], { repair: true, adopt: true }))
    expect(short(adopted)).toEqual([`group ${NAMESPACE} changed repaired`, 'rule a missing repaired'])
  })

  it('of the group: one that is being deleted is waited for, and made anew', async () => {
    const world = await both()
    await ready(world, 'a')
    expect(await world.play(world.trigger.removeAll())).toEqual([
      `schedule group ${NAMESPACE}, with its schedules`,
      `rule ${NAMESPACE}`,
      'API destination P-test-RunJob-ApiDestination',
      `connection ${NAMESPACE}`,
    ])
    const drift = await world.play(world.trigger.reconcile([rule('a')], repair))
    expect(short(drift).slice(-2)).toEqual([`group ${NAMESPACE} not_ready left`, 'rule a missing left'])
    world.scheduler.finishDeletions()
    await world.play(world.trigger.reconcile([rule('a')], repair))
    expect(world.scheduler.names(NAMESPACE)).toEqual(['a'])
  })

  it('of the bus rule and its target is repaired', async () => {
    const world = await both()
    await ready(world, 'a')
    const there = world.eventbridge.objects.rules.get(`default|${NAMESPACE}`)
    if (there === undefined) throw new Error('no rule')
    there.State = 'DISABLED'
    const target = world.eventbridge.objects.targets.get(there.Arn)?.[0]
    if (target === undefined) throw new Error('no target')
    world.eventbridge.objects.targets.set(there.Arn, [
      { ...target, RoleArn: 'arn:aws:iam::1:role/other' },
      { ...target, Id: 'second' },
    ])
    const drift = await world.play(world.trigger.reconcile([rule('a')], repair))
    expect(short(drift)).toEqual([
      `bus_rule ${NAMESPACE} changed repaired`,
      `bus_rule ${NAMESPACE} changed repaired`,
    ])
    expect(world.eventbridge.objects.targets.get(there.Arn)).toEqual([target])
    expect(await world.play(world.trigger.reconcile([rule('a')], repair))).toEqual([])
  })

  it('leaves a bus rule without our tag alone', async () => {
    const world = await both()
    await ready(world, 'a')
    world.eventbridge.objects.tags.clear()
    const drift = await world.play(world.trigger.reconcile([rule('a')], repair))
    expect(short(drift)).toEqual([`bus_rule ${NAMESPACE} foreign left`])
    expect(world.eventbridge.writes()).toEqual([])
  })
})

describe('many schedules', () => {
  const names = Array.from({ length: 25 }, (_, i) => `s${String(i).padStart(2, '0')}`)
  const rules = names.map((name) => rule(name))

  it('are listed page by page, and read again only when they were changed', async () => {
    const world = await both(10)
    await ready(world, ...names)
    expect(await world.play(world.trigger.reconcile(rules, repair))).toEqual([])
    const first = world.scheduler.operations()
    expect(first.filter((operation) => operation === 'ListSchedules')).toHaveLength(3)
    expect(first.filter((operation) => operation === 'GetSchedule')).toHaveLength(25)
    world.scheduler.tamper(NAMESPACE, 's07', { Description: 'by hand' })
    expect(short(await world.play(world.trigger.reconcile(rules, repair)))).toEqual([
      'rule s07 changed repaired',
    ])
    const second = world.scheduler.operations()
    expect(second.filter((operation) => operation === 'GetSchedule')).toHaveLength(1)
  })

  it('need no write when starts and ends pass', async () => {
    const world = await both()
    const dated = [
      rule('a', { startAt: '2026-06-02T00:00:00Z', endAt: '2026-06-03T00:00:00Z' }),
      rule('b', { startAt: '2026-06-02T00:00:00Z' }),
    ]
    await world.play(world.trigger.reconcile(dated, repair))
    world.scheduler.operations()
    for (let day = 0; day < 4; day++) {
      world.clock.jump(86_400_000)
      expect(await world.play((await world.another()).reconcile(dated, repair))).toEqual([])
    }
    expect(world.scheduler.writes()).toEqual([])
    await world.play(world.trigger.put(rule('a', { endAt: '2026-06-03T00:00:00Z' })))
    expect(world.scheduler.writes()).toEqual([])
    await world.play(world.trigger.put(rule('a', { endAt: '2026-06-03T00:00:00Z', description: 'new' })))
    expect(world.scheduler.schedule(NAMESPACE, 'a')?.State).toBe('DISABLED')
  })
})

describe('when AWS is away', () => {
  it('a look throws, and the next one works', async () => {
    const world = await both()
    await ready(world, 'a')
    const broken = world.scheduler.refusal('InternalServerException', 'broken', 500)
    const happens = (): never => {
      throw broken
    }
    world.scheduler.before('ListSchedules', happens, happens, happens)
    expect(await codeOf(world.play(world.trigger.reconcile([rule('a')], repair)))).toBe('unavailable')
    expect(await world.play(world.trigger.reconcile([rule('a')], repair))).toEqual([])
  })
})

it('says which package is missing', async () => {
  const missing = loadSchedulerSdk(() => Promise.reject(new Error('no such module')))
  await expect(missing).rejects.toThrow(/npm install @aws-sdk\/client-scheduler/)
})
