/**
 * The agent as a client of the reference sees it: nothing of ours but the address and the reference's own four messages.
 */
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Client } from '@grpc/grpc-js'
import {
  credentials,
  loadPackageDefinition,
  type ClientReadableStream,
  type ServiceError,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { killAgents, newHost } from '../support/agents.ts'
import { isAlive, root, startServer, until, type ServerProcess } from '../support/processes.ts'

interface Status {
  readonly isFront: boolean
}
type Unary = (request: object, done: (error: ServiceError | null, answer: unknown) => void) => void
type QueueClient = Client & {
  IsFrontOfQueue: Unary
  Shutdown: Unary
  SubscribeQueueStatus(request: object): ClientReadableStream<Status>
}

const definition = loadSync(join(root, 'test/races/fixtures/queue_service.proto'), {
  keepCase: true,
  defaults: true,
})
const { comms } = loadPackageDefinition(definition) as unknown as {
  comms: { QueueService: new (address: string, options: object) => QueueClient }
}

let server: ServerProcess
const clients: Client[] = []
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => server.stop())
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
  killAgents()
})

function clientOf(address: string): QueueClient {
  const client = new comms.QueueService(address, credentials.createInsecure())
  clients.push(client)
  return client
}

function ask(client: QueueClient, method: 'IsFrontOfQueue' | 'Shutdown'): Promise<unknown> {
  return new Promise((done, failed) => {
    client[method]({}, (error, answer) => (error === null ? done(answer) : failed(error)))
  })
}

function subscribe(client: QueueClient) {
  const heard: boolean[] = []
  const stream = client.SubscribeQueueStatus({})
  const seen = { heard, ended: false, stream }
  stream.on('data', ({ isFront }: Status) => heard.push(isFront))
  stream.on('end', () => (seen.ended = true))
  stream.on('error', () => undefined)
  return seen
}

it('answers IsFrontOfQueue, and Shutdown when the place is gone', async () => {
  const host = newHost(server.url)
  const first = await host.start('grpc', '--name', 'first')
  const second = await host.start('grpc', '--name', 'second')
  const [one, two] = [clientOf(first.address), clientOf(second.address)]
  expect(await ask(one, 'IsFrontOfQueue')).toEqual({ isFront: true })
  expect(await ask(two, 'IsFrontOfQueue')).toEqual({ isFront: false })
  expect(await ask(one, 'Shutdown')).toEqual({})
  expect((await host.members('grpc')).holders).not.toContain(first.member)
  await until('the agent has ended', () => !isAlive(first.pid), 5_000)
  await until('the second holds', async () => ((await ask(two, 'IsFrontOfQueue')) as Status).isFront, 5_000)
  expect(host.files().map(({ id }) => id)).toEqual(['second'])
})

it('tells every subscriber the present status and each change: early, late, twice, beside one that went away', async () => {
  const host = newHost(server.url)
  await host.start('subscribe', '--name', 'first')
  const { address, pid } = await host.start('subscribe', '--name', 'second')
  const client = clientOf(address)
  const [early, twice, leaver] = [subscribe(client), subscribe(client), subscribe(clientOf(address))]
  await until('all heard the status', () => [early, twice, leaver].every(({ heard }) => heard.length === 1))
  leaver.stream.cancel()
  await host.agent('stop', '--id', 'first')
  await until('the change is told', () => [early, twice].every(({ heard }) => heard.length === 2))
  const late = subscribe(clientOf(address))
  await until('the late one heard the status', () => late.heard.length === 1)
  expect([early.heard, twice.heard, late.heard, leaver.heard]).toEqual([
    [false, true],
    [false, true],
    [true],
    [false],
  ])
  await host.agent('stop')
  await until('the streams have ended', () => [early, twice, late].every(({ ended }) => ended), 5_000)
  expect([early.heard, late.heard]).toEqual([
    [false, true, false],
    [true, false],
  ])
  expect(isAlive(pid)).toBe(false)
})

it('lives through clients that are killed, and through garbage on its port', async () => {
  const host = newHost(server.url)
  const { address, pid } = await host.start('garbage')
  const port = Number(address.split(':')[1])
  const brutal = new comms.QueueService(address, credentials.createInsecure())
  const stream = subscribe(brutal)
  await until('it is subscribed', () => stream.heard.length === 1)
  brutal.close()
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
  const junk = [
    'GET / HTTP/1.1\r\n\r\n',
    randomBytes(65_536),
    Buffer.concat([Buffer.from(preface), randomBytes(4_096)]),
  ]
  for (const bytes of junk) {
    await new Promise<void>((done) => {
      const socket = connect(port, '127.0.0.1', () => socket.end(bytes))
      socket.on('error', () => undefined)
      socket.on('close', () => done())
      socket.resume()
      setTimeout(() => socket.destroy(), 500)
    })
  }
  expect(isAlive(pid)).toBe(true)
  expect(await ask(clientOf(address), 'IsFrontOfQueue')).toEqual({ isFront: true })
  expect((await host.agent('stop')).code).toBe(0)
})

it('answers two Shutdowns at once', async () => {
  const host = newHost(server.url)
  const { address, pid } = await host.start('twice')
  const answers = await Promise.all([ask(clientOf(address), 'Shutdown'), ask(clientOf(address), 'Shutdown')])
  expect(answers).toEqual([{}, {}])
  await until('the agent has ended', () => !isAlive(pid), 5_000)
})
