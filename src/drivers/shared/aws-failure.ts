/**
 * What became of one request to an AWS service: from the error that the SDK threw and how far the request had come.
 *
 * Invariant: whatever may have reached the engine and was not answered counts as `lost`, never as refused; whatever the
 * engine answered with a client error was not applied.
 * Error names: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html and those of each service.
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

export interface AwsFailure {
  readonly kind: FailureKind
  /** The engine's or Node's name of the error. */
  readonly name: string
  readonly message: string
  readonly status: number | undefined
  readonly error: unknown
}

/** Too many calls, in the words of any service. */
export const THROTTLED: ReadonlySet<string> = new Set([
  'KmsThrottled',
  'ProvisionedThroughputExceededException',
  'ProvisionedThroughputExceeded',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'ThrottlingException',
  'ThrottlingError',
  'Throttling',
  'TooManyRequestsException',
])
/** Credentials that are not accepted. */
export const UNAUTHENTICATED: ReadonlySet<string> = new Set([
  'AuthFailure',
  'ExpiredToken',
  'ExpiredTokenException',
  'IncompleteSignatureException',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'MissingAuthenticationToken',
  'MissingAuthenticationTokenException',
  'RequestExpired',
  'RequestInTheFuture',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
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
}

/** @param special a service's own reading of an answer with a client error, before the common one */
export function awsFailure(
  thrown: unknown,
  exchange: Exchange,
  special: (name: string) => FailureKind | undefined = () => undefined,
): AwsFailure {
  const error: SdkError = typeof thrown === 'object' && thrown !== null ? thrown : {}
  const status = error.$response?.statusCode ?? error.$metadata?.httpStatusCode
  const name = error.name ?? 'Error'
  return {
    kind: kindOf(error, name, status, exchange, special),
    name,
    message: oneLine(messageOf(error, thrown)),
    status,
    error: thrown,
  }
}

function kindOf(
  error: SdkError,
  name: string,
  status: number | undefined,
  exchange: Exchange,
  special: (name: string) => FailureKind | undefined,
): FailureKind {
  if (!exchange.sent) return isUnconnected(error) ? 'unreachable' : 'unprepared'
  if (status === undefined) return isUnconnected(error) ? 'unreachable' : 'lost'
  const own = special(name)
  if (own !== undefined) return own
  if (THROTTLED.has(name)) return 'throttled'
  if (status >= 500 || status < 400) return 'lost'
  if (SKEWED.has(name) && error.$metadata?.clockSkewCorrected === true) return 'skewed'
  return 'refused'
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
