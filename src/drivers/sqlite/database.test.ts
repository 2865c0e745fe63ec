import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../kernel/clock.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import type { CommitResult, Store } from '../../ports/store.ts'
import { DATA_FILE, openSqlite, openSqliteStore, readOwner, sqliteStore, type SqliteEngine } from './index.ts'

let root: string
let directory: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'signalbox-'))
  directory = root
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(root, { recursive: true, force: true })
})

const clock = systemClock
const file = (): string => join(directory, DATA_FILE)
const commit = (store: Store, key: string, value = 1): Promise<CommitResult> =>
  store.commit([{ key: ['p', key], expect: 'absent', op: 'put', value }])

function edit(sql: string): void {
  const db = new DatabaseSync(file())
  db.exec(sql)
  db.close()
}

async function refusal(): Promise<unknown> {
  const before = readFileSync(file())
  const error = await openSqliteStore({ directory, clock, lockWaitMs: 0 }).then(
    () => new Error('not refused'),
    (reason: unknown) => reason,
  )
  expect(readFileSync(file()).equals(before)).toBe(true)
  expect(existsSync(join(directory, 'owner.json'))).toBe(false)
  return error
}

describe('opening a data directory', () => {
  it('makes it, for its owner only', async () => {
    directory = join(directory, 'deep', 'data')
    const store = await openSqliteStore({ directory, clock })
    expect(statSync(directory).mode & 0o777).toBe(0o700)
    expect(statSync(file()).mode & 0o777).toBe(0o600)
    expect(statSync(`${file()}-wal`).mode & 0o777).toBe(0o600)
    await store.close()
  })

  it('takes the rights of others away from a restored file', async () => {
    await (await openSqliteStore({ directory, clock })).close()
    chmodSync(file(), 0o644)
    const store = await openSqliteStore({ directory, clock })
    expect(statSync(file()).mode & 0o777).toBe(0o600)
    await store.close()
  })

  it('says who it is, and stops saying so on close', async () => {
    const store = await openSqliteStore({ directory, clock, owner: { command: 'signalbox serve' } })
    expect(readOwner(directory)).toMatchObject({ pid: process.pid, command: 'signalbox serve' })
    store.announce({ url: 'http://127.0.0.1:8080', socket: join(directory, 'owner.sock') })
    expect(readOwner(directory)).toMatchObject({ url: 'http://127.0.0.1:8080', command: 'signalbox serve' })
    expect(statSync(join(directory, 'owner.json')).mode & 0o777).toBe(0o600)
    await store.close()
    expect(readOwner(directory)).toBeUndefined()
  })

  it('is refused to a second one in the same process, who is told the first', async () => {
    const store = await openSqliteStore({ directory, clock, owner: { url: 'http://127.0.0.1:8080' } })
    const second = openSqliteStore({ directory, clock, lockWaitMs: 0 })
    await expect(second).rejects.toMatchObject({ code: 'store_owned', details: { pid: process.pid } })
    await expect(second).rejects.toThrow(`process ${process.pid}`)
    await expect(second).rejects.toThrow('SIGNALBOX_URL=http://127.0.0.1:8080')
    expect((await commit(store, 'still mine')).ok).toBe(true)
    await store.close()
  })

  it('waits for a predecessor that is just going', async () => {
    const first = await openSqliteStore({ directory, clock })
    await commit(first, 'k')
    const second = openSqliteStore({ directory, clock })
    await first.close()
    expect((await (await second).get(['p', 'k']))?.value).toBe(1)
    expect(readOwner(directory)?.pid).toBe(process.pid)
    await (await second).close()
  })

  it('takes a single file too', async () => {
    const store = await openSqliteStore({ file: join(directory, 'other.db'), clock })
    await commit(store, 'k')
    expect(store.facts().file).toBe(join(directory, 'other.db'))
    await store.close()
  })
})

describe('a file that cannot be ours is refused unchanged', () => {
  it('when it is newer', async () => {
    await (await openSqliteStore({ directory, clock })).close()
    edit('PRAGMA user_version = 99')
    expect(await refusal()).toMatchObject({ code: 'store_newer', details: { found: 99 } })
  })

  it('when it is not a database', async () => {
    writeFileSync(file(), 'Dear diary, today I was mistaken for a database. '.repeat(100))
    expect(await refusal()).toMatchObject({ code: 'store_invalid' })
  })

  it('when it is the database of another program', async () => {
    edit('CREATE TABLE theirs (a); PRAGMA journal_mode = DELETE')
    expect(await refusal()).toMatchObject({ code: 'store_invalid' })
    edit('DROP TABLE theirs; PRAGMA application_id = 7')
    expect(await refusal()).toMatchObject({ code: 'store_invalid' })
  })

  it('but an empty one is taken', async () => {
    writeFileSync(file(), '')
    const store = await openSqliteStore({ directory, clock })
    expect((await commit(store, 'k')).ok).toBe(true)
    await store.close()
  })
})

describe('a directory that cannot be used is named', () => {
  it('when a file is in its place', async () => {
    writeFileSync(join(directory, 'file'), '')
    const opened = openSqliteStore({ directory: join(directory, 'file', 'data'), clock })
    await expect(opened).rejects.toMatchObject({ code: 'unavailable' })
    await expect(opened).rejects.toThrow(join(directory, 'file', 'data'))
  })

  it('when it is not writable', async ({ skip }) => {
    const root = process.getuid?.() === 0
    if (process.getuid === undefined || (root && process.seteuid === undefined))
      return skip('no POSIX users here')
    const data = join(directory, 'data')
    mkdirSync(data)
    chmodSync(data, 0o500)
    chmodSync(directory, 0o755)
    try {
      if (root) process.seteuid?.(65_534)
      const opened = openSqliteStore({ directory: data, clock })
      await expect(opened).rejects.toMatchObject({ code: 'permission_denied' })
      await expect(opened).rejects.toThrow(data)
    } finally {
      if (root) process.seteuid?.(0)
    }
  })
})

describe('when COMMIT fails', () => {
  const IOERR_FSYNC = 1034
  const original: (this: DatabaseSync, sql: string) => void = Reflect.get(DatabaseSync.prototype, 'exec')
  let engine: SqliteEngine
  let store: Store

  /** Lets the next COMMIT fail, after or instead of its effect. */
  function failNextCommit(effect: 'after' | 'instead', errcode: number, also?: () => void): void {
    const spy = vi.spyOn(DatabaseSync.prototype, 'exec')
    spy.mockImplementation(function fake(this: DatabaseSync, sql: string) {
      if (sql === 'COMMIT') spy.mockRestore()
      if (sql !== 'COMMIT' || effect === 'after') original.call(this, sql)
      if (sql !== 'COMMIT') return
      also?.()
      throw Object.assign(new Error('injected'), { code: 'ERR_SQLITE_ERROR', errcode })
    })
  }

  beforeEach(async () => {
    engine = await openSqlite({ directory, clock: new ManualClock() })
    store = sqliteStore(engine)
    await commit(store, 'before')
  })
  afterEach(() => engine.close())

  it('although it happened, everybody is told the truth', async () => {
    failNextCommit('after', IOERR_FSYNC)
    const results = await Promise.all([commit(store, 'a'), commit(store, 'before')])
    expect(results.map(({ ok }) => ok)).toEqual([true, false])
    expect((await store.get(['p', 'a']))?.value).toBe(1)
    expect((await commit(store, 'b')).ok).toBe(true)
  })

  it('and it did not happen, everybody is told so', async () => {
    failNextCommit('instead', IOERR_FSYNC)
    const results = await Promise.allSettled([commit(store, 'a'), commit(store, 'b')])
    for (const result of results) expect(result).toMatchObject({ reason: { code: 'unavailable' } })
    expect(await store.get(['p', 'a'])).toBeUndefined()
    expect((await commit(store, 'a')).ok).toBe(true)
  })

  it('for want of room, the connection stays and the next one may succeed', async () => {
    failNextCommit('instead', 13)
    await expect(commit(store, 'a')).rejects.toMatchObject({ code: 'unavailable' })
    expect((await commit(store, 'a')).ok).toBe(true)
  })

  it('and the file cannot be read again, the outcome is unknown, until it can', async () => {
    const manual = new ManualClock()
    await engine.close()
    engine = await openSqlite({ directory, clock: manual })
    store = sqliteStore(engine)
    const hints = store.watch?.({ partition: 'p' }, new AbortController().signal)[Symbol.asyncIterator]()
    await hints?.next()
    failNextCommit('after', IOERR_FSYNC, () => {
      vi.spyOn(DatabaseSync.prototype, 'exec').mockImplementation(() => {
        throw Object.assign(new Error('still broken'), { code: 'ERR_SQLITE_ERROR', errcode: 10 })
      })
    })
    await expect(commit(store, 'a')).rejects.toMatchObject({ code: 'outcome_unknown' })
    expect(await hints?.next()).toEqual({ done: false, value: undefined })
    await expect(store.get(['p', 'a'])).rejects.toMatchObject({ code: 'unavailable' })
    await expect(commit(store, 'b')).rejects.toMatchObject({ code: 'unavailable' })
    vi.restoreAllMocks()
    await manual.advance(1_000)
    expect((await store.get(['p', 'a']))?.value).toBe(1)
    expect((await commit(store, 'b')).ok).toBe(true)
  })

  it('never gives a version again', async () => {
    failNextCommit('instead', IOERR_FSYNC)
    await commit(store, 'a').catch(() => undefined)
    const before = await store.get(['p', 'before'])
    const after = await commit(store, 'a')
    expect(after.ok && Number(after.versions[0])).toBeGreaterThan(Number(before?.version) + 1)
  })
})

describe('a statement that fails', () => {
  it('undoes its closure and leaves the others of the transaction alone', async () => {
    const engine = await openSqlite({ directory, clock })
    const store = sqliteStore(engine)
    const insert = (sequence: number) => () =>
      engine.group.submit(
        (db) => {
          db.prepare("INSERT INTO records VALUES ('p', ?, 1, '1', NULL)").run(`half-${sequence}`)
          db.prepare('INSERT INTO sequence VALUES (?, 0)').run(sequence)
        },
        1,
        0,
      )
    const results = await Promise.allSettled([
      commit(store, 'a'),
      insert(1)(),
      insert(2)(),
      commit(store, 'b'),
    ])
    expect(results).toMatchObject([
      { value: { ok: true } },
      { reason: { code: 'internal' } },
      { reason: { code: 'internal' } },
      { value: { ok: true } },
    ])
    const { records } = await store.list({ partition: 'p' }, { limit: 10 })
    expect(records.map(({ key }) => key[1])).toEqual(['a', 'b'])
    await store.close()
    await engine.close()
  })
})
