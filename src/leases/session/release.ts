/**
 * Telling how the work ended: repeated until the server answers, for some minutes, because a success that is not told makes
 * the other groups do the work again.
 */
import { attempt, isTransient } from '../../kernel/attempt.ts'
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep } from '../../kernel/clock.ts'
import type { LeaseAnswer, Refusal } from '../api.ts'
import type { ReleaseOptions } from '../session.ts'
import { isForeign404 } from './foreign.ts'
import { tell } from './progress.ts'

const ATTEMPT_MS = 10_000
/** A server that is restarted, or moved, is back by then. */
const PATIENCE_MS = 180_000
const BACKOFF = { baseMs: 200, maxMs: 5_000 }

/** See `releaseLease`. */
export async function release(options: ReleaseOptions): Promise<LeaseAnswer | Refusal> {
  const { api, clock, random, provider, request, outcome, signal, onProgress } = options
  const { sha, ref, priority } = request
  const body = { sha, ref, priority, success: outcome === 'success' }
  const until = clock.monotonic() + PATIENCE_MS
  const bounds = { clock, boundMs: ATTEMPT_MS, ...(signal === undefined ? {} : { signal }) }
  for (let n = 0; ; n++) {
    try {
      return await attempt(bounds, (s) => api.release(provider, body, s))
    } catch (error) {
      const mayPass = isTransient(error) || isForeign404(error)
      if (!mayPass || clock.monotonic() >= until) throw error
      tell(onProgress, { type: 'release_failed', error })
      await sleep(clock, backoffDelay(BACKOFF, n, random), signal)
    }
  }
}
