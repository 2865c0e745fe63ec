import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { FakeQueue } from '../messages/testing/fake-queue.ts'
import type { JobsConnection } from './api.ts'
import { connectionOf, setDefaultConnection } from './connection.ts'
import { defineJob } from './define.ts'

const clock = new ManualClock()
const input = z.object({ text: z.string() })
const job = defineJob({ name: 'mail', input, unique: false, run: () => undefined })

function connected(limits = {}): { engine: FakeQueue; via: JobsConnection } {
  const engine = new FakeQueue({ clock, limits })
  return { engine, via: { engine, clock, random: seededRandom(3) } }
}

describe('enqueueing', () => {
  it('makes its queue with a dead-letter queue once, and raises what it finds too low', async () => {
    const { engine, via } = connected()
    await Promise.all([job.enqueue({ text: 'a' }, { via }), job.enqueue({ text: 'b' }, { via })])
    expect(engine.requests.declareQueue).toBe(2)
    expect(await engine.describeQueue('default')).toMatchObject({
      deadLetter: { queue: 'default-dead', maxReceives: 30 },
    })
    await engine.declareQueue('own', { visibilityMs: 7_000 })
    await job.enqueue({ text: 'c' }, { via, queue: 'own' })
    expect(await engine.describeQueue('own')).toMatchObject({
      visibilityMs: 7_000,
      deadLetter: { queue: 'own-dead', maxReceives: 30 },
    })
    const stubborn = defineJob({ name: 'stubborn', input, retry: { attempts: 50 }, run: () => undefined })
    await stubborn.enqueue({ text: 'c' }, { via })
    expect(await engine.describeQueue('default')).toMatchObject({ deadLetter: { maxReceives: 60 } })
    await engine.declareQueue('letters')
    await engine.declareQueue('patient', { deadLetter: { queue: 'letters', maxReceives: 100 } })
    await job.enqueue({ text: 'd' }, { via, queue: 'patient' })
    expect(await engine.describeQueue('patient')).toMatchObject({
      deadLetter: { queue: 'letters', maxReceives: 100 },
    })
  })

  it('of the same moment shares batches, as large as the limits allow, without waiting for any time', async () => {
    const { engine, via } = connected()
    await job.enqueue({ text: 'first' }, { via })
    const sends = engine.requests.send
    await Promise.all(Array.from({ length: 25 }, (_, i) => job.enqueue({ text: `${i}` }, { via })))
    expect(engine.requests.send - sends).toBe(3)
    await job.enqueueMany(
      Array.from({ length: 25 }, (_, i) => ({ input: { text: `${i}` } })),
      { via },
    )
    expect(engine.requests.send - sends).toBe(6)
    expect(clock.pendingTimers).toBe(0)
    const large = 'ä'.repeat(300_000)
    await job.enqueueMany(
      Array.from({ length: 3 }, () => ({ input: { text: large } })),
      { via },
    )
    expect(engine.requests.send - sends).toBe(9)
  })

  it('answers each by what became of it', async () => {
    const { engine, via } = connected()
    const tooLarge = 'x'.repeat(1_100_000)
    const results = await job.enqueueMany(
      [
        { input: { text: 'a' }, id: 'a' },
        { input: { text: tooLarge }, id: 'b' },
      ],
      {
        via,
      },
    )
    expect(results).toMatchObject([
      { status: 'enqueued', id: 'a', queue: 'default' },
      { status: 'failed', id: 'b', error: { code: 'invalid_argument' } },
    ])
    engine.before = async (call) => {
      if (call === 'send') throw new SignalboxError('unavailable', 'no')
    }
    await expect(job.enqueue({ text: 'c' }, { via })).rejects.toMatchObject({ code: 'unavailable' })
    expect(await job.enqueueMany([{ input: { text: 'd' } }], { via })).toMatchObject([
      { status: 'failed', error: { code: 'unavailable' } },
    ])
  })

  it('delays up to what a message can, and says what to do beyond', async () => {
    const { engine, via } = connected()
    await job.enqueue({ text: 'later' }, { via, delay: '15m' })
    expect(await engine.stats('default')).toMatchObject({ delayed: 1, visible: 0 })
    await expect(job.enqueue({ text: 'later' }, { via, delay: '16m' })).rejects.toThrow('keepRuns')
  })

  it('needs run records where an id is unique', async () => {
    const { via } = connected()
    const unique = defineJob({ name: 'mail', input, run: () => undefined })
    await expect(unique.enqueue({ text: 'a' }, { via, id: 'a' })).rejects.toThrow('unique: false')
    await expect(unique.enqueue({ text: 'a' }, { via })).resolves.toMatchObject({ duplicate: false })
  })

  it('gives every job an id of its own', async () => {
    const { via } = connected()
    const ids = await Promise.all(Array.from({ length: 50 }, () => job.enqueue({ text: 'a' }, { via })))
    expect(new Set(ids.map(({ id }) => id)).size).toBe(50)
  })
})

describe('the connection of a process', () => {
  it('is opened at the first use, and again if that failed', async () => {
    const { via } = connected()
    let opens = 0
    setDefaultConnection(async () => {
      opens += 1
      if (opens === 1) throw new SignalboxError('unavailable', 'not yet')
      return via
    })
    await expect(job.enqueue({ text: 'a' })).rejects.toThrow('not yet')
    await job.enqueue({ text: 'a' })
    await job.enqueue({ text: 'b' })
    expect(opens).toBe(2)
    setDefaultConnection(undefined)
    expect(() => connectionOf(undefined)).toThrow('signalbox/jobs')
  })
})
