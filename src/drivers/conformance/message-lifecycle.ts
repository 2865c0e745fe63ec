/** Part of the contract of message engines (message-suite.ts). Opening again, closing, and the queues an engine knows. */
import { describe, expect, it } from 'vitest'
import { grouped, MessageContext, numbered, UNIT, type OpenMessages } from './message-context.ts'

export function messageLifecycleSuite(open: OpenMessages): void {
  async function opened(): Promise<MessageContext> {
    const context = new MessageContext()
    await context.open(open)
    return context
  }

  describe('close', () => {
    it('lets receives that wait answer, may be repeated, and ends everything', async () => {
      const context = await opened()
      const queue = await context.queue()
      const { messages } = context
      const waiting = Array.from({ length: 3 }, () => messages.receive(queue, { waitMs: 20_000 }))
      await context.settle()
      await Promise.all([messages.close(), messages.close()])
      expect(await Promise.all(waiting)).toEqual([[], [], []])
      for (const call of [
        () => messages.send(queue, [{ body: 'x' }]),
        () => messages.receive(queue),
        () => messages.delete(queue, ['1.1']),
        () => messages.stats(queue),
        () => messages.declareQueue(queue),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: 'unavailable' })
      }
      await context.close()
    })
  })

  describe('the data', () => {
    it('keep everything that was acknowledged', async () => {
      const context = await opened()
      const { reopen } = context.target
      if (reopen === undefined) {
        await context.close()
        return
      }
      const queue = await context.queue({ visibilityMs: 60 * UNIT })
      await context.send(queue, ...numbered(5), { body: 'late', delayMs: 5 * UNIT })
      const [a, b] = await context.receive(queue, 2)
      await context.remove(queue, a!)
      const messages = await reopen()
      expect(await messages.describeQueue(queue)).toMatchObject({ visibilityMs: 60 * UNIT })
      expect(await messages.stats(queue)).toMatchObject({ visible: 3, inFlight: 1, delayed: 1 })
      const rest = await messages.receive(queue, { max: 10 })
      expect(rest.map(({ body }) => body)).toEqual(['m2', 'm3', 'm4'])
      expect(await messages.delete(queue, [b!.receipt, a!.receipt])).toEqual([
        { status: 'deleted' },
        { status: 'lost' },
      ])
      await context.pass(5 * UNIT)
      expect(await messages.receive(queue, { max: 10 })).toMatchObject([{ body: 'late' }])
      await messages.close()
      await context.close()
    })

    it('keep the locks and the memory of FIFO queues', async () => {
      const context = await opened()
      const { reopen } = context.target
      if (reopen === undefined) {
        await context.close()
        return
      }
      const queue = await context.queue({ fifo: true })
      await context.send(queue, ...grouped('g', 'a', 'b'), { body: 'c', groupId: 'h', deduplicationId: 'd' })
      const [held] = await context.messages.receive(queue, { max: 1 })
      const messages = await reopen()
      const [again] = await messages.send(queue, [{ body: 'd', groupId: 'h', deduplicationId: 'd' }])
      expect(again?.status).toBe('sent')
      expect(await messages.receive(queue, { max: 10 })).toMatchObject([{ body: 'c' }])
      expect(await messages.delete(queue, [held!.receipt])).toEqual([{ status: 'deleted' }])
      expect(await messages.receive(queue, { max: 10 })).toMatchObject([{ body: 'b' }])
      await messages.close()
      await context.close()
    })
  })
}
