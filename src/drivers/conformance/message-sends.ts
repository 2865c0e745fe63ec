/** Part of the contract of message engines (message-suite.ts). Sending: batches, sizes, attributes, delays, and what is refused. */
import { describe, expect, it } from 'vitest'
import type { OutgoingMessage } from '../../ports/message-queue.ts'
import { portableMessageLimits } from '../../ports/message-queue.ts'
import { code, messagesForBlock, numbered, type OpenMessages } from './message-context.ts'

/** Text of exactly so many bytes, half of them in two-byte characters. */
function ofSize(bytes: number): string {
  const wide = Math.floor(bytes / 4)
  return 'é'.repeat(wide) + 'x'.repeat(bytes - 2 * wide)
}

export function sendSuite(open: OpenMessages): void {
  describe('send', () => {
    const context = messagesForBlock(open)
    const rich: OutgoingMessage = {
      body: 'zażółć 漢字 😀 "quoted" \\ \t\r\n </tag> \u00a0\ue000\ufffd',
      attributes: {
        text: { type: 'String', value: 'größe 😀' },
        count: { type: 'Number', value: '-12.5e3' },
        'labelled.int': { type: 'Number.int', value: '7' },
        bytes: { type: 'Binary', value: new Uint8Array([0, 255, 128, 10]) },
      },
    }

    it('answers each entry in order, with an id of its own', async () => {
      const queue = await context.queue()
      const results = await context.send(queue, ...numbered(10))
      expect(new Set(results.map(({ messageId }) => messageId)).size).toBe(10)
      const received = await context.receive(queue, 10)
      const ids = new Map(received.map(({ body, messageId }) => [body, messageId]))
      expect(results.map(({ messageId }) => messageId)).toEqual(numbered(10).map((body) => ids.get(body)))
    })

    it('carries any text and attributes unchanged', async () => {
      const queue = await context.queue()
      await context.send(queue, rich)
      const message = await context.one(queue)
      expect(message.body).toBe(rich.body)
      expect(message.attributes).toEqual(rich.attributes)
      expect(message.receiveCount).toBe(1)
      expect(message.groupId).toBeUndefined()
    })

    it('takes empty attributes for none', async () => {
      const queue = await context.queue()
      await context.send(queue, { body: 'a', attributes: {} })
      expect((await context.one(queue)).attributes).toEqual({})
    })

    it('takes a message of the full size, and one byte more fails', async () => {
      const queue = await context.queue()
      const { messageBytes } = context.messages.limits
      expect(messageBytes).toBeGreaterThanOrEqual(portableMessageLimits.messageBytes)
      const attributes = { name: { type: 'String', value: 'value' } }
      const weight = 'nameStringvalue'.length
      const body = ofSize(messageBytes - weight)
      await context.send(queue, { body, attributes })
      const message = await context.one(queue)
      expect(message.body === body).toBe(true)
      await context.remove(queue, message)
      const refused = context.messages.send(queue, [{ body: `${body}x`, attributes }])
      await expect(
        refused.then(
          (results) => results[0],
          (error: unknown) => ({ status: 'failed', error }),
        ),
      ).resolves.toEqual({ status: 'failed', error: code('invalid_argument') })
      await context.none(queue)
    })

    it.each<[string, OutgoingMessage]>([
      ['no body', { body: '' }],
      ['a control character', { body: 'a\u0000b' }],
      ['half a character', { body: 'a\ud800b' }],
      ['a delay beyond 15 minutes', { body: 'x', delayMs: 900_001 }],
      ['a negative delay', { body: 'x', delayMs: -1 }],
      ['a deduplication id on a standard queue', { body: 'x', deduplicationId: 'd' }],
      ['a group id with spaces', { body: 'x', groupId: 'a b' }],
      ['an attribute without a value', { body: 'x', attributes: { a: { type: 'String', value: '' } } }],
      ['an unknown type', { body: 'x', attributes: { a: { type: 'Text', value: 'v' } } }],
      ['a number that is none', { body: 'x', attributes: { a: { type: 'Number', value: 'v' } } }],
      ['a reserved name', { body: 'x', attributes: { 'AWS.a': { type: 'String', value: 'v' } } }],
      [
        'a name that readers of JSON refuse',
        { body: 'x', attributes: Object.fromEntries([['__proto__', { type: 'String', value: 'v' }]]) },
      ],
      [
        'the name that stands for a dead-letter source',
        { body: 'x', attributes: { 'signalbox.source': { type: 'String', value: 'payroll' } } },
      ],
      [
        'eleven attributes',
        {
          body: 'x',
          attributes: Object.fromEntries(numbered(11).map((n) => [n, { type: 'String', value: 'v' }])),
        },
      ],
    ])('lets an entry with %s fail alone', async (_, wrong) => {
      const queue = await context.queue()
      const results = await context.messages.send(queue, [{ body: 'first' }, wrong, { body: 'last' }])
      expect(results.map(({ status }) => status)).toEqual(['sent', 'failed', 'sent'])
      expect(results[1]).toEqual({ status: 'failed', error: code('invalid_argument') })
      expect((await context.bodies(queue)).toSorted()).toEqual(['first', 'last'])
    })

    it('refuses a batch that is empty, too long or too large, as a whole', async () => {
      const queue = await context.queue()
      const { batchEntries, batchBytes } = context.messages.limits
      expect(batchEntries).toBeGreaterThanOrEqual(portableMessageLimits.batchEntries)
      const half = ofSize(batchBytes / 2)
      for (const batch of [[], numbered(batchEntries + 1), [half, half, 'x']]) {
        const messages = batch.map((body) => ({ body }))
        await expect(context.messages.send(queue, messages)).rejects.toMatchObject({
          code: 'invalid_argument',
        })
      }
      await context.none(queue)
    })

    it('of one turn are all there', async () => {
      const queue = await context.queue()
      const bodies = numbered(200)
      await Promise.all(bodies.map((body) => context.send(queue, body)))
      expect((await context.bodies(queue)).toSorted()).toEqual(bodies.toSorted())
    })
  })

  describe('delay', () => {
    const context = messagesForBlock(open)

    it('of a message hides it so long, and no other', async () => {
      const queue = await context.queue()
      await context.send(queue, { body: 'late', delayMs: context.hiddenMs }, 'now')
      expect(await context.bodies(queue)).toEqual(['now'])
      await context.pass(context.hiddenMs)
      expect(await context.bodies(queue)).toEqual(['late'])
    })

    it('of a queue holds for messages without one', async () => {
      const queue = await context.queue({ delayMs: context.hiddenMs })
      await context.send(queue, 'late', { body: 'now', delayMs: 0 })
      expect(await context.bodies(queue)).toEqual(['now'])
      await context.pass(context.hiddenMs)
      expect(await context.bodies(queue)).toEqual(['late'])
    })
  })
}
