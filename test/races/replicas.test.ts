/**
 * Three servers on one store, driven at random through all of them, one killed now and then: they behave as one.
 */
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { callLease } from '../support/lease-caller.ts'
import { judgeLeases, startLeaseLoad } from '../support/lease-load.ts'
import {
  endProcesses,
  root,
  run,
  signalbox,
  temporaryFolder,
  until,
  type ServerProcess,
} from '../support/processes.ts'
import { startCable } from '../support/proxy/cable.ts'
import { startReplica } from '../support/replicas.ts'
import { judge, readLog } from './judge.ts'
import { ENGINES, openArena, type Arena } from './serverless/place.ts'

afterAll(endProcesses)

const env = {
  SIGNALBOX_REPOSITORIES: JSON.stringify([
    {
      owner: 'acme',
      name: 'shop',
      base_ref: 'main',
      stabilize_duration_seconds: 1,
      expected_request_count: 4,
      ttl_seconds: 30,
    },
  ]),
  SIGNALBOX_LEASES_ANY_REPOSITORY: 'true',
}

/** Seconds each where nothing else runs. */
const slow = { timeout: 600_000 }

describe.each(ENGINES)('on %s', (name) => {
  it('leases: one holder, growing fences, right completions, while servers are killed', slow, async () => {
    await using world = await replicas(name, 3)
    const { servers } = world
    const stop = new AbortController()
    const load = startLeaseLoad({
      provider: 'acme/shop/main',
      clients: 12,
      pollMs: 80,
      random: Math.random,
      signal: stop.signal,
      send: (call) => callLease(anyOf(servers).url, call),
    })
    const grants = (): number => load.events.filter(({ kind }) => kind === 'acquired').length
    for (let kill = 0; kill < 3; kill++) {
      const before = grants()
      await until('some more leases were granted', () => grants() >= before + 4, 120_000)
      const victim = servers[kill % servers.length]!
      victim.running.kill('SIGKILL')
      await until('leases are granted without the one that was killed', () => grants() >= before + 8, 120_000)
      servers[kill % servers.length] = await victim.restart()
    }
    stop.abort()
    await load.done
    const verdict = judgeLeases(load.events)
    expect(load.complaints).toEqual([])
    expect(verdict.complaints).toEqual([])
    expect(verdict.grants).toBeGreaterThan(20)
    expect(verdict.completions).toBeGreaterThan(0)
    expect(new Set(await providers(servers)).size).toBe(1)
  })

  it('turns: nobody twice, in order, while members and servers come and go', slow, async () => {
    await using world = await replicas(name, 2)
    const { servers } = world
    const log = join(temporaryFolder('replicas'), 'events.jsonl')
    const members = servers.map(({ url }) =>
      run(process.execPath, [
        join(root, 'test/races/fixtures/members.ts'),
        url,
        'deploy',
        '4',
        log,
        '15',
        '60000',
        '2',
        '5',
      ]),
    )
    await until('all stand at the barrier', () => members.every((m) => m.out().includes('ready')))
    for (const { child } of members) child.stdin?.write('go\n')
    await until('some have had their turn', () => readLogSafely(log).length > 20)
    servers[0] = await servers[0]!.restart()
    const codes = await Promise.all(members.map((m) => m.exited))
    expect(members.map((m) => m.err()).join('')).toBe('')
    expect(codes).toEqual([0, 0])
    const verdict = judge(readLog(log), 2)
    expect(verdict.complaints).toEqual([])
    expect(verdict.grants).toBe(2 * 4 * 5)
    expect(new Set(await shown(servers, '/api/v1/turns/deploy')).size).toBe(1)
  })

  it('tokens, providers and streams are the same everywhere', async () => {
    await using world = await replicas(name, 2)
    const [a, b] = world.servers as [ServerProcess, ServerProcess]
    const create = signalbox(['token', 'create', '--name', 'ci', '--role', 'viewer', '--url', a.url])
    expect(await create.exited).toBe(0)
    const secret = create.out().trim()
    const status = async ({ url }: ServerProcess): Promise<number> =>
      (await fetch(`${url}/api/v1/turns`, { headers: { authorization: `Bearer ${secret}` } })).status
    expect([await status(a), await status(b)]).toEqual([200, 200])

    const stream = await fetch(`${b.url}/api/v1/turns`, { headers: { accept: 'text/event-stream' } })
    const events = reading(stream)
    const joined = await fetch(`${a.url}/api/v1/turns/deploy/members`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id: 'member-0001' }),
    })
    expect(await joined.json()).toMatchObject({ state: 'holding', fence: 1 })
    await until('the other server streams the change', () => events().includes('member-0001'))

    const leases = reading(
      await fetch(`${b.url}/api/v1/leases`, { headers: { accept: 'text/event-stream' } }),
    )
    const body = { head_sha: 'abcd1234', priority: 3 }
    await callLease(a.url, { provider: 'octo/new/main', verb: 'acquire', body })
    await until('the other server streams the new provider', () => leases().includes('abcd1234'))
    const lists = await providers([a, b])
    expect(lists[0]).toContain('octo:new:main')
    expect(lists[1]).toBe(lists[0])

    expect(await signalbox(['token', 'revoke', 'ci', '--url', a.url]).exited).toBe(0)
    expect(await status(a)).toBe(401)
    // Within five seconds, says docs/security.md.
    await until('the other server refuses the token', async () => (await status(b)) === 401, 15_000)
    expect(await audited(b)).toEqual(['tokens.revoke ci', 'tokens.create ci'])
  })

  it('what operators do at one is there at the other, page by page', async () => {
    await using world = await replicas(name, 2)
    const [a, b] = world.servers as [ServerProcess, ServerProcess]
    const made: string[] = []
    for (const token of ['one', 'two', 'three']) {
      const { token: view } = (await post(a, '/api/v1/tokens', { name: token, role: 'viewer' })) as {
        token: { id: string }
      }
      made.push(view.id)
    }
    const paged: string[] = []
    for (let after: string | undefined = ''; after !== undefined;) {
      const page = (await get(b, `/api/v1/tokens?limit=1${after === '' ? '' : `&after=${after}`}`)) as {
        tokens: { id: string }[]
        next?: string
      }
      paged.push(...page.tokens.map(({ id }) => id))
      after = page.next
    }
    expect(paged).toEqual(made.sort())

    const members = '/api/v1/turns/deploy/members'
    for (const id of ['member-0001', 'member-0002']) await post(a, members, { id })
    await post(b, '/api/v1/turns/deploy/pause', { reason: 'freeze' })
    await fetch(`${a.url}${members}/member-0001?fence=1`, { method: 'DELETE' })
    expect(await get(b, '/api/v1/turns/deploy')).toMatchObject({
      state: 'paused',
      holders: [],
      waiters: [{ id: 'member-0002' }],
    })
    expect(await get(b, '/api/v1/turns/deploy/history')).toMatchObject({ holds: [{ fence: 1 }] })

    const call = {
      provider: 'acme/shop/main',
      verb: 'acquire',
      body: { head_sha: 'a', priority: 1 },
    } as const
    await callLease(a.url, call)
    await fetch(`${b.url}/acme/shop/main`, { method: 'DELETE' })
    expect(await get(a, '/acme/shop/main')).toMatchObject({ known: [] })
    // Two servers know the time of DynamoDB to half a second each.
    expect((await audited(a)).sort()).toEqual([
      'leases.clear acme/shop@main',
      'tokens.create one',
      'tokens.create three',
      'tokens.create two',
      'turns.pause deploy',
    ])
  })
})

it('a server whose store is away says so in JSON, changes nothing, and is not ready', async () => {
  const arena = await openArena('DynamoDB')
  const cable = await startCable(arena.place.host)
  const [near, far] = await Promise.all([
    startReplica(arena.place, { env }),
    startReplica({ ...arena.place, host: cable.host }, { env }),
  ])
  const acquire = (url: string, sha: string): ReturnType<typeof callLease> =>
    callLease(url, { provider: 'acme/shop/main', verb: 'acquire', body: { head_sha: sha, priority: 1 } })
  expect(await acquire(far.url, 'aaaa')).toMatchObject({ status: 200 })
  await cable.close()
  for (const sha of ['aaaa', 'bbbb']) {
    const answer = await acquire(far.url, sha)
    expect(answer).toMatchObject({ status: 503, contentType: expect.stringMatching(/^application\/json/) })
    expect(JSON.parse('text' in answer ? answer.text : '')).toMatchObject({ error: expect.any(String) })
  }
  expect((await fetch(`${far.url}/readyz`)).status).toBe(500)
  expect((await fetch(`${far.url}/healthz`)).status).toBe(200)
  const [list = ''] = await shown([near], '/acme/shop/main')
  const { known } = JSON.parse(list) as { known: { head_sha: string }[] }
  expect(known.map(({ head_sha }) => head_sha)).toEqual(['aaaa'])
  await Promise.all([near.stop(), far.stop()])
  await arena.close()
})

interface World extends AsyncDisposable {
  readonly arena: Arena
  readonly servers: ServerProcess[]
}

async function replicas(name: (typeof ENGINES)[number], count: number): Promise<World> {
  const arena = await openArena(name)
  const servers = await Promise.all(Array.from({ length: count }, () => startReplica(arena.place, { env })))
  return {
    arena,
    servers,
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map((server) => server.stop()))
      await arena.close()
    },
  }
}

function anyOf<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)]!
}

/** What each of them answers. */
function shown(servers: readonly ServerProcess[], path: string): Promise<string[]> {
  return Promise.all(servers.map(async ({ url }) => (await fetch(`${url}${path}`)).text()))
}

/** The lists of providers; what was seen when is known to each server by itself. */
async function providers(servers: readonly ServerProcess[]): Promise<string[]> {
  const lists = await shown(servers, '/')
  return lists.map((list) => list.replaceAll(/"(?:last_updated_at|last_seen_at)":"[^"]*"/g, '""'))
}

async function audited({ url }: ServerProcess): Promise<string[]> {
  const { entries } = (await (await fetch(`${url}/api/v1/audit`)).json()) as {
    entries: { action: string; target: string }[]
  }
  return entries.map(({ action, target }) => `${action} ${target}`)
}

async function get({ url }: ServerProcess, path: string): Promise<unknown> {
  const answer = await fetch(`${url}${path}`)
  expect(answer.status).toBe(200)
  return answer.json()
}

async function post({ url }: ServerProcess, path: string, body: object): Promise<unknown> {
  const answer = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  expect(answer.status).toBe(200)
  return answer.json()
}

/** All that a stream has sent so far. */
function reading(response: Response): () => string {
  let text = ''
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? [])
      text += decoder.decode(chunk as Uint8Array, { stream: true })
  }
  read().catch(() => {}) // the server ends it
  return () => text
}

/** The log may be there not yet, or end within a line. */
function readLogSafely(file: string): unknown[] {
  try {
    return readLog(file)
  } catch {
    return []
  }
}
