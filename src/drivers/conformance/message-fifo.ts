/** Part of the contract of message engines (message-suite.ts). FIFO queues: order within groups, locked groups, deduplication. */
import { describe, expect, it } from 'vitest'
import type { OutgoingMessage } from '../../ports/message-queue.ts'
import { code, grouped, messagesForBlock, numbered, UNIT, type OpenMessages } from './message-context.ts'

const WINDOW = 5 * 60_000

export function fifoSuite(open: OpenMessages): void {
  describe('a FIFO queue', () => {
    const context = messagesForBlock(open)

    it('keeps the order of a group', async () => {
      const queue = await context.queue({ fifo: true })
      const bodies = numbered(30)
      for (let i = 0; i < 30; i += 10) await context.send(queue, ...grouped('g', ...bodies.slice(i, i + 10)))
      const received: string[] = []
      const sequences: bigint[] = []
      while (received.length < 30) {
        const some = await context.receive(queue, 7)
        expect(some.length).toBeGreaterThan(0)
        received.push(...some.map(({ body }) => body))
        sequences.push(...some.map(({ sequence }) => BigInt(sequence!)))
        await context.remove(queue, ...some)
      }
      expect(received).toEqual(bodies)
      expect(sequences).toEqual(sequences.toSorted((a, b) => (a < b ? -1 : 1)))
    })

    it('tells the group, the deduplication id and the sequence', async () => {
      const queue = await context.queue({ fifo: true })
      const [sent] = await context.send(queue, { body: 'a', groupId: 'g!', deduplicationId: 'd?' })
      expect(sent?.sequence).toMatch(/^\d+$/)
      expect(await context.one(queue)).toMatchObject({
        groupId: 'g!',
        deduplicationId: 'd?',
        sequence: sent?.sequence,
        messageId: sent?.messageId,
      })
    })

    it('locks a group while one of its messages is in flight, and no other', async () => {
      const queue = await context.queue({ fifo: true })
      await context.send(queue, ...grouped('g', 'g0', 'g1'), ...grouped('h', 'h0'))
      const first = await context.one(queue)
      const rest = await context.bodies(queue)
      expect(first.body).toBe('g0')
      expect(rest).toEqual(['h0'])
      await context.none(queue)
      await context.remove(queue, first)
      expect(await context.bodies(queue)).toEqual(['g1'])
    })

    it('gives several messages of a group to one receive, and unlocks it with the last', async () => {
      const queue = await context.queue({ fifo: true })
      await context.send(queue, ...grouped('g', ...numbered(4)))
      const [a, b, c] = await context.messages.receive(queue, { max: 3, waitMs: UNIT })
      expect([a?.body, b?.body, c?.body]).toEqual(['m0', 'm1', 'm2'])
      await context.remove(queue, a!, c!)
      await context.none(queue)
      await context.remove(queue, b!)
      expect(await context.bodies(queue)).toEqual(['m3'])
    })

    it('keeps a group locked when the first of several comes back before the others are done', async () => {
      const queue = await context.queue({ fifo: true })
      await context.send(queue, ...grouped('g', ...numbered(3)))
      const [a, b] = await context.messages.receive(queue, { max: 2, waitMs: UNIT })
      await context.nack(queue, a!)
      await context.none(queue)
      await context.remove(queue, b!)
      expect(await context.bodies(queue)).toEqual(['m0', 'm2'])
    })

    it('delivers a message again before those behind it', async () => {
      const queue = await context.queue({ fifo: true })
      await context.send(queue, ...grouped('g', ...numbered(3)))
      await context.one(queue, { visibilityMs: UNIT })
      await context.pass(UNIT)
      const again = await context.one(queue)
      expect(again).toMatchObject({ body: 'm0', receiveCount: 2 })
      await context.nack(queue, again)
      const third = await context.one(queue)
      expect(third).toMatchObject({ body: 'm0', receiveCount: 3 })
      await context.nack(queue, third, context.hiddenMs)
      await context.none(queue)
      await context.pass(context.hiddenMs)
      expect(await context.one(queue)).toMatchObject({ body: 'm0', receiveCount: 4 })
    })

    it('accepts a deduplication id once, also after its message is gone', async () => {
      const queue = await context.queue({ fifo: true })
      const message = { groupId: 'g', deduplicationId: 'd' }
      await context.send(queue, { body: 'first', ...message }, { body: 'second', ...message })
      const first = await context.one(queue)
      expect(first.body).toBe('first')
      await context.send(queue, { body: 'third', ...message, groupId: 'other' })
      await context.remove(queue, first)
      await context.send(queue, { body: 'fourth', ...message })
      await context.none(queue)
    })

    it('forgets a deduplication id after five minutes', async () => {
      if (!context.manual) return
      const queue = await context.queue({ fifo: true })
      const message = (body: string): OutgoingMessage => ({ body, groupId: 'g', deduplicationId: 'd' })
      await context.send(queue, message('first'))
      await context.remove(queue, await context.one(queue))
      await context.pass(WINDOW - 1)
      await context.send(queue, message('second'))
      await context.none(queue)
      await context.pass(1)
      await context.send(queue, message('third'))
      expect(await context.bodies(queue)).toEqual(['third'])
    })

    it('deduplicates by content when told to', async () => {
      const queue = await context.queue({ fifo: true, contentDeduplication: true })
      const groupId = 'g'
      await context.send(
        queue,
        { body: 'same', groupId },
        { body: 'same', groupId },
        { body: 'other', groupId },
      )
      await context.send(queue, { body: 'same', groupId, deduplicationId: 'own' })
      expect(await context.bodies(queue)).toEqual(['same', 'other', 'same'])
    })

    it.each<[string, OutgoingMessage]>([
      ['a group', { body: 'x', deduplicationId: 'd' }],
      ['a deduplication id', { body: 'x', groupId: 'g' }],
    ])('refuses a message without %s', async (_, message) => {
      const queue = await context.queue({ fifo: true })
      expect(await context.messages.send(queue, [message])).toEqual([
        { status: 'failed', error: code('invalid_argument') },
      ])
    })

    it('takes no delay for one message', async () => {
      const queue = await context.queue({ fifo: true })
      const [message] = grouped('g', 'a')
      expect(await context.messages.send(queue, [{ ...message!, delayMs: UNIT }])).toEqual([
        { status: 'failed', error: code('invalid_argument') },
      ])
    })

    it('delays all of its messages, in order', async () => {
      const queue = await context.queue({ fifo: true, delayMs: context.hiddenMs })
      await context.send(queue, ...grouped('g', 'a', 'b'))
      await context.none(queue)
      await context.pass(context.hiddenMs)
      expect(await context.bodies(queue)).toEqual(['a', 'b'])
    })

    it('lets many receivers work on many groups, each group in order', async () => {
      const queue = await context.queue({ fifo: true })
      const groups = numbered(10, 'g')
      for (let i = 0; i < 6; i++) await context.send(queue, ...groups.flatMap((g) => grouped(g, String(i))))
      const seen = new Map<string, string[]>(groups.map((group) => [group, []]))
      const worker = async (): Promise<void> => {
        for (;;) {
          const some = await context.receive(queue, 3)
          if (some.length === 0) return
          for (const { groupId, body } of some) seen.get(groupId!)!.push(body)
          await context.settle()
          await context.remove(queue, ...some)
        }
      }
      // A worker that finds all groups locked stops; the last one finds the rest.
      await Promise.all(Array.from({ length: 8 }, worker))
      await worker()
      for (const bodies of seen.values()) expect(bodies).toEqual(['0', '1', '2', '3', '4', '5'])
    })
  })
}
