/** A store on a fake of its own, for the driver's tests. */
import { openFirestoreStore, type FirestoreStoreOptions } from '../../../../src/drivers/firestore/index.ts'
import { seededRandom } from '../../../../src/kernel/id.ts'
import { ManualClock } from '../../../../src/kernel/manual-clock.ts'
import type { Store } from '../../../../src/ports/store.ts'
import { referenceIndex, startFirestoreFake, type FirestoreFake, type FirestoreFakeOptions } from './index.ts'
import { bareClient, type BareClient, type Message } from './protocol.ts'

export interface StoreOnFake {
  readonly store: Store
  readonly fake: FirestoreFake
  readonly clock: ManualClock
  /** Sees the documents as they are. */
  readonly client: BareClient
  /** Names of the store's remote calls since this was called last. */
  calls(): string[]
  /** Another process on the same data. */
  another(options?: Partial<FirestoreStoreOptions>): Promise<Store>
  /** Moves time on until the promise is settled. */
  settled<T>(promise: Promise<T>): Promise<T>
  close(): Promise<void>
}

export const database = 'projects/demo/databases/github-dynamoq'
export const collection = `${database}/documents/queues`

export async function storeOnFake(
  options: Partial<FirestoreStoreOptions> = {},
  fakeOptions: FirestoreFakeOptions = {},
): Promise<StoreOnFake> {
  const clock = new ManualClock()
  const indexes = [referenceIndex('queues')]
  const fake = await startFirestoreFake({ now: () => clock.now(), indexes, ...fakeOptions })
  const client = bareClient(fake.host)
  const calls: string[] = []
  const stores: Store[] = []
  const open = async (more: Partial<FirestoreStoreOptions>): Promise<Store> => {
    const store = await openFirestoreStore({
      project: 'demo',
      database: 'github-dynamoq',
      collection: 'queues',
      emulatorHost: fake.host,
      clock,
      random: seededRandom(stores.length),
      ...more,
    })
    stores.push(store)
    return store
  }
  const close = async (): Promise<void> => {
    client.close()
    await fake.close()
    for (const store of stores) await store.close()
  }
  const store = await open({ onRequest: (name) => void calls.push(name), ...options }).catch(
    async (error: unknown) => {
      await close()
      throw error
    },
  )
  calls.splice(0)
  return {
    store,
    fake,
    clock,
    client,
    calls: () => calls.splice(0),
    another: (more = {}) => open(more),
    async settled(promise) {
      const settling = Promise.allSettled([promise]).then(() => true)
      while (!(await Promise.race([settling, clock.advance(50)]))) continue
      return promise
    },
    close,
  }
}

/** What the documents of the collection hold, by id. */
export async function documentsOf({ client }: StoreOnFake): Promise<Record<string, Message>> {
  const parent = `${database}/documents`
  const answers = await client.runQuery({ parent, structuredQuery: { from: [{ collectionId: 'queues' }] } })
  const documents = answers.flatMap(({ document }) => (document ? [document] : []))
  return Object.fromEntries(documents.map(({ name, fields }) => [name.slice(collection.length + 1), fields]))
}
