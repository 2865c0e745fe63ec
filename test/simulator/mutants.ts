/**
 * The planted faults: each breaks one thing that the rules, the service or the session must do, and a run with it must end
 * with a broken invariant. A snippet that is not found exactly once is an error: change it together with the code.
 */
import { lifeMutants } from './mutants-life.ts'
import { orderMutants } from './mutants-order.ts'
import { serverlessMutants } from './mutants-serverless.ts'
import { sessionMutants } from './mutants-session.ts'

export interface Edit {
  /** From the repository's root. */
  readonly file: string
  /** Must occur there exactly once. */
  readonly find: string
  readonly replace: string
}

export interface Mutant {
  readonly name: string
  /** What goes wrong with it. */
  readonly fault: string
  /** Shows only where members have no server. */
  readonly serverless?: true
  readonly edits: readonly Edit[]
}

export const mutants: readonly Mutant[] = [
  ...orderMutants,
  ...lifeMutants,
  ...sessionMutants,
  ...serverlessMutants,
]
