/**
 * What notifications offer to people: which channels there are, what waits for them or was given up, and trying a channel. The
 * service implements it next to a store, the HTTP client at a distance.
 */
import type { ChannelView, DeliveryList, DeliveryView, TestAnswer } from './vocabulary.ts'

export * from './vocabulary.ts'

export interface DeliveryFilter {
  /** Default `pending`. */
  readonly state?: 'pending' | 'given_up'
  readonly channel?: string
  /** 1–1,000; default 50. */
  readonly limit?: number
}

/** @throws SignalboxError `throttled`, `unavailable`, `outcome_unknown`, … */
export interface NotificationsApi {
  channels(): Promise<readonly ChannelView[]>
  list(filter?: DeliveryFilter): Promise<DeliveryList>
  /** @throws `not_found`: it was delivered, or is forgotten */
  get(id: string): Promise<DeliveryView>
  /** Tries it at once, also if it was given up. @throws `not_found` */
  retry(id: string, options: { readonly by: string }): Promise<DeliveryView>
  /** It is not delivered any more. @throws `not_found` */
  discard(id: string, options: { readonly by: string }): Promise<void>
  /** Sends a test message, past the outbox, and waits for what becomes of it. @throws `not_found`: no such channel */
  test(channel: string, options: { readonly by: string }): Promise<TestAnswer>
}
