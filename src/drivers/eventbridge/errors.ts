/**
 * A failure of EventBridge (or its Scheduler) in our words: which code, what it means for this object, and what to do.
 *
 * Invariant: a call that may have been applied, and changes something, is `outcome_unknown`; all of them may be repeated.
 * Error names: https://docs.aws.amazon.com/eventbridge/latest/APIReference/CommonErrors.html and those of each operation.
 */
import { isSignalboxError, SignalboxError, type ErrorCode } from '../../kernel/error.ts'
import {
  awsFailure,
  THROTTLED,
  UNAUTHENTICATED,
  type AwsFailure,
  type Exchange,
  type FailureKind,
} from '../shared/aws-failure.ts'
import { meaningOf } from '../shared/aws-meaning.ts'

/** What a call was about, for its messages. */
export interface Call {
  /** Name of the API operation: `PutRule`. */
  readonly operation: string
  /** Does it change anything? */
  readonly effect: boolean
  /** The object: `rule 'nightly'`. */
  readonly what: string
  readonly region: string | undefined
  readonly endpoint: string | undefined
  /** The IAM prefix of the service: `events`. */
  readonly prefix: string
}

/** Somebody else changes the object, or its account, at this moment: not applied, and worth another try. */
const PASSING = new Set(['ConcurrentModificationException', 'ConflictException', 'TooManyRequests'])
const DENIED = new Set(['AccessDenied', 'AccessDeniedException', 'NotAuthorized'])
const NO_SERVICE = new Set(['SyntaxError', 'UnknownOperationException', 'UnknownError'])

export function failureOf(thrown: unknown, exchange: Exchange): AwsFailure {
  return awsFailure(thrown, exchange, kindByName)
}

/** Is this what a repeated creation is answered? */
export function isExisting(error: unknown): boolean {
  return isSignalboxError(error, 'conflict') && error.details['aws'] === 'ResourceAlreadyExistsException'
}

/** For what need not be there. */
export function unlessAbsent(error: unknown): undefined {
  if (!isSignalboxError(error, 'not_found')) throw error
}

/** Is an entry of a batch that AWS refused with this code worth another try? */
export function isPassingCode(code: string | undefined): boolean {
  const passing = code !== undefined && (PASSING.has(code) || THROTTLED.has(code))
  return passing || code === 'InternalException' || code === 'InternalFailure'
}

function kindByName(name: string): FailureKind | undefined {
  return PASSING.has(name) ? 'throttled' : undefined
}

export function translate(failure: AwsFailure, call: Call): SignalboxError {
  const { operation, effect, what } = call
  const about = { operation, effect, what, where: place(call) }
  const [code, text] = meaningOf(failure, about, () => refused(failure, call))
  return new SignalboxError(code, text, { cause: failure.error, details: { aws: failure.name } })
}

function refused({ name, message }: AwsFailure, call: Call): readonly [ErrorCode, string] {
  const where = place(call)
  if (DENIED.has(name)) return ['permission_denied', denied(message, call)]
  if (UNAUTHENTICATED.has(name)) {
    return [
      'unauthenticated',
      `${where}: AWS does not accept the credentials; renew them and check the clock of this machine (${name}: ${message})`,
    ]
  }
  if (NO_SERVICE.has(name)) {
    return ['config_invalid', `what answers at ${where} is not EventBridge (${name}: ${message})`]
  }
  if (name === 'LimitExceededException' || name === 'ServiceQuotaExceededException') {
    return ['conflict', quota(where, call, message)]
  }
  if (name === 'ManagedRuleException') {
    return ['permission_denied', `${where} is managed by an AWS service; choose another name (${message})`]
  }
  if (name === 'ResourceNotFoundException')
    return ['not_found', `${where}: ${call.operation} found nothing (${message})`]
  if (name === 'ResourceAlreadyExistsException') return ['conflict', `${where} exists already (${message})`]
  const code = name === 'ValidationException' ? 'invalid_argument' : 'internal'
  return [code, `${where}: ${call.operation} was refused (${name}: ${message})`]
}

/** Rules: 300 a bus, in some regions 100. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html */
function quota(where: string, { operation }: Call, message: string): string {
  const more = 'have the quota raised (Service Quotas, Amazon EventBridge)'
  return operation === 'PutRule'
    ? `${where}: the event bus is full (AWS allows 300 rules a bus, in some regions 100); ${more}, delete rules that nobody needs, or use schedules.trigger: eventbridge-scheduler, which has room for a million (${message})`
    : `${where}: a quota of the AWS account is used up; ${more} (${message})`
}

/** The target's role must be passed, and a connection keeps its key in a secret: refusals name other actions than the call. */
function denied(message: string, { operation, prefix, ...call }: Call): string {
  const named = /\b(?:events|scheduler|iam|secretsmanager|kms):[A-Za-z]+/.exec(message)?.[0]
  const action = named ?? `${prefix}:${operation}`
  return `${place({ ...call, operation, prefix })}: the AWS credentials may not perform ${action}; allow it in their IAM policy (${message})`
}

function place({ what, region, endpoint }: Call): string {
  const inRegion = region === undefined ? '' : ` in ${region}`
  return `EventBridge ${what}${inRegion}${endpoint === undefined ? '' : ` at ${endpoint}`}`
}
