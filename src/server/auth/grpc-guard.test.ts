/** Every gRPC method of both services, taken from their own tables: × role × scope; and what happens to a stream's token. */
import {
  Client,
  credentials,
  makeClientConstructor,
  Metadata,
  status,
  type ServiceError,
} from '@grpc/grpc-js'
import { service as healthService } from 'grpc-health-check'
import { afterAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../kernel/clock.ts'
import { Desk } from '../../messages/desk.ts'
import { messageCalls } from '../../messages/grpc/access.ts'
import {
  MessagesServiceClient,
  MessagesServiceService,
  type ConsumeRequest,
  type ConsumeResponse,
} from '../../messages/grpc/generated/signalbox/messages/v1/messages.ts'
import { SQSServiceService } from '../../messages/grpc/generated/sqs/sqs_service.ts'
import { MessagesServer } from '../../messages/grpc/server.ts'
import { MessagesService } from '../../messages/service.ts'
import { FakeQueue } from '../../messages/testing/fake-queue.ts'
import { allows, roles, type Role } from '../../ports/access.ts'
import { seededRandom } from '../../kernel/id.ts'
import { grpcGuard } from './grpc-guard.ts'
import { authWorld, owner } from './testing/world.ts'

const world = authWorld()
const engine = Object.assign(new FakeQueue({ clock: systemClock }), {
  redrive: async () => ({ moved: 0, skipped: 0 }),
})
const service = new MessagesService({
  engine,
  clock: systemClock,
  random: seededRandom(1),
  queues: { orders: {}, other: {}, 'orders-dead': {} },
  defaultQueue: 'orders',
})
await service.declareAll()
const calls = messageCalls((name) => service.queueOf(name))
const server = new MessagesServer({
  desk: new Desk(service, systemClock),
  clock: systemClock,
  waitMs: 0,
  guard: grpcGuard({ auth: world.auth, calls }),
})
const address = `127.0.0.1:${await server.listen({ address: '127.0.0.1:0' })}`
const channel = new Client(address, credentials.createInsecure())
const typed = new MessagesServiceClient(address, credentials.createInsecure())
afterAll(async () => {
  channel.close()
  typed.close()
  await server.stop(0)
  await world.auth.close()
})

const PATIENCE = { timeout: 20_000 }
const methods = [...Object.values(MessagesServiceService), ...Object.values(SQSServiceService)]
const unaryMethods = methods.filter(({ requestStream }) => !requestStream)

function withToken(secret: string | undefined): Metadata {
  const metadata = new Metadata()
  if (secret !== undefined) metadata.set('authorization', `Bearer ${secret}`)
  return metadata
}

/** Every field of every request. */
const EMPTY = {
  queue: '',
  receipt: '',
  messageID: '',
  receipts: [],
  messages: [],
  changes: [],
  attributeNames: [],
  max: 0,
  maximumNumberOfMessages: 0,
  limit: 0,
  rate: 0,
  dryRun: false,
}

/** @returns the code of the failure, or the answer */
function ask(
  method: (typeof unaryMethods)[number],
  secret: string | undefined,
  request: object = {},
): Promise<{ code: number; details: string; answer?: unknown }> {
  const whole = { ...EMPTY, ...request }
  return new Promise((done) => {
    channel.makeUnaryRequest(
      method.path,
      method.requestSerialize as (value: object) => Buffer,
      method.responseDeserialize as (bytes: Buffer) => unknown,
      whole,
      withToken(secret),
      (error: ServiceError | null, answer?: unknown) =>
        done(
          error === null
            ? { code: status.OK, details: '', answer }
            : { code: error.code, details: error.details },
        ),
    )
  })
}

const UNSENT = new Set<number>([status.INTERNAL])
const REFUSED = new Set<number>([status.UNAUTHENTICATED, status.PERMISSION_DENIED])

/** Did the call pass the gate? What the service makes of it is another question. */
function passed({ code, details }: { readonly code: number; readonly details: string }): boolean {
  if (UNSENT.has(code)) throw new Error(`the request did not leave: ${details}`)
  return !REFUSED.has(code)
}

const secrets = new Map<string, Promise<string>>()
function secretOf(role: Role, ...scopes: string[]): Promise<string> {
  const key = [role, ...scopes].join(' ')
  let secret = secrets.get(key)
  if (secret === undefined) secrets.set(key, (secret = world.token({ role, scopes })))
  return secret
}

describe('the table of calls', () => {
  it('has every method of both services, and nothing else', () => {
    expect([...calls.keys()].toSorted()).toEqual(methods.map(({ path }) => path).toSorted())
  })

  it('lets a viewer change nothing', () => {
    const open = [...calls].filter(([, { access }]) => access.role === 'viewer').map(([path]) => path)
    const service = '/signalbox.messages.v1.MessagesService'
    expect(new Set(open)).toEqual(
      new Set(['ListQueues', 'Peek', 'Stats'].map((name) => `${service}/${name}`)),
    )
  })
})

describe.each(unaryMethods.map((method) => [method.path, method] as const))('%s', (path, method) => {
  const access = calls.get(path)?.access
  if (access === undefined) throw new Error('no entry')

  it('asks for a token', async () => {
    expect(await ask(method, undefined)).toMatchObject({ code: status.UNAUTHENTICATED })
    expect(await ask(method, `sbx_${'0'.repeat(40)}`)).toMatchObject({ code: status.UNAUTHENTICATED })
  })

  it.each(roles)('%s without scopes', async (role) => {
    expect(passed(await ask(method, await secretOf(role)))).toBe(
      roles.indexOf(role) >= roles.indexOf(access.role),
    )
  })

  it.each(['messages:*', 'messages:orders', 'messages:other', 'messages:ord*', 'turns:*', 'server:*'])(
    'admin with the scope %s, for the default queue and for another',
    async (scope) => {
      const secret = await secretOf('admin', scope)
      const principal = { ...owner, scopes: [scope] }
      for (const [queue, meant] of [
        ['', 'orders'],
        ['other', 'other'],
      ] as const) {
        expect([queue, passed(await ask(method, secret, { queue }))]).toEqual([
          queue,
          allows(principal, access, meant),
        ])
      }
    },
  )
})

it('a list holds only what the caller may see', async () => {
  const secret = await secretOf('viewer', 'messages:orders*')
  const [list] = unaryMethods.filter(({ path }) => path.endsWith('/ListQueues'))
  if (list === undefined) throw new Error('no such method')
  expect((await ask(list, secret)).answer).toEqual({ queues: ['orders', 'orders-dead'] })
})

it('a redrive is judged by where it goes, too', async () => {
  const secret = await secretOf('operator', 'messages:orders*')
  const [redrive] = unaryMethods.filter(({ path }) => path.endsWith('/Redrive'))
  if (redrive === undefined) throw new Error('no such method')
  const to = (queue: string): object => ({
    queue: 'orders-dead',
    to: queue,
    dryRun: false,
    rate: 0,
    limit: 0,
  })
  expect(await ask(redrive, secret, to('other'))).toMatchObject({ code: status.PERMISSION_DENIED })
  expect(await ask(redrive, secret, to('orders'))).toMatchObject({ code: status.OK })
})

it('health needs no token', async () => {
  const Health = makeClientConstructor(healthService, 'health')
  const health = new Health(address, credentials.createInsecure())
  const answered = await new Promise<ServiceError | null>((done) => {
    const check = health['check'] as (request: object, done: (error: ServiceError | null) => void) => void
    check.call(health, { service: '' }, done)
  })
  health.close()
  expect(answered).toBeNull()
})

describe('Consume', () => {
  interface Opened {
    readonly heard: ConsumeResponse[]
    readonly ended: Promise<ServiceError>
    say(request: Partial<ConsumeRequest>): void
  }

  function consume(secret: string, queue: string): Opened {
    const stream = typed.consume(withToken(secret))
    const heard: ConsumeResponse[] = []
    stream.on('data', (response: ConsumeResponse) => heard.push(response))
    const ended = new Promise<ServiceError>((done) => stream.on('error', done))
    const say = (request: Partial<ConsumeRequest>): void =>
      void stream.write({ ack: [], nack: [], extend: [], addCredit: 0, ...request })
    say({ open: { queue, credit: 10, visibilityMs: 60_000, attributeNames: [] } })
    return { heard, ended, say }
  }

  it('is judged by the queue that it opens', async () => {
    expect(await consume(await secretOf('operator', 'messages:orders'), 'other').ended).toMatchObject({
      code: status.PERMISSION_DENIED,
    })
    expect(await consume(await secretOf('viewer'), '').ended).toMatchObject({
      code: status.PERMISSION_DENIED,
    })
    expect(await consume('sbx_bad', '').ended).toMatchObject({ code: status.UNAUTHENTICATED })
  })

  it('ends with its token, and what it held is back in the queue', async () => {
    await service.send('other', [{ body: 'a' }])
    const secret = await world.token({ name: 'to-revoke', role: 'operator' })
    const { heard, ended } = consume(secret, 'other')
    await expect.poll(() => heard.flatMap(({ messages }) => messages).length, PATIENCE).toBe(1)
    await world.auth.tokens.revoke('to-revoke', owner)
    expect(await ended).toMatchObject({
      code: status.UNAUTHENTICATED,
      details: expect.stringContaining('no longer valid'),
    })
    await expect.poll(() => service.stats('other'), PATIENCE).toMatchObject({ visible: 1, inFlight: 0 })
  })
})
