/** What the embedded message engine does beside the port's contract: its transactions, its space, its timers. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import type { MessageQueue, PeekPage, QueueOptions } from '../../../ports/message-queue.ts'
import { DATA_FILE, openSqlite, sqliteMessageQueue, sqliteStore, type SqliteEngine } from '../index.ts'
import { APPLICATION_ID, migrations } from '../schema.ts'

const MINUTE = 60_000
const directories: string[] = []
const engines: SqliteEngine[] = []

afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close()
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
  directories.push(directory)
  return directory
}

async function open(
  options: QueueOptions = {},
): Promise<{ clock: ManualClock; engine: SqliteEngine; messages: MessageQueue }> {
  const clock = new ManualClock()
  const engine = await openSqlite({ directory: freshDirectory(), clock })
  engines.push(engine)
  const messages = sqliteMessageQueue(engine)
  await messages.declareQueue('q', options)
  return { clock, engine, messages }
}

function count(engine: SqliteEngine, table: string): number {
  const [rows] = engine.database.prepare(`SELECT count(*) FROM ${table}`).get() as unknown as [number]
  return rows
}

const large = 'x'.repeat(50_000)

describe('group commit', () => {
  it('makes the sends, receives and deletes of one turn durable in one transaction, with the store’s commits', async () => {
    const { engine, messages } = await open()
    const store = sqliteStore(engine)
    await messages.send('q', [{ body: 'a' }])
    const [held] = await messages.receive('q')
    const before = engine.facts().transactions
    const [, received, deleted, committed] = await Promise.all([
      messages.send('q', [{ body: 'b' }]),
      messages.receive('q'),
      messages.delete('q', [held?.receipt ?? '']),
      store.commit([{ key: ['p', 'k'], expect: 'absent', op: 'put', value: 1 }]),
      ...Array.from({ length: 50 }, () => messages.send('q', [{ body: 'c' }])),
    ])
    expect(received).toMatchObject([{ body: 'b' }])
    expect([deleted, committed.ok]).toEqual([[{ status: 'deleted' }], true])
    expect(engine.facts().transactions - before).toBe(1)
  })

  it('delivers a message to who waits in the transaction of its send', async () => {
    const { clock, engine, messages } = await open()
    const waiting = messages.receive('q', { waitMs: 20_000 })
    await clock.settle()
    const before = engine.facts().transactions
    await messages.send('q', [{ body: 'a' }])
    expect(await waiting).toMatchObject([{ body: 'a' }])
    expect(engine.facts().transactions - before).toBe(1)
  })

  it('wakes no more of those who wait than there are messages for', async () => {
    const { clock, engine, messages } = await open()
    const controller = new AbortController()
    const receives = Array.from({ length: 100 }, () =>
      messages.receive('q', { waitMs: 20_000, max: 10, signal: controller.signal }),
    )
    await clock.settle()
    const before = engine.facts().commits
    await messages.send('q', [{ body: 'a' }, { body: 'b' }])
    expect(await receives[0]).toHaveLength(2)
    await clock.settle()
    expect(engine.facts().commits - before).toBe(2)
    controller.abort(new Error('enough'))
    for (const result of await Promise.allSettled(receives.slice(1))) expect(result.status).toBe('rejected')
  })
})

describe('a full disk', () => {
  it('refuses sends whole, keeps what there is, lets it be consumed, and goes on when there is room', async () => {
    const { engine, messages } = await open()
    await messages.send('q', [{ body: 'before' }])
    const limit = (pages: number): unknown =>
      engine.database.prepare(`PRAGMA max_page_count = ${pages}`).get()
    const [pages] = engine.database.prepare('PRAGMA page_count').get() as unknown as [number]
    limit(pages + 5)
    const batch = [{ body: 'small' }, { body: large }, { body: 'small' }]
    for (const result of await Promise.allSettled([messages.send('q', batch), messages.send('q', batch)])) {
      expect(result).toMatchObject({ reason: { code: 'unavailable' } })
    }
    expect(await messages.stats('q')).toMatchObject({ visible: 1, inFlight: 0 })
    const [message] = await messages.receive('q')
    expect(await messages.delete('q', [message?.receipt ?? ''])).toEqual([{ status: 'deleted' }])
    limit(1_000_000)
    expect((await messages.send('q', batch)).map(({ status }) => status)).toEqual(['sent', 'sent', 'sent'])
    expect(await messages.stats('q')).toMatchObject({ visible: 3 })
    expect(count(engine, 'message_bodies')).toBe(1)
  })

  it('fails a receive that waits, and nobody sleeps on over a message', async () => {
    const { clock, engine, messages } = await open()
    const receives = [1, 2].map(() => messages.receive('q', { waitMs: 20_000 }))
    const outcome = Promise.allSettled(receives)
    await clock.settle()
    engine.database.begin = () => {
      throw new Error('the disk is gone')
    }
    await expect(messages.send('q', [{ body: 'a' }])).rejects.toThrow('gone')
    await clock.settle()
    Reflect.deleteProperty(engine.database, 'begin')
    await messages.send('q', [{ body: 'b' }])
    await clock.advance(20_000)
    const settled = await outcome
    const got = settled.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
    const left = await messages.receive('q')
    expect([...got, ...left]).toMatchObject([{ body: 'b' }])
  })
})

describe('a receive that waits', () => {
  it('hears of a send of the same turn', async () => {
    const { messages } = await open()
    for (let i = 0; i < 20; i++) {
      const waiting = messages.receive('q', { waitMs: 20_000 })
      // The later in the turn it is sent, the closer it comes to the moment at which the receive starts to wait.
      for (let ticks = 0; ticks < i; ticks++) await Promise.resolve()
      await messages.send('q', [{ body: String(i) }])
      expect(await waiting).toMatchObject([{ body: String(i) }])
    }
  })

  it('is no attempt when it is given up while it takes a message', async () => {
    const { clock, messages } = await open()
    await messages.send('q', [{ body: 'a' }])
    const controller = new AbortController()
    const now = clock.now.bind(clock)
    clock.now = () => {
      controller.abort(new Error('enough'))
      return now()
    }
    await expect(messages.receive('q', { signal: controller.signal })).rejects.toThrow('enough')
    expect(await messages.receive('q')).toMatchObject([{ body: 'a', receiveCount: 1 }])
  })

  it('hands its wake-up on when the disk fails under it', async () => {
    const { clock, engine, messages } = await open()
    await messages.send('q', [{ body: 'a' }])
    const [held] = await messages.receive('q')
    const receives = [1, 2].map(() => messages.receive('q', { waitMs: 20_000 }))
    const outcome = Promise.allSettled(receives)
    await clock.settle()
    const begin = engine.database.begin.bind(engine.database)
    let begun = 0
    engine.database.begin = () => {
      if (++begun === 2) throw new Error('the disk is gone')
      begin()
    }
    await messages.changeVisibility('q', [{ receipt: held?.receipt ?? '', visibilityMs: 0 }])
    expect(await outcome).toMatchObject([{ status: 'rejected' }, { value: [{ body: 'a' }] }])
  })

  it('is woken with all others when many messages become visible at one time', async () => {
    const { clock, messages } = await open()
    await messages.send(
      'q',
      Array.from({ length: 50 }, (_, i) => ({ body: String(i), delayMs: 1_000 })),
    )
    const receives = Array.from({ length: 50 }, () => messages.receive('q', { waitMs: 20_000 }))
    await clock.advance(1_000)
    for (let i = 0; i < 50; i++) await clock.settle()
    let answered = 0
    for (const receive of receives) void receive.then(() => (answered += 1))
    await clock.settle()
    expect(answered).toBe(50)
  })
})

describe('a receive', () => {
  it('gets past any number of messages that were received too often', async () => {
    const { clock, messages } = await open()
    await messages.declareQueue('source', { deadLetter: { queue: 'q', maxReceives: 1 } })
    const some = Array.from({ length: 100 }, () => ({ body: 'poison' }))
    for (let i = 0; i < 3; i++) {
      await messages.send('source', some)
      const received = await messages.receive('source', { max: 100 })
      await messages.changeVisibility(
        'source',
        received.map(({ receipt }) => ({ receipt, visibilityMs: 30_000, nack: true })),
      )
    }
    await clock.advance(30_000)
    await messages.send('source', [{ body: 'good' }])
    expect(await messages.receive('source')).toMatchObject([{ body: 'good' }])
    expect(await messages.stats('q')).toMatchObject({ visible: 300 })
  })

  it('returns a megabyte at once at most', async () => {
    const { messages } = await open()
    const body = 'x'.repeat(400_000)
    for (let i = 0; i < 3; i++) await messages.send('q', [{ body }])
    expect(await messages.receive('q', { max: 3 })).toHaveLength(2)
    expect(await messages.receive('q', { max: 3 })).toHaveLength(1)
  })
})

describe('space', () => {
  it('of a large body is given back with its message, however that goes', async () => {
    const { clock, engine, messages } = await open({ retentionMs: MINUTE })
    await messages.declareQueue('source', { deadLetter: { queue: 'q', maxReceives: 1 }, retentionMs: MINUTE })
    const some = [{ body: large }, { body: large, attributes: { a: { type: 'String', value: 'v' } } }]
    await messages.send('source', some)
    expect(count(engine, 'message_bodies')).toBe(2)
    for (const { receipt } of await messages.receive('source', { max: 2 })) {
      await messages.changeVisibility('source', [{ receipt, visibilityMs: 0 }])
    }
    await messages.receive('source')
    const dead = await messages.receive('q', { max: 2 })
    expect(dead.map(({ body }) => body === large)).toEqual([true, true])
    await messages.delete('q', [dead[0]?.receipt ?? ''])
    expect(count(engine, 'message_bodies')).toBe(1)
    await messages.changeVisibility('q', [{ receipt: dead[1]?.receipt ?? '', visibilityMs: 0 }])
    expect(await messages.redrive?.('q', { limit: 10 })).toMatchObject({ moved: 1 })
    const [back] = await messages.receive('source')
    expect([back?.body === large, back?.attributes]).toEqual([true, { a: { type: 'String', value: 'v' } }])
    await messages.delete('source', [back?.receipt ?? ''])
    expect(count(engine, 'message_bodies')).toBe(0)
    await messages.send('q', some)
    await messages.purge('q')
    expect(count(engine, 'message_bodies')).toBe(0)
    await messages.send('q', some)
    await clock.advance(2 * MINUTE)
    expect([count(engine, 'messages'), count(engine, 'message_bodies')]).toEqual([0, 0])
  })

  it('of what is too old is given back in the background, in batches', async () => {
    const { clock, engine, messages } = await open({ retentionMs: MINUTE })
    await messages.declareQueue('f.fifo', { contentDeduplication: true })
    for (let i = 0; i < 13; i++) {
      await messages.send(
        'q',
        Array.from({ length: 100 }, () => ({ body: 'x' })),
      )
    }
    await messages.send('f.fifo', [{ body: 'x', groupId: 'g' }])
    await clock.advance(2 * MINUTE)
    expect(count(engine, 'messages')).toBe(1)
    expect(count(engine, 'message_deduplication')).toBe(1)
    await clock.advance(4 * MINUTE)
    expect(count(engine, 'message_deduplication')).toBe(0)
  })

  it('of what is too old and not yet given back hides nothing that comes after it', async () => {
    const { clock, messages } = await open({ retentionMs: MINUTE })
    await messages.send(
      'q',
      Array.from({ length: 30 }, () => ({ body: 'old' })),
    )
    clock.jump(MINUTE)
    await messages.send('q', [{ body: 'young' }])
    const seen: string[] = []
    for (let after: string | undefined = '0'; after !== undefined;) {
      const page: PeekPage | undefined = await messages.peek?.('q', { limit: 10, after })
      seen.push(...(page?.messages ?? []).map(({ body }) => body))
      after = page?.next
    }
    expect(seen).toEqual(['young'])
  })

  it('of a group is given back with its last message', async () => {
    const { engine, messages } = await open()
    await messages.declareQueue('f.fifo', { contentDeduplication: true })
    await messages.send('f.fifo', [
      { body: 'a', groupId: 'g' },
      { body: 'b', groupId: 'g' },
    ])
    expect(count(engine, 'message_groups')).toBe(1)
    const received = await messages.receive('f.fifo', { max: 10 })
    await messages.delete(
      'f.fifo',
      received.map(({ receipt }) => receipt),
    )
    expect(count(engine, 'message_groups')).toBe(0)
  })
})

describe('time', () => {
  it('has one timer when idle and none when closed', async () => {
    const { clock, messages } = await open()
    const idle = clock.pendingTimers
    expect(idle).toBe(1)
    const receives = Array.from({ length: 10 }, () => messages.receive('q', { waitMs: 5_000 }))
    await messages.send('q', [{ body: 'late', delayMs: MINUTE }])
    await clock.advance(5_000)
    expect((await Promise.all(receives)).flat()).toEqual([])
    expect(clock.pendingTimers).toBe(idle)
    const waiting = messages.receive('q', { waitMs: 20_000 })
    await clock.settle()
    await messages.close()
    expect(await waiting).toEqual([])
    expect(clock.pendingTimers).toBe(0)
  })

  it('that jumps wakes who waits within a second', async () => {
    const { clock, messages } = await open()
    await messages.send('q', [{ body: 'late', delayMs: 10 * MINUTE }])
    const waiting = messages.receive('q', { waitMs: 20_000 })
    await clock.advance(3_000)
    clock.jump(10 * MINUTE)
    await clock.advance(1_000)
    expect(await waiting).toMatchObject([{ body: 'late' }])
  })

  it('that goes back loses no message', async () => {
    const { clock, messages } = await open()
    clock.jump(-60 * MINUTE)
    await messages.send('q', [{ body: 'a' }])
    expect(await messages.receive('q')).toMatchObject([{ body: 'a' }])
  })
})

describe('receipts', () => {
  it('cannot be made up from others', async () => {
    const { messages } = await open()
    await messages.send('q', [{ body: 'a' }, { body: 'b' }, { body: large }])
    const [a, b, c] = (await messages.receive('q', { max: 3 })).map(({ receipt }) => receipt)
    const [id, token] = (a ?? '').split('.')
    const forged = [`${id}.${Number(token) + 1}`, `${Number(id) + 1}.${token}`, `${c?.replace('L', '')}`]
    for (const result of await messages.delete('q', forged)) expect(result).toEqual({ status: 'lost' })
    for (const result of await messages.delete('q', [a ?? '', b ?? '', c ?? ''])) {
      expect(result).toEqual({ status: 'deleted' })
    }
  })
})

describe('a repeated delete', () => {
  it('is told the same', async () => {
    const { messages } = await open()
    await messages.send('q', [{ body: 'a' }])
    const [message] = await messages.receive('q')
    for (let i = 0; i < 3; i++) {
      expect(await messages.delete('q', [message?.receipt ?? ''])).toEqual([{ status: 'deleted' }])
    }
  })
})

describe('a data file', () => {
  it('of the version before gets the tables of the message queues', async () => {
    const directory = freshDirectory()
    const old = new DatabaseSync(join(directory, DATA_FILE))
    old.exec(`${migrations[0]}; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1;
      INSERT INTO records VALUES ('p', 'k', 1, '"kept"', NULL)`)
    old.close()
    const engine = await openSqlite({ directory, clock: new ManualClock() })
    engines.push(engine)
    const messages = sqliteMessageQueue(engine)
    await messages.declareQueue('q')
    await messages.send('q', [{ body: 'a' }])
    expect(await messages.receive('q')).toMatchObject([{ body: 'a' }])
    expect((await sqliteStore(engine).get(['p', 'k']))?.value).toBe('kept')
  })
})
