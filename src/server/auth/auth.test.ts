import { describe, expect, it } from 'vitest'
import { isSignalboxError } from '../../kernel/error.ts'
import { authorize, bearerOf, type Auth } from './auth.ts'
import { hashOf, tokenKey } from './records.ts'
import { authWorld, owner } from './testing/world.ts'

/** What became of a call with this token: the caller's name, or the refusal. */
async function called(auth: Auth, token: string | undefined, local = false): Promise<string> {
  return auth.authenticate(token, local).then(
    ({ name }) => name,
    (error: unknown) => (isSignalboxError(error) ? `${error.code}: ${error.message}` : String(error)),
  )
}
const hint = "send 'Authorization: Bearer sbx_…' (SIGNALBOX_TOKEN)"

describe('who calls', () => {
  it('without a credential is nobody, the owner, or anonymous where nobody has to sign in', async () => {
    const { auth } = authWorld()
    expect(await called(auth, undefined)).toBe(`unauthenticated: no credential came with the call; ${hint}`)
    expect(await auth.authenticate(undefined, true)).toEqual(owner)
    expect(await authWorld({ required: false }).auth.authenticate(undefined, false)).toEqual({
      name: 'anonymous',
      kind: 'anonymous',
      role: 'admin',
      scopes: [],
    })
  })

  it('with a token is that token, with its role and scopes', async () => {
    const { auth, token } = authWorld()
    const secret = await token({ name: 'ci', role: 'viewer', scopes: ['turns:a'] })
    const principal = { name: 'ci', kind: 'token', role: 'viewer', scopes: ['turns:a'] }
    expect(await auth.authenticate(secret, false)).toEqual(principal)
    expect(await auth.authenticate(secret, true)).toEqual(principal)
  })

  it.each([true, false])('with a bad token is refused everywhere (required: %s)', async (required) => {
    const { auth } = authWorld({ required })
    const unknown = `sbx_${'0'.repeat(40)}`
    for (const local of [true, false]) {
      expect(await called(auth, unknown, local)).toBe(`unauthenticated: the token is unknown here; ${hint}`)
      for (const malformed of [
        '',
        'sbx_',
        'x',
        `${unknown}0`,
        `SBX_${'0'.repeat(40)}`,
        `sbx_${'É'.repeat(40)}`,
      ]) {
        expect(await called(auth, malformed, local)).toMatch(/^unauthenticated: this is not a token of/)
      }
    }
  })

  it('with an expired token is refused from that millisecond on', async () => {
    const { auth, clock, token } = authWorld()
    const secret = await token({ name: 'brief', expiresInMs: 60_000 })
    await clock.advance(59_999)
    expect(await called(auth, secret)).toBe('brief')
    await clock.advance(1)
    expect(await called(auth, secret)).toBe(`unauthenticated: the token is expired; ${hint}`)
  })

  it('with a revoked token is refused at once here, within five seconds elsewhere', async () => {
    const { auth, another, clock, token } = authWorld()
    const secret = await token({ name: 'ci' })
    const other = another()
    expect([await called(auth, secret), await called(other, secret)]).toEqual(['ci', 'ci'])
    await auth.tokens.revoke('ci', owner)
    expect(await called(auth, secret)).toBe(`unauthenticated: the token is revoked; ${hint}`)
    await clock.advance(4_999)
    expect(await called(other, secret)).toBe('ci')
    await clock.advance(1)
    expect(await called(other, secret)).toMatch(/the token is revoked/)
  })

  it('is not answered from a read that began before the revocation', async () => {
    const { auth, store, clock, token } = authWorld()
    const secret = await token({ name: 'ci' })
    const release = Promise.withResolvers<void>()
    const get = store.get.bind(store)
    let hold = true
    store.get = async (key) => {
      const found = await get(key)
      if (hold && key[1] === hashOf(secret)) {
        hold = false
        await release.promise
      }
      return found
    }
    const before = called(auth, secret)
    await clock.settle()
    await auth.tokens.revoke('ci', owner)
    expect(await called(auth, secret)).toMatch(/revoked/)
    release.resolve()
    expect(await before).toBe('ci')
    expect(await called(auth, secret)).toMatch(/revoked/)
  })

  it('works at once on another server, although it was unknown a moment ago', async () => {
    const { another, token } = authWorld()
    const other = another()
    expect(await called(other, `sbx_${'0'.repeat(40)}`)).toMatch(/unknown/)
    expect(await called(other, await token({ name: 'ci' }))).toBe('ci')
  })

  it('costs one read in five seconds, however many call at once', async () => {
    const { auth, clock, store, token } = authWorld()
    const secret = await token({ name: 'ci' })
    await called(auth, secret)
    await auth.close()
    await called(auth, secret)
    const before = store.operations.get
    await Promise.all(Array.from({ length: 50 }, () => called(auth, secret)))
    expect(store.operations.get).toBe(before)
    await clock.advance(5_000)
    await Promise.all(Array.from({ length: 50 }, () => called(auth, secret)))
    expect(store.operations.get).toBe(before + 1)
  })

  it('is refused while the store does not work', async () => {
    const { auth, store, clock, token } = authWorld()
    const secret = await token({})
    await called(auth, secret)
    await clock.advance(5_000)
    await store.close()
    expect(await called(auth, secret)).toMatch(/^unavailable: /)
  })
})

describe('the last use of a token', () => {
  it('is noted to the hour, behind the call, and leaves the rest as it is', async () => {
    const { auth, clock, store, token } = authWorld()
    const started = clock.now()
    const secret = await token({ name: 'ci', scopes: ['turns:a'], expiresInMs: 86_400_000 })
    const listed = async (): Promise<unknown> => (await auth.tokens.list()).tokens[0]?.lastUsedAt
    const commits = store.operations.commit
    await called(auth, secret)
    await auth.close()
    expect(await listed()).toBe(new Date(started).toISOString())
    await clock.advance(3_599_000)
    for (let i = 0; i < 10; i++) await called(auth, secret)
    await auth.close()
    expect(store.operations.commit).toBe(commits + 1)
    await clock.advance(1_000)
    await called(auth, secret)
    await auth.close()
    expect(await listed()).toBe(new Date(started + 3_600_000).toISOString())
    expect((await auth.tokens.list()).tokens[0]).toMatchObject({ scopes: ['turns:a'], state: 'active' })
  })

  it('never undoes a revocation, and may fail', async () => {
    const { auth, another, store, token } = authWorld()
    const secret = await token({ name: 'ci' })
    const other = another()
    const found = await store.get(tokenKey(hashOf(secret)))
    const use = other.authenticate(secret, false)
    await auth.tokens.revoke('ci', owner)
    await use
    await other.close()
    expect((await auth.tokens.list()).tokens[0]).toMatchObject({ state: 'revoked' })
    expect(found?.version).not.toBe((await store.get(tokenKey(hashOf(secret))))?.version)
  })
})

describe('whoever stays', () => {
  it('is told when the token is revoked: at once here, within seconds elsewhere', async () => {
    const { auth, another, clock, token } = authWorld()
    const secret = await token({ name: 'ci' })
    const told: string[] = []
    const other = another()
    const stops = [
      auth.whileValid(secret, () => told.push('here')),
      other.whileValid(secret, () => told.push('there')),
    ]
    await clock.advance(3_000)
    expect(told).toEqual([])
    await auth.tokens.revoke('ci', owner)
    await clock.settle()
    expect(told).toEqual(['here'])
    await clock.advance(7_000)
    expect(told).toContain('there')
    for (const stop of stops) stop()
    expect(clock.pendingTimers).toBe(0)
  })

  it('is told when the token expires, and no more once it stopped listening', async () => {
    const { auth, clock, token } = authWorld()
    const secret = await token({ expiresInMs: 10_000 })
    let told = 0
    const stop = auth.whileValid(secret, () => told++)
    await clock.advance(9_000)
    expect(told).toBe(0)
    await clock.advance(3_000)
    expect(told).toBeGreaterThan(0)
    const before = told
    stop()
    await clock.advance(60_000)
    expect(told).toBe(before)
  })
})

describe('the Authorization header', () => {
  it.each([
    [undefined, undefined],
    ['Bearer sbx_a', 'sbx_a'],
    ['bearer  sbx_a ', 'sbx_a'],
  ])('%j holds %j', (header, token) => expect(bearerOf(header)).toBe(token))

  it.each(['', 'Bearer', 'Bearer ', 'Basic YTpi', 'Bearer a b', 'sbx_a', 'xBearer sbx_a'])(
    '%j is refused',
    (header) => expect(() => bearerOf(header)).toThrow(/is not 'Bearer' and one token; send/),
  )
})

describe('a refusal', () => {
  const ci = { name: 'ci', kind: 'token', role: 'viewer', scopes: ['turns:a'] } as const
  it('names the role that is needed', () => {
    expect(() => authorize(ci, { role: 'operator', noun: 'turns', param: 'queue' }, 'a')).toThrow(
      "token 'ci' has the role viewer; this needs the role operator",
    )
  })
  it('names the scope that is needed, on one line', () => {
    const join = { role: 'viewer', noun: 'turns', param: 'queue' } as const
    expect(() => authorize(ci, join, 'b/c')).toThrow(
      "token 'ci' has no scope for turns 'b/c'; this needs one that covers it, such as turns:b/c",
    )
    expect(() => authorize(ci, { role: 'viewer', noun: 'server' })).toThrow(/such as server:\*$/)
    expect(() => authorize(ci, join, 'x\ny'.repeat(500))).toThrow(/^[^\n]{1,400}$/)
  })
})
