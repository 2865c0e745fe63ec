/** Message queues of a whole server: HTTP and gRPC on the same queues, the configuration, and how it stops. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentials, makeClientConstructor, status, type ServiceError } from '@grpc/grpc-js'
import { service as healthService } from 'grpc-health-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { newAuthority } from '../../test/support/certificates.ts'
import { startFauxqsEngine } from '../../test/support/engines/fauxqs.ts'
import { createQueue, sqsClient } from '../../test/support/engines/sqs.ts'
import { openAttachedMessages } from '../drivers/attached/index.ts'
import { systemClock } from '../kernel/clock.ts'
import type { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { Desk } from '../messages/desk.ts'
import {
  MessagesServiceClient,
  type ConsumeRequest,
  type ConsumeResponse,
} from '../messages/grpc/generated/signalbox/messages/v1/messages.ts'
import { MessagesService } from '../messages/service.ts'
import { FakeQueue } from '../messages/testing/fake-queue.ts'
import { authWorld } from './auth/testing/world.ts'
import { configSchema } from './config/schema.ts'
import { openGrpc } from './grpc.ts'
import { createLogger } from './logger.ts'
import { messageEngineOf } from './messages.ts'
import { startServer, type RunningServer } from './serve.ts'

interface Started extends RunningServer {
  readonly logged: string[]
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'signalbox-messages-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function start(keys: { server?: object; messages?: object; dataDir?: string } = {}): Promise<Started> {
  const { server = {}, messages = {}, dataDir = join(newFolder(), 'data') } = keys
  const logged: string[] = []
  const out = { write: (line: string) => void logged.push(line) }
  const running = await startServer(
    configSchema.parse({ dataDir, server: { port: 0, shutdownGrace: '1s', ...server }, messages }),
    {
      clock: systemClock,
      random: seededRandom(7),
      logger: createLogger({ level: 'info', format: 'json' }, false, out),
      command: 'signalbox serve',
      grpcCommand: 'signalbox serve --port 9000',
    },
  )
  onTestFinished(() => running.close())
  return { ...running, logged }
}

const failure = async (attempt: Promise<unknown>): Promise<SignalboxError> =>
  attempt.then(
    () => Promise.reject(new Error('it started')),
    (error: unknown) => error as SignalboxError,
  )

async function post(url: string, path: string, body: object = {}): Promise<unknown> {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${url}/api/v1/messages/${path}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  })
  return answer.json()
}

const get = async (url: string, path: string): Promise<unknown> => (await fetch(url + path)).json()

function grpc({ grpcAddress }: Pick<Started, 'grpcAddress'>, how = credentials.createInsecure()) {
  if (grpcAddress === undefined) throw new Error('it has no gRPC')
  const alone = { 'grpc.use_local_subchannel_pool': 1 }
  const client = new MessagesServiceClient(grpcAddress, how, alone)
  onTestFinished(() => client.close())
  const receive = (queue: string): Promise<{ body: string; receipt: string }[]> =>
    new Promise((done, failed) => {
      client.receive({ queue, max: 10, attributeNames: [] }, (error, answer) => {
        if (error === null) done(answer.messages)
        else failed(error)
      })
    })
  return { client, receive }
}

/** @returns what health says, or the code of its failure */
function health({ grpcAddress = '' }: Pick<Started, 'grpcAddress'>): Promise<string | number> {
  const Health = makeClientConstructor(healthService, 'health')
  const client = new Health(grpcAddress, credentials.createInsecure())
  onTestFinished(() => client.close())
  const check = client['check'] as (
    request: object,
    done: (error: ServiceError | null, answer: { status: string }) => void,
  ) => void
  return new Promise((done) => {
    check.call(client, { service: 'sqs.SQSService' }, (error, answer) => {
      done(error === null ? answer.status : error.code)
    })
  })
}

describe('a server with message queues', () => {
  it('has the same queues over HTTP and gRPC, and counts what happens', async () => {
    const server = await start()
    await post(server.url, 'default/send', { messages: [{ body: 'a' }, { body: 'b' }] })
    const { receive } = grpc(server)
    const messages = await receive('')
    expect(messages.map(({ body }) => body).toSorted()).toEqual(['a', 'b'])
    expect(await get(server.url, '/api/v1/messages/default')).toMatchObject({ visible: 0, inFlight: 2 })
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toContain('signalbox_messages_total{event="received"} 2')
    expect(metrics).toContain('signalbox_messages_in_flight 2')
    const receipts = messages.map(({ receipt }) => receipt)
    expect(await post(server.url, 'default/delete', { receipts })).toEqual({
      results: [{ status: 'deleted' }, { status: 'deleted' }],
    })
  })

  it('makes the queues of the configuration at the start, and gives them their options again at the next', async () => {
    const dataDir = join(newFolder(), 'data')
    const queues = { orders: { visibility: '2m', deadLetter: { queue: 'orders-dead', maxReceives: 3 } } }
    const first = await start({ dataDir, messages: { queues } })
    const options = '/api/v1/messages/orders/options'
    expect(await get(first.url, options)).toMatchObject({
      visibilityMs: 120_000,
      deadLetter: { queue: 'orders-dead', maxReceives: 3 },
    })
    expect(await get(first.url, '/api/v1/messages')).toMatchObject({
      queues: ['default', 'orders', 'orders-dead'],
    })
    await first.close()
    const second = await start({ dataDir, messages: { queues: { orders: {} } } })
    expect(await get(second.url, options)).toMatchObject({ visibilityMs: 30_000 })
    expect(await get(second.url, options)).not.toHaveProperty('deadLetter')
  })

  it('takes a batch that is larger than other bodies may be', async () => {
    const server = await start({ server: { bodyLimitBytes: 2_048 } })
    const body = '"'.repeat(500_000)
    expect(await post(server.url, 'default/send', { messages: [{ body }] })).toMatchObject({
      results: [{ status: 'sent' }],
    })
    expect(await post(server.url, 'default/redrive', { to: 'x'.repeat(5_000) })).toMatchObject({
      error: { code: 'payload_too_large' },
    })
  })

  it('has neither routes nor gRPC when they are off', async () => {
    const server = await start({ messages: { engine: 'off' } })
    expect(server.grpcAddress).toBeUndefined()
    expect((await fetch(`${server.url}/api/v1/messages`)).status).toBe(404)
  })

  it('asks gRPC callers for a token where HTTP callers need one', async () => {
    const server = await start({ server: { auth: 'required' } })
    await expect(grpc(server).receive('')).rejects.toMatchObject({ code: status.UNAUTHENTICATED })
    expect(await health(server)).toBe('SERVING')
  })
})

describe('a server with its queues on SQS', () => {
  it('passes on what happens there, and lends them to processes that attach', async () => {
    const engine = await startFauxqsEngine()
    onTestFinished(() => engine.stop())
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'test')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test')
    onTestFinished(() => void vi.unstubAllEnvs())
    const client = sqsClient(engine)
    await createQueue(client, 'orders')
    client.destroy()
    const { endpoint, region } = engine
    const dataDir = join(newFolder(), 'data')
    const server = await start({ dataDir, messages: { engine: 'sqs', sqs: { endpoint, region } } })
    expect(await get(server.url, '/api/v1/messages')).toMatchObject({ capabilities: { queues: 'existing' } })
    expect(await post(server.url, 'orders/send', { messages: [{ body: 'a' }] })).toMatchObject({
      results: [{ status: 'sent' }],
    })
    const socketPath = join(dataDir, 'owner.sock')
    const attached = await openAttachedMessages({ socketPath, clock: systemClock, random: seededRandom(3) })
    onTestFinished(() => attached.close())
    expect(await attached.receive('orders', { waitMs: 5_000 })).toMatchObject([{ body: 'a' }])
    expect(await post(server.url, 'default/receive')).toMatchObject({ error: { code: 'not_found' } })
    expect(await (await fetch(`${server.url}/metrics`)).text()).toContain(
      'signalbox_messages_sqs_requests_total',
    )
  })
})

describe('messages.engine', () => {
  const of = (store: object, messages: object): string =>
    messageEngineOf(configSchema.parse({ store, messages }))

  it('is the data directory where there is one', () => {
    expect(of({}, {})).toBe('sqlite')
    expect(of({ engine: 'dynamodb' }, {})).toBe('off')
    expect(of({ engine: 'dynamodb' }, { engine: 'sqs' })).toBe('sqs')
    expect(of({}, { engine: 'sqs' })).toBe('sqs')
  })

  it('cannot be it where there is none', () => {
    expect(() => of({ engine: 'firestore' }, { engine: 'sqlite' })).toThrow(
      "messages.engine: 'sqlite' keeps messages in the data directory, which a server with store.engine firestore does not have; write sqs or off",
    )
  })
})

describe('the port of gRPC', () => {
  async function takenPort(): Promise<number> {
    const holder = createServer()
    await new Promise<void>((done) => holder.listen(0, '127.0.0.1', done))
    onTestFinished(() => void holder.close())
    return (holder.address() as { port: number }).port
  }

  it('that was asked for and is taken ends the start, with who has it and what to type', async () => {
    const grpcPort = await takenPort()
    const { code, message } = await failure(start({ server: { grpcPort } }))
    expect(code).toBe('address_in_use')
    expect(message).toMatch(
      new RegExp(
        `^port ${grpcPort} on 127.0.0.1 is taken by .*process ${process.pid}.*: signalbox serve --port 9000 --grpc-port \\d+$`,
      ),
    )
  })

  it('may be off', async () => {
    expect((await start({ server: { grpcPort: 'off' } })).grpcAddress).toBeUndefined()
  })

  it('that is only the usual one may be taken: the log says so, and the rest works', async () => {
    const usualPort = await takenPort()
    const lines: string[] = []
    const service = new MessagesService({
      engine: new FakeQueue({ clock: systemClock }),
      clock: systemClock,
      random: seededRandom(1),
    })
    const opened = await openGrpc({
      config: configSchema.parse({}).server,
      desk: new Desk(service, systemClock),
      auth: authWorld().auth,
      clock: systemClock,
      logger: createLogger({ level: 'info', format: 'text' }, false, {
        write: (line) => void lines.push(line),
      }),
      command: 'signalbox serve',
      usualPort,
    })
    expect(opened).toBeUndefined()
    expect(lines.join('')).toMatch(
      new RegExp(
        `WARN {2}without gRPC: port ${usualPort} on 127.0.0.1 is taken by .*; stop it, or choose another: signalbox serve --grpc-port \\d+\n$`,
      ),
    )
  })
})

describe('gRPC with TLS', () => {
  function files(): Record<'certificate' | 'key' | 'clientCa', string> {
    const folder = newFolder()
    const authority = newAuthority()
    const { certificate, key } = authority.issue('server')
    const pems = { certificate, key, clientCa: authority.certificate }
    const paths = Object.entries(pems).map(([name, pem]) => {
      const path = join(folder, `${name}.pem`)
      writeFileSync(path, pem)
      return [name, path] as const
    })
    return Object.fromEntries(paths) as Record<keyof typeof pems, string>
  }

  it('is reached by who trusts its authority, and by nobody without TLS', async () => {
    const authority = newAuthority()
    const { certificate, key } = authority.issue('server')
    const folder = newFolder()
    writeFileSync(join(folder, 'cert.pem'), certificate)
    writeFileSync(join(folder, 'key.pem'), key)
    const server = await start({
      server: { grpcTls: { certificate: join(folder, 'cert.pem'), key: join(folder, 'key.pem') } },
    })
    const trusting = credentials.createSsl(Buffer.from(authority.certificate))
    expect(await grpc(server, trusting).receive('')).toEqual([])
    await expect(grpc(server).receive('')).rejects.toMatchObject({ code: status.UNAVAILABLE })
    const other = credentials.createSsl(Buffer.from(newAuthority().certificate))
    await expect(grpc(server, other).receive('')).rejects.toMatchObject({ code: status.UNAVAILABLE })
  })

  it('admits only clients of the authority that it is given', async () => {
    const authority = newAuthority()
    const folder = newFolder()
    const { certificate, key } = authority.issue('server')
    const paths = {
      certificate: join(folder, 'c.pem'),
      key: join(folder, 'k.pem'),
      clientCa: join(folder, 'ca.pem'),
    }
    writeFileSync(paths.certificate, certificate)
    writeFileSync(paths.key, key)
    writeFileSync(paths.clientCa, authority.certificate)
    const server = await start({ server: { grpcTls: paths } })
    const roots = Buffer.from(authority.certificate)
    const own = authority.issue('client')
    const known = credentials.createSsl(roots, Buffer.from(own.key), Buffer.from(own.certificate))
    expect(await grpc(server, known).receive('')).toEqual([])
    await expect(grpc(server, credentials.createSsl(roots)).receive('')).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    })
  })

  it.each(['certificate', 'key'] as const)('needs the %s too, and says so', async (missing) => {
    const { [missing]: _, ...grpcTls } = files()
    const { code, message } = await failure(start({ server: { grpcTls } }))
    expect([code, message]).toEqual([
      'config_invalid',
      `server.grpcTls.${missing}: missing; TLS takes a certificate and its key`,
    ])
  })

  it('says which file it cannot read', async () => {
    const grpcTls = { ...files(), key: '/does/not/exist.pem' }
    const { message } = await failure(start({ server: { grpcTls } }))
    expect(message).toBe('server.grpcTls.key: cannot read /does/not/exist.pem (ENOENT)')
  })
})

/** Less than a receive may wait. */
const SOON_MS = 15_000

describe('a server that stops', () => {
  it(
    'does not wait for receives that wait: they are answered with nothing, or refused if they come too late',
    async () => {
      const server = await start({ server: { shutdownGrace: '1h' } })
      const { client } = grpc(server)
      const waiting = post(server.url, 'default/receive', { waitMs: 20_000 })
      const alsoWaiting = new Promise((done) => {
        client.receive({ queue: '', max: 1, waitMs: 20_000, attributeNames: [] }, (error, answer) =>
          done(
            error === null
              ? { messages: answer.messages }
              : { error: { code: error.metadata.get('signalbox-code')[0] } },
          ),
        )
      })
      for (let i = 0; i < 5; i++) {
        await post(server.url, 'default/receive', { waitMs: 0 })
        expect(await health(server)).toBe('SERVING')
      }
      await server.close()
      for (const answer of [await waiting, await alsoWaiting]) {
        const { messages, error } = answer as { messages?: unknown; error?: { code: string } }
        expect(error?.code ?? messages).toEqual(error === undefined ? [] : 'unavailable')
      }
    },
    SOON_MS,
  )

  it('says NOT_SERVING while it drains, and serves on', async () => {
    const server = await start({ server: { drainDelay: '1s' } })
    expect(await health(server)).toBe('SERVING')
    const closed = server.close()
    expect(await health(server)).toBe('NOT_SERVING')
    await post(server.url, 'default/send', { messages: [{ body: 'late' }] })
    expect(await grpc(server).receive('')).toMatchObject([{ body: 'late' }])
    await closed
  })

  it('lets a stream settle what it holds, and gives the rest back', async () => {
    const dataDir = join(newFolder(), 'data')
    const server = await start({ dataDir, server: { shutdownGrace: '20s' } })
    await post(server.url, 'default/send', { messages: [{ body: 'a' }, { body: 'b' }] })
    const stream = grpc(server).client.consume()
    const heard: ConsumeResponse[] = []
    stream.on('data', (response: ConsumeResponse) => heard.push(response))
    stream.on('error', () => undefined)
    const say = (request: Partial<ConsumeRequest>): void =>
      void stream.write({ ack: [], nack: [], extend: [], addCredit: 0, ...request })
    say({ open: { queue: '', credit: 10, attributeNames: [] } })
    const messages = (): ConsumeResponse['messages'] => heard.flatMap((response) => response.messages)
    await expect.poll(() => messages().length, { timeout: 20_000 }).toBe(2)
    const closed = server.close()
    await expect.poll(() => heard.some(({ draining }) => draining), { timeout: 20_000 }).toBe(true)
    const [first, second] = messages()
    say({ ack: [first?.deliveryId ?? 0] })
    await expect.poll(() => heard.flatMap(({ acked }) => acked).length, { timeout: 20_000 }).toBe(1)
    say({ nack: [{ deliveryId: second?.deliveryId ?? 0, delayMs: 0 }] })
    await closed
    expect(server.logged.join('')).toContain('waiting for messages in flight')
    const next = await start({ dataDir })
    expect(await get(next.url, '/api/v1/messages/default')).toMatchObject({ visible: 1, inFlight: 0 })
  })

  it('does not wait for who received over HTTP: they may delete at its successor', async () => {
    const dataDir = join(newFolder(), 'data')
    const server = await start({ dataDir, server: { shutdownGrace: '1h' } })
    await post(server.url, 'default/send', { messages: [{ body: 'a' }] })
    const received = (await post(server.url, 'default/receive')) as { messages: { receipt: string }[] }
    await server.close()
    const next = await start({ dataDir })
    expect(await post(next.url, 'default/delete', { receipts: [received.messages[0]?.receipt] })).toEqual({
      results: [{ status: 'deleted' }],
    })
  })
})
