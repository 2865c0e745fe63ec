/**
 * Watch within one process: who watches which range, and the hints that wait for them.
 *
 * Invariants:
 * - a subscription holds at most one unread hint, however many changes there were (coalescing);
 * - reading a hint clears it *before* the reader runs, so a change during its re-read leaves a new one;
 * - a subscription lives from the start of its iteration to abort, close or `return()`, and leaves nothing behind.
 */
import type { Change, Range } from '../../ports/store.ts'

const HINT: IteratorResult<void> = { done: false, value: undefined }
const END: IteratorResult<void> = { done: true, value: undefined }

export class WatchHub {
  readonly #partitions = new Map<string, Set<Subscription>>()
  #closed = false

  /** Nobody watches: callers can skip the work of telling which keys changed. */
  get idle(): boolean {
    return this.#partitions.size === 0
  }

  /** Hints for a range; the first one at once. Ends without error on abort and on `close()`. */
  watch(range: Range, signal: AbortSignal): AsyncIterable<void> {
    return {
      [Symbol.asyncIterator]: () => {
        const subscription = new Subscription(range, signal, () => this.#remove(subscription))
        if (this.#closed || signal.aborted) subscription.end()
        else this.#add(subscription)
        return subscription
      },
    }
  }

  /** The commit was applied, or may have been. */
  changed(changes: readonly Change[]): void {
    if (this.idle) return
    for (const { key, op } of changes) {
      if (op === 'check') continue
      for (const s of this.#partitions.get(key[0]) ?? []) if (within(s.range, key[1])) s.hint()
    }
  }

  /** Anything in the range may have changed. */
  rangeChanged(range: Range): void {
    for (const s of this.#partitions.get(range.partition) ?? []) if (overlap(s.range, range)) s.hint()
  }

  /** Anything anywhere may have changed, for example because hints may have been missed. */
  allChanged(): void {
    for (const subscriptions of this.#partitions.values()) for (const s of subscriptions) s.hint()
  }

  /** Ends every watch, and all later ones at once. */
  close(): void {
    this.#closed = true
    for (const subscriptions of this.#partitions.values()) for (const s of subscriptions) s.end()
  }

  #add(subscription: Subscription): void {
    const { partition } = subscription.range
    const others = this.#partitions.get(partition)
    if (others === undefined) this.#partitions.set(partition, new Set([subscription]))
    else others.add(subscription)
  }

  #remove(subscription: Subscription): void {
    const { partition } = subscription.range
    const others = this.#partitions.get(partition)
    if (others?.delete(subscription) === true && others.size === 0) this.#partitions.delete(partition)
  }
}

/** One watch from the reader's side: `hint()` and `end()` come from whoever knows of changes. */
export class Subscription implements AsyncIterator<void> {
  readonly range: Range
  readonly #signal: AbortSignal
  readonly #onEnd: () => void
  readonly #waiting: ((result: IteratorResult<void>) => void)[] = []
  #hinted = true
  #ended = false

  /** @param onEnd runs once: on abort, `end()` or when the reader leaves. */
  constructor(range: Range, signal: AbortSignal, onEnd: () => void) {
    this.range = range
    this.#signal = signal
    this.#onEnd = onEnd
    signal.addEventListener('abort', this.end, { once: true })
  }

  /** Something in the range may have changed. */
  hint(): void {
    const waiter = this.#waiting.shift()
    if (waiter === undefined) this.#hinted = true
    else waiter(HINT)
  }

  /** No more hints. Idempotent. */
  readonly end = (): void => {
    if (this.#ended) return
    this.#ended = true
    this.#signal.removeEventListener('abort', this.end)
    this.#onEnd()
    for (const waiter of this.#waiting.splice(0)) waiter(END)
  }

  next(): Promise<IteratorResult<void>> {
    if (this.#ended) return Promise.resolve(END)
    if (this.#hinted) {
      this.#hinted = false
      return Promise.resolve(HINT)
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  return(): Promise<IteratorResult<void>> {
    this.end()
    return Promise.resolve(END)
  }
}

function within(range: Range, key: string): boolean {
  return (range.from === undefined || key >= range.from) && (range.to === undefined || key < range.to)
}

function overlap(a: Range, b: Range): boolean {
  return (
    (a.from === undefined || b.to === undefined || a.from < b.to) &&
    (b.from === undefined || a.to === undefined || b.from < a.to)
  )
}
