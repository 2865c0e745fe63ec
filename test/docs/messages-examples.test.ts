/** The example clients of the message sidecar, as processes: they know its port and the proto files alone. */
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  endProcesses,
  freePort,
  root,
  run,
  signalbox,
  temporaryFolder,
  until,
  type Running,
} from '../support/processes.ts'

let port: number
let sidecar: Running
const started: Running[] = []

beforeAll(async () => {
  port = await freePort()
  const data = join(temporaryFolder('examples'), 'data')
  sidecar = signalbox(['sidecar', '--port', String(port), '--data-dir', data, '--log-level', 'debug'])
  await until('the sidecar is ready', () => sidecar.out().includes('is ready'))
})
afterEach(async () => {
  for (const each of started.splice(0)) each.kill()
})
afterAll(async () => {
  sidecar.kill('SIGTERM')
  await sidecar.exited
  endProcesses()
})

function example(name: string, env: Readonly<Record<string, string>>): Running {
  const { PATH = '' } = process.env
  const running = run(process.execPath, [join(root, 'examples', name)], { env: { PATH, ...env } })
  started.push(running)
  return running
}

async function send(...bodies: string[]): Promise<void> {
  const sent = signalbox(['messages', 'send', 'sqs-sample-1', ...bodies], { env: { APP_PORT: String(port) } })
  expect(await sent.exited, sent.err()).toBe(0)
}

async function left(): Promise<number> {
  const stats = signalbox(['messages', 'stats', 'sqs-sample-1', '--json'], {
    env: { APP_PORT: String(port) },
  })
  await stats.exited
  const { visible, inFlight, delayed } = JSON.parse(stats.out()) as Record<string, number>
  return (visible ?? NaN) + (inFlight ?? NaN) + (delayed ?? NaN)
}

interface Line {
  readonly level: string
  readonly message: string
}

function logOf(running: Running): Line[] {
  const whole = running.out().split('\n').slice(0, -1)
  return whole.map((line) => JSON.parse(line) as Line)
}

describe('examples/messages-client.ts', () => {
  it('polls an empty queue, then receives, deletes and says so, and ends when it is told to', async () => {
    const env = { SQSSERVICEPORT: String(port), POLLINGINTERVAL: '1', WAITTIME: '1' }
    const client = example('messages-client.ts', env)
    const said = (text: string) => (): boolean =>
      logOf(client).some(({ message }) => message.startsWith(text))
    await until('it has found nothing twice', said('Polling count: 3'))
    await send('hello')
    await until('it has deleted one', said('Message deleted successfully: ********'))
    client.kill('SIGTERM')
    expect(await client.exited).toBe(0)
    expect(await left()).toBe(0)
    const log = logOf(client)
    expect(log.slice(0, 3)).toMatchObject([
      { level: 'info', message: 'Client starting' },
      { level: 'info', package: 'client', function: 'Run', message: 'Polling count: 1' },
      { level: 'info', package: 'client', function: 'Run', message: 'Received 0 message(s)' },
    ])
    expect(log.filter(({ level }) => level !== 'info')).toEqual([])
    expect(client.out()).not.toContain('hello')
  })

  it('gives up after so many errors in a row', async () => {
    const env = { SQSSERVICEPORT: String(await freePort()), POLLINGINTERVAL: '0', ERRORRATELIMIT: '3' }
    const client = example('messages-client.ts', env)
    expect(await client.exited).toBe(1)
    expect(logOf(client).at(-1)).toMatchObject({
      level: 'error',
      message: 'Giving up after 3 errors in a row',
    })
  })
})

it('examples/messages-consume.ts works on what comes, and ends when it is told to', async () => {
  await send('one', 'two', 'three')
  const worker = example('messages-consume.ts', { APP_PORT: String(port) })
  await until('three are done', () => (worker.out().match(/^done: .*\n/gm) ?? []).length === 3)
  await until('they are gone', async () => (await left()) === 0)
  worker.kill('SIGTERM')
  expect(await worker.exited, worker.err()).toBe(0)
})
