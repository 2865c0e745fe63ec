/** Schedules as rules of EventBridge: made, left alone, mended, removed; against the fake. */
import { describe, expect, it } from 'vitest'
import { loadSdk } from './client.ts'
import { finished, inWords, rule, ROLE, URL_OF_TARGET, world, type World } from './testing/opened.ts'

const RULES = [
  rule('nightly', { description: 'Closes the day' }),
  rule('hourly', { expression: 'rate(1 hour)' }),
]

/** With everything in place, and the calls for it forgotten. */
async function settled(options: Parameters<typeof world>[0] = {}): Promise<World> {
  const w = world(options)
  await finished(w.clock, (await w.open()).reconcile(RULES, { repair: true }))
  w.aws.operations.length = 0
  return w
}

describe('the first start', () => {
  it('makes the connection, the API destination and a rule with its target for each schedule', async () => {
    const { clock, aws, open } = world()
    const drift = await finished(clock, (await open()).reconcile(RULES, { repair: true }))
    expect(inWords(drift)).toEqual([
      'connection shop-test-RunJob-Connection missing repaired',
      'destination shop-test-RunJob-ApiDestination missing repaired',
      'rule nightly missing repaired',
      'rule hourly missing repaired',
    ])
    expect(aws.writes().toSorted()).toEqual(
      [
        'CreateConnection',
        'CreateApiDestination',
        'PutRule',
        'PutRule',
        'PutTargets',
        'PutTargets',
      ].toSorted(),
    )
    const { objects } = aws
    const nightly = objects.rules.get('default|nightly')
    expect(nightly).toMatchObject({
      ScheduleExpression: 'cron(0 9 * * ? *)',
      State: 'ENABLED',
      Description: 'Closes the day (signalbox=shop-test-RunJob-Connection)',
    })
    expect([...(objects.tags.get(nightly?.Arn ?? '') ?? [])]).toEqual([
      ['signalbox', 'shop-test-RunJob-Connection'],
    ])
    const destination = objects.destinations.get('shop-test-RunJob-ApiDestination')
    expect(destination).toMatchObject({ InvocationEndpoint: URL_OF_TARGET, HttpMethod: 'POST' })
    expect(objects.targets.get(nightly?.Arn ?? '')).toEqual([
      {
        Id: 'signalbox',
        Arn: destination?.ApiDestinationArn,
        RoleArn: ROLE,
        InputTransformer: {
          InputPathsMap: { time: '$.time', id: '$.id' },
          InputTemplate: '{"schedule":"nightly","time":<time>,"id":<id>}',
        },
        RetryPolicy: { MaximumRetryAttempts: 185, MaximumEventAgeInSeconds: 86_400 },
      },
    ])
  })

  it('waits until the connection is authorised before the API destination is made', async () => {
    const { clock, aws, open } = world({ looksToAuthorise: 3 })
    await finished(clock, (await open()).reconcile([], { repair: true }))
    expect(aws.operations.indexOf('CreateApiDestination')).toBeGreaterThan(
      aws.operations.lastIndexOf('DescribeConnection', aws.operations.indexOf('DescribeApiDestination')),
    )
    expect(aws.objects.connections.get('shop-test-RunJob-Connection')?.ConnectionState).toBe('AUTHORIZED')
  })

  it('loses nothing with answers that are lost, and repeats what is throttled', async () => {
    const w = world()
    for (const operation of ['CreateConnection', 'CreateApiDestination', 'PutRule', 'PutTargets']) {
      w.aws.fail(operation, 'lost')
      w.aws.fail(operation, 'ThrottlingException', 3)
      w.aws.fail(operation, 'ConcurrentModificationException')
    }
    const drift = await finished(w.clock, (await w.open()).reconcile(RULES, { repair: true }))
    expect(drift.every(({ repaired }) => repaired)).toBe(true)
    expect(await finished(w.clock, (await w.open()).reconcile(RULES, { repair: true }))).toEqual([])
  })

  it('repeats targets that AWS did not take although it answered 200, and tells those it refuses', async () => {
    const w = world()
    w.aws.objects.failingTargets.push('ConcurrentModificationException', 'ThrottlingException')
    const first = await finished(w.clock, (await w.open()).reconcile(RULES, { repair: true }))
    expect(first.every(({ repaired }) => repaired)).toBe(true)
    w.aws.objects.targets.clear()
    w.aws.objects.failingTargets.push('ResourceNotFoundException')
    const [refused, taken] = await finished(w.clock, (await w.open()).reconcile(RULES, { repair: true }))
    expect(taken).toMatchObject({ object: 'target', repaired: true })
    expect(refused).toMatchObject({ object: 'target', name: 'nightly', repaired: false })
    expect(refused?.error).toContain('ResourceNotFoundException')
    expect(refused?.error).toContain('targetRoleArn')
  })

  it('says what to do when the bus is full, and makes the others', async () => {
    const { clock, aws, open } = world({ maxRules: 1 })
    const drift = await finished(clock, (await open()).reconcile(RULES, { repair: true }))
    expect(aws.objects.rules.size).toBe(1)
    const failed = drift.filter(({ repaired }) => !repaired)
    expect(failed).toHaveLength(1)
    expect(failed[0]?.error).toMatch(/300 rules a bus.*Service Quotas.*eventbridge-scheduler/)
  })
})

describe('the second start', () => {
  it('writes nothing', async () => {
    const { clock, aws, open } = await settled()
    expect(await finished(clock, (await open()).reconcile(RULES, { repair: true }))).toEqual([])
    expect(aws.operations.length).toBeGreaterThan(4)
    expect(aws.writes()).toEqual([])
  })

  it('finds its way through pages of rules', async () => {
    const many = Array.from({ length: 120 }, (_, i) => rule(`r${i}`))
    const { clock, aws, open } = world()
    await finished(clock, (await open()).reconcile(many, { repair: true }))
    expect(aws.objects.rules.size).toBe(120)
    aws.operations.length = 0
    expect(await finished(clock, (await open()).reconcile(many, { repair: true }))).toEqual([])
    expect(aws.operations.filter((operation) => operation === 'ListRules')).toHaveLength(2)
    expect(aws.writes()).toEqual([])
  })
})

describe('drift', () => {
  it('of a changed address is repaired', async () => {
    const { clock, aws, open } = await settled()
    const targetUrl = 'https://new.example.org/api/v1/triggers/eventbridge'
    const trigger = await open({ shared: { targetUrl } })
    const seen = await finished(clock, trigger.reconcile(RULES, { repair: false }))
    expect(inWords(seen)).toEqual(['destination shop-test-RunJob-ApiDestination changed'])
    expect(seen[0]?.detail).toBe(`it calls ${URL_OF_TARGET}, not ${targetUrl}`)
    expect(aws.writes()).toEqual([])
    await finished(clock, trigger.reconcile(RULES, { repair: true }))
    expect(aws.writes()).toEqual(['UpdateApiDestination'])
    expect(aws.objects.destinations.get('shop-test-RunJob-ApiDestination')?.InvocationEndpoint).toBe(
      targetUrl,
    )
  })

  it.each([
    ['expression', { ScheduleExpression: 'rate(5 minutes)' }],
    ['state', { State: 'DISABLED' }],
    ['description', { Description: 'mine now' }],
    ['pattern', { EventPattern: '{"source":["x"]}' }],
  ])('of a rule is repaired: %s', async (_, change) => {
    const { clock, aws, open } = await settled()
    Object.assign(aws.objects.rules.get('default|nightly') ?? {}, change)
    const drift = await finished(clock, (await open()).reconcile(RULES, { repair: true }))
    expect(inWords(drift)).toEqual(['rule nightly changed repaired'])
    expect(aws.writes()).toEqual(['PutRule'])
    expect(await finished(clock, (await open()).reconcile(RULES, { repair: true }))).toEqual([])
  })

  it('of a target is repaired, a target of somebody else is left, a second one that calls us is taken away', async () => {
    const { clock, aws, open } = await settled()
    const arn = aws.objects.rules.get('default|nightly')?.Arn ?? ''
    const [target] = aws.objects.targets.get(arn) ?? []
    if (target === undefined) throw new Error('no target')
    const foreign = { Id: 'mail', Arn: 'arn:aws:sns:eu-west-1:123456789012:mail' }
    aws.objects.targets.set(arn, [
      { ...target, RoleArn: 'arn:aws:iam::1:role/other' },
      foreign,
      { ...target, Id: 'old' },
    ])
    const drift = await finished(clock, (await open()).reconcile(RULES, { repair: true }))
    expect(inWords(drift)).toEqual(['target nightly changed repaired'])
    expect(aws.objects.targets.get(arn)).toEqual([target, foreign])
  })

  it('of rules that no schedule wants is removed, targets first', async () => {
    const { clock, aws, open } = await settled()
    const drift = await finished(clock, (await open()).reconcile(RULES.slice(0, 1), { repair: true }))
    expect(inWords(drift)).toEqual(['rule hourly superfluous repaired'])
    expect(aws.writes()).toEqual(['RemoveTargets', 'DeleteRule'])
  })

  it('of a rule whose schedule was made meanwhile is none', async () => {
    const { clock, aws, open } = await settled()
    const asked: string[] = []
    const stillWanted = async (name: string): Promise<boolean> => {
      asked.push(name)
      return true
    }
    const reconciling = (await open()).reconcile(RULES.slice(0, 1), { repair: true, stillWanted })
    expect(await finished(clock, reconciling)).toEqual([])
    expect([asked, aws.writes()]).toEqual([['hourly'], []])
  })

  it('of a connection that lost its key is repaired', async () => {
    const { clock, aws, open } = await settled()
    aws.objects.call('DeauthorizeConnection', { Name: 'shop-test-RunJob-Connection' })
    const drift = await finished(clock, (await open()).reconcile(RULES, { repair: true }))
    expect(inWords(drift)).toContain('connection shop-test-RunJob-Connection not_ready repaired')
    expect(aws.writes()).toEqual(['UpdateConnection'])
  })

  it('of a connection that somebody else wrote is repaired, since its key cannot be seen', async () => {
    const { clock, aws, open } = await settled()
    await clock.advance(3_600_000)
    const auth = { ApiKeyAuthParameters: { ApiKeyName: 'X-Aws-Event-Bridge-Api-Key', ApiKeyValue: 'evil' } }
    aws.objects.call('UpdateConnection', { Name: 'shop-test-RunJob-Connection', AuthParameters: auth })
    const drift = await finished(clock, (await open()).reconcile(RULES, { repair: true }))
    expect(inWords(drift)).toEqual(['connection shop-test-RunJob-Connection changed repaired'])
    expect(aws.objects.connections.get('shop-test-RunJob-Connection')?.key).toBe(
      'correct-horse-battery-staple',
    )
    aws.operations.length = 0
    await clock.advance(600_000)
    await finished(clock, (await open()).reconcile(RULES, { repair: true }))
    expect(aws.writes()).toEqual([])
  })

  it('is told, with its reason, where it cannot be repaired', async () => {
    const { clock, aws, open } = await settled()
    Object.assign(aws.objects.rules.get('default|nightly') ?? {}, { State: 'DISABLED' })
    aws.fail('PutRule', 'AccessDeniedException', 9)
    const [drift] = await finished(clock, (await open()).reconcile(RULES, { repair: true }))
    expect(drift).toMatchObject({ name: 'nightly', repaired: false })
    expect(drift?.error).toContain('may not perform events:PutRule')
  })
})

describe('what is not ours', () => {
  it('stays as it is: rules, connection and destination without our mark, and those of another namespace', async () => {
    const { clock, aws, open } = await settled()
    const other = await open({
      shared: {
        namespace: 'other',
        connectionName: 'other-Connection',
        destinationName: 'other-ApiDestination',
      },
    })
    const drift = await finished(clock, other.reconcile([rule('nightly'), rule('weekly')], { repair: true }))
    expect(inWords(drift)).toEqual([
      'connection other-Connection missing repaired',
      'destination other-ApiDestination missing repaired',
      'rule nightly foreign',
      'rule weekly missing repaired',
    ])
    aws.operations.length = 0
    // Neither sees the other's as superfluous.
    await finished(clock, (await open()).reconcile(RULES, { repair: true }))
    expect(aws.writes()).toEqual([])
    expect([...aws.objects.rules.keys()]).toEqual(['default|nightly', 'default|hourly', 'default|weekly'])
  })

  it('stays also if it calls our destination, or says our mark, without our tag', async () => {
    const { clock, aws, open } = await settled()
    const { objects } = aws
    const [destination] = objects.destinations.values()
    objects.call('PutRule', { Name: 'calls', ScheduleExpression: 'rate(1 day)' })
    const target = { Id: 'x', Arn: destination?.ApiDestinationArn ?? '', RoleArn: ROLE }
    objects.call('PutTargets', { Rule: 'calls', Targets: [target] })
    const Description = 'copied (signalbox=shop-test-RunJob-Connection)'
    objects.call('PutRule', { Name: 'says', ScheduleExpression: 'rate(1 day)', Description })
    const trigger = await open()
    expect(await finished(clock, trigger.reconcile(RULES, { repair: true }))).toEqual([])
    await finished(clock, trigger.removeAll())
    expect([...objects.rules.keys()]).toEqual(['default|calls', 'default|says'])
  })

  it('is not written by put and remove either', async () => {
    const { clock, aws, open } = await settled()
    const arn = aws.objects.rules.get('default|nightly')?.Arn ?? ''
    aws.objects.tags.delete(arn)
    const trigger = await open()
    await expect(finished(clock, trigger.put(rule('nightly', { enabled: false })))).rejects.toThrow(
      /without our tag/,
    )
    await finished(clock, trigger.remove('nightly'))
    expect(aws.writes()).toEqual([])
  })

  it('is used by nobody while its connection is foreign', async () => {
    const { clock, aws, open } = world()
    const auth = { ApiKeyAuthParameters: { ApiKeyName: 'k', ApiKeyValue: 'v' } }
    const Name = 'shop-test-RunJob-Connection'
    aws.objects.call('CreateConnection', { Name, AuthorizationType: 'API_KEY', AuthParameters: auth })
    const drift = await finished(clock, (await open()).reconcile(RULES, { repair: true }))
    expect(drift[0]).toMatchObject({ object: 'connection', problem: 'foreign', repaired: false })
    expect(drift[0]?.error).toContain('--adopt')
    expect(drift.every(({ repaired }) => !repaired)).toBe(true)
    expect(aws.writes()).toEqual([])
  })

  it('becomes ours when it is adopted: the set-up of a system before this one', async () => {
    const { clock, aws, open } = await settled()
    const { objects } = aws
    const [connection] = objects.connections.values()
    const [destination] = objects.destinations.values()
    delete connection?.Description
    delete destination?.Description
    const nightly = objects.rules.get('default|nightly')
    delete nightly?.Description
    objects.tags.clear()
    const calling = { Id: 'RunJob', Arn: destination?.ApiDestinationArn ?? '', RoleArn: ROLE }
    objects.targets.set(nightly?.Arn ?? '', [calling])
    const trigger = await open()
    const before = await finished(clock, trigger.reconcile(RULES, { repair: true }))
    expect(before.map(({ problem }) => problem)).toEqual(['foreign', 'foreign', 'foreign', 'foreign'])
    expect(aws.writes()).toEqual([])
    const adopted = await finished(clock, trigger.reconcile(RULES, { repair: true, adopt: true }))
    expect(adopted.every(({ repaired }) => repaired)).toBe(true)
    expect(objects.targets.get(nightly?.Arn ?? '')).toMatchObject([{ Id: 'signalbox' }])
    aws.operations.length = 0
    expect(await finished(clock, trigger.reconcile(RULES, { repair: true }))).toEqual([])
  })
})

describe('one rule', () => {
  it('is put wholly, once: also with a driver that has not looked yet', async () => {
    const { clock, aws, open } = await settled()
    const trigger = await open()
    const weekly = rule('weekly', { expression: 'cron(0 9 ? * MON *)', enabled: false })
    await finished(clock, trigger.put(weekly))
    expect(aws.writes()).toEqual(['PutRule', 'PutTargets'])
    expect(aws.objects.rules.get('default|weekly')?.State).toBe('DISABLED')
    await finished(clock, trigger.put(weekly))
    expect(aws.writes()).toEqual([])
    await finished(clock, trigger.put({ ...weekly, enabled: true }))
    expect(aws.writes()).toEqual(['PutRule'])
    await finished(clock, trigger.remove('weekly'))
    expect(aws.writes()).toEqual(['RemoveTargets', 'DeleteRule'])
    await finished(clock, trigger.remove('weekly'))
    expect(aws.writes()).toEqual([])
  })

  it('has the prefix in its name, and the schedule in its input', async () => {
    const { clock, aws, open } = world()
    const trigger = await open({ namePrefix: 'shop-test-' })
    await finished(clock, trigger.reconcile([rule('nightly')], { repair: true }))
    const made = aws.objects.rules.get('default|shop-test-nightly')
    const [target] = aws.objects.targets.get(made?.Arn ?? '') ?? []
    expect(target?.InputTransformer?.InputTemplate).toContain('"schedule":"nightly"')
    expect(trigger.objection(rule('n'.repeat(55)))).toContain('54 characters')
  })

  it('cannot be had in a time zone or with at()', async () => {
    const trigger = await world().open()
    expect(trigger.objection(rule('a'))).toBeUndefined()
    expect(trigger.objection(rule('a', { timeZone: 'Etc/UTC' }))).toBeUndefined()
    expect(trigger.objection(rule('a', { timeZone: 'Europe/Berlin' }))).toMatch(/in UTC, not Europe\/Berlin/)
    expect(trigger.objection(rule('a', { expression: 'at(2026-12-01T09:00:00)' }))).toMatch(/no at\(\)/)
    await expect(trigger.put(rule('a', { timeZone: 'Europe/Berlin' }))).rejects.toThrow(/in UTC/)
  })
})

describe('removing all', () => {
  it('takes away what carries our tag, and nothing else', async () => {
    const { clock, aws, open } = await settled()
    aws.objects.call('PutRule', { Name: 'theirs', ScheduleExpression: 'rate(1 day)' })
    aws.operations.length = 0
    const removed = await finished(clock, (await open()).removeAll())
    expect(removed).toEqual([
      'rule nightly',
      'rule hourly',
      'API destination shop-test-RunJob-ApiDestination',
      'connection shop-test-RunJob-Connection',
    ])
    expect([...aws.objects.rules.keys()]).toEqual(['default|theirs'])
    expect(aws.objects.connections.size + aws.objects.destinations.size).toBe(0)
    expect(await finished(clock, (await open()).removeAll())).toEqual([])
  })
})

describe('AWS that cannot be reached', () => {
  it('fails the look, in clear words', async () => {
    const { clock, aws, open } = world()
    aws.fail('*', 'ECONNRESET', 99)
    const reconciling = (await open()).reconcile(RULES, { repair: true })
    await expect(finished(clock, reconciling)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('is asked again when it does not answer at all', async () => {
    const { clock, aws, open } = world()
    aws.fail('DescribeConnection', 'hangs')
    aws.fail('PutRule', 'hangs', 2)
    const drift = await finished(clock, (await open()).reconcile(RULES, { repair: true }))
    expect(drift.every(({ repaired }) => repaired)).toBe(true)
  })

  it.each([
    ['UnrecognizedClientException', 'unauthenticated', /does not accept the credentials/],
    ['AccessDeniedException', 'permission_denied', /may not perform events:DescribeConnection/],
    ['UnknownOperationException', 'config_invalid', /is not EventBridge/],
  ])('or refuses with %s says what to do', async (name, code, text) => {
    const { clock, aws, open } = world()
    aws.fail('DescribeConnection', name, 9)
    const reconciling = finished(clock, (await open()).reconcile(RULES, { repair: true }))
    await expect(reconciling).rejects.toMatchObject({ code, message: expect.stringMatching(text) as string })
    expect(aws.operations).toEqual(['DescribeConnection'])
  })

  it('is asked no more once the caller gives up', async () => {
    const { clock, aws, open } = world()
    aws.fail('*', 'ThrottlingException', 99)
    const given = new AbortController()
    const reconciling = (await open()).reconcile(RULES, { repair: true, signal: given.signal })
    await clock.settle()
    given.abort(new Error('stopping'))
    await expect(finished(clock, reconciling)).rejects.toThrow('stopping')
  })
})

it('says which package is missing', async () => {
  const missing = loadSdk(() => Promise.reject(new Error('not installed')))
  await expect(missing).rejects.toThrow('npm install @aws-sdk/client-eventbridge')
})
