/** What the answer to a release says of the lease. */
import type { LeaseAnswer, Refusal } from '../api.ts'

/** Why the server does not take how the work ended; undefined: it does. A success needs a lease that was held to the end. */
export function whyNotTaken(answer: LeaseAnswer | Refusal, succeeded: boolean): string | undefined {
  if (answer.kind === 'refused') return answer.reason
  return succeeded && answer.status !== 'completed'
    ? 'the server has it down as failed or given up'
    : undefined
}
