/**
 * A server whose schedules EventBridge fires, against one in process that does: starts, restarts, rotation of the key, repeated
 * deliveries, and what operators see and do. The server's time is moved by hand; calls go over sockets.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createClient, type Client } from '../client/client.ts'
import { FakeEventBridge } from '../drivers/eventbridge/testing/fake.ts'
import { finished } from '../drivers/eventbridge/testing/opened.ts'
import { sleep, systemClock } from '../kernel/clock.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { configSchema } from './config/schema.ts'
import { createLogger } from './logger.ts'
import { startServer } from './serve.ts'

const KEY = 'CC55F3F5-F55F-43F8-A90E-3F8D34211FC5'
const NEW_KEY = '0B8E4F11-6B0C-4E5C-9E3E-5D1C7B1B2A01'
const HEADER = 'x-aws-event-bridge-api-key'
const PATH = '/api/v1/triggers/eventbridge'
const MINUTE = 60_000
const PATIENCE_MS = 100_000
/** Of a test; a loaded machine takes ten times as long as an idle one. */
const timeout = 120_000
/** All is in one process, so a slow one slows the server's time down as well. */
const LOOK_MS = 10

interface World {
  readonly clock: ManualClock
  readonly aws: FakeEventBridge
  readonly logged: Record<string, unknown>[]
  /** Starts the server, in place of the one before. */
  start(eventBridge?: object): Promise<Client>
  stop(): Promise<void>
  /** As EventBridge calls. */
  call(body: unknown, key?: string): Promise<Response>
  until(what: () => boolean | Promise<boolean>): Promise<void>
}

beforeEach(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIATEST')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret')
  return () => vi.unstubAllEnvs()
})

async function world(): Promise<World> {
  const clock = new ManualClock(Date.UTC(2030, 0, 1))
  const dataDir = mkdtempSync(join(tmpdir(), 'signalbox-trigger-'))
  let url: string | undefined
  let stop = async (): Promise<void> => {}
  const deliver = async (call: { readonly url: string; readonly headers: object; readonly body: string }) => {
    if (url === undefined) throw new Error('the server is down')
    const target = url + new URL(call.url).pathname
    const headers = call.headers as Record<string, string>
    return (await fetch(target, { method: 'POST', headers, body: call.body })).status
  }
  const aws = new FakeEventBridge({ clock, deliver })
  const { endpoint, close } = await aws.listen()
  const logged: Record<string, unknown>[] = []
  const write = (line: string): unknown => logged.push(JSON.parse(line) as Record<string, unknown>)
  onTestFinished(async () => {
    await stop()
    await close()
    rmSync(dataDir, { recursive: true, force: true })
  })
  return {
    clock,
    aws,
    logged,
    async start(eventBridge = {}) {
      await stop()
      const settings = {
        apiKey: KEY,
        targetRoleArn: 'arn:aws:iam::123456789012:role/shop-test-RunJob-Target',
        apiConnectionName: 'shop-test-RunJob-Connection',
        apiDestinationName: 'shop-test-RunJob-ApiDestination',
        targetUrl: 'https://shop.example.org',
        region: 'eu-west-1',
        endpoint,
        ...eventBridge,
      }
      const schedules = { trigger: 'eventbridge', eventBridge: settings }
      const server = await startServer(configSchema.parse({ dataDir, server: { port: 0 }, schedules }), {
        clock,
        random: seededRandom(7),
        logger: createLogger({ level: 'info', format: 'json' }, false, { write }),
        command: 'signalbox serve',
      })
      url = server.url
      stop = async () => {
        url = undefined
        await finished(clock, server.close())
      }
      const client = createClient({ url, clock: systemClock, random: seededRandom(8) })
      onTestFinished(() => client.close())
      return client
    },
    stop: () => stop(),
    call: (body, key = KEY) =>
      fetch(`${url}${PATH}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json; charset=utf-8', [HEADER]: key },
        body: JSON.stringify(body),
      }),
    async until(what) {
      const end = systemClock.monotonic() + PATIENCE_MS
      while (!(await what())) {
        if (systemClock.monotonic() > end) throw new Error(`gave up waiting until ${what.toString()}`)
        await clock.advance(100)
        await sleep(systemClock, LOOK_MS)
      }
    },
  }
}

/** Everything that is wanted is there. */
async function settled(w: World, client: Client, schedules: number): Promise<void> {
  await w.until(async () => {
    const status = await client.trigger.status()
    return status.checkedAt !== undefined && status.schedules.in_sync === schedules
  })
}

async function withSchedules(w: World): Promise<Client> {
  const client = await w.start()
  await client.runs.registerJobs([{ name: 'mail', queue: 'default', attempts: 1 }], 'w')
  const often = { name: 'often', job: 'mail', expression: 'cron(* * * * ? *)', overlap: 'allow' } as const
  await client.schedules.put(often, { by: 'x' })
  await client.schedules.put({ name: 'daily', job: 'mail', expression: 'cron(0 9 * * ? *)' }, { by: 'x' })
  await settled(w, client, 2)
  return client
}

/** Their times, the oldest first. */
const runsOf = async (client: Client, schedule: string): Promise<string[]> => {
  const { runs } = await client.runs.list({ schedule, limit: 500 })
  const times = runs.map(({ scheduledAt }) => scheduledAt ?? '')
  return times.toSorted((a, b) => (a < b ? -1 : 1))
}

describe('a server with schedules.trigger: eventbridge', { timeout }, () => {
  it('creates what is missing at the first start, writes nothing at the second, and repairs a changed address', async () => {
    const w = await world()
    w.aws.objects.call('PutRule', { Name: 'theirs', ScheduleExpression: 'rate(1 day)' })
    let client = await withSchedules(w)
    const { objects } = w.aws
    expect([...objects.rules.keys()]).toEqual(['default|theirs', 'default|often', 'default|daily'])
    expect(objects.destinations.get('shop-test-RunJob-ApiDestination')?.InvocationEndpoint).toBe(
      `https://shop.example.org${PATH}`,
    )
    expect(w.aws.writes()).toContain('CreateConnection')

    client = await w.start()
    const restartedAt = w.clock.now()
    await w.until(async () => Date.parse((await client.trigger.status()).checkedAt ?? '') >= restartedAt)
    expect(w.aws.operations).toContain('ListRules')
    expect(w.aws.writes()).toEqual([])

    client = await w.start({ targetUrl: 'https://new.example.org/box/' })
    await w.until(() => w.aws.operations.includes('UpdateApiDestination'))
    await settled(w, client, 2)
    expect(w.aws.writes()).toEqual(['UpdateApiDestination'])
    expect(objects.destinations.get('shop-test-RunJob-ApiDestination')?.InvocationEndpoint).toBe(
      `https://new.example.org/box${PATH}`,
    )
    expect(objects.tags.has(objects.rules.get('default|theirs')?.Arn ?? '')).toBe(true)
    expect(objects.rules.get('default|theirs')).toMatchObject({ ScheduleExpression: 'rate(1 day)' })
  })

  it('follows the schedules: changed, paused, resumed and deleted', async () => {
    const w = await world()
    const client = await withSchedules(w)
    const daily = () => w.aws.objects.rules.get('default|daily')
    await client.schedules.update('daily', { expression: 'cron(0 7 * * ? *)' }, { by: 'x' })
    await w.until(() => daily()?.ScheduleExpression === 'cron(0 7 * * ? *)')
    await client.schedules.pause('daily', { by: 'x' })
    await w.until(() => daily()?.State === 'DISABLED')
    await client.schedules.resume('daily', { by: 'x' })
    await w.until(() => daily()?.State === 'ENABLED')
    expect((await client.schedules.get('daily')).trigger).toMatchObject({ kind: 'eventbridge' })
    await client.schedules.delete('daily', { by: 'x' })
    await w.until(() => daily() === undefined)
    const tokyo = { name: 'tokyo', job: 'mail', expression: 'cron(0 9 * * ? *)', timeZone: 'Asia/Tokyo' }
    await expect(client.schedules.put(tokyo, { by: 'x' })).rejects.toMatchObject({ code: 'invalid_argument' })
  })

  it('makes one run of 185 deliveries at once', async () => {
    const w = await world()
    const client = await withSchedules(w)
    await w.clock.advance(MINUTE)
    const at = Math.floor(w.clock.now() / MINUTE) * MINUTE
    const deliveries = await w.aws.firing.fire('often', at, 185)
    expect(deliveries.map(({ statuses }) => statuses)).toEqual(deliveries.map(() => [202]))
    expect(await runsOf(client, 'often')).toEqual([new Date(at).toISOString()])
    const later = await w.call({ schedule: 'often', time: new Date(at).toISOString(), id: 'e' })
    expect(await later.json()).toMatchObject({
      created: false,
      run: expect.stringContaining('mail:often@') as string,
    })
  })

  it('drops no event while its key is changed', async () => {
    const w = await world()
    let client = await withSchedules(w)
    const times: number[] = []
    const fire = async (): Promise<void> => {
      await w.clock.advance(MINUTE)
      times.push(Math.floor(w.clock.now() / MINUTE) * MINUTE)
      await w.aws.firing.fire('often', times.at(-1) ?? 0)
    }
    await fire()
    await w.stop()
    await fire() // nobody answers: AWS sends it again
    w.aws.fail('UpdateConnection', 'ThrottlingException', 3) // the new key comes late
    client = await w.start({ apiKey: NEW_KEY, previousApiKey: KEY })
    const connection = () => w.aws.objects.connections.get('shop-test-RunJob-Connection')
    expect(connection()?.keyInForce).toBe(KEY)
    await fire()
    await w.until(() => connection()?.keyInForce === NEW_KEY)
    await fire()
    client = await w.start({ apiKey: NEW_KEY })
    await fire()
    await w.until(async () => (await w.aws.firing.again()).length === 0)
    expect(w.aws.firing.deliveries.map(({ state }) => state)).toEqual(times.map(() => 'delivered'))
    expect(await runsOf(client, 'often')).toEqual(times.map((time) => new Date(time).toISOString()))
    // AWS would send those again, but only for a day.
    expect(w.aws.firing.deliveries.flatMap(({ statuses }) => statuses)).not.toContain(401)
    // What the old key opened is closed now.
    expect((await w.call({ schedule: 'often', time: '2030-01-01T00:00:00Z', id: 'e' }, KEY)).status).toBe(401)
  })

  it('is ready while AWS is away, and sets it up once it is back', async () => {
    const w = await world()
    w.aws.fail('*', 'InternalException', 4)
    const client = await w.start()
    const ready = await fetch(`${client.address}/readyz`)
    expect(ready.status).toBe(200)
    await settled(w, client, 0)
    expect(w.aws.objects.connections.size).toBe(1)
    expect(
      w.logged.some(({ msg }) => String(msg).startsWith('external trigger: it could not be compared')),
    ).toBe(true)
  })
})

describe('the endpoint', { timeout }, () => {
  it('refuses a wrong key before it reads the body, and says so in the log now and then', async () => {
    const w = await world()
    const client = await withSchedules(w)
    const body = { schedule: 'often', time: '2030-01-01T00:05:00Z', id: 'e1' }
    for (const key of ['', 'x', `${KEY} `.repeat(2), KEY.toLowerCase()]) {
      expect((await w.call(body, key)).status).toBe(401)
    }
    const huge = await w.call({ ...body, id: 'x'.repeat(100_000) }, 'wrong')
    expect(huge.status).toBe(401)
    const told = w.logged.filter(({ msg }) => msg === 'external trigger called with a wrong key')
    expect(told).toHaveLength(1)
    expect(await runsOf(client, 'often')).toEqual([])
    expect(JSON.stringify(w.logged)).not.toContain(KEY)
  })

  it('answers what AWS must not repeat with 4xx: unknown schedules, bad and huge bodies', async () => {
    const w = await world()
    await withSchedules(w)
    const good = { schedule: 'often', time: '2030-01-01T00:05:00Z', id: 'e1' }
    expect((await w.call({ ...good, schedule: 'gone' })).status).toBe(404)
    expect((await w.call({ ...good, time: 'soon' })).status).toBe(400)
    expect((await w.call({ ...good, schedule: 'a/b' })).status).toBe(400)
    expect((await w.call({ ...good, id: 'x'.repeat(10_000) })).status).toBe(413)
  })

  it('does not exist on a server that fires schedules itself, nor does the rest', async () => {
    const w = await world()
    const client = await w.start()
    await w.stop()
    const dataDir = mkdtempSync(join(tmpdir(), 'signalbox-trigger-'))
    const server = await startServer(configSchema.parse({ dataDir, server: { port: 0 } }), {
      clock: w.clock,
      random: seededRandom(7),
      logger: createLogger({ level: 'silent', format: 'json' }, false, { write: () => true }),
      command: 'signalbox serve',
    })
    onTestFinished(async () => {
      await server.close()
      rmSync(dataDir, { recursive: true, force: true })
    })
    const answer = await fetch(server.url + PATH, { method: 'POST', headers: { [HEADER]: KEY } })
    expect(answer.status).toBe(404)
    const other = createClient({ url: server.url, clock: systemClock, random: seededRandom(8) })
    onTestFinished(() => other.close())
    await expect(other.trigger.status()).rejects.toMatchObject({ code: 'not_found' })
    await client.close()
  })
})

describe('by hand', { timeout }, () => {
  it('status, reconcile and remove work over HTTP', async () => {
    const w = await world()
    const client = await withSchedules(w)
    w.aws.objects.rules.get('default|often')!.State = 'DISABLED' // oxlint-disable-line typescript/no-non-null-assertion -- it was just made
    w.aws.operations.length = 0
    const look = await client.trigger.reconcile({ dryRun: true }, { by: 'x' })
    expect(look.drift).toMatchObject([{ object: 'rule', name: 'often', problem: 'changed', repaired: false }])
    expect(w.aws.writes()).toEqual([])
    const repaired = await client.trigger.reconcile({}, { by: 'x' })
    expect(repaired.drift).toMatchObject([{ name: 'often', repaired: true }])
    const status = await client.trigger.status()
    expect(status).toMatchObject({
      kind: 'eventbridge',
      facts: { url: `https://shop.example.org${PATH}`, tag: 'signalbox=shop-test-RunJob-Connection' },
      schedules: { in_sync: 2, failed: 0, pending: 0, refused: 0 },
    })
    expect(JSON.stringify(status)).not.toContain(KEY)
    const { removed } = await client.trigger.remove({ by: 'x' })
    expect(removed).toHaveLength(4)
    expect(w.aws.objects.rules.size + w.aws.objects.connections.size).toBe(0)
    await w.clock.advance(700_000) // past the next comparison
    expect(w.aws.objects.rules.size).toBe(0)
    expect((await client.trigger.status()).removed).toBeDefined()
  })
})

describe('the configuration', () => {
  const parse = (eventBridge: object) =>
    configSchema.parse({
      dataDir: join(tmpdir(), 'signalbox-trigger-never'),
      server: { port: 0 },
      schedules: { trigger: 'eventbridge', eventBridge },
    })
  const start = (eventBridge: object) =>
    startServer(parse(eventBridge), {
      clock: new ManualClock(),
      random: seededRandom(7),
      logger: createLogger({ level: 'silent', format: 'json' }, false, { write: () => true }),
      command: 'signalbox serve',
    })

  it('names all that is missing at once', async () => {
    await expect(start({ apiKey: KEY })).rejects.toThrow(
      /needs schedules\.eventBridge\.targetRoleArn, .*apiConnectionName, .*apiDestinationName, .*targetUrl;.*eventbridge init/,
    )
  })

  it('refuses an address that EventBridge would not call', async () => {
    const settings = {
      apiKey: KEY,
      targetRoleArn: 'arn:aws:iam::123456789012:role/x',
      apiConnectionName: 'c',
      apiDestinationName: 'd',
      targetUrl: 'http://shop.example.org',
    }
    await expect(start(settings)).rejects.toThrow(/https addresses only/)
  })
})
