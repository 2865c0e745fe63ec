import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../kernel/manual-clock.ts'
import type { Change, Store } from '../../ports/store.ts'
import { decimalKey } from '../../ports/store.ts'
import { storeConformance } from '../conformance/store-suite.ts'
import { openSqlite, openSqliteStore, sqliteStore, type SqliteEngine } from './index.ts'

const directories: string[] = []

function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
  directories.push(directory)
  return directory
}

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})

for (const groupCommit of [true, false]) {
  storeConformance(groupCommit ? 'sqlite' : 'sqlite with a transaction for each commit', async () => {
    const clock = new ManualClock()
    const directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
    let store: Store = await openSqliteStore({ directory, clock, groupCommit })
    return {
      store,
      advance: (ms) => clock.advance(ms),
      reopen: async () => {
        await store.close()
        store = await openSqliteStore({ directory, clock, groupCommit })
        return store
      },
      close: async () => {
        await store.close()
        rmSync(directory, { recursive: true })
      },
    }
  })
}

const put = (partition: string, n: number, value: string | number, expiresAt?: number): Change => ({
  key: [partition, decimalKey(n)],
  expect: 'absent',
  op: 'put',
  value,
  ...(expiresAt === undefined ? {} : { expiresAt }),
})

async function open(
  clock = new ManualClock(),
): Promise<{ clock: ManualClock; engine: SqliteEngine; store: Store }> {
  const engine = await openSqlite({ directory: freshDirectory(), clock })
  return { clock, engine, store: sqliteStore(engine) }
}

function count(engine: SqliteEngine): number {
  const [rows] = engine.database.prepare('SELECT count(*) FROM records').get() as unknown as [number]
  return rows
}

describe('the sqlite store', () => {
  it('makes 200 commits of one turn durable in one transaction', async () => {
    const { engine, store } = await open()
    const before = engine.facts()
    const results = await Promise.all(Array.from({ length: 200 }, (_, i) => store.commit([put('p', i, i)])))
    expect(results.every(({ ok }) => ok)).toBe(true)
    const after = engine.facts()
    expect(after.transactions - before.transactions).toBe(1)
    expect(after.commits - before.commits).toBe(200)
    await engine.close()
  })

  it('is as durable as it says', async () => {
    const { engine } = await open()
    expect(engine.facts()).toMatchObject({
      journalMode: 'wal',
      synchronous: 2,
      lockingMode: 'exclusive',
      pageSize: 4096,
    })
    expect(statSync(engine.facts().file).mode & 0o777).toBe(0o600)
    await engine.close()
  })

  it('answers a failed commit with its transaction, to which it adds nothing', async () => {
    const { engine, store } = await open()
    const [first, second, third] = await Promise.all([
      store.commit([put('p', 1, 'first')]),
      store.commit([put('p', 1, 'second'), put('p', 2, 'second')]),
      store.commit([put('p', 2, 'third')]),
    ])
    expect([first.ok, second, third.ok]).toEqual([true, { ok: false, failed: [['p', decimalKey(1)]] }, true])
    expect((await store.get(['p', decimalKey(2)]))?.value).toBe('third')
    expect(engine.facts().transactions).toBe(1)
    await engine.close()
  })

  it('refuses writes while there is no room, keeps what it has, and goes on when there is', async () => {
    const { engine, store } = await open()
    await store.commit([put('p', 0, 'before')])
    const limit = (pages: number): unknown =>
      engine.database.prepare(`PRAGMA max_page_count = ${pages}`).get()
    const [pages] = engine.database.prepare('PRAGMA page_count').get() as unknown as [number]
    limit(pages + 20)
    const filler = 'x'.repeat(20_000)
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => store.commit([put('p', 1 + i, filler)])),
    )
    for (const result of results) expect(result).toMatchObject({ reason: { code: 'unavailable' } })
    await expect(
      store.commit([put('q', 1, filler), ...[2, 3, 4, 5, 6].map((n) => put('q', n, filler))]),
    ).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('no space left') as string,
    })
    expect((await store.list({ partition: 'p' }, { limit: 100 })).records).toHaveLength(1)
    expect((await store.commit([put('q', 0, 'small')])).ok).toBe(true)
    limit(1_000_000)
    expect((await store.commit([put('p', 1, filler), put('p', 2, filler)])).ok).toBe(true)
    expect((await store.list({ partition: 'p' }, { limit: 100 })).records).toHaveLength(3)
    await engine.close()
  })

  it('sweeps expired records in the background, in batches, and nothing else', async () => {
    const { clock, engine, store } = await open()
    for (let i = 0; i < 1_300; i += 100) {
      const some = Array.from({ length: 100 }, (_, j) => put('p', i + j, 'brief', clock.now() + 1_000))
      await store.commit(some)
    }
    await store.commit([put('q', 1, 'lasting'), put('q', 2, 'later', clock.now() + 3_600_000)])
    expect(count(engine)).toBe(1_302)
    await clock.advance(61_000)
    expect(count(engine)).toBe(2)
    await store.close()
    await engine.close()
    expect(clock.pendingTimers).toBe(0)
  })

  it('shares its connection and group commit with other users of the engine', async () => {
    const { engine, store } = await open()
    const [result, seen] = await Promise.all([
      store.commit([put('p', 1, 1)]),
      engine.group.submit(
        (db) => (db.prepare('SELECT count(*) FROM records').get() as unknown as [number])[0],
        1,
        0,
      ),
    ])
    expect([result.ok, seen, engine.facts().transactions]).toEqual([true, 1, 1])
    await store.close()
    await engine.group.submit((db) => db.prepare('DELETE FROM records').run(), 1, 0)
    expect(count(engine)).toBe(0)
    await engine.close()
  })
})
