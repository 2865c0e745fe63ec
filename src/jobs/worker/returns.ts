/**
 * How often a message was given back without having been tried, for engines that count every receive (SQS): noted beside it in
 * the store, so that a drained worker costs a job no attempt. Without a store those receives count.
 *
 * Invariant: the note is written before the message goes back; who writes it has the message, so nobody else does.
 */
import { toSignalboxError, type SignalboxError } from '../../kernel/error.ts'
import type { ReceivedMessage } from '../../ports/message-queue.ts'
import { decimalKey, type Key, type Store } from '../../ports/store.ts'
import type { JobsConnection } from '../api.ts'

const keyOf = (messageId: string): Key => [`signalbox:returned:${messageId}`, decimalKey(0)]
/** Longer than a message lives. */
const KEEP_MS = 15 * 24 * 3_600_000

export class Returns {
  readonly #store: Store
  readonly #trouble: (error: SignalboxError) => void

  private constructor(store: Store, trouble: (error: SignalboxError) => void) {
    this.#store = store
    this.#trouble = trouble
  }

  /** Undefined where nothing need be, or can be, noted. */
  static of(
    { engine, store }: Pick<JobsConnection, 'engine' | 'store'>,
    trouble: (error: SignalboxError) => void,
  ): Returns | undefined {
    if (engine.capabilities.uncounted === true || store === undefined) return undefined
    return new Returns(store, trouble)
  }

  /** Which attempt this receive is. Never rejects: what cannot be read counts. */
  async attempt({ messageId, receiveCount }: ReceivedMessage): Promise<number> {
    return Math.max(1, receiveCount - (await this.#noted(messageId)))
  }

  /** Notes one more return. Never rejects. */
  async note({ messageId }: ReceivedMessage): Promise<void> {
    const count = (await this.#noted(messageId)) + 1
    const expiresAt = this.#store.now().ms + KEEP_MS
    const key = keyOf(messageId)
    try {
      const expect = count === 1 ? 'absent' : 'present'
      await this.#store.commit([{ key, expect, op: 'put', value: count, expiresAt }])
    } catch (error) {
      this.#trouble(toSignalboxError(error))
    }
  }

  async #noted(messageId: string): Promise<number> {
    try {
      return ((await this.#store.get(keyOf(messageId)))?.value ?? 0) as number
    } catch (error) {
      this.#trouble(toSignalboxError(error))
      return 0
    }
  }
}
