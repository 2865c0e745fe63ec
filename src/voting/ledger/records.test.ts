import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memoryStore } from '../../drivers/memory/index.ts'
import { openSqliteStore } from '../../drivers/sqlite/index.ts'
import { systemClock } from '../../kernel/clock.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import type { Store } from '../../ports/store.ts'
import type { VoteLedger } from '../ledger.ts'
import { ledgerConformance, topicOf } from '../testing/ledger-suite.ts'
import { recordLedger } from './records.ts'

const folder = mkdtempSync(join(tmpdir(), 'signalbox-ledger-'))
const stores: Store[] = []
let [memory, sqlite]: (VoteLedger | undefined)[] = []
beforeAll(async () => {
  stores.push(memoryStore({ clock: new ManualClock() }))
  stores.push(await openSqliteStore({ directory: folder, clock: systemClock }))
  ;[memory, sqlite] = stores.map(recordLedger)
})
afterAll(async () => {
  for (const store of stores) await store.close()
  rmSync(folder, { recursive: true })
})

ledgerConformance('records in memory', () => memory!)
ledgerConformance('records in SQLite', () => sqlite!)

describe('records', () => {
  it('list topics newest first', async () => {
    const ledger = recordLedger(memoryStore({ clock: new ManualClock() }))
    for (const second of [1, 3, 2]) {
      await ledger.createTopic(
        topicOf({ created: `2026-01-01T00:00:0${second}.000000`, title: String(second) }),
      )
    }
    const { entries } = await ledger.listTopics({ limit: 10 })
    expect(entries.map(({ title }) => title)).toEqual(['3', '2', '1'])
  })

  it('tell who watches a tally of its changes', async () => {
    const ledger = recordLedger(memoryStore({ clock: new ManualClock() }))
    const hints = ledger.watch?.('t', new AbortController().signal)[Symbol.asyncIterator]()
    await hints?.next() // the first comes at once
    const next = hints?.next()
    await ledger.commit({
      votes: [],
      shards: [{ topic_id: 't', shard: '0', fold: 1, counts: {}, version: undefined }],
    })
    expect((await next)?.done).toBe(false)
  })
})
