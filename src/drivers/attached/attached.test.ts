import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect as connectSocket, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock, type Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { decimalKey, type Change, type Store } from '../../ports/store.ts'
import { storeConformance } from '../conformance/store-suite.ts'
import { memoryDatabase, memoryStore, type MemoryStore } from '../memory/index.ts'
import { openSqliteStore } from '../sqlite/index.ts'
import { attachStoreHost, openAttachedStore } from './index.ts'
import { PROTOCOL } from './protocol.ts'
import { serveOn, type Owner } from './testing/owner.ts'

const serve = (store: Store, socketPath: string): Promise<Owner> =>
  serveOn(socketPath, (server) => attachStoreHost(server, store))

/** Polls, for what another connection brings about. */
const eventually = <T>(read: () => T) => expect.poll(read, { timeout: 10_000, interval: 5 })

const cleanups: (() => Promise<unknown> | void)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const attach = (socketPath: string, clock: Clock = systemClock, deadlineMs?: number): Promise<Store> =>
  openAttachedStore({
    socketPath,
    clock,
    random: seededRandom(1),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  })

for (const engine of ['memory', 'sqlite'] as const) {
  storeConformance(`attached to ${engine}`, async () => {
    const clock = new ManualClock()
    const directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
    const socketPath = join(directory, 'owner.sock')
    const database = memoryDatabase()
    const openEngine = async (): Promise<Store> =>
      engine === 'memory' ? database.connect({ clock }) : openSqliteStore({ directory, clock })
    let owned = await openEngine()
    let owner = await serve(owned, socketPath)
    const stores = [await attach(socketPath, clock)]
    const stop = async (): Promise<void> => {
      await owner.stop()
      await owned.close()
    }
    return {
      store: stores[0] as Store,
      advance: (ms) => clock.advance(ms),
      reopen: async () => {
        await stop()
        owned = await openEngine()
        owner = await serve(owned, socketPath)
        stores.push(await attach(socketPath, clock))
        return stores.at(-1) as Store
      },
      close: async () => {
        for (const store of stores) await store.close()
        await stop()
        rmSync(directory, { recursive: true })
      },
    }
  })
}

interface Setup {
  readonly socketPath: string
  readonly engine: MemoryStore
  readonly owner: Owner
  readonly store: Store
}

/** An owner over a memory store, and a store attached to it. */
async function setup(options: { clock?: Clock } = {}): Promise<Setup> {
  const socketPath = join(freshDirectory(), 'owner.sock')
  const engine = memoryStore({ clock: options.clock ?? systemClock })
  const owner = await serve(engine, socketPath)
  const store = await attach(socketPath, options.clock)
  cleanups.push(
    () => engine.close(),
    () => (owner.server.listening ? owner.stop() : undefined),
    () => store.close(),
  )
  return { socketPath, engine, owner, store }
}

const put = (n: number, expected: Change['expect'] = 'absent'): Change => ({
  key: ['p', decimalKey(n)],
  expect: expected,
  op: 'put',
  value: n,
})

describe('an attached store', () => {
  it('takes the limits of its owner', async () => {
    const socketPath = join(freshDirectory(), 'owner.sock')
    const limits = { changes: 7, commitBytes: 1_000, valueBytes: 100, keys: 'decimal' } as const
    const owner = await serve(memoryStore({ clock: systemClock, limits }), socketPath)
    const store = await attach(socketPath)
    expect(store.limits).toEqual(limits)
    await store.close()
    await owner.stop()
  })

  it('has no watch when its owner has none', async () => {
    const socketPath = join(freshDirectory(), 'owner.sock')
    const owner = await serve(
      Object.assign(memoryStore({ clock: systemClock }), { watch: undefined }),
      socketPath,
    )
    const store = await attach(socketPath)
    expect(store.watch === undefined).toBe(true)
    await store.close()
    await owner.stop()
  })

  it('passes on errors with their code, message and details', async () => {
    const { engine, store } = await setup()
    engine.faults.next('commit', 'throttled', 'lostAfter')
    await expect(store.commit([put(1)])).rejects.toMatchObject({ code: 'throttled', message: /injected/ })
    await expect(store.commit([put(1)])).rejects.toBeInstanceOf(SignalboxError)
    expect((await store.get(['p', decimalKey(1)]))?.value).toBe(1)
  })

  it('answers 1,000 concurrent calls, each with its own answer', async () => {
    const { store } = await setup()
    const commits = await Promise.all(Array.from({ length: 1_000 }, (_, i) => store.commit([put(i)])))
    expect(commits.every(({ ok }) => ok)).toBe(true)
    const reads = await Promise.all(Array.from({ length: 3_000 }, (_, i) => store.get(['p', decimalKey(i)])))
    expect(reads.map((record) => record?.value)).toEqual(
      Array.from({ length: 3_000 }, (_, i) => (i < 1_000 ? i : undefined)),
    )
  })

  it('learns engine time from answers, give or take half the round trip and a millisecond', async () => {
    const clock = new ManualClock()
    const { engine, store } = await setup({ clock })
    engine.faults.clockOffsetMs = 60_000
    engine.faults.clockUncertaintyMs = 5
    await store.get(['p', 'k'])
    expect(store.now()).toEqual({ ms: clock.now() + 60_000, uncertaintyMs: 6 })
    engine.faults.clockOffsetMs = -60_000
    engine.faults.plan = { delayAfterMs: [100, 100] }
    const slow = store.get(['p', 'k'])
    await clock.advance(100)
    await slow
    const { ms, uncertaintyMs } = store.now()
    expect(uncertaintyMs).toBe(56)
    expect(Math.abs(ms - (clock.now() - 60_000))).toBeLessThanOrEqual(uncertaintyMs)
  })

  it('asks for the time again when it has grown old', async () => {
    const clock = new ManualClock()
    const { engine, store } = await setup({ clock })
    engine.faults.clockOffsetMs = 1_234
    await clock.advance(10_000)
    expect(store.now().ms).toBe(clock.now())
    await eventually(() => store.now().ms).toBe(clock.now() + 1_234)
  })

  it('says where it looked when nobody answers', async () => {
    const socketPath = join(freshDirectory(), 'owner.sock')
    const clock = new ManualClock()
    const refused = expect(attach(socketPath, clock)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining(socketPath) as string,
    })
    await clock.advance(10_000)
    await refused
    expect(clock.pendingTimers).toBe(0)
  })

  it('does not take another server for an owner', async () => {
    const socketPath = join(freshDirectory(), 'owner.sock')
    const clock = new ManualClock()
    const seen = { attempts: 0 }
    const server = createServer((_, response) => {
      seen.attempts += 1
      response.end('hello')
    })
    await new Promise<void>((resolve) => server.listen(socketPath, resolve))
    const refused = expect(attach(socketPath, clock, 60_000)).rejects.toThrow('does not speak')
    while (seen.attempts < 2) await clock.advance(1)
    await clock.advance(60_000)
    await refused
    await new Promise((resolve) => server.close(resolve))
  })

  it('can stop a deleteRange', async () => {
    const { engine, store } = await setup()
    await store.commit([put(1)])
    const held = engine.faults.hold('deleteRange', 'before')
    const stop = new AbortController()
    const deleted = store.deleteRange({ partition: 'p' }, { signal: stop.signal })
    await held.reached
    const reason = new Error('enough')
    stop.abort(reason)
    await expect(deleted).rejects.toBe(reason)
    held.release()
    expect(await store.list({ partition: 'q' }, { limit: 1 })).toEqual({ records: [] })
  })
})

describe('when the connection breaks', () => {
  it('reads under way are asked again', async () => {
    const { engine, owner, socketPath, store } = await setup()
    await store.commit([put(1)])
    const held = engine.faults.hold('get', 'before')
    const read = store.get(['p', decimalKey(1)])
    await held.reached
    await owner.crash()
    const next = await serve(engine, socketPath)
    expect((await read)?.value).toBe(1)
    held.release()
    await store.close()
    await next.stop()
  })

  it('a commit under way has an unknown outcome, whether it was applied or not', async () => {
    for (const place of ['before', 'after'] as const) {
      const { engine, owner, store } = await setup()
      const held = engine.faults.hold('commit', place)
      const committed = expect(store.commit([put(1)])).rejects.toMatchObject({ code: 'outcome_unknown' })
      await held.reached
      await owner.crash()
      await committed
      held.release()
      await store.close()
    }
  })

  it('a commit that was not sent yet is sent once there is an owner again, once', async () => {
    const { engine, owner, socketPath, store } = await setup()
    await owner.crash()
    await eventually(() => owner.host.connections).toBe(0)
    await new Promise<void>((resolve) => setImmediate(resolve))
    const committed = store.commit([put(1)])
    const next = await serve(engine, socketPath)
    expect((await committed).ok).toBe(true)
    expect(engine.operations.commit).toBe(1)
    await store.close()
    await next.stop()
  })

  it('and nobody comes back, calls end as unavailable at their deadline', async () => {
    const clock = new ManualClock()
    const { owner, store } = await setup({ clock })
    await owner.stop()
    const refused = { reason: { code: 'unavailable' } }
    const calls = Promise.allSettled([
      store.get(['p', 'k']),
      store.commit([put(1)]),
      store.deleteRange({ partition: 'p' }),
    ])
    await clock.advance(10_000)
    expect(await calls).toMatchObject([refused, refused, refused])
  })

  it('and an owner that hangs leaves reads unavailable and commits unknown', async () => {
    const clock = new ManualClock()
    const { engine, store } = await setup({ clock })
    engine.faults.cut()
    const calls = Promise.allSettled([store.get(['p', 'k']), store.commit([put(1)])])
    await eventually(() => engine.operations.commit).toBe(1)
    await clock.advance(10_000)
    expect(await calls).toMatchObject([
      { reason: { code: 'unavailable' } },
      { reason: { code: 'outcome_unknown' } },
    ])
    engine.faults.heal()
    await eventually(async () => (await store.get(['p', decimalKey(1)]))?.value).toBe(1)
  })

  it('watches go on over the next one, with a hint for what was missed', async () => {
    const { engine, owner, socketPath, store } = await setup()
    const stop = new AbortController()
    const iterator = store.watch!({ partition: 'p' }, stop.signal)[Symbol.asyncIterator]()
    await iterator.next()
    await owner.crash()
    await engine.commit([put(1)])
    const next = await serve(engine, socketPath)
    while ((await store.get(['p', decimalKey(1)])) === undefined) await iterator.next()
    await eventually(() => next.host.connections).toBe(1)
    const hinted = (async () => {
      while ((await store.get(['p', decimalKey(2)])) === undefined) await iterator.next()
    })()
    await engine.commit([put(2)])
    await hinted
    stop.abort()
    expect((await iterator.next()).done).toBe(true)
    await store.close()
    await next.stop()
  })

  it('on purpose, a deleteRange under way goes on at the successor', async () => {
    const { engine, owner, socketPath, store } = await setup()
    await engine.commit([put(1)])
    const held = engine.faults.hold('deleteRange', 'before')
    // Like an engine that deletes in batches and looks at its signal between them.
    const { deleteRange } = Object.getPrototypeOf(engine) as Pick<MemoryStore, 'deleteRange'>
    engine.deleteRange = async (range, options) => {
      await deleteRange.call(engine, { partition: 'elsewhere' })
      options?.signal?.throwIfAborted()
      await deleteRange.call(engine, range)
    }
    const deleted = store.deleteRange({ partition: 'p' })
    await held.reached
    const stopping = owner.stop()
    held.release()
    await stopping
    expect(await engine.get(['p', decimalKey(1)])).toBeDefined()
    const next = await serve(engine, socketPath)
    await deleted
    expect(await engine.get(['p', decimalKey(1)])).toBeUndefined()
    await store.close()
    await next.stop()
  })

  it('on purpose, commits under way are answered first and later ones go to the successor', async () => {
    const { engine, owner, socketPath, store } = await setup()
    const held = engine.faults.hold('commit', 'before')
    const first = store.commit([put(1)])
    await held.reached
    const stopping = owner.stop()
    const second = store.commit([put(2)])
    await new Promise<void>((resolve) => setImmediate(resolve))
    held.release()
    expect((await first).ok).toBe(true)
    await stopping
    const next = await serve(engine, socketPath)
    expect((await second).ok).toBe(true)
    await store.close()
    await next.stop()
  })
})

describe('an owner that restarts under load', () => {
  it.each(['stop', 'crash'] as const)('by %s loses nothing that it acknowledged', async (way) => {
    const directory = freshDirectory()
    const socketPath = join(directory, 'owner.sock')
    const openEngine = (): Promise<Store> => openSqliteStore({ directory, clock: systemClock })
    let engine = await openEngine()
    let owner = await serve(engine, socketPath)
    const clients = await Promise.all([attach(socketPath), attach(socketPath), attach(socketPath)])
    const acknowledged: number[] = []
    const unknown: number[] = []
    const load = { next: 0, on: true }
    const worker = async (store: Store): Promise<void> => {
      while (load.on) {
        const n = load.next++
        try {
          if ((await store.commit([put(n)])).ok) acknowledged.push(n)
        } catch (error) {
          expect(error).toMatchObject({ code: 'outcome_unknown' })
          unknown.push(n)
        }
      }
    }
    const workers = clients.flatMap((store) => Array.from({ length: 10 }, () => worker(store)))
    for (let restart = 0; restart < 4; restart++) {
      const before = acknowledged.length
      await eventually(() => acknowledged.length - before).toBeGreaterThan(200)
      await owner[way]()
      await engine.close()
      engine = await openEngine()
      owner = await serve(engine, socketPath)
    }
    load.on = false
    await Promise.all(workers)

    const present = new Set<number>()
    for (let n = 0; n < load.next; n++)
      if ((await engine.get(['p', decimalKey(n)])) !== undefined) present.add(n)
    expect(acknowledged.filter((n) => !present.has(n))).toEqual([])
    const known = new Set([...acknowledged, ...unknown])
    expect([...present].filter((n) => !known.has(n))).toEqual([])
    if (way === 'stop') expect(unknown).toEqual([])
    for (const store of clients) await store.close()
    await owner.stop()
    await engine.close()
  })
})

describe('the host', () => {
  /** A raw connection, after the upgrade. */
  async function raw(
    socketPath: string,
    protocol = PROTOCOL,
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

  it('greets, answers, and works on any path of a server that serves other things too', async () => {
    const { socketPath, owner } = await setup()
    owner.server.on('request', (_, response) => response.end('other things'))
    const { socket, text } = await raw(socketPath, PROTOCOL.toUpperCase())
    socket.write('{"i":1,"m":"get","a":[["p","k"]]}\n')
    await eventually(text).toContain('{"i":1,')
    expect(text()).toContain('101 Switching Protocols')
    expect(text()).toContain('"hello"')
    socket.destroy()
  })

  it('refuses other upgrades', async () => {
    const { socketPath } = await setup()
    const { text, closed } = await raw(socketPath, 'websocket')
    await closed
    expect(text()).toContain('426')
  })

  it.each([
    ['no JSON', 'hello\n'],
    ['no request', '{"i":"x"}\n'],
    ['an unknown method', '{"i":1,"m":"drop","a":[]}\n'],
    ['a method of objects', '{"i":1,"m":"constructor","a":[]}\n'],
    ['bytes', Buffer.from([0, 255, 254, 10])],
    [
      'two watches of one id',
      '{"i":1,"m":"watch","a":[{"partition":"p"}]}\n{"i":1,"m":"watch","a":[{"partition":"p"}]}\n',
    ],
    ['an endless frame', 'x'.repeat(10 * 1024 * 1024)],
  ])('ends a connection that sends %s, and serves the others', async (_, garbage) => {
    const { socketPath, owner, store } = await setup()
    const { socket, closed } = await raw(socketPath)
    socket.write(garbage)
    await closed
    await eventually(() => owner.host.connections).toBe(1)
    expect((await store.commit([put(1)])).ok).toBe(true)
  })

  it.each([
    ['get', []],
    ['get', ['pk']],
    ['list', [null, null]],
    ['list', [{ partition: 'p' }]],
    ['commit', [{}]],
    ['commit', [[null]]],
    ['commit', [[{ key: ['p', 'k'], expect: 'absent', op: 'put' }]]],
    ['deleteRange', [7]],
    ['watch', []],
  ])('refuses %s of %j with an error', async (m, a) => {
    const { socketPath, owner } = await setup()
    const { socket, text } = await raw(socketPath)
    socket.write(`${JSON.stringify({ i: 5, m, a })}\n`)
    await eventually(text).toContain('"code":"invalid_argument"')
    expect(owner.host.connections).toBe(2)
    socket.destroy()
  })

  it('drops half a frame when its peer goes, and stops its watches', async () => {
    const { socketPath, engine, owner, store } = await setup()
    const { socket, text } = await raw(socketPath)
    socket.write('{"i":1,"m":"watch","a":[{"partition":"p"}]}\n')
    await eventually(text).toContain('{"i":1,"h":1}')
    socket.write('{"i":2,"m":"commit","a":[[{"key":["p","000000000000001"],"expect":"abs')
    await store.get(['p', 'k'])
    socket.destroy()
    await eventually(() => owner.host.connections).toBe(1)
    expect((await engine.commit([put(1)])).ok).toBe(true)
  })

  it('takes frames in any pieces, also cut within a character', async () => {
    const { socketPath, engine } = await setup()
    const { socket, text } = await raw(socketPath)
    const change = { key: ['p', 'k'], expect: 'absent', op: 'put', value: 'é🚂' }
    for (const byte of Buffer.from(`${JSON.stringify({ i: 9, m: 'commit', a: [[change]] })}\n`)) {
      socket.write(Buffer.of(byte))
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    await eventually(text).toContain('{"i":9,')
    expect((await engine.get(['p', 'k']))?.value).toBe('é🚂')
    socket.destroy()
  })

  it('stops reading while a peer does not read its answers', async () => {
    const { socketPath, engine, store } = await setup()
    await store.commit(
      Array.from({ length: 10 }, (_, n): Change => ({ ...put(n), op: 'put', value: 'x'.repeat(250_000) })),
    )
    const { socket } = await raw(socketPath)
    socket.pause()
    const before = engine.operations.list
    for (let i = 0; i < 5_000; i++)
      socket.write(`${JSON.stringify({ i, m: 'list', a: [{ partition: 'p' }, { limit: 10 }] })}\n`)
    for (let i = 0; i < 50; i++) await store.get(['p', 'k'])
    expect(engine.operations.list - before).toBeLessThan(50)
    expect((await store.commit([put(100)])).ok).toBe(true)
    socket.destroy()
  })
})
