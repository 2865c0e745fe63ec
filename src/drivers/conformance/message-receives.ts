/** Part of the contract of message engines (message-suite.ts). Receiving: what comes, how much of it, and for how long it is hidden. */
import { describe, expect, it } from 'vitest'
import { messagesForBlock, numbered, type OpenMessages } from './message-context.ts'

export function receiveSuite(open: OpenMessages): void {
  describe('receive', () => {
    const context = messagesForBlock(open)

    it('of an empty queue returns nothing', async () => {
      await context.none(await context.queue())
    })

    it('returns one message unless more are asked for, and never more than that', async () => {
      const queue = await context.queue()
      await context.send(queue, ...numbered(5))
      expect(await context.receive(queue, 1)).toHaveLength(1)
      expect((await context.messages.receive(queue, { max: 3 })).length).toBeLessThanOrEqual(3)
    })

    it('hides what it returns from everybody until its visibility ends', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const visibilityMs = context.hiddenMs
      const first = await context.one(queue, { visibilityMs })
      expect(first).toMatchObject({ body: 'a', receiveCount: 1 })
      await context.none(queue)
      if (context.manual) {
        await context.pass(visibilityMs - 1)
        await context.none(queue)
      }
      await context.pass(context.manual ? 1 : visibilityMs)
      const second = await context.one(queue)
      expect(second).toMatchObject({
        body: 'a',
        messageId: first.messageId,
        receiveCount: 2,
        sentAt: first.sentAt,
        firstReceivedAt: first.firstReceivedAt,
      })
      expect(second.receipt).not.toBe(first.receipt)
    })

    it('goes by the visibility of the queue when none is given', async () => {
      const queue = await context.queue({ visibilityMs: context.hiddenMs })
      await context.send(queue, 'a')
      await context.one(queue)
      await context.none(queue)
      await context.pass(context.hiddenMs)
      expect(await context.bodies(queue)).toEqual(['a'])
    })

    it('tells a deadline that is not later than the end of the visibility', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const { deadline, sentAt, firstReceivedAt } = await context.one(queue, { visibilityMs: 60_000 })
      if (!context.manual) return
      expect(deadline - sentAt).toBe(60_000)
      expect(firstReceivedAt).toBe(sentAt)
    })

    it('with a visibility of 0 hides nothing', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      await context.one(queue, { visibilityMs: 0 })
      expect(await context.one(queue)).toMatchObject({ body: 'a', receiveCount: 2 })
    })

    it('returns only the attributes that were asked for', async () => {
      const queue = await context.queue()
      const value = { type: 'String', value: 'v' }
      const attributes = { 'trace.id': value, 'trace.flag': value, other: value }
      await context.send(queue, { body: 'a', attributes })
      const names = async (wanted: 'all' | string[]): Promise<string[]> => {
        const message = await context.one(queue, { attributes: wanted, visibilityMs: 0 })
        return Object.keys(message.attributes).toSorted()
      }
      expect(await names([])).toEqual([])
      expect(await names(['other', 'absent'])).toEqual(['other'])
      expect(await names(['trace.*'])).toEqual(['trace.flag', 'trace.id'])
      expect(await names('all')).toEqual(['other', 'trace.flag', 'trace.id'])
    })

    it('returns the longest visible first, where the engine keeps an order', async () => {
      if (!context.exact) return
      const queue = await context.queue()
      const bodies = numbered(50)
      await context.fill(queue, bodies)
      expect(await context.bodies(queue)).toEqual(bodies)
    })

    it('gives each message to one of many receivers', async () => {
      const queue = await context.queue()
      const bodies = numbered(300)
      await context.fill(queue, bodies)
      const got: string[] = []
      const receiver = async (i: number): Promise<void> => {
        for (;;) {
          const some = await context.receive(queue, 1 + (i % 10), { visibilityMs: 600_000 })
          if (some.length === 0) return
          got.push(...some.map(({ body }) => body))
        }
      }
      await Promise.all(Array.from({ length: context.exact ? 40 : 10 }, (_, i) => receiver(i)))
      if (context.exact) expect(got).toHaveLength(bodies.length)
      expect([...new Set(got)].toSorted()).toEqual(bodies.toSorted())
    })

    it.each([
      { max: 0 },
      { max: 1.5 },
      { max: 1_000_000 },
      { visibilityMs: -1 },
      { visibilityMs: 43_200_001 },
      { waitMs: -1 },
      { waitMs: 20_001 },
      { attributes: ['a b'] },
    ])('refuses %j', async (options) => {
      const queue = await context.queue()
      await expect(context.messages.receive(queue, options)).rejects.toMatchObject({
        code: 'invalid_argument',
      })
    })

    it('bounds what one answer holds, and leaves the rest for the next', async () => {
      const queue = await context.queue()
      const large = 'x'.repeat(context.messages.limits.messageBytes)
      for (let i = 0; i < 4; i++) await context.send(queue, large)
      const received = await context.receive(queue, 4, { visibilityMs: 600_000 })
      expect(received.map(({ body }) => body === large)).toEqual([true, true, true, true])
    })
  })
}
