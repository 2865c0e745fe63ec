import { describe, expect, it } from 'vitest'
import { isSignalboxError } from '../kernel/error.ts'
import {
  checkChanges,
  checkQueue,
  checkQueueName,
  checkReceive,
  checkSend,
  messageBytes,
  wantsAttribute,
} from './message-checks.ts'
import { portableMessageLimits as limits, type OutgoingMessage } from './message-queue.ts'

/** The message of what it throws. */
function refusal(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (isSignalboxError(error, 'invalid_argument')) return error.message
    throw error
  }
  return 'accepted'
}

const problem = (name: string, message: unknown): string | undefined =>
  checkSend({ name }, [message as OutgoingMessage], limits)[0]?.error?.message

describe('the checks of the message engines', () => {
  it('fill in the defaults of a queue', () => {
    expect(checkQueue('orders.fifo', { visibilityMs: 5_000 }, limits)).toEqual({
      name: 'orders.fifo',
      fifo: true,
      contentDeduplication: false,
      visibilityMs: 5_000,
      delayMs: 0,
      retentionMs: 345_600_000,
    })
  })

  it('say in one line what is wrong, with which input', () => {
    expect(refusal(() => checkQueueName('a b'))).toBe(
      "a queue name has 1 to 80 letters, digits, hyphens and underscores, and ends in .fifo for a FIFO queue, got 'a b'",
    )
    expect(refusal(() => checkQueue('q', { visibilityMs: 50_000_000 }, limits))).toBe(
      'queue q: visibilityMs must be 0 to 43200000 milliseconds, got 50000000',
    )
    expect(refusal(() => checkReceive({ max: 11 }, limits))).toBe(
      'max must be a whole number from 1 to 10, got 11',
    )
    expect(refusal(() => checkSend({ name: 'q' }, [], limits))).toBe('send takes 1 to 10 messages, got 0')
    expect(refusal(() => checkChanges([{ receipt: '', visibilityMs: 1 }], limits))).toBe(
      'a receipt is the text that came with a received message, got nothing',
    )
  })

  it('never show a body', () => {
    const secret = 'secret\u0000'
    expect(problem('q', { body: secret })).toBe(
      'body has a character that no queue carries (U+0000 at 6); encode it, for example as base64',
    )
    const numeric = problem('q', { body: 'x', attributes: { a: { type: 'Binary', value: 'secret' } } })
    expect(numeric).toBe(
      'attribute a: a Binary value is a Uint8Array of at least 1 byte, got text of 6 characters',
    )
  })

  it.each(['tab\t lf\n cr\r', 'é漢😀', '\u0085\ue000\ufffd', '<&>'])('accept the text %j', (body) => {
    expect(problem('q', { body })).toBeUndefined()
  })

  it.each(['\u0000', '\u001f', '\u000b', '\ud800', 'a\udc00b', '\ufffe', '\uffff'])(
    'refuse the text %j',
    (body) => {
      expect(problem('q', { body })).toContain('character')
    },
  )

  it('take untrusted arguments', () => {
    for (const wrong of [undefined, null, 7, 'text', {}, { body: 7 }, { body: 'x', attributes: null }]) {
      expect(problem('q', wrong)).toEqual(expect.any(String))
    }
    for (const wrong of [undefined, 7, 'text', {}]) {
      expect(refusal(() => checkSend({ name: 'q' }, wrong as never, limits))).toContain('send takes')
    }
  })

  it('weigh bodies and attributes in bytes', () => {
    const attributes = {
      ab: { type: 'String', value: 'é' },
      c: { type: 'Binary', value: new Uint8Array(5) },
    }
    expect(messageBytes({ body: '漢', attributes })).toBe(3 + (2 + 6 + 2) + (1 + 6 + 5))
  })

  it('know which attributes are wanted', () => {
    expect(wantsAttribute(undefined, 'a')).toBe(true)
    expect(wantsAttribute([], 'a')).toBe(false)
    expect(wantsAttribute(['a.*'], 'a.b')).toBe(true)
    expect(wantsAttribute(['a.*'], 'ab')).toBe(false)
  })
})
