/**
 * What became of one request to DynamoDB.
 * Error names: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
 */
import { awsFailure, THROTTLED, type AwsFailure, type Exchange } from '../shared/aws-failure.ts'

export interface Failure extends AwsFailure {
  /** Of a transaction, one per change. */
  readonly reasons: readonly CancellationReason[]
}

export interface CancellationReason {
  readonly Code?: string | undefined
  readonly Message?: string | undefined
}

export function failureOf(thrown: unknown, exchange: Exchange): Failure {
  const { CancellationReasons: reasons = [] } = (thrown ?? {}) as {
    readonly CancellationReasons?: readonly CancellationReason[]
  }
  const failure = awsFailure(thrown, exchange, (name) => {
    if (isThrottled(reasons)) return 'throttled'
    // An earlier request with the same token is still at work.
    return name === 'TransactionInProgressException' ? 'lost' : undefined
  })
  return { ...failure, reasons }
}

/** Throttling alone is the reason: a condition that failed, or a conflict, says more. */
function isThrottled(reasons: readonly CancellationReason[]): boolean {
  const codes = reasons.map(({ Code }) => Code ?? 'None').filter((code) => code !== 'None')
  return codes.length > 0 && codes.every((code) => THROTTLED.has(code))
}
