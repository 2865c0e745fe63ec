/** The contract suite on the fake: with dynamo-q's one index enforced, and with ascii keys. */
import { afterAll } from 'vitest'
import {
  referenceIndex,
  startFirestoreFake,
  type FirestoreFake,
} from '../../../test/support/engines/firestore-fake/index.ts'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import type { Store } from '../../ports/store.ts'
import { expectSuites, storeConformance } from '../conformance/store-suite.ts'
import { openFirestoreStore } from './index.ts'

const fakes: FirestoreFake[] = []
afterAll(async () => {
  for (const fake of fakes) await fake.close()
})

for (const keys of ['decimal', 'ascii'] as const) {
  const name = `firestore with ${keys} keys`
  storeConformance(
    name,
    async () => {
      const clock = new ManualClock()
      const fake = await startFirestoreFake({ now: () => clock.now(), indexes: [referenceIndex('queues')] })
      fakes.push(fake)
      const stores: Store[] = []
      const open = async (): Promise<Store> => {
        const store = await openFirestoreStore({
          project: 'demo',
          database: 'github-dynamoq',
          collection: 'queues',
          keys,
          emulatorHost: fake.host,
          clock,
          random: seededRandom(stores.length),
        })
        stores.push(store)
        return store
      }
      return {
        store: await open(),
        advance: (ms) => clock.advance(ms),
        reopen: async () => {
          await stores.at(-1)?.close()
          return open()
        },
        close: async () => {
          for (const store of stores) await store.close()
          await fake.close()
        },
      }
    },
    { keys },
  )
}

expectSuites(2)
