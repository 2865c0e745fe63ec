import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { isSecret, signed } from './signature.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

describe('a signature', () => {
  it('is that of the example of Standard Webhooks', () => {
    expect(
      signed([SECRET], 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330_000, '{"test": 2432232314}'),
    ).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
  })

  it('is made with each secret, the first one first', () => {
    const other = `whsec_${Buffer.alloc(24, 1).toString('base64')}`
    const [first, second, more] = (signed([other, SECRET], 'a', 1_999, 'b')['webhook-signature'] ?? '').split(
      ' ',
    )
    expect(first).toBe(`v1,${createHmac('sha256', Buffer.alloc(24, 1)).update('a.1.b').digest('base64')}`)
    expect(second).toMatch(/^v1,.{44}$/)
    expect(more).toBeUndefined()
  })
})

it.each([
  [SECRET, true],
  [`whsec_${Buffer.alloc(64, 9).toString('base64')}`, true],
  [`whsec_${Buffer.alloc(65, 9).toString('base64')}`, false],
  [`whsec_${Buffer.alloc(23, 9).toString('base64')}`, false],
  [SECRET.slice(6), false],
  [`${SECRET}!`, false],
  [`${SECRET}\n`, false],
])('%j is a secret: %s', (text, expected) => {
  expect(isSecret(text)).toBe(expected)
})
