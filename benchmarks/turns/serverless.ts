/**
 * `npm run bench:turns:serverless`: how long a hand-over takes without a server, on an emulated DynamoDB (dynoxide) and an
 * in-process Firestore: from the moment a release is asked for to the moment the next member holds. 20 members, each with a service
 * and a store connection of its own, hold for 300 ms in turn. Writes results/turns-serverless.json.
 */
import { writeFileSync } from 'node:fs'
import { openFirestoreStore } from '../../src/drivers/firestore/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import type { Store } from '../../src/ports/store.ts'
import { createTurnsService } from '../../src/turns/service.ts'
import { openTurn } from '../../src/turns/session.ts'
import { createTable, openStore } from '../../test/support/engines/dynamodb.ts'
import { startDynoxide } from '../../test/support/engines/dynoxide.ts'
import { startFirestoreFake } from '../../test/support/engines/firestore-fake/index.ts'

const MEMBERS = 20
const HOLD_MS = 300

interface Figures {
  readonly joinedMs: number
  readonly handOverMs: { readonly p50: number; readonly p95: number; readonly max: number }
}

async function measure(open: () => Promise<Store>): Promise<Figures> {
  const facts = { clock: systemClock, random: systemRandom }
  const began = systemClock.monotonic()
  let joined = 0
  let joinedMs = 0
  let releasedAt: number | undefined
  const handOvers: number[] = []
  await Promise.all(
    Array.from({ length: MEMBERS }, async () => {
      const store = await open()
      const turns = createTurnsService({ store, ...facts, serverless: true })
      let isJoined = false
      const noteJoin = (): void => {
        if (isJoined) return
        isJoined = true
        if (++joined === MEMBERS) joinedMs = systemClock.monotonic() - began
      }
      const turn = await openTurn({ api: turns, ...facts, queue: 'bench', onProgress: noteJoin })
      noteJoin()
      if (releasedAt !== undefined) handOvers.push(systemClock.monotonic() - releasedAt)
      await new Promise((done) => setTimeout(done, HOLD_MS))
      releasedAt = systemClock.monotonic()
      await turn.release()
      await turns.close()
      await store.close()
    }),
  )
  const sorted = handOvers.toSorted((a, b) => a - b)
  const at = (share: number): number => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0)
  return { joinedMs: Math.round(joinedMs), handOverMs: { p50: at(0.5), p95: at(0.95), max: at(1) } }
}

const results: Record<string, Figures> = {}

const dynamodb = await startDynoxide()
const table = await createTable(dynamodb)
results['dynamodb'] = await measure(() => openStore(dynamodb, table))
await dynamodb.stop()

const firestore = await startFirestoreFake()
results['firestore'] = await measure(() =>
  openFirestoreStore({
    project: 'bench',
    database: 'github-dynamoq',
    collection: 'turns',
    emulatorHost: firestore.host,
    clock: systemClock,
    random: systemRandom,
  }),
)
await firestore.close()

console.log(JSON.stringify(results, null, 2))
writeFileSync(
  new URL('../results/turns-serverless.json', import.meta.url),
  `${JSON.stringify({ members: MEMBERS, holdMs: HOLD_MS, results }, null, 2)}\n`,
)
