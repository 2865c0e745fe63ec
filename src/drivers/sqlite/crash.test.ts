/** What survives: kill -9 at random moments, a torn log, and two processes at one directory. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sleep, systemClock } from '../../kernel/clock.ts'
import { seededRandom } from '../../kernel/id.ts'
import { decimalKey, type Json, type Store } from '../../ports/store.ts'
import { DATA_FILE, openSqliteStore } from './index.ts'

const clock = systemClock
const KILLS = 10
let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

function start(fixture: string, ...args: string[]): ChildProcess {
  const path = fileURLToPath(new URL(`../conformance/fixtures/${fixture}`, import.meta.url))
  return spawn(process.execPath, [path, directory, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
}

async function readAll(store: Store, partition: string): Promise<Json[]> {
  const values: Json[] = []
  let after: string | undefined
  do {
    const page = await store.list({ partition }, { limit: 1_000, ...(after === undefined ? {} : { after }) })
    values.push(...page.records.map(({ value }) => value))
    after = page.next
  } while (after !== undefined)
  return values
}

/** Commits are in order, so what is there is all from 0 to `last`, whole. @returns `last` */
async function checkWhole(acknowledged: number): Promise<number> {
  const store = await openSqliteStore({ directory, clock })
  const last = ((await store.get(['last', 'last']))?.value ?? -1) as number
  const expected = Array.from({ length: last + 1 }, (_, i) => i)
  expect((await readAll(store, 'a')).map((value) => (value as { i: number }).i)).toEqual(expected)
  expect(await readAll(store, 'b')).toEqual(expected)
  expect(last).toBeGreaterThanOrEqual(acknowledged)
  await store.close()
  return last
}

/** Runs a writer and kills it some time after its first commit. @returns the last commit that it acknowledged */
async function writeAndKill(afterMs: number): Promise<number> {
  const child = start('sqlite-writer.ts')
  let acknowledged = -1
  const lines = createInterface({ input: child.stdout! })
  const first = once(lines, 'line')
  lines.on('line', (line) => {
    expect(line).toMatch(/^\d+$/)
    acknowledged = Math.max(acknowledged, Number(line))
  })
  const closed = once(lines, 'close')
  await first
  await sleep(clock, afterMs)
  child.kill('SIGKILL')
  await closed
  return acknowledged
}

describe('kill -9', () => {
  it(`at ${KILLS} random moments loses nothing acknowledged and tears no commit`, async () => {
    const random = seededRandom(20_261_121)
    let acknowledged = -1
    for (let i = 0; i < KILLS; i++) {
      acknowledged = Math.max(acknowledged, await writeAndKill(random.next() * 120))
      await checkWhole(acknowledged)
    }
    expect(acknowledged).toBeGreaterThan(100)
  })

  it('in the middle of writing the log leaves a torn tail, which is dropped whole', async () => {
    await writeAndKill(60)
    const log = join(directory, `${DATA_FILE}-wal`)
    truncateSync(log, Math.max(0, statSync(log).size - 1_000))
    const last = await checkWhole(-1)
    const store = await openSqliteStore({ directory, clock })
    const put = { key: ['a', decimalKey(last + 1)], expect: 'absent', op: 'put', value: 'on' } as const
    expect((await store.commit([put])).ok).toBe(true)
    await store.close()
  })
})

describe('two processes', () => {
  interface Opened {
    readonly owns?: boolean
    readonly code?: string
    readonly message?: string
    readonly pid: number
  }

  async function opener(lockWaitMs: number): Promise<{ child: ChildProcess; opened: Opened }> {
    const child = start('sqlite-opener.ts', String(lockWaitMs))
    const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string]
    return { child, opened: JSON.parse(line) as Opened }
  }

  async function end(child: ChildProcess): Promise<void> {
    child.stdin?.end()
    if (child.exitCode === null) await once(child, 'exit')
  }

  it('cannot own one directory: the second is refused and told the first’s pid and address', async () => {
    const first = await opener(0)
    expect(first.opened.owns).toBe(true)
    const refused = openSqliteStore({ directory, clock, lockWaitMs: 100 })
    await expect(refused).rejects.toMatchObject({ code: 'store_owned', details: { pid: first.opened.pid } })
    await expect(refused).rejects.toThrow(`process ${first.opened.pid} (opener, http://127.0.0.1:1)`)
    await end(first.child)
    const store = await openSqliteStore({ directory, clock })
    await store.close()
  })

  it('that race for a new directory leave one owner', async () => {
    const openers = await Promise.all(Array.from({ length: 4 }, () => opener(1_000)))
    const owners = openers.filter(({ opened }) => opened.owns === true)
    expect(owners).toHaveLength(1)
    for (const { opened } of openers) if (opened.owns !== true) expect(opened.code).toBe('store_owned')
    for (const { child } of openers) await end(child)
  })

  it('hand over: the second gets the directory of a killed first', async () => {
    const first = await opener(0)
    const second = opener(2_000)
    await sleep(clock, 300)
    first.child.kill('SIGKILL')
    const { child, opened } = await second
    expect(opened.owns).toBe(true)
    await end(child)
  })
})
