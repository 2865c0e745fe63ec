/**
 * One call, bounded in time: it ends by its answer, by the caller's signal or by the bound, whichever comes first, even
 * when whoever it calls never comes back.
 */
import type { Clock } from './clock.ts'
import { SignalboxError, toSignalboxError } from './error.ts'

export interface AttemptOptions {
  readonly clock: Clock
  readonly boundMs: number
  readonly signal?: AbortSignal
}

/**
 * @throws the signal's reason; `outcome_unknown` when the bound passed; else what the call throws, as `SignalboxError`
 */
export function attempt<T>(
  { clock, boundMs, signal }: AttemptOptions,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error)
      return
    }
    const hangUp = new AbortController()
    const giveUp = (reason: Error): void => {
      reject(reason)
      hangUp.abort(reason)
      end()
    }
    const onAbort = (): void => giveUp(signal?.reason as Error)
    const timer = clock.timer(boundMs, () => {
      giveUp(new SignalboxError('outcome_unknown', `no answer within ${Math.round(boundMs / 100) / 10}s`))
    })
    const end = (): void => {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    call(hangUp.signal).then(
      (value) => {
        end()
        resolve(value)
      },
      (error: unknown) => {
        end()
        reject(toSignalboxError(error))
      },
    )
  })
}

/** May the same call succeed a little later? (`queue_paused` may too, but is the caller's to decide.) */
export function isTransient(error: unknown): error is SignalboxError {
  return (
    error instanceof SignalboxError &&
    (error.code === 'unavailable' || error.code === 'outcome_unknown' || error.code === 'throttled')
  )
}
