/** What each form of the step gets. */
import type { Env } from '../../shared/inputs.ts'

export interface StepContext {
  readonly env: Env
  /** Aborts when the step is cancelled. */
  readonly signal: AbortSignal
}
