import { describe, expect, it } from 'vitest'
import { checkSend } from '../ports/message-checks.ts'
import { portableMessageLimits, type MessageFacts } from '../ports/message-queue.ts'
import { dramatiq } from './dramatiq.ts'
import { decode, encodeJob, encodeRun, ID_ATTRIBUTE } from './envelope.ts'

const facts = (body: string): MessageFacts => ({
  messageId: 'm1',
  body,
  attributes: {},
  sentAt: 0,
  receiveCount: 1,
})

describe('an envelope', () => {
  it('comes back as it was', () => {
    const input = { text: 'häß \u0000 \ud800 \ufffe\uffff 😀', list: [1, null] }
    const body = encodeJob('vote', 'v-1', JSON.stringify(input))
    expect(decode(facts(body))).toEqual({ job: 'vote', id: 'v-1', input })
    expect(decode(facts(encodeRun('vote', 'vote:1')))).toEqual({ job: 'vote', run: 'vote:1' })
  })

  it('has no character that a queue does not carry', () => {
    const every = Array.from({ length: 0x10000 }, (_, i) => String.fromCharCode(i)).join('')
    const body = encodeJob('vote', 'v-1', JSON.stringify(every))
    expect(checkSend({ name: 'q' }, [{ body }], portableMessageLimits)[0]?.error).toBeUndefined()
    expect(decode(facts(body))).toMatchObject({ input: every })
  })

  it('without an id has its message’s, or the one that a worker noted', () => {
    expect(decode(facts('{"job":"vote","input":1}'))).toEqual({ job: 'vote', id: 'm1', input: 1 })
    const attributes = { [ID_ATTRIBUTE]: { type: 'String', value: 'm0' } }
    expect(decode({ ...facts('{"job":"vote","input":1}'), attributes })).toMatchObject({ id: 'm0' })
  })

  it.each([
    '',
    '{',
    '[]',
    '"x"',
    'null',
    '{"v":2,"job":"vote","id":"1"}',
    '{"v":1}',
    '{"job":"a","id":7}',
    '{"job":"a","run":7}',
  ])('says why %j cannot be read', (body) => {
    expect(decode(facts(body))).toEqual({ unreadable: expect.any(String) as string })
  })
})

describe("dramatiq's messages", () => {
  const message = (fields: object, encode = true): MessageFacts => {
    const json = JSON.stringify({
      queue_name: 'votes',
      actor_name: 'record_vote',
      args: [],
      kwargs: {},
      options: {},
      message_id: '2f6d4c5e-0000-4000-8000-000000000000',
      message_timestamp: 1_640_650_135_000,
      ...fields,
    })
    return facts(encode ? Buffer.from(json).toString('base64') : json)
  }
  const read = (
    of: MessageFacts,
    decoder = dramatiq({ actors: { record_vote: { name: 'record-vote' } } }),
  ): unknown => decode(of, [decoder])
  const id = '2f6d4c5e-0000-4000-8000-000000000000'

  it('are jobs by their actor, with keyword arguments as input', () => {
    const kwargs = { topic: 'ä' }
    expect(read(message({ kwargs }))).toEqual({ job: 'record-vote', id, input: kwargs })
    expect(read(message({ kwargs }, false))).toEqual({ job: 'record-vote', id, input: kwargs })
    expect(read(message({ kwargs, actor_name: 'other' }))).toMatchObject({ job: 'other' })
  })

  it('with one positional argument have it as input, with several all of them', () => {
    expect(read(message({ args: [{ topic: 'a' }] }))).toMatchObject({ input: { topic: 'a' } })
    expect(read(message({ args: [1, 2] }))).toMatchObject({ input: { args: [1, 2], kwargs: {} } })
  })

  it('are mapped as they are told to be, and unreadable if that fails', () => {
    const mapped = dramatiq({
      actors: { record_vote: { job: 'vote', input: ({ args }) => ({ topic: (args[0] as string).trim() }) } },
    })
    expect(read(message({ args: [' a '] }), mapped)).toEqual({ job: 'vote', id, input: { topic: 'a' } })
    expect(read(message({ args: [] }), mapped)).toEqual({ unreadable: expect.any(String) as string })
  })

  it('are told apart from what is nobody’s', () => {
    expect(read(facts('not base64 of anything'))).toEqual({ unreadable: 'its body is not JSON' })
    expect(read(facts(Buffer.from('{"a":1}').toString('base64')))).toEqual({
      unreadable: 'its body is not JSON',
    })
  })
})
