/**
 * A server whose schedules EventBridge Scheduler fires: what is saved here is soon there, in its own time zone; the same event
 * many times is one run; a server that is killed and started anew has nothing to write.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createClient } from '../../src/client/client.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { startAwsFakes, type AwsFakes } from '../support/aws-fakes.ts'
import {
  endProcesses,
  freePort,
  signalbox,
  startServer,
  until,
  type ServerProcess,
} from '../support/processes.ts'
import { JOB, runsOf, startWorker } from './fixtures/schedules.ts'

const NAMESPACE = 'P-test-RunJob-Connection'
const KEY = 'CC55F3F5-F55F-43F8-A90E-3F8D34211FC5'
/** As often as AWS repeats an event. */
const EVENTS = 185
/** Long enough to save the schedule, and have it there. */
const AHEAD_MS = 15_000

let aws: AwsFakes
let server: ServerProcess
beforeAll(async () => {
  const port = await freePort()
  aws = await startAwsFakes(`http://127.0.0.1:${port}`)
  const env = {
    ...aws.env,
    SIGNALBOX_SCHEDULES_TRIGGER: 'eventbridge-scheduler',
    SIGNALBOX_SCHEDULES_EVENT_BRIDGE_SCHEDULER_ROLE_ARN: 'arn:aws:iam::123456789012:role/scheduler',
    AwsEventBridgeSettings__APIKey: KEY,
    AwsEventBridgeSettings__TargetRoleArn: 'arn:aws:iam::123456789012:role/target',
    AwsEventBridgeSettings__ApiConnectionName: NAMESPACE,
    AwsEventBridgeSettings__ApiDestinationName: 'P-test-RunJob-ApiDestination',
    EB_TARGET_URL: 'https://signalbox.example.org',
  }
  server = await startServer({ port, env })
}, 120_000)
afterAll(async () => {
  endProcesses()
  await aws.stop()
})

/** As clocks in Berlin show it. */
function inBerlin(at: number): string {
  return new Date(at).toLocaleString('sv-SE', { timeZone: 'Europe/Berlin' }).replace(' ', 'T')
}

it('fires a schedule by EventBridge Scheduler, once', { timeout: 180_000 }, async () => {
  const client = createClient({ url: server.url, clock: systemClock, random: systemRandom })
  const worker = await startWorker({ SIGNALBOX_DATA_DIR: server.dataDir })
  const at = Math.ceil((Date.now() + AHEAD_MS) / 1_000) * 1_000
  await client.schedules.put(
    {
      name: 'berlin',
      job: JOB,
      expression: `at(${inBerlin(at)})`,
      timeZone: 'Europe/Berlin',
      parameters: { n: 1 },
    },
    { by: 'test', unknownJob: true },
  )
  await until('it is at AWS', () => aws.scheduler.names(NAMESPACE).includes('berlin'))
  expect(aws.scheduler.schedule(NAMESPACE, 'berlin')).toMatchObject({
    ScheduleExpression: `at(${inBerlin(at)})`,
    ScheduleExpressionTimezone: 'Europe/Berlin',
    Target: { RoleArn: 'arn:aws:iam::123456789012:role/scheduler' },
  })
  await until('it is due', () => Date.now() >= at)
  for (let n = 0; n < EVENTS; n++) aws.scheduler.due(NAMESPACE, 'berlin', at)
  const { deliveries } = aws.eventbridge.firing
  await until('all are delivered', () => deliveries.filter(isDelivered).length === EVENTS)
  expect(deliveries.map(({ statuses }) => statuses)).toEqual(deliveries.map(() => [202]))
  await until('its run has succeeded', async () =>
    (await runsOf(client)).some(({ state }) => state === 'succeeded'),
  )
  const time = `${new Date(at).toISOString().slice(0, 19)}Z`
  expect((await runsOf(client)).map(({ id }) => id)).toEqual([`${JOB}:berlin@${time}`])
  worker.kill('SIGTERM')
  await worker.exited

  aws.scheduler.writes()
  aws.eventbridge.writes()
  server = await server.restart()
  const seen: string[] = []
  await until('it has compared', () => {
    seen.push(...aws.scheduler.operations())
    return seen.includes('GetSchedule')
  })
  await client.schedules.delete('berlin', { by: 'test' })
  await until('it is gone from AWS', () => !aws.scheduler.names(NAMESPACE).includes('berlin'))
  seen.push(...aws.scheduler.operations())
  expect(seen.filter((operation) => !/^(?:Get|List)/.test(operation))).toEqual(['DeleteSchedule'])
  expect(aws.eventbridge.writes()).toEqual([])
})

it('disables there what is paused here, and tells how it stands', { timeout: 120_000 }, async () => {
  const client = createClient({ url: server.url, clock: systemClock, random: systemRandom })
  const noon = {
    name: 'noon',
    job: JOB,
    expression: 'cron(0 12 ? * MON-FRI *)',
    timeZone: 'America/New_York',
  }
  await client.schedules.put({ ...noon, parameters: { n: 2 } }, { by: 'test', unknownJob: true })
  const stateThere = (): string | undefined => aws.scheduler.schedule(NAMESPACE, 'noon')?.State
  await until('it is at AWS', () => stateThere() === 'ENABLED')
  await client.schedules.pause('noon', { by: 'test' })
  await until('it is disabled at AWS', () => stateThere() === 'DISABLED')
  await client.schedules.resume('noon', { by: 'test' })
  await until('it is enabled at AWS', () => stateThere() === 'ENABLED')
  await until('the server knows', async () => (await client.trigger.status()).schedules.in_sync === 1)
  const status = signalbox(['schedule', 'eventbridge', 'status', '--json'], {
    env: { SIGNALBOX_URL: server.url },
  })
  expect(await status.exited, status.err()).toBe(0)
  expect(JSON.parse(status.out())).toMatchObject({
    kind: 'eventbridge-scheduler',
    facts: { group: NAMESPACE, url: 'https://signalbox.example.org/api/v1/triggers/eventbridge' },
    schedules: { in_sync: 1, pending: 0, failed: 0, refused: 0 },
  })
})

it('refuses a wrong key', async () => {
  const call = (headers: Readonly<Record<string, string>>): Promise<Response> =>
    fetch(`${server.url}/api/v1/triggers/eventbridge`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ schedule: 'none', time: '2026-11-21T03:00:00Z', id: 'by-hand' }),
    })
  const statuses = await Promise.all([
    call({}),
    call({ 'X-Aws-Event-Bridge-Api-Key': `${KEY.slice(0, -1)}6` }),
    call({ 'X-Aws-Event-Bridge-Api-Key': KEY }),
  ])
  expect(statuses.map(({ status }) => status)).toEqual([401, 401, 404])
})

function isDelivered({ state }: { readonly state: string }): boolean {
  return state === 'delivered'
}
