/**
 * What became of one request: from the error that the SDK threw and how far the request had come.
 *
 * Invariant: whatever may have reached the engine and was not answered counts as `lost`, never as refused; whatever the
 * engine answered with a client error was not applied.
 * Error names: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
 */

/** How far a request came. */
export interface Exchange {
  /** Handed to the network. */
  sent: boolean
}

export type FailureKind =
  /** Nothing was handed to the network: region, credentials, configuration. */
  | 'unprepared'
  /** No connection came about. */
  | 'unreachable'
  /** Sent, and no answer that tells what became of it. */
  | 'lost'
  /** Not applied: too many calls. */
  | 'throttled'
  /** Not applied: signed with a clock that was off; the SDK knows the right time by now. */
  | 'skewed'
  /** Not applied: the engine says why. */
  | 'refused'

export interface Failure {
  readonly kind: FailureKind
  /** The engine's or Node's name of the error. */
  readonly name: string
  readonly message: string
  readonly status: number | undefined
  readonly error: unknown
  /** Of a transaction, one per change. */
  readonly reasons: readonly CancellationReason[]
}

export interface CancellationReason {
  readonly Code?: string | undefined
  readonly Message?: string | undefined
}

const THROTTLED = new Set([
  'ProvisionedThroughputExceededException',
  'ProvisionedThroughputExceeded',
  'RequestLimitExceeded',
  'ThrottlingException',
  'ThrottlingError',
  'Throttling',
  'TooManyRequestsException',
])
/** Refused because of the time of the signature. */
const SKEWED = new Set([
  'RequestTimeTooSkewed',
  'RequestExpired',
  'RequestInTheFuture',
  'InvalidSignatureException',
  'SignatureDoesNotMatch',
])
/** Errors that sockets have while they connect, and later as well. */
const CONNECTING = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'EPROTO'])
/** Errors of sockets that never were connected. */
const UNCONNECTED = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EADDRNOTAVAIL',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/** What SDK errors may carry. */
interface SdkError {
  readonly name?: string
  readonly message?: string
  readonly code?: unknown
  readonly syscall?: unknown
  readonly errors?: readonly unknown[]
  readonly $metadata?: { readonly httpStatusCode?: number; readonly clockSkewCorrected?: boolean }
  readonly $response?: { readonly statusCode?: number }
  readonly CancellationReasons?: readonly CancellationReason[]
}

export function failureOf(thrown: unknown, exchange: Exchange): Failure {
  const error: SdkError = typeof thrown === 'object' && thrown !== null ? thrown : {}
  const status = error.$response?.statusCode ?? error.$metadata?.httpStatusCode
  const name = error.name ?? 'Error'
  return {
    kind: kindOf(error, name, status, exchange),
    name,
    message: oneLine(messageOf(error, thrown)),
    status,
    error: thrown,
    reasons: error.CancellationReasons ?? [],
  }
}

function kindOf(error: SdkError, name: string, status: number | undefined, exchange: Exchange): FailureKind {
  if (!exchange.sent) return isUnconnected(error) ? 'unreachable' : 'unprepared'
  if (status === undefined) return isUnconnected(error) ? 'unreachable' : 'lost'
  if (THROTTLED.has(name) || isThrottledTransaction(error)) return 'throttled'
  // An earlier request with the same token is still at work.
  if (name === 'TransactionInProgressException') return 'lost'
  if (status >= 500 || status < 400) return 'lost'
  if (SKEWED.has(name) && error.$metadata?.clockSkewCorrected === true) return 'skewed'
  return 'refused'
}

/** Throttling alone is the reason: a condition that failed, or a conflict, says more. */
function isThrottledTransaction({ CancellationReasons = [] }: SdkError): boolean {
  const codes = CancellationReasons.map(({ Code }) => Code ?? 'None').filter((code) => code !== 'None')
  return codes.length > 0 && codes.every((code) => THROTTLED.has(code))
}

function isUnconnected(error: SdkError): boolean {
  if (typeof error.code === 'string' && UNCONNECTED.has(error.code)) return true
  if (CONNECTING.has(error.code as string) && error.syscall === 'connect') return true
  // The SDK's own time-out while connecting, which has no code.
  return error.name === 'TimeoutError' && /not establish a connection/.test(error.message ?? '')
}

/** Trying every address of a host fails with an error that has no words of its own. */
function messageOf(error: SdkError, thrown: unknown): string {
  const first: unknown = error.errors?.[0]
  if (first instanceof Error) return first.message
  return error.message ?? String(thrown)
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
