/**
 * Watches: who waits for hints about which range, on the store's one listener.
 *
 * Invariants: the first hint comes at once; a watch of a single key listens to its one document (cheap, and no index
 * needed), any other to a query; a watch ends without error on abort and close, with the listener's error otherwise.
 */
import type { SignalboxError } from '../../kernel/error.ts'
import type { Range } from '../../ports/store.ts'
import { Subscription } from '../shared/watch-hub.ts'
import type { Documents } from './documents.ts'
import type { Listener, Watcher } from './listener.ts'
import type { Pages } from './pages.ts'
import type { TargetSource } from './wire.ts'

export class Watches {
  readonly #listener: Listener
  readonly #documents: Documents
  readonly #pages: Pages
  readonly #open = new Set<Watch>()
  #closed = false

  constructor(listener: Listener, documents: Documents, pages: Pages) {
    this.#listener = listener
    this.#documents = documents
    this.#pages = pages
  }

  watch(range: Range, signal: AbortSignal): AsyncIterable<void> {
    return {
      [Symbol.asyncIterator]: () => {
        let stop: (() => void) | undefined
        const watch = new Watch(range, signal, () => {
          this.#open.delete(watch)
          stop?.()
        })
        if (this.#closed || signal.aborted) {
          watch.end()
        } else {
          this.#open.add(watch)
          stop = this.#listener.add(nameOf(range), this.#source(range), watch)
        }
        return watch
      },
    }
  }

  /** Ends every watch, and all later ones at once. */
  close(): void {
    this.#closed = true
    for (const watch of this.#open) watch.end()
    this.#listener.close()
  }

  #source(range: Range): TargetSource {
    const { partition, from, to } = range
    if (from !== undefined && to === this.#documents.successor(from)) {
      return { documents: { documents: [this.#documents.name([partition, from])] } }
    }
    return { query: { parent: this.#documents.parent, structuredQuery: this.#pages.watched(range) } }
  }
}

/** A subscription that can also end with an error. */
class Watch implements AsyncIterator<void>, Watcher {
  readonly #subscription: Subscription
  #failure: SignalboxError | undefined

  constructor(range: Range, signal: AbortSignal, onEnd: () => void) {
    this.#subscription = new Subscription(range, signal, onEnd)
  }

  hint(): void {
    this.#subscription.hint()
  }

  fail(error: SignalboxError): void {
    this.#failure = error
    this.#subscription.end()
  }

  end(): void {
    this.#subscription.end()
  }

  async next(): Promise<IteratorResult<void>> {
    const result = await this.#subscription.next()
    const failure = this.#failure
    if (result.done !== true || failure === undefined) return result
    this.#failure = undefined
    throw failure
  }

  return(): Promise<IteratorResult<void>> {
    return this.#subscription.return()
  }
}

function nameOf({ partition, from, to }: Range): string {
  // NUL is in no key, so the joined text is unambiguous.
  return [partition, from ?? '', to ?? ''].join('\0')
}
