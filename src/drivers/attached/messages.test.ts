import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectSocket, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { systemClock, type Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import type { MessageQueue, OutgoingMessage, SendResult } from '../../ports/message-queue.ts'
import { memoryStore } from '../memory/index.ts'
import { openSqlite, sqliteMessageQueue } from '../sqlite/index.ts'
import { attachMessageHost, attachStoreHost, openAttachedMessages, openAttachedStore } from './index.ts'
import { serveOn, type Owner } from './testing/owner.ts'

// Real sockets, processes and files: on a loaded machine they take their time.
vi.setConfig({ testTimeout: 120_000 })

/** Polls, for what another connection brings about. */
const eventually = <T>(read: () => T) => expect.poll(read, { timeout: 60_000, interval: 5 })

const cleanups: (() => Promise<unknown> | void)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** An engine with some methods of its own. */
function wrap(engine: MessageQueue, own: Partial<MessageQueue>): MessageQueue {
  return {
    limits: engine.limits,
    capabilities: engine.capabilities,
    declareQueue: (...a) => engine.declareQueue(...a),
    describeQueue: (...a) => engine.describeQueue(...a),
    listQueues: () => engine.listQueues(),
    send: (...a) => engine.send(...a),
    receive: (...a) => engine.receive(...a),
    delete: (...a) => engine.delete(...a),
    changeVisibility: (...a) => engine.changeVisibility(...a),
    stats: (...a) => engine.stats(...a),
    purge: (...a) => engine.purge(...a),
    ...(engine.peek === undefined ? {} : { peek: engine.peek.bind(engine) }),
    close: () => engine.close(),
    ...own,
  }
}

const serve = (messages: MessageQueue, socketPath: string): Promise<Owner> =>
  serveOn(socketPath, (server) => attachMessageHost(server, messages))

const attach = (socketPath: string, clock: Clock = systemClock): Promise<MessageQueue> =>
  openAttachedMessages({ socketPath, clock, random: seededRandom(1) })

interface Setup {
  readonly socketPath: string
  readonly engine: MessageQueue
  readonly owner: Owner
  readonly messages: MessageQueue
}

const QUEUE = 'q'

/** An owner over an embedded engine with a queue, and one who is attached to it. */
async function setup(
  options: { clock?: Clock; own?: (engine: MessageQueue) => Partial<MessageQueue> } = {},
): Promise<Setup> {
  const { clock = systemClock, own } = options
  const directory = freshDirectory()
  const socketPath = join(directory, 'owner.sock')
  const sqlite = await openSqlite({ directory, clock })
  const embedded = sqliteMessageQueue(sqlite)
  const engine = own === undefined ? embedded : wrap(embedded, own(embedded))
  await engine.declareQueue(QUEUE, { visibilityMs: 600_000 })
  const owner = await serve(engine, socketPath)
  const messages = await attach(socketPath, clock)
  cleanups.push(
    async () => {
      await embedded.close()
      await sqlite.close()
    },
    () => (owner.server.listening ? owner.stop() : undefined),
    () => messages.close(),
  )
  return { socketPath, engine, owner, messages }
}

const numbered = (count: number): OutgoingMessage[] =>
  Array.from({ length: count }, (_, i) => ({ body: `m${i}` }))

describe('attached message queues', () => {
  it('take the limits and the abilities of their owner', async () => {
    const limits = { limits: { ...(await setup()).engine.limits, batchEntries: 3 } }
    const { messages } = await setup({ own: () => ({ ...limits, peek: undefined as never }) })
    expect(messages.limits.batchEntries).toBe(3)
    expect(messages.capabilities.delivery).toBe('exact')
    expect([messages.peek === undefined, messages.redrive === undefined]).toEqual([true, true])
    await expect(messages.send(QUEUE, numbered(4))).rejects.toMatchObject({ code: 'invalid_argument' })
  })

  it('share a socket with a store, and what neither knows is refused once', async () => {
    const socketPath = join(freshDirectory(), 'owner.sock')
    const { engine } = await setup()
    const store = memoryStore({ clock: systemClock })
    const owner = await serveOn(socketPath, (server) => {
      const hosts = [attachStoreHost(server, store), attachMessageHost(server, engine)]
      return {
        connections: 0,
        close: async () => void (await Promise.all(hosts.map((host) => host.close()))),
      }
    })
    const messages = await attach(socketPath)
    const attached = await openAttachedStore({ socketPath, clock: systemClock, random: seededRandom(1) })
    await messages.send(QUEUE, numbered(1))
    await attached.commit([{ key: ['p', 'k'], expect: 'absent', op: 'put', value: 1 }])
    const { text, closed } = await raw(socketPath, 'websocket')
    await closed
    expect(text().match(/HTTP\/1.1/g)).toHaveLength(1)
    expect(text()).toContain('426')
    expect(text()).toContain('signalbox-store/1, signalbox-messages/1')
    await messages.close()
    await attached.close()
    await owner.stop()
  })

  it('pass on errors of a call and of an entry with their code, message and details', async () => {
    const error = new SignalboxError('throttled', 'not so fast', { details: { queue: QUEUE, n: 7 } })
    const results: SendResult[] = [
      { status: 'failed', error },
      { status: 'sent', messageId: 'a', sequence: '12' },
    ]
    const { messages } = await setup({
      own: () => ({
        send: async () => results,
        delete: async () => [{ status: 'failed', error }, { status: 'lost' }],
        changeVisibility: async () => [{ status: 'failed', error }, { status: 'lost' }],
        stats: async () => {
          throw error
        },
      }),
    })
    const same = expect.objectContaining({
      code: 'throttled',
      message: 'not so fast',
      details: error.details,
    }) as unknown
    expect(await messages.send(QUEUE, numbered(2))).toEqual([{ status: 'failed', error: same }, results[1]])
    expect(await messages.delete(QUEUE, ['a', 'b'])).toEqual([
      { status: 'failed', error: same },
      { status: 'lost' },
    ])
    const change = { receipt: 'a', visibilityMs: 1 }
    expect((await messages.changeVisibility(QUEUE, [change, change]))[0]).toEqual({
      status: 'failed',
      error: same,
    })
    await expect(messages.stats(QUEUE)).rejects.toEqual(same)
  })

  it('carry bytes and any text', async () => {
    const { messages } = await setup()
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
    const attributes = {
      blob: { type: 'Binary.x', value: bytes },
      json: { type: 'String', value: '{"b":"AA=="}' },
    }
    const body = 'line\n\u2028"\\ é🚂'
    await messages.send(QUEUE, [{ body, attributes }])
    const [received] = await messages.receive(QUEUE, { max: 1 })
    expect(received).toMatchObject({ body, attributes })
    expect(received?.attributes).toEqual(attributes)
  })

  it('let a wrong entry of any size fail alone', async () => {
    const { messages } = await setup()
    const huge = { body: 'x'.repeat(30_000_000), delayMs: -1 }
    const [wrong, right] = await messages.send(QUEUE, [huge, { body: 'b' }])
    expect(wrong).toMatchObject({ status: 'failed', error: { code: 'invalid_argument' } })
    expect(right).toMatchObject({ status: 'sent' })
    const names = Array.from({ length: 100_000 }, () => 'n'.repeat(200))
    await expect(messages.receive(QUEUE, { attributes: names, waitMs: 1 })).rejects.toMatchObject({
      code: 'payload_too_large',
    })
    expect(await messages.receive(QUEUE)).toMatchObject([{ body: 'b' }])
  })

  it('answer 600 calls at once, each with its own answer', async () => {
    const { messages } = await setup()
    const names = Array.from({ length: 20 }, (_, i) => `q${i}`)
    await Promise.all(names.map((name) => messages.declareQueue(name)))
    await Promise.all(Array.from({ length: 600 }, (_, i) => messages.send(`q${i % 20}`, [{ body: `${i}` }])))
    const received = await Promise.all(names.map((name) => messages.receive(name, { max: 100 })))
    received.forEach((some, i) =>
      expect(some.map(({ body }) => Number(body))).toEqual(Array.from({ length: 30 }, (_, n) => 20 * n + i)),
    )
  })

  it('let receives that wait, however many, hold up no other call', async () => {
    const { messages, socketPath } = await setup()
    await messages.declareQueue('empty')
    const waiting = Array.from({ length: 1_500 }, () => messages.receive('empty', { waitMs: 20_000 }))
    await messages.send(QUEUE, numbered(5))
    const received = await messages.receive(QUEUE, { max: 5 })
    await messages.delete(
      QUEUE,
      received.map(({ receipt }) => receipt),
    )
    expect(await messages.stats(QUEUE)).toMatchObject({ visible: 0, inFlight: 0 })
    const other = await attach(socketPath)
    await Promise.all(
      Array.from({ length: 15 }, () =>
        other.send(
          'empty',
          Array.from({ length: 100 }, () => ({ body: 'x' })),
        ),
      ),
    )
    expect((await Promise.all(waiting)).flat()).toHaveLength(1_500)
    await other.close()
  })

  it('serve one process while another asks for very much', async () => {
    const { messages, socketPath } = await setup()
    const light = await attach(socketPath)
    await messages.declareQueue('heavy')
    const batch = Array.from({ length: 100 }, () => ({ body: 'x' }))
    let done = 0
    const heavy = Array.from({ length: 1_000 }, async () => {
      await messages.send('heavy', batch)
      done += 1
    })
    await eventually(() => done).toBeGreaterThan(0)
    const before = done
    await light.send(QUEUE, [{ body: 'a' }])
    // What the heavy one may have under way, and what its owner began meanwhile.
    expect(done - before).toBeLessThan(400)
    await Promise.all(heavy)
    await light.close()
  })

  it('make a message of a receive that is given up visible before its caller hears of it', async () => {
    const { engine, messages } = await setup()
    for (let round = 0; round < 30; round++) {
      const controller = new AbortController()
      const received = messages.receive(QUEUE, { waitMs: 20_000, signal: controller.signal })
      const heard = received.then(
        (some) => some.length,
        () => 0,
      )
      if (round % 3 === 0) await messages.listQueues()
      const sent = messages.send(QUEUE, [{ body: `m${round}` }])
      if (round % 2 === 0) await sent
      controller.abort(new Error('enough'))
      await sent
      const taken = await heard
      expect(await engine.stats(QUEUE)).toMatchObject({ visible: 1 - taken, inFlight: taken })
      await engine.purge(QUEUE)
    }
  })

  it('know what they do not know when the owner hangs, and hand back what comes too late', async () => {
    const clock = new ManualClock()
    const held = Promise.withResolvers<void>()
    const { engine, messages, owner } = await setup({
      clock,
      own: (real) => ({
        send: async () => new Promise<never>(() => undefined),
        stats: async () => new Promise<never>(() => undefined),
        receive: async (...a) => {
          await held.promise
          return real.receive(...a)
        },
        describeQueue: async () => ({
          ...(await real.describeQueue(QUEUE)),
          delayMs: (await real.stats(QUEUE)).visible,
        }),
        redrive: async () => {
          await real.send(QUEUE, [{ body: 'a' }])
          return { moved: 1, skipped: 0 }
        },
      }),
    })
    await messages.redrive!(QUEUE, { limit: 1 })
    const calls = Promise.allSettled([
      messages.send(QUEUE, numbered(1)),
      messages.stats(QUEUE),
      messages.receive(QUEUE),
    ])
    await messages.listQueues()
    await clock.advance(10_000)
    expect(await calls).toMatchObject([
      { reason: { code: 'outcome_unknown' } },
      { reason: { code: 'unavailable' } },
      { reason: { code: 'outcome_unknown' } },
    ])
    held.resolve()
    await eventually(async () => {
      await clock.settle()
      return (await engine.describeQueue(QUEUE)).delayMs
    }).toBe(1)
    await owner.crash()
  })
})

describe('an attached process that goes', () => {
  it.each(['before its messages come', 'with its messages unread'])(
    '%s takes nothing along',
    async (when) => {
      const { socketPath, engine, owner } = await setup()
      const { socket, text } = await raw(socketPath)
      socket.write('{"i":1,"m":"receive","a":["q",{"max":10,"waitMs":20000}]}\n{"i":2,"m":"queues","a":[]}\n')
      await eventually(text).toContain('"i":2')
      if (when === 'with its messages unread') {
        await engine.send(QUEUE, numbered(3))
        await eventually(text).toContain('"k":1')
        expect(await engine.stats(QUEUE)).toMatchObject({ visible: 0, inFlight: 3 })
      }
      socket.destroy()
      await eventually(() => owner.host.connections).toBe(1)
      if (when !== 'with its messages unread') await engine.send(QUEUE, numbered(3))
      await eventually(async () => (await engine.stats(QUEUE)).visible).toBe(3)
      // A message that kills whoever reads it must not have all attempts for nothing.
      const counts = (await engine.receive(QUEUE, { max: 3 })).map(({ receiveCount }) => receiveCount)
      expect(counts).toEqual(when === 'with its messages unread' ? [2, 2, 2] : [1, 1, 1])
    },
  )

  it('keeps hidden what it confirmed', async () => {
    const { socketPath, engine, owner } = await setup()
    const { socket, text } = await raw(socketPath)
    await engine.send(QUEUE, numbered(4))
    socket.write('{"i":1,"m":"receive","a":["q",{"max":2}]}\n{"i":2,"m":"receive","a":["q",{"max":2}]}\n')
    await eventually(text).toContain('"i":2')
    socket.write('{"i":0,"m":"got","a":[1]}\n{"i":3,"m":"queues","a":[]}\n')
    await eventually(text).toContain('"i":3')
    socket.destroy()
    await eventually(() => owner.host.connections).toBe(1)
    await eventually(async () => (await engine.stats(QUEUE)).visible).toBe(2)
    expect(await engine.stats(QUEUE)).toMatchObject({ visible: 2, inFlight: 2 })
  })

  it('by its own close leaves what its callers have with them', async () => {
    const { socketPath, engine, owner } = await setup()
    const other = await attach(socketPath)
    await engine.send(QUEUE, numbered(6))
    const received = other.receive(QUEUE, { max: 6 })
    await Promise.all([received, other.close()])
    await eventually(() => owner.host.connections).toBe(1)
    expect(await received).toHaveLength(6)
    expect(await engine.stats(QUEUE)).toMatchObject({ visible: 0, inFlight: 6 })
  })

  it('by kill -9, with messages on their way to it, makes them visible at once', async () => {
    const { socketPath, engine } = await setup()
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, 'fixtures/deaf-receiver.ts'), socketPath, QUEUE],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    cleanups.push(() => void child.kill('SIGKILL'))
    let output = ''
    child.stdout.on('data', (chunk) => (output += String(chunk)))
    await eventually(() => output).toContain('waiting\n')
    await engine.send(QUEUE, numbered(10))
    await eventually(async () => (await engine.stats(QUEUE)).inFlight).toBe(10)
    child.kill('SIGKILL')
    await eventually(async () => (await engine.stats(QUEUE)).visible).toBe(10)
  })
})

describe('an owner that restarts under load', () => {
  it.each(['stop', 'crash'] as const)('by %s loses nothing and brings back nothing', async (way) => {
    const directory = freshDirectory()
    const socketPath = join(directory, 'owner.sock')
    const start = async () => {
      const sqlite = await openSqlite({ directory, clock: systemClock })
      const engine = sqliteMessageQueue(sqlite)
      await engine.declareQueue(QUEUE, { visibilityMs: way === 'stop' ? 600_000 : 2_000 })
      return { sqlite, engine, owner: await serve(engine, socketPath) }
    }
    let running = await start()
    const end = async (): Promise<void> => {
      await running.owner[way]()
      await running.engine.close()
      await running.sqlite.close()
    }
    const clients = await Promise.all([attach(socketPath), attach(socketPath)])
    const seen = { sent: new Set<string>(), unknown: 0, deleted: new Set<string>(), again: [] as string[] }
    const load = { next: 0, on: true }
    const tolerate = (error: unknown): void => {
      expect(error).toMatchObject({ code: 'outcome_unknown' })
      seen.unknown += 1
    }
    const producer = async (messages: MessageQueue): Promise<void> => {
      while (load.on) {
        const bodies = Array.from({ length: 5 }, () => `${load.next++}`)
        try {
          for (const result of await messages.send(
            QUEUE,
            bodies.map((body) => ({ body })),
          ))
            expect(result.status).toBe('sent')
          for (const body of bodies) seen.sent.add(body)
        } catch (error) {
          tolerate(error)
        }
      }
    }
    const consume = async (messages: MessageQueue): Promise<void> => {
      const received = await messages.receive(QUEUE, { max: 10, waitMs: 100 })
      if (received.length === 0) return
      for (const { body } of received) if (seen.deleted.has(body)) seen.again.push(body)
      const results = await messages.delete(
        QUEUE,
        received.map(({ receipt }) => receipt),
      )
      results.forEach(({ status }, i) => {
        if (status === 'deleted') seen.deleted.add(received[i]!.body)
      })
    }
    const consumer = async (messages: MessageQueue): Promise<void> => {
      while (load.on) await consume(messages).catch(tolerate)
    }
    const work = clients.flatMap((messages) => [
      ...Array.from({ length: 5 }, () => producer(messages)),
      ...Array.from({ length: 5 }, () => consumer(messages)),
    ])
    for (let restart = 0; restart < 3; restart++) {
      const before = seen.deleted.size
      await eventually(() => seen.deleted.size - before).toBeGreaterThan(200)
      await end()
      running = await start()
    }
    load.on = false
    await Promise.all(work)
    const missing = (): number => [...seen.sent].filter((body) => !seen.deleted.has(body)).length
    await eventually(async () => {
      await consume(clients[0])
      const { visible, inFlight } = await running.engine.stats(QUEUE)
      return visible + inFlight
    }).toBe(0)
    // After a crash, some were deleted without their caller's knowledge, in calls of unknown outcome.
    expect(missing()).toBeLessThanOrEqual(10 * seen.unknown)
    if (way === 'stop') expect(seen.unknown).toBe(0)
    expect(seen.again).toEqual([])
    for (const messages of clients) await messages.close()
    await end()
  })

  it('by kill -9 leaves calls under way unknown, and works again', async () => {
    const hold = Promise.withResolvers<void>()
    const { engine, owner, socketPath, messages } = await setup({
      own: (real) => ({
        send: async (...a) => {
          await hold.promise
          return real.send(...a)
        },
      }),
    })
    const calls = Promise.allSettled([
      messages.send(QUEUE, numbered(1)),
      messages.receive(QUEUE, { waitMs: 20_000 }),
      messages.receive(QUEUE, { waitMs: 20_000, signal: AbortSignal.timeout(600_000) }),
    ])
    await messages.listQueues()
    await owner.crash()
    const unknown = { status: 'rejected', reason: { code: 'outcome_unknown' } }
    expect(await calls).toMatchObject([unknown, unknown, unknown])
    hold.resolve()
    const later = messages.stats(QUEUE)
    const next = await serve(engine, socketPath)
    await later
    expect(await messages.send(QUEUE, numbered(1))).toMatchObject([{ status: 'sent' }])
    await messages.close()
    await next.stop()
  })

  it('on purpose lets receives that wait go on at the successor, for the rest of their time', async () => {
    const waits: unknown[] = []
    const { engine, owner, socketPath, messages } = await setup({
      own: (real) => ({
        receive: (queue, options) => {
          waits.push(options?.waitMs)
          return real.receive(queue, options)
        },
      }),
    })
    const received = messages.receive(QUEUE, { waitMs: 20_000 })
    await eventually(() => waits.length).toBe(1)
    await owner.stop()
    const next = await serve(engine, socketPath)
    await eventually(() => waits.length).toBe(2)
    expect(waits[1]).toBeLessThan(20_000)
    await engine.send(QUEUE, [{ body: 'a' }])
    expect(await received).toMatchObject([{ body: 'a' }])
    await messages.close()
    await next.stop()
  })

  it('on purpose keeps the order of sends that were made without waiting', async () => {
    const { engine, owner, socketPath, messages } = await setup()
    await messages.declareQueue('o.fifo')
    const sends = Array.from({ length: 600 }, (_, i) =>
      messages.send('o.fifo', [{ body: `${i}`, groupId: 'g', deduplicationId: `${i}` }]),
    )
    await sends[0]
    await owner.stop()
    const next = await serve(engine, socketPath)
    await Promise.all(sends)
    const bodies: number[] = []
    for (let i = 0; i < 6; i++) {
      const page = await messages.receive('o.fifo', { max: 100 })
      bodies.push(...page.map(({ body }) => Number(body)))
      await messages.delete(
        'o.fifo',
        page.map(({ receipt }) => receipt),
      )
    }
    expect(bodies).toEqual(Array.from({ length: 600 }, (_, i) => i))
    await messages.close()
    await next.stop()
  })
})

/** A raw connection, after the upgrade. */
async function raw(
  socketPath: string,
  protocol = 'signalbox-messages/1',
): Promise<{ socket: Socket; text: () => string; closed: Promise<unknown> }> {
  const socket = connectSocket(socketPath)
  const received: string[] = []
  socket.on('data', (chunk) => received.push(String(chunk)))
  socket.on('error', () => undefined)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write(`GET / HTTP/1.1\r\nHost: owner\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`)
  await eventually(() => received.join('')).toContain('\r\n\r\n')
  return { socket, text: () => received.join(''), closed }
}

describe('the host of message queues', () => {
  it.each([
    ['no JSON', 'hello\n'],
    ['no request', '{"i":"x"}\n'],
    ['an unknown method', '{"i":1,"m":"drop","a":[]}\n'],
    ['a method of objects', '{"i":1,"m":"constructor","a":[]}\n'],
    ['bytes', Buffer.from([0, 255, 254, 10])],
    [
      'two receives of one id',
      '{"i":1,"m":"receive","a":["q",{"waitMs":20000}]}\n{"i":1,"m":"receive","a":["q",{"waitMs":20000}]}\n',
    ],
    ['an endless frame', 'x'.repeat(10 * 1024 * 1024)],
  ])('ends a connection that sends %s, and serves the others', async (_, garbage) => {
    const { socketPath, owner, messages } = await setup()
    const { socket, closed } = await raw(socketPath)
    socket.write(garbage)
    await closed
    await eventually(() => owner.host.connections).toBe(1)
    expect(await messages.send(QUEUE, numbered(1))).toMatchObject([{ status: 'sent' }])
  })

  it.each([
    ['declare', [7, null]],
    ['describe', []],
    ['send', ['q']],
    ['send', ['q', [null]]],
    ['send', ['q', [{ body: 'a', attributes: null }]]],
    ['send', ['q', [{ body: 'a', attributes: { a: { type: 'String', value: { b: 'AA==' } } } }]]],
    ['receive', []],
    ['receive', ['q', 'now']],
    ['receive', ['q', { waitMs: 'long' }]],
    ['delete', ['q', {}]],
    ['change', ['q', [7]]],
    ['stats', [null]],
    ['peek', ['q', { limit: 'all' }]],
    ['redrive', ['q', null]],
    ['purge', [{}]],
  ])('answers %s of %j', async (m, a) => {
    const { socketPath, owner } = await setup()
    const { socket, text } = await raw(socketPath)
    socket.write(`${JSON.stringify({ i: 5, m, a })}\n`)
    await eventually(text).toContain('{"i":5,')
    if (m !== 'receive' || a[0] !== 'q') expect(text()).toMatch(/"code":"(?:invalid_argument|not_found)"/)
    expect(owner.host.connections).toBe(2)
    socket.destroy()
  })

  it('takes frames in any pieces', async () => {
    const { socketPath, engine } = await setup()
    const { socket, text } = await raw(socketPath)
    for (const byte of Buffer.from(`${JSON.stringify({ i: 9, m: 'send', a: ['q', [{ body: 'é🚂' }]] })}\n`)) {
      socket.write(Buffer.of(byte))
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    await eventually(text).toContain('{"i":9,')
    expect(await engine.receive(QUEUE)).toMatchObject([{ body: 'é🚂' }])
    socket.destroy()
  })

  it('stops reading while a peer does not read, and serves the others', async () => {
    let receives = 0
    const { socketPath, messages } = await setup({
      own: (real) => ({
        receive: (...a) => {
          receives += 1
          return real.receive(...a)
        },
      }),
    })
    await messages.send(
      QUEUE,
      Array.from({ length: 10 }, () => ({ body: 'x'.repeat(100_000) })),
    )
    const { socket } = await raw(socketPath)
    socket.pause()
    for (let i = 1; i <= 5_000; i++)
      socket.write(`${JSON.stringify({ i, m: 'receive', a: ['q', { max: 10, visibilityMs: 0 }] })}\n`)
    for (let i = 0; i < 100; i++) await messages.listQueues()
    expect(receives).toBeLessThan(500)
    expect(await messages.send(QUEUE, numbered(1))).toMatchObject([{ status: 'sent' }])
    socket.destroy()
  })

  it('gives back what comes for a peer that has read nothing for long', async () => {
    const { socketPath, engine, messages } = await setup()
    const { socket, text } = await raw(socketPath)
    for (let i = 1; i <= 120; i++) socket.write(`{"i":${i},"m":"receive","a":["q",{"waitMs":20000}]}\n`)
    socket.write('{"i":200,"m":"queues","a":[]}\n')
    await eventually(text).toContain('"i":200')
    socket.pause()
    for (let i = 0; i < 110; i++) await messages.send(QUEUE, [{ body: 'x'.repeat(1_000_000) }])
    await eventually(async () => (await engine.stats(QUEUE)).visible).toBeGreaterThan(30)
    expect((await engine.stats(QUEUE)).inFlight).toBeGreaterThan(50)
    socket.destroy()
    await eventually(async () => (await engine.stats(QUEUE)).visible).toBe(110)
  })
})
