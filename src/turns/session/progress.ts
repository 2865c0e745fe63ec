/** What a session tells whoever watches it. A listener's own failure never touches the turn. */
import type { SignalboxError } from '../../kernel/error.ts'
import type { MemberView } from '../api.ts'

export type TurnProgress =
  /** Each answer while waiting. */
  | { readonly type: 'waiting'; readonly view: MemberView }
  /** A call while joining or waiting failed and is being repeated; `forMs` since the first failure in a row. */
  | { readonly type: 'unreachable'; readonly error: SignalboxError; readonly forMs: number }
  | { readonly type: 'reachable' }
  /** A beat failed and is being repeated; without one the turn ends in `leftMs`. */
  | { readonly type: 'beat_failed'; readonly error: SignalboxError; readonly leftMs: number }
  | { readonly type: 'beat_restored' }
  /** The server could not be told that the member left: its place lapses after the hold TTL. */
  | { readonly type: 'leave_failed'; readonly error: SignalboxError }

export type ProgressListener = (progress: TurnProgress) => void

export function tell(listener: ProgressListener | undefined, progress: TurnProgress): void {
  try {
    listener?.(progress)
  } catch {
    // Reporting must not decide whether a turn is kept.
  }
}
