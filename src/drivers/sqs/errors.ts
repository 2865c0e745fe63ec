/**
 * A failure in our words: which code, what it means for this queue, and what to do.
 *
 * Invariant: `throttled` and `unavailable` were not applied; a call of which that is not certain, and which must not be
 * repeated blindly, is `outcome_unknown`.
 * Error names: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_Operations.html
 */
import { SignalboxError, type ErrorCode } from '../../kernel/error.ts'
import { queueNotFound } from '../../ports/message-checks.ts'
import {
  awsFailure,
  THROTTLED,
  UNAUTHENTICATED,
  type AwsFailure,
  type Exchange,
} from '../shared/aws-failure.ts'
import { meaningOf, type AwsCall } from '../shared/aws-meaning.ts'

/** What a call was about, for its messages. */
export interface Call {
  readonly operation: string
  /** Whether it was applied matters to the caller. */
  readonly effect: boolean
  readonly queue: string
  readonly region: string | undefined
  readonly endpoint: string | undefined
}

/** One entry of a batch that SQS refused, or a whole request. */
export interface Refusal {
  readonly name: string
  readonly message: string
}

const ABSENT = new Set(['QueueDoesNotExist', 'NonExistentQueue', 'QueueDeletedRecently'])
/** Too many messages in flight; a purge within the minute after another. */
const TOO_MANY = new Set(['OverLimit', 'PurgeQueueInProgress'])
const DENIED = new Set(['AccessDenied', 'AccessDeniedException', 'KmsAccessDenied'])
const INVALID =
  /^(?:Invalid(?:ParameterValue|MessageContents|AttributeValue|AttributeName)|MissingParameter|BatchRequestTooLong|UnsupportedOperation|ValidationException|InvalidParameterCombination)/
/** The receipt has ended, or never was one; SQS uses several names for it. */
const ENDED_NAMES = new Set(['ReceiptHandleIsInvalid', 'MessageNotInflight'])
const ENDED_WORDS =
  /receipt ?handle .*(?:invalid|expired)|receipt handle has expired|not available for visibility timeout change|does not exist or is not available|message .*not (?:in ?flight|visible)/i
const OLD_PREFIX = 'AWS.SimpleQueueService.'

export function failureOf(thrown: unknown, exchange: Exchange): AwsFailure {
  const failure = awsFailure(thrown, exchange, (name) => (isTooMany(plain(name)) ? 'throttled' : undefined))
  return { ...failure, name: plain(failure.name) }
}

export function translate(failure: AwsFailure, call: Call): SignalboxError {
  if (failure.kind === 'refused' && ABSENT.has(failure.name)) return absent(call, failure.error)
  const [code, text] = meaningOf(failure, awsCall(call), () => refused(failure, call))
  return new SignalboxError(code, text, { cause: failure.error, details: { queue: call.queue } })
}

/** An entry that SQS refused alone: the sender's fault or not. */
export function translateEntry(refusal: Refusal, sendersFault: boolean, call: Call): SignalboxError {
  const name = plain(refusal.name)
  const said = `${name}: ${oneLine(refusal.message)}`
  const details = { queue: call.queue }
  if (isTooMany(name)) {
    return new SignalboxError('throttled', `${place(call)} takes no more at present (${said})`, { details })
  }
  if (!sendersFault) {
    return new SignalboxError('unavailable', `${place(call)} could not take this entry (${said})`, {
      details,
    })
  }
  const code = DENIED.has(name) ? 'permission_denied' : 'invalid_argument'
  return new SignalboxError(code, `${place(call)} refused this entry (${said})`, { details })
}

/** Does SQS say that the receipt holds nothing (any more)? */
export function isEndedReceipt({ name, message }: Refusal): boolean {
  return ENDED_NAMES.has(plain(name)) || (INVALID.test(plain(name)) && ENDED_WORDS.test(message))
}

function isTooMany(name: string): boolean {
  return THROTTLED.has(name) || TOO_MANY.has(name)
}

function absent(call: Call, cause: unknown): SignalboxError {
  const { code, message } = queueNotFound(
    call.queue,
    `create it${inRegion(call)}, or correct its name, region or account`,
  )
  return new SignalboxError(code, message, { cause, details: { queue: call.queue } })
}

function awsCall(call: Call): AwsCall {
  const { operation, effect, queue } = call
  return { operation, effect, what: `the SQS queue '${queue}'`, where: place(call) }
}

function refused({ name, message }: AwsFailure, call: Call): readonly [ErrorCode, string] {
  const where = place(call)
  if (DENIED.has(name)) {
    return [
      'permission_denied',
      `${where}: the AWS credentials may not perform ${actionOf(message, call.operation)}; allow it in their IAM policy on this queue (${message})`,
    ]
  }
  if (UNAUTHENTICATED.has(name) || name === 'InvalidSecurity') {
    return [
      'unauthenticated',
      `${where} does not accept the AWS credentials; renew them and check the clock of this machine (${name}: ${message})`,
    ]
  }
  if (name.startsWith('Kms')) {
    return ['config_invalid', `${where}: its encryption key cannot be used (${name}: ${message})`]
  }
  if (name === 'SyntaxError' || name === 'UnknownOperationException' || name === 'UnknownError') {
    return ['config_invalid', `what answers at ${where} is not SQS (${name}: ${message})`]
  }
  const code = INVALID.test(name) || ENDED_NAMES.has(name) ? 'invalid_argument' : 'internal'
  return [code, `${where} refused ${call.operation} (${name}: ${message})`]
}

/** The action that the engine names, else the operation's; a batch needs the permission of its single operation. */
function actionOf(message: string, operation: string): string {
  const action = /\b(?:sqs|kms):[A-Za-z]+/.exec(message)?.[0] ?? `sqs:${operation}`
  return action.replace(/Batch$/, '')
}

function place(call: Call): string {
  const { queue, endpoint } = call
  return `SQS queue '${queue}'${inRegion(call)}${endpoint === undefined ? '' : ` at ${endpoint}`}`
}

function inRegion({ region }: Call): string {
  return region === undefined ? '' : ` in ${region}`
}

function plain(name: string): string {
  return name.startsWith(OLD_PREFIX) ? name.slice(OLD_PREFIX.length) : name
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}
