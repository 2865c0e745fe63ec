/** Part of the contract of message engines (message-suite.ts). What is told without receiving: queue facts, counts, peeks. */
import { describe, expect, it } from 'vitest'
import type { OutgoingMessage } from '../../ports/message-queue.ts'
import { grouped, messagesForBlock, numbered, UNIT, type OpenMessages } from './message-context.ts'

const MINUTE = 60_000

export function lookSuite(open: OpenMessages): void {
  describe('queues', () => {
    const context = messagesForBlock(open)

    it('have the options they were declared with, or the defaults', async () => {
      const queue = await context.queue({ visibilityMs: 5 * UNIT })
      const facts = {
        name: queue,
        fifo: false,
        contentDeduplication: false,
        visibilityMs: 5 * UNIT,
        delayMs: 0,
        retentionMs: 4 * 24 * 60 * MINUTE,
      }
      expect(await context.messages.describeQueue(queue)).toEqual(facts)
      expect(await context.messages.listQueues()).toContain(queue)
    })

    it('take new options when declared again, and keep their messages', async () => {
      if (context.messages.capabilities.queues !== 'declared') return
      const queue = await context.queue()
      await context.send(queue, 'a')
      await context.messages.declareQueue(queue, { visibilityMs: 2 * UNIT })
      expect((await context.messages.describeQueue(queue)).visibilityMs).toBe(2 * UNIT)
      await context.one(queue)
      await context.pass(2 * UNIT)
      expect(await context.bodies(queue)).toEqual(['a'])
    })

    it('that nobody has are not found', async () => {
      const { messages } = context
      const calls = [
        () => messages.send('absent', [{ body: 'x' }]),
        () => messages.receive('absent'),
        () => messages.delete('absent', ['1.1']),
        () => messages.changeVisibility('absent', [{ receipt: '1.1', visibilityMs: 0 }]),
        () => messages.stats('absent'),
        () => messages.purge('absent'),
        () => messages.describeQueue('absent'),
      ]
      for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'not_found' })
    })

    it.each([
      ['', {}],
      ['a b', {}],
      ['ü', {}],
      ['x'.repeat(81), {}],
      ['a.fifo', { fifo: false }],
      ['a', { fifo: true }],
      ['a', { contentDeduplication: true }],
      ['a', { visibilityMs: 43_200_001 }],
      ['a', { delayMs: 900_001 }],
      ['a', { retentionMs: MINUTE - 1 }],
      ['a', { deadLetter: { queue: 'a', maxReceives: 1 } }],
      ['a', { deadLetter: { queue: 'b', maxReceives: 0 } }],
      ['a', { deadLetter: { queue: 'b.fifo', maxReceives: 1 } }],
    ])('cannot be %j with %j', async (name, options) => {
      await expect(context.messages.declareQueue(name, options)).rejects.toMatchObject({
        code: 'invalid_argument',
      })
    })

    it('need their dead-letter queue first', async () => {
      if (context.messages.capabilities.queues !== 'declared') return
      const deadLetter = { queue: 'absent', maxReceives: 1 }
      await expect(context.messages.declareQueue('early', { deadLetter })).rejects.toMatchObject({
        code: 'not_found',
      })
    })
  })

  describe('stats', () => {
    const context = messagesForBlock(open)

    it('count what is visible, in flight and delayed, and the oldest age', async () => {
      const queue = await context.queue()
      const { messages } = context
      if (messages.capabilities.stats !== 'exact') {
        expect(await messages.stats(queue)).toMatchObject({ visible: 0, inFlight: 0, delayed: 0 })
        return
      }
      expect(await messages.stats(queue)).toEqual({ visible: 0, inFlight: 0, delayed: 0, oldestAgeMs: 0 })
      await context.send(queue, ...numbered(5), { body: 'late', delayMs: 5 * UNIT })
      const [a, b, c] = await context.receive(queue, 3, { visibilityMs: 2 * UNIT })
      expect(await messages.stats(queue)).toMatchObject({ visible: 2, inFlight: 3, delayed: 1 })
      await context.remove(queue, a!)
      await context.nack(queue, b!, 5 * UNIT)
      expect(await messages.stats(queue)).toMatchObject({ visible: 2, inFlight: 1, delayed: 2 })
      await context.pass(2 * UNIT)
      const stats = await messages.stats(queue)
      expect(stats).toMatchObject({ visible: 3, inFlight: 0, delayed: 2 })
      if (context.manual) expect(stats.oldestAgeMs).toBe(2 * UNIT)
      await context.remove(queue, c!)
      await context.pass(3 * UNIT)
      expect(await messages.stats(queue)).toMatchObject({ visible: 4, inFlight: 0, delayed: 0 })
    })
  })

  describe('retention', () => {
    const context = messagesForBlock(open)

    it('drops a message at its age, in whatever state', async () => {
      if (!context.manual) return
      const queue = await context.queue({ retentionMs: MINUTE })
      await context.send(queue, 'held', 'old', { body: 'delayed', delayMs: 2 * MINUTE })
      const held = await context.one(queue, { visibilityMs: MINUTE - 1 })
      await context.nack(queue, held, MINUTE - 1)
      await context.pass(MINUTE - 1)
      await context.send(queue, 'young')
      expect((await context.messages.stats(queue)).visible).toBe(3)
      await context.pass(1)
      expect(await context.messages.stats(queue)).toEqual({
        visible: 1,
        inFlight: 0,
        delayed: 0,
        oldestAgeMs: 1,
      })
      expect(await context.bodies(queue)).toEqual(['young'])
    })

    it.each([false, true])('never delivers a message past its age, swept or not (FIFO: %s)', async (fifo) => {
      if (!context.manual) return
      // No multiple of any interval at which an engine may sweep.
      const retentionMs = MINUTE + 12_345
      const queue = await context.queue({ retentionMs, fifo })
      const one = (body: string): OutgoingMessage => (fifo ? grouped('g', body)[0]! : { body })
      await context.send(queue, one('old'), one('older'))
      await context.pass(retentionMs - 1)
      await context.send(queue, one('young'))
      await context.pass(1)
      const got: string[] = []
      for (let i = 0; i < 3 && got.length === 0; i++) got.push(...(await context.bodies(queue)))
      expect(got).toEqual(['young'])
      if (context.messages.capabilities.stats !== 'exact') return
      expect(await context.messages.stats(queue)).toMatchObject({ visible: 0, inFlight: 1 })
    })

    it('counts from the send also in a dead-letter queue', async () => {
      if (!context.manual) return
      const dead = await context.queue({ retentionMs: 2 * MINUTE })
      const queue = await context.queue({ deadLetter: { queue: dead, maxReceives: 1 } })
      await context.send(queue, 'poison')
      await context.pass(MINUTE)
      await context.nack(queue, await context.one(queue))
      await context.none(queue)
      expect((await context.messages.stats(dead)).visible).toBe(1)
      await context.pass(MINUTE)
      expect((await context.messages.stats(dead)).visible).toBe(0)
    })
  })

  describe('peek', () => {
    const context = messagesForBlock(open)

    it('shows every message, whatever its state, and takes none', async () => {
      if (context.messages.peek === undefined) return
      const queue = await context.queue()
      const attributes = { a: { type: 'Binary', value: new Uint8Array([1]) } }
      await context.send(queue, { body: 'a', attributes }, { body: 'b', delayMs: 5 * UNIT }, 'c')
      await context.one(queue)
      const { messages } = await context.messages.peek(queue)
      expect(messages.map(({ body, state, receiveCount }) => [body, state, receiveCount])).toEqual([
        ['a', 'in_flight', 1],
        ['b', 'delayed', 0],
        ['c', 'visible', 0],
      ])
      expect(messages[0]?.attributes).toEqual(attributes)
      expect(await context.bodies(queue)).toEqual(['c'])
    })

    it('goes through a queue page by page', async () => {
      if (context.messages.peek === undefined) return
      const queue = await context.queue()
      await context.fill(queue, numbered(25))
      const seen: string[] = []
      let after: string | undefined
      do {
        const page = await context.messages.peek(queue, { limit: 10, ...(after && { after }) })
        seen.push(...page.messages.map(({ body }) => body))
        after = page.next
      } while (after !== undefined)
      expect(seen).toEqual(numbered(25))
      for (const options of [{ limit: 0 }, { limit: 101 }, { after: 'garbage' }]) {
        await expect(context.messages.peek(queue, options)).rejects.toMatchObject({
          code: 'invalid_argument',
        })
      }
    })
  })

  describe('purge', () => {
    const context = messagesForBlock(open)

    it('empties a queue, whatever state its messages are in, and no other', async () => {
      const [queue, other] = [await context.queue(), await context.queue()]
      await context.fill(queue, numbered(40))
      await context.send(queue, { body: 'late', delayMs: UNIT })
      await context.send(other, 'other')
      const held = await context.one(queue, { visibilityMs: UNIT })
      await context.messages.purge(queue)
      if (context.exactReceipts) {
        expect(await context.messages.delete(queue, [held.receipt])).toEqual([{ status: 'lost' }])
      }
      await context.pass(UNIT)
      await context.none(queue)
      expect(await context.bodies(other)).toEqual(['other'])
      await context.send(queue, 'new')
      expect(await context.bodies(queue)).toEqual(['new'])
    })

    it('unlocks the groups of a FIFO queue', async () => {
      const queue = await context.queue({ fifo: true })
      await context.send(queue, ...grouped('g', 'a', 'b'))
      await context.one(queue)
      await context.messages.purge(queue)
      await context.send(queue, ...grouped('g', 'c'))
      expect(await context.bodies(queue)).toEqual(['c'])
    })
  })
}
