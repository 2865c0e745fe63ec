/**
 * The contract suite on hidane, and hidane held to the same behaviour as the fake of the unit tests.
 * SIGNALBOX_TEST_FIRESTORE_HOST=host:port points both at another emulator; `cloud` at the service itself, then with
 * SIGNALBOX_TEST_FIRESTORE_PROJECT, _DATABASE and _COLLECTION, which has dynamo-q's index.
 */
import { afterAll, beforeAll } from 'vitest'
import { expectSuites, storeConformance } from '../../src/drivers/conformance/store-suite.ts'
import { openFirestoreStore } from '../../src/drivers/firestore/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import type { Store } from '../../src/ports/store.ts'
import { firestoreBehaviour } from '../support/engines/firestore-fake/behaviour.ts'
import { startHidane, type FirestoreEngine } from '../support/engines/hidane.ts'

const given = process.env['SIGNALBOX_TEST_FIRESTORE_HOST']
const project = process.env['SIGNALBOX_TEST_FIRESTORE_PROJECT'] ?? 'demo-signalbox'
const database = process.env['SIGNALBOX_TEST_FIRESTORE_DATABASE'] ?? 'github-dynamoq'
const collection = process.env['SIGNALBOX_TEST_FIRESTORE_COLLECTION'] ?? 'queues'
const cloud = given === 'cloud'

let engine: FirestoreEngine | undefined
beforeAll(async () => {
  engine = given === undefined ? await startHidane() : { host: given, stop: () => Promise.resolve() }
})
afterAll(() => engine?.stop())

for (const keys of ['decimal', 'ascii'] as const) {
  storeConformance(
    `firestore with ${keys} keys on ${given ?? 'hidane'}`,
    async () => {
      const stores: Store[] = []
      const open = async (): Promise<Store> => {
        const store = await openFirestoreStore({
          project,
          database,
          collection,
          keys,
          ...(cloud ? {} : { emulatorHost: engine!.host }),
          clock: systemClock,
          random: systemRandom,
        })
        stores.push(store)
        return store
      }
      return {
        store: await open(),
        reopen: async () => {
          await stores.at(-1)?.close()
          return open()
        },
        close: async () => {
          for (const store of stores) await store.close()
        },
      }
    },
    { keys },
  )
}

// The service itself wants credentials and an index for each fresh collection.
if (!cloud) {
  firestoreBehaviour(given ?? 'hidane', () =>
    Promise.resolve({ host: engine!.host, project, database, stop: () => Promise.resolve() }),
  )
}

expectSuites(2)
