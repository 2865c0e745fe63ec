import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { appWorld, type AppWorld } from '../server/auth/testing/world.ts'
import { notice, world, type World } from './testing/world.ts'

let box: AppWorld
let made: World
let admin: string
let viewer: string

beforeEach(async () => {
  made = world()
  box = await appWorld({ notifications: made.notes })
  admin = await box.token({ role: 'admin' })
  viewer = await box.token({ role: 'viewer' })
  await made.notes.start()
  onTestFinished(async () => {
    await made.notes.close()
    await box.close()
  })
})

const ask = async (method: 'GET' | 'POST' | 'DELETE', path: string, token = admin) => {
  const headers = { authorization: `Bearer ${token}` }
  const answer = await box.app.inject({
    method,
    url: `/api/v1/${path}`,
    headers,
    ...(method === 'POST' ? { payload: {} } : {}),
  })
  return { status: answer.statusCode, body: answer.json<Record<string, unknown>>() }
}

async function waiting(): Promise<string> {
  made.refusing.set('ops', { error: 'answered 503' })
  await made.tell(notice({ error: 'disk full' }))
  await made.clock.advance(3_000)
  const { body } = await ask('GET', 'notifications', viewer)
  return (body as { deliveries: { id: string }[] }).deliveries[0]?.id ?? ''
}

describe('/api/v1/notifications', () => {
  it('lists, shows, retries and discards', async () => {
    const id = await waiting()
    expect(await ask('GET', `notifications/${id}`, viewer)).toMatchObject({
      status: 200,
      body: { id, error: 'answered 503', body: { type: 'run.failed', data: { error: 'disk full' } } },
    })
    expect(await ask('POST', `notifications/${id}/retry`)).toMatchObject({
      status: 200,
      body: { state: 'pending' },
    })
    expect(await ask('DELETE', `notifications/${id}`)).toEqual({ status: 200, body: {} })
    expect(await ask('GET', `notifications/${id}`)).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found' } },
    })
    expect(await ask('GET', 'notifications?state=given_up&channel=ops&limit=5')).toMatchObject({
      body: { deliveries: [], more: false },
    })
  })

  it('lets nobody but admins act', async () => {
    const id = await waiting()
    const operator = await box.token({ role: 'operator' })
    for (const token of [viewer, operator]) {
      expect(await ask('POST', `notifications/${id}/retry`, token)).toMatchObject({ status: 403 })
      expect(await ask('DELETE', `notifications/${id}`, token)).toMatchObject({ status: 403 })
      expect(await ask('POST', 'notification-channels/ops/test', token)).toMatchObject({ status: 403 })
    }
  })

  it('shows and tests channels', async () => {
    expect((await ask('GET', 'notification-channels', viewer)).body).toEqual({
      channels: [{ name: 'ops', type: 'webhook', target: 'https://ops.example.org/…', waiting: 0 }],
    })
    expect(await ask('POST', 'notification-channels/ops/test')).toMatchObject({
      status: 200,
      body: { delivered: true },
    })
    expect(made.taken['ops']).toMatchObject([{ kind: 'test' }])
    expect(await ask('POST', 'notification-channels/gone/test')).toMatchObject({ status: 404 })
  })

  it.each([
    'notifications?state=odd',
    'notifications/12',
    'notifications?limit=0',
    'notifications?channel=a%20b',
  ])('refuses %s', async (path) => {
    expect(await ask('GET', path)).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_argument' } },
    })
  })
})
