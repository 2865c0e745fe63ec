/**
 * Firestore's errors in our words. Codes: https://cloud.google.com/firestore/docs/reference/rpc/google.rpc and
 * https://cloud.google.com/firestore/docs/understand-error-codes.
 *
 * Invariant: a write is called *not applied* only where that is certain: the engine said so (a failed precondition,
 * ABORTED, RESOURCE_EXHAUSTED, a refused permission) or the request never left. Everything else is `outcome_unknown`.
 */
import { SignalboxError, type ErrorCode } from '../../kernel/error.ts'

/** gRPC status codes by number: google/rpc/code.proto. */
export const status = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const

/** What a message names, so that it says where to look. */
export interface Place {
  readonly project: string
  readonly database: string
  readonly collection: string
}

export interface CallFacts {
  readonly place: Place
  readonly operation: string
  /** The call may have changed something. */
  readonly write: boolean
  /** Set when our own time limit ended the call. */
  readonly timedOutAfterMs?: number
}

/** The operation that makes a token of the credentials. */
export const SIGN_IN = 'sign in'

/** The status code of a gRPC error; undefined for any other error. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'number' ? error.code : undefined
}

/** The engine wants a composite index that is not there. */
export function isMissingIndex(error: unknown): boolean {
  return statusOf(error) === status.FAILED_PRECONDITION && /\bindex\b/i.test(detailsOf(error))
}

/** The engine means the database, not a document. */
export function isMissingDatabase(error: unknown): boolean {
  return statusOf(error) === status.NOT_FOUND && /\bdatabase .*does not exist/i.test(detailsOf(error))
}

/**
 * The engine gave up and applied nothing: ABORTED (contention), or a transaction that rested for too long, for example
 * while this machine slept.
 */
export function isAborted(error: unknown): boolean {
  if (statusOf(error) === status.ABORTED) return true
  return statusOf(error) === status.INVALID_ARGUMENT && /transaction has expired/i.test(detailsOf(error))
}

/**
 * The call never left. These are the transport's own words for a call that found no connection, or whose headers could
 * not be made; a connection that broke has others (`errors.test.ts` holds the installed transport to them).
 */
export function wasNeverSent(error: unknown): boolean {
  const before = /^(?:No connection established|Name resolution failed|Getting metadata from plugin failed)/
  return statusOf(error) === status.UNAVAILABLE && before.test(detailsOf(error))
}

/** An error of a call as a `SignalboxError`. */
export function translate(error: unknown, facts: CallFacts): SignalboxError {
  if (error instanceof SignalboxError) return error
  const [code, message] = meaning(error, facts)
  return new SignalboxError(code, message, { cause: error })
}

function meaning(error: unknown, facts: CallFacts): [ErrorCode, string] {
  const { place, operation, write } = facts
  const where = `Firestore database '${place.database}' of project '${place.project}'`
  const details = detailsOf(error)
  if (isCredentialFailure(details)) return ['unauthenticated', noCredentials()]
  const unusable = unusableCredentials(error, facts)
  if (unusable !== undefined) {
    return ['unauthenticated', `the Google Cloud credentials cannot be used: ${unusable}`]
  }
  if (facts.timedOutAfterMs !== undefined) {
    return lost(write, `${where}: no answer to ${operation} within ${facts.timedOutAfterMs} ms`)
  }
  const said = `${where}: ${operation}: ${details}`
  switch (statusOf(error)) {
    case status.PERMISSION_DENIED:
      return [
        'permission_denied',
        `${where}: access denied; grant roles/datastore.user to the account in use (${details})`,
      ]
    case status.UNAUTHENTICATED:
      return ['unauthenticated', `${where}: the credentials were refused; sign in again (${details})`]
    case status.NOT_FOUND:
      return [
        'not_found',
        `${where} does not exist, or the project has no Firestore; create the database in native mode or correct its name (${details})`,
      ]
    case status.FAILED_PRECONDITION:
      return isMissingIndex(error)
        ? ['config_invalid', missingIndex(where, place.collection)]
        : ['config_invalid', `${where}: refused; the database must be in native mode (${details})`]
    case status.INVALID_ARGUMENT:
    case status.OUT_OF_RANGE:
      return ['invalid_argument', said]
    case status.UNIMPLEMENTED:
      return ['unavailable', `${said}; is this the address of a Firestore?`]
    case status.RESOURCE_EXHAUSTED:
      // The transport gives this code too when a connection breaks in the midst of a call.
      return /Bandwidth exhausted/.test(details) ? lost(write, said) : ['throttled', said]
    case status.ABORTED:
      return ['throttled', `${where}: too much contention for ${operation}; not applied`]
    case status.UNAVAILABLE:
      return wasNeverSent(error)
        ? ['unavailable', `${where} cannot be reached: ${details.replace(/\s*Resolution note:\s*$/, '')}`]
        : lost(write, said)
    case undefined:
    default:
      return lost(write, said)
  }
}

function lost(write: boolean, said: string): [ErrorCode, string] {
  return write ? ['outcome_unknown', said] : ['unavailable', said]
}

function isCredentialFailure(details: string): boolean {
  return /Could not load the default credentials|invalid_grant|Could not refresh access token/.test(details)
}

/** Why no token could be made of the credentials, unless it was the network. */
function unusableCredentials(error: unknown, { operation }: CallFacts): string | undefined {
  const details = detailsOf(error)
  const signingIn = operation === SIGN_IN && statusOf(error) === undefined
  const why = signingIn
    ? details
    : /^Getting metadata from plugin failed with error: (.*)/s.exec(details)?.[1]
  return why === undefined || /ENOTFOUND|ECONN|ETIMEDOUT|EAI_AGAIN|socket|timeout/i.test(why)
    ? undefined
    : why
}

function noCredentials(): string {
  return (
    'no usable Google Cloud credentials were found; run `gcloud auth application-default login`, set ' +
    'GOOGLE_APPLICATION_CREDENTIALS, or in GitHub Actions use google-github-actions/auth'
  )
}

function missingIndex(where: string, collection: string): string {
  return (
    `${where}: collection '${collection}' lacks its composite index; create one with the fields ` +
    'queueName ascending, entryTimestamp ascending'
  )
}

function detailsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const text = 'details' in error && typeof error.details === 'string' ? error.details : error.message
  return text.split('\n', 1)[0] ?? ''
}
