/** Answers that are nobody's of ours: a proxy's, or those of a server at another address. */
import { isSignalboxError, type SignalboxError } from '../../kernel/error.ts'

/** A 404 that no Signalbox gave. Where one has answered before, it is a proxy's, for a while. */
export function isForeign404(error: unknown): error is SignalboxError {
  return isSignalboxError(error, 'not_found') && error.details['foreign'] === true
}

/** A success that cannot be read: whoever gave it, the call may have been applied. */
export function isStrangeSuccess(error: unknown): boolean {
  return isSignalboxError(error, 'unavailable') && error.details['strange'] === true
}
