/** What is said of a token that does not verify: which check failed and what to do, never the token. */
import { errors } from 'jose'
import { SignalboxError } from '../../../kernel/error.ts'

/** A token issued longer ago is refused, whatever it says about its end. */
export const MAX_AGE_S = 3_600

/** @param what to follow "the OIDC token" */
export function refused(what: string, cause?: unknown): SignalboxError {
  return new SignalboxError('unauthenticated', `the OIDC token ${what}`, cause === undefined ? {} : { cause })
}

/** Why jose refused it, to follow "the OIDC token". */
export function reasonOf(error: unknown, issuer: string): string {
  if (error instanceof errors.JWTExpired) {
    if (error.claim === 'exp') return 'is expired; get a new one, they live for minutes'
    return `was issued more than ${MAX_AGE_S / 60} minutes ago; get a new one`
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === 'missing') return `lacks the claim ${error.claim}`
    if (error.reason === 'invalid') return `has a malformed claim ${error.claim}`
    return error.claim === 'nbf' || error.claim === 'iat'
      ? 'is not valid yet; compare the clocks of the issuer and of this server'
      : `has another ${error.claim} than auth.oidc says`
  }
  if (error instanceof errors.JWKSNoMatchingKey) return `is signed with a key that ${issuer} does not list`
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'has a signature that does not fit'
  return 'cannot be verified'
}
