/** That something in a partition may have changed: pushed where the store can, else by looking now and then. */
import { sleep, type Clock } from '../kernel/clock.ts'
import type { Store } from '../ports/store.ts'

/** How often a store that does not push is looked at. */
const LOOK_MS = 1_000

/** Hints, the first at once. Ends without error when the signal aborts or the store closes. */
export async function* changesOf(
  { store, clock }: { readonly store: Store; readonly clock: Clock },
  partition: string,
  signal: AbortSignal,
): AsyncGenerator<void> {
  if (store.watch !== undefined) {
    yield* store.watch({ partition }, signal)
    return
  }
  while (!signal.aborted) {
    yield
    await sleep(clock, LOOK_MS, signal).catch(() => undefined)
  }
}

/** The same for several partitions as one; hints that come together are one. */
export async function* changesOfAny(
  context: { readonly store: Store; readonly clock: Clock },
  partitions: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<void> {
  const ended = new AbortController()
  const all = AbortSignal.any([signal, ended.signal])
  let wake: () => void = () => undefined
  const state = { hinted: true, left: partitions.length }
  for (const partition of partitions) {
    void (async () => {
      try {
        for await (const _ of changesOf(context, partition, all)) {
          state.hinted = true
          wake()
        }
      } finally {
        state.left -= 1
        wake()
      }
    })().catch(() => undefined)
  }
  try {
    while (!all.aborted && state.left > 0) {
      if (state.hinted) {
        state.hinted = false
        yield
      } else await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    ended.abort()
  }
}
