/** Real engines and sockets in one process: an owner and those that attach to it. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { openSqlite } from '../drivers/sqlite/index.ts'
import { systemClock } from '../kernel/clock.ts'
import type { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { openEmbedded, type EmbeddedOptions, type OpenedEmbedded } from './embedded.ts'

const PATIENCE = { timeout: 20_000 }

function newDirectory(): string {
  const parent = mkdtempSync(join(tmpdir(), 'signalbox-embedded-'))
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }))
  return join(parent, 'data')
}

async function open(directory: string, options: Partial<EmbeddedOptions> = {}): Promise<OpenedEmbedded> {
  const opened = await openEmbedded({
    directory,
    clock: systemClock,
    random: seededRandom(1),
    mayOwn: true,
    command: 'signalbox sidecar',
    ...options,
  })
  onTestFinished(() => opened.close())
  return opened
}

/** One call at the owner's socket. */
function call(
  directory: string,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: unknown }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: unknown }>()
  const headers = body === undefined ? {} : { 'content-type': 'application/json' }
  const options = { socketPath: join(directory, 'owner.sock'), path, method, agent: false, headers }
  const request = httpRequest(options, (response) => {
    let text = ''
    response.on('data', (chunk) => (text += String(chunk)))
    response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as unknown }))
  })
  request.on('error', reject)
  request.end(body === undefined ? undefined : JSON.stringify(body))
  return promise
}

it('the first owns the directory, and lends store and queues to the next', async () => {
  const directory = newDirectory()
  const owner = await open(directory)
  expect(owner).toMatchObject({ mode: 'owner', facts: { dataDir: directory, mode: 'owner' } })
  const guest = await open(directory, { mayOwn: false })
  expect(guest).toMatchObject({
    mode: 'attached',
    facts: { dataDir: directory, mode: 'attached', owner: `signalbox sidecar (process ${process.pid})` },
  })
  await owner.messages.declareQueue('orders')
  await guest.messages.send('orders', [{ body: 'from the guest' }])
  const [received] = await owner.messages.receive('orders', { max: 1 })
  expect(received?.body).toBe('from the guest')
  await guest.store.commit([{ op: 'put', key: ['test', 'a'], expect: 'absent', value: 1 }])
  expect(await owner.store.get(['test', 'a'])).toMatchObject({ value: 1 })
})

it('who may not own says how to start an owner', async () => {
  const directory = newDirectory()
  const error: unknown = await open(directory, { mayOwn: false }).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'unavailable' })
  expect((error as SignalboxError).message).toBe(
    `no process owns the data directory ${directory}; start the server with 'signalbox serve --data-dir ${directory}', or set SIGNALBOX_URL`,
  )
  expect(existsSync(directory)).toBe(false)
})

it('one that was killed left its socket: the next owns', async () => {
  const directory = newDirectory()
  await (await open(directory)).close()
  writeFileSync(join(directory, 'owner.sock'), '')
  expect(await open(directory)).toMatchObject({ mode: 'owner' })
})

it('an owner that has its lock and not yet its socket is waited for', async () => {
  const directory = newDirectory()
  const starting = await openSqlite({ directory, clock: systemClock })
  const second = open(directory)
  await starting.close()
  expect(await second).toMatchObject({ mode: 'owner' })
})

it('who attached goes on when another becomes the owner', async () => {
  const directory = newDirectory()
  const owner = await open(directory)
  await owner.messages.declareQueue('orders')
  const guest = await open(directory)
  await owner.close()
  await open(directory)
  await expect
    .poll(() => guest.messages.send('orders', [{ body: 'a' }]).then(([sent]) => sent?.status), PATIENCE)
    .toBe('sent')
})

it('the owner’s socket answers the API of messages, and says what it does not have', async () => {
  const directory = newDirectory()
  const owner = await open(directory)
  await owner.messages.declareQueue('orders')
  const root = '/api/v1/messages'
  expect(await call(directory, 'POST', `${root}/orders/send`, { messages: [{ body: 'a' }] })).toMatchObject({
    status: 200,
    body: { results: [{ status: 'sent' }] },
  })
  expect(await call(directory, 'GET', `${root}/orders`)).toMatchObject({ body: { visible: 1 } })
  expect(await call(directory, 'GET', '/healthz')).toMatchObject({ body: { name: 'signalbox' } })
  const { status, body } = await call(directory, 'GET', '/api/v1/turns')
  expect(status).toBe(404)
  expect(body).toMatchObject({
    error: {
      message: expect.stringContaining(
        "there is no GET /api/v1/turns here; 'signalbox sidecar' owns this data directory",
      ),
    },
  })
})

it('closing gives everything back, and more than once is no harm', async () => {
  const directory = newDirectory()
  const owner = await open(directory)
  await call(directory, 'GET', '/api/v1/messages')
  await Promise.all([owner.close(), owner.close()])
  await expect(owner.messages.listQueues()).rejects.toMatchObject({ code: 'unavailable' })
  expect(await open(directory)).toMatchObject({ mode: 'owner' })
})
