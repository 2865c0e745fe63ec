/** A whole sidecar in this process, on each engine: what it listens on, what it tells, how it stops. */
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentials, status, type ChannelCredentials, type ServiceError } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { newAuthority } from '../../../test/support/certificates.ts'
import { startFauxqsEngine } from '../../../test/support/engines/fauxqs.ts'
import { createQueue, sqsClient, type SqsEngine } from '../../../test/support/engines/sqs.ts'
import { systemClock } from '../../kernel/clock.ts'
import { seededRandom } from '../../kernel/id.ts'
import { SQSServiceClient } from '../../messages/grpc/generated/sqs/sqs_service.ts'
import { sidecarLogger, startSidecar, type RunningSidecar } from './run.ts'
import { sidecarSettings, type SidecarFlags } from './settings.ts'

interface Line {
  readonly level: string
  readonly time: string
  readonly message: string
  readonly function?: string
  readonly http?: string
}

const folder = mkdtempSync(join(tmpdir(), 'signalbox-sidecar-'))
let sqs: SqsEngine
beforeAll(async () => {
  sqs = await startFauxqsEngine()
})
afterAll(async () => {
  await sqs.stop()
  rmSync(folder, { recursive: true, force: true })
})
const running = new Set<RunningSidecar>()
const clients = new Set<SQSServiceClient>()
afterEach(async () => {
  for (const client of clients) client.close()
  for (const sidecar of running) await sidecar.close()
  clients.clear()
  running.clear()
})

let queues = 0
const engines: Record<string, (queue: string) => Promise<readonly [SidecarFlags, Record<string, string>]>> = {
  'the embedded engine': async (queue) => [{ dataDir: join(folder, queue) }, {}],
  SQS: async (queue) => {
    const client = sqsClient(sqs)
    await createQueue(client, queue)
    client.destroy()
    const { endpoint, region } = sqs
    const keys = { APP_AWS_ACCESS_KEY_ID: 'AKIATEST', APP_AWS_SECRET_ACCESS_KEY: 'test' }
    return [{ engine: 'sqs', endpoint, region }, keys]
  },
}

async function start(engine: string, flags: SidecarFlags = {}) {
  const queue = `orders-${++queues}`
  const [own, env] = (await engines[engine]?.(queue)) ?? [{}, {}]
  const settings = sidecarSettings(
    { queue, port: '0', httpPort: '0', grace: '100ms', ...own, ...flags },
    { env, cwd: folder },
  )
  const lines: Line[] = []
  const logger = sidecarLogger(settings.logLevel, {
    write: (text: string) => void lines.push(JSON.parse(text) as Line),
  })
  const sidecar = await startSidecar(settings, { clock: systemClock, random: seededRandom(1), logger })
  running.add(sidecar)
  const http = lines.find(({ message }) => message.endsWith('is ready'))?.http ?? ''
  const at = `${http}/api/v1/messages/${queue}`
  const post = async (path: string, body: object): Promise<unknown> => {
    const init = {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }
    return (await fetch(`${at}/${path}`, init)).json()
  }
  return {
    sidecar,
    lines,
    http,
    queue,
    post,
    send: (body: string) => post('send', { messages: [{ body }] }),
    stats: async () => (await fetch(at)).json(),
    client: (how: ChannelCredentials = credentials.createInsecure()): SQSServiceClient => {
      const client = new SQSServiceClient(sidecar.address, how)
      clients.add(client)
      return client
    },
  }
}

const request = {
  visibilityTimeout: 30,
  waitTime: 5,
  maximumNumberOfMessages: 1,
  queue: '',
  attributeNames: [],
}

/** @returns the body and the handle */
function receive(client: SQSServiceClient): Promise<{ body: string; handle: string }> {
  return new Promise((done, failed) => {
    client.receiveMessage(request, (error, answer) => {
      const [first] = error === null ? answer.messages : []
      if (error === null) done({ body: first?.messageBody ?? '', handle: first?.messageID ?? '' })
      else failed(error)
    })
  })
}

function remove(client: SQSServiceClient, messageID: string): Promise<void> {
  return new Promise((done, failed) => {
    client.deleteMessage({ messageID, queue: '' }, (error) => (error === null ? done() : failed(error)))
  })
}

describe.each(Object.keys(engines))('a sidecar on %s', (engine) => {
  it('serves HTTP beside gRPC: send, receive, visibility, delete, stats', async () => {
    const { post, send, stats } = await start(engine)
    expect(await send('hello')).toMatchObject({ results: [{ status: 'sent' }] })
    expect(await stats()).toMatchObject({ visible: 1, exact: engine !== 'SQS' })
    const { messages } = (await post('receive', { waitMs: 5_000 })) as { messages: { receipt: string }[] }
    expect(messages).toMatchObject([{ body: 'hello', receiveCount: 1 }])
    const [{ receipt } = { receipt: '' }] = messages
    const change = { receipt, visibilityMs: 60_000 }
    expect(await post('visibility', { changes: [change] })).toMatchObject({
      results: [{ status: 'changed' }],
    })
    expect(await post('delete', { receipts: [receipt] })).toMatchObject({ results: [{ status: 'deleted' }] })
    expect(await stats()).toMatchObject({ visible: 0, inFlight: 0 })
    expect(await send('')).toMatchObject({
      results: [{ status: 'failed', error: { code: 'invalid_argument' } }],
    })
  })

  it('tells that it is well, that it is ready, and what it does; and what is not there', async () => {
    const { http, send } = await start(engine)
    await send('x')
    const get = async (path: string): Promise<readonly [number, string]> => {
      const answer = await fetch(`${http}${path}`)
      return [answer.status, await answer.text()]
    }
    expect(await get('/healthz')).toEqual([200, 'OK'])
    expect(await get('/readyz?verbose')).toEqual([200, 'OK'])
    const [code, metrics] = await get('/metrics')
    expect(code).toBe(200)
    expect(metrics).toContain('signalbox_messages_total{event="sent"} 1')
    expect(metrics.includes('signalbox_messages_sqs_requests_total{operation="SendMessageBatch"} 1')).toBe(
      engine === 'SQS',
    )
    expect((await get('/nothing'))[0]).toBe(404)
    const [missing, problem] = await get('/api/v1/messages/nowhere')
    expect(missing).toBe(404)
    expect(problem).toContain('nowhere')
  })

  it('keeps pages of other sites out', async () => {
    const { http, queue } = await start(engine)
    const url = `${http}/api/v1/messages/${queue}/receive`
    const foreign = { origin: 'https://example.com', 'content-type': 'application/json' }
    expect((await fetch(url, { method: 'POST', body: '{}', headers: foreign })).status).toBe(403)
    const form = { 'content-type': 'text/plain' }
    expect((await fetch(url, { method: 'POST', body: '{}', headers: form })).status).toBe(415)
  })

  it('at debug, logs what the reference logs, masked unless told otherwise', async () => {
    for (const logBodies of [false, true]) {
      const { client, send, lines } = await start(engine, {
        logLevel: 'debug',
        ...(logBodies ? { logBodies } : {}),
      })
      await send('secret')
      const caller = client()
      const { handle } = await receive(caller)
      await remove(caller, handle)
      const told = lines.filter(({ level }) => level === 'debug')
      expect(told.map((line) => line.function)).toEqual([
        'ReceiveMessage',
        'ReceiveMessage',
        'DeleteMessage',
        'DeleteMessage',
      ])
      for (const line of told) {
        expect(Object.keys(line).toSorted()).toEqual(['function', 'level', 'message', 'time'])
        expect(new Date(line.time).toISOString()).toBe(line.time)
      }
      expect(told[0]?.message).toBe(
        'Received input: visibility_timeout:30  wait_time:5  maximum_number_of_messages:1',
      )
      const shown = JSON.stringify(logBodies ? 'secret' : '********')
      expect(told[1]?.message).toMatch(/^Returned output: \[messageID:".+"  messageBody:".+"\]$/)
      expect(told[1]?.message).toContain(`messageBody:${shown}`)
      const all = told.map(({ message }) => message).join()
      expect(all.includes(handle)).toBe(logBodies)
    }
  })

  it('serves a Unix socket, and removes it when it stops', async () => {
    const socket = join(folder, `${queues}.sock`)
    const { client, send, sidecar } = await start(engine, { socket })
    expect(sidecar.address).toBe(`unix:${socket}`)
    expect(statSync(socket).isSocket()).toBe(true)
    await send('through a socket')
    expect((await receive(client())).body).toBe('through a socket')
    await sidecar.close()
    expect(() => statSync(socket)).toThrow('ENOENT')
  })

  it('serves TLS, to whom it is told to', async () => {
    const [ours, theirs] = [newAuthority('ours'), newAuthority('theirs')]
    const own = ours.issue('sidecar')
    const files = { tlsCert: own.certificate, tlsKey: own.key, tlsClientCa: ours.certificate }
    const paths = Object.fromEntries(
      Object.entries(files).map(([name, pem]) => {
        const path = join(folder, `${queues}-${name}.pem`)
        writeFileSync(path, pem)
        return [name, path]
      }),
    ) as Required<Pick<SidecarFlags, keyof typeof files>>
    const root = Buffer.from(ours.certificate)
    const as = ({ key, certificate }: { key: string; certificate: string }): ChannelCredentials =>
      credentials.createSsl(root, Buffer.from(key), Buffer.from(certificate))
    const { client, send } = await start(engine, paths)
    await send('secret')
    const { body } = await receive(client(as(ours.issue('app'))))
    expect(body).toBe('secret')
    const stranger = as(theirs.issue('app'))
    for (const how of [stranger, credentials.createSsl(root), credentials.createInsecure()]) {
      const refused = await receive(client(how)).catch((error: ServiceError) => error.code)
      expect(refused).toBe(status.UNAVAILABLE)
    }
    const open = await start(engine, { tlsCert: paths.tlsCert, tlsKey: paths.tlsKey })
    await open.send('for everybody')
    expect((await receive(open.client(credentials.createSsl(root)))).body).toBe('for everybody')
  })

  it('when it stops, receives that wait end, later ones are refused, and it is over soon', async () => {
    const { client, sidecar } = await start(engine, { grace: '10s' })
    const caller = client()
    const waiting = receive(caller)
    // What follows it on the connection is answered: so it has come in.
    await remove(caller, 'made up').catch(() => undefined)
    const closed = sidecar.close()
    expect(await waiting).toEqual({ body: '', handle: '' })
    await closed
    await expect(receive(caller)).rejects.toMatchObject({ code: status.UNAVAILABLE })
  })
})

it('a port that is taken is one line', async () => {
  const { sidecar, http } = await start('SQS')
  const port = sidecar.address.split(':')[1] ?? ''
  await expect(start('SQS', { port })).rejects.toMatchObject({ code: 'address_in_use' })
  await expect(start('SQS', { httpPort: new URL(http).port })).rejects.toMatchObject({
    code: 'address_in_use',
  })
})
