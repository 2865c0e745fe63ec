import { afterEach, describe, expect, it } from 'vitest'
import { code } from '../../../test/support/engines/firestore-fake/protocol.ts'
import { storeOnFake, type StoreOnFake } from '../../../test/support/engines/firestore-fake/store.ts'
import { decimalKey, type Change, type Expect, type Key } from '../../ports/store.ts'

const MINUTE = 60_000
const at = (n: number): Key => ['q', decimalKey(n)]
const put = (n: number, expect: Expect, expiresAt?: number): Change => ({
  key: at(n),
  expect,
  op: 'put',
  value: { n },
  ...(expiresAt === undefined ? {} : { expiresAt }),
})
const remove = (n: number, expect: Expect): Change => ({ key: at(n), expect, op: 'delete' })
const check = (n: number, expect: Expect): Change => ({ key: at(n), expect, op: 'check' })

let on: StoreOnFake
afterEach(() => on.close())

/** Commits, which must succeed. @returns the version of the first change */
async function apply(...changes: Change[]): Promise<{ readonly version: string }> {
  const result = await on.store.commit(changes)
  if (!result.ok) throw new Error(`commit failed: ${JSON.stringify(result)}`)
  return { version: result.versions[0] ?? '' }
}

describe('a commit is one request', () => {
  it('when it creates, replaces or deletes by version', async () => {
    on = await storeOnFake()
    const created = await apply(put(1, 'absent'), put(2, 'absent'))
    const replaced = await apply(put(1, created), put(3, 'absent'))
    await apply(remove(1, replaced))
    expect(on.calls()).toEqual(['Commit', 'Commit', 'Commit'])
  })

  it('when it beats: a put that expects presence, of a record it wrote or read', async () => {
    on = await storeOnFake()
    await apply(put(1, 'absent'))
    for (let i = 0; i < 3; i++) await apply(put(1, 'present'))
    expect(on.calls()).toEqual(['Commit', 'Commit', 'Commit', 'Commit'])
    const other = await on.another()
    await other.commit([put(1, 'present')])
    await on.store.get(at(1))
    await apply(put(1, 'present'))
    expect(on.calls()).toEqual(['BatchGetDocuments', 'Commit'])
  })

  it('when its record expires later than the commit can arrive', async () => {
    on = await storeOnFake({ requestTimeoutMs: 10_000 })
    const later = on.store.now().ms + MINUTE
    const version = await apply(put(1, 'absent', later))
    await apply(put(1, version, later))
    await apply(put(1, 'present', later))
    expect(on.calls()).toEqual(['Commit', 'Commit', 'Commit'])
    await on.clock.advance(MINUTE - 9_000)
    await apply(put(1, 'present', later))
    expect(on.calls()).toEqual(['BatchGetDocuments', 'Commit'])
  })

  it('when it lost against another: the version says all', async () => {
    on = await storeOnFake()
    const former = await apply(put(1, 'absent'))
    await apply(put(1, former))
    on.calls()
    expect(await on.store.commit([put(1, former)])).toEqual({ ok: false, failed: [at(1)] })
    expect(await on.store.commit([put(1, former), put(2, 'absent')])).toEqual({
      ok: false,
      failed: 'unknown',
    })
    expect(on.calls()).toEqual(['Commit', 'Commit'])
  })
})

describe('a commit is judged in a transaction', () => {
  it('when it expects presence of a record that another process wrote', async () => {
    on = await storeOnFake()
    const other = await on.another()
    await other.commit([put(1, 'absent')])
    await apply(put(1, 'present'))
    expect(on.calls()).toEqual(['BatchGetDocuments', 'Commit'])
    await other.commit([put(1, 'present')])
    await apply(put(1, 'present'))
    expect(on.calls()).toEqual(['Commit', 'BatchGetDocuments', 'Commit'])
  })

  it('when it checks, and gives its locks back when that fails', async () => {
    on = await storeOnFake()
    await apply(put(1, 'absent'), put(2, 'absent'))
    on.calls()
    await apply(check(1, 'present'), put(2, 'present'))
    expect(on.calls()).toEqual(['BatchGetDocuments', 'Commit'])
    const failed = await on.store.commit([check(1, 'absent'), put(2, 'present'), put(3, 'absent')])
    expect(failed).toEqual({ ok: false, failed: [at(1)] })
    expect(on.calls()).toEqual(['BatchGetDocuments', 'Rollback'])
    await apply(check(1, 'present'), check(3, 'absent'))
    expect(on.calls()).toEqual(['BatchGetDocuments'])
  })

  it('when what must be absent exists: it may have expired', async () => {
    on = await storeOnFake()
    await apply(put(1, 'absent', on.store.now().ms + MINUTE))
    on.calls()
    expect(await on.store.commit([put(1, 'absent')])).toEqual({ ok: false, failed: [at(1)] })
    expect(on.calls()).toEqual(['Commit', 'BatchGetDocuments', 'Rollback'])
    await on.clock.advance(MINUTE)
    await apply(put(1, 'absent'))
    expect((await on.store.get(at(1)))?.value).toEqual({ n: 1 })
  })

  it('so that a record which another process let expire is absent, whatever is remembered of it', async () => {
    on = await storeOnFake()
    const other = await on.another()
    await apply(put(1, 'absent'))
    await other.commit([put(1, 'present', on.store.now().ms + MINUTE)])
    await on.clock.advance(MINUTE)
    expect(await on.store.commit([put(1, 'present')])).toEqual({ ok: false, failed: [at(1)] })
    expect(await on.store.get(at(1))).toBeUndefined()
  })

  it('never lets a version outlive its record', async () => {
    on = await storeOnFake()
    const version = await apply(put(1, 'absent', on.store.now().ms + MINUTE))
    await on.clock.advance(MINUTE)
    for (const change of [put(1, version), remove(1, version), check(1, version), remove(1, 'present')]) {
      expect(await on.store.commit([change])).toEqual({ ok: false, failed: [at(1)] })
    }
  })
})

describe('what the engine aborts', () => {
  it('is tried again, as a request and as a transaction', async () => {
    on = await storeOnFake()
    await apply(put(1, 'absent'))
    on.fake.faults.fail('Commit', { code: code.ABORTED, times: 2 })
    await on.settled(apply(put(1, 'present')))
    on.fake.faults.fail('Commit', { code: code.ABORTED, times: 2 })
    await on.settled(apply(check(1, 'present'), put(2, 'absent')))
    on.fake.faults.fail('BatchGetDocuments', { code: code.ABORTED })
    await on.settled(apply(check(1, 'present'), remove(2, 'present')))
    const expired = 'The referenced transaction has expired or is no longer valid.'
    on.fake.faults.fail('Commit', { code: code.INVALID_ARGUMENT, details: expired })
    await on.settled(apply(check(1, 'present'), put(2, 'absent')))
  })

  it('is a conflict in the end, of which nothing was applied', async () => {
    on = await storeOnFake()
    const version = await apply(put(1, 'absent'))
    on.fake.faults.fail('Commit', { code: code.ABORTED, times: 6 })
    expect(await on.settled(on.store.commit([put(1, version)]))).toEqual({ ok: false, failed: 'unknown' })
    expect((await on.store.get(at(1)))?.version).toBe(version.version)
    await apply(put(1, version))
  })

  it('includes a transaction whose reads another commit overtook', async () => {
    on = await storeOnFake()
    const other = await on.another()
    await apply(put(1, 'absent'), put(2, 'absent'))
    const hold = on.fake.faults.hold('BatchGetDocuments', 'after')
    const commit = on.store.commit([check(1, 'present'), put(2, 'present')])
    await hold.reached
    expect((await other.commit([remove(1, 'present')])).ok).toBe(true)
    hold.release()
    expect(await on.settled(commit)).toEqual({ ok: false, failed: [at(1)] })
  })
})
