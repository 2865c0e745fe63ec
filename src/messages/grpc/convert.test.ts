import { expect, it } from 'vitest'
import { checkSend } from '../../ports/message-checks.ts'
import { portableMessageLimits } from '../../ports/message-queue.ts'
import { outgoingFrom } from './convert.ts'
import { OutgoingMessage } from './generated/signalbox/messages/v1/messages.ts'

it('an attribute that is named __proto__ is refused, and not lost without a word', () => {
  const attribute = { type: 'String', text: 'v', binary: Buffer.alloc(0) }
  const attributes = Object.fromEntries([
    ['a', attribute],
    ['__proto__', attribute],
  ])
  const sent = OutgoingMessage.encode({ body: 'x', attributes }).finish()
  const message = outgoingFrom(OutgoingMessage.decode(sent))
  expect(Object.keys(message.attributes ?? {})).toEqual(['a', '__proto__'])
  const [checked] = checkSend({ name: 'q' }, [message], portableMessageLimits)
  expect(checked?.error).toMatchObject({ code: 'invalid_argument' })
})
