/**
 * The EventBridge driver against moto: that a stand-in which is not ours takes every call we make, and shows afterwards what we
 * meant. moto does not fire; what is fired and received is tested with our own (src/server/triggers.test.ts).
 *
 * With EVENTBRIDGE_ENDPOINT_URL it is whatever answers there, with the region and credentials that the SDK finds. Objects have names of their own, and are removed.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openEventBridgeTrigger, type KeyNote } from '../../src/drivers/eventbridge/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import type { Trigger, TriggerRule } from '../../src/ports/trigger.ts'
import { startMoto } from '../support/engines/moto.ts'
import { localCredentials } from '../support/engines/dynamodb.ts'

const WRITES = /^(?!Describe|List)/

const named = process.env['EVENTBRIDGE_ENDPOINT_URL']
let endpoint: string
let stop = async (): Promise<void> => {}
let name: string
let note: KeyNote | undefined
let requests: string[]
const opened: Trigger[] = []

beforeAll(async () => {
  if (named !== undefined) {
    endpoint = named
    return
  }
  const moto = await startMoto()
  endpoint = moto.endpoint
  stop = () => moto.stop()
})
afterAll(() => stop())
beforeEach(() => {
  name = `box-${systemRandom.id()}`
  note = undefined
  requests = []
  return async () => {
    await opened[0]?.removeAll()
    for (const trigger of opened.splice(0)) await trigger.close()
  }
})

async function open(
  changes: { readonly targetUrl?: string; readonly namespace?: string } = {},
): Promise<Trigger> {
  const { targetUrl = 'https://shop.example.org/api/v1/triggers/eventbridge', namespace = name } = changes
  const trigger = await openEventBridgeTrigger({
    endpoint,
    ...(named === undefined ? { region: 'eu-west-1', credentials: localCredentials } : {}),
    clock: systemClock,
    random: systemRandom,
    requestTimeoutMs: 30_000,
    onRequest: (operation) => requests.push(operation),
    roleArn: 'arn:aws:iam::123456789012:role/shop-test-RunJob-Target',
    namePrefix: `${name.slice(0, 20)}-`,
    shared: {
      namespace,
      connectionName: `${namespace}-Connection`,
      destinationName: `${namespace}-ApiDestination`,
      targetUrl,
      authHeader: 'X-Aws-Event-Bridge-Api-Key',
      apiKey: 'CC55F3F5-F55F-43F8-A90E-3F8D34211FC5',
      keyNotes: {
        get: () => Promise.resolve(note),
        put: (written) => {
          note = written
          return Promise.resolve()
        },
      },
    },
  })
  opened.push(trigger)
  return trigger
}

function rule(schedule: string, more: Partial<TriggerRule> = {}): TriggerRule {
  return { name: schedule, expression: 'cron(0 9 ? * MON-FRI *)', timeZone: 'UTC', enabled: true, ...more }
}

/** Operations since the last call that change something. */
function writes(): string[] {
  return requests.splice(0).filter((operation) => WRITES.test(operation))
}

describe('EventBridge by moto', () => {
  const rules = [
    rule('nightly', { description: 'Closes the day' }),
    rule('hourly', { expression: 'rate(1 hour)' }),
  ]

  it('takes the first start, and shows the second that all is as it should be', async () => {
    const drift = await (await open()).reconcile(rules, { repair: true })
    expect(drift.map(({ problem, repaired }) => [problem, repaired])).toEqual([
      ['missing', true],
      ['missing', true],
      ['missing', true],
      ['missing', true],
    ])
    expect(writes().toSorted()).toEqual(
      [
        'CreateApiDestination',
        'CreateConnection',
        'PutRule',
        'PutRule',
        'PutTargets',
        'PutTargets',
      ].toSorted(),
    )
    expect(await (await open()).reconcile(rules, { repair: true })).toEqual([])
    expect(writes()).toEqual([])
  })

  it('takes a changed address, a changed rule and one that is gone', async () => {
    await (await open()).reconcile(rules, { repair: true })
    writes()
    const trigger = await open({ targetUrl: 'https://new.example.org/api/v1/triggers/eventbridge' })
    const [, hourly] = rules as [TriggerRule, TriggerRule]
    await trigger.reconcile([{ ...hourly, enabled: false }], { repair: true })
    expect(writes().toSorted()).toEqual(['DeleteRule', 'PutRule', 'RemoveTargets', 'UpdateApiDestination'])
    expect(await trigger.reconcile([{ ...hourly, enabled: false }], { repair: true })).toEqual([])
    await trigger.put(hourly)
    expect(writes()).toEqual(['PutRule'])
    expect(await trigger.reconcile([hourly], { repair: true })).toEqual([])
  })

  it('leaves what another installation has', async () => {
    await (await open()).reconcile(rules, { repair: true })
    const other = await open({ namespace: `${name}-other` })
    writes()
    const drift = await other.reconcile([rule('nightly')], { repair: true })
    expect(drift.at(-1)).toMatchObject({ object: 'rule', problem: 'foreign', repaired: false })
    expect(writes().toSorted()).toEqual(['CreateApiDestination', 'CreateConnection'])
    expect(await other.removeAll()).toHaveLength(2)
    expect(await (await open()).reconcile(rules, { repair: true })).toEqual([])
  })

  it('removes everything of ours', async () => {
    const trigger = await open()
    await trigger.reconcile(rules, { repair: true })
    expect(await trigger.removeAll()).toHaveLength(4)
    expect(await trigger.removeAll()).toEqual([])
  })
})
