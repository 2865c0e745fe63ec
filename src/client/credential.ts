/**
 * What a client shows of itself: a token, a source of tokens that last for a short time, or a whole `Authorization` header.
 *
 * Invariant: a credential is part of no message.
 */
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'

/**
 * A bearer token, or who has one: asked before each call, and once more with `renew` after a call was refused with 401.
 * It keeps a token for as long as that is good, and throws a `SignalboxError` when it can get none.
 */
export type TokenSource = string | ((options?: { readonly renew?: boolean }) => Promise<string>)

export interface Credential {
  /** Sent as `Authorization: Bearer …`. */
  readonly token?: TokenSource
  /** The whole value of the `Authorization` header instead, for example `Basic YW5uOnNlY3JldA==`. */
  readonly authorization?: string
}

/** @throws SignalboxError `invalid_argument` for one that no server could take */
export function checkCredential({ token, authorization }: Credential): void {
  if (typeof token === 'string') checkToken(token, 'invalid_argument')
  if (authorization === undefined) return
  if (token !== undefined) {
    throw invalid('authorization', 'authorization: and token contradict each other; give one of them')
  }
  if (!/^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/.test(authorization)) {
    throw invalid(
      'authorization',
      'authorization: is empty or contains a line break or another character that no header has; write for example Basic …',
    )
  }
}

/** The header's value; none without a credential. @throws the signal's reason; what the source of tokens throws */
export async function authorizationOf(
  { token, authorization }: Credential,
  renew: boolean,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (typeof token !== 'function') return token === undefined ? authorization : `Bearer ${token}`
  const had = await unlessAborted(signal, renew ? token({ renew }) : token()).catch((error: unknown) => {
    if (isSignalboxError(error)) throw error
    const why = error instanceof Error ? error.message : 'the source of tokens failed'
    throw new SignalboxError('unauthenticated', `no token could be had: ${why}`, { cause: error })
  })
  checkToken(had, 'unauthenticated')
  return `Bearer ${had}`
}

function checkToken(token: string, code: 'invalid_argument' | 'unauthenticated'): void {
  if (/^[\x21-\x7e]+$/.test(token)) return
  const name = code === 'invalid_argument' ? 'SIGNALBOX_TOKEN' : 'token'
  throw new SignalboxError(
    code,
    `${name}: is empty or contains a space, a line break or another character that no token has`,
    { details: { field: 'token' } },
  )
}

function unlessAborted<T>(signal: AbortSignal, value: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    value.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function invalid(field: string, message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message, { details: { field } })
}
