/**
 * A cloud store that refuses *this server* (its credentials expired, a permission or the table was taken away) is not a refusal of the
 * caller: callers are told `unavailable` and repeat, the operator's log says what is wrong.
 *
 * Invariants: such a refusal means *not applied*, so `unavailable` is true; nothing of the store's own words, which name accounts and
 * roles, reaches a caller; a trouble that lasts is logged once, and so is its end.
 */
import { isSignalboxError, SignalboxError, type ErrorCode } from '../kernel/error.ts'
import type { Store } from '../ports/store.ts'
import type { Logger } from './logger.ts'

const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'unauthenticated',
  'permission_denied',
  'not_found',
  'config_invalid',
])

/** The same store, its refusals translated. */
export function withoutRefusals(store: Store, logger: Pick<Logger, 'error' | 'info'>): Store {
  let refused: string | undefined
  const told = async <T>(call: Promise<T>): Promise<T> => {
    try {
      const result = await call
      if (refused !== undefined) logger.info('the store accepts this server again')
      refused = undefined
      return result
    } catch (cause) {
      if (!isSignalboxError(cause) || !REFUSALS.has(cause.code)) throw cause
      if (refused !== cause.code) logger.error({ err: cause }, 'the store refuses this server')
      refused = cause.code
      throw new SignalboxError('unavailable', 'the store refuses this server; its log says why', { cause })
    }
  }
  return {
    limits: store.limits,
    get: (key) => told(store.get(key)),
    list: (range, options) => told(store.list(range, options)),
    commit: (changes) => told(store.commit(changes)),
    deleteRange: (range, options) => told(store.deleteRange(range, options)),
    ...(store.watch === undefined ? {} : { watch: store.watch.bind(store) }),
    now: () => store.now(),
    close: () => store.close(),
  }
}
