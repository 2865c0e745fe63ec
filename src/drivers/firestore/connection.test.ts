import { EventEmitter } from 'node:events'
import { Metadata } from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { Connection, type Stub } from './connection.ts'
import type { StructuredQuery } from './wire.ts'

/** A connection whose queries' streams the test plays. */
function scripted(timeoutMs: number) {
  const clock = new ManualClock()
  const stream = Object.assign(new EventEmitter(), {
    cancelled: false,
    cancel(): void {
      stream.cancelled = true
      stream.emit('error', Object.assign(new Error('cancelled'), { code: 1, details: 'Cancelled on client' }))
    },
  })
  const connection = new Connection({
    stub: { runQuery: () => stream } as unknown as Stub,
    metadata: new Metadata(),
    place: { project: 'p', database: 'd', collection: 'c' },
    clock,
    random: seededRandom(1),
    timeoutMs,
    onRequest: () => {},
    close: () => Promise.resolve(),
  })
  const query = (take: () => boolean, readTime?: { seconds: string; nanos: number }) =>
    connection.query(
      {
        parent: 'p',
        structuredQuery: {} as StructuredQuery,
        ...(readTime === undefined ? {} : { readTime }),
      },
      () => take,
    )
  const message = (ms: number): void => {
    const readTime = { seconds: String(Math.floor(ms / 1_000)), nanos: (ms % 1_000) * 1e6 }
    stream.emit('data', { document: null, readTime })
  }
  return { clock, stream, connection, query, message }
}

describe('a stream of results', () => {
  it('may take its time as long as something comes', async () => {
    const { clock, stream, query, message } = scripted(1_000)
    const ended = query(() => true)
    for (let i = 0; i < 10; i++) {
      await clock.advance(900)
      message(clock.now())
    }
    stream.emit('end')
    await ended
    expect(stream.cancelled).toBe(false)
    expect(clock.pendingTimers).toBe(0)
  })

  it('that falls silent is given up', async () => {
    const { clock, stream, query, message } = scripted(1_000)
    const refused = expect(query(() => true)).rejects.toMatchObject({ code: 'unavailable' })
    message(clock.now())
    await clock.advance(2_000)
    await refused
    expect([stream.cancelled, clock.pendingTimers]).toEqual([true, 0])
  })

  it('is dropped once its taker has enough', async () => {
    const { clock, stream, query, message } = scripted(1_000)
    let taken = 0
    const ended = query(() => ++taken < 2)
    for (let i = 0; i < 5; i++) message(clock.now())
    await ended
    expect([taken, stream.cancelled, clock.pendingTimers]).toEqual([2, true, 0])
  })
})

describe('engine time', () => {
  it('is learnt from answers about now, not from those about the past', async () => {
    const { clock, stream, connection, query, message } = scripted(1_000)
    expect(connection.now().uncertaintyMs).toBe(Number.MAX_SAFE_INTEGER)
    const ahead = clock.now() + 5_000
    const present = query(() => true)
    message(ahead)
    stream.emit('end')
    await present
    stream.removeAllListeners()
    const past = query(() => true, { seconds: '1', nanos: 0 })
    message(1_000)
    stream.emit('end')
    await past
    expect(connection.now().ms).toBe(ahead)
    expect(connection.now().uncertaintyMs).toBeLessThan(10)
  })

  it('is uncertain by as much as the machine may have slept', async () => {
    const { clock, stream, connection, query, message } = scripted(1_000)
    const present = query(() => true)
    message(clock.now())
    stream.emit('end')
    await present
    clock.jump(60_000)
    expect(connection.now().uncertaintyMs).toBeGreaterThanOrEqual(60_000)
  })
})
