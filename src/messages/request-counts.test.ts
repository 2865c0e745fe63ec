/** What the sidecar costs on SQS, where each request is paid for: counted on the real driver, in front of a played SQS. */
import { describe, expect, it } from 'vitest'
import { brings, fakeEngine, type Reaction } from '../drivers/sqs/testing/fake-engine.ts'
import { seededRandom } from '../kernel/id.ts'
import { Desk } from './desk.ts'
import { MessagesService } from './service.ts'

const MINUTES = 10

async function idleQueue() {
  const engine = await fakeEngine()
  const { clock, messages } = engine
  /** Answers when its wait is over, as of an empty queue. */
  const waits: Reaction = async (request) => {
    const seconds = Number(request.body['WaitTimeSeconds'] ?? 0)
    await new Promise<void>((over) => void clock.timer(seconds * 1_000, over))
    return brings()(request)
  }
  engine.answer('ReceiveMessage', waits)
  const service = new MessagesService({
    engine: messages,
    clock,
    random: seededRandom(1),
    queues: { orders: {} },
  })
  const desk = new Desk(service, clock)
  const over = new AbortController()
  return {
    async consume(visibilityMs?: number) {
      const { consumer } = await service.consumer({
        queue: 'orders',
        credit: 100,
        ...(visibilityMs === undefined ? {} : { visibilityMs }),
        emit: () => true,
        onEnd: () => undefined,
      })
      consumer.start()
    },
    /** A client that receives for ever. */
    receive(options: { readonly waitMs: number; readonly pauseMs?: number; readonly visibilityMs?: number }) {
      const { pauseMs = 0, ...rest } = options
      const loop = async (): Promise<void> => {
        while (!over.signal.aborted) {
          await desk.receive('orders', { max: 10, ...rest, signal: over.signal })
          if (pauseMs > 0) await new Promise<void>((done) => void clock.timer(pauseMs, done))
        }
      }
      loop().catch(() => undefined)
    },
    pass: (ms: number) => clock.advance(ms),
    /** Requests a minute while nothing happens. */
    async perMinute(): Promise<number> {
      await clock.advance(60_000)
      engine.operations()
      for (let s = 0; s < MINUTES * 60; s++) await clock.advance(1_000)
      return engine.operations().length / MINUTES
    },
  }
}

describe('an idle queue', () => {
  it('costs 3 requests a minute for one consumer', async () => {
    const queue = await idleQueue()
    await queue.consume()
    expect(await queue.perMinute()).toBeLessThanOrEqual(3.1)
  })

  it('costs no more for many consumers and receivers, which came at different times', async () => {
    const queue = await idleQueue()
    for (let i = 0; i < 5; i++) {
      await queue.consume()
      await queue.pass(3_700)
      queue.receive({ waitMs: 20_000 })
      await queue.pass(1_300)
    }
    expect(await queue.perMinute()).toBeLessThanOrEqual(3.1)
  })

  it('costs no more beside clients that wait less, as the reference’s', async () => {
    const queue = await idleQueue()
    await queue.consume()
    for (let i = 0; i < 3; i++) {
      await queue.pass(2_100)
      queue.receive({ waitMs: 5_000, pauseMs: 5_000 })
    }
    expect(await queue.perMinute()).toBeLessThanOrEqual(3.1)
  })

  it('costs 3 requests a minute for each visibility that somebody asks for, which a poll cannot share', async () => {
    const queue = await idleQueue()
    for (const visibilityMs of [10_000, 60_000, 10_000]) await queue.consume(visibilityMs)
    expect(await queue.perMinute()).toBeLessThanOrEqual(2 * 3.1)
  })
})
