/** The channels that were ever configured, so that what waits for one that is gone is found. */
import type { Store, StoredRecord } from '../ports/store.ts'
import { channelKey, CHANNELS } from './records.ts'

const PAGE = 500

/** May be repeated. */
export async function noteChannels(store: Store, names: readonly string[]): Promise<void> {
  for (const name of names) {
    if ((await store.get(channelKey(name))) !== undefined) continue
    await store.commit([{ op: 'put', key: channelKey(name), expect: 'absent', value: name }])
  }
}

export async function channelNames(store: Store): Promise<string[]> {
  const names: string[] = []
  for await (const { value } of allRecords(store, CHANNELS)) names.push(value as string)
  return names.sort()
}

export async function* allRecords(store: Store, partition: string): AsyncGenerator<StoredRecord> {
  let after: string | undefined
  do {
    const page = await store.list({ partition }, { limit: PAGE, ...(after === undefined ? {} : { after }) })
    yield* page.records
    after = page.next
  } while (after !== undefined)
}
