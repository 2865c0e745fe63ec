/** Part of the contract of message engines (message-suite.ts). Dead-letter queues: what moves there, when, and the way back. */
import { describe, expect, it } from 'vitest'
import { grouped, messagesForBlock, numbered, UNIT, type OpenMessages } from './message-context.ts'

export function deadLetterSuite(open: OpenMessages): void {
  describe('a dead-letter policy', () => {
    const context = messagesForBlock(open)
    const pair = async (maxReceives: number, fifo = false): Promise<[queue: string, dead: string]> => {
      const dead = await context.queue({ fifo })
      return [await context.queue({ fifo, deadLetter: { queue: dead, maxReceives } }), dead]
    }

    it('moves a message instead of delivering it once more than allowed', async () => {
      const [queue, dead] = await pair(2)
      const attributes = { a: { type: 'String', value: 'kept' } }
      await context.send(queue, { body: 'poison', attributes })
      for (const receiveCount of [1, 2]) {
        const message = await context.one(queue)
        expect(message).toMatchObject({ body: 'poison', receiveCount })
        await context.none(dead)
        await context.nack(queue, message)
      }
      await context.none(queue)
      expect(await context.one(dead)).toMatchObject({ body: 'poison', attributes, deadLetterSource: queue })
      await context.none(queue)
    })

    it('counts visibilities that ended, and takes the message’s place', async () => {
      const [queue, dead] = await pair(1)
      await context.send(queue, 'poison')
      await context.one(queue, { visibilityMs: UNIT })
      await context.pass(2 * UNIT)
      await context.send(queue, 'good', 'better')
      const { stats } = context.messages.capabilities
      if (context.exact) {
        const received = await context.messages.receive(queue, { max: 2 })
        expect(received.map(({ body }) => body).toSorted()).toEqual(['better', 'good'])
      } else expect((await context.bodies(queue)).toSorted()).toEqual(['better', 'good'])
      if (stats === 'exact') {
        expect(await context.messages.stats(queue)).toMatchObject({ visible: 0, inFlight: 2 })
        expect(await context.messages.stats(dead)).toMatchObject({ visible: 1, inFlight: 0 })
      }
      expect(await context.bodies(dead)).toEqual(['poison'])
    })

    it('moves many at once without losing one', async () => {
      const [queue, dead] = await pair(1)
      const bodies = numbered(120)
      await context.fill(queue, bodies)
      const received = await context.receive(queue, 120)
      expect(received).toHaveLength(120)
      for (const message of received) await context.nack(queue, message)
      await context.send(queue, 'good')
      const left: string[] = []
      for (let i = 0; i < 20 && left.length === 0; i++) left.push(...(await context.bodies(queue)))
      expect(left).toEqual(['good'])
      expect((await context.bodies(dead)).toSorted()).toEqual(bodies.toSorted())
    })

    it('wakes a receive that waits at the dead-letter queue', async () => {
      const [queue, dead] = await pair(1)
      const received = context.messages.receive(dead, { waitMs: 20_000 })
      await context.send(queue, 'poison')
      await context.nack(queue, await context.one(queue))
      await context.none(queue)
      expect(await received).toMatchObject([{ body: 'poison' }])
    })

    it('is told of the source of what somebody moved there', async () => {
      const [queue, dead] = await pair(5)
      const attributes = { a: { type: 'String', value: 'kept' } }
      await context.send(dead, { body: 'moved', attributes, deadLetterSource: queue })
      const message = await context.one(dead, { visibilityMs: context.hiddenMs })
      expect(message).toMatchObject({ body: 'moved', attributes, deadLetterSource: queue, receiveCount: 1 })
      expect(Object.keys(message.attributes)).toEqual(['a'])
      const results = await context.messages.send(dead, [{ body: 'moved', deadLetterSource: 'no name' }])
      expect(results).toMatchObject([{ status: 'failed', error: { code: 'invalid_argument' } }])
      if (context.messages.redrive === undefined) return
      await context.nack(dead, message)
      expect(await context.messages.redrive(dead, { limit: 10 })).toMatchObject({ moved: 1, skipped: 0 })
      expect(await context.one(queue)).toMatchObject({ body: 'moved', attributes, receiveCount: 1 })
    })

    it('frees the group of a FIFO queue', async () => {
      const [queue, dead] = await pair(1, true)
      await context.send(queue, ...grouped('g', 'poison', 'good'))
      await context.nack(queue, await context.one(queue))
      const good: string[] = []
      for (let i = 0; i < 5 && good.length === 0; i++) good.push(...(await context.bodies(queue)))
      expect(good).toEqual(['good'])
      expect(await context.one(dead)).toMatchObject({ body: 'poison', groupId: 'g' })
    })
  })

  describe('redrive', () => {
    const context = messagesForBlock(open)
    const buried = async (bodies: readonly string[]): Promise<[queue: string, dead: string]> => {
      const dead = await context.queue()
      const queue = await context.queue({ deadLetter: { queue: dead, maxReceives: 1 } })
      await context.fill(queue, bodies)
      for (const message of await context.receive(queue, bodies.length)) await context.nack(queue, message)
      await context.none(queue)
      return [queue, dead]
    }

    it('brings messages back to where they came from, as new ones', async () => {
      if (context.messages.redrive === undefined) return
      const [queue, dead] = await buried(numbered(5))
      const old = await context.one(dead, { visibilityMs: UNIT })
      await context.pass(UNIT)
      expect(await context.messages.redrive(dead, { limit: 10 })).toEqual({ moved: 5, skipped: 0 })
      await context.none(dead)
      const back = await context.receive(queue, 5)
      expect(back.map(({ body }) => body).toSorted()).toEqual(numbered(5))
      for (const message of back) {
        expect(message.receiveCount).toBe(1)
        expect(message.deadLetterSource).toBeUndefined()
        expect(message.messageId).not.toBe(old.messageId)
      }
    })

    it('goes on where it stopped', async () => {
      if (context.messages.redrive === undefined) return
      const [queue, dead] = await buried(numbered(5))
      const first = await context.messages.redrive(dead, { limit: 3 })
      expect(first).toEqual({ moved: 3, skipped: 0, next: expect.any(String) })
      expect(await context.messages.redrive(dead, { limit: 3, after: first.next! })).toEqual({
        moved: 2,
        skipped: 0,
      })
      expect(await context.bodies(queue)).toHaveLength(5)
    })

    it('leaves what is in flight or came from nowhere, unless told where to', async () => {
      if (context.messages.redrive === undefined) return
      const [queue, dead] = await buried(['held'])
      const held = await context.one(dead)
      await context.send(dead, 'direct')
      expect(await context.messages.redrive(dead, { limit: 10 })).toEqual({ moved: 0, skipped: 2 })
      expect(await context.messages.redrive(dead, { limit: 10, to: queue })).toEqual({ moved: 1, skipped: 1 })
      expect(await context.bodies(queue)).toEqual(['direct'])
      await context.remove(dead, held)
    })

    it('refuses a target that cannot be', async () => {
      if (context.messages.redrive === undefined) return
      const [dead, fifo] = [await context.queue(), await context.queue({ fifo: true })]
      for (const options of [{ limit: 0 }, { limit: 1, to: dead }, { limit: 1, to: fifo }]) {
        await expect(context.messages.redrive(dead, options)).rejects.toMatchObject({
          code: 'invalid_argument',
        })
      }
      await expect(context.messages.redrive(dead, { limit: 1, to: 'absent' })).rejects.toMatchObject({
        code: 'not_found',
      })
    })
  })
}
