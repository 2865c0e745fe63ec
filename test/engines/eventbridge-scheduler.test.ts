/**
 * The EventBridge Scheduler driver against moto, which knows the shapes of both APIs and fires nothing. Not tested against AWS.
 * What moto does otherwise: it makes a group again that exists, deletes one at once, and takes what AWS would refuse as input.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openEventBridgeScheduler } from '../../src/drivers/eventbridge/scheduler/index.ts'
import type { KeyNote } from '../../src/drivers/eventbridge/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import type { Trigger, TriggerRule } from '../../src/ports/trigger.ts'
import { startMoto, type MotoEngine } from '../support/engines/moto.ts'

const WRITES = /^(?:Create|Update|Delete|Put|Remove|Tag)/

let moto: MotoEngine
let operations: string[]
let trigger: Trigger
let note: KeyNote | undefined

function open(targetUrl: string): Promise<Trigger> {
  const keyNotes = {
    get: () => Promise.resolve(note),
    put: (next: KeyNote) => {
      note = next
      return Promise.resolve()
    },
  }
  return openEventBridgeScheduler({
    region: moto.region,
    endpoint: moto.endpoint,
    credentials: moto.credentials ?? { accessKeyId: 'local', secretAccessKey: 'local' },
    clock: systemClock,
    random: systemRandom,
    onRequest: (operation) => operations.push(operation),
    roleArn: 'arn:aws:iam::123456789012:role/target',
    schedulerRoleArn: 'arn:aws:iam::123456789012:role/scheduler',
    shared: {
      namespace: 'P-engines-RunJob-Connection',
      connectionName: 'P-engines-RunJob-Connection',
      destinationName: 'P-engines-RunJob-ApiDestination',
      targetUrl,
      authHeader: 'X-Aws-Event-Bridge-Api-Key',
      apiKey: 'the-key',
      keyNotes,
    },
  })
}

function writes(): string[] {
  return operations.splice(0).filter((operation) => WRITES.test(operation))
}

const day = 86_400_000
const rules: readonly TriggerRule[] = [
  {
    name: 'nightly',
    expression: 'cron(0 3 * * ? *)',
    timeZone: 'Europe/Berlin',
    enabled: true,
    description: 'Tidies up',
    startAt: new Date(Date.now() + day).toISOString(),
    endAt: new Date(Date.now() + 30 * day).toISOString(),
  },
  { name: 'often.er', expression: 'rate(5 minutes)', timeZone: 'UTC', enabled: false },
  {
    name: 'once_only',
    expression: 'at(2030-01-01T09:00:00)',
    timeZone: 'Australia/Lord_Howe',
    enabled: true,
  },
]

beforeAll(async () => {
  moto = await startMoto()
  operations = []
  trigger = await open('https://signalbox.example.org/api/v1/triggers/eventbridge')
})
afterAll(async () => {
  await trigger.close()
  await moto.stop()
})

describe('on moto', () => {
  it('makes everything, and writes nothing the second time', async () => {
    const drift = await trigger.reconcile(rules, { repair: true })
    expect(drift.map(({ object, problem, repaired }) => [object, problem, repaired])).toEqual(
      ['connection', 'destination', 'bus_rule', 'group', 'rule', 'rule', 'rule'].map((object) => [
        object,
        'missing',
        true,
      ]),
    )
    expect(writes()).toContain('CreateScheduleGroup')
    expect(await trigger.reconcile(rules, { repair: true })).toEqual([])
    const another = await open('https://signalbox.example.org/api/v1/triggers/eventbridge')
    expect(await another.reconcile(rules, { repair: true })).toEqual([])
    await another.close()
    expect(writes()).toEqual([])
  })

  it('changes a schedule wholly, deletes what is superfluous, and moves with the address', async () => {
    const [nightly, ...others] = rules
    const changed: TriggerRule = {
      name: 'nightly',
      expression: 'rate(1 hour)',
      timeZone: nightly?.timeZone ?? '',
      enabled: true,
    }
    await trigger.put(changed)
    expect(writes()).toEqual(['UpdateSchedule'])
    const moved = await open('https://elsewhere.example.org/api/v1/triggers/eventbridge')
    const drift = await moved.reconcile([changed, ...others.slice(1)], { repair: true })
    expect(drift.map(({ object, problem, repaired }) => [object, problem, repaired])).toEqual([
      ['destination', 'changed', true],
      ['rule', 'superfluous', true],
    ])
    await moved.close()
    expect(writes()).toEqual(['UpdateApiDestination', 'DeleteSchedule'])
  })

  it('takes everything away', async () => {
    await trigger.remove('nightly')
    expect(await trigger.removeAll()).toHaveLength(4)
    expect(await trigger.removeAll()).toEqual([])
  })
})
