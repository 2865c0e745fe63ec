/** What a session tells whoever watches it. A listener's own failure never touches the lease. */
import type { SignalboxError } from '../../kernel/error.ts'

export type LeaseProgress =
  /** Each answer while waiting. Not `admitted`: a batch is being settled, and this request is let in after it. */
  | {
      readonly type: 'waiting'
      readonly admitted: boolean
      /** Who holds the lease or what else is waited for, as the server says it. */
      readonly reason: string | undefined
      /** When the session asks again. */
      readonly nextMs: number
    }
  /** A call while waiting failed and is being repeated; `forMs` since the first failure in a row. */
  | { readonly type: 'unreachable'; readonly error: SignalboxError; readonly forMs: number }
  | { readonly type: 'reachable' }
  | { readonly type: 'acquired'; readonly fence: number | undefined; readonly stacked: readonly number[] }
  | { readonly type: 'completed' }
  /** A renewal failed and is being repeated; without one the lease ends in `leftMs`. */
  | { readonly type: 'renew_failed'; readonly error: SignalboxError; readonly leftMs: number }
  | { readonly type: 'renewed' }
  /** The outcome could not be told yet; it is being repeated. */
  | { readonly type: 'release_failed'; readonly error: SignalboxError }
  /** The server could not be told that nobody waits any more: it forgets the request by itself, after its ttl. */
  | { readonly type: 'withdraw_failed'; readonly error: SignalboxError }

export type LeaseProgressListener = (progress: LeaseProgress) => void

export function tell(listener: LeaseProgressListener | undefined, progress: LeaseProgress): void {
  try {
    listener?.(progress)
  } catch {
    // Reporting must not decide whether a lease is kept.
  }
}
