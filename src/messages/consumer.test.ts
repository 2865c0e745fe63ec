import { describe, expect, it } from 'vitest'
import { SignalboxError } from '../kernel/error.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { Consumer, MAX_CREDIT, type ConsumerFrame, type ConsumerOptions, type Delivery } from './consumer.ts'
import { FakeQueue } from './testing/fake-queue.ts'

const SECOND = 1_000

async function world(options: Partial<ConsumerOptions> & { readonly metered?: boolean } = {}) {
  const clock = new ManualClock()
  const { metered, ...rest } = options
  const engine = new FakeQueue({ clock })
  await engine.declareQueue('orders', { visibilityMs: 30 * SECOND })
  if (metered === true) Object.assign(engine.capabilities, { queues: 'existing' })
  const frames: ConsumerFrame[] = []
  const all = (of: 'acked' | 'nacked' | 'lost'): number[] => frames.flatMap((frame) => [...(frame[of] ?? [])])
  const delivered: Delivery[] = []
  const ends: (SignalboxError | undefined)[] = []
  let reads = true
  const consumer = new Consumer({
    engine,
    queue: 'orders',
    clock,
    random: { next: () => 0.5, id: () => 'id', bytes: (n: number) => new Uint8Array(n) } as never,
    credit: 10,
    visibilityMs: 30 * SECOND,
    emit: (frame) => {
      frames.push(frame)
      delivered.push(...(frame.messages ?? []))
      return reads
    },
    onEnd: (error) => ends.push(error),
    ...rest,
  })
  consumer.start()
  await clock.settle()
  let sent = 0
  return {
    clock,
    engine,
    consumer,
    frames,
    delivered,
    all,
    ends,
    stopReading: () => (reads = false),
    readAgain: (): void => {
      reads = true
      consumer.resume()
    },
    send: async (count: number): Promise<void> => {
      for (let left = count; left > 0; left -= 10) {
        await engine.send(
          'orders',
          Array.from({ length: Math.min(10, left) }, () => ({ body: `n${(sent += 1)}` })),
        )
      }
      await clock.settle()
    },
  }
}

describe('credit', () => {
  it('bounds what is with the client, and is refilled by acks', async () => {
    const { clock, consumer, delivered, send, all, engine } = await world({ credit: 5 })
    await send(12)
    await clock.advance(100)
    expect(delivered).toHaveLength(5)
    consumer.ack([1, 2])
    await clock.advance(100)
    expect(delivered).toHaveLength(7)
    consumer.ack(delivered.slice(2).map(({ id }) => id))
    await clock.advance(100)
    expect(delivered).toHaveLength(12)
    expect(all('acked')).toHaveLength(7)
    expect(await engine.stats('orders')).toMatchObject({ visible: 0, inFlight: 5 })
  })

  it('is refilled while one message is slow: a thousand fast ones pass it', async () => {
    const { clock, consumer, delivered, send, engine } = await world({ credit: 50 })
    await send(1_001)
    for (let done = 1, rounds = 0; rounds < 200 && done < delivered.length; rounds++) {
      const fast = delivered.slice(done).map(({ id }) => id)
      done = delivered.length
      consumer.ack(fast)
      await clock.advance(25)
    }
    expect(delivered).toHaveLength(1_001)
    expect(consumer.held).toBe(1)
    expect(await engine.stats('orders')).toMatchObject({ inFlight: 1, visible: 0 })
  })

  it('can be widened and narrowed, within its bounds', async () => {
    const { clock, consumer, delivered, send } = await world({ credit: 2 })
    await send(100)
    await clock.advance(50)
    expect(delivered).toHaveLength(2)
    consumer.addCredit(3)
    await clock.advance(50)
    expect(delivered).toHaveLength(5)
    consumer.addCredit(-999_999)
    consumer.ack(delivered.map(({ id }) => id))
    await clock.advance(50)
    expect(consumer.held).toBe(1)
    consumer.addCredit(1_000_000)
    await send(1_500)
    await clock.advance(500)
    expect(consumer.held).toBe(MAX_CREDIT)
  })

  it('receives nothing for a client that does not read, until it does', async () => {
    const { clock, delivered, send, stopReading, readAgain, consumer } = await world({ credit: 20 })
    stopReading()
    await send(10)
    await clock.advance(100)
    const before = delivered.length
    expect(before).toBeLessThanOrEqual(10)
    await send(30)
    await clock.advance(10 * SECOND)
    expect(delivered).toHaveLength(before)
    readAgain()
    await clock.advance(100)
    expect(consumer.held).toBe(20)
  })
})

describe('heartbeats', () => {
  it('keep messages hidden for twice as long as their visibility and more', async () => {
    const { clock, consumer, delivered, send, all, engine } = await world()
    await send(10)
    await clock.advance(300 * SECOND)
    expect(delivered).toHaveLength(10)
    consumer.ack(delivered.map(({ id }) => id))
    await clock.advance(SECOND)
    expect(all('acked')).toHaveLength(10)
    expect(all('lost')).toEqual([])
    // One batch every third of the visibility, not a request for each.
    expect(engine.requests.changeVisibility).toBeLessThanOrEqual(31)
  })

  it('stop with the hold that was asked for; the loss is told when it happens', async () => {
    const { clock, send, all, delivered, engine } = await world({ maxHoldMs: 45 * SECOND, credit: 1 })
    await send(1)
    await clock.advance(44 * SECOND)
    expect(all('lost')).toEqual([])
    await clock.advance(SECOND)
    expect(all('lost')).toEqual([1])
    await clock.advance(SECOND)
    expect(delivered.map(({ message }) => message.receiveCount)).toEqual([1, 2])
    expect(engine.changes.every(({ nack }) => nack !== true)).toBe(true)
  })

  it('never go out for what was acked, nacked or extended for longer', async () => {
    const { clock, consumer, send, engine } = await world()
    await send(3)
    consumer.extend(3, 600 * SECOND)
    await clock.advance(SECOND)
    consumer.ack([1])
    consumer.nack(2, 120 * SECOND)
    await clock.advance(100 * SECOND)
    expect(engine.changes.map(({ visibilityMs }) => visibilityMs)).toEqual([600 * SECOND, 120 * SECOND])
  })

  it('never go out for an ack that is slow to be carried out', async () => {
    const { clock, consumer, send, engine } = await world()
    const slow = Promise.withResolvers<void>()
    engine.before = async (call) => {
      if (call === 'delete') await slow.promise
    }
    await send(1)
    consumer.ack([1])
    await clock.advance(25 * SECOND)
    expect(engine.requests.changeVisibility).toBe(0)
    slow.resolve()
  })

  it('are tried again when they fail, and the message stays', async () => {
    const { clock, send, all, engine } = await world()
    let failures = 2
    engine.before = async (call) => {
      if (call === 'changeVisibility' && failures-- > 0) throw new SignalboxError('throttled', 'slow down')
    }
    await send(1)
    await clock.advance(120 * SECOND)
    expect(all('lost')).toEqual([])
    expect(await engine.stats('orders')).toMatchObject({ inFlight: 1 })
  })
})

describe('heartbeats after an extension', () => {
  it('that failed while one was due go on', async () => {
    const { clock, consumer, send, all, engine, frames } = await world()
    const slow = Promise.withResolvers<void>()
    let first = true
    engine.before = async (call) => {
      if (call !== 'changeVisibility' || !first) return
      first = false
      await slow.promise
      throw new SignalboxError('throttled', 'slow down')
    }
    await send(1)
    await clock.advance(9 * SECOND)
    consumer.extend(1, 60 * SECOND)
    await clock.advance(2 * SECOND)
    slow.resolve()
    await clock.advance(120 * SECOND)
    expect(frames.flatMap(({ failed }) => failed?.id ?? [])).toEqual([1])
    expect(all('lost')).toEqual([])
  })
})

describe('a nack', () => {
  it('makes the message visible after its delay, whatever heartbeat was under way', async () => {
    const { clock, consumer, send, delivered, engine } = await world()
    const slow = Promise.withResolvers<void>()
    let first = true
    engine.before = async (call) => {
      if (call !== 'changeVisibility' || !first) return
      first = false
      await slow.promise
    }
    await send(1)
    await clock.advance(10 * SECOND + 100) // the heartbeat is on its way
    consumer.nack(1, 15 * SECOND)
    await clock.advance(SECOND)
    // Not side by side: on an engine like SQS, whichever came last would count.
    expect(engine.requests.changeVisibility).toBe(1)
    slow.resolve()
    await clock.advance(14 * SECOND)
    expect(delivered).toHaveLength(1)
    await clock.advance(1_100)
    expect(delivered.map(({ message }) => message.receiveCount)).toEqual([1, 2])
  })
})

describe('a lost message', () => {
  it('is told at its deadline when nothing gets through, and a late ack is answered lost', async () => {
    const { clock, consumer, send, all, engine } = await world()
    await send(1)
    engine.before = async () => {
      throw new SignalboxError('unavailable', 'gone')
    }
    await clock.advance(30 * SECOND - 1)
    expect(all('lost')).toEqual([])
    await clock.advance(1)
    expect(all('lost')).toEqual([1])
    consumer.ack([1])
    expect(all('lost')).toEqual([1, 1])
    await consumer.close()
  })

  it('is told by the heartbeat that finds somebody else has it', async () => {
    const { clock, send, all, engine } = await world()
    await send(1)
    await engine.purge('orders')
    await clock.advance(10 * SECOND + 100)
    expect(all('lost')).toEqual([1])
  })

  it('is what acks of strangers, of settled messages and of nothing get', async () => {
    const { clock, consumer, send, all } = await world()
    await send(1)
    consumer.ack([1, 1, 77])
    await clock.advance(SECOND)
    expect(all('acked')).toEqual([1])
    expect(all('lost')).toEqual([1, 77])
  })
})

describe('acks', () => {
  it('go out ten at a time, or after 20 ms', async () => {
    const { clock, consumer, send, engine, delivered } = await world({ credit: 30 })
    await send(25)
    await clock.advance(50)
    const ids = delivered.map(({ id }) => id)
    for (const id of ids) consumer.ack([id])
    await clock.advance(19)
    expect(engine.requests.delete).toBe(2)
    await clock.advance(1)
    expect(engine.requests.delete).toBe(3)
  })

  it('are repeated when they fail for a while, and their failure is told when it is final', async () => {
    const { clock, consumer, send, all, frames, engine } = await world()
    let failing = true
    engine.before = async (call) => {
      if (call === 'delete' && failing) throw new SignalboxError('unavailable', 'gone')
    }
    await send(1)
    consumer.ack([1])
    await clock.advance(2 * SECOND)
    failing = false
    await clock.advance(5 * SECOND)
    expect(all('acked')).toEqual([1])
    failing = true
    await send(1)
    consumer.ack([2])
    await clock.advance(30 * SECOND)
    expect(frames.flatMap(({ failed }) => (failed === undefined ? [] : [failed.id]))).toEqual([2])
  })
})

describe('the end', () => {
  it('returns everything at once when the client goes, but carries out its acks', async () => {
    const { clock, consumer, send, engine } = await world()
    await send(15)
    await clock.advance(50)
    consumer.ack([1])
    consumer.nack(2, 60 * SECOND)
    const closed = consumer.close()
    await clock.advance(0)
    await closed
    expect(await engine.stats('orders')).toMatchObject({ visible: 13, inFlight: 0, delayed: 1 })
    await clock.advance(60 * SECOND)
    expect(clock.pendingTimers).toBe(0)
  })

  it('waits not long for an engine that does not answer when the client goes', async () => {
    const { clock, consumer, send, engine, ends } = await world({ visibilityMs: 12 * 3_600 * SECOND })
    await send(4)
    await clock.advance(100)
    engine.before = async (call) => {
      if (call === 'delete' || call === 'changeVisibility')
        throw new SignalboxError('unavailable', 'out of reach')
    }
    consumer.ack([1])
    consumer.nack(2, SECOND)
    let closed = false
    void consumer.close().then(() => (closed = true))
    await clock.advance(20 * SECOND)
    expect([closed, ends, clock.pendingTimers]).toEqual([true, [], 0])
  })

  it('returns what a receive brings that could not be called back', async () => {
    const { clock, consumer, send, engine } = await world()
    const late = Promise.withResolvers<void>()
    const receive = engine.receive.bind(engine)
    engine.receive = async (queue, options) => {
      const { signal: _, ...deaf } = options ?? {}
      const messages = await receive(queue, deaf)
      await late.promise
      return messages
    }
    await clock.advance(20 * SECOND)
    await send(4)
    const closed = consumer.close()
    late.resolve()
    await clock.advance(0)
    await closed
    expect(await engine.stats('orders')).toMatchObject({ visible: 4, inFlight: 0 })
  })

  it('drains: no more messages, acks still count, and it ends when the last is settled', async () => {
    const { clock, consumer, send, frames, delivered, ends, engine } = await world({ credit: 5 })
    await send(8)
    await clock.advance(50)
    consumer.drain()
    await clock.advance(60 * SECOND)
    expect(delivered).toHaveLength(5)
    expect(frames.at(-1)).toEqual({ draining: true })
    expect(ends).toEqual([])
    consumer.ack(delivered.map(({ id }) => id))
    await clock.advance(SECOND)
    expect(ends).toEqual([undefined])
    expect(await engine.stats('orders')).toMatchObject({ visible: 3, inFlight: 0 })
  })

  it('comes by itself when the queue is gone, and not when it is out of reach for a while', async () => {
    const { clock, engine, ends, delivered, send } = await world()
    let error = new SignalboxError('throttled', 'slow down')
    engine.before = async (call) => {
      if (call === 'receive') throw error
    }
    await clock.advance(40 * SECOND)
    expect(ends).toEqual([])
    engine.before = async () => undefined
    await send(1)
    await clock.advance(10 * SECOND)
    expect(delivered).toHaveLength(1)
    error = new SignalboxError('not_found', 'there is no queue')
    engine.before = async (call) => {
      if (call === 'receive') throw error
    }
    await clock.advance(40 * SECOND)
    expect(ends).toEqual([error])
  })
})

describe('where requests cost', () => {
  it('an idle queue takes three receives a minute', async () => {
    const { clock, engine } = await world({ metered: true })
    const before = engine.requests.receive
    await clock.advance(60 * SECOND)
    expect(engine.requests.receive - before).toBeLessThanOrEqual(3)
  })

  it('ten thousand messages are received and deleted by at most 2,300 requests', async () => {
    const { clock, consumer, delivered, send, engine, all } = await world({ metered: true, credit: 50 })
    await send(10_000)
    for (let done = 0, turns = 0; done < 10_000 && turns < 20_000; turns++) {
      const next = delivered.slice(done, done + 3).map(({ id }) => id)
      done += next.length
      consumer.ack(next)
      await clock.advance(1)
    }
    await clock.advance(100)
    expect(all('acked')).toHaveLength(10_000)
    expect(engine.requests.receive + engine.requests.delete).toBeLessThanOrEqual(2_300)
  }, 60_000)
})
