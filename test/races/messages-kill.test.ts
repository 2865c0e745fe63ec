/** kill -9 of the owner of the embedded message queues under load: nothing acknowledged is lost, nothing deleted comes back. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSqlite, sqliteMessageQueue } from '../../src/drivers/sqlite/index.ts'
import { sleep, systemClock, type Clock } from '../../src/kernel/clock.ts'
import { seededRandom } from '../../src/kernel/id.ts'

const KILLS = 10
/** Numbers that one run may use. */
const RUN = 10_000_000
let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** What the processes told, in order. */
class Account {
  readonly sent = new Set<string>()
  readonly received = new Set<string>()
  readonly deleted = new Set<string>()

  hear(line: string): void {
    const [what, n = ''] = line.split(' ')
    if (what === 'sent') this.sent.add(n)
    if (what === 'received') this.receive(n)
    if (what === 'deleted') this.deleted.add(n)
  }

  receive(n: string): void {
    // Not an assertion: its cost would be most of the test's.
    if (this.deleted.has(n)) throw new Error(`message ${n} came back after its delete was acknowledged`)
    this.received.add(n)
  }
}

/** Starts the load and kills it some time after it first acknowledged a delete. */
async function loadAndKill(account: Account, first: number, afterMs: number): Promise<void> {
  const load = join(import.meta.dirname, 'fixtures/messages-load.ts')
  const child = spawn(process.execPath, [load, directory, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let told = ''
  const working = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      told += chunk.toString()
      if (told.includes('\ndeleted ')) resolve()
    })
  })
  const closed = once(child, 'close') as Promise<[code: number | null, signal: string | null]>
  await Promise.race([working, closed])
  await sleep(systemClock, afterMs)
  child.kill('SIGKILL')
  // Else it had ended by itself, and nothing was killed.
  expect(await closed).toEqual([null, 'SIGKILL'])
  // What follows the last newline was cut short.
  for (const line of told.split('\n').slice(0, -1)) account.hear(line)
}

/** Receives everything that is left, an hour later. */
async function drain(account: Account): Promise<void> {
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + 3_600_000 }
  const engine = await openSqlite({ directory, clock })
  const messages = sqliteMessageQueue(engine)
  const groups = new Map<string, number>()
  for (const queue of await messages.listQueues()) {
    for (;;) {
      const received = await messages.receive(queue, { max: 100, visibilityMs: 3_600_000 })
      if (received.length === 0) break
      for (const { body, groupId, sequence } of received) {
        account.receive(body.split(' ', 1)[0] ?? '')
        if (groupId === undefined) continue
        expect(Number(sequence)).toBeGreaterThan(groups.get(groupId) ?? 0)
        groups.set(groupId, Number(sequence))
      }
      const receipts = received.map(({ receipt }) => receipt)
      for (const { status } of await messages.delete(queue, receipts)) expect(status).toBe('deleted')
    }
    expect(await messages.stats(queue)).toEqual({ visible: 0, inFlight: 0, delayed: 0, oldestAgeMs: 0 })
  }
  await messages.close()
  await engine.close()
}

describe('kill -9 of the owner under load', () => {
  it(`at ${KILLS} random moments: every acknowledged send is delivered, no acknowledged delete comes back`, async () => {
    const random = seededRandom(20_261_121)
    const account = new Account()
    for (let i = 0; i < KILLS; i++) await loadAndKill(account, i * RUN, random.next() * 200)
    await drain(account)
    expect([...account.sent].filter((n) => !account.received.has(n))).toEqual([])
    expect(account.sent.size).toBeGreaterThan(100)
    expect(account.deleted.size).toBeGreaterThan(100)
  })
})
