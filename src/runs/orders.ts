/** Orders to stop: a worker's mailbox of them, in which each cancel of a run it has claimed leaves a record for an hour. */
import type { Clock } from '../kernel/clock.ts'
import { decimalKey, type Store } from '../ports/store.ts'
import type { CancelOrder } from './api-views.ts'
import { changesOf } from './changes.ts'
import { KEY_SPREAD_MS, KEYS_PER_MS } from './keys.ts'
import { ordersPartition } from './records.ts'

export interface OrderPage {
  readonly orders: readonly CancelOrder[]
  /** The `after` of the next call. */
  readonly next: string
}

const PAGE = 1_000
/** Two servers' clocks may differ, so an order may stand before one that was seen already; so far back it is looked again. */
const OVERLAP_MS = 10_000 + KEY_SPREAD_MS

/** Orders since `after`, some of them maybe again. */
export async function readOrders(store: Store, worker: string, after?: string): Promise<OrderPage> {
  const start = decimalKey(Math.max(0, Math.floor(store.now().ms - OVERLAP_MS)) * KEYS_PER_MS)
  const from = after ?? start
  const page = await store.list({ partition: ordersPartition(worker), from }, { limit: PAGE })
  const last = page.records.at(-1)?.key[1]
  const next = last !== undefined && page.next !== undefined ? last : start < from ? from : start
  return { orders: page.records.map(({ value }) => value as unknown as CancelOrder), next }
}

/** Orders as they come, each once. */
export async function* watchOrders(
  context: { readonly store: Store; readonly clock: Clock },
  worker: string,
  signal: AbortSignal,
): AsyncGenerator<CancelOrder> {
  const seen = new Set<string>()
  let after: string | undefined
  for await (const _ of changesOf(context, ordersPartition(worker), signal)) {
    const page = await readOrders(context.store, worker, after)
    after = page.next
    for (const order of page.orders) {
      const name = `${order.epoch} ${order.id}`
      if (seen.has(name)) continue
      seen.add(name)
      yield order
    }
    if (seen.size > PAGE * 10) for (const name of [...seen].slice(0, PAGE * 5)) seen.delete(name)
  }
}
