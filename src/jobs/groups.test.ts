import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineJob, type JobOptions } from './define.ts'
import { world } from './testing/world.ts'

const input = z.object({ n: z.number() })

function ordered(
  run: (n: number, group: string | undefined) => unknown,
  options: Partial<JobOptions<typeof input>> = {},
) {
  return defineJob({
    name: 'step',
    queue: 'steps.fifo',
    input,
    unique: false,
    retry: { attempts: 3, minDelay: '10s', maxDelay: '10s' },
    ...options,
    run: ({ n }, { group }) => run(n, group),
  })
}

const items = (group: string, ...ns: number[]) => ns.map((n) => ({ input: { n }, group }))

describe('jobs of a group', () => {
  it('run one after the other, in order, beside those of other groups', async () => {
    const w = await world('embedded')
    const order: string[] = []
    const ends: (() => void)[] = []
    const job = ordered((n, group) => {
      order.push(`${group}${n}`)
      return new Promise<void>((resolve) => ends.push(resolve))
    })
    await w.work([job])
    await job.enqueueMany([...items('a', 1, 2, 3), ...items('b', 1, 2)], { via: w.via })
    await w.until(() => order.length === 2)
    await w.clock.advance(1_000)
    expect(order).toEqual(['a1', 'b1'])
    for (const before of [2, 4]) {
      for (const end of ends.splice(0)) end()
      await w.clock.advance(2_000)
      expect(order.length).toBeGreaterThan(before)
    }
    for (const end of ends.splice(0)) end()
    await w.clock.advance(2_000)
    expect(order.filter((name) => name.startsWith('a'))).toEqual(['a1', 'a2', 'a3'])
    expect(order.filter((name) => name.startsWith('b'))).toEqual(['b1', 'b2'])
  })

  it('wait for one that failed, which blocks its group no longer than its attempts, and no other group', async () => {
    const w = await world('embedded')
    const order: string[] = []
    const job = ordered((n, group) => {
      order.push(`${group}${n}`)
      if (group === 'a' && n === 1) throw new Error('no')
    })
    await w.work([job])
    await job.enqueueMany([...items('a', 1, 2), ...items('b', 1, 2)], { via: w.via })
    await w.clock.advance(5_000)
    expect(order.toSorted()).toEqual(['a1', 'b1', 'b2'])
    await w.clock.advance(10_000)
    expect(order.toSorted()).toEqual(['a1', 'a1', 'b1', 'b2'])
    await w.clock.advance(20_000)
    expect(order.slice(-2)).toEqual(['a1', 'a2'])
    expect(await w.take('steps-dead.fifo')).toMatchObject([{ groupId: 'a', deadLetterSource: 'steps.fifo' }])
  })

  it('are not held up by poison', async () => {
    const w = await world('embedded')
    const done: number[] = []
    const job = ordered((n) => done.push(n))
    await w.work([job])
    const poison = { body: '{bad', groupId: 'a', deduplicationId: 'p' }
    await w.engine.send('steps.fifo', [poison])
    await job.enqueueMany(items('a', 1, 2), { via: w.via })
    await w.clock.advance(1_000)
    expect(done).toEqual([1, 2])
    expect(await w.take('steps-dead.fifo')).toHaveLength(1)
  })

  it('keep their order when a worker is drained', async () => {
    const w = await world('embedded')
    const order: number[] = []
    let end: (() => void) | undefined
    const job = ordered((n) => {
      order.push(n)
      return new Promise<void>((resolve) => (end = resolve))
    })
    const first = await w.work([job])
    await job.enqueueMany(items('a', 1, 2, 3), { via: w.via })
    await w.until(() => order.length === 1)
    const drained = first.drain()
    await w.clock.advance(100)
    await w.work([job])
    await w.clock.advance(1_000)
    expect(order).toEqual([1])
    end?.()
    await w.clock.advance(3_000)
    await drained
    for (let i = 0; i < 3; i++) {
      end?.()
      await w.clock.advance(1_000)
    }
    expect(order).toEqual([1, 2, 3])
  })

  it('with the same id within five minutes are one', async () => {
    const w = await world('embedded')
    const done: number[] = []
    const job = ordered((n) => done.push(n))
    await w.work([job])
    const long = 'x'.repeat(100)
    for (let i = 0; i < 3; i++) {
      await job.enqueue({ n: 1 }, { via: w.via, id: 'same', group: 'a' })
      await job.enqueue({ n: 2 }, { via: w.via, id: long, group: 'a' })
    }
    await w.clock.advance(1_000)
    expect(done).toEqual([1, 2])
    await expect(job.enqueue({ n: 1 }, { via: w.via, delay: '1s' })).rejects.toThrow('FIFO queue')
  })
})
