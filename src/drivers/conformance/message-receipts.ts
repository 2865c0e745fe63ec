/** Part of the contract of message engines (message-suite.ts). Receipts: delete, visibility and nacks, and what becomes of ended ones. */
import { describe, expect, it } from 'vitest'
import { code, messagesForBlock, numbered, UNIT, type OpenMessages } from './message-context.ts'

export function receiptSuite(open: OpenMessages): void {
  describe('delete', () => {
    const context = messagesForBlock(open)

    it('ends a message for good', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a', 'b')
      const both = await context.receive(queue, 2, { visibilityMs: UNIT })
      await context.remove(queue, ...both)
      await context.pass(UNIT)
      await context.none(queue)
    })

    it('answers each entry', async () => {
      const queue = await context.queue()
      await context.send(queue, ...numbered(3))
      const [a, b, c] = await context.receive(queue, 3)
      const results = await context.messages.delete(queue, [a!.receipt, 'garbage', b!.receipt])
      expect([results[0], results[2]]).toEqual([{ status: 'deleted' }, { status: 'deleted' }])
      if (context.exactReceipts) {
        expect(results[1]).toEqual({ status: 'failed', error: code('invalid_argument') })
      }
      await context.nack(queue, c!)
      expect(await context.bodies(queue)).toEqual([c!.body])
    })

    it('may be repeated', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const message = await context.one(queue)
      await context.remove(queue, message)
      const [again] = await context.messages.delete(queue, [message.receipt])
      expect(['deleted', 'lost']).toContain(again?.status)
    })

    it('with a receipt that came too late deletes nothing of the next receiver', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const late = await context.one(queue, { visibilityMs: UNIT })
      await context.pass(UNIT)
      const next = await context.one(queue, { visibilityMs: 2 * UNIT })
      const [result] = await context.messages.delete(queue, [late.receipt])
      if (context.exactReceipts) {
        expect(result).toEqual({ status: 'lost' })
        await context.pass(2 * UNIT)
        expect(await context.one(queue)).toMatchObject({ body: 'a', receiveCount: 3 })
        expect(await context.messages.delete(queue, [next.receipt])).toEqual([{ status: 'lost' }])
      }
    })

    it('still works late as long as nobody has received the message since', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const late = await context.one(queue, { visibilityMs: UNIT })
      await context.pass(UNIT)
      await context.remove(queue, late)
      await context.none(queue)
    })

    it('takes a receipt on its own queue only', async () => {
      if (!context.exactReceipts) return
      const [queue, other] = [await context.queue(), await context.queue()]
      await context.send(queue, 'a')
      const message = await context.one(queue, { visibilityMs: UNIT })
      expect(await context.messages.delete(other, [message.receipt])).toEqual([{ status: 'lost' }])
      await context.remove(queue, message)
    })

    it('refuses none, too many, and what is no text', async () => {
      const queue = await context.queue()
      const tooMany = numbered(context.messages.limits.batchEntries + 1)
      for (const receipts of [[], tooMany, [''], [7 as unknown as string]]) {
        await expect(context.messages.delete(queue, receipts)).rejects.toMatchObject({
          code: 'invalid_argument',
        })
      }
    })
  })

  describe('changeVisibility', () => {
    const context = messagesForBlock(open)

    it('extends: the message stays hidden so long from now on', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const { receipt, deadline } = await context.one(queue, { visibilityMs: 2 * UNIT })
      const [changed] = await context.messages.changeVisibility(queue, [
        { receipt, visibilityMs: 2 * UNIT + context.hiddenMs },
      ])
      expect(changed).toMatchObject({ status: 'changed' })
      if (context.manual) expect(changed).toMatchObject({ deadline: deadline + context.hiddenMs })
      await context.pass(2 * UNIT)
      await context.none(queue)
      await context.pass(context.hiddenMs)
      expect(await context.bodies(queue)).toEqual(['a'])
    })

    it('shortens', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const { receipt } = await context.one(queue, { visibilityMs: 600_000 })
      await context.messages.changeVisibility(queue, [{ receipt, visibilityMs: context.hiddenMs }])
      await context.none(queue)
      await context.pass(context.hiddenMs)
      expect(await context.bodies(queue)).toEqual(['a'])
    })

    it('to 0 makes the message visible at once and ends the receipt', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const { receipt } = await context.one(queue)
      const [changed] = await context.messages.changeVisibility(queue, [{ receipt, visibilityMs: 0 }])
      expect(changed?.status).toBe('changed')
      if (context.exactReceipts) {
        expect(await context.messages.delete(queue, [receipt])).toEqual([{ status: 'lost' }])
      }
      expect(await context.one(queue)).toMatchObject({ body: 'a', receiveCount: 2 })
    })

    it('nacks: visible again after the delay, which no late heartbeat moves', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const message = await context.one(queue, { visibilityMs: 10 * UNIT })
      await context.nack(queue, message, context.hiddenMs)
      if (context.exactReceipts) {
        const { receipt } = message
        for (const visibilityMs of [0, 600_000]) {
          expect(await context.messages.changeVisibility(queue, [{ receipt, visibilityMs }])).toEqual([
            { status: 'lost' },
          ])
        }
        expect(await context.messages.delete(queue, [receipt])).toEqual([{ status: 'lost' }])
      }
      await context.none(queue)
      await context.pass(context.hiddenMs)
      expect(await context.one(queue)).toMatchObject({ body: 'a', receiveCount: 2 })
    })

    it('nacks without counting the receive, where the engine can', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const { uncounted = false } = context.messages.capabilities
      for (const receiveCount of [1, uncounted ? 1 : 2]) {
        const { receipt, ...message } = await context.one(queue)
        expect(message.receiveCount).toBe(receiveCount)
        const change = { receipt, visibilityMs: 0, nack: true, uncounted: true }
        expect(await context.messages.changeVisibility(queue, [change])).toMatchObject([
          { status: 'changed' },
        ])
      }
    })

    it('does not revive an ended visibility', async () => {
      if (!context.exactReceipts) return
      const queue = await context.queue()
      await context.send(queue, 'a')
      const { receipt } = await context.one(queue, { visibilityMs: UNIT })
      await context.pass(UNIT)
      expect(await context.messages.changeVisibility(queue, [{ receipt, visibilityMs: UNIT }])).toEqual([
        { status: 'lost' },
      ])
      await context.one(queue)
    })

    it('keeps a message in flight for 12 hours at most', async () => {
      if (!context.manual) return
      const queue = await context.queue()
      await context.send(queue, 'a')
      const { receipt } = await context.one(queue, { visibilityMs: 2 * UNIT })
      await context.pass(UNIT)
      const hours = 12 * 60 * 60 * 1_000
      const change = async (visibilityMs: number): Promise<unknown> =>
        (await context.messages.changeVisibility(queue, [{ receipt, visibilityMs }]))[0]
      expect(await change(hours)).toEqual({ status: 'failed', error: code('invalid_argument') })
      expect(await change(hours - UNIT)).toMatchObject({ status: 'changed' })
    })

    it('answers each entry', async () => {
      const queue = await context.queue()
      await context.send(queue, ...numbered(3))
      const [a, b, c] = await context.receive(queue, 3)
      const results = await context.messages.changeVisibility(queue, [
        { receipt: a!.receipt, visibilityMs: 0 },
        { receipt: b!.receipt, visibilityMs: 43_200_001 },
        { receipt: c!.receipt, visibilityMs: 600_000 },
      ])
      expect(results.map(({ status }) => status)).toEqual(['changed', 'failed', 'changed'])
      expect(results[1]).toEqual({ status: 'failed', error: code('invalid_argument') })
      expect(await context.bodies(queue)).toEqual([a!.body])
    })

    it('refuses none and too many', async () => {
      const queue = await context.queue()
      const tooMany = numbered(context.messages.limits.batchEntries + 1)
      for (const receipts of [[], tooMany]) {
        const changes = receipts.map((receipt) => ({ receipt, visibilityMs: 0 }))
        await expect(context.messages.changeVisibility(queue, changes)).rejects.toMatchObject({
          code: 'invalid_argument',
        })
      }
    })
  })
}
