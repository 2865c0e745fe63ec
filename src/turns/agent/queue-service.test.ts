import { createServer, type Server } from 'node:net'
import { credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../kernel/clock.ts'
import { DEFAULT_PORT, QueueService } from './queue-service.ts'
import { QueueServiceService } from './generated/comms/queue_service.ts'
import type { AgentEnd } from './state.ts'

const open: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const close of open.splice(0)) await close()
})

function service(): QueueService {
  const made = new QueueService()
  open.push(() => made.close(systemClock))
  return made
}

async function occupy(port: number): Promise<{ port: number; free: boolean }> {
  const server: Server = createServer()
  const free = await new Promise<boolean>((done) => {
    server.on('error', () => done(false))
    server.listen(port, '127.0.0.1', () => done(true))
  })
  if (free) open.push(() => new Promise((done) => server.close(done)))
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : port, free }
}

test('the default port is left to whoever has it; any free one will do', async () => {
  await occupy(DEFAULT_PORT)
  const address = await service().listen(undefined)
  expect(address).toMatch(/^127\.0\.0\.1:\d+$/)
  expect(address).not.toBe(`127.0.0.1:${DEFAULT_PORT}`)
})

test('a port that was asked for and is taken is an error that names who has it', async () => {
  const { port } = await occupy(0)
  const refused = service().listen(port)
  await expect(refused).rejects.toMatchObject({ code: 'address_in_use', details: { port } })
  if (process.platform === 'linux') {
    await expect(refused).rejects.toThrow(new RegExp(`${port} .* \\(process ${process.pid}\\)`))
  }
})

test('two agents listen side by side', async () => {
  const addresses = [await service().listen(undefined), await service().listen(undefined)]
  expect(new Set(addresses).size).toBe(2)
})

test('a call that comes before the agent has joined waits for it', async () => {
  const { client, made } = await connected()
  const answer = call(client, 'isFrontOfQueue')
  made.serve(fake({ place: 'released' }))
  expect(await answer).toEqual({ isFront: true })
})

test('Shutdown is answered when the place is gone, and fails when that is not certain', async () => {
  const { client, made } = await connected()
  const end = Promise.withResolvers<AgentEnd>()
  made.serve({ ...fake({ place: 'released' }), stop: () => end.promise })
  let answered = false
  const answer = call(client, 'shutdown').finally(() => (answered = true))
  await call(client, 'isFrontOfQueue')
  expect(answered).toBe(false)
  end.resolve({ why: 'asked', place: 'released', message: '' })
  expect(await answer).toEqual({})

  const other = await connected()
  other.made.serve(fake({ place: 'unconfirmed' }))
  await expect(call(other.client, 'shutdown')).rejects.toThrow(/UNAVAILABLE: the server is away/)
})

type Client = Record<
  string,
  (request: object, done: (error: ServiceError | null, answer: unknown) => void) => void
>

async function connected(): Promise<{ client: Client; made: QueueService }> {
  const made = service()
  const address = await made.listen(undefined)
  const Made = loadPackageDefinition({ QueueService: QueueServiceService })[
    'QueueService'
  ] as unknown as new (address: string, with_: object) => Client & { close(): void }
  const client = new Made(address, credentials.createInsecure())
  open.unshift(() => client.close())
  return { client, made }
}

function call(client: Client, method: string): Promise<unknown> {
  return new Promise((done, failed) => {
    client[method]?.({}, (error, answer) => (error === null ? done(answer) : failed(error)))
  })
}

function fake({ place }: Pick<AgentEnd, 'place'>) {
  return {
    isFront: () => true,
    onFront: () => () => true,
    stop: () => Promise.resolve({ why: 'asked' as const, place, message: 'the server is away' }),
  }
}
