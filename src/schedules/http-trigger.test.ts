/** Where an external trigger calls: what it is answered, and when. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { SignalboxError } from '../kernel/error.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import type { TriggerEvent } from '../ports/trigger.ts'
import { appWorld } from '../server/auth/testing/world.ts'
import type { Fired } from './contract.ts'
import { triggerFace, TRIGGER_PATH, type ReceivedEvent } from './http-trigger.ts'

const KEYS = ['first-key-0123456789', 'second-key-0123456789']
const EVENT = { schedule: 'nightly', time: '2030-01-01T00:05:00Z', id: 'e-1' }

async function opened(fire: (event: TriggerEvent) => Promise<Fired>) {
  const clock = new ManualClock()
  const events: ReceivedEvent[] = []
  const onEvent = (event: ReceivedEvent): void => void events.push(event)
  const face = triggerFace({ schedules: { fire }, clock, header: 'X-Api-Key', keys: KEYS, onEvent })
  const world = await appWorld({ faces: [face] })
  onTestFinished(() => world.close())
  const call = (payload: unknown = EVENT, key: string | undefined = KEYS[0]) =>
    world.app.inject({
      method: 'POST',
      url: TRIGGER_PATH,
      headers: { 'content-type': 'application/json; charset=utf-8', 'x-api-key': key ?? '' },
      payload: JSON.stringify(payload),
    })
  return { clock, events, call }
}

const created = async (): Promise<Fired> => ({ created: true })

describe('an event', () => {
  it('reaches the schedules with its time, and is answered 202', async () => {
    const seen: TriggerEvent[] = []
    const { call, events } = await opened(async (event) => {
      seen.push(event)
      return { created: false, why: 'the schedule is paused' }
    })
    const answer = await call()
    expect([answer.statusCode, answer.json()]).toEqual([
      202,
      { created: false, why: 'the schedule is paused' },
    ])
    expect(seen).toEqual([{ schedule: 'nightly', time: Date.UTC(2030, 0, 1, 0, 5), id: 'e-1' }])
    expect(events).toEqual([{ kind: 'known', schedule: 'nightly', why: 'the schedule is paused' }])
  })

  it.each(KEYS)('is taken with each active key: %s', async (key) => {
    const { call } = await opened(created)
    expect((await call(EVENT, key)).statusCode).toBe(202)
  })

  it.each(['', 'first-key-012345678', 'first-key-01234567890', 'FIRST-KEY-0123456789'])(
    "is refused with the key '%s', and not seen",
    async (key) => {
      const seen: TriggerEvent[] = []
      const { call, events } = await opened(async (event) => {
        seen.push(event)
        return { created: true }
      })
      const answer = await call(EVENT, key)
      expect(answer.statusCode).toBe(401)
      expect(answer.body).not.toContain(KEYS[0])
      expect([seen, events.map(({ kind }) => kind)]).toEqual([[], ['refused']])
    },
  )

  it.each([
    ['unavailable', 503],
    ['throttled', 503],
    ['outcome_unknown', 503],
    ['conflict', 503],
    ['not_found', 404],
    ['invalid_argument', 400],
  ] as const)('of which the service says %s is answered %d', async (code, status) => {
    const { call } = await opened(() => Promise.reject(new SignalboxError(code, 'why')))
    expect((await call()).statusCode).toBe(status)
  })

  it.each([
    ['no event', { schedule: 'nightly' }, 400],
    ['too long', { ...EVENT, more: 'x'.repeat(5_000) }, 413],
  ])('that is %s is refused, and told, for AWS does not send it again', async (_, payload, status) => {
    const { call, events } = await opened(created)
    expect((await call(payload)).statusCode).toBe(status)
    expect(events.map(({ kind }) => kind)).toEqual(['invalid'])
  })

  it('that meets a defect is to be sent again too', async () => {
    const { call, events } = await opened(() => Promise.reject(new TypeError('oh')))
    const answer = await call()
    expect(answer.statusCode).toBeGreaterThanOrEqual(500)
    expect(events.map(({ kind }) => kind)).toEqual(['unavailable'])
  })

  it('is answered in time although the store does not answer', async () => {
    const { call, clock } = await opened(() => new Promise(() => {}))
    const answering = call()
    await clock.settle()
    await clock.advance(4_000) // AWS hangs up after 5 s
    expect((await answering).statusCode).toBe(503)
  })
})
