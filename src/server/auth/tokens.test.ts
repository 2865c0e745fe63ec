import { describe, expect, it } from 'vitest'
import type { SignalboxError } from '../../kernel/error.ts'
import type { Principal } from '../../ports/access.ts'
import type { Json } from '../../ports/store.ts'
import { createTokenBody, tokenName } from './api.ts'
import { readAudit } from './audit-log.ts'
import { hashOf, tokensPartition } from './records.ts'
import { authWorld, owner, type AuthWorld } from './testing/world.ts'

const failure = async (attempt: Promise<unknown>): Promise<[code: string, message: string]> =>
  attempt.then(
    () => Promise.reject(new Error('it succeeded')),
    (error: SignalboxError) => [error.code, error.message],
  )

const audited = async ({ store }: AuthWorld): Promise<unknown[]> =>
  (await readAudit(store)).entries.map(({ actor, action, target }) => [actor, action, target])

describe('a new token', () => {
  it('is shown once and kept as its hash alone', async () => {
    const world = authWorld()
    const { auth, store } = world
    const { secret, token } = await auth.tokens.create(
      { name: 'ci', role: 'operator', scopes: ['turns:a'], expiresInMs: 60_000 },
      owner,
    )
    expect(secret).toMatch(/^sbx_[0-9a-hjkmnp-tv-z]{40}$/)
    expect(token).toEqual({
      id: hashOf(secret).slice(0, 16),
      name: 'ci',
      role: 'operator',
      scopes: ['turns:a'],
      state: 'active',
      createdAt: new Date(world.clock.now()).toISOString(),
      createdBy: 'ann',
      expiresAt: new Date(world.clock.now() + 60_000).toISOString(),
    })
    const records = [
      ...(await store.list({ partition: tokensPartition }, { limit: 10 })).records,
      ...(await store.list({ partition: 'signalbox:tokens:name:ci' }, { limit: 10 })).records,
    ]
    const kept = JSON.stringify([records, await readAudit(store), await auth.tokens.list()])
    expect(records).toHaveLength(2)
    expect(kept).not.toContain(secret.slice(4))
    expect(kept).toContain(hashOf(secret))
  })

  it('is audited in the same commit, with what it may do', async () => {
    const world = authWorld()
    const before = world.store.operations.commit
    await world.token({ name: 'ci', scopes: ['turns:a'] })
    expect(world.store.operations.commit).toBe(before + 1)
    expect((await readAudit(world.store)).entries).toMatchObject([
      {
        actor: 'ann',
        action: 'tokens.create',
        target: 'ci',
        details: { role: 'operator', scopes: ['turns:a'] },
      },
    ])
  })

  it('has a name of its own, until that one is revoked or expired', async () => {
    const world = authWorld()
    const { auth, clock, token } = world
    await token({ name: 'ci', expiresInMs: 60_000 })
    expect(await failure(token({ name: 'ci' }))).toEqual([
      'conflict',
      "a valid token is named 'ci' already; revoke it first, or choose another name",
    ])
    await clock.advance(60_000)
    await token({ name: 'ci' })
    await auth.tokens.revoke('ci', owner)
    const last = await token({ name: 'ci' })
    expect(await auth.authenticate(last, false)).toMatchObject({ name: 'ci' })
    expect((await auth.tokens.list()).tokens.map(({ state }) => state).sort()).toEqual([
      'active',
      'expired',
      'revoked',
    ])
  })

  it('gets its name alone when several ask at once', async () => {
    const world = authWorld()
    const other = world.another()
    const create = (auth: typeof other): Promise<unknown> =>
      auth.tokens.create({ name: 'ci', role: 'viewer' }, owner)
    const results = await Promise.allSettled([create(world.auth), create(other), create(world.auth)])
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect((await world.auth.tokens.list()).tokens).toHaveLength(1)
    expect(await audited(world)).toEqual([['ann', 'tokens.create', 'ci']])
  })

  it.each(['anonymous', 'ann', 'deployer', 'github:octo-org/app@refs/heads/main', 'ghes.example.org:a/b'])(
    'is not named %s, which is or may be somebody else in the audit log',
    async (name) => {
      const world = authWorld({ basicUsers: { deployer: 's3cret' }, oidcPrefixes: ['ghes.example.org:'] })
      expect((await failure(world.token({ name })))[0]).toBe('invalid_argument')
    },
  )

  it('lets nobody else in whose secret lies under the same key', async () => {
    const { auth, store, token } = authWorld()
    const secret = await token({ name: 'ci' })
    const [found] = (await store.list({ partition: tokensPartition }, { limit: 1 })).records
    const record = found!.value as Record<string, Json>
    const value = { ...record, hash: hashOf(secret).slice(0, 16).padEnd(64, '0') }
    await store.commit([{ op: 'put', key: found!.key, expect: 'present', value }])
    expect((await failure(auth.authenticate(secret, false)))[0]).toBe('unauthenticated')
    expect((await failure(auth.tokens.revoke('ci', owner)))[0]).toBe('not_found')
  })

  it('may do at most what its creator may', async () => {
    const { auth } = authWorld()
    const by: Principal = {
      name: 'lead',
      kind: 'token',
      role: 'admin',
      scopes: ['server:*', 'turns:staging/*'],
    }
    const create = (scopes?: string[]): Promise<unknown> =>
      auth.tokens.create({ name: 'x', role: 'admin', ...(scopes === undefined ? {} : { scopes }) }, by)
    for (const scopes of [undefined, ['turns:*'], ['turns:staging*'], ['turns:staging/a', 'leases:a']]) {
      expect((await failure(create(scopes)))[0]).toBe('permission_denied')
    }
    await create(['turns:staging/eu/*', 'server:*'])
  })
})

describe('what is asked for', () => {
  it.each([
    { name: 'ci', role: 'operator', scope: ['turns:a'] },
    { name: 'ci', role: 'operator', scopes: [] },
    { name: 'ci', role: 'operator', scopes: ['turns'] },
    { name: 'ci', role: 'owner' },
    { name: 'ci', role: 'operator', expiresInMs: 0 },
    { name: '', role: 'viewer' },
    { name: '0123456789abcdef', role: 'viewer' },
    { name: 'a b', role: 'viewer' },
    { name: '../x', role: 'viewer' },
  ])('is refused when it is malformed: %j', (body) => {
    expect(createTokenBody.safeParse(body).success).toBe(false)
  })
  it('has names of repositories, people and hosts', () => {
    for (const name of ['org/repo', 'gitlab:org/repo', 'ann@example.org', 'ci-1']) {
      expect(tokenName.safeParse(name).success).toBe(true)
    }
  })
})

describe('revoking', () => {
  it('works by id and by name, once, and is audited once', async () => {
    const world = authWorld()
    const { auth, token } = world
    const secret = await token({ name: 'one' })
    await token({ name: 'two' })
    const id = hashOf(secret).slice(0, 16)
    const revoked = await auth.tokens.revoke(id, owner)
    expect(revoked).toMatchObject({ name: 'one', state: 'revoked', revokedAt: expect.any(String) as string })
    expect(await auth.tokens.revoke('one', owner)).toEqual(revoked)
    expect(await auth.tokens.revoke('two', { ...owner, name: 'bob' })).toMatchObject({ state: 'revoked' })
    expect((await audited(world)).filter((entry) => (entry as string[])[1] === 'tokens.revoke')).toHaveLength(
      2,
    )
    expect(await audited(world)).toContainEqual(['bob', 'tokens.revoke', 'two'])
  })

  it('of what does not exist says so', async () => {
    const { auth } = authWorld()
    for (const named of ['nobody', '0123456789abcdef']) {
      expect(await failure(auth.tokens.revoke(named, owner))).toEqual([
        'not_found',
        `there is no token '${named}'; 'signalbox token list' shows them`,
      ])
    }
  })

  it('is in force although its answer was lost', async () => {
    const { auth, store, token } = authWorld()
    const secret = await token({ name: 'ci' })
    await auth.authenticate(secret, false)
    await auth.close()
    const commit = store.commit.bind(store)
    store.commit = async (changes) => {
      await commit(changes)
      throw new Error('the line broke')
    }
    await expect(auth.tokens.revoke('ci', owner)).rejects.toThrow('the line broke')
    await expect(auth.authenticate(secret, false)).rejects.toThrow('revoked')
  })
})

describe('the list', () => {
  it('is one range read, page by page, and forgets what is long over', async () => {
    const { auth, clock, store, token } = authWorld()
    for (let i = 0; i < 5; i++) await token({ name: `t${i}`, ...(i === 0 ? { expiresInMs: 1_000 } : {}) })
    const lists = store.operations.list
    const first = await auth.tokens.list({ limit: 2 })
    expect(store.operations.list).toBe(lists + 1)
    const second = await auth.tokens.list({ limit: 3, after: first.next ?? '' })
    expect(second.next).toBeUndefined()
    const names = [...first.tokens, ...second.tokens].map(({ name }) => name)
    expect(names.sort()).toEqual(['t0', 't1', 't2', 't3', 't4'])
    await clock.advance(91 * 86_400_000)
    expect((await auth.tokens.list()).tokens).toHaveLength(4)
  })

  it('says whether anybody can sign in', async () => {
    const { auth, token } = authWorld()
    expect(await auth.tokens.anyValid()).toBe(false)
    await token({ name: 'ci' })
    expect(await auth.tokens.anyValid()).toBe(true)
    await auth.tokens.revoke('ci', owner)
    expect(await auth.tokens.anyValid()).toBe(false)
  })
})
