import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openSqlite, sqliteMessageQueue } from '../drivers/sqlite/index.ts'
import { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import type { QueueOptions } from '../ports/message-queue.ts'
import type { MessageEvent } from './observed.ts'
import { MessagesService } from './service.ts'
import { FakeQueue } from './testing/fake-queue.ts'

function world(queues: Record<string, QueueOptions>, defaultQueue?: string) {
  const clock = new ManualClock()
  const engine = new FakeQueue({ clock })
  const events: MessageEvent[] = []
  const service = new MessagesService({
    engine,
    clock,
    random: { next: () => 0.5 } as never,
    queues,
    onEvent: (event) => events.push(event),
    ...(defaultQueue === undefined ? {} : { defaultQueue }),
  })
  return { clock, engine, service, events }
}

const withDead = { orders: { visibilityMs: 1_000, deadLetter: { queue: 'dead', maxReceives: 1 } } }

/** Sends, and lets every message fail once. */
async function deadLetters(count: number) {
  const made = world(withDead)
  const { clock, service } = made
  for (let left = count; left > 0; left -= 10) {
    await service.send(
      'orders',
      Array.from({ length: Math.min(left, 10) }, (_, i) => ({ body: `b${i}` })),
    )
  }
  for (let got = -1; got !== 0;) got = (await service.receive('orders', { max: 10 })).length
  await clock.advance(1_000)
  await service.receive('orders', { max: 10 })
  return made
}

describe('the queues of the configuration', () => {
  it('are made at first use, their dead-letter queues first, and once', async () => {
    const { engine, service } = world(withDead, 'inbox')
    expect(await engine.listQueues()).toEqual([])
    expect(await service.listQueues()).toEqual(['dead', 'inbox', 'orders'])
    await Promise.all([service.stats('orders'), service.stats('orders')])
    expect(await engine.listQueues()).toEqual(['dead', 'orders'])
    await service.send(service.queueOf(''), [{ body: 'x' }])
    expect(engine.requests.declareQueue).toBe(3)
  })

  it('others have to be there', async () => {
    const { service } = world({})
    await expect(service.stats('other')).rejects.toMatchObject({ code: 'not_found' })
    expect(() => service.queueOf('')).toThrow('name one')
  })

  it('a declaration that failed is tried again at the next use', async () => {
    const { engine, service } = world({ orders: {} })
    engine.before = async (call) => {
      if (call === 'declareQueue') throw new Error('no')
    }
    await expect(service.stats('orders')).rejects.toThrow('no')
    engine.before = async () => undefined
    expect(await service.stats('orders')).toMatchObject({ visible: 0 })
  })

  it('may not be each other’s dead-letter queues', () => {
    const circle = {
      a: { deadLetter: { queue: 'b', maxReceives: 1 } },
      b: { deadLetter: { queue: 'a', maxReceives: 1 } },
    }
    expect(() => world(circle)).toThrow('circle')
  })
})

describe('redrive', () => {
  it('moves everything back, by receiving, sending and deleting', async () => {
    const { clock, service } = await deadLetters(25)
    expect(await service.stats('dead')).toMatchObject({ visible: 25 })
    expect(await service.redrive('dead', { dryRun: true })).toEqual({ moved: 25, skipped: 0 })
    const moving = service.redrive('dead', {})
    await clock.advance(1_000) // the last receive finds nothing more
    expect(await moving).toEqual({ moved: 25, skipped: 0 })
    expect(await service.stats('orders')).toMatchObject({ visible: 25 })
  })

  it('keeps to its rate, and says when there is more', async () => {
    const { clock, service } = await deadLetters(40)
    const moving = service.redrive('dead', { rate: 10, limit: 20 })
    await clock.advance(1_000)
    const { visible } = await service.stats('orders')
    expect(visible).toBeGreaterThanOrEqual(10)
    expect(visible).toBeLessThanOrEqual(12)
    await clock.advance(10_000)
    expect(await moving).toEqual({ moved: 20, skipped: 0, next: 'more' })
    const rest = service.redrive('dead', { after: 'more' })
    await clock.advance(2_000)
    expect(await rest).toEqual({ moved: 20, skipped: 0 })
    expect(await service.stats('orders')).toMatchObject({ visible: 40 })
    expect(await service.stats('dead')).toMatchObject({ visible: 0, inFlight: 0 })
  })

  it('leaves what came from nowhere, unless it is told where to', async () => {
    const { clock, service } = world({ dead: {}, orders: {} })
    await service.send('dead', [{ body: 'x' }])
    expect(await service.redrive('dead', {})).toEqual({ moved: 0, skipped: 1 })
    expect(await service.stats('dead')).toMatchObject({ visible: 1 })
    const moving = service.redrive('dead', { to: 'orders' })
    await clock.advance(2_000)
    expect(await moving).toEqual({ moved: 1, skipped: 0 })
    await expect(service.redrive('dead', { to: 'dead' })).rejects.toThrow('itself')
  })
})

describe('a redrive by the engine', () => {
  it('keeps to its rate and its limit, goes on where it ended, and can be tried without moving', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'signalbox-redrive-'))
    const clock = new ManualClock()
    const owner = await openSqlite({ directory, clock })
    const engine = sqliteMessageQueue(owner)
    onTestFinished(async () => {
      await engine.close()
      await owner.close()
      rmSync(directory, { recursive: true })
    })
    const service = new MessagesService({ engine, clock, random: seededRandom(1), queues: withDead })
    const visible = async (queue: string): Promise<number> => (await service.stats(queue)).visible
    await service.send(
      'orders',
      Array.from({ length: 40 }, (_, i) => ({ body: `b${i}` })),
    )
    await service.receive('orders', { max: 100, visibilityMs: 1 })
    await clock.advance(1)
    expect(await service.receive('orders', { max: 100 })).toEqual([])
    expect(await service.redrive('dead', { dryRun: true })).toEqual({ moved: 40, skipped: 0 })
    expect(await visible('dead')).toBe(40)

    const moving = service.redrive('dead', { rate: 10, limit: 20 })
    for (let passed = 0; passed < 1_000; passed += 100) {
      await clock.advance(100)
      await visible('dead') // the steps before it are done
    }
    const early = await visible('orders')
    expect(early).toBeGreaterThanOrEqual(8)
    expect(early).toBeLessThanOrEqual(12)
    for (let passed = 0; passed < 5_000; passed += 100) {
      await clock.advance(100)
      await visible('dead')
    }
    const { next, ...done } = await moving
    expect(done).toEqual({ moved: 20, skipped: 0 })
    expect(await visible('orders')).toBe(20)
    expect(await service.redrive('dead', { after: next ?? '' })).toEqual({ moved: 20, skipped: 0 })
    expect(await visible('dead')).toBe(0)
  })
})

describe('a redrive by receiving, sending and deleting', () => {
  it('that fails gives back at once what it has received', async () => {
    const { engine, service } = await deadLetters(10)
    let sends = 0
    engine.before = async (call) => {
      if (call === 'send' && ++sends === 4) throw new SignalboxError('throttled', 'slow down')
    }
    await expect(service.redrive('dead', {})).rejects.toMatchObject({ code: 'throttled' })
    expect(await service.stats('orders')).toMatchObject({ visible: 3 })
    expect(await service.stats('dead')).toMatchObject({ visible: 7, inFlight: 0 })
  })

  it('leaves what came from a queue that is there no more', async () => {
    const { engine, service } = await deadLetters(5)
    engine.before = async (call) => {
      if (call === 'send') throw new SignalboxError('not_found', 'no such queue')
    }
    expect(await service.redrive('dead', {})).toEqual({ moved: 0, skipped: 5 })
    expect(await service.stats('dead')).toMatchObject({ visible: 5, inFlight: 0 })
    await expect(service.redrive('dead', { to: 'elsewhere' })).rejects.toMatchObject({ code: 'not_found' })
    expect(await service.stats('dead')).toMatchObject({ visible: 5, inFlight: 0 })
  })
})

it('what cannot be given back is left to the end of its visibility after a while', async () => {
  const { clock, engine, service } = world({ orders: { visibilityMs: 3_600_000 } })
  await service.send('orders', [{ body: 'a' }])
  const messages = await service.receive('orders', {})
  engine.before = async (call) => {
    if (call === 'changeVisibility') throw new SignalboxError('unavailable', 'out of reach')
  }
  let done = false
  void service.giveBack('orders', messages).then(() => (done = true))
  await clock.advance(10_000)
  expect(done).toBe(false)
  await clock.advance(10_000)
  expect([done, clock.pendingTimers]).toEqual([true, 0])
})

it('what happens is told: requests, messages, redeliveries, age', async () => {
  const { clock, service, events } = world({ orders: {} })
  await service.send('orders', [{ body: 'a' }, { body: '' }])
  await clock.advance(5_000)
  const [first] = await service.receive('orders', {})
  if (first === undefined) throw new Error('nothing came')
  await service.giveBack('orders', [first])
  await service.receive('orders', {})
  await service.delete('orders', [first.receipt])
  expect(events.filter(({ kind }) => kind !== 'request')).toEqual([
    { kind: 'sent', count: 1 },
    { kind: 'received', count: 1, again: 0, ageMs: 5_000 },
    { kind: 'returned', count: 1 },
    { kind: 'received', count: 1, again: 1, ageMs: 5_000 },
    { kind: 'lost', count: 1 },
  ])
  expect(events.filter(({ kind }) => kind === 'request')).toHaveLength(5)
})
