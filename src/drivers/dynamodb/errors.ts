/**
 * A failure in our words: which code, what it means for this table, and what to do.
 *
 * Invariant: `throttled` and `unavailable` were not applied; a write of which that is not certain is `outcome_unknown`.
 */
import { SignalboxError, type ErrorCode } from '../../kernel/error.ts'
import { UNAUTHENTICATED } from '../shared/aws-failure.ts'
import type { Failure } from './failure.ts'
import type { TableKeys } from './table.ts'
import { meaningOf, type AwsCall } from '../shared/aws-meaning.ts'

/** All that a store ever asks of IAM, on the table alone. */
export const ACTIONS = ['GetItem', 'Query', 'PutItem', 'DeleteItem', 'ConditionCheckItem'] as const

/** What a call was about, for its messages. */
export interface Call {
  readonly operation: string
  /** Not idempotent: whether it was applied matters. */
  readonly write: boolean
  readonly table: string
  readonly keys: TableKeys
  readonly region: string | undefined
  readonly endpoint: string | undefined
}

export function translate(failure: Failure, call: Call): SignalboxError {
  const [code, text] = meaningOf(failure, awsCall(call), () => refused(failure, call))
  return new SignalboxError(code, text, { cause: failure.error })
}

function awsCall(call: Call): AwsCall {
  const { operation, write, table } = call
  return { operation, effect: write, what: `the DynamoDB table '${table}'`, where: place(call) }
}

function refused({ name, message, reasons }: Failure, call: Call): readonly [ErrorCode, string] {
  const where = place(call)
  if (name === 'AccessDeniedException' || name === 'AccessDenied') {
    return [
      'permission_denied',
      `${where}: the AWS credentials may not perform ${actionOf(message, call.operation)}; allow it in their IAM policy on this table (${message})`,
    ]
  }
  if (UNAUTHENTICATED.has(name)) {
    return [
      'unauthenticated',
      `${where} does not accept the AWS credentials; renew them and check the clock of this machine (${name}: ${message})`,
    ]
  }
  if (name === 'ResourceNotFoundException') {
    return [
      'not_found',
      `${where} does not exist; check table, region and account, or create it (${keysText(call.keys)})`,
    ]
  }
  const why = reasons.find(({ Code }) => Code === 'ValidationError')?.Message ?? message
  if (name === 'ValidationException' || why !== message) {
    return /\bkey\b|schema/i.test(why)
      ? ['config_invalid', `${where} has other keys than expected (${keysText(call.keys)}): ${why}`]
      : ['internal', `${where} refused ${call.operation} (${name}: ${why})`]
  }
  if (name === 'SyntaxError' || name === 'UnknownOperationException' || name === 'UnknownError') {
    return ['config_invalid', `what answers at ${where} is not DynamoDB (${name}: ${message})`]
  }
  return ['internal', `${where} refused ${call.operation} (${name}: ${message})`]
}

/** The action that the engine names, else those that the operation asks for. */
function actionOf(message: string, operation: string): string {
  const named = /dynamodb:[A-Za-z]+/.exec(message)?.[0]
  // A transaction is not an action of its own; it needs those of its parts.
  if (named !== undefined && named !== 'dynamodb:TransactWriteItems') return named
  const needed = operation === 'TransactWriteItems' ? ACTIONS.slice(2) : [operation]
  return needed.map((action) => `dynamodb:${action}`).join(', ')
}

function keysText({ partition, sort, sortType }: TableKeys): string {
  return `partition key '${partition}' of type S, sort key '${sort}' of type ${sortType === 'number' ? 'N' : 'S'}`
}

function place({ table, region, endpoint }: Call): string {
  const inRegion = region === undefined ? '' : ` in ${region}`
  return `DynamoDB table '${table}'${inRegion}${endpoint === undefined ? '' : ` at ${endpoint}`}`
}
