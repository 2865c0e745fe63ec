/**
 * Notifications of a real server: its receiver is down, it is killed meanwhile, and everything arrives all the same, signed, under the
 * id of the first try.
 */
import { createHmac } from 'node:crypto'
import { devNull } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it, onTestFinished } from 'vitest'
import {
  endProcesses,
  root,
  signalbox,
  startServer,
  until,
  type ServerProcess,
} from '../support/processes.ts'
import { webhookReceiver, type Received } from '../support/webhook-receiver.ts'

const KEY = Buffer.alloc(32, 11)
/** The first tries come within seconds; ten times what they need here. */
const LONG_MS = 120_000

afterAll(() => endProcesses())

async function post(server: ServerProcess, path: string, body: object): Promise<unknown> {
  const answer = await fetch(`${server.url}/api/v1/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await answer.text()
  expect(answer.status, text).toBe(200)
  return JSON.parse(text) as unknown
}

async function fails(server: ServerProcess, id: string): Promise<void> {
  const run = {
    id,
    job: 'report',
    queue: 'default',
    input: {},
    attempts: 1,
    onLost: 'fail',
    source: 'enqueue',
  }
  await post(server, 'runs', { runs: [run] })
  const path = `runs/${encodeURIComponent(id)}`
  const { epoch } = (await post(server, `${path}/claim`, { worker: 'w', leaseMs: 60_000 })) as {
    epoch: number
  }
  const outcome = { kind: 'failed', error: { message: 'disk full' } }
  await post(server, `${path}/finish`, { epoch, outcome })
}

const channelsAt = (url: string): Record<string, string> => {
  const hook = { type: 'webhook', url, secret: `whsec_${KEY.toString('base64')}` }
  return {
    SIGNALBOX_NOTIFICATIONS_CHANNELS: JSON.stringify({ ops: hook }),
    SIGNALBOX_NOTIFICATIONS_RULES: JSON.stringify([{ channels: ['ops'] }]),
    SIGNALBOX_NOTIFICATIONS_FOLD_FOR: '0s',
  }
}

const runOf = ({ body }: Received): string => (JSON.parse(body) as { data: { run: string } }).data.run

it('arrive although the receiver is down and the server is killed', { timeout: 3 * LONG_MS }, async () => {
  const receiver = await webhookReceiver()
  onTestFinished(() => receiver.close())
  receiver.answer(503)
  let server = await startServer({ env: channelsAt(receiver.url) })
  onTestFinished(() => server.stop())
  for (const id of ['report:1', 'report:2']) await fails(server, id)
  await until('the receiver was asked', () => receiver.received.length > 0, LONG_MS)
  await fails(server, 'report:3') // committed, and maybe not even looked at
  server = await server.restart()
  const before = receiver.received.length
  receiver.answer(204)
  const arrived = (): Received[] => receiver.received.slice(before)
  await until('all arrived', () => new Set(arrived().map(runOf)).size === 3, LONG_MS)

  const first = new Map(receiver.received.map((one) => [runOf(one), String(one.headers['webhook-id'])]))
  for (const one of receiver.received) {
    const { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': signature } = one.headers
    expect(id).toBe(first.get(runOf(one)))
    const wanted = createHmac('sha256', KEY)
      .update(`${String(id)}.${String(seconds)}.${one.body}`)
      .digest('base64')
    expect(signature).toBe(`v1,${wanted}`)
  }
  const nothingLeft = async (): Promise<boolean> => {
    const list = signalbox(['notifications', 'list'], { env: { SIGNALBOX_URL: server.url } })
    await list.exited
    return list.out() === 'Nothing waits.\n'
  }
  await until('nothing is left', nothingLeft, LONG_MS)
  const test = signalbox(['notifications', 'test', 'ops', '--json'], { env: { SIGNALBOX_URL: server.url } })
  expect(await test.exited, test.err()).toBe(0)
  expect(JSON.parse(test.out())).toMatchObject({ channel: 'ops', delivered: true })
})

it('tell of what workers end on the store itself, without the server', { timeout: 3 * LONG_MS }, async () => {
  const receiver = await webhookReceiver()
  onTestFinished(() => receiver.close())
  const server = await startServer({ env: channelsAt(receiver.url) })
  onTestFinished(() => server.stop())
  const jobs = join(root, 'test/races/fixtures/jobs')
  const env = { SIGNALBOX_DATA_DIR: server.dataDir, NOTES: devNull }
  const worker = signalbox(['worker', jobs, '--metrics', 'off'], { env })
  onTestFinished(() => worker.kill('SIGKILL'))
  await until('the worker is ready', () => (worker.out() + worker.err()).includes('worker is ready'), LONG_MS)
  await post(server, 'jobs/failing/runs', { input: {}, id: 'bad' })
  await until('its end is told', () => receiver.received.some((one) => runOf(one) === 'failing:bad'), LONG_MS)
})
