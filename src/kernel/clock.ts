/**
 * Time, handed in. Rules and services never read the system's clock; they take a `Clock`, so that tests move time
 * by hand (`ManualClock` in `manual-clock.ts`) and never sleep.
 *
 * Invariants: `monotonic()` never goes back and is shared by all processes of one machine (CLOCK_MONOTONIC), so that a
 * deadline can be handed to another process. It stops while the machine is suspended; `now()` does not.
 */

/** A pending timer. `cancel` is idempotent. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch. May jump. */
  now(): number
  /** Monotonic time in milliseconds from an arbitrary start, the same for all processes of this machine. */
  monotonic(): number
  /** Runs `fire` once, `ms` milliseconds from now. The timer does not keep the process alive if `unref` is set. */
  timer(ms: number, fire: () => void, options?: { readonly unref?: boolean }): Timer
}

/** The longest delay Node's timers take; a longer one is cut to it (Node would fire at once instead). */
const MAX_TIMER_MS = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => Number(process.hrtime.bigint() / 1000n) / 1000,
  timer(ms, fire, options) {
    const handle = setTimeout(fire, Math.min(Math.max(ms, 0), MAX_TIMER_MS))
    if (options?.unref === true) handle.unref()
    return { cancel: () => clearTimeout(handle) }
  },
}

/**
 * Resolves after `ms` milliseconds of the clock.
 * @throws the signal's reason as soon as it aborts.
 */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error)
      return
    }
    const onAbort = (): void => {
      timer.cancel()
      reject(signal?.reason as Error)
    }
    const timer = clock.timer(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
