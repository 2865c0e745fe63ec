/**
 * What a failed request to an AWS service means to whoever asked, as far as it is the same for every service; what the
 * service itself refused, its driver knows.
 *
 * Invariant: `outcome_unknown` for whatever may have been applied, and for nothing else.
 */
import type { ErrorCode } from '../../kernel/error.ts'
import type { AwsFailure } from './aws-failure.ts'

export interface AwsCall {
  readonly operation: string
  /** Does it change anything? */
  readonly effect: boolean
  /** The thing itself: `the SQS queue 'x'`. */
  readonly what: string
  /** The thing and where it is, for people. */
  readonly where: string
}

/** @param refused what a client error of the service means, in its own words */
export function meaningOf(
  failure: AwsFailure,
  call: AwsCall,
  refused: () => readonly [ErrorCode, string],
): readonly [ErrorCode, string] {
  const { operation, effect, where } = call
  const said = `${failure.name}: ${failure.message}`
  switch (failure.kind) {
    case 'unprepared':
      return unprepared(failure, call)
    case 'unreachable':
      return [
        'unavailable',
        `cannot reach ${where} (${failure.message}); check the network, the region and the endpoint`,
      ]
    case 'lost':
      return effect
        ? ['outcome_unknown', `${where} did not say whether ${operation} was applied (${said})`]
        : ['unavailable', `${where} did not answer ${operation} (${said})`]
    case 'throttled':
      return ['throttled', `${where} takes no more calls at present (${said}); repeat later`]
    case 'skewed':
    case 'refused':
      return refused()
  }
}

function unprepared(
  { name, message, status }: AwsFailure,
  { where, what }: AwsCall,
): readonly [ErrorCode, string] {
  if (/region is missing/i.test(message)) {
    return ['config_invalid', `no AWS region for ${what}; set AWS_REGION`]
  }
  if (status !== undefined && status >= 500) {
    return ['unavailable', `no AWS credentials for ${where} at present (${name}: ${message})`]
  }
  if (status !== undefined || /Credentials|Token|Provider/.test(name)) {
    return [
      'unauthenticated',
      `no AWS credentials for ${where} (${message}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or a role`,
    ]
  }
  if (name === 'AbortError' || name === 'TimeoutError') {
    return ['unavailable', `AWS credentials for ${where} took too long (${message})`]
  }
  return ['config_invalid', `cannot prepare a request to ${where} (${name}: ${message})`]
}
