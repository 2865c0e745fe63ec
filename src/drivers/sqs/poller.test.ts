/** Receives as requests: how long polls are shared, what an idle queue costs, and what becomes of what nobody waits for. */
import { describe, expect, it } from 'vitest'
import type { ReceivedMessage, ReceiveOptions } from '../../ports/message-queue.ts'
import {
  breaks,
  brings,
  ENGINE_START,
  fails,
  fakeEngine,
  hangs,
  takes,
  type FakeEngine,
  type FakeRequest,
  type Reaction,
} from './testing/fake-engine.ts'

const RECEIVE = 'ReceiveMessage'
const CHANGE = 'ChangeMessageVisibilityBatch'
const LONG: ReceiveOptions = { waitMs: 20_000, max: 10 }

/** An engine whose long polls end with nothing, when their time is over. */
async function idleEngine(): Promise<FakeEngine> {
  const engine = await fakeEngine()
  engine.answer(RECEIVE, (request) => engine.later(seconds(request) * 1_000, brings())(request))
  return engine
}

function seconds({ body }: FakeRequest): number {
  return body['WaitTimeSeconds'] as number
}

function bodies(messages: readonly ReceivedMessage[]): string[] {
  return messages.map(({ body }) => body)
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `m${i}`)
}

/** What was given back, and how. */
function returned({ requests }: FakeEngine): (readonly [string | undefined, number | undefined])[] {
  return requests
    .filter(({ operation }) => operation === CHANGE)
    .flatMap(({ entries }) => entries.map((e) => [e.ReceiptHandle, e.VisibilityTimeout] as const))
}

describe('an idle queue', () => {
  it.each([1, 3, 40])('costs at most 3.1 requests a minute, with %i who wait', async (callers) => {
    const { messages, clock, told } = await idleEngine()
    const caller = async (i: number): Promise<void> => {
      // Not in step with each other.
      await new Promise<void>((resolve) => void clock.timer(i * 700, resolve))
      for (;;) await messages.receive('orders', LONG)
    }
    for (let i = 0; i < callers; i++) void caller(i).catch(() => undefined)
    await clock.advance(60_000)
    const before = told.length
    await clock.advance(60 * 60_000)
    expect((told.length - before) / 60).toBeLessThanOrEqual(3.1)
  })

  it('answers a caller when its time is over, not when the poll is', async () => {
    const { messages, clock, requests } = await idleEngine()
    const patient = messages.receive('orders', LONG)
    await clock.advance(5_000)
    let answered = false
    const short = messages.receive('orders', { waitMs: 2_000 }).then((got) => {
      answered = true
      return got
    })
    await clock.advance(1_999)
    expect(answered).toBe(false)
    await clock.advance(1)
    expect(await short).toEqual([])
    await clock.advance(13_000)
    expect(await patient).toEqual([])
    expect(requests.map(seconds)).toEqual([20])
  })

  it('is asked without waiting by who does not wait, each time', async () => {
    const engine = await fakeEngine()
    expect(await engine.messages.receive('orders')).toEqual([])
    expect(await engine.messages.receive('orders', { max: 7, visibilityMs: 1_500 })).toEqual([])
    expect(engine.requests.map(({ body }) => body)).toMatchObject([
      { WaitTimeSeconds: 0, MaxNumberOfMessages: 1, VisibilityTimeout: 30 },
      { WaitTimeSeconds: 0, MaxNumberOfMessages: 7, VisibilityTimeout: 2 },
    ])
  })
})

describe('a poll', () => {
  it('serves those who wait in the order they came, each with as many as it wants', async () => {
    const engine = await fakeEngine()
    engine.answer(RECEIVE, engine.later(1_000, brings('a', 'b', 'c', 'd')), hangs)
    const first = engine.messages.receive('orders', { waitMs: 20_000, max: 1 })
    const others = [3, 10].map((max) => engine.messages.receive('orders', { waitMs: 20_000, max }))
    await engine.clock.advance(1_000)
    expect(bodies(await first)).toEqual(['a'])
    expect(bodies(await others[0]!)).toEqual(['b', 'c', 'd'])
    expect(engine.requests[0]?.body['MaxNumberOfMessages']).toBe(1)
  })

  it('is joined by more polls as long as they come back full', async () => {
    const engine = await fakeEngine()
    let under = 0
    let most = 0
    const full: Reaction = async (request) => {
      under += 1
      most = Math.max(most, under)
      const answer = await engine.later(10, brings(...numbered(10)))(request)
      under -= 1
      return answer
    }
    engine.answer(RECEIVE, full)
    const busy = async (): Promise<void> => {
      for (;;) await engine.messages.receive('orders', LONG)
    }
    for (let i = 0; i < 8; i++) void busy().catch(() => undefined)
    await engine.clock.advance(9)
    expect(most).toBe(1)
    await engine.clock.advance(100)
    expect(most).toBe(8)
    engine.answer(RECEIVE, engine.later(20_000, brings()))
    await engine.clock.advance(40_000)
    engine.operations()
    await engine.clock.advance(60_000)
    expect(engine.operations()).toHaveLength(3)
  })

  it('asks for one visibility: callers with another have their own', async () => {
    const engine = await idleEngine()
    for (const visibilityMs of [1_000, 2_000, 1_500]) {
      void engine.messages.receive('orders', { ...LONG, visibilityMs })
    }
    await engine.clock.advance(100)
    expect(engine.requests.map(({ body }) => body['VisibilityTimeout'])).toEqual([1, 2])
  })
})

describe('a caller that gives up', () => {
  const reason = new Error('enough')

  it('is told at once; what its poll brings is given back at once, the poll not cut off', async () => {
    const engine = await fakeEngine()
    engine.answer(RECEIVE, engine.later(5_000, brings('a', 'b')), hangs)
    const controller = new AbortController()
    const received = engine.messages.receive('orders', { ...LONG, signal: controller.signal })
    const rejected = expect(received).rejects.toBe(reason)
    await engine.clock.advance(1_000)
    controller.abort(reason)
    await rejected
    await engine.clock.advance(4_000)
    expect(engine.requests[0]?.signal.aborted).toBe(false)
    await engine.clock.advance(20)
    expect(returned(engine)).toEqual([
      ['receipt of a', 0],
      ['receipt of b', 0],
    ])
  })

  it('leaves its poll to the next', async () => {
    const engine = await fakeEngine()
    engine.answer(RECEIVE, engine.later(5_000, brings('a')), hangs)
    const controller = new AbortController()
    const gone = engine.messages.receive('orders', { ...LONG, signal: controller.signal })
    gone.catch(() => undefined)
    await engine.clock.advance(1_000)
    controller.abort(reason)
    await engine.clock.advance(1_000)
    const next = engine.messages.receive('orders', LONG)
    await engine.clock.advance(3_000)
    expect(bodies(await next)).toEqual(['a'])
    expect(engine.operations()).toEqual([RECEIVE])
  })

  it('in the middle of a delivery gets none of it: a hundred times', async () => {
    const engine = await fakeEngine()
    for (let i = 0; i < 100; i++) {
      engine.answer(RECEIVE, engine.later(i % 3, brings(`m${i}`)), hangs)
      const controller = new AbortController()
      const options = { ...LONG, waitMs: i % 2 === 0 ? 0 : 1_000, signal: controller.signal }
      const received = engine.messages.receive('orders', options).catch(() => [])
      await engine.clock.advance(i % 5)
      controller.abort(reason)
      await engine.clock.advance(50)
      const got = await received
      expect([...bodies(got).map((body) => [`receipt of ${body}`, 0]), ...returned(engine)]).toEqual([
        [`receipt of m${i}`, 0],
      ])
      engine.requests.splice(0)
    }
  })

  it('has nothing given back that it left visible', async () => {
    const engine = await fakeEngine()
    engine.answer(RECEIVE, engine.later(100, brings('a')))
    const controller = new AbortController()
    const received = engine.messages.receive('orders', { visibilityMs: 0, signal: controller.signal })
    const rejected = expect(received).rejects.toBe(reason)
    await engine.clock.advance(0)
    controller.abort(reason)
    await rejected
    await engine.clock.advance(1_000)
    expect(engine.operations()).toEqual([RECEIVE])
  })
})

describe('a deadline', () => {
  it('counts from when the request went out', async () => {
    const engine = await fakeEngine()
    engine.answer(RECEIVE, engine.later(300, brings('a')))
    const before = engine.clock.now()
    const received = engine.messages.receive('orders', { visibilityMs: 10_000 })
    await engine.clock.advance(300)
    expect((await received)[0]?.deadline).toBe(before + 10_000)
  })

  it('after a long poll counts from the date of its answer, and is not too late by anything', async () => {
    const engine = await fakeEngine()
    for (const [wait, offset] of [
      [15_000, 0],
      [7_400, 250],
      [19_999, 700],
    ] as const) {
      await engine.clock.advance(offset)
      engine.answer(RECEIVE, engine.later(wait, brings('a')))
      const received = engine.messages.receive('orders', { ...LONG, visibilityMs: 10_000 })
      await engine.clock.advance(wait)
      const late = engine.clock.now() + 10_000 - (await received)[0]!.deadline
      expect(late).toBeGreaterThanOrEqual(0)
      expect(late).toBeLessThan(2_500)
    }
  })

  it('without a date counts from when the request went out', async () => {
    const engine = await fakeEngine()
    engine.answer(RECEIVE, async (request) => {
      const answer = await engine.later(5_000, brings('a'))(request)
      return { ...answer, date: 'none' }
    })
    const before = engine.clock.now()
    const received = engine.messages.receive('orders', { ...LONG, visibilityMs: 10_000 })
    await engine.clock.advance(5_000)
    expect((await received)[0]?.deadline).toBe(before + 10_000)
    expect(ENGINE_START).not.toBe(before)
  })
})

describe('a receive that fails', () => {
  it.each([
    ['throttling', fails('RequestThrottled'), 'throttled'],
    ['a refused connection', breaks('ECONNREFUSED'), 'unavailable'],
    ['a lost answer', breaks('ECONNRESET'), 'outcome_unknown'],
  ])('with %s is tried again within its time, then says so', async (_, reaction, code) => {
    const engine = await fakeEngine()
    engine.answer(RECEIVE, reaction, reaction, brings('a'))
    const received = engine.messages.receive('orders', LONG)
    await engine.clock.advance(5_000)
    expect(bodies(await received)).toEqual(['a'])
    for (const options of [LONG, { max: 1 }]) {
      engine.requests.splice(0)
      engine.answer(RECEIVE, reaction)
      const failed = expect(engine.messages.receive('orders', options)).rejects.toMatchObject({ code })
      await engine.clock.advance(20_000)
      await failed
      expect(engine.operations().length).toBeLessThanOrEqual(4)
    }
  })

  it('is over for all who share it when SQS refuses it', async () => {
    const engine = await fakeEngine()
    engine.answer(RECEIVE, fails('QueueDoesNotExist'))
    const both = Promise.allSettled([1, 2].map(() => engine.messages.receive('orders', LONG)))
    await engine.clock.advance(100)
    expect(await both).toMatchObject([1, 2].map(() => ({ reason: { code: 'not_found' } })))
    expect(engine.operations().length).toBeLessThanOrEqual(2)
  })

  it('without an answer is given up some time after its wait', async () => {
    const engine = await fakeEngine()
    engine.answer(RECEIVE, hangs)
    const received = engine.messages.receive('orders', LONG)
    await engine.clock.advance(24_999)
    expect(engine.requests[0]?.signal.aborted).toBe(false)
    await engine.clock.advance(1)
    expect(engine.requests[0]?.signal.aborted).toBe(true)
    expect(await received).toEqual([])
  })
})

describe('closing', () => {
  it('answers those who wait, and gives back what their poll brings while it drains', async () => {
    const engine = await fakeEngine({ drainMs: 10_000 })
    engine.answer(RECEIVE, engine.later(5_000, brings('a')))
    engine.answer(CHANGE, takes())
    const received = engine.messages.receive('orders', LONG)
    await engine.clock.advance(100)
    let closed = false
    const closing = engine.messages.close().then(() => (closed = true))
    await engine.clock.advance(100)
    expect(await received).toEqual([])
    expect(closed).toBe(false)
    await engine.clock.advance(5_000)
    await closing
    expect(returned(engine)).toEqual([['receipt of a', 0]])
  })

  it('waits no longer than it was told for a poll that goes on', async () => {
    const engine = await fakeEngine()
    engine.answer(RECEIVE, hangs)
    const received = engine.messages.receive('orders', LONG)
    await engine.clock.advance(100)
    const closing = engine.messages.close()
    await engine.clock.advance(1_000)
    await closing
    expect(await received).toEqual([])
  })
})
