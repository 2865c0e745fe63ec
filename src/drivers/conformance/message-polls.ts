/** Part of the contract of message engines (message-suite.ts). Receives that wait: when they wake, end and are aborted. */
import { describe, expect, it } from 'vitest'
import type { ReceivedMessage } from '../../ports/message-queue.ts'
import { grouped, messagesForBlock, numbered, UNIT, type OpenMessages } from './message-context.ts'

const WAIT = { waitMs: 20_000 } as const

export function pollSuite(open: OpenMessages): void {
  describe('a receive that waits', () => {
    const context = messagesForBlock(open)
    const waitFor = (queue: string, signal?: AbortSignal): Promise<readonly ReceivedMessage[]> =>
      context.messages.receive(queue, { ...WAIT, max: 10, ...(signal === undefined ? {} : { signal }) })

    it('answers at once when there is something', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      expect(await waitFor(queue)).toMatchObject([{ body: 'a' }])
    })

    it('answers with nothing when its time is over', async () => {
      const queue = await context.queue()
      const received = context.messages.receive(queue, { waitMs: UNIT })
      if (context.manual) {
        let answered = false
        void received.then(() => (answered = true))
        await context.pass(UNIT - 1)
        expect(answered).toBe(false)
        await context.pass(1)
      }
      expect(await received).toEqual([])
    })

    it('is woken by a send, not by time', async () => {
      const queue = await context.queue()
      const received = waitFor(queue)
      await context.settle()
      await context.send(queue, 'a')
      expect(await received).toMatchObject([{ body: 'a' }])
    })

    it('is woken when a delay ends', async () => {
      const queue = await context.queue()
      const received = waitFor(queue)
      await context.settle()
      await context.send(queue, { body: 'a', delayMs: UNIT })
      await context.pass(UNIT)
      expect(await received).toMatchObject([{ body: 'a' }])
    })

    it('is woken when a visibility ends, also one that begins while it waits', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const held = await context.one(queue, { visibilityMs: 2 * UNIT })
      const received = waitFor(queue)
      await context.settle()
      await context.messages.changeVisibility(queue, [{ receipt: held.receipt, visibilityMs: UNIT }])
      await context.pass(UNIT)
      expect(await received).toMatchObject([{ body: 'a', receiveCount: 2 }])
    })

    it('is woken when a message is given back', async () => {
      const queue = await context.queue()
      await context.send(queue, 'a')
      const held = await context.one(queue)
      const received = waitFor(queue)
      await context.settle()
      await context.nack(queue, held)
      expect(await received).toMatchObject([{ body: 'a', receiveCount: 2 }])
    })

    it('is woken when the group of a message is free again', async () => {
      const queue = await context.queue({ fifo: true })
      await context.send(queue, ...grouped('g', 'a', 'b'))
      const held = await context.one(queue)
      const received = waitFor(queue)
      await context.settle()
      await context.remove(queue, held)
      expect(await received).toMatchObject([{ body: 'b' }])
    })

    it('shares a batch with others that wait', async () => {
      const queue = await context.queue()
      const receives = Array.from({ length: 5 }, () => context.messages.receive(queue, { ...WAIT, max: 2 }))
      await context.settle()
      await context.send(queue, ...numbered(10))
      const all = await Promise.all(receives)
      if (!context.exact) return
      expect(all.map(({ length }) => length)).toEqual([2, 2, 2, 2, 2])
      expect(new Set(all.flat().map(({ body }) => body)).size).toBe(10)
    })

    it('throws the reason of its signal, and takes nothing any more', async () => {
      const queue = await context.queue()
      const controller = new AbortController()
      const received = waitFor(queue, controller.signal)
      const reason = new Error('enough')
      await context.settle()
      controller.abort(reason)
      await expect(received).rejects.toBe(reason)
      await expect(waitFor(queue, controller.signal)).rejects.toBe(reason)
      await context.send(queue, 'a')
      await context.settle()
      expect(await context.one(queue)).toMatchObject({ body: 'a' })
    })

    it('and gives up in the middle of a delivery leaves its messages to others', async () => {
      const queue = await context.queue()
      for (let round = 0; round < 20; round++) {
        const controller = new AbortController()
        const received = waitFor(queue, controller.signal).catch(() => [])
        // Some give up before the send, some between it and its answer, some after.
        if (round % 4 === 0) await context.settle()
        const sent = context.send(queue, `m${round}`)
        if (round % 2 === 0) await Promise.resolve()
        controller.abort(new Error('enough'))
        await sent
        const taken = await received
        await context.settle()
        const left = taken.length > 0 ? taken : await context.receive(queue, 1)
        expect(left).toMatchObject([{ body: `m${round}` }])
        await context.remove(queue, ...left)
      }
    })

    it('and gives up hands what it was woken for to the next', async () => {
      const queue = await context.queue()
      const controllers = Array.from({ length: 10 }, () => new AbortController())
      const leaving = controllers.map(({ signal }) => waitFor(queue, signal).catch(() => []))
      const staying = waitFor(queue)
      await context.settle()
      const sent = context.send(queue, 'a')
      for (const controller of controllers) controller.abort(new Error('enough'))
      await sent
      const got = (await Promise.all(leaving)).flat()
      if (got.length === 0) expect(await staying).toMatchObject([{ body: 'a' }])
      else await context.send(queue, 'b')
      await staying
    })
  })
}
