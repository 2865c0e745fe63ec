/** Sends, deletes and visibility changes as requests: how they are gathered, and what becomes of each entry. */
import { describe, expect, it } from 'vitest'
import type { ManualClock } from '../../kernel/manual-clock.ts'
import type { OutgoingMessage } from '../../ports/message-queue.ts'
import {
  breaks,
  brings,
  fails,
  fakeEngine,
  hangs,
  ok,
  takes,
  type FakeEngine,
} from './testing/fake-engine.ts'

const SEND = 'SendMessageBatch'
const DELETE = 'DeleteMessageBatch'
const CHANGE = 'ChangeMessageVisibilityBatch'

/** The bodies, receipts or ids of the entries of each request so far; forgets them. */
function batches({ requests }: FakeEngine): string[][] {
  return requests.splice(0).map(({ entries }) => entries.map((e) => e.MessageBody ?? e.ReceiptHandle ?? e.Id))
}

function send({ messages }: FakeEngine, ...bodies: string[]): Promise<unknown[]> {
  return Promise.all(bodies.map(async (body) => (await messages.send('orders', [{ body }]))[0]))
}

/** Of group `a` for a body that begins with a. */
function ordered(...bodies: string[]): OutgoingMessage[] {
  return bodies.map((body) => ({ body, groupId: body[0] ?? '', deduplicationId: body }))
}

async function fifo(engine: FakeEngine): Promise<void> {
  await engine.messages.describeQueue('orders.fifo')
  engine.requests.splice(0)
}

/** Lets time pass until this is done. */
async function during(clock: ManualClock, work: Promise<unknown>): Promise<void> {
  const under = new Set([work])
  void work.finally(() => under.clear())
  while (under.size > 0) await clock.advance(1)
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `m${i}`)
}

const sent = (body: string): unknown => ({ status: 'sent', messageId: `id of ${body}` })

describe('batches', () => {
  it('of many callers hold ten each, and each caller gets the answer to its own', async () => {
    const engine = await fakeEngine()
    const results = send(engine, ...numbered(25))
    await engine.clock.advance(20)
    expect(await results).toEqual(numbered(25).map(sent))
    expect(batches(engine).map(({ length }) => length)).toEqual([10, 10, 5])
    expect(engine.told.slice(0, 2)).toEqual([
      { operation: SEND, queue: 'orders', entries: 10 },
      { operation: SEND, queue: 'orders', entries: 10 },
    ])
  })

  it('take a lone send with them at once, and others that come meanwhile within 20 ms', async () => {
    const engine = await fakeEngine()
    engine.answer(SEND, engine.later(100, takes()))
    const first = send(engine, 'a')
    await engine.clock.advance(0)
    expect(batches(engine)).toEqual([['a']])
    const second = send(engine, 'b')
    await engine.clock.advance(10)
    const third = send(engine, 'c')
    await engine.clock.advance(9)
    expect(batches(engine)).toEqual([])
    await engine.clock.advance(1)
    expect(batches(engine)).toEqual([['b', 'c']])
    await engine.clock.advance(100)
    expect(await Promise.all([first, second, third])).toHaveLength(3)
  })

  it('of deletes and changes wait for others, 20 ms at most', async () => {
    const engine = await fakeEngine()
    const { messages, clock } = engine
    const deleted = numbered(3).map((receipt) => messages.delete('orders', [receipt]))
    const changed = messages.changeVisibility('orders', [{ receipt: 'x', visibilityMs: 1_001 }])
    await clock.advance(19)
    expect(batches(engine)).toEqual([])
    await clock.advance(1)
    expect(engine.requests.at(-1)?.entries[0]?.VisibilityTimeout).toBe(2)
    expect(batches(engine)).toEqual([['m0', 'm1', 'm2'], ['x']])
    expect(await Promise.all(deleted)).toEqual(Array.from({ length: 3 }, () => [{ status: 'deleted' }]))
    expect(await changed).toEqual([{ status: 'changed', deadline: clock.now() + 2_000 }])
    await Promise.all([messages.delete('orders', numbered(10)), clock.settle()])
    expect(batches(engine)).toEqual([numbered(10)])
  })

  it('are no larger than 1 MiB', async () => {
    const engine = await fakeEngine()
    const large = 'x'.repeat(400_000)
    const results = send(engine, large, large, large)
    await engine.clock.advance(20)
    await results
    expect(batches(engine).map(({ length }) => length)).toEqual([2, 1])
  })

  it('are made of what the caller gave, whatever it does to its objects meanwhile', async () => {
    const engine = await fakeEngine()
    const message = { body: 'a' }
    const result = engine.messages.send('orders', [message])
    message.body = 'b'
    await engine.clock.advance(0)
    await result
    expect(batches(engine)).toEqual([['a']])
  })

  it('carry 10,000 messages through send, receive and delete in 3,300 requests', async () => {
    const engine = await fakeEngine()
    const { messages, clock, told } = engine
    let left = 10_000
    const sender = async (): Promise<void> => {
      while (left-- > 0) await messages.send('orders', [{ body: `m${left}` }])
    }
    await during(clock, Promise.all(Array.from({ length: 64 }, sender)))
    engine.answer('ReceiveMessage', brings(...numbered(10)))
    let received = 0
    const consumer = async (): Promise<void> => {
      while (received < 10_000) {
        const some = await messages.receive('orders', { max: 10, waitMs: 20_000 })
        received += some.length
        await Promise.all(some.map(({ receipt }) => messages.delete('orders', [receipt])))
      }
    }
    await during(clock, Promise.all(Array.from({ length: 5 }, consumer)))
    const entries = (operation: string): number =>
      told.filter((r) => r.operation === operation).reduce((sum, r) => sum + r.entries, 0)
    expect(entries(SEND)).toBe(10_000)
    expect(entries(DELETE)).toBe(received)
    expect(told.length).toBeLessThanOrEqual(3_300)
  })
})

describe('an entry that fails', () => {
  it('by the sender’s fault fails alone, at once', async () => {
    const engine = await fakeEngine()
    engine.answer(SEND, takes({ bad: 'InvalidMessageContents' }, true))
    const results = engine.messages.send('orders', [{ body: 'good' }, { body: 'bad' }, { body: 'fine' }])
    await engine.clock.advance(0)
    expect(await results).toEqual([
      sent('good'),
      { status: 'failed', error: expect.objectContaining({ code: 'invalid_argument' }) },
      sent('fine'),
    ])
    expect(engine.requests).toHaveLength(1)
  })

  it('otherwise is tried again alone, and holds up nobody', async () => {
    const engine = await fakeEngine()
    engine.answer(SEND, takes({ bad: 'InternalError' }), takes())
    const [good, bad] = [send(engine, 'good'), send(engine, 'bad')]
    await engine.clock.advance(0)
    expect(await good).toEqual([sent('good')])
    await engine.clock.advance(100)
    expect(await bad).toEqual([sent('bad')])
    expect(batches(engine)).toEqual([['good', 'bad'], ['bad']])
  })

  it.each([
    ['InternalError', 'unavailable'],
    ['ServiceUnavailable', 'unavailable'],
    ['RequestThrottled', 'throttled'],
    ['KmsThrottled', 'throttled'],
  ])('again and again with %s is %s in the end', async (name, code) => {
    const engine = await fakeEngine()
    engine.answer(SEND, takes({ bad: name }))
    const bad = expect(send(engine, 'bad')).rejects.toMatchObject({ code })
    await engine.clock.advance(60_000)
    await bad
    expect(batches(engine)).toEqual(Array.from({ length: 6 }, () => ['bad']))
    const both = engine.messages.send('orders', [{ body: 'bad' }, { body: 'good' }])
    await engine.clock.advance(60_000)
    expect(await both).toMatchObject([{ status: 'failed', error: { code } }, { status: 'sent' }])
    expect(engine.clock.pendingTimers).toBe(0)
  })

  it('that the answer does not mention is unknown, or tried again where that does no harm', async () => {
    const engine = await fakeEngine()
    engine.answer(SEND, ok({ Successful: [] }))
    engine.answer(DELETE, ok({ Failed: [] }), takes())
    const unknown = expect(send(engine, 'a')).rejects.toMatchObject({ code: 'outcome_unknown' })
    const deleted = engine.messages.delete('orders', ['r'])
    await engine.clock.advance(1_000)
    await unknown
    expect(await deleted).toEqual([{ status: 'deleted' }])
    expect(engine.operations()).toEqual([SEND, DELETE, DELETE])
  })

  it('by its receipt has lost its message', async () => {
    const engine = await fakeEngine()
    const refusals = {
      a: 'ReceiptHandleIsInvalid',
      b: 'AWS.SimpleQueueService.MessageNotInflight',
    }
    engine.answer(DELETE, takes(refusals, true))
    engine.answer(CHANGE, takes(refusals, true))
    const results = [
      engine.messages.delete('orders', ['a', 'b']),
      engine.messages.changeVisibility('orders', [{ receipt: 'a', visibilityMs: 9_000 }]),
    ]
    await engine.clock.advance(20)
    expect(await Promise.all(results)).toEqual([
      [{ status: 'lost' }, { status: 'lost' }],
      [{ status: 'lost' }],
    ])
  })

  it.each([
    ['Reason: Message does not exist or is not available for visibility timeout change.', 'lost'],
    ['Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.', 'lost'],
    ['Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds].', 'failed'],
  ])('with “%s” is %s', async (Message, status) => {
    const engine = await fakeEngine()
    const Failed = [{ Id: '0', SenderFault: true, Code: 'InvalidParameterValue', Message }]
    engine.answer(CHANGE, ok({ Failed }))
    const results = engine.messages.changeVisibility('orders', [{ receipt: 'a', visibilityMs: 9_000 }])
    await engine.clock.advance(20)
    expect(await results).toMatchObject([{ status }])
  })
})

describe('a batch that fails as a whole', () => {
  it('because of one entry is sent again entry by entry', async () => {
    const engine = await fakeEngine()
    engine.answer(SEND, (request) =>
      request.entries.some(({ MessageBody }) => MessageBody === 'bad')
        ? fails('InvalidParameterValue', 'not this one')(request)
        : takes()(request),
    )
    const results = Promise.allSettled([send(engine, 'a'), send(engine, 'bad'), send(engine, 'b')])
    await engine.clock.advance(1_000)
    expect(await results).toMatchObject([
      { value: [sent('a')] },
      { value: [{ status: 'failed', error: { code: 'invalid_argument' } }] },
      { value: [sent('b')] },
    ])
    expect(batches(engine)).toEqual([['a', 'bad', 'b'], ['a'], ['bad'], ['b']])
  })

  it.each([
    ['a lost connection', breaks('ECONNRESET')],
    ['an internal error', fails('InternalError', '', 500)],
  ])('with %s leaves sends unknown and repeats none of them', async (_, reaction) => {
    const engine = await fakeEngine()
    engine.answer(SEND, reaction)
    const unknown = expect(send(engine, 'a', 'b')).rejects.toMatchObject({ code: 'outcome_unknown' })
    await engine.clock.advance(60_000)
    await unknown
    expect(engine.operations()).toEqual([SEND])
  })

  it('without an answer is unknown at its deadline', async () => {
    const engine = await fakeEngine()
    engine.answer(SEND, hangs)
    const message = expect.stringContaining('no answer within 5000 ms')
    const unknown = expect(send(engine, 'a')).rejects.toMatchObject({ code: 'outcome_unknown', message })
    await engine.clock.advance(4_999)
    expect(engine.requests[0]?.signal.aborted).toBe(false)
    await engine.clock.advance(1)
    await unknown
  })

  it.each([
    ['throttling', fails('RequestThrottled'), 'throttled'],
    ['a refused connection', breaks('ECONNREFUSED'), 'unavailable'],
  ])('with %s is sent again, and says so in the end', async (_, reaction, code) => {
    const engine = await fakeEngine()
    engine.answer(SEND, reaction, reaction, takes())
    const result = send(engine, 'a')
    await engine.clock.advance(10_000)
    expect(await result).toEqual([sent('a')])
    engine.answer(SEND, reaction)
    const failed = expect(send(engine, 'a')).rejects.toMatchObject({ code })
    await engine.clock.advance(60_000)
    await failed
    expect(engine.operations()).toHaveLength(3 + 6)
  })

  it('with throttling slows down all that follows at this queue, for a while', async () => {
    const engine = await fakeEngine()
    const inASecond = async (): Promise<number> => {
      engine.requests.splice(0)
      for (let i = 0; i < 50; i++) {
        void engine.messages.stats('orders')
        await engine.clock.advance(20)
      }
      return engine.requests.length
    }
    expect(await inASecond()).toBe(50)
    engine.answer(SEND, fails('RequestThrottled'), takes())
    const result = send(engine, 'a')
    await engine.clock.advance(0)
    const slowed = await inASecond()
    expect(slowed).toBeGreaterThan(20)
    expect(slowed).toBeLessThan(32)
    await engine.clock.advance(60_000)
    expect(await result).toEqual([sent('a')])
    expect(await inASecond()).toBe(50)
  })

  it('is repeated where that does no harm: deletes and extensions, not what gives back', async () => {
    const engine = await fakeEngine()
    engine.answer(DELETE, breaks('ECONNRESET'), takes())
    engine.answer(CHANGE, breaks('ECONNRESET'), takes())
    const { messages, clock } = engine
    const deleted = messages.delete('orders', ['a'])
    const changes = [
      { receipt: 'b', visibilityMs: 60_000 },
      { receipt: 'c', visibilityMs: 60_000, nack: true },
    ]
    const changed = messages.changeVisibility('orders', changes)
    await clock.advance(1_000)
    expect(await deleted).toEqual([{ status: 'deleted' }])
    expect(await changed).toMatchObject([
      { status: 'changed' },
      { status: 'failed', error: { code: 'outcome_unknown' } },
    ])
    const handles = engine.requests.flatMap(({ entries }) => entries.map((e) => e.ReceiptHandle))
    expect(handles.toSorted((a = '', b = '') => (a < b ? -1 : 1))).toEqual(['a', 'a', 'b', 'b', 'c'])
  })
})

describe('a FIFO queue', () => {
  it('gets the messages of a group one batch after the other, other groups meanwhile', async () => {
    const engine = await fakeEngine()
    await fifo(engine)
    engine.answer(SEND, engine.later(100, takes()))
    const first = engine.messages.send('orders.fifo', ordered('a1', 'a2'))
    await engine.clock.advance(0)
    const second = engine.messages.send('orders.fifo', ordered('a3', 'b1'))
    await engine.clock.advance(50)
    expect(batches(engine)).toEqual([['a1', 'a2'], ['b1']])
    await engine.clock.advance(50)
    expect(batches(engine)).toEqual([['a3']])
    await engine.clock.advance(200)
    expect(await Promise.all([first, second])).toHaveLength(2)
  })

  it('gets what failed again before what follows it in its group', async () => {
    const engine = await fakeEngine()
    await fifo(engine)
    engine.answer(SEND, takes({ a1: 'InternalError', a2: 'InternalError' }), takes())
    const first = engine.messages.send('orders.fifo', ordered('a1', 'a2', 'b1'))
    await engine.clock.advance(0)
    const second = engine.messages.send('orders.fifo', ordered('a3', 'b2'))
    await engine.clock.advance(1_000)
    expect((await first).map(({ status }) => status)).toEqual(['sent', 'sent', 'sent'])
    expect((await second).map(({ status }) => status)).toEqual(['sent', 'sent'])
    const inGroup = batches(engine)
      .flat()
      .filter((body) => body.startsWith('a'))
    expect(inGroup).toEqual(['a1', 'a2', 'a1', 'a2', 'a3'])
  })

  it('never gets one again that a later one of its group has overtaken', async () => {
    const engine = await fakeEngine()
    await fifo(engine)
    engine.answer(SEND, takes({ a1: 'InternalError' }), takes())
    const results = engine.messages.send('orders.fifo', ordered('a1', 'a2'))
    await engine.clock.advance(1_000)
    expect(await results).toMatchObject([
      { status: 'failed', error: { code: 'unavailable' } },
      { status: 'sent' },
    ])
    expect(batches(engine)).toEqual([['a1', 'a2']])
  })

  it('gets a batch again whose answer was lost: it knows its deduplication ids', async () => {
    const engine = await fakeEngine()
    await fifo(engine)
    engine.answer(SEND, breaks('ECONNRESET'), takes())
    const results = engine.messages.send('orders.fifo', ordered('a1', 'a2'))
    await engine.clock.advance(1_000)
    expect((await results).map(({ status }) => status)).toEqual(['sent', 'sent'])
    expect(batches(engine)).toEqual([
      ['a1', 'a2'],
      ['a1', 'a2'],
    ])
  })
})

describe('a receipt', () => {
  const nack = { receipt: 'r', visibilityMs: 30_000, nack: true }

  it('that was nacked is lost to everything else, without a request', async () => {
    const engine = await fakeEngine()
    const { messages, clock } = engine
    const nacked = messages.changeVisibility('orders', [nack])
    const late = messages.changeVisibility('orders', [{ receipt: 'r', visibilityMs: 1_000 }])
    const deleted = messages.delete('orders', ['r'])
    await clock.advance(20)
    expect(await nacked).toMatchObject([{ status: 'changed' }])
    expect(await Promise.all([late, deleted])).toEqual([[{ status: 'lost' }], [{ status: 'lost' }]])
    expect(engine.requests).toHaveLength(1)
  })

  it('whose nack was not applied may be nacked again', async () => {
    const engine = await fakeEngine()
    engine.answer(CHANGE, breaks('ECONNRESET'), takes())
    const { messages, clock } = engine
    const unknown = expect(messages.changeVisibility('orders', [nack])).rejects.toMatchObject({
      code: 'outcome_unknown',
    })
    await clock.advance(20)
    await unknown
    const again = messages.changeVisibility('orders', [nack])
    await clock.advance(20)
    expect(await again).toMatchObject([{ status: 'changed' }])
  })

  it('has one change under way at a time, so that an extension never undoes a nack', async () => {
    const engine = await fakeEngine()
    const { messages, clock } = engine
    engine.answer(CHANGE, engine.later(500, takes()))
    const extended = messages.changeVisibility('orders', [{ receipt: 'r', visibilityMs: 60_000 }])
    const nacked = messages.changeVisibility('orders', [nack])
    await clock.advance(519)
    expect(engine.requests.map(({ entries }) => entries[0]?.VisibilityTimeout)).toEqual([60])
    await clock.advance(1)
    expect(engine.requests.map(({ entries }) => entries[0]?.VisibilityTimeout)).toEqual([60, 30])
    await clock.advance(500)
    expect(await Promise.all([extended, nacked])).toMatchObject([
      [{ status: 'changed' }],
      [{ status: 'changed' }],
    ])
  })
})
