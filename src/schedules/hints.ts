/** Hints that schedules may have changed: what this process does at once, what others do as the store tells or by looking. */
import type { Clock } from '../kernel/clock.ts'
import type { Store } from '../ports/store.ts'
import { changesOf } from '../runs/changes.ts'
import { ROWS } from './records.ts'

/** Of this process. */
export class Hints {
  readonly #listeners = new Set<() => void>()

  give(): void {
    for (const listener of this.#listeners) listener()
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

/** The first at once; those that come together are one. */
export async function* followSchedules(
  context: { readonly store: Store; readonly clock: Clock },
  hints: Hints,
  signal: AbortSignal,
): AsyncGenerator<void> {
  const ended = new AbortController()
  const all = AbortSignal.any([signal, ended.signal])
  const state = { hinted: true, storeEnded: false }
  let wake: () => void = () => undefined
  const hint = (): void => {
    state.hinted = true
    wake()
  }
  const forget = hints.listen(hint)
  void (async () => {
    for await (const _ of changesOf(context, ROWS, all)) hint()
  })()
    .catch(() => undefined)
    .finally(() => {
      state.storeEnded = true
      wake()
    })
  try {
    while (!all.aborted && !state.storeEnded) {
      if (state.hinted) {
        state.hinted = false
        yield
      } else await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    forget()
    ended.abort()
  }
}
