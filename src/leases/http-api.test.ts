import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { readAudit } from '../server/auth/audit-log.ts'
import { appWorld, type AppWorld } from '../server/auth/testing/world.ts'
import type {
  LeaseHistoryView,
  LeaseListView,
  LeaseProviderView,
  ProviderConfig,
  ProviderName,
} from './api.ts'
import { createLeasesService, type LeasesService } from './service.ts'
import { config } from './testing/world.ts'

const shop: ProviderName = { owner: 'acme', repo: 'shop', baseRef: 'main' }
const old: ProviderName = { owner: 'acme', repo: 'shop', baseRef: 'release/1.2' }
const other: ProviderName = { owner: 'umbrella', repo: 'web', baseRef: 'main' }
const SHOP = '/api/v1/leases/acme%2Fshop%40main'

interface World extends AppWorld {
  readonly leases: LeasesService
  readonly acquire: (sha: string, priority: number, on?: ProviderName) => Promise<string>
  readonly get: <T>(url: string, token: string) => Promise<T>
}

/** An application that asks for tokens, with three providers of which the first waits for three requests or a minute. */
async function opened(changes: Partial<ProviderConfig> = {}): Promise<World> {
  const clock = new ManualClock()
  const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
  const providers = [other, old, shop].map((name) => ({ name, config: { ...config, ...changes } }))
  const leases = createLeasesService({ store, clock, random: seededRandom(3), providers })
  const made = await appWorld({ clock, leases })
  onTestFinished(() => made.close())
  return {
    ...made,
    store,
    leases,
    async acquire(sha, priority, on = shop) {
      const ref = `gh-readonly-queue/main/pr-${priority}-abc`
      const answer = await leases.acquire(on, { sha, ref, priority })
      return answer.kind === 'refused' ? answer.why : answer.status
    },
    async get<T>(url: string, token: string) {
      const answer = await made.app.inject({ url, headers: { authorization: `Bearer ${token}` } })
      expect([url, answer.statusCode]).toEqual([url, 200])
      return answer.json<T>()
    },
  }
}

describe('one provider', () => {
  it('says who holds, who waits and why, highest first', async () => {
    const { acquire, get, token, clock } = await opened()
    const secret = await token({ role: 'viewer' })
    await acquire('a', 1)
    await acquire('b', 2)
    await clock.advance(20_000)
    const open = await get<LeaseProviderView>(SHOP, secret)
    expect(open).toMatchObject({
      provider: 'acme/shop@main',
      phase: 'open',
      gate: { open: false, known: 2, expected: 3, windowEndsAt: '2026-01-01T00:01:00.000Z', callsLeft: 0 },
    })
    expect(open.requests.map(({ pullRequest, state, reason }) => [pullRequest, state, reason])).toEqual([
      [
        2,
        'waiting',
        'this has the highest priority (2); it is granted when nothing new has come for 40 s more, or 3 requests are known (now 2)',
      ],
      [
        1,
        'waiting',
        '1 request of higher priority is known, #2 (priority 2); it is granted when nothing new has come for 40 s more, or 3 requests are known (now 2)',
      ],
    ])
    expect(open.requests[0]?.ticking).toMatchObject({ at: '2026-01-01T00:01:00.000Z' })

    await acquire('c', 3)
    const held = await get<LeaseProviderView>(SHOP, secret)
    expect(held).toMatchObject({
      phase: 'held',
      reason: '#3 (priority 3) holds the lease, for 60 min more at most',
      holder: { sha: 'c', pullRequest: 3, fence: 1, grantedAt: '2026-01-01T00:00:20.000Z', renews: false },
      stackedPullRequests: [1, 2, 3],
    })
    expect(held.gate).toBeUndefined()
    expect(held.requests.map(({ state }) => state)).toEqual(['holding', 'waiting', 'waiting'])
  })

  it('says after a success who is completed, and after a failure who is next', async () => {
    const { acquire, get, token, leases } = await opened()
    const secret = await token({ role: 'viewer' })
    for (const [sha, priority] of [['a', 1], ['b', 2], ['c', 3]] as const) await acquire(sha, priority) // prettier-ignore
    await leases.release(shop, { sha: 'c', priority: 3, success: false })
    const failed = await get<LeaseProviderView>(SHOP, secret)
    expect(failed).toMatchObject({ phase: 'failover', failed: { sha: 'c', pullRequest: 3, expired: false } })
    expect(failed.requests[0]?.reason).toBe(
      '#3 failed; this has the highest priority (2); it is granted at its next call',
    )
    await acquire('b', 2)
    await leases.release(shop, { sha: 'b', priority: 2, success: true })
    const draining = await get<LeaseProviderView>(SHOP, secret)
    expect(draining).toMatchObject({ phase: 'draining', holder: { releasedAt: '2026-01-01T00:00:00.000Z' } })
    expect(draining.requests.map(({ state, reason }) => [state, reason])).toEqual([
      ['succeeded', 'succeeded; 1 request below it still to be told'],
      ['completed', 'completed: #2 succeeded and contains it; its next call is told so'],
    ])
  })

  it('is 404 when nobody configured it, 400 when the name is none', async () => {
    const { app, token } = await opened()
    const headers = { authorization: `Bearer ${await token({ role: 'viewer' })}` }
    for (const [url, status] of [
      ['/api/v1/leases/acme%2Fshop%40nothing', 404],
      ['/api/v1/leases/acme%2Fshop%40nothing/history', 404],
      ['/api/v1/leases/acme%2Fshop', 400],
      ['/api/v1/leases/acme/shop@main', 404],
    ] as const)
      expect([url, (await app.inject({ url, headers })).statusCode]).toEqual([url, status])
  })
})

describe('the list', () => {
  it('is in the order of names, in pages', async () => {
    const { get, token } = await opened()
    const secret = await token({ role: 'viewer' })
    const first = await get<LeaseListView>('/api/v1/leases?limit=2', secret)
    expect(first.providers.map(({ provider }) => provider)).toEqual([
      'acme/shop@main',
      'acme/shop@release/1.2',
    ])
    const second = await get<LeaseListView>(
      `/api/v1/leases?limit=2&after=${encodeURIComponent(first.next ?? '')}`,
      secret,
    )
    expect([second.providers.map(({ provider }) => provider), second.next]).toEqual([
      ['umbrella/web@main'],
      undefined,
    ])
  })

  it('holds what the caller’s scopes allow, also as a cursor', async () => {
    const { get, token } = await opened()
    const scopes = ['leases:acme/shop@release/*', 'leases:umbrella/*']
    const page = await get<LeaseListView>('/api/v1/leases?limit=1', await token({ role: 'viewer', scopes }))
    expect([page.providers.map(({ provider }) => provider), page.next]).toEqual([
      ['acme/shop@release/1.2'],
      'acme/shop@release/1.2',
    ])
  })
})

describe('the scopes of a token', () => {
  it('are matched with the decoded name, on every route', async () => {
    const { app, token } = await opened()
    const scoped = await token({ role: 'operator', scopes: ['leases:acme/shop@main'] })
    const asked = async (name: string, rest: string, method: 'GET' | 'POST' = 'GET'): Promise<number> => {
      const headers = { authorization: `Bearer ${scoped}` }
      const payload = method === 'POST' ? { payload: { reason: 'test' } } : {}
      const url = `/api/v1/leases/${name}${rest}`
      return (await app.inject({ method, url, headers, ...payload })).statusCode
    }
    for (const [rest, method] of [
      ['', 'GET'],
      ['/history', 'GET'],
      ['/clear', 'POST'],
    ] as const) {
      // prettier-ignore
      expect(await asked('acme%2Fshop%40main', rest, method)).toBe(200)
      expect(await asked('acme%2fshop@main', rest, method)).toBe(200)
      for (const name of ['acme%2Fshop%40release%2F1.2', 'umbrella%2Fweb%40main', 'Acme%2Fshop%40main', 'x'])
        expect([name, rest, await asked(name, rest, method)]).toEqual([name, rest, 403])
    }
  })
})

describe('history', () => {
  it('tells how each request ended, newest first, in pages, with the configuration in force', async () => {
    const { acquire, get, token, leases, clock } = await opened()
    for (const [sha, priority] of [['a', 1], ['b', 2], ['c', 3]] as const) await acquire(sha, priority) // prettier-ignore
    await clock.advance(5_000)
    await leases.release(shop, { sha: 'c', priority: 3, success: false })
    await acquire('b', 2)
    await clock.advance(7_000)
    await leases.release(shop, { sha: 'b', priority: 2, success: true })
    await leases.release(shop, { sha: 'b', priority: 2, success: true })
    await acquire('a', 1)
    const secret = await token({ role: 'viewer' })
    const page = await get<LeaseHistoryView>(`${SHOP}/history?limit=2`, secret)
    expect(page).toMatchObject({ provider: 'acme/shop@main', configs: [config], next: 2 })
    const rest = await get<LeaseHistoryView>(`${SHOP}/history?limit=2&before=${page.next}`, secret)
    expect([rest.requests.length, rest.next]).toEqual([1, undefined])
    expect([...page.requests, ...rest.requests]).toEqual([
      {
        seq: 3,
        sha: 'c',
        ref: 'gh-readonly-queue/main/pr-3-abc',
        pullRequest: 3,
        priority: 3,
        joinedAt: '2026-01-01T00:00:00.000Z',
        grantedAt: '2026-01-01T00:00:00.000Z',
        endedAt: '2026-01-01T00:00:05.000Z',
        fence: 1,
        as: 'failure',
        batch: 1,
        config: 0,
      },
      expect.objectContaining({ seq: 2, as: 'success', fence: 2, endedAt: '2026-01-01T00:00:12.000Z' }),
      expect.objectContaining({ seq: 1, as: 'completed', endedAt: '2026-01-01T00:00:12.000Z' }),
    ])
  })

  it('keeps 30 days', async () => {
    const { acquire, leases, clock } = await opened({ expectedCount: 1 })
    await acquire('a', 1)
    await leases.release(shop, { sha: 'a', priority: 1, success: true })
    await clock.advance(30 * 86_400_000 - 1)
    expect((await leases.history(shop)).requests.length).toBe(1)
    await clock.advance(1)
    expect((await leases.history(shop)).requests.length).toBe(0)
  })
})

describe('clear', () => {
  it('forgets everybody, leaves their history and an audit entry with the reason', async () => {
    const { acquire, app, token, leases, store } = await opened()
    for (const [sha, priority] of [['a', 1], ['b', 2], ['c', 3]] as const) await acquire(sha, priority) // prettier-ignore
    const headers = { authorization: `Bearer ${await token({ name: 'oncall', role: 'operator' })}` }
    const clear = async (payload: object): Promise<[status: number, body: unknown]> => {
      const answer = await app.inject({ method: 'POST', url: `${SHOP}/clear`, headers, payload })
      return [answer.statusCode, answer.json()]
    }
    expect((await clear({}))[0]).toBe(400)
    expect(await clear({ reason: 'staging is gone' })).toMatchObject([
      200,
      { phase: 'open', requests: [], lastFence: 1, batch: 2 },
    ])
    const { requests } = await leases.history(shop)
    expect(requests.map(({ sha, as, fence }) => [sha, as, fence])).toEqual([
      ['c', 'cleared', 1],
      ['b', 'cleared', undefined],
      ['a', 'cleared', undefined],
    ])
    expect((await readAudit(store)).entries).toMatchObject([
      { actor: 'oncall', action: 'leases.clear', target: 'acme/shop@main', reason: 'staging is gone' },
    ])
  })
})

describe('a live stream', () => {
  interface Live {
    /** The next snapshot; its event and its data. */
    readonly next: () => Promise<{ event: string; data: LeaseProviderView & LeaseListView }>
  }

  async function live({ app, token }: World, url: string, scopes: string[] = []): Promise<Live> {
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const hangUp = new AbortController()
    onTestFinished(() => hangUp.abort())
    const authorization = `Bearer ${await token({ role: 'viewer', scopes })}`
    const response = await fetch(`http://127.0.0.1:${port}${url}`, {
      headers: { accept: 'text/event-stream', authorization },
      signal: hangUp.signal,
    })
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    return {
      async next() {
        for (;;) {
          const end = text.indexOf('\n\n')
          if (end >= 0) {
            const [first = '', second = ''] = text.slice(0, end).split('\n')
            text = text.slice(end + 2)
            if (first === ':') continue // a heartbeat
            return { event: first.slice('event: '.length), data: JSON.parse(second.slice('data: '.length)) }
          }
          const part = await reader?.read()
          if (part === undefined || part.done) throw new Error('the stream ended')
          text += part.value
        }
      },
    }
  }

  it('of one provider sends each change, several of one moment as one, and none of others', async () => {
    const world = await opened()
    const { next } = await live(world, SHOP)
    expect(await next()).toMatchObject({ event: 'provider', data: { requests: [] } })
    await world.acquire('z', 1, other)
    await world.acquire('a', 1)
    await world.acquire('b', 2)
    await world.clock.advance(250)
    expect((await next()).data.requests.map(({ sha }) => sha)).toEqual(['b', 'a'])
    await world.clock.advance(250)
    await world.acquire('a', 1) // a poll that changes nothing is nothing to see
    await world.acquire('c', 3)
    expect((await next()).data).toMatchObject({ phase: 'held', holder: { sha: 'c' } })
  })

  it('shows with each heartbeat what time alone has done', async () => {
    const world = await opened()
    await world.acquire('a', 1)
    const { next } = await live(world, SHOP)
    expect((await next()).data.requests.length).toBe(1)
    for (let waited = 0; waited < 45_000; waited += 15_000) {
      await world.clock.advance(15_000)
      const { data } = await next()
      if (waited === 30_000) expect(data.requests).toEqual([])
    }
  })

  it('of the list holds what the caller’s scopes allow, and wakes for that alone', async () => {
    const world = await opened()
    const { next } = await live(world, '/api/v1/leases', ['leases:umbrella/*'])
    const names = async (): Promise<[string, string, number][]> => {
      const { event, data } = await next()
      return data.providers.map(({ provider, requests }) => [event, provider, requests.length])
    }
    expect(await names()).toEqual([['providers', 'umbrella/web@main', 0]])
    await world.clock.advance(250)
    await world.acquire('a', 1)
    await world.acquire('z', 1, other)
    expect(await names()).toEqual([['providers', 'umbrella/web@main', 1]])
  })
})
