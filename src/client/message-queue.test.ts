import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { systemClock, type Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import type { MessageQueue } from '../ports/message-queue.ts'
import { openRemoteMessages } from './message-queue.ts'
import {
  serveMessages,
  type MessageServer,
  type MessageServerOptions,
} from '../../test/support/message-server.ts'

// Real sockets, processes and files: on a loaded machine they take their time.
vi.setConfig({ testTimeout: 120_000 })

const eventually = <T>(read: () => T) => expect.poll(read, { timeout: 60_000, interval: 5 })
const QUEUE = 'q'

const cleanups: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function setup(
  options: Partial<MessageServerOptions> = {},
): Promise<{ server: MessageServer; messages: MessageQueue; directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
  cleanups.push(() => rmSync(directory, { recursive: true }))
  const server = await serveMessages({ directory, clock: systemClock, ...options })
  cleanups.push(() => server.close())
  const messages = await connect(server.url)
  await messages.declareQueue(QUEUE, { visibilityMs: 600_000 })
  return { server, messages, directory }
}

async function connect(url: string, clock: Clock = systemClock): Promise<MessageQueue> {
  const messages = await openRemoteMessages({ url, clock, random: seededRandom(1) })
  cleanups.push(() => messages.close())
  return messages
}

/** A listener that passes requests on, until told otherwise. */
async function middleman(
  target: string,
  rule: (path: string) => 'pass' | 'swallow answer' | 'refuse',
  answered: (path: string) => void = () => undefined,
) {
  const server = http.createServer((request, response) => {
    const verdict = rule(request.url ?? '')
    if (verdict === 'refuse') {
      const error = { code: 'unavailable', message: 'starting' }
      response.writeHead(503, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
      return
    }
    const { method, headers, url } = request
    const onward = http.request(new URL(url ?? '', target), { method, headers, agent: false }, (answer) => {
      if (verdict === 'swallow answer') {
        answer.resume().on('end', () => request.socket.destroy())
        return
      }
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response).on('finish', () => answered(url ?? ''))
    })
    onward.on('error', () => response.destroy())
    request.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('message queues at a distance', () => {
  it('have the limits and abilities of their server', async () => {
    const { server, messages } = await setup()
    expect(messages.limits).toEqual(server.engine.limits)
    expect(messages.capabilities).toEqual(server.engine.capabilities)
    expect(messages.peek === undefined).toBe(false)
  })

  it('say at once when nobody is there', async () => {
    const { server } = await setup()
    await server.unplug()
    await expect(connect(server.url)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('tell deadlines by our clock when the server’s is elsewhere', async () => {
    const { messages, server } = await setup({ clock: { ...systemClock, now: () => Date.now() + 3_600_000 } })
    await server.engine.send(QUEUE, [{ body: 'a' }])
    const before = Date.now()
    const [received] = await messages.receive(QUEUE, { visibilityMs: 60_000 })
    const after = Date.now()
    const on = (time: number, ms: number): void => {
      expect(time).toBeLessThanOrEqual(after + ms)
      expect(time).toBeGreaterThan(before + ms - 30_000)
    }
    on(received!.deadline, 60_000)
    const [changed] = await messages.changeVisibility(QUEUE, [
      { receipt: received!.receipt, visibilityMs: 120_000 },
    ])
    if (changed?.status !== 'changed') throw new Error('not changed')
    expect(changed.deadline).toBeLessThanOrEqual(Date.now() + 120_000)
    expect(changed.deadline).toBeGreaterThan(before + 90_000)
  })

  it('carry bytes, and where a dead letter comes from', async () => {
    const { messages } = await setup()
    const attributes = {
      a: { type: 'Binary', value: Uint8Array.from([0, 255]) },
      b: { type: 'Number.int', value: '7' },
    }
    await messages.send(QUEUE, [{ body: 'x', attributes, deadLetterSource: 'elsewhere' }])
    expect(await messages.receive(QUEUE)).toMatchObject([
      { body: 'x', attributes, deadLetterSource: 'elsewhere' },
    ])
  })

  it('let wrong entries fail alone, in their places', async () => {
    const { messages } = await setup()
    const results = await messages.send(QUEUE, [
      { body: '' },
      { body: 'a' },
      { body: 'b', delayMs: -1 },
      { body: 'c' },
    ])
    expect(results.map(({ status }) => status)).toEqual(['failed', 'sent', 'failed', 'sent'])
    const receipts = (await messages.receive(QUEUE, { max: 2 })).map(({ receipt }) => receipt)
    const changes = [
      { receipt: receipts[0]!, visibilityMs: -1 },
      { receipt: 'none', visibilityMs: 0 },
      { receipt: receipts[1]!, visibilityMs: 0 },
    ]
    expect((await messages.changeVisibility(QUEUE, changes)).map(({ status }) => status)).toEqual([
      'failed',
      'failed',
      'changed',
    ])
  })

  it('repeat what a server did not take', async () => {
    let refusals = 3
    const { server } = await setup()
    const url = await middleman(server.url, (path) =>
      path.endsWith('/send') && refusals-- > 0 ? 'refuse' : 'pass',
    )
    const messages = await connect(url)
    expect(await messages.send(QUEUE, [{ body: 'a' }])).toMatchObject([{ status: 'sent' }])
    expect(refusals).toBe(-1)
    expect(await server.engine.stats(QUEUE)).toMatchObject({ visible: 1 })
  })

  it.each([
    ['send', (m: MessageQueue) => m.send(QUEUE, [{ body: 'a' }])],
    ['receive', (m: MessageQueue) => m.receive(QUEUE)],
    ['delete', (m: MessageQueue) => m.delete(QUEUE, ['1.1'])],
    ['visibility', (m: MessageQueue) => m.changeVisibility(QUEUE, [{ receipt: '1.1', visibilityMs: 1 }])],
    ['purge', (m: MessageQueue) => m.purge(QUEUE)],
    ['redrive', (m: MessageQueue) => m.redrive!(QUEUE, { limit: 1 })],
    ['declaration', (m: MessageQueue) => m.declareQueue(QUEUE)],
  ])('do not know the outcome of a %s whose answer was lost, and do not repeat it', async (_, call) => {
    const { server } = await setup()
    let lost = 0
    const url = await middleman(server.url, (path) => {
      if (path === '/api/v1/messages') return 'pass'
      lost += 1
      return 'swallow answer'
    })
    await expect(call(await connect(url))).rejects.toMatchObject({ code: 'outcome_unknown' })
    expect(lost).toBe(1)
  })

  it('ask again for what only looks', async () => {
    const { server } = await setup()
    let lost = 0
    const url = await middleman(server.url, (path) =>
      path.endsWith(QUEUE) && lost++ < 2 ? 'swallow answer' : 'pass',
    )
    expect(await (await connect(url)).stats(QUEUE)).toMatchObject({ visible: 0 })
    expect(lost).toBe(3)
  })

  it('outlive a restart of their server', async () => {
    const { server, messages, directory } = await setup()
    const port = Number(new URL(server.url).port)
    await messages.send(QUEUE, [{ body: 'a' }])
    await server.close()
    const sent = messages.send(QUEUE, [{ body: 'b' }])
    const next = await serveMessages({ directory, clock: systemClock, port })
    expect(await sent).toMatchObject([{ status: 'sent' }])
    expect(await messages.receive(QUEUE, { max: 10 })).toMatchObject([{ body: 'a' }, { body: 'b' }])
    await messages.close()
    await next.close()
  })

  it('pass on what the server refuses', async () => {
    const error = new SignalboxError('throttled', 'not so fast')
    const { messages } = await setup({
      wrap: (engine) =>
        new Proxy(engine, {
          get: (target, name) => {
            if (name === 'stats') return () => Promise.reject(error)
            const value: unknown = Reflect.get(target, name)
            return typeof value === 'function' ? value.bind(target) : value
          },
        }),
    })
    await expect(messages.stats(QUEUE)).rejects.toMatchObject({ code: 'throttled', message: 'not so fast' })
    await expect(messages.stats('absent/../..')).rejects.toMatchObject({ code: 'invalid_argument' })
  })

  it('leave a receive that is given up no message that comes later', async () => {
    const { server, messages } = await setup()
    for (let round = 0; round < 10; round++) {
      const controller = new AbortController()
      const received = messages.receive(QUEUE, { waitMs: 20_000, signal: controller.signal })
      const refused = expect(received).rejects.toThrow('enough')
      if (round % 2 === 0) await eventually(() => server.open).toBe(1)
      controller.abort(new Error('enough'))
      await refused
      await eventually(() => server.open).toBe(0)
      await server.engine.send(QUEUE, [{ body: 'a' }])
      expect(await server.engine.stats(QUEUE)).toMatchObject({ visible: 1, inFlight: 0 })
      await server.engine.purge(QUEUE)
    }
  })

  it('give back what has come when a receive is given up', async () => {
    const { server } = await setup()
    const controller = new AbortController()
    const pass = (): 'pass' => 'pass'
    const url = await middleman(server.url, pass, (path) => {
      if (path.endsWith('/receive')) controller.abort(new Error('enough'))
    })
    const messages = await connect(url)
    await server.engine.send(QUEUE, [{ body: 'a' }])
    await expect(messages.receive(QUEUE, { waitMs: 20_000, signal: controller.signal })).rejects.toThrow(
      'enough',
    )
    expect(await server.engine.stats(QUEUE)).toMatchObject({ visible: 1, inFlight: 0 })
  })

  it('end receives that wait when they are closed, and let other calls end', async () => {
    const { server, messages } = await setup()
    const waiting = Array.from({ length: 5 }, () => messages.receive(QUEUE, { waitMs: 20_000 }))
    await eventually(() => server.open).toBe(5)
    const sent = messages.send(QUEUE, [{ body: 'a' }])
    await messages.close()
    expect(await sent).toMatchObject([{ status: 'sent' }])
    const received = (await Promise.all(waiting)).flat()
    await eventually(async () => (await server.engine.stats(QUEUE)).visible).toBe(1 - received.length)
    await eventually(() => server.open).toBe(0)
  })
})
