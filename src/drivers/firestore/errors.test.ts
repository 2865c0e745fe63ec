import { execFile } from 'node:child_process'
import { afterEach, describe, expect, it } from 'vitest'
import { startFirestoreFake } from '../../../test/support/engines/firestore-fake/index.ts'
import { code } from '../../../test/support/engines/firestore-fake/protocol.ts'
import { storeOnFake, type StoreOnFake } from '../../../test/support/engines/firestore-fake/store.ts'
import { systemClock } from '../../kernel/clock.ts'
import { seededRandom } from '../../kernel/id.ts'
import { decimalKey, type Change, type Key } from '../../ports/store.ts'
import { translate } from './errors.ts'
import { loadSdk, openFirestoreStore } from './index.ts'

const at: Key = ['q', decimalKey(1)]
const create: Change = { key: at, expect: 'absent', op: 'put', value: 1 }
const beat: Change = { key: at, expect: 'present', op: 'put', value: 2 }
const guarded: Change[] = [{ key: ['q', decimalKey(2)], expect: 'absent', op: 'check' }, create]

let on: StoreOnFake | undefined
afterEach(async () => {
  await on?.close()
  on = undefined
})

describe('a commit whose answer is lost', () => {
  const lost = [code.UNAVAILABLE, code.INTERNAL, code.CANCELLED, 2, 4, 15]

  it.each(lost)('with code %i is unknown, never a conflict, and is sent once', async (status) => {
    on = await storeOnFake()
    for (const changes of [[create], [beat], [{ ...beat, op: 'delete' } as Change], guarded]) {
      on.fake.faults.fail('Commit', { code: status, when: 'after' })
      await expect(on.store.commit(changes)).rejects.toMatchObject({ code: 'outcome_unknown' })
    }
    // Counted where they arrive: the SDK's own methods would have repeated some.
    expect(on.fake.requests.get('Commit')).toBe(4)
    expect((await on.store.get(at))?.value).toBe(1)
  })

  it('is unknown too when it was not applied', async () => {
    on = await storeOnFake()
    on.fake.faults.fail('Commit', { code: code.UNAVAILABLE })
    await expect(on.store.commit([create])).rejects.toMatchObject({ code: 'outcome_unknown' })
    expect(await on.store.get(at)).toBeUndefined()
    expect((await on.store.commit([create])).ok).toBe(true)
  })

  it('because the connection broke is unknown', async () => {
    on = await storeOnFake()
    const hold = on.fake.faults.hold('Commit', 'after')
    const commit = on.store.commit([create])
    await hold.reached
    await on.fake.close()
    await expect(commit).rejects.toMatchObject({ code: 'outcome_unknown' })
    hold.release()
  })

  it('because it takes too long is unknown, and the limit is named', async () => {
    on = await storeOnFake({ requestTimeoutMs: 3_000 })
    const hold = on.fake.faults.hold('Commit', 'before')
    const commit = on.store.commit([create])
    await hold.reached
    const refused = expect(commit).rejects.toMatchObject({
      code: 'outcome_unknown',
      message: expect.stringMatching(/no answer to Commit within 3000 ms/),
    })
    await on.clock.advance(3_000)
    await refused
    hold.release()
  })
})

describe('a commit that was not applied', () => {
  it('is throttled when a quota is used up', async () => {
    on = await storeOnFake()
    on.fake.faults.fail('Commit', { code: code.RESOURCE_EXHAUSTED, details: 'Quota exceeded.' })
    await expect(on.store.commit([create])).rejects.toMatchObject({ code: 'throttled' })
  })

  it('is unavailable when nobody listens, since it was never sent', async () => {
    on = await storeOnFake()
    await on.fake.close()
    // The first may still find the connection that is being closed.
    await expect(on.store.commit([create])).rejects.toThrow()
    await expect(on.store.commit([create])).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('is unavailable when the reads of its transaction failed', async () => {
    on = await storeOnFake()
    on.fake.faults.fail('BatchGetDocuments', { code: code.UNAVAILABLE, times: 3 })
    await expect(on.settled(on.store.commit(guarded))).rejects.toMatchObject({ code: 'unavailable' })
    expect(await on.store.get(at)).toBeUndefined()
  })
})

describe('a read that fails', () => {
  it('is repeated twice, then unavailable', async () => {
    on = await storeOnFake()
    await on.store.commit([create])
    on.calls()
    on.fake.faults.fail('BatchGetDocuments', { code: code.UNAVAILABLE, times: 2 })
    expect((await on.settled(on.store.get(at)))?.value).toBe(1)
    on.fake.faults.fail('RunQuery', { code: code.INTERNAL, times: 3 })
    await expect(on.settled(on.store.list({ partition: 'q' }, { limit: 1 }))).rejects.toMatchObject({
      code: 'unavailable',
    })
    expect(on.calls()).toEqual([...Array(3).fill('BatchGetDocuments'), ...Array(3).fill('RunQuery')])
  })

  it('is throttled when the engine aborts it', async () => {
    on = await storeOnFake()
    on.fake.faults.fail('RunQuery', { code: code.ABORTED, times: 2 })
    const all = { partition: 'q' }
    await expect(on.store.list(all, { limit: 1 })).rejects.toMatchObject({ code: 'throttled' })
    await expect(on.store.deleteRange(all)).rejects.toMatchObject({ code: 'throttled' })
  })

  it('does not keep a store from being opened, if the trouble may pass', async () => {
    on = await storeOnFake()
    on.fake.faults.fail('BatchGetDocuments', { code: code.RESOURCE_EXHAUSTED })
    expect(await (await on.another()).get(at)).toBeUndefined()
  })

  it('ends after its time limit', async () => {
    on = await storeOnFake({ requestTimeoutMs: 2_000 })
    const hold = on.fake.faults.hold('RunQuery', 'before')
    const listed = on.store.list({ partition: 'q' }, { limit: 1 })
    await hold.reached
    const refused = expect(listed).rejects.toMatchObject({ code: 'unavailable' })
    await on.clock.advance(2_000)
    await refused
    hold.release()
  })
})

describe('a failure that needs the operator', () => {
  const place = { project: 'demo', database: 'github-dynamoq', collection: 'queues' }
  const said = (status: number, details: string) =>
    translate(Object.assign(new Error(details), { code: status, details }), {
      place,
      operation: 'RunQuery',
      write: false,
    })

  it.each([
    [code.PERMISSION_DENIED, 'Missing permissions.', 'permission_denied', /roles\/datastore\.user/],
    [16, 'Request had invalid credentials.', 'unauthenticated', /sign in/],
    [code.NOT_FOUND, 'The database x does not exist for project y', 'not_found', /create the database/],
    [
      code.FAILED_PRECONDITION,
      'The query requires an index.',
      'config_invalid',
      /queueName ascending, entryTimestamp/,
    ],
    [code.FAILED_PRECONDITION, 'not available for Datastore Mode databases', 'config_invalid', /native mode/],
    [code.UNIMPLEMENTED, 'The server does not implement it', 'unavailable', /address/],
  ])('with code %i (%s) says %s and what to do', (status, details, expected, message) => {
    const error = said(status, details)
    expect(error.code).toBe(expected)
    expect(error.message).toMatch(message)
    expect(error.message).toContain("'github-dynamoq' of project 'demo'")
    expect(error.message).not.toContain('\n')
  })

  it('shows when the store is opened', async () => {
    const missing = storeOnFake({ database: 'nowhere' }, { databases: ['github-dynamoq'] })
    await expect(missing).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining("'nowhere'"),
    })
    const fake = await startFirestoreFake()
    fake.faults.fail('BatchGetDocuments', { code: code.PERMISSION_DENIED })
    const opened = openFirestoreStore({
      project: 'demo',
      database: 'd',
      collection: 'c',
      emulatorHost: fake.host,
      clock: systemClock,
      random: seededRandom(1),
    })
    await expect(opened).rejects.toMatchObject({ code: 'permission_denied' })
    await fake.close()
  })

  it('a list without its index says so', async () => {
    on = await storeOnFake({}, { indexes: [] })
    await expect(on.store.list({ partition: 'q' }, { limit: 1 })).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining("collection 'queues' lacks its composite index"),
    })
  })

  it('a missing SDK is one line with the command', async () => {
    const absent = Object.assign(new Error("Cannot find package '@google-cloud/firestore'"), {
      code: 'ERR_MODULE_NOT_FOUND',
    })
    await expect(loadSdk(() => Promise.reject(absent))).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('npm install @google-cloud/firestore'),
    })
  })

  it.each([
    [{ database: '' }, 'invalid_argument'],
    [{ collection: 'a/b' }, 'invalid_argument'],
    [{ collection: '__x__' }, 'invalid_argument'],
    [{ emulatorHost: 'http://localhost:8080' }, 'invalid_argument'],
  ])('%o is refused', async (wrong, expected) => {
    const options = { project: 'demo', database: 'd', collection: 'c', emulatorHost: '127.0.0.1:1' }
    const opened = openFirestoreStore({ ...options, clock: systemClock, random: seededRandom(1), ...wrong })
    await expect(opened).rejects.toMatchObject({ code: expected })
  })

  it('an emulator without a project is refused, and not looked for in the network', async () => {
    const options = { database: 'd', collection: 'c', emulatorHost: '127.0.0.1:1' }
    const opened = openFirestoreStore({ ...options, clock: systemClock, random: seededRandom(1) })
    await expect(opened).rejects.toMatchObject({ code: 'config_invalid' })
  })
})

describe('a process', () => {
  it('may end as soon as its store is closed', async () => {
    const fake = await startFirestoreFake()
    const script = `
      import { openFirestoreStore } from ${JSON.stringify(new URL('index.ts', import.meta.url).href)}
      import { systemClock } from ${JSON.stringify(new URL('../../kernel/clock.ts', import.meta.url).href)}
      import { systemRandom } from ${JSON.stringify(new URL('../../kernel/id.ts', import.meta.url).href)}
      const store = await openFirestoreStore({ project: 'p', database: 'd', collection: 'c',
        emulatorHost: '${fake.host}', clock: systemClock, random: systemRandom })
      const hints = store.watch({ partition: 'q' }, new AbortController().signal)[Symbol.asyncIterator]()
      await hints.next()
      await store.commit([{ key: ['q', '000000000000001'], expect: 'absent', op: 'put', value: 1 }])
      await hints.next()
      await store.close()
      const closed = performance.now()
      process.on('exit', () => process.stdout.write(String(performance.now() - closed)))`
    // The fake answers from this very process, so it must not be blocked.
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    execFile(
      process.execPath,
      ['--input-type=module-typescript', '-e', script],
      { timeout: 20_000 },
      (error, out) => (error === null ? resolve(out) : reject(error)),
    )
    expect(Number(await promise)).toBeLessThan(5_000)
    await fake.close()
  })
})
