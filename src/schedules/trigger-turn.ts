/**
 * Of all servers on a store, one at a time works on the external trigger: else one that compares could undo what another puts
 * meanwhile. The turn is a record with an end, by the store's clock, that is moved on while the work lasts.
 *
 * Invariant: whoever cannot move the end on in time stops (its signal aborts) before another can take the turn, but for calls
 * that are on their way; those are repaired by the next comparison.
 */
import { sleep, type Clock, type Timer } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { Store, Version } from '../ports/store.ts'
import { TURN } from './trigger-records.ts'

export interface TurnOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
}

const LASTS_MS = 30_000
const RENEW_MS = 10_000
const ASK_EVERY_MS = 1_000

interface Held {
  readonly version: Version
}

/** Waits for the turn, and works as long as `work` takes. @throws what `work` throws; the signal's reason */
export async function inTurn<T>(
  options: TurnOptions,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { clock, random } = options
  const holder = random.id()
  let held = await take(options, holder)
  while (held === undefined) {
    await sleep(clock, ASK_EVERY_MS * (0.5 + random.next()), signal)
    held = await take(options, holder)
  }
  const lost = new AbortController()
  const keeping = keep(options, holder, held, lost)
  try {
    return await work(AbortSignal.any([signal, lost.signal]))
  } finally {
    await keeping.end()
  }
}

/** @returns undefined while another has it */
async function take({ store }: TurnOptions, holder: string): Promise<Held | undefined> {
  const there = await store.get(TURN)
  const { ms, uncertaintyMs } = store.now()
  const until = (there?.value as { readonly until?: number } | undefined)?.until ?? 0
  if (until + uncertaintyMs > ms) return undefined
  const expect = there === undefined ? 'absent' : { version: there.version }
  return put(store, holder, expect, ms)
}

async function put(
  store: Store,
  holder: string,
  expect: 'absent' | { readonly version: Version },
  now: number,
): Promise<Held | undefined> {
  const value = { holder, until: now + LASTS_MS }
  const result = await store.commit([{ key: TURN, expect, op: 'put', value }])
  const version = result.ok ? result.versions[0] : undefined
  return version === undefined ? undefined : { version }
}

/** Moves the end on until it is told to end; aborts `lost` when that has not worked for too long. */
function keep(
  { store, clock }: TurnOptions,
  holder: string,
  first: Held,
  lost: AbortController,
): { end(): Promise<void> } {
  let held = first
  let renewedAt = clock.monotonic()
  let ended = false
  let timer: Timer
  let renewing = Promise.resolve()
  const renew = async (): Promise<void> => {
    const startedAt = clock.monotonic()
    try {
      const next = await put(store, holder, { version: held.version }, store.now().ms)
      if (next === undefined) {
        lost.abort(lostTurn())
        return
      }
      held = next
      renewedAt = startedAt
    } catch {
      if (clock.monotonic() - renewedAt >= LASTS_MS - RENEW_MS) {
        lost.abort(lostTurn())
        return
      }
    }
    if (!ended) timer = later()
  }
  const later = (): Timer => clock.timer(RENEW_MS, () => void (renewing = renew()), { unref: true })
  timer = later()
  return {
    async end() {
      ended = true
      timer.cancel()
      await renewing
      // If this fails, the turn ends by itself.
      await store
        .commit([{ key: TURN, expect: { version: held.version }, op: 'delete' }])
        .catch(() => undefined)
    },
  }
}

function lostTurn(): SignalboxError {
  return new SignalboxError('unavailable', 'another server works on the external trigger by now')
}
